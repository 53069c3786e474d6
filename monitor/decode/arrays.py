"""Where decoded events are put: columns in two blocks of memory, which the compiled decoder and the twin both fill."""

from __future__ import annotations

import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from monitor.events.columns import EventBatch, Strings
from monitor.events.records import CONSTANTS
from monitor.kernels.decoding import (
    POWER_MAX,
    POWER_MIN,
    DecodeCall,
    name_slots,
    powers_of_five,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from monitor.decode.limits import DecodeLimits
    from monitor.decode.twin import Row

_BYTES_PER_ENTRY: Final = 32
"""Of JSON, for each of which a batch begins with room for an entry: names of models, ids and times count too."""
_ENTRIES_MIN: Final = 256
_SCRATCH_MIN: Final = 256
_KEPT_MAX: Final = 1 << 27
"""Bytes beyond which a batch is so unlike others that its memory is given back."""

_Scalar = TypeVar("_Scalar", bound=np.generic)


def _strings(name: str) -> tuple[tuple[str, type[np.generic]], ...]:
    return (f"{name}.hash", np.uint64), (f"{name}.start", np.int32), (f"{name}.length", np.int32)


class _Layout:
    """Where each column begins, in bytes for each row: the widest first, so that all are aligned."""

    def __init__(self, columns: Iterable[tuple[str, type[np.generic]]]) -> None:
        widest_first = sorted(columns, key=lambda column: -np.dtype(column[1]).itemsize)
        self.offsets: dict[str, int] = {}
        self.width = 0
        for name, scalar in widest_first:
            self.offsets[name] = self.width
            self.width += np.dtype(scalar).itemsize


_EVENT: Final = _Layout(
    (
        *_strings("model"),
        *_strings("version"),
        *_strings("id"),
        *_strings("entity"),
        ("time", np.float64),
        ("value", np.float64),
        ("record", np.int32),
        ("parts", np.uint16),
        ("lifecycle", np.uint8),
    )
)
_ENTRY: Final = _Layout(
    (
        *_strings("name"),
        *_strings("text"),
        ("number", np.float64),
        ("event", np.int32),
        ("space", np.uint8),
        ("type", np.uint8),
    )
)


class Memory:
    """A piece of memory that batches are decoded into, one after the other: fresh pages cost a tenth of decoding.

    Who still looks at a batch keeps its columns: the next one then gets memory of its own.
    """

    def __init__(self) -> None:
        self.bytes_per_entry = float(_BYTES_PER_ENTRY)
        """There is room for an entry in each; halved for batches that have more entries."""
        self._kept = np.empty(0, np.uint8)
        self._unused = sys.getrefcount(self._kept)

    def room(self, size: int) -> int:
        """Entries that a batch of ``size`` bytes begins with room for."""
        return max(_ENTRIES_MIN, int(size / self.bytes_per_entry))

    def learn(self, size: int, entries: int) -> None:
        """Let batches to come begin with the room that one of ``size`` bytes would have needed for its ``entries``."""
        while self.room(size) < entries:
            self.bytes_per_entry /= 2.0

    def take(self, size: int) -> NDArray[np.uint8]:
        """At least ``size`` bytes, of any content."""
        if size > _KEPT_MAX:
            return np.empty(size, np.uint8)
        if len(self._kept) < size or sys.getrefcount(self._kept) > self._unused:
            self._kept = np.empty(size + size // 8, np.uint8)  # the next one may be a little larger
        return self._kept


class _Columns:
    """Columns of one layout in one piece of memory, with room for ``rows``; taken of ``memory`` if there is some."""

    def __init__(self, layout: _Layout, rows: int, memory: Memory | None = None) -> None:
        self.rows = rows
        self._layout = layout
        size = max(rows * layout.width, 1)
        self._memory = np.empty(size, np.uint8) if memory is None else memory.take(size)

    def view(self, name: str, scalar: type[_Scalar], rows: int) -> NDArray[_Scalar]:
        """The first ``rows`` of a column."""
        return np.ndarray((rows,), scalar, self._memory.data, self._layout.offsets[name] * self.rows)

    def strings(self, name: str, rows: int) -> Strings:
        """The first ``rows`` of a column of strings."""
        return Strings(
            hash=self.view(f"{name}.hash", np.uint64, rows),
            start=self.view(f"{name}.start", np.int32, rows),
            length=self.view(f"{name}.length", np.int32, rows),
        )

    def tell(self, call: DecodeCall) -> None:
        """Write each column's address into ``call``."""
        base = self._memory.ctypes.data
        for name, offset in self._layout.offsets.items():
            address = base + offset * self.rows
            column, _, part = name.partition(".")
            setattr(getattr(call, column) if part else call, part or column, address)

    def grown(self, rows: int) -> _Columns:
        """Columns with room for twice as many, that begin with the first ``rows`` of these."""
        bigger = _Columns(self._layout, 2 * self.rows)
        widths = (*self._layout.offsets.values(), self._layout.width)
        for start, stop in pairwise(widths):
            used = (stop - start) * rows
            old, new = start * self.rows, start * bigger.rows
            bigger._memory[new : new + used] = self._memory[old : old + used]
        return bigger


class EventArrays:
    """The columns of one batch while it is decoded. ``call`` is how far it got, and what the kernel is given."""

    def __init__(
        self,
        joined: bytes | bytearray,
        lengths: NDArray[np.int64],
        timestamps: NDArray[np.float64],
        limits: DecodeLimits,
        memory: Memory,
    ) -> None:
        assert joined.endswith(CONSTANTS)
        self._joined = np.frombuffer(joined, np.uint8)
        self._buffer = joined
        self._inputs = (lengths, timestamps, powers_of_five(), name_slots(limits.values_per_event))
        self._events = _Columns(_EVENT, len(lengths))
        self._memory = memory
        self._entries = _Columns(_ENTRY, memory.room(len(joined)), memory)
        self._scratch = np.empty(len(joined) + _SCRATCH_MIN, np.uint8)
        self._rejected: list[int] = []
        self._reasons: list[int] = []
        self.call = DecodeCall()
        self._tell_inputs(limits)
        self._events.tell(self.call)
        self._entries.tell(self.call)
        self._tell_capacities()

    def _tell_inputs(self, limits: DecodeLimits) -> None:
        call = self.call
        lengths, timestamps, powers, slots = self._inputs
        call.bytes, call.size = self._joined.ctypes.data, len(self._joined)
        call.lengths, call.records = lengths.ctypes.data, len(lengths)
        call.timestamps = timestamps.ctypes.data
        call.powers, call.power_min, call.power_max = powers.ctypes.data, POWER_MIN, POWER_MAX
        call.values_per_event, call.depth, call.name_bytes = limits.values_per_event, limits.depth, limits.name_bytes
        call.slots, call.slot_mask = slots.ctypes.data, len(slots) - 1

    def _tell_capacities(self) -> None:
        self.call.scratch, self.call.scratch_capacity = self._scratch.ctypes.data, len(self._scratch)
        self.call.entry_capacity = self._entries.rows

    def grow(self) -> None:
        """Make room for twice the entries and twice the scratch."""
        self._entries = self._entries.grown(self.call.entries)
        self._entries.tell(self.call)
        self._grow_scratch(len(self._scratch))

    def _grow_scratch(self, more: int) -> None:
        bigger = np.empty(len(self._scratch) + more, np.uint8)
        bigger[: self.call.scratch_used] = self._scratch[: self.call.scratch_used]
        self._scratch = bigger
        self._tell_capacities()

    def reject(self, record: int, reason: int) -> None:
        """Note that ``record`` became no event."""
        self._rejected.append(record)
        self._reasons.append(reason)

    def add(self, record: int, row: Row, key: Callable[[bytes], int]) -> None:
        """Put an event that the twin read behind those there are; ``key`` is the hash of strings."""
        call = self.call
        while call.entries + len(row.entries) > self._entries.rows:
            self.grow()
        event, entries = call.events, slice(call.entries, call.entries + len(row.entries))
        spaces, types, names, texts, numbers = zip(*row.entries, strict=True) if row.entries else ((),) * 5
        strings = (row.model, row.version or None, row.id or None, row.entity or None, *names, *texts)
        hashes, starts, lengths = self._put_strings(strings, key)
        events = self._events
        for i, column in enumerate(("model", "version", "id", "entity")):
            one = events.strings(column, event + 1)
            one.hash[event], one.start[event], one.length[event] = hashes[i], starts[i], lengths[i]
        events.view("record", np.int32, event + 1)[event] = record
        events.view("time", np.float64, event + 1)[event] = row.time
        events.view("parts", np.uint16, event + 1)[event] = row.parts
        events.view("value", np.float64, event + 1)[event] = row.value
        events.view("lifecycle", np.uint8, event + 1)[event] = row.lifecycle
        self._entries.view("event", np.int32, entries.stop)[entries] = event
        self._entries.view("space", np.uint8, entries.stop)[entries] = spaces
        self._entries.view("type", np.uint8, entries.stop)[entries] = types
        self._entries.view("number", np.float64, entries.stop)[entries] = numbers
        first = 4
        for column in ("name", "text"):
            many = self._entries.strings(column, entries.stop)
            part = slice(first, first + len(names))
            many.hash[entries], many.start[entries], many.length[entries] = hashes[part], starts[part], lengths[part]
            first = part.stop
        call.events, call.entries = event + 1, entries.stop
        call.unknown_fields += row.unknown_fields

    def _put_strings(
        self, strings: Sequence[bytes | None], key: Callable[[bytes], int]
    ) -> tuple[list[int], list[int], list[int]]:
        """Append to the scratch; hashes, starts and lengths, 0 where there is no string."""
        call = self.call
        text = b"".join(string for string in strings if string)
        if call.scratch_used + len(text) > len(self._scratch):
            self._grow_scratch(len(self._scratch) + len(text))
        self._scratch[call.scratch_used : call.scratch_used + len(text)] = np.frombuffer(text, np.uint8)
        hashes, starts, lengths = [], [], []
        start = len(self._joined) + call.scratch_used
        for string in strings:
            hashes.append(0 if string is None else key(string))
            starts.append(0 if string is None else start)
            lengths.append(len(string or b""))
            start += lengths[-1]
        call.scratch_used += len(text)
        return hashes, starts, lengths

    def batch(self) -> EventBatch:
        """What was decoded; nothing is copied but the scratch."""
        call, events, entries = self.call, self._events, self._entries
        n, m, used = call.events, call.entries, call.scratch_used
        self._memory.learn(len(self._joined), m)
        return EventBatch(
            buffer=self._buffer + self._scratch[:used].tobytes() if used else self._buffer,
            record=events.view("record", np.int32, n),
            model=events.strings("model", n),
            version=events.strings("version", n),
            id=events.strings("id", n),
            entity=events.strings("entity", n),
            time=events.view("time", np.float64, n),
            parts=events.view("parts", np.uint16, n),
            value=events.view("value", np.float64, n),
            lifecycle=events.view("lifecycle", np.uint8, n),
            event=entries.view("event", np.int32, m),
            space=entries.view("space", np.uint8, m),
            type=entries.view("type", np.uint8, m),
            name=entries.strings("name", m),
            text=entries.strings("text", m),
            number=entries.view("number", np.float64, m),
            rejected=np.array(self._rejected, np.int32),
            reasons=np.array(self._reasons, np.uint8),
            unknown_fields=call.unknown_fields,
        )
