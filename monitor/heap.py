"""What becomes of memory that nothing uses any more: who has it next, how much is held, and when is it given back?"""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Final

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
"""Numbers that the C library has for what ``mallopt`` sets (its ``malloc.h``)."""
_HELD_BYTES: Final = 64 << 20
_PIECE_BYTES: Final = 32 << 20
"""The most that the C library takes."""
_SAID_BY: Final = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")
_SHARED_BY: Final = ("MALLOC_ARENA_MAX", "MALLOC_ARENA_TEST")


def share() -> None:
    """Let all threads have one heap: called before there are any, and unless the environment says otherwise.

    Left to itself the C library gives each a heap of its own, and what is free at the end of such a one is never given
    back: what a store's thread took to merge files, what a client's took of a broker.
    """
    setting = _of_c_library("mallopt")
    if setting is not None and not _is_said(_SHARED_BY):
        setting(_ARENA_MAX, 1)


def hold() -> None:
    """Keep up to 64 MB that are free until :func:`give_back`: what Kafka sends fills some MB anew all the time.

    Left to itself the C library gives them back at once, and pages that are touched next are fetched and zeroed. What
    the environment says of that goes before.
    """
    setting = _of_c_library("mallopt")
    if setting is not None and not _is_said(_SAID_BY):
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


def untouched(n_bytes: int, *, large: bool) -> mmap.mmap:
    """So many bytes, all zeros, of which a page takes memory from when it is written: a heap gives what others wrote.

    ``large`` pages are of 2 MB where the system has such: what is looked at all over is found sooner, and what is
    written here and there takes more.
    """
    pages = mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    wanted = "MADV_HUGEPAGE" if large else "MADV_NOHUGEPAGE"
    if hasattr(mmap, wanted):
        with suppress(OSError):  # a system without large pages
            pages.madvise(getattr(mmap, wanted))
    return pages


def _is_said(names: tuple[str, ...]) -> bool:
    """Whether the environment says what the C library is to do, under one of ``names`` or its own."""
    return any(name in os.environ for name in names) or "glibc.malloc." in os.environ.get("GLIBC_TUNABLES", "")


def _of_c_library(name: str) -> Callable[..., int] | None:
    """A function that not every C library has, of integers."""
    return getattr(ctypes.CDLL(None), name, None)
