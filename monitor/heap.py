"""How is memory that nothing uses any more given back to the operating system? The C library keeps what is freed."""

from __future__ import annotations

import ctypes
import gc


def give_back() -> None:
    """Collect garbage, and return what is free in the heap: a tick of a large fleet takes and frees hundreds of MB.

    Where the C library knows no way to, as musl, only garbage is collected.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
