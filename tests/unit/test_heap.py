"""Is free memory held for what comes next, and given back when it is asked for?"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from monitor.heap import untouched

_PROGRAM = """
import ctypes
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from monitor.heap import give_back, hold, share

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

share()
hold()
with ThreadPoolExecutor(1) as pool:
    before = resident()
    used_and_freed() if sys.argv[1] == "here" else pool.submit(used_and_freed).result()
    held = resident() - before
    give_back()
    print(held, resident() - before)
"""


def held_and_left(environment: dict[str, str], where: str = "here") -> tuple[int, int]:
    """MB that were kept of 32 that were freed, and what was left of them when it was asked for."""
    if not hasattr(ctypes.CDLL(None), "mallopt") or not hasattr(ctypes.CDLL(None), "malloc_trim"):
        pytest.skip("the C library has no such settings")
    command = [sys.executable, "-c", _PROGRAM, where]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=kept | environment)
    held, left = map(int, done.stdout.split())
    return held, left


def test_what_is_free_is_held_until_it_is_given_back() -> None:
    """32 MB in pieces that are freed stay with the process, for the next that need some, until they are given back."""
    held, left = held_and_left({})
    assert held >= 30
    assert left <= 8


def test_what_other_threads_freed_is_given_back() -> None:
    """32 MB that a thread used and freed are held and given back too, while it lives: it has no heap of its own."""
    held, left = held_and_left({}, "there")
    assert held >= 30
    assert left <= 8


def test_threads_have_heaps_where_the_environment_says_so() -> None:
    """Who says that each thread may have its own has what the C library does with them: their ends are kept."""
    assert held_and_left({"MALLOC_ARENA_MAX": "4"}, "there")[1] >= 24


@pytest.mark.parametrize(
    "environment",
    [
        {"MALLOC_TRIM_THRESHOLD_": "131072"},
        {"MALLOC_MMAP_THRESHOLD_": "131072"},
        {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=131072"},
    ],
    ids=str,
)
def test_what_the_environment_says_of_memory_holds(environment: dict[str, str]) -> None:
    """Who has little memory says to the C library what it may keep, and nothing here says otherwise."""
    assert held_and_left(environment)[0] <= 8


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="nothing says what is resident")
@pytest.mark.parametrize("large", [False, True])
def test_what_is_untouched_takes_no_memory(large: bool) -> None:
    """Of 64 MB in which one byte is written a page is resident, 2 MB if it is a large one; and the rest is zeros."""

    def resident_mb() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

    before = resident_mb()
    pages = untouched(64 << 20, large=large)
    pages[40 << 20] = 7
    assert resident_mb() - before < (4.0 if large else 1.0)
    assert (pages[40 << 20], pages[(40 << 20) + 1], pages[-1]) == (7, 0, 0)
