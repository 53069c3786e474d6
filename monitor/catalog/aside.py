"""Where does lie what is only looked at when a tick closes? In files of the store's folder that have no name.

The system shows a file as memory, and may write it back and take that memory whenever it is short of it. What a process
lets go of is found in the file again, as a rule still in the system's cache. A file without a name goes with the
process that made it, however that ends.
"""

from __future__ import annotations

import mmap
import os
from contextlib import suppress
from pathlib import Path

_KEEPING = frozenset({"ext4", "xfs"})
"""File systems on which room that was reserved once is there for every later write: others copy what is written anew,
and where the disk is full then, the process is killed for it."""
_POPULATE_WRITE = 23
"""``MADV_POPULATE_WRITE`` of Linux, which Python has no name for."""
_DEVICE, _OPTIONS_END = 2, "-"
"""Where a line of mountinfo says of which device it is; behind what it says of which kind."""


class Aside:
    """Gives memory that lies in ``folder``; where no room can be reserved there, none."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._keeps = _keeps_room(folder)
        self.refused = ""
        """Why memory was last not given; empty if it always was."""
        self.n_refused = 0
        """How often it was not."""

    def take(self, n_bytes: int) -> mmap.mmap | None:
        """So much memory, all zeros, that lies aside until nobody holds it; ``None`` where there is no room for it."""
        if self._keeps:
            try:
                return _mapped(self._folder, n_bytes)
            except OSError as error:
                self.refused = str(error)
        else:
            self.refused = "its file system is not known to keep room that was reserved"
        self.n_refused += 1
        return None


def let_go(pages: mmap.mmap) -> None:
    """Hold none of ``pages``, which lie aside, in this process until they are looked at again."""
    pages.madvise(mmap.MADV_DONTNEED)


def bring(pages: mmap.mmap, start: int, stop: int) -> None:
    """Have what lies from ``start`` to ``stop`` at hand to be written: at once, and not with an interrupt a page."""
    first = start // mmap.PAGESIZE * mmap.PAGESIZE
    with suppress(OSError):  # a kernel before 5.14 does not know it, and what it cannot do now comes when it is written
        pages.madvise(_POPULATE_WRITE, first, stop - first)


def _mapped(folder: Path, n_bytes: int) -> mmap.mmap:
    file = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600)
    try:
        os.posix_fallocate(file, 0, n_bytes)  # on a full disk this fails, and not a later write to memory
        return mmap.mmap(file, n_bytes)
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
