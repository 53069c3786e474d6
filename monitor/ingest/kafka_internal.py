"""The topics that replicas share their work by: made, looked over, written, and cut off behind what nobody needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition, admin

from monitor.clock import Clock
from monitor.errors import ConfigError, IngestError
from monitor.events.raw import Partition
from monitor.ingest.kafka_client import admin_settings, consumer_settings, open_client, producer_settings, reason_of
from monitor.ingest.settings import KafkaSettings

RECORD_BYTES_MAX = 16 << 20
"""What an internal topic takes: a record of a store may be large."""
REQUEST_SECONDS = 10.0
_NEW_TOPIC: Any = admin.NewTopic  # type: ignore[attr-defined]  # public, but its module has no __all__
_TOPIC: Mapping[str, str] = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",  # what is needed is never lost by time; what is not is cut off by us
    "retention.bytes": "-1",
    "max.message.bytes": str(RECORD_BYTES_MAX),
    "message.timestamp.type": "LogAppendTime",
}


def events_topic(settings: KafkaSettings) -> str:
    """Where records go on their way to the shard that counts them; its partitions are the shards."""
    return f"{settings.group_id}.events"


def state_topic(settings: KafkaSettings) -> str:
    """Where shards write what must survive; as many partitions."""
    return f"{settings.group_id}.state"


class InternalTopics:
    """Makes the topics of a cluster, and cuts them off."""

    def __init__(self, settings: KafkaSettings, clock: Clock) -> None:
        self._names = (events_topic(settings), state_topic(settings))
        self._admin = open_client(
            admin.AdminClient, admin_settings(settings.bootstrap_servers, settings.client()), clock
        )
        self._cuts: list[Any] = []

    def ensure(self, partitions: int, replication: int) -> None:
        """Make those that do not exist yet.

        Raises
        ------
        ConfigError
            One has another number of partitions: models would change their shard, and be judged twice.
        KafkaException
            No broker answers, or it does not let us make them.
        """
        known = self._admin.list_topics(timeout=REQUEST_SECONDS).topics
        missing = [name for name in self._names if name not in known]
        topics = [_NEW_TOPIC(name, partitions, replication, config=dict(_TOPIC)) for name in missing]
        for future in self._admin.create_topics(topics, request_timeout=REQUEST_SECONDS).values() if topics else ():
            try:
                future.result(REQUEST_SECONDS + 1)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
        for name in self._names:
            found = len(known[name].partitions) if name in known else partitions
            if found != partitions:
                raise ConfigError(
                    f"cluster.shards: is {partitions}, and the topic {name} has {found} partitions; it is fixed once "
                    "the topics are made"
                )

    def cut_off(self, before: Mapping[Partition, int]) -> None:
        """Delete what lies before an offset of each partition; does not wait, and a failure costs room alone."""
        self._cuts = [future for future in self._cuts if not future.done()]
        targets = [TopicPartition(*each, offset) for each, offset in before.items() if offset > 0]
        if targets and not self._cuts:
            self._cuts = list(self._admin.delete_records(targets, request_timeout=REQUEST_SECONDS).values())


class Publisher:
    """Writes to the internal topics, in order; what was taken is delivered, however long a broker is away."""

    def __init__(self, settings: KafkaSettings, clock: Clock) -> None:
        ours = {
            **producer_settings(settings.bootstrap_servers, settings.client()),
            "enable.idempotence": True,
            "message.timeout.ms": 0,
            "linger.ms": 5,
            "message.max.bytes": RECORD_BYTES_MAX,
            "queue.buffering.max.kbytes": 64 << 10,
        }
        ours.pop("delivery.timeout.ms", None)
        self._failed = ""
        self._producer = open_client(Producer, {**ours, "error_cb": self._on_error}, clock)

    def send(self, partition: Partition, value: bytes, placed: Callable[[int], None] | None = None) -> None:
        """Hand over a record; waits while too much is on its way. ``placed`` is told its offset, within :meth:`flush`.

        Raises
        ------
        IngestError
            The client has given up for good.
        """

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self._failed = error.str()
            elif placed is not None:
                offset = message.offset()
                assert offset is not None
                placed(offset)

        while True:
            self._look()
            try:
                self._producer.produce(partition.topic, value, partition=partition.number, on_delivery=delivered)
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as error:
                raise IngestError(f"{partition.topic}: {reason_of(error)}") from error
            else:
                return

    def poll(self) -> None:
        """Take in what was delivered, without waiting."""
        self._producer.poll(0)
        self._look()

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until everything that was handed over is in its topic; ``False`` where some is still on its way."""
        left = self._producer.flush(timeout_seconds)
        self._look()
        return left == 0

    def close(self) -> None:
        """Let go, without waiting for what nobody committed."""
        self._producer.purge()
        self._producer.flush(1.0)

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._failed = error.str()

    def _look(self) -> None:
        if self._failed:
            raise IngestError(f"Kafka: an internal topic cannot be written: {self._failed}")


class RangeReader:
    """Reads stretches of internal topics, one after the other, over connections that it keeps."""

    def __init__(self, settings: KafkaSettings, clock: Clock) -> None:
        ours = {
            **consumer_settings(settings.bootstrap_servers, f"{settings.group_id}.restore", settings.client()),
            "fetch.message.max.bytes": RECORD_BYTES_MAX,
            "fetch.max.bytes": 2 * RECORD_BYTES_MAX,
        }
        self._consumer = open_client(Consumer, ours, clock)

    def read(self, partition: Partition, first: int, last: int, take: Callable[[int, bytes], None]) -> None:
        """Hand every record of ``partition`` from offset ``first`` on, short of ``last``, to ``take``.

        Raises
        ------
        IngestError
            They are not there any more.
        """
        self._consumer.assign([TopicPartition(*partition, first)])
        position = first
        while position < last:
            for message in self._consumer.consume(min(200, last - position), 0.2):
                error = message.error()
                if error is None:
                    offset, value = message.offset(), message.value()
                    assert offset is not None
                    if message.partition() == partition.number and position <= offset < last and value is not None:
                        take(offset, value)
                        position = offset + 1
                elif error.code() in _GONE:
                    raise IngestError(f"{partition.topic}[{partition.number}]: {error.str()}")
        self._consumer.unassign()

    def close(self) -> None:
        """Let go of the connections."""
        self._consumer.close()


_GONE = frozenset(
    {
        KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
        KafkaError.OFFSET_OUT_OF_RANGE,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
    }
)
