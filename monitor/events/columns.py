"""The columns that a batch of events becomes: one row an event, one entry a named value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Space(IntEnum):
    """Which part of an event an entry stood in."""

    FEATURE = 0
    PREDICTION = 1
    """Names ``label``, ``score`` and ``value`` (a bare number)."""
    METRIC = 2
    SENSITIVE = 3
    SEGMENT = 4
    CLASS_SCORE = 5
    """``prediction.scores``: the name is the class, the number its probability."""
    TAG = 6
    """``prediction.tags``: the name is the tag."""
    RANKED = 7
    """``prediction.ranking``: the name is the item, the number its place from 0."""
    OUTCOME = 8
    """Name ``label`` (text, canonical; ``number`` is set too where it was a number)."""
    OUTCOME_TAG = 9


class ValueType(IntEnum):
    """What stood there."""

    NULL = 0
    NUMBER = 1
    """``number`` holds it; NaN and infinities stay what they are, and are judged as invalid values."""
    TEXT = 2
    """``text`` holds the hash of its UTF-8 bytes."""
    BOOL = 3
    """``number`` is 0 or 1, ``text`` the hash of ``false`` or ``true`` (of ``0``/``1`` for classes)."""
    DROPPED = 4
    """A list or an object as a feature's or metric's value: counted, not judged."""


class Part(IntFlag):
    """Which parts an event had."""

    FEATURES = 1
    PREDICTION = 2
    SENSITIVE = 4
    SEGMENT = 8
    OUTCOME = 16
    VALUE = 32
    METRICS = 64
    ENTITY = 128
    LIFECYCLE = 256


class Lifecycle(IntEnum):
    """A fact in a model's life."""

    NONE = 0
    DEPLOYED = 1
    RETRAINED = 2
    RETIRED = 3


class Reason(IntEnum):
    """Why a record is a dead letter; the metric's ``reason`` is the name in lower case."""

    EMPTY = 0
    TOO_LARGE = 1
    SCHEMA_REGISTRY = 2
    UTF8 = 3
    JSON = 4
    TOO_DEEP = 5
    NOT_OBJECT = 6
    DUPLICATE_KEY = 7
    FIELD_TYPE = 8
    MISSING_MODEL = 9
    NAME = 10
    """A name or text is too long or holds control characters."""
    TIME = 11
    FUTURE_TIME = 12
    TOO_MANY_VALUES = 13
    MISSING_ID = 14
    NOTHING = 15
    """None of the parts that an event is for."""
    TOO_MANY_MODELS = 16
    DECODER_FAILED = 17
    """A bug of ours, which costs the record and nothing else."""
    UNFRAMED = 18
    """No zero byte and id of a schema in front, where the topic's format has them."""
    UNKNOWN_SCHEMA = 19
    """The schema registry does not have the schema."""
    UNREADABLE_SCHEMA = 20
    """The schema is of another format, is none, or cannot be used."""
    SCHEMA_BODY = 21
    """The bytes are not what the schema says."""


@dataclass(slots=True)
class Strings:
    """Spans of UTF-8 bytes in a batch's ``buffer``, with their 64-bit hashes; a length of 0 means absent."""

    hash: NDArray[np.uint64]
    start: NDArray[np.int32]
    length: NDArray[np.int32]

    def part(self, first: int, last: int) -> Strings:
        """Strings ``[first, last)``, as views."""
        return Strings(self.hash[first:last], self.start[first:last], self.length[first:last])

    def chosen(self, at: NDArray[np.int64]) -> Strings:
        """The strings at ``at``, in that order."""
        return Strings(self.hash[at], self.start[at], self.length[at])


@dataclass(slots=True)
class EventBatch:
    """``n`` events with ``m`` entries.

    Per event, shape ``(n,)``: ``record`` (int32, the index in the :class:`RawBatch`), ``model``, ``version``, ``id``
    and ``entity`` as strings, ``time`` (float64, seconds since the epoch), ``parts`` (uint16, :class:`Part`),
    ``value`` (float64, NaN where absent), ``lifecycle`` (uint8, :class:`Lifecycle`).

    Per entry, shape ``(m,)``, ordered by event: ``event`` (int32), ``space`` (uint8, :class:`Space`), ``type``
    (uint8, :class:`ValueType`), ``name`` and ``text`` as strings, ``number`` (float64).

    Rejections, shape ``(k,)``: ``rejected`` (int32, record index) and ``reasons`` (uint8, :class:`Reason`).
    ``unknown_fields`` counts top-level fields that no one knows.
    """

    buffer: bytes | bytearray
    record: NDArray[np.int32]
    model: Strings
    version: Strings
    id: Strings
    entity: Strings
    time: NDArray[np.float64]
    parts: NDArray[np.uint16]
    value: NDArray[np.float64]
    lifecycle: NDArray[np.uint8]
    event: NDArray[np.int32]
    space: NDArray[np.uint8]
    type: NDArray[np.uint8]
    name: Strings
    text: Strings
    number: NDArray[np.float64]
    rejected: NDArray[np.int32]
    reasons: NDArray[np.uint8]
    unknown_fields: int

    def __len__(self) -> int:
        return len(self.record)

    def part(self, first: int, last: int) -> EventBatch:
        """Events ``[first, last)`` with their entries, as views where that is possible; without rejections."""
        if first == 0 and last == len(self):
            return self
        a, b = np.searchsorted(self.event, (first, last))
        return EventBatch(
            buffer=self.buffer,
            record=self.record[first:last],
            model=self.model.part(first, last),
            version=self.version.part(first, last),
            id=self.id.part(first, last),
            entity=self.entity.part(first, last),
            time=self.time[first:last],
            parts=self.parts[first:last],
            value=self.value[first:last],
            lifecycle=self.lifecycle[first:last],
            event=self.event[a:b] - np.int32(first),
            space=self.space[a:b],
            type=self.type[a:b],
            name=self.name.part(a, b),
            text=self.text.part(a, b),
            number=self.number[a:b],
            rejected=self.rejected[:0],
            reasons=self.reasons[:0],
            unknown_fields=0,
        )

    def chosen(self, events: NDArray[np.int64]) -> EventBatch:
        """Some events, by rising index, with their entries; without rejections."""
        place = np.full(len(self), -1, np.int32)
        place[events] = np.arange(len(events), dtype=np.int32)
        entries = np.flatnonzero(place[self.event] >= 0)
        return EventBatch(
            buffer=self.buffer,
            record=self.record[events],
            model=self.model.chosen(events),
            version=self.version.chosen(events),
            id=self.id.chosen(events),
            entity=self.entity.chosen(events),
            time=self.time[events],
            parts=self.parts[events],
            value=self.value[events],
            lifecycle=self.lifecycle[events],
            event=place[self.event[entries]],
            space=self.space[entries],
            type=self.type[entries],
            name=self.name.chosen(entries),
            text=self.text.chosen(entries),
            number=self.number[entries],
            rejected=self.rejected[:0],
            reasons=self.reasons[:0],
            unknown_fields=0,
        )

    def in_space(self, *spaces: Space) -> NDArray[np.bool_]:
        """Which entries stood in one of ``spaces``, shape ``(m,)``."""
        return _one_of(self.space, spaces)

    def of_type(self, *types: ValueType) -> NDArray[np.bool_]:
        """Which entries are of one of ``types``, shape ``(m,)``."""
        return _one_of(self.type, types)

    def string(self, strings: Strings, i: int) -> str:
        """The text of ``strings[i]``; the slow way out, for what is met the first time."""
        start = int(strings.start[i])
        return self.buffer[start : start + int(strings.length[i])].decode()

    def namer(self, strings: Strings) -> Callable[[int], str]:
        """:meth:`string` of ``strings``, where many are alike: each text is read once, and there once for all."""
        read: dict[int, str] = {}

        def name(i: int) -> str:
            key = int(strings.hash[i])
            text = read.get(key)
            if text is None:
                text = read[key] = self.string(strings, i)
            return text

        return name


def _one_of(column: NDArray[np.uint8], members: Sequence[int]) -> NDArray[np.bool_]:
    """Where ``column`` has one of ``members``: beside an enumeration's own numpy makes 64 bits of every byte first."""
    found: NDArray[np.bool_] = column == np.uint8(members[0])
    for member in members[1:]:
        found |= column == np.uint8(member)
    return found


def joined(batches: Sequence[EventBatch]) -> EventBatch:
    """The events of ``batches`` behind one another, in one batch; at least one batch, 2 GiB of buffers at most.

    ``record`` and the rejections stay as they are: they must speak of the same records in all batches.
    """
    if len(batches) == 1:
        return batches[0]
    n = np.cumsum([0, *map(len, batches)])
    starts = np.cumsum([0, *(len(batch.buffer) for batch in batches)])

    def column(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(batch, name) for batch in batches])

    def strings(name: str) -> Strings:
        many = [getattr(batch, name) for batch in batches]
        return Strings(
            hash=np.concatenate([one.hash for one in many]),
            start=np.concatenate([one.start + np.int32(start) for one, start in zip(many, starts, strict=False)]),
            length=np.concatenate([one.length for one in many]),
        )

    return EventBatch(
        buffer=b"".join(batch.buffer for batch in batches),
        record=column("record"),
        model=strings("model"),
        version=strings("version"),
        id=strings("id"),
        entity=strings("entity"),
        time=column("time"),
        parts=column("parts"),
        value=column("value"),
        lifecycle=column("lifecycle"),
        event=np.concatenate([batch.event + np.int32(first) for batch, first in zip(batches, n, strict=False)]),
        space=column("space"),
        type=column("type"),
        name=strings("name"),
        text=strings("text"),
        number=column("number"),
        rejected=column("rejected"),
        reasons=column("reasons"),
        unknown_fields=sum(batch.unknown_fields for batch in batches),
    )
