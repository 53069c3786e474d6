"""The sums of a model's tick as bytes: only what is not zero."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from monitor.errors import StoreError
from monitor.kernels.pack import compiled, packed
from monitor.kernels.tally import COLUMNS, MOMENTS

_HEAD = struct.Struct("<IIIB")
_WIDTHS: tuple[type[np.unsignedinteger], ...] = (np.uint8, np.uint16, np.uint32)
_EMPTY = np.array([0.0, 0.0, np.inf, -np.inf])
_ROWS_MAX = 1 << 16
"""Rows are numbered in 16 bits."""


def pack(counts: NDArray[np.uint32], moments: NDArray[np.float64]) -> bytes:
    """Bytes of ``counts`` (rows, 40) and ``moments`` (rows, 4).

    The layout is in docs/formats/store.md: rows, places and values of what is not zero, and the moments of the rows
    that have any.
    """
    flat = counts.ravel()
    places = np.flatnonzero(flat)
    values = flat[places]
    width = int(np.searchsorted([255, 65535], values.max(initial=0), side="left"))
    numbered = np.flatnonzero(moments[:, 2] <= moments[:, 3])
    gaps = np.diff(places, prepend=0)
    wide = int(gaps.max(initial=0) > 65535)
    head = _HEAD.pack(len(counts), len(places), len(numbered), width | wide << 4)
    return b"".join(
        (
            head,
            gaps.astype(np.uint32 if wide else np.uint16).tobytes(),
            values.astype(_WIDTHS[width]).tobytes(),
            numbered.astype(np.uint16).tobytes(),
            moments[numbered].tobytes(),
        )
    )


def pack_all(
    counts: NDArray[np.uint32], moments: NDArray[np.float64], starts: NDArray[np.int64], sizes: NDArray[np.int64]
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
    try:
        rows, n_places, n_numbered, widths = _HEAD.unpack_from(blob)
        if rows > _ROWS_MAX:
            raise StoreError(f"the sums of a tick speak of {rows} rows")
        at = _HEAD.size
        gap_type = np.dtype(np.uint32 if widths >> 4 else np.uint16)
        places = np.cumsum(np.frombuffer(blob, gap_type, n_places, at).astype(np.int64))
        at += gap_type.itemsize * n_places
        value_type = np.dtype(_WIDTHS[widths & 15])
        values = np.frombuffer(blob, value_type, n_places, at)
        at += value_type.itemsize * n_places
        numbered = np.frombuffer(blob, np.uint16, n_numbered, at)
        at += 2 * n_numbered
        some = np.frombuffer(blob, np.float64, n_numbered * MOMENTS, at)
        if at + some.nbytes != len(blob):
            raise StoreError("the sums of a tick have bytes to spare")
        counts = np.zeros((rows, COLUMNS), np.uint32)
        counts.ravel()[places] = values
        moments = np.tile(_EMPTY, (rows, 1))
        moments[numbered] = some.reshape(-1, MOMENTS)
    except (struct.error, ValueError, IndexError) as error:
        raise StoreError(f"the sums of a tick cannot be read: {error}") from error
    return counts, moments


def merge(
    a: tuple[NDArray[np.uint32], NDArray[np.float64]], b: tuple[NDArray[np.uint32], NDArray[np.float64]]
) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
    """The sums of the union: counts and sums add, extremes compare. A row that one side lacks is empty there."""
    if len(a[0]) < len(b[0]):
        a, b = b, a
    counts, moments = a[0].copy(), a[1].copy()
    n = len(b[0])
    counts[:n] += b[0]
    moments[:n, :2] += b[1][:, :2]
    moments[:n, 2] = np.minimum(moments[:n, 2], b[1][:, 2])
    moments[:n, 3] = np.maximum(moments[:n, 3], b[1][:, 3])
    return counts, moments
