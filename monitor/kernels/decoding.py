"""How Python calls the compiled decoder: the struct of ``decode_call.h`` and what its numbers mean."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from monitor.kernels.library import library

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

DONE: Final = 0
"""No record is left."""
ODD: Final = 1
"""The record ``next`` is not ordinary; the caller reads it and moves ``next`` and ``offset`` past it."""
FULL: Final = 2
"""The record ``next`` needs more entries or more scratch."""

POWER_MIN: Final = -342
POWER_MAX: Final = 308
"""The powers of ten within which a number can be a double that is neither zero nor infinite."""

_POWER = np.dtype([("high", np.uint64), ("low", np.uint64), ("shift", np.int64)])
_SLOT_WORDS = 8
"""Words that the kernel keeps of a name."""

_P = ctypes.c_void_p
_N = ctypes.c_int64


class StringColumn(ctypes.Structure):
    """Addresses of a column of strings."""

    _fields_ = (("hash", _P), ("start", _P), ("length", _P))


class DecodeCall(ctypes.Structure):
    """``decode_call`` of ``decode_call.h``: addresses, limits and how far it got."""

    _fields_ = (
        ("bytes", _P),
        ("size", _N),
        ("lengths", _P),
        ("records", _N),
        ("timestamps", _P),
        ("future_limit", ctypes.c_double),
        ("seed", ctypes.c_uint64),
        ("powers", _P),
        ("power_min", _N),
        ("power_max", _N),
        ("values_per_event", _N),
        ("depth", _N),
        ("name_bytes", _N),
        ("slots", _P),
        ("slot_mask", _N),
        ("scratch", _P),
        ("scratch_capacity", _N),
        ("entry_capacity", _N),
        ("record", _P),
        ("model", StringColumn),
        ("version", StringColumn),
        ("id", StringColumn),
        ("entity", StringColumn),
        ("time", _P),
        ("parts", _P),
        ("value", _P),
        ("lifecycle", _P),
        ("event", _P),
        ("space", _P),
        ("type", _P),
        ("name", StringColumn),
        ("text", StringColumn),
        ("number", _P),
        ("next", _N),
        ("offset", _N),
        ("events", _N),
        ("entries", _N),
        ("scratch_used", _N),
        ("unknown_fields", _N),
        ("generation", _N),
    )


@cache
def decode_kernel() -> Callable[[DecodeCall], int] | None:
    """What decodes until :data:`DONE`, :data:`ODD` or :data:`FULL`, or ``None`` where there is no compiled kernel.

    It works on addresses: whoever calls it keeps alive what ``call`` points to. Raises ``ValueError`` if ``call``
    contradicts itself.
    """
    loaded = library()
    if loaded is None:
        return None
    size, decode = loaded.modelwatch_decode_call_size, loaded.modelwatch_decode
    size.argtypes, size.restype = (), _N
    decode.argtypes, decode.restype = (ctypes.POINTER(DecodeCall),), _N
    if size() != ctypes.sizeof(DecodeCall):
        return None

    def run(call: DecodeCall) -> int:
        status = int(decode(ctypes.byref(call)))
        if status not in {DONE, ODD, FULL}:
            raise ValueError("the records' lengths are not those of the bytes")
        return status

    return run


def name_slots(names: int) -> NDArray[np.uint64]:
    """An empty table for the names of one object, at most half full with ``names`` of them."""
    return np.zeros((1 << (2 * names - 1).bit_length(), _SLOT_WORDS), np.uint64)


@cache
def powers_of_five() -> NDArray[np.void]:
    """``5**q`` for each ``q`` from :data:`POWER_MIN` to :data:`POWER_MAX`: 128 bits, cut off, and their shift."""
    table = np.empty(POWER_MAX - POWER_MIN + 1, _POWER)
    for i, q in enumerate(range(POWER_MIN, POWER_MAX + 1)):
        if q >= 0:
            shift = 128 - (5**q).bit_length()
            bits = 5**q << shift if shift >= 0 else 5**q >> -shift
        else:
            shift = 127 + (5**-q).bit_length()
            bits = (1 << shift) // 5**-q
        table[i] = (bits >> 64, bits & ((1 << 64) - 1), shift)
    return table
