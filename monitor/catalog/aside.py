"""Where does lie what is only looked at when a tick closes? In files of the store's folder that have no name.

The system shows a file as memory, and may write it back and take that memory whenever it is short of it. What a process
lets go of is found in the file again, as a rule still in the system's cache. A file without a name goes with the
process that made it, however that ends.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import shutil
import weakref
from functools import cache
from pathlib import Path

ROOM_BYTES = 256 << 20
"""Room on the disk below which it is called short: it is for the store, without which nothing is read."""
MAPPED = 1 << 16
"""Bytes from which an array is worth a mapping of its own."""
_KEEPING = frozenset({"ext4", "xfs"})
"""File systems on which room that was reserved once is there for every later write: others copy what is written anew,
and where the disk is full then, the process is killed for it."""
_POPULATE_WRITE = 23
"""``MADV_POPULATE_WRITE`` of Linux, which Python has no name for."""
_FAILED = ctypes.c_void_p(-1).value
"""What ``mmap`` of the C library returns where it failed."""
_DEVICE, _OPTIONS_END = 2, "-"
"""Where a line of mountinfo says of which device it is; behind what it says of which kind."""


class Pages:
    """Memory that is a file's, for as long as somebody holds its ``room`` (n_bytes,), or an array within.

    Of the file no descriptor is held, as :class:`mmap.mmap` does: a fleet has dozens of tables, a replica those of up
    to 256 shards, and a process often no more than 1,024 descriptors for all that it has open.
    """

    def __init__(self, file: int, n_bytes: int) -> None:
        """Raises ``OSError`` where the system has no room for it among the addresses, or maps no files."""
        kernel = _c_library()
        at = kernel.mmap(None, n_bytes, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, file, 0)
        if at == _FAILED:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._at = int(at)
        there = (ctypes.c_char * n_bytes).from_address(self._at)
        weakref.finalize(there, kernel.munmap, self._at, n_bytes).atexit = False  # it goes with the process anyway
        self.room = memoryview(there)

    def let_go(self) -> None:
        """Hold none of it in this process until it is looked at again."""
        self._advise(mmap.MADV_DONTNEED, 0, len(self.room))

    def bring(self, start: int, stop: int) -> None:
        """Have what lies from ``start`` to ``stop`` at hand to be written: at once, not with an interrupt a page."""
        first = start // mmap.PAGESIZE * mmap.PAGESIZE
        self._advise(_POPULATE_WRITE, first, stop - first)

    def _advise(self, what: int, start: int, n_bytes: int) -> None:
        """What the system does not do, as one before 5.14 populates nothing, costs time or memory and nothing else."""
        _c_library().madvise(self._at + start, n_bytes, what)


class Aside:
    """Gives memory that lies in ``folder``; where no room can be reserved there, none."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._keeps = _keeps_room(folder)
        self.refused = ""
        """Why memory was last not given; empty if it always was."""
        self.n_refused = 0
        """How often it was not."""

    def take(self, n_bytes: int) -> Pages | None:
        """So much memory, all zeros, that lies aside until nobody holds it; ``None`` where there is no room for it."""
        try:
            if not self._keeps:
                self.refused = "its file system is not known to keep room that was reserved"
            elif shutil.disk_usage(self._folder).free - n_bytes < ROOM_BYTES:
                self.refused = f"less than {ROOM_BYTES >> 20} MB of the disk would be left to the store"
            else:
                return _mapped(self._folder, n_bytes)
        except OSError as error:
            self.refused = str(error)
        self.n_refused += 1
        return None


def _mapped(folder: Path, n_bytes: int) -> Pages:
    file = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600)
    try:
        os.posix_fallocate(file, 0, n_bytes)  # on a full disk this fails, and not a later write to memory
        return Pages(file, n_bytes)
    finally:
        os.close(file)


def _keeps_room(folder: Path) -> bool:
    """Whether what is reserved in ``folder`` stays so, as far as this system says it."""
    if not (hasattr(os, "posix_fallocate") and hasattr(os, "O_TMPFILE") and hasattr(mmap, "MADV_DONTNEED")):
        return False
    try:
        device = folder.stat().st_dev
        mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    except OSError:
        return False
    own = [mount for mount in mounts if mount[_DEVICE] == f"{os.major(device)}:{os.minor(device)}"]
    return any(mount[mount.index(_OPTIONS_END) + 1] in _KEEPING for mount in own)


@cache
def _c_library() -> ctypes.CDLL:
    """The C library's calls for memory."""
    found = ctypes.CDLL(None, use_errno=True)
    size, at, number = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int
    found.mmap.argtypes, found.mmap.restype = (at, size, number, number, number, ctypes.c_long), at
    found.munmap.argtypes, found.munmap.restype = (at, size), number
    found.madvise.argtypes, found.madvise.restype = (at, size, number), number
    return found
