"""How Python calls the compiled packing of cases; ``outcomes/packing.py`` has the layout and its twin."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.kernels.library import address, library, needed

_MOST_BYTES = 352
"""What a case may need."""
UNPACKED, NO_ROOM = -1, -2
"""All were read; one has lists, and the records no room for such."""

Indices = NDArray[np.int64]


@cache
def compiled() -> ctypes.CDLL | None:
    """The compiled kernel of ``pack_cases.c``; ``None`` where the twin must do."""
    loaded = library()
    if loaded is not None:
        long, at = ctypes.c_int64, ctypes.c_void_p
        loaded.mw_case_size.argtypes, loaded.mw_case_size.restype = (ctypes.c_int,), long
        loaded.mw_pack_cases.argtypes, loaded.mw_pack_cases.restype = (long, at, at, long, at, at), long
        loaded.mw_unpack_cases.argtypes = (long, *[at] * 6, long, *[at] * 3)
        loaded.mw_unpack_cases.restype = long
    return loaded


def packed(cases: NDArray[np.void], rows: Indices) -> tuple[memoryview, Indices]:
    """The bytes of the cases at ``rows`` (n,) of ``cases``, whose records are those of ``case.h``; of each how many.

    Raises
    ------
    RuntimeError
        The kernels are not built.
    """
    kernels = needed(compiled())
    assert cases.itemsize in (kernels.mw_case_size(0), kernels.mw_case_size(1))
    rows = np.ascontiguousarray(rows)
    out, lengths = np.empty(len(rows) * _MOST_BYTES, np.uint8), np.empty(len(rows), np.int64)
    at = (address(rows), address(cases), cases.itemsize, address(out), address(lengths))
    n = kernels.mw_pack_cases(len(rows), *at)
    return out[:n].data, lengths


def unpacked(
    values: bytes | bytearray,
    where: Sequence[NDArray[np.integer[Any]]],
    cases: NDArray[np.void],
    rows: Indices,
    said: tuple[NDArray[np.uint64], NDArray[np.float64]],
) -> int:
    """Read cases into ``rows`` (n,) of ``cases``; :data:`UNPACKED`, :data:`NO_ROOM`, or which one is damaged.

    ``where`` are of each, (n,), where its value begins in ``values`` and where it ends, how many cases that has, and
    which of them it is; ``said`` its key, and when it is due, which no value says.

    Raises
    ------
    RuntimeError
        The kernels are not built.
    """
    kernels = needed(compiled())
    assert cases.itemsize in (kernels.mw_case_size(0), kernels.mw_case_size(1))
    columns = [np.ascontiguousarray(each, np.int64) for each in (*where, rows)]
    beside = [np.ascontiguousarray(each) for each in said]
    at, told = [address(each) for each in columns], [address(each) for each in beside]
    held = np.frombuffer(values, np.uint8)
    into = (address(cases), cases.itemsize, at[-1], *told)
    return int(kernels.mw_unpack_cases(len(rows), address(held), *at[:-1], *into))
