"""Is free memory held for what comes next, and given back when it is asked for?"""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

_PROGRAM = """
import ctypes
from pathlib import Path
from monitor.heap import give_back, hold

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, (ctypes.c_size_t,), (ctypes.c_void_p,)

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20

def used_and_freed():
    pieces = [libc.malloc(8 << 20) for _ in range(4)]
    for piece in pieces:
        ctypes.memset(piece, 1, 8 << 20)
    for piece in reversed(pieces):
        libc.free(piece)

hold()
before = resident()
used_and_freed()
held = resident() - before
give_back()
print(held, resident() - before)
"""


def test_what_is_free_is_held_until_it_is_given_back() -> None:
    """32 MB in pieces that are freed stay with the process, for the next that need some, until they are given back."""
    if not hasattr(ctypes.CDLL(None), "mallopt") or not hasattr(ctypes.CDLL(None), "malloc_trim"):
        pytest.skip("the C library has no such settings")
    done = subprocess.run([sys.executable, "-c", _PROGRAM], check=True, capture_output=True, text=True)
    held, left = map(int, done.stdout.split())
    assert held >= 30
    assert left <= 8
