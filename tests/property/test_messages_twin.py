"""Do the compiled questions to messages, their twin and the messages themselves say the same?"""

from __future__ import annotations

import math
import sys
from typing import Any

import pytest
from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, KafkaError, Message
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.decode.limits import DecodeLimits
from monitor.decode.native import NativeDecoder
from monitor.kernels import messages as kernel
from monitor.kernels.messages import Questions, Told

QUESTIONS = Questions(Message.error, Message.value, Message.key, Message.offset, Message.partition, Message.timestamp)
BYTES = st.one_of(st.none(), st.binary(max_size=40), st.integers(0, 3000).map(bytes))
STAMP = st.tuples(st.integers(0, 2), st.one_of(st.integers(-2, 2), st.integers(0, 1 << 42)))
MESSAGE = st.builds(
    lambda value, key, offset, partition, stamp, odd: Message(
        topic="t",
        value=value,
        key=key,
        offset=offset,
        partition=partition,
        timestamp=stamp,
        error=KafkaError(KafkaError._PARTITION_EOF) if odd else None,
    ),
    BYTES,
    BYTES,
    st.integers(0, 1 << 62),
    st.integers(0, 1000),
    STAMP,
    st.integers(0, 5).map(lambda i: i == 0),
)


def columns(told: Told) -> list[Any]:
    n = len(told)
    numbers = [each[:n].tolist() for each in (told.offsets, told.partitions)]
    return [
        list(told.records()),
        told.keys,
        *numbers,
        [None if math.isnan(s) else s for s in told.seconds[:n].tolist()],
    ]


@pytest.fixture(autouse=True)
def _compiled() -> None:
    if kernel.compiled() is None:
        pytest.skip("the kernels are not built")


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(MESSAGE, max_size=12), max_size=4), st.integers(0, 4000))
def test_twins_and_the_messages(parts: list[list[Message]], size: int) -> None:
    """However messages come in parts and whatever size is expected, both fill what the messages say, in order."""
    rows = sum(map(len, parts))
    one, twin = Told(QUESTIONS, 0, rows, size), Told(QUESTIONS, 0, rows)
    for messages in parts:
        odd = [i for i, message in enumerate(messages) if message.error() is not None]
        assert one.take(messages) == twin._take_twin(messages, native=False) == odd
        assert one.size == twin.size
    records = [message for messages in parts for message in messages if message.error() is None]
    times = [message.timestamp() for message in records]
    found = columns(one)
    assert found == columns(twin)
    assert found[:4] == [
        [message.value() for message in records],
        [message.key() for message in records],
        [message.offset() for message in records],
        [message.partition() for message in records],
    ]
    untimed = [ms < 0 or (ms == 0 and kind == TIMESTAMP_NOT_AVAILABLE) for kind, ms in times]
    assert found[4] == [None if none else ms / 1e3 for none, (_, ms) in zip(untimed, times, strict=True)]


WORD = st.sampled_from(["time", "model", "id", "version", r"a\"b", r"c\\", "", r"t\u0069me", "x" * 30])
PIECE = st.sampled_from(
    ['"2026-03-01T09:30:00.250Z"', "1772357400", "-5", "null", "true", '"m"', '""', r'"\\"', r'"q\""', "{}", '"1":']
)
MEMBER = st.one_of(
    st.just('"model":"m"'),
    st.just('"features":{"time":1}'),
    st.just('"features":{"f":1}'),
    st.just('"time":"2026-03-01T09:30:00.250Z"'),
    st.just('"time":null'),
    st.builds(lambda word, piece: f'"{word}":{piece}', WORD, PIECE),
)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(MEMBER, max_size=8),
    st.sampled_from([",", ", ", ",  ", " ,"]),
    st.sampled_from([":", ": ", " :", ":  "]),
    st.integers(0, 3),
)
def test_who_says_a_time_needs_none(members: list[str], comma: str, colon: str, cut: int) -> None:
    """Whatever an event holds, it becomes the same without its record's time where none was asked for.

    Kernel and twin ask of the same records, and of every one that is not of the native format.
    """
    text = "{" + comma.join(member.replace('":', f'"{colon}') for member in members) + "}"
    value = text.encode()[: len(text) - cut]
    message = Message(topic="t", value=value, offset=1, partition=0, timestamp=(1, 1_772_000_000_123))
    one, twin, other = Told(QUESTIONS, 0, 1), Told(QUESTIONS, 0, 1), Told(QUESTIONS, 0, 1)
    one.take([message], native=True)
    twin._take_twin([message], native=True)
    other.take([message])
    assert math.isnan(one.seconds[0]) == math.isnan(twin.seconds[0])
    assert other.seconds[0] == 1_772_000_000.123
    decoder = NativeDecoder(DecodeLimits(), compiled=True)
    without, beside = decoder.decode([value], one.seconds), decoder.decode([value], other.seconds)
    assert without.reasons.tolist() == beside.reasons.tolist()
    assert without.time.tolist() == beside.time.tolist()


def test_an_event_that_says_its_time_early_is_not_asked() -> None:
    """As our own producers write it: model, id and time first, in either of the usual ways to put spaces."""
    for text in ('{"model":"m","id":"1","time":"2026-03-01T09:30:00Z"}', '{"model": "m", "time": 1772357400}'):
        told = Told(QUESTIONS, 0, 1)
        told.take([Message(topic="t", value=text.encode(), offset=1, partition=0, timestamp=(1, 5))], native=True)
        assert math.isnan(told.seconds[0])


def test_nothing_is_held_or_let_go_too_often() -> None:
    """A message that was asked, and what it answered, are used by as many as before."""
    value, key = bytes(500), b"key" * 50
    messages = [Message(topic="t", value=value, key=key, offset=1 << 40, partition=3, timestamp=(1, 5))] * 10
    before = [sys.getrefcount(each) for each in (None, value, key, messages[0], messages)]
    for _ in range(100):
        told = Told(QUESTIONS, 0, 10)
        told.take(messages)
        told.records()
    del told
    after = [sys.getrefcount(each) for each in (None, value, key, messages[0], messages)]
    assert after[1:] == before[1:]
    assert abs(after[0] - before[0]) < 50


def test_what_python_raises_is_raised() -> None:
    """An answer that is of another type is Python's own error, and so is one that a method raises."""

    def fails(_message: object) -> int:
        raise OverflowError("no offset")

    message = Message(topic="t", value=b"x", offset=1, partition=0, timestamp=(1, 5))
    with pytest.raises(OverflowError, match="no offset"):
        Told(QUESTIONS._replace(offset=fails), 0, 1).take([message])
    for question in ("value", "offset", "timestamp"):
        with pytest.raises((TypeError, SystemError)):
            Told(QUESTIONS._replace(**{question: lambda _message: "text"}), 0, 1).take([message])


def test_there_are_rows_for_all_messages() -> None:
    """More messages than rows are refused before anything is written."""
    message = Message(topic="t", value=b"x", offset=1, partition=0, timestamp=(1, 5))
    told = Told(QUESTIONS, 0, 2)
    told.take([message])
    with pytest.raises(ValueError, match="1 and 2 messages for 2 rows"):
        told.take([message, message])
    assert len(told) == 1
