"""A real Apache Kafka: one node that is broker and controller, on loopback."""

from __future__ import annotations

import subprocess
import time
import uuid
from typing import TYPE_CHECKING, Self

from confluent_kafka import KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic, OffsetSpec
from servers.need import kafka_libraries, program
from servers.process import ServerProcess, accepts, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

Record = tuple[int, bytes | None] | tuple[int, bytes | None, float]
"""Partition, value and, where it matters, the record's time in seconds since the epoch."""

# The compiler's quick tier and the plain collector: a test broker lives for a minute and holds little.
JAVA = ["-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:ActiveProcessorCount=2"]

# A broker that was killed is let in again only after its old session ran out: hence the short one.
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={directory}/data
num.partitions=4
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.cleaner.backoff.ms=1000
broker.heartbeat.interval.ms=300
broker.session.timeout.ms=1500
"""


class KafkaServer:
    """One broker. ``stop`` or ``kill`` and ``start`` again: it comes back on the same port with the same data."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        broker, controller = free_ports(2)
        self.bootstrap = f"127.0.0.1:{broker}"
        self._directory = directory
        self._properties = directory / "server.properties"
        self._properties.write_text(PROPERTIES.format(broker=broker, controller=controller, directory=directory))
        self._java = [program("java"), *JAVA, "-cp", f"{kafka_libraries()}/*"]
        command = [*self._java, "kafka.Kafka", str(self._properties)]
        # The port opens before the broker has read its topics again, so readiness is an answer about them.
        self.process = ServerProcess("kafka", command, lambda: accepts(broker) and self._serves(), directory / "log")
        self._clients: dict[str, AdminClient | Producer] = {}
        self._topics: set[str] = set()
        self._format_options: list[str] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._clients.clear()
        self.process.kill()

    def start(self) -> float:
        """Format the data directory if it is new, start, wait; return the seconds that took."""
        began = time.monotonic()
        if not (self._directory / "data").exists():
            self._format()
        self._clients.clear()  # an admin client that saw the broker go does not find its partitions' leaders again
        self.process.start()
        return time.monotonic() - began

    @property
    def running(self) -> bool:
        return self.process.running

    def stop(self) -> None:
        self.process.stop()

    def kill(self) -> None:
        self.process.kill()

    @property
    def admin(self) -> AdminClient:
        if "admin" not in self._clients:
            self._clients["admin"] = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 2})
        client = self._clients["admin"]
        assert isinstance(client, AdminClient)
        return client

    @property
    def producer(self) -> Producer:
        if "producer" not in self._clients:
            # Idempotent: a batch that a young leader turned away is sent again, and not behind those after it.
            how = {"enable.idempotence": True, "linger.ms": 5, "compression.type": "lz4", "log_level": 2}
            self._clients["producer"] = Producer({"bootstrap.servers": self.bootstrap, **how})
        client = self._clients["producer"]
        assert isinstance(client, Producer)
        return client

    def create_topic(self, name: str, partitions: int = 1, settings: Mapping[str, str] | None = None) -> str:
        topic = NewTopic(name, partitions, 1, config=dict(settings or {}))
        self.admin.create_topics([topic])[name].result(20)
        self._wait_for(name, partitions)
        self._topics.add(name)
        return name

    def new_topic(self, partitions: int = 1, prefix: str = "t") -> str:
        """A topic with a name that no other test has."""
        return self.create_topic(f"{prefix}-{uuid.uuid4().hex[:12]}", partitions)

    def delete_topic(self, name: str) -> None:
        self._topics.discard(name)
        self.admin.delete_topics([name])[name].result(20)

    def grow_topic(self, name: str, partitions: int) -> None:
        """Let ``name`` have ``partitions`` partitions from now on."""
        self.admin.create_partitions([NewPartitions(name, partitions)])[name].result(20)
        self._wait_for(name, partitions)
        self._clients.pop("producer", None)  # it would learn of the new ones minutes later

    def produce(self, topic: str, records: Iterable[Record], keys: Sequence[bytes | None] | None = None) -> None:
        """Write ``records`` in order and wait until the broker has them all."""
        producer, failed = self.producer, list[str]()

        def delivered(error: object, _: Message) -> None:
            if error is not None:
                failed.append(str(error))

        for i, (partition, value, *time_) in enumerate(records):
            stamp = {"timestamp": round(time_[0] * 1000)} if time_ else {}
            key = keys[i] if keys is not None else None
            while True:
                try:
                    producer.produce(topic, value, key, partition, on_delivery=delivered, **stamp)
                    break
                except BufferError:
                    producer.poll(0.1)
        assert producer.flush(120) == 0
        assert not failed, failed[0]

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Let the log of a partition begin at offset ``before``, as retention does."""
        target = TopicPartition(topic, partition, before)
        self.admin.delete_records([target])[target].result(20)

    def renew_clients(self) -> None:
        """Forget what was known of the broker before it went and came back."""
        self._clients.clear()

    def end_offset(self, topic: str, partition: int) -> int:
        target = TopicPartition(topic, partition)
        return int(self.admin.list_offsets({target: OffsetSpec.latest()})[target].result(20).offset)

    def committed(self, group: str) -> dict[tuple[str, int], int]:
        """The offsets that ``group`` has committed, as lag tools see them."""
        from confluent_kafka import ConsumerGroupTopicPartitions  # noqa: PLC0415

        request = [ConsumerGroupTopicPartitions(group)]
        result = self.admin.list_consumer_group_offsets(request)[group].result(20)
        return {(each.topic, each.partition): each.offset for each in result.topic_partitions}

    def _wait_for(self, topic: str, partitions: int) -> None:
        # A topic is made before the broker leads its partitions; a test that went on at once would meet the gap.
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            found = self.admin.list_topics(topic, timeout=10).topics[topic]
            if len(found.partitions) >= partitions and all(each.leader >= 0 for each in found.partitions.values()):
                return
            time.sleep(0.02)
        raise AssertionError(f"{topic} has no {partitions} partitions after 20 s")

    def _serves(self) -> bool:
        probe = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 2})
        try:
            found = probe.list_topics(timeout=2).topics
        except KafkaException:
            return False
        leaders = [each.leader for topic in found.values() for each in topic.partitions.values()]
        return self._topics <= found.keys() and min(leaders, default=0) >= 0

    def _format(self) -> None:
        cluster = "bW9kZWx3YXRjaC10ZXN0cw"
        how = ["kafka.tools.StorageTool", "format", "--standalone", "-t", cluster, "-c", str(self._properties)]
        how += self._format_options
        done = subprocess.run([*self._java, *how], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
