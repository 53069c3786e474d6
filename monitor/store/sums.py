"""The sums of a model's tick as bytes: only what is not zero."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from monitor.errors import StoreError
from monitor.kernels.pack import compiled, packed, unpacked
from monitor.kernels.tally import COLUMNS, MOMENTS, Counts

_Number = TypeVar("_Number", bound=np.generic)
_HEAD = struct.Struct("<IIIB")
_WIDTHS: dict[int, type[np.uint8 | np.uint16]] = {1: np.uint8, 2: np.uint16}
_LARGEST = {width: np.iinfo(kind).max for width, kind in _WIDTHS.items()}
_LARGE_PART = 4
"""Counts take one byte, unless that is too little for more than one in this many."""
_EMPTY = np.array([0.0, 0.0, np.inf, -np.inf])
_ROWS_MAX = 1 << 16
"""More rows than any model has series: a head that speaks of more is not one."""


def pack(counts: Counts, moments: NDArray[np.float64]) -> bytes:
    """Bytes of ``counts`` (rows, 40) and ``moments`` (rows, 4).

    The layout is in docs/formats/store.md: which rows and columns are not zero, their counts, and the moments of the
    rows that have any.
    """
    counts = counts.astype(np.uint32, copy=False)
    used = counts > 0
    rows = np.logical_or.reduce(used, axis=1)
    values = counts[used]
    width = 2 if _LARGE_PART * int((values >= np.iinfo(np.uint8).max).sum()) > len(values) else 1
    kind = _WIDTHS[width]
    largest = np.iinfo(kind).max
    numbered = moments[:, 2] <= moments[:, 3]
    return b"".join(
        (
            _HEAD.pack(len(counts), len(values), int(numbered.sum()), width),
            _bits(rows),
            _bits(used[rows]),
            np.minimum(values, largest).astype(kind).tobytes(),
            values[values >= largest].tobytes(),
            _bits(numbered),
            moments[numbered].tobytes(),
        )
    )


def pack_all(
    counts: Counts, moments: NDArray[np.float64], starts: NDArray[np.int64], sizes: NDArray[np.int64]
) -> Iterator[bytes]:
    """:func:`pack` of each of the rows ``[starts[i], starts[i] + sizes[i])``, many times faster where compiled."""
    if compiled() is not None:
        return packed(counts, moments, starts, sizes)
    parts = (slice(start, start + size) for start, size in zip(starts.tolist(), sizes.tolist(), strict=True))
    return (pack(counts[part], moments[part]) for part in parts)


def unpack(blob: bytes) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
    """What :func:`pack` was given.

    Raises
    ------
    StoreError
        The bytes are not whole.
    """
    if len(blob) < _HEAD.size:
        raise StoreError("the sums of a tick cannot be read: they have no head")
    n_rows = _HEAD.unpack_from(blob)[0]
    if n_rows > _ROWS_MAX:
        raise StoreError(f"the sums of a tick speak of {n_rows} rows")
    if compiled() is None:
        return unpack_slowly(blob)
    counts, moments = np.zeros((n_rows, COLUMNS), np.uint32), np.empty((n_rows, MOMENTS))
    moments[:] = _EMPTY
    if not unpacked(blob, counts, moments):
        raise StoreError("the sums of a tick cannot be read: their bytes are not whole")
    return counts, moments


def unpack_slowly(blob: bytes) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
    """The twin of the kernel that :func:`unpack` uses."""
    try:
        n_rows, n_places, n_numbered, width = _HEAD.unpack_from(blob)
        take = _Reader(blob, _HEAD.size)
        rows = take.bits(n_rows)
        used = np.zeros((n_rows, COLUMNS), bool)
        used[rows] = take.bits(int(rows.sum()) * COLUMNS).reshape(-1, COLUMNS)
        told = take.array(_WIDTHS[width], n_places)
        values, wide = told.astype(np.uint32), np.flatnonzero(told == _LARGEST[width])
        values[wide] = take.array(np.uint32, len(wide))
        numbered = take.bits(n_rows)
        some = take.array(np.float64, n_numbered * MOMENTS)
        if take.at != len(blob) or int(used.sum()) != n_places or int(numbered.sum()) != n_numbered:
            raise StoreError("the sums of a tick have bytes to spare, or too few")
        counts = np.zeros((n_rows, COLUMNS), np.uint32)
        counts[used] = values
        moments = np.empty((n_rows, MOMENTS))
        moments[:] = _EMPTY
        moments[numbered] = some.reshape(-1, MOMENTS)
    except (struct.error, ValueError, LookupError) as error:
        raise StoreError(f"the sums of a tick cannot be read: {error}") from error
    return counts, moments


class _Reader:
    """Takes arrays from bytes, one behind the other; a ``ValueError`` says that there are not enough."""

    def __init__(self, blob: bytes, at: int) -> None:
        self._blob = blob
        self.at = at

    def array(self, kind: type[_Number], n: int) -> NDArray[_Number]:
        """The next ``n`` numbers."""
        taken = np.frombuffer(self._blob, kind, n, self.at)
        self.at += taken.nbytes
        return taken

    def bits(self, n: int) -> NDArray[np.bool_]:
        """The next ``n`` bits, which end with a byte."""
        return np.unpackbits(self.array(np.uint8, -(-n // 8)), count=n, bitorder="little").view(bool)


def _bits(marks: NDArray[np.bool_]) -> bytes:
    return np.packbits(marks, axis=None, bitorder="little").tobytes()
