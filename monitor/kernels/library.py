"""Where the compiled kernels are, and whether they fit this version of the program."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path

ABI = 3
"""Raised with every change of a C function's arguments or of a struct that it is given."""

LIBRARY = Path(__file__).with_name("_kernels.so")


@cache
def library() -> ctypes.CDLL | None:
    """The shared library with every kernel, or ``None``: not built, not loadable here, or built from another version.

    Calls through it release the interpreter's lock. Callers set ``argtypes`` and ``restype`` of what they call.
    """
    return load(LIBRARY)


def load(path: Path) -> ctypes.CDLL | None:
    """The library at ``path``, or ``None`` where there is none that speaks this :data:`ABI`."""
    if not path.is_file():
        return None
    try:
        loaded = ctypes.CDLL(str(path))
        abi = loaded.modelwatch_abi
    except (OSError, AttributeError):
        return None
    abi.argtypes = ()
    abi.restype = ctypes.c_int64
    return loaded if abi() == ABI else None
