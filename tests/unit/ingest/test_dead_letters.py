"""What the sink of dead letters keeps of its promises while no broker is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from monitor.clock import ManualClock
from monitor.events.raw import Partition, RawBatch
from monitor.ingest.dead_letters import DeadLetters
from monitor.ingest.settings import KafkaSettings

if TYPE_CHECKING:
    from collections.abc import Iterator


def settings(**more: Any) -> KafkaSettings:
    return KafkaSettings.model_validate({"bootstrap_servers": "127.0.0.1:1", "dead_letter_topic": "dead", **more})


def batch(n: int, value: bytes = b"x") -> RawBatch:
    return RawBatch(
        [value] * n, np.full(n, np.nan), (Partition("in", 0),), np.zeros(n, np.int32), np.arange(n, dtype=np.int64)
    )


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def sink(clock: ManualClock) -> Iterator[DeadLetters]:
    letters = DeadLetters(settings(dead_letters_per_second=10), clock)
    yield letters
    letters.close(0.0)


def test_without_a_topic_letters_are_only_counted() -> None:
    """Without a dead-letter topic nothing is sent, and flushing has nothing to wait for."""
    for letters in (
        DeadLetters(None, ManualClock()),
        DeadLetters(KafkaSettings.model_validate({}), ManualClock()),
    ):
        letters.add(batch(3), [0, 2], ["json", "json"])
        assert letters.flush(0.0)
        assert letters.drain()._asdict() == {"unsent": 2, "capped": 0, "overflow": 0, "failed": 0, "delivered": 0}
        assert sum(letters.drain()) == 0
        letters.close()


def test_the_cap_is_per_second(sink: DeadLetters, clock: ManualClock) -> None:
    """In a second no more letters are sent than allowed; the rest is counted; the allowance does not add up."""
    sink.add(batch(25), range(25), ["json"] * 25)
    assert (sink.drain().capped, sink.waiting) == (15, 10)
    clock.advance(0.5)
    sink.add(batch(25), range(25), ["json"] * 25)
    assert (sink.drain().capped, sink.waiting) == (20, 15)
    clock.advance(1000)
    sink.add(batch(25), range(25), ["json"] * 25)
    assert (sink.drain().capped, sink.waiting) == (15, 25)


def test_flush_says_what_did_not_arrive(sink: DeadLetters) -> None:
    """While no broker takes them, flushing ends with its time and says that letters are on their way."""
    assert sink.flush(0.0)
    sink.add(batch(1), [0], ["json"])
    assert not sink.flush(0.01)


def test_memory_is_bounded_without_a_broker() -> None:
    """What exceeds the room for letters that wait is counted as overflow, and closing counts the rest as failed."""
    small = {"queue.buffering.max.messages": 50}
    letters = DeadLetters(settings(dead_letters_per_second=1000, librdkafka=small), ManualClock())
    letters.add(batch(80), range(80), ["json"] * 80)
    assert letters.drain().overflow == 30
    assert letters.waiting == 50
    letters.close(0.0)
    assert letters.drain().failed == 50


def test_no_allowance_means_none() -> None:
    """A cap of none per second sends nothing and counts all."""
    letters = DeadLetters(settings(dead_letters_per_second=0), ManualClock())
    letters.add(batch(2), [0, 1], ["json", "utf8"])
    assert letters.drain().capped == 2
    letters.close(0.0)
