"""How Python calls the compiled packing of cases; ``outcomes/packing.py`` has the layout and its twin."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from monitor.kernels.library import address, library, needed

_AT_ONCE = 8192
"""Cases that are packed in one go, into less than 3 MB."""
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
        loaded.mw_unpack_cases.argtypes = (long, at, at, at, at, at, at, long, at)
        loaded.mw_unpack_cases.restype = long
    return loaded


def packed(cases: NDArray[np.void], rows: Indices) -> tuple[bytes, Indices]:
    """The bytes of the cases at ``rows`` (n,) of ``cases``, whose records are those of ``case.h``; of each how many.

    Raises
    ------
    RuntimeError
        The kernels are not built.
    """
    kernels = needed(compiled())
    assert cases.itemsize in (kernels.mw_case_size(0), kernels.mw_case_size(1))
    out, lengths, made = np.empty(min(_AT_ONCE, len(rows)) * _MOST_BYTES, np.uint8), np.empty(len(rows), np.int64), []
    for first in range(0, len(rows), _AT_ONCE):
        some = np.ascontiguousarray(rows[first : first + _AT_ONCE])
        own = address(lengths[first:])
        n = kernels.mw_pack_cases(len(some), address(some), address(cases), cases.itemsize, address(out), own)
        made.append(out[:n].tobytes())
    return b"".join(made), lengths


def unpacked(values: bytes, where: Sequence[Indices], cases: NDArray[np.void], rows: Indices) -> int:
    """Read cases into ``rows`` (n,) of ``cases``; :data:`UNPACKED`, :data:`NO_ROOM`, or which one is damaged.

    ``where`` are of each, (n,), where its value begins in ``values`` and where it ends, how many cases that has, and
    which of them it is.

    Raises
    ------
    RuntimeError
        The kernels are not built.
    """
    kernels = needed(compiled())
    assert cases.itemsize in (kernels.mw_case_size(0), kernels.mw_case_size(1))
    columns = [np.ascontiguousarray(each, np.int64) for each in (*where, rows)]
    at = [address(each) for each in columns]
    held = np.frombuffer(values, np.uint8)
    return int(kernels.mw_unpack_cases(len(rows), address(held), *at[:-1], address(cases), cases.itemsize, at[-1]))
