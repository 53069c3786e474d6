"""How Python calls the compiled packing of cases; ``outcomes/packing.py`` has the layout and its twin."""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np
from numpy.typing import NDArray

from monitor.kernels.library import address, library, needed

_AT_ONCE = 8192
"""Cases that are packed in one go, into less than 3 MB."""
_MOST_BYTES = 352
"""What a case may need."""


@cache
def compiled() -> ctypes.CDLL | None:
    """The compiled kernel of ``pack_cases.c``; ``None`` where the twin must do."""
    loaded = library()
    if loaded is not None:
        loaded.mw_case_size.argtypes, loaded.mw_case_size.restype = (ctypes.c_int,), ctypes.c_int64
        long, at = ctypes.c_int64, ctypes.c_void_p
        loaded.mw_pack_cases.argtypes = (long, at, at, long, at, at)
        loaded.mw_pack_cases.restype = None
    return loaded


def packed(cases: NDArray[np.void], rows: NDArray[np.int64]) -> list[bytes]:
    """Bytes of each of the cases at ``rows`` (n,) of ``cases``, whose records are those of ``case.h``.

    Raises
    ------
    RuntimeError
        The kernels are not built.
    """
    kernels = needed(compiled())
    assert cases.itemsize in (kernels.mw_case_size(0), kernels.mw_case_size(1))
    made: list[bytes] = []
    out, stops = np.empty(_AT_ONCE * _MOST_BYTES, np.uint8), np.empty(_AT_ONCE, np.int64)
    for first in range(0, len(rows), _AT_ONCE):
        some = np.ascontiguousarray(rows[first : first + _AT_ONCE])
        n = len(some)
        kernels.mw_pack_cases(n, address(some), address(cases), cases.itemsize, address(out), address(stops))
        ends = stops[:n].tolist()
        whole = out[: ends[-1]].tobytes()
        made += [whole[start:stop] for start, stop in zip([0, *ends], ends, strict=False)]
    return made
