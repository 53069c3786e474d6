"""What reading from a real Kafka keeps of its promises: where it begins, outages, retention, dead letters."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from monitor.clock import SystemClock, rfc3339
from monitor.errors import IngestError
from monitor.events.raw import Partition, RawBatch
from monitor.ingest.dead_letters import DeadLetters
from monitor.ingest.facts import SourceChange, SourceEvent
from monitor.ingest.kafka import KafkaSource
from monitor.ingest.kafka_range import KafkaRange
from monitor.ingest.settings import KafkaSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from servers.kafka import KafkaServer

pytestmark = pytest.mark.servers

NOON = 1_772_366_400.0
"""2026-03-01T12:00:00Z."""

SPRY = {"statistics.interval.ms": 200}
"""Lag and health are heard of sooner than usual."""


def settings(server: KafkaServer, *topics: str, **more: Any) -> KafkaSettings:
    tables = tuple({"name": topic} for topic in topics)
    return KafkaSettings.model_validate({"bootstrap_servers": server.bootstrap, "topics": tables, **more})


def source(
    server: KafkaServer, *topics: str, positions: Mapping[Partition, int] | None = None, **more: Any
) -> KafkaSource:
    return KafkaSource(settings(server, *topics, **more), positions or {}, SystemClock(), refresh_seconds=0.3)


def read(reading: KafkaSource | KafkaRange, n: int, seconds: float = 30.0) -> list[bytes | None]:
    """The next ``n`` values."""
    deadline = time.monotonic() + seconds
    values: list[bytes | None] = []
    while len(values) < n:
        assert time.monotonic() < deadline, f"{len(values)} of {n} records after {seconds} s"
        values.extend(reading.poll(n - len(values), 0.05).values)
    return values


def until(holds: Callable[[], bool], reading: KafkaSource, seconds: float = 30.0) -> list[bytes | None]:
    """Poll until something holds, and return what came meanwhile."""
    deadline = time.monotonic() + seconds
    values: list[bytes | None] = []
    while not holds():
        assert time.monotonic() < deadline, f"not after {seconds} s"
        values.extend(reading.poll(100, 0.05).values)
    return values


def numbered(first: int, last: int) -> list[bytes]:
    return [b"%d" % i for i in range(first, last)]


@pytest.fixture
def topic(kafka: KafkaServer) -> str:
    """A topic of one partition that holds the values 0 to 9, a minute apart from noon on."""
    name = kafka.new_topic()
    kafka.produce(name, [(0, value, NOON + 60 * i) for i, value in enumerate(numbered(0, 10))])
    return name


def test_earliest_begins_at_the_beginning(kafka: KafkaServer, topic: str) -> None:
    """Without a stored offset, ``earliest`` reads all that is there."""
    with closing(source(kafka, topic, start_from="earliest")) as reading:
        assert read(reading, 10) == numbered(0, 10)


def test_latest_begins_at_the_end(kafka: KafkaServer, topic: str) -> None:
    """Without a stored offset, ``latest`` reads what comes from now on."""
    with closing(source(kafka, topic, start_from="latest")) as reading:
        until(lambda: bool(reading.positions()), reading)
        kafka.produce(topic, [(0, b"new")])
        assert read(reading, 1) == [b"new"]


@pytest.mark.parametrize(("minutes", "first"), [(3, 3), (2.5, 3), (-5, 0)])
def test_a_time_begins_at_its_first_record(kafka: KafkaServer, topic: str, minutes: float, first: int) -> None:
    """Without a stored offset, a time begins at the first record of that time or later."""
    with closing(source(kafka, topic, start_from=rfc3339(NOON + 60 * minutes))) as reading:
        assert read(reading, 10 - first) == numbered(first, 10)


def test_a_time_after_the_last_record_begins_at_the_end(kafka: KafkaServer, topic: str) -> None:
    """A time that no record has reached yet begins at the end."""
    with closing(source(kafka, topic, start_from=rfc3339(NOON + 86400))) as reading:
        until(lambda: bool(reading.positions()), reading)
        assert reading.positions() == {Partition(topic, 0): 10}


def test_a_stored_offset_goes_before_the_start_policy(kafka: KafkaServer, topic: str) -> None:
    """A stored offset is where reading goes on, whatever ``start_from`` says."""
    with closing(source(kafka, topic, positions={Partition(topic, 0): 7}, start_from="latest")) as reading:
        assert read(reading, 3) == numbered(7, 10)


def test_records_come_with_key_time_and_tombstone(kafka: KafkaServer) -> None:
    """A batch holds keys, times in seconds and ``None`` for a tombstone, each at its offset."""
    name = kafka.new_topic(2)
    kafka.produce(name, [(1, b"a", NOON + 0.25), (1, None, NOON + 1)], keys=[b"k", None])
    with closing(source(kafka, name)) as reading:
        batch = RawBatch([], np.zeros(0), (), np.zeros(0, np.int32), np.zeros(0, np.int64))
        while not len(batch):
            batch = reading.poll(10, 0.2)
    assert list(batch.values) == [b"a", None]
    assert list(batch.keys) == [b"k", None]
    assert batch.timestamps.tolist() == [NOON + 0.25, NOON + 1]
    assert [batch.partitions[i] for i in batch.source] == [Partition(name, 1)] * 2
    assert batch.offsets.tolist() == [0, 1]


def test_a_pattern_finds_topics_and_later_ones(kafka: KafkaServer) -> None:
    """A pattern reads every topic that fits, one that is made later from its beginning, and no other."""
    first = kafka.new_topic(prefix="shop.a")
    kafka.new_topic(prefix="other")
    with closing(source(kafka, r"^shop\..*", start_from="latest")) as reading:
        until(lambda: bool(reading.positions()), reading)
        second = kafka.new_topic(prefix="shop.b")
        kafka.produce(second, [(0, b"first of the second")])
        assert read(reading, 1) == [b"first of the second"]
        assert {partition.topic for partition in reading.positions()} == {first, second}


def test_a_new_partition_is_read_from_its_beginning(kafka: KafkaServer, topic: str) -> None:
    """A partition that joins a topic is found, told of, and read whole even under ``latest``."""
    with closing(source(kafka, topic, start_from="latest")) as reading:
        until(lambda: bool(reading.positions()), reading)
        kafka.grow_topic(topic, 2)
        kafka.produce(topic, [(1, b"early")])
        assert read(reading, 1) == [b"early"]
        assert reading.positions() == {Partition(topic, 0): 10, Partition(topic, 1): 1}
        assert SourceEvent(SourceChange.FOUND, Partition(topic, 1), 0, 0) in reading.drain_events()


def test_a_partition_that_joined_while_we_were_away_is_read_whole(kafka: KafkaServer) -> None:
    """With stored offsets of its topic, a partition without one is new: it is read from its beginning."""
    name = kafka.new_topic(2)
    kafka.produce(name, [(0, b"seen"), (1, b"not seen")])
    with closing(source(kafka, name, positions={Partition(name, 0): 1}, start_from="latest")) as reading:
        assert read(reading, 1) == [b"not seen"]


def test_a_missing_topic_is_waited_for(kafka: KafkaServer) -> None:
    """A topic that does not exist is told of as a degradation, and read from its beginning once it does."""
    name = kafka.new_topic() + "-later"
    with closing(source(kafka, name, start_from="latest")) as reading:
        reading.poll(10, 0.05)
        assert reading.check().status == "degraded"
        assert name in reading.check().detail
        kafka.create_topic(name)
        kafka.produce(name, [(0, b"there")])
        assert read(reading, 1) == [b"there"]
        assert reading.check().status == "ok"


def test_a_deleted_topic_does_not_hold_up_the_rest(kafka: KafkaServer) -> None:
    """Partitions that are gone are told of, dropped from the positions, and hold up event time no longer."""
    gone, kept = kafka.new_topic(), kafka.new_topic()
    with closing(source(kafka, gone, kept)) as reading:
        until(lambda: len(reading.positions()) == 2, reading)
        kafka.delete_topic(gone)
        until(lambda: len(reading.positions()) == 1, reading)
        assert SourceChange.GONE in [event.change for event in reading.drain_events()]
        assert reading.exhausted(Partition(gone, 0))
        kafka.produce(kept, [(0, b"on")])
        assert read(reading, 1) == [b"on"]


def test_a_topic_made_anew_is_read_again(kafka: KafkaServer, topic: str) -> None:
    """A topic that was deleted and made anew is read from its beginning."""
    with closing(source(kafka, topic)) as reading:
        read(reading, 10)
        kafka.delete_topic(topic)
        until(lambda: not reading.positions(), reading)
        kafka.create_topic(topic)
        kafka.produce(topic, [(0, b"anew")])
        assert read(reading, 1) == [b"anew"]


def test_lost_offsets_go_on_at_the_earliest(kafka: KafkaServer, topic: str) -> None:
    """A stored offset that retention has deleted goes on at the log's beginning, and the lost range is told."""
    kafka.delete_records(topic, 0, before=6)
    with closing(source(kafka, topic, positions={Partition(topic, 0): 2})) as reading:
        assert read(reading, 4) == numbered(6, 10)
        assert SourceEvent(SourceChange.LOST, Partition(topic, 0), 2, 6) in reading.drain_events()


def test_lost_offsets_may_be_an_error(kafka: KafkaServer, topic: str) -> None:
    """With ``lost_offsets = "fail"`` the same is an error that names partition, offset and way out."""
    kafka.delete_records(topic, 0, before=6)
    positions = {Partition(topic, 0): 2}
    with (
        closing(source(kafka, topic, positions=positions, lost_offsets="fail")) as reading,
        pytest.raises(IngestError, match=rf"{topic}\[0\]: the stored offset 2 .* kafka.lost_offsets"),
    ):
        read(reading, 1)


def test_a_log_that_ends_before_the_stored_offset_is_read_again(kafka: KafkaServer, topic: str) -> None:
    """A stored offset behind the end of the log means another log: it is read from its beginning, and told of."""
    with closing(source(kafka, topic, positions={Partition(topic, 0): 500})) as reading:
        assert read(reading, 10) == numbered(0, 10)
        assert SourceEvent(SourceChange.REWOUND, Partition(topic, 0), 500, 0) in reading.drain_events()


def test_retention_that_overtakes_reading_is_told(kafka: KafkaServer) -> None:
    """When records are deleted before a slow reader came to them, reading goes on behind the gap and tells of it."""
    name = kafka.new_topic()
    kafka.produce(name, [(0, value) for value in numbered(0, 50)])
    # With room for next to nothing the reader fetches in small steps, so that there is something left to delete.
    small = {"fetch.message.max.bytes": 200, "queued.min.messages": 1, "queued.max.messages.kbytes": 1}
    kafka.produce(name, [(0, b"x" * 20_000) for _ in range(20)])
    with closing(source(kafka, name, librdkafka=small)) as reading:
        read(reading, 1)
        kafka.delete_records(name, 0, before=70)
        kafka.produce(name, [(0, b"last")])
        values = until(lambda: reading.positions().get(Partition(name, 0)) == 71, reading)
        assert values[-1] == b"last"
        (lost,) = [event for event in reading.drain_events() if event.change == SourceChange.LOST]
        assert lost.to_offset == 70
        assert len(values) + 1 == 71 - (lost.to_offset - lost.from_offset)


def test_a_broker_that_goes_and_comes_back_loses_nothing(own_kafka: KafkaServer) -> None:
    """Stopped or killed in the middle, then back: all records come once; in between we are degraded, not exhausted."""
    name = own_kafka.new_topic(2)
    with closing(source(own_kafka, name, librdkafka=SPRY)) as reading:
        seen: list[bytes | None] = []
        for first, end in ((0, own_kafka.stop), (100, own_kafka.kill)):
            own_kafka.produce(name, [(i % 2, value) for i, value in enumerate(numbered(first, first + 100))])
            seen += read(reading, 40)
            end()
            seen += until(lambda: reading.check().status == "degraded", reading)
            assert not any(map(reading.exhausted, reading.positions()))
            own_kafka.start()
            seen += until(lambda: all(map(reading.exhausted, reading.positions())), reading)
        own_kafka.produce(name, [(1, b"200")])
        seen += read(reading, 1)
        assert sorted(seen, key=lambda value: int(value or -1)) == numbered(0, 201)
        until(lambda: reading.check().status == "ok", reading)


def test_a_broker_that_hangs_is_noticed(own_kafka: KafkaServer) -> None:
    """A broker that keeps its connections but answers nothing lets no partition count as exhausted for long."""
    name = own_kafka.new_topic()
    partition = Partition(name, 0)
    with closing(source(own_kafka, name, librdkafka={**SPRY, "socket.timeout.ms": 1500})) as reading:
        until(lambda: reading.exhausted(partition), reading)
        own_kafka.process.pause()
        until(lambda: not reading.exhausted(partition), reading)
        assert reading.check().status == "degraded"
        own_kafka.process.resume()
        until(lambda: reading.exhausted(partition), reading)


def test_a_broker_that_is_not_there_yet_is_waited_for(own_kafka: KafkaServer) -> None:
    """Started before its broker, a source is degraded and says why; it reads once the broker is there."""
    name = own_kafka.new_topic()
    own_kafka.produce(name, [(0, b"x")])
    own_kafka.stop()
    with closing(source(own_kafka, name, librdkafka=SPRY)) as reading:
        assert len(reading.poll(10, 0.05)) == 0
        assert reading.check().status == "degraded"
        assert reading.check().detail
        own_kafka.start()
        assert read(reading, 1) == [b"x"]


def test_closing_does_not_hang_on_a_broker_that_is_away(own_kafka: KafkaServer) -> None:
    """A commit while the broker is away fails silently, is counted, and does not hold up closing."""
    name = own_kafka.new_topic()
    own_kafka.produce(name, [(0, b"x")])
    reading = source(own_kafka, name)
    read(reading, 1)
    own_kafka.kill()
    until(lambda: reading.check().status == "degraded", reading)
    reading.committed(reading.positions())
    assert reading.commits_failed == 1
    began = time.monotonic()
    reading.close()
    assert time.monotonic() - began < 8


def test_commits_are_for_lag_tools(kafka: KafkaServer, topic: str) -> None:
    """What the store covers is committed to the group, also when closing comes right behind; it is never read."""
    group = f"g-{topic}"
    with closing(source(kafka, topic, group_id=group)) as reading:
        read(reading, 10)
        reading.committed({Partition(topic, 0): 4})
    assert kafka.committed(group) == {(topic, 0): 4}
    with closing(source(kafka, topic, group_id=group)) as reading:
        assert read(reading, 10) == numbered(0, 10)
        assert reading.commits_failed == 0


def test_lag_is_what_waits(kafka: KafkaServer, topic: str) -> None:
    """Lag is the number of records behind the position, as of the last statistics."""
    kafka.produce(topic, [(0, b"more")] * 90)
    with closing(source(kafka, topic, librdkafka=SPRY)) as reading:
        until(lambda: bool(reading.positions()), reading)
        seen = 0
        while not reading.lag():
            seen += len(reading.poll(1, 0.5))
        assert reading.lag() == {Partition(topic, 0): 100 - reading.positions()[Partition(topic, 0)]}


@pytest.fixture
def markers(kafka: KafkaServer) -> Iterator[str]:
    """A topic whose log ends with a transaction's marker: committed a and b, then an aborted x."""
    name = kafka.new_topic()
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": name})
    producer.init_transactions(20)
    for values, end in (((b"a", b"b"), producer.commit_transaction), ((b"x",), producer.abort_transaction)):
        producer.begin_transaction()
        for value in values:
            producer.produce(name, value, partition=0)
        producer.flush(20)
        end(20)
    return name


def test_markers_do_not_hide_the_end(kafka: KafkaServer, markers: str) -> None:
    """Where a log ends with markers and aborted records its partition is exhausted, and the position behind them."""
    with closing(source(kafka, markers)) as reading:
        assert read(reading, 2) == [b"a", b"b"]
        until(lambda: reading.exhausted(Partition(markers, 0)), reading)
        assert reading.positions()[Partition(markers, 0)] == kafka.end_offset(markers, 0)
    with closing(KafkaRange(settings(kafka, markers), markers, None, None, {}, SystemClock())) as whole:
        assert read(whole, 2) == [b"a", b"b"]
        for _ in range(200):
            whole.poll(10, 0.05)
            if whole.finished():
                break
        assert whole.finished()


@pytest.mark.parametrize(
    ("since", "before", "first", "last"),
    [(None, None, 0, 10), (3, 7, 3, 7), (2.5, None, 3, 10), (None, 5, 0, 5), (20, 30, 0, 0), (7, 3, 0, 0)],
)
def test_a_range_holds_what_lies_between_two_times(
    kafka: KafkaServer, topic: str, since: float | None, before: float | None, first: int, last: int
) -> None:
    """A range delivers the records of a time from ``since`` on and before ``until``, and is finished then."""
    times = [None if minutes is None else NOON + 60 * minutes for minutes in (since, before)]
    with closing(KafkaRange(settings(kafka, topic), topic, times[0], times[1], {}, SystemClock())) as reading:
        values = read(reading, last - first)
        deadline = time.monotonic() + 10
        while not reading.finished():
            assert time.monotonic() < deadline
            values.extend(reading.poll(10, 0.05).values)
    assert values == numbered(first, last)


def test_a_range_ends_where_the_log_ended_at_its_start(kafka: KafkaServer, topic: str) -> None:
    """What is written after a range was opened is not part of it."""
    with closing(KafkaRange(settings(kafka, topic), topic, None, None, {}, SystemClock())) as reading:
        kafka.produce(topic, [(0, b"after")])
        assert read(reading, 10) == numbered(0, 10)
        assert not len(reading.poll(10, 0.3))
        assert reading.finished()
        assert reading.lag() == {Partition(topic, 0): 0}


def test_a_range_of_a_missing_topic_is_an_error(kafka: KafkaServer) -> None:
    """A range of a topic that does not exist says so with the topic's name."""
    with pytest.raises(IngestError, match=r"nowhere: 127\.0\.0\.1:\d+: no such topic"):
        KafkaRange(settings(kafka, "nowhere"), "nowhere", None, None, {}, SystemClock())


def read_letters(server: KafkaServer, topic: str, n: int) -> list[tuple[bytes | None, bytes | None, dict[str, str]]]:
    consumer = Consumer({"bootstrap.servers": server.bootstrap, "group.id": "reader", "auto.offset.reset": "earliest"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    messages = consumer.consume(n, 20)
    consumer.close()
    return [
        (each.key(), each.value(), {name: str(value, "utf-8") for name, value in each.headers() or ()})
        for each in messages
    ]


def test_dead_letters_arrive_whole_with_their_origin(kafka: KafkaServer) -> None:
    """A dead letter has the record's key and value untouched, and headers with topic, partition, offset and reason."""
    name, letters = kafka.new_topic(2), kafka.new_topic(prefix="letters")
    kafka.produce(name, [(1, b"fine"), (1, b"{broken"), (1, None)], keys=[None, b"k", b"t"])
    sink = DeadLetters(settings(kafka, name, dead_letter_topic=letters), SystemClock())
    with closing(source(kafka, name)) as reading:
        n = 0
        while n < 3:
            batch = reading.poll(10, 0.1)
            bad = [i for i, value in enumerate(batch.values) if value != b"fine"]
            sink.add(batch, bad, ["json" if batch.values[i] else "empty" for i in bad])
            n += len(batch)
    assert sink.flush(20)
    counts = sink.drain()
    assert (counts.delivered, sum(counts)) == (2, 2)
    sink.close()
    origin = {"__connect.errors.topic": name, "__connect.errors.partition": "1"}
    assert read_letters(kafka, letters, 2) == [
        (b"k", b"{broken", {**origin, "__connect.errors.offset": "1", "modelwatch.reason": "json"}),
        (b"t", None, {**origin, "__connect.errors.offset": "2", "modelwatch.reason": "empty"}),
    ]


def test_a_large_dead_letter_is_cut_and_says_so(kafka: KafkaServer) -> None:
    """A value that the dead-letter topic would refuse arrives cut, with its true size in a header."""
    letters = kafka.new_topic(prefix="letters")
    sink = DeadLetters(settings(kafka, "in", dead_letter_topic=letters), SystemClock())
    source_, offsets = np.zeros(1, np.int32), np.array([5])
    batch = RawBatch([b"x" * 3_000_000], np.zeros(1), (Partition("in", 0),), source_, offsets)
    sink.add(batch, [0], ["too_large"])
    assert sink.flush(20)
    assert sink.drain().delivered == 1
    sink.close()
    ((_, value, headers),) = read_letters(kafka, letters, 1)
    assert value is not None
    assert len(value) == 900_000
    assert headers["modelwatch.value_bytes"] == "3000000"


def test_dead_letters_outlive_an_outage(own_kafka: KafkaServer) -> None:
    """While the broker is away dead letters wait; flushing says that they have not arrived; they do when it is back."""
    letters = own_kafka.new_topic(prefix="letters")
    sink = DeadLetters(settings(own_kafka, "in", dead_letter_topic=letters), SystemClock())
    own_kafka.stop()
    batch = RawBatch([b"x"], np.zeros(1), (Partition("in", 0),), np.zeros(1, np.int32), np.zeros(1, np.int64))
    sink.add(batch, [0], ["json"])
    assert not sink.flush(0.2)
    assert sink.waiting == 1
    own_kafka.start()
    assert sink.flush(20)
    assert sink.drain().delivered == 1
    sink.close()


def test_reading_is_fast_enough(kafka: KafkaServer) -> None:
    """A full log is read at far more than the rate at which its events can be decoded."""
    n = 200_000
    name = kafka.new_topic(4)
    value = b'{"model":"m","id":"req-1","features":{' + b'"income":41200.0,' * 20 + b'"age":37},"prediction":0.5}'
    kafka.produce(name, ((i % 4, value) for i in range(n)))
    with closing(source(kafka, name)) as reading:
        read(reading, 1)
        began = time.perf_counter()
        left = n - 1
        while left:
            left -= len(reading.poll(1000, 0.1))
        rate = (n - 1) / (time.perf_counter() - began)
    print(f"read {rate:,.0f} records of {len(value)} bytes a second")
    assert rate > 50_000
