"""When is memory that nothing uses any more given back to the operating system, and how much is held until then?"""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Callable
from typing import Final

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
"""Numbers that the C library has for what ``mallopt`` sets (its ``malloc.h``)."""
_HELD_BYTES: Final = 64 << 20
_PIECE_BYTES: Final = 32 << 20
"""The most that the C library takes."""
_SAID_BY: Final = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")


def hold() -> None:
    """Keep up to 64 MB that are free until :func:`give_back`: what Kafka sends fills some MB anew all the time.

    Left to itself the C library gives them back at once, and pages that are touched next are fetched and zeroed. What
    the environment says of that goes before: a client's threads have heaps of their own, each of which may keep as much
    at its end, and nothing gives that back.
    """
    setting = _of_c_library("mallopt")
    if setting is not None and not _is_said():
        setting(_MMAP_THRESHOLD, _PIECE_BYTES)
        setting(_TRIM_THRESHOLD, _HELD_BYTES)


def give_back() -> None:
    """Collect garbage, and return what is free in the heap: a tick of a large fleet takes and frees hundreds of MB.

    Where the C library knows no way to, as musl, only garbage is collected.
    """
    gc.collect()
    trim = _of_c_library("malloc_trim")
    if trim is not None:
        trim(0)


def _is_said() -> bool:
    """Whether the environment says what the C library is to keep."""
    return any(name in os.environ for name in _SAID_BY) or "glibc.malloc." in os.environ.get("GLIBC_TUNABLES", "")


def _of_c_library(name: str) -> Callable[..., int] | None:
    """A function that not every C library has, of integers."""
    return getattr(ctypes.CDLL(None), name, None)
