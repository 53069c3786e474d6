"""How Python calls the compiled packing of ticks; ``store/sums.py`` has the layout and its twin."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

from monitor.kernels.library import address, library, needed
from monitor.kernels.tally import COLUMNS, MOMENTS, Counts

_HEAD_BYTES = 13
_ROW_BYTES = 1 + COLUMNS // 8 + COLUMNS * 6 + 1 + MOMENTS * 8
"""What a row may need: its marks and columns, every count in its widest form, moments."""
_ROOM_BYTES = 4 << 20
"""Ticks are packed in groups that need at most this, or one by one."""


@cache
def compiled() -> ctypes.CDLL | None:
    """The compiled kernel of ``pack.c``; ``None`` where the twin must do."""
    loaded = library()
    if loaded is not None:
        at, long = ctypes.c_void_p, ctypes.c_int64
        loaded.mw_pack.argtypes = (long, at, long, *[at] * 6)
        loaded.mw_pack.restype = None
        loaded.mw_unpack.argtypes = (ctypes.c_char_p, ctypes.c_int64, *[ctypes.c_void_p] * 2)
        loaded.mw_unpack.restype = ctypes.c_int
    return loaded


def unpacked(blob: bytes, counts: NDArray[np.uint32], moments: NDArray[np.float64]) -> bool:
    """Read one tick into ``counts`` (rows, 40), which are 0, and ``moments`` (rows, 4), which are those of no number.

    There are as many rows as the head of ``blob`` says. Whether its bytes are whole; else something of them was read.

    Raises
    ------
    RuntimeError
        The kernels are not built.
    """
    kernels = needed(compiled())
    return bool(kernels.mw_unpack(blob, len(blob), address(counts), address(moments)))


def packed(
    counts: Counts, moments: NDArray[np.float64], starts: NDArray[np.int64], sizes: NDArray[np.int64]
) -> Iterator[bytes]:
    """Bytes of the rows ``[starts[i], starts[i] + sizes[i])`` of ``counts`` (rows, 40) and ``moments`` (rows, 4).

    Raises
    ------
    RuntimeError
        The kernels are not built.
    """
    kernels = needed(compiled())
    starts, sizes = np.ascontiguousarray(starts, np.int64), np.ascontiguousarray(sizes, np.int64)
    room = np.cumsum(_HEAD_BYTES + sizes * _ROW_BYTES)
    narrow = counts.itemsize == np.dtype(np.uint16).itemsize
    wide = np.empty(int(sizes.max(initial=0)) * COLUMNS * narrow, np.uint32)
    first = 0
    while first < len(sizes):
        base = int(room[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(room, base + _ROOM_BYTES, side="right")))
        out, stops = np.empty(int(room[last - 1]) - base, np.uint8), np.empty(last - first, np.int64)
        group = (starts[first:last], sizes[first:last])
        arrays = (address(each) for each in (wide, moments, *group, out, stops))
        kernels.mw_pack(last - first, address(counts), narrow, *arrays)
        whole, start = out[: int(stops[-1])].tobytes(), 0
        for stop in stops.tolist():
            yield whole[start:stop]
            start = stop
        first = last
