"""How Python calls the compiled packing of ticks; ``store/sums.py`` has the layout and its twin."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.kernels.library import library
from monitor.kernels.tally import COLUMNS, MOMENTS

_HEAD_BYTES = 13
_ROW_BYTES = COLUMNS * 8 + 2 + MOMENTS * 8
"""What a row may need: each place and each value in its widest form, a number, moments."""
_ROOM_BYTES = 4 << 20
"""Ticks are packed in groups that need at most this, or one by one."""

Sums = tuple[NDArray[np.uint32], NDArray[np.float64]]


@cache
def compiled() -> ctypes.CDLL | None:
    """The compiled kernel of ``pack.c``; ``None`` where the twin must do."""
    loaded = library()
    if loaded is not None:
        loaded.mw_pack.argtypes = (ctypes.c_int64, *[ctypes.c_void_p] * 5)
        loaded.mw_pack.restype = None
    return loaded


def packed(sums: Sequence[Sums]) -> Iterator[bytes]:
    """Bytes of each of ``sums``, counts (rows, 40) and moments (rows, 4), C-contiguous, in their order.

    Raises
    ------
    RuntimeError
        The kernels are not built.
    """
    kernels = compiled()
    if kernels is None:
        raise RuntimeError("the kernels are not built: python -m monitor.kernels.build")
    rows = np.fromiter((len(counts) for counts, _ in sums), np.int64, len(sums))
    room = np.cumsum(_HEAD_BYTES + rows * _ROW_BYTES)
    first = 0
    while first < len(sums):
        base = int(room[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(room, base + _ROOM_BYTES, side="right")))
        group = sums[first:last]
        counts_at = np.fromiter((_at(counts) for counts, _ in group), np.int64, len(group))
        moments_at = np.fromiter((_at(moments) for _, moments in group), np.int64, len(group))
        out, stops = np.empty(int(room[last - 1]) - base, np.uint8), np.empty(len(group), np.int64)
        kernels.mw_pack(len(group), *(_at(a) for a in (counts_at, moments_at, rows[first:last], out, stops)))
        whole, start = out[: int(stops[-1])].tobytes(), 0
        for stop in stops.tolist():
            yield whole[start:stop]
            start = stop
        first = last


def _at(array: NDArray[Any]) -> int:
    assert array.flags.c_contiguous
    return int(array.__array_interface__["data"][0])
