"""How much does the reader ask of librdkafka at once, whatever the sizes of records?"""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import Message

from monitor.clock import ManualClock
from monitor.events.raw import Partition
from monitor.ingest import kafka_reader
from monitor.ingest.kafka_reader import CONSUMED_MAX, Reader

AT = Partition("t", 0)
SMALL, LARGE = b"x" * 10, b"x" * 10_000
BYTES_MAX = 100 * len(LARGE)


class Log:
    """Stands in for a consumer of one partition, whose records are all there."""

    def __init__(self, values: list[bytes]) -> None:
        self.values, self.at = values, 0
        self.asked: list[int] = []

    def list_topics(self, *_: Any, **__: Any) -> None:
        """All topics are there."""

    def incremental_assign(self, _: Any) -> None:
        """All that is asked for is given."""

    def consume(self, wanted: int, _: float) -> list[Message]:
        """The next records."""
        self.asked.append(wanted)
        first, self.at = self.at, min(self.at + wanted, len(self.values))
        return [
            Message(topic=AT.topic, partition=AT.number, offset=i, value=self.values[i], timestamp=(1, 5))
            for i in range(first, self.at)
        ]


@pytest.fixture
def log() -> Log:
    return Log([])


@pytest.fixture
def reader(log: Log, monkeypatch: pytest.MonkeyPatch) -> Reader:
    monkeypatch.setattr(kafka_reader, "open_client", lambda *_: log)
    monkeypatch.setattr(kafka_reader, "BATCH_BYTES_MAX", BYTES_MAX)
    reader = Reader({}, ManualClock(0.0))
    reader.place({AT: 0})
    return reader


def test_records_that_become_large_are_few_in_the_next_batch(reader: Reader, log: Log) -> None:
    """However many small ones came before them: what is large now says how many may come, not the mean of a batch."""
    log.values += [SMALL] * (10 * CONSUMED_MAX) + [LARGE] * (3 * CONSUMED_MAX)
    assert len(reader.read(64_000, 0.0)) == 11 * CONSUMED_MAX
    batch = reader.read(64_000, 0.0)
    assert batch.values[0] == LARGE
    assert batch.size <= BYTES_MAX


def test_what_was_read_takes_room(reader: Reader, log: Log) -> None:
    """Large records that come first leave less room to what follows, though that is small."""
    log.values += [LARGE] * CONSUMED_MAX + ([LARGE] * 99 + [SMALL]) + [SMALL] * 60_000
    reader.read(CONSUMED_MAX, 0.0)  # from here on it is known how large they are
    assert reader.read(64_000, 0.0).size <= BYTES_MAX
    assert log.asked[1] == 100


def test_as_many_are_read_as_were_asked_for(reader: Reader, log: Log) -> None:
    """Of small records a batch has as many as it may, in parts, and what comes next is the next."""
    log.values += [SMALL] * (3 * CONSUMED_MAX)
    assert len(reader.read(CONSUMED_MAX + 7, 0.0)) == CONSUMED_MAX + 7
    assert log.asked == [CONSUMED_MAX, 7]
    assert reader.read(5, 0.0).offsets.tolist() == list(range(CONSUMED_MAX + 7, CONSUMED_MAX + 12))
