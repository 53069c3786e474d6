"""Parallel arrays that grow together: row ``i`` of every array speaks of the same thing."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate, compress
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from monitor.catalog.aside import MAPPED, Aside, Pages
from monitor.errors import StoreError
from monitor.heap import untouched

CHUNK = 256
"""Rows that are stored under one key: whole slices, so that a commit costs no Python per row."""
STILL = 1 << 31
"""Added to a chunk's index where it holds the still arrays."""
_PAGE = 512
"""Words of 8 bytes in a page of memory, the least that the system gives."""
_IN_CACHE = 1 << 15
"""Words of 8 bytes that are looked at together."""


@dataclass(frozen=True, slots=True)
class Field:
    """One array: its type, the shape of a row, and what a new row holds.

    A ``still`` one changes seldom: it is stored apart, so that what changes with every tick does not drag it along.
    A ``rare`` one holds zeros, its fill, in most rows of most fleets: a page of it takes memory from the first time on
    that it is written, so whoever often writes what is there already passes it over (:func:`put`).
    One that lies ``aside`` is looked at when a tick closes, and not for each event: over a store it is in a file, and
    takes memory from when it is looked at to the next commit.
    One that is ``derived`` follows from others, and is not stored.
    """

    dtype: DTypeLike
    shape: tuple[int, ...] = ()
    fill: float = 0
    still: bool = False
    rare: bool = False
    aside: bool = False
    derived: bool = False

    def __post_init__(self) -> None:
        assert not (self.rare and self.fill), "what is rare is filled with zeros"


def aside(fields: Mapping[str, Field]) -> dict[str, Field]:
    """``fields``, all of which lie aside."""
    return {name: replace(field, aside=True) for name, field in fields.items()}


class Rows:
    """A table of arrays that grows by half and knows which chunks changed since they were last taken.

    Arrays are reached by name, ``rows["edges"]``, and have at least ``len(rows)`` rows; growing replaces them, so
    nobody may hold one across :meth:`add`. What is spare beyond the last chunk is never touched, and takes no memory.
    """

    def __init__(self, fields: Mapping[str, Field]) -> None:
        self._fields = dict(fields)
        self._capacity, self._filled = CHUNK, 0
        self._length = 0
        self._place: Aside | None = None
        self._pages: Pages | None = None
        self._starts: dict[str, int] = {}
        """Where in them each array begins that lies aside."""
        self._away = False
        self._arrays = self._made()
        self._dirty = np.zeros((2, 1), bool)
        self._parts: tuple[list[str], list[str]] = (
            [name for name, field in fields.items() if not field.still and not field.derived],
            [name for name, field in fields.items() if field.still and not field.derived],
        )

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._arrays[name]

    def lie_in(self, place: Aside | None) -> None:
        """Let the arrays that lie aside do so in ``place`` from here on; in memory where there is none."""
        self._place = place
        self._renew()

    def let_go(self) -> None:
        """Let the memory of what lies aside go until it is looked at again."""
        if self._pages is not None:
            self._pages.let_go()
            self._away = True

    def bring(self, rows: NDArray[np.integer[Any]]) -> None:
        """Have at hand what changes of ``rows`` with each tick, if it was let go of, and they are most of a stretch.

        Some of them may not have been added here yet.
        """
        if self._pages is None or not self._away or len(rows) < CHUNK:
            return
        first, stop = int(rows.min()), min(int(rows.max()) + 1, self._length)
        if not 0 < stop - first <= 2 * len(rows):
            return
        for name, at in self._starts.items():
            field, row = self._fields[name], _n_bytes(self._fields[name], 1)
            if not (field.still or field.rare or field.derived):
                self._pages.bring(at + first * row, at + stop * row)
        self._away = False

    def add(self, n: int = 1) -> int:
        """Append ``n`` rows of fill values; returns the first one's index."""
        first = self._length
        self.make_room(first + n)
        self._length += n
        self._fill_chunks()
        self._dirty[:, first // CHUNK : (self._length - 1) // CHUNK + 1] = True
        return first

    def make_room(self, n: int, breathe: Callable[[], None] = lambda: None) -> None:
        """Have room for ``n`` rows in all, so that what is there is copied once, however they come.

        Between two arrays the loop may ``breathe``: each has all rows at any time, where it was or where it will be.
        """
        if n > self._capacity:
            self._grow(n, breathe)

    def touch(self, rows: NDArray[np.integer[Any]] | int) -> None:
        """Note that ``rows`` changed and must be stored."""
        chunks = rows // CHUNK
        for dirty in self._dirty:  # of both at once would take twice as long
            dirty[chunks] = True

    def stir(self, rows: NDArray[np.integer[Any]]) -> None:
        """As :meth:`touch`, where none of the still arrays changed."""
        self._dirty[0][rows // CHUNK] = True

    def reset(self, rows: NDArray[np.integer[Any]] | int, names: Iterable[str] | None = None) -> None:
        """Give ``rows`` their fill values again, in the arrays of ``names`` or in all."""
        for name in self._fields if names is None else names:
            if not self._fields[name].rare or self._arrays[name][rows].any():
                self._arrays[name][rows] = self._fields[name].fill
        self.touch(rows)

    def nbytes(self) -> int:
        """Bytes held by all arrays, spare capacity included."""
        return sum(array.nbytes for array in self._arrays.values())

    def signature(self) -> str:
        """Names, types and shapes: what a stored chunk must have been written with."""
        return ";".join(
            f"{name}:{np.dtype(field.dtype).str}:{field.shape}{':still' * field.still}"
            for name, field in self._fields.items()
            if not field.derived
        )

    def take_dirty(self) -> Iterator[tuple[int, bytes]]:
        """``(chunk index, bytes)`` of every chunk that changed since the last call.

        The bytes are a mark for each array, whether it holds anything but fill values, and the arrays that do: tables
        have a row for many a cell that is not judged.
        """
        for names, mark, dirty in zip(self._parts, (0, STILL), self._dirty, strict=True):
            chunks = np.flatnonzero(dirty[: self._chunks()])
            used = self._used(names, chunks).tolist() if names else []
            for chunk, marks in zip(chunks.tolist() if names else [], used, strict=True):
                part = slice(chunk * CHUNK, min((chunk + 1) * CHUNK, self._length))
                arrays = (self._arrays[name][part].data for name in compress(names, marks))
                yield chunk | mark, b"".join([bytes(marks), *arrays])
        self._dirty[:] = False

    def load(self, length: int, chunks: Mapping[int, bytes]) -> None:
        """Fill an empty table with what :meth:`take_dirty` once gave.

        Raises
        ------
        StoreError
            A chunk is missing or has another size than ``length`` rows need.
        """
        assert self._length == 0
        self.add(length)
        for names, mark in zip(self._parts, (0, STILL), strict=True):
            for chunk in range(self._chunks()) if names else ():
                part = slice(chunk * CHUNK, min((chunk + 1) * CHUNK, length))
                self._fill(chunk, [self._arrays[name][part] for name in names], chunks.get(chunk | mark, b""))
        self._dirty[:] = False

    def _used(self, names: Sequence[str], chunks: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the arrays of ``names`` hold anything but fill values in each of ``chunks`` (k,), ``(k, names)``.

        Bits are compared, and the first of a chunk before the rest: they differ as a rule. Behind the last row there
        are fill values.
        """
        used = np.empty((len(chunks), len(names)), bool)
        for i, name in enumerate(names):
            words = self._arrays[name].reshape(-1).view(np.uint64).reshape(self._capacity // CHUNK, -1)
            fill = _word(self._fields[name])
            used[:, i] = words[chunks, 0] != fill
            alike = np.flatnonzero(~used[:, i])
            step = max(_IN_CACHE // words.shape[1], 1)
            for first in range(0, len(alike), step):
                part = alike[first : first + step]
                used[part, i] = (words[chunks[part]] != fill).any(axis=1)
        return used

    @staticmethod
    def _fill(chunk: int, arrays: list[NDArray[Any]], blob: bytes) -> None:
        start = len(arrays)
        used = list(compress(arrays, blob[:start]))
        expected = start + sum(array.nbytes for array in used)
        if expected != len(blob):
            raise StoreError(f"chunk {chunk} has {len(blob)} bytes, {expected} were expected")
        for array in used:
            raw = np.frombuffer(blob, array.dtype, count=array.size, offset=start)
            array[:] = raw.reshape(array.shape)
            start += array.nbytes

    def _chunks(self) -> int:
        return -(-self._length // CHUNK)

    def _grow(self, n: int, breathe: Callable[[], None]) -> None:
        """Have room for ``n`` rows, and for half as many again as there was: copying is rare, however they come."""
        more = max(CHUNK, self._capacity // 2 // CHUNK * CHUNK)
        self._capacity = max(self._capacity + more, -(-n // CHUNK) * CHUNK)
        self._renew(breathe)
        dirty = np.zeros((2, self._capacity // CHUNK), bool)
        dirty[:, : self._dirty.shape[1]] = self._dirty
        self._dirty = dirty

    def _renew(self, breathe: Callable[[], None] = lambda: None) -> None:
        """Let other arrays, of as many rows as there may be, hold what is there."""
        made = self._made()
        for name, field in self._fields.items():
            _copy(self._arrays[name][: self._filled], made[name], rare=field.rare)
            self._arrays[name] = made[name]
            breathe()

    def _made(self) -> dict[str, NDArray[Any]]:
        """Arrays of as many rows as there may be; those that lie aside are in one piece, if there is a place for it."""
        fields, n = self._fields, self._capacity
        sizes = {name: _in_pages(_n_bytes(field, n)) for name, field in fields.items() if field.aside}
        ends = list(accumulate(sizes.values()))
        wanted = self._place is not None and ends and ends[-1] >= MAPPED
        self._pages = self._place.take(ends[-1]) if self._place is not None and wanted else None
        self._starts = {} if self._pages is None else dict(zip(sizes, [0, *ends], strict=False))
        self._away = False
        arrays = {name: _made(field, n) for name, field in fields.items() if name not in self._starts}
        if self._pages is not None:
            room = self._pages.room
            arrays |= {name: _laid(fields[name], n, room, start) for name, start in self._starts.items()}
        return arrays

    def _fill_chunks(self) -> None:
        filled = self._chunks() * CHUNK
        if filled > self._filled:
            for name, field in self._fields.items():
                if not field.rare:
                    self._arrays[name][self._filled : filled] = field.fill
            self._filled = filled


def put(array: NDArray[Any], rows: NDArray[np.integer[Any]], values: NDArray[Any]) -> None:
    """Let ``array``, a rare one, hold ``values`` (k, ...) in ``rows`` (k,), and touch no page that holds them already.

    None of ``rows`` comes twice.
    """
    other = array[rows] != values.astype(array.dtype)
    changed = np.flatnonzero(other.reshape(len(rows), -1).any(axis=1))
    array[rows[changed]] = values[changed]


def _made(field: Field, n: int) -> NDArray[Any]:
    """An array of ``n`` rows: zeros if it is rare, else whatever the memory holds."""
    if not field.rare:
        return np.empty((n, *field.shape), field.dtype)
    size = _n_bytes(field, n)
    if size < MAPPED:
        return np.zeros((n, *field.shape), field.dtype)
    return _laid(field, n, untouched(size, large=False), 0)


def _laid(field: Field, n: int, pages: mmap.mmap | memoryview, start: int) -> NDArray[Any]:
    """An array of ``n`` rows that begins at ``start`` in ``pages``."""
    count = n * int(np.prod(field.shape, dtype=np.int64))
    return np.frombuffer(pages, field.dtype, count, start).reshape(n, *field.shape)


def _n_bytes(field: Field, n: int) -> int:
    return n * int(np.prod(field.shape, dtype=np.int64)) * np.dtype(field.dtype).itemsize


@cache
def _word(field: Field) -> np.uint64:
    """Eight bytes of what rows are filled with."""
    word: np.uint64 = np.full(8 // np.dtype(field.dtype).itemsize, field.fill, field.dtype).view(np.uint64)[0]
    return word


def _in_pages(n_bytes: int) -> int:
    """``n_bytes`` and what is left of their last page."""
    return -(-n_bytes // mmap.PAGESIZE) * mmap.PAGESIZE


def _copy(old: NDArray[Any], new: NDArray[Any], *, rare: bool) -> None:
    """Let ``new`` begin as ``old``; of a ``rare`` one no page that holds zeros alone is touched."""
    if not rare:
        new[: len(old)] = old
        return
    words, begun = old.reshape(-1).view(np.uint64), new.reshape(-1).view(np.uint64)
    for start in range(0, len(words), _PAGE):
        part = words[start : start + _PAGE]
        if part.any():
            begun[start : start + len(part)] = part
