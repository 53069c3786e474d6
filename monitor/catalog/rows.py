"""Parallel arrays that grow together: row ``i`` of every array speaks of the same thing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from monitor.errors import StoreError

CHUNK = 256
"""Rows that are stored under one key: whole slices, so that a commit costs no Python per row."""


@dataclass(frozen=True, slots=True)
class Field:
    """One array: its type, the shape of a row, and what a new row holds."""

    dtype: DTypeLike
    shape: tuple[int, ...] = ()
    fill: float = 0


class Rows:
    """A table of arrays that grows by doubling and knows which chunks changed since they were last taken.

    Arrays are reached by name, ``rows["edges"]``, and have at least ``len(rows)`` rows; growing replaces them, so
    nobody may hold one across :meth:`add`.
    """

    def __init__(self, fields: Mapping[str, Field]) -> None:
        self._fields = dict(fields)
        self._arrays: dict[str, NDArray[Any]] = {
            name: np.full((CHUNK, *field.shape), field.fill, field.dtype) for name, field in fields.items()
        }
        self._capacity = CHUNK
        self._length = 0
        self._dirty = np.zeros(1, bool)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._arrays[name]

    def add(self, n: int = 1) -> int:
        """Append ``n`` rows of fill values; returns the first one's index."""
        first = self._length
        self._length += n
        if self._length > self._capacity:
            self._grow()
        self._dirty[first // CHUNK : (self._length - 1) // CHUNK + 1] = True
        return first

    def touch(self, rows: NDArray[np.integer[Any]] | int) -> None:
        """Note that ``rows`` changed and must be stored."""
        self._dirty[rows // CHUNK] = True

    def reset(self, rows: NDArray[np.integer[Any]] | int) -> None:
        """Give ``rows`` their fill values again."""
        for name, field in self._fields.items():
            self._arrays[name][rows] = field.fill
        self.touch(rows)

    def nbytes(self) -> int:
        """Bytes held by all arrays, spare capacity included."""
        return sum(array.nbytes for array in self._arrays.values())

    def signature(self) -> str:
        """Names, types and shapes: what a stored chunk must have been written with."""
        return ";".join(f"{n}:{np.dtype(f.dtype).str}:{f.shape}" for n, f in self._fields.items())

    def take_dirty(self) -> Iterator[tuple[int, bytes]]:
        """``(chunk index, bytes)`` of every chunk that changed since the last call."""
        for chunk in np.flatnonzero(self._dirty[: self._chunks()]).tolist():
            part = slice(chunk * CHUNK, min((chunk + 1) * CHUNK, self._length))
            yield chunk, b"".join(array[part].tobytes() for array in self._arrays.values())
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
        for chunk in range(self._chunks()):
            part = slice(chunk * CHUNK, min((chunk + 1) * CHUNK, length))
            blob = chunks.get(chunk, b"")
            sizes = {name: array[part].nbytes for name, array in self._arrays.items()}
            if sum(sizes.values()) != len(blob):
                raise StoreError(f"chunk {chunk} has {len(blob)} bytes, {sum(sizes.values())} were expected")
            start = 0
            for name, array in self._arrays.items():
                raw = np.frombuffer(blob, array.dtype, count=array[part].size, offset=start)
                array[part] = raw.reshape(array[part].shape)
                start += sizes[name]
        self._dirty[:] = False

    def _chunks(self) -> int:
        return -(-self._length // CHUNK)

    def _grow(self) -> None:
        while self._capacity < self._length:
            self._capacity += max(CHUNK, self._capacity // 2 // CHUNK * CHUNK)
        for name, field in self._fields.items():
            grown = np.full((self._capacity, *field.shape), field.fill, field.dtype)
            old = self._arrays[name]
            grown[: len(old)] = old
            self._arrays[name] = grown
        dirty = np.zeros(self._capacity // CHUNK, bool)
        dirty[: len(self._dirty)] = self._dirty
        self._dirty = dirty
