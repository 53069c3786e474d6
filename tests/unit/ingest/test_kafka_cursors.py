"""What the bookkeeping of Kafka's partitions keeps of its promises, for any order of messages."""

from __future__ import annotations

import math

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, Message
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import IngestError
from monitor.events.raw import Partition, RawBatch
from monitor.ingest.facts import SourceChange, SourceEvent
from monitor.ingest.kafka_cluster import Bounds, take_up
from monitor.ingest.kafka_cursors import Cursors, Taken

A, B, C = Partition("a", 0), Partition("a", 3), Partition("b", 1)


def message(partition: Partition, offset: int, value: bytes | None = b"x", milliseconds: int | None = 1500) -> Message:
    stamp = (TIMESTAMP_CREATE_TIME, milliseconds) if milliseconds is not None else (0, 0)
    return Message(
        topic=partition.topic, partition=partition.number, offset=offset, key=b"k", value=value, timestamp=stamp
    )


def placed(**ends: int) -> Cursors:
    cursors = Cursors()
    for name, partition in (("a", A), ("b", B), ("c", C)):
        cursors.place(partition, 10, ends.get(name, 1 << 60))
    return cursors


def batch_of(cursors: Cursors, *parts: list[Message]) -> RawBatch:
    taken = Taken(cursors, sum(map(len, parts)))
    for messages in parts:
        taken.take(messages)
    return cursors.batch(taken)


def test_messages_become_columns() -> None:
    """Each message becomes one row with value, key, time in seconds, partition and offset."""
    batch = batch_of(placed(), [message(A, 10), message(C, 12, None), message(A, 11, b"y", None)])
    assert list(batch.values) == [b"x", None, b"y"]
    assert list(batch.keys) == [b"k"] * 3
    assert batch.timestamps[:2].tolist() == [1.5, 1.5]
    assert math.isnan(batch.timestamps[2])
    assert [batch.partitions[i] for i in batch.source] == [A, C, A]
    assert batch.offsets.tolist() == [10, 12, 11]


def test_headers_come_where_they_are_read() -> None:
    """Headers are fetched for the topics whose format reads them, and for no others."""
    cursors = Cursors(lambda topic: topic == "b")
    for partition in (A, C):
        cursors.place(partition, 10)
    headed = Message(topic="b", partition=C.number, offset=10, value=b"x", headers=[("ce_id", b"1")], timestamp=(1, 1))
    assert list(batch_of(cursors, [message(A, 10), headed, message(C, 11)]).headers) == [None, [("ce_id", b"1")], None]
    assert list(batch_of(cursors, [message(C, 9), headed, message(C, 12)]).headers) == [None]
    assert list(batch_of(cursors, [message(A, 11)]).headers) == []


def test_no_messages_are_an_empty_batch() -> None:
    """Nothing read is a batch of nothing, with or without partitions."""
    assert len(batch_of(placed(), [])) == len(batch_of(Cursors(), [])) == 0


def test_a_time_before_the_epoch_is_unknown() -> None:
    """Kafka writes -1 for a time that it does not have."""
    assert math.isnan(batch_of(placed(), [message(A, 10, b"x", -1)]).timestamps[0])


def test_the_epoch_is_a_time() -> None:
    """A record that was made at 0 has that time, beside one that has none."""
    batch = batch_of(placed(), [message(A, 10, milliseconds=0), message(A, 11, milliseconds=None)])
    assert batch.timestamps[0] == 0.0
    assert math.isnan(batch.timestamps[1])


def test_a_record_lacks_its_time_only_where_its_event_says_one() -> None:
    """Of topics of the native format an event that says no time keeps its record's; any other format always does."""
    says, says_none = b'{"model":"m","time":5,"features":{"f":1}}', b'{"model":"m","features":{"time":5}}'
    native = Cursors(is_native=lambda _topic: True)
    native.place(A, 10)
    times = batch_of(native, [message(A, 10, says), message(A, 11, says_none), message(A, 12, None)]).timestamps
    assert math.isnan(times[0])
    assert times[1:].tolist() == [1.5, 1.5]
    mixed = Cursors(is_native=lambda topic: topic == "a")
    for partition in (A, C):
        mixed.place(partition, 10)
    assert batch_of(mixed, [message(A, 10, says), message(C, 10, says)]).timestamps.tolist() == [1.5, 1.5]


def test_a_batch_knows_its_size() -> None:
    """The size is that of the values which the batch has, taken at once or in parts: a tombstone's is nothing."""
    first = [message(A, 10, b"four"), message(A, 11, None), message(A, 12, b"again"), message(B, 12)]
    second = [message(A, 13, b"x")]
    cursors = placed(b=12)
    assert (batch_of(cursors, first).size, batch_of(cursors, second).size) == (9, 1)
    whole = batch_of(placed(b=12), first, second)
    assert whole.size == 10
    assert list(whole.values) == [b"four", None, b"again", b"x"]


def test_headers_come_with_their_records_in_whatever_part() -> None:
    """Headers of a later part stand beside its own records, and those of parts before it have none."""
    cursors = Cursors(lambda topic: topic == "b")
    for partition in (A, C):
        cursors.place(partition, 10)
    headed = Message(topic="b", partition=C.number, offset=10, value=b"x", headers=[("ce_id", b"1")], timestamp=(1, 1))
    whole = batch_of(cursors, [message(A, 10)], [headed, message(A, 11)], [message(A, 12)])
    assert list(whole.headers) == [None, [("ce_id", b"1")], None, None]


@given(st.lists(st.tuples(st.sampled_from([A, B, C]), st.integers(0, 30)), max_size=40), st.integers(1, 7))
def test_what_was_delivered_is_not_delivered_again(sent: list[tuple[Partition, int]], cut: int) -> None:
    """However batches repeat, across batches every offset comes once, none before the position, and in order."""
    cursors = placed(b=20)
    seen: list[tuple[Partition, int]] = []
    for at in range(0, len(sent), cut):
        # A broker sends each partition's records in order; what it may do is to begin again further back.
        chunk = sorted(dict.fromkeys(sent[at : at + cut]))
        batch = batch_of(cursors, [message(*each) for each in chunk])
        seen += [(batch.partitions[i], int(offset)) for i, offset in zip(batch.source, batch.offsets, strict=True)]
    for partition in (A, B, C):
        offsets = [offset for each, offset in seen if each == partition]
        assert offsets == sorted(set(offsets))
        assert all(10 <= offset < (20 if partition == B else 31) for offset in offsets)
        assert cursors.positions()[partition] == (offsets[-1] + 1 if offsets else 10)


def test_the_end_moves_the_position_past_markers() -> None:
    """A partition that ends behind what came is at its end there, until the next record."""
    cursors = placed(c=15)
    batch_of(cursors, [message(A, 10)])
    cursors.ended_at(A, 14)
    assert cursors.positions()[A] == 14
    slot = cursors.slot(A)
    assert slot is not None
    assert cursors.at_end[slot]
    batch_of(cursors, [message(A, 14)])
    assert not cursors.at_end[slot]
    cursors.ended_at(C, 99)
    assert cursors.positions()[C] == 15


def test_an_old_end_says_nothing() -> None:
    """An end before the position was told of an earlier place."""
    cursors = placed()
    cursors.ended_at(A, 9)
    assert cursors.positions()[A] == 10
    assert not cursors.at_end.any()


def test_a_dropped_partition_delivers_nothing() -> None:
    """What still arrives of a partition that is no longer read is left out; placed again it goes on there."""
    cursors = placed()
    cursors.drop(A)
    assert len(batch_of(cursors, [message(A, 10), message(B, 10)])) == 1
    assert cursors.slot(A) is None
    assert cursors.dropped(A)
    assert A not in cursors.positions()
    cursors.place(A, 3)
    assert batch_of(cursors, [message(A, 3)]).offsets.tolist() == [3]


@pytest.mark.parametrize("stored", [5, 7, 9])
def test_a_stored_offset_within_the_log_is_taken_up(stored: int) -> None:
    """From the log's first offset to the one that will be written next, nothing was lost."""
    assert take_up(A, stored, Bounds(5, 9), "fail") == (stored, None)


@pytest.mark.parametrize(("stored", "change"), [(4, SourceChange.LOST), (10, SourceChange.REWOUND)])
def test_a_stored_offset_outside_the_log_is_told(stored: int, change: SourceChange) -> None:
    """Outside the log reading goes on at its beginning and says so, or is an error where that is wanted."""
    assert take_up(A, stored, Bounds(5, 9), "earliest") == (5, SourceEvent(change, A, stored, 5))
    with pytest.raises(IngestError, match=rf"a\[0\]: the stored offset {stored} no longer exists"):
        take_up(A, stored, Bounds(5, 9), "fail")
    assert str(SourceEvent(change, A, stored, 5)) == f"a[0]: {change} {stored} -> 5"
