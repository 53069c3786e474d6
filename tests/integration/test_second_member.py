"""Is a second daemon of one group refused, a restarted one not, and is a topic made anew told from the old one?"""

from __future__ import annotations

import contextlib
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer, KafkaException

from monitor.clock import SystemClock
from monitor.errors import IngestError
from monitor.events.raw import Partition
from monitor.ingest.facts import SourceChange
from monitor.ingest.kafka import KafkaSource
from monitor.ingest.kafka_cluster import Bounds, Cluster
from monitor.ingest.kafka_membership import PATIENCE_SECONDS, Membership
from monitor.ingest.settings import KafkaSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from servers.kafka import KafkaServer

pytestmark = pytest.mark.servers


def source(kafka: KafkaServer, topic: str, **more: object) -> KafkaSource:
    table = {"bootstrap_servers": kafka.bootstrap, "group_id": f"g-{topic}", "topics": ({"name": topic},)}
    lost = more.pop("lost_offsets", "earliest")
    settings = KafkaSettings.model_validate({**table, "lost_offsets": lost})
    positions = more.pop("positions", {})
    return KafkaSource(settings, positions, SystemClock(), refresh_seconds=0.3, **more)  # type: ignore[arg-type]


def read(reading: KafkaSource, records: int, seconds: float = 20.0) -> list[bytes | None]:
    got: list[bytes | None] = []
    until(lambda: len(got) >= records, lambda: got.extend(reading.poll(100, 0.1).values), seconds)
    return got


def until(holds: Callable[[], bool], do: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        do()


@pytest.fixture
def topic(kafka: KafkaServer) -> str:
    name = kafka.new_topic()
    kafka.produce(name, [(0, b"%d" % i) for i in range(10)])
    return name


def test_a_second_store_is_refused(kafka: KafkaServer, topic: str) -> None:
    """A daemon with a store of its own reads nothing while another lives, and ends with the reason."""
    with closing(source(kafka, topic, owner="one")) as first:
        assert len(read(first, 10)) == 10
        second, refused = source(kafka, topic, owner="two"), []

        def turn() -> None:
            first.poll(100, 0.05)
            try:
                assert len(second.poll(100, 0.05)) == 0
            except IngestError as error:
                refused.append(str(error))

        with closing(second):
            until(lambda: bool(refused), turn, PATIENCE_SECONDS + 20)
        assert f"another modelwatch reads as group g-{topic}" in refused[0]
        assert "kafka.group_id" in refused[0]
        kafka.produce(topic, [(0, b"on")])
        assert read(first, 1) == [b"on"]


def test_a_restart_need_not_wait(kafka: KafkaServer, topic: str) -> None:
    """After a crash the broker still believes in the one before: the same store goes on at once, another one waits."""
    died = source(kafka, topic, owner="one")
    assert len(read(died, 10)) == 10
    with closing(source(kafka, topic, owner="one")) as again:
        began = time.monotonic()
        assert len(read(again, 10)) == 10
        assert time.monotonic() - began < PATIENCE_SECONDS / 2
    died.close()
    with closing(source(kafka, topic, owner="two")) as other:
        assert len(read(other, 10)) == 10


def test_a_cluster_and_a_daemon_alone(kafka: KafkaServer, topic: str) -> None:
    """Replicas are no rivals of one another; a daemon with the whole fleet to itself is refused beside them."""
    settings = {"bootstrap.servers": kafka.bootstrap}
    with (
        closing(Membership(f"g-{topic}", "cluster", settings, SystemClock())) as one,
        closing(Membership(f"g-{topic}", "cluster", settings, SystemClock())) as two,
    ):
        until(lambda: one.alone([topic]), one.beat)
        until(lambda: two.alone([topic]), one.beat)
        alone, refused = source(kafka, topic, owner="whole"), []

        def turn() -> None:
            one.beat()
            two.beat()
            try:
                assert len(alone.poll(100, 0.05)) == 0
            except IngestError as error:
                refused.append(str(error))

        with closing(alone):
            until(lambda: bool(refused), turn, PATIENCE_SECONDS + 20)
        assert "another modelwatch reads as group" in refused[0]


def test_a_broker_that_came_back(own_kafka: KafkaServer) -> None:
    """Who asked while the broker was away learns who else is there, and where logs end, soon after it is back."""
    topic, settings = own_kafka.new_topic(), {"bootstrap.servers": own_kafka.bootstrap}
    cluster, logs = Cluster(settings, SystemClock()), [Partition(topic, 0)]
    with closing(Membership("g", "cluster", settings, SystemClock())) as one:
        until(lambda: sits(one, topic), one.beat)
        for _ in range(2):
            assert cluster.bounds(logs) == {logs[0]: Bounds(0, 0)}
            own_kafka.kill()
            until(lambda: asks_in_vain(one, topic), one.beat, seconds=40.0)
            assert cluster.bounds(logs) == {}
            own_kafka.start()
            until(lambda: bool(cluster.bounds(logs)), one.beat, seconds=10.0)
            until(lambda: sits(one, topic), one.beat, seconds=10.0)


def asks_in_vain(member: Membership, topic: str) -> bool:
    try:
        member.alone([topic])
    except KafkaException:
        return True
    return False


def sits(member: Membership, topic: str) -> bool:
    with contextlib.suppress(KafkaException):
        return member.alone([topic])
    return False


def test_groups_are_their_own(kafka: KafkaServer, topic: str) -> None:
    """Lag tools and other consumers in the group are no daemon; without an owner nobody looks."""
    settings = {"bootstrap.servers": kafka.bootstrap, "group.id": f"g-{topic}.members"}
    consumer = Consumer(settings)
    consumer.subscribe([topic])
    with closing(source(kafka, topic, owner="one")) as one, closing(source(kafka, topic)) as free:
        consumer.poll(1.0)
        assert len(read(one, 10)) == 10
        assert len(read(free, 10)) == 10
    consumer.close()


def test_offsets_of_a_topic_made_anew(kafka: KafkaServer, topic: str) -> None:
    """A stored offset that the new topic has too is not used: it is read from its beginning, told, or refused."""
    with closing(source(kafka, topic)) as before:
        read(before, 10)
        ids = dict(before.topic_ids)
    kafka.delete_topic(topic)
    time.sleep(1.0)
    kafka.create_topic(topic)
    kafka.produce(topic, [(0, b"new%d" % i) for i in range(20)])
    stored = {"positions": {Partition(topic, 0): 10}, "topic_ids": ids}
    with closing(source(kafka, topic, **stored)) as again:
        assert read(again, 20)[0] == b"new0"
        assert SourceChange.REMADE in [event.change for event in again.drain_events()]
        assert again.topic_ids[topic] != ids[topic]
    with (
        closing(source(kafka, topic, **stored, lost_offsets="fail")) as again,
        pytest.raises(IngestError, match=r"deleted and made anew since offset 10"),
    ):
        read(again, 1)
