"""A large write as files, sorted and laid beside the others: it passes through no log, no batch and no memory.

Most of it goes on top, and is merged with what is there by and by. What is new each time, under keys behind all that
came before, goes into a file of its own: that meets no other, so it is laid at the bottom, and left alone there.
"""

from __future__ import annotations

import errno
import mmap
import os
import shutil
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import accumulate
from pathlib import Path

from rocksdict import IngestExternalFileOptions, Options, Rdict, SstFileWriter, WriteBatch

from monitor.outcomes.sheaves import CASES

PUT, DELETE, DELETE_RANGE = range(3)
Change = tuple[int, bytes, bytes]
"""What is done; a key, and its value; or the first key of a range, and the one behind it."""
APART_BYTES = 4 << 20
"""What is new in cases has a file of its own from here on: what is less waits with the rest until it is merged."""


class Bulk:
    """Takes large writes for ``db``; ``options`` say how a file is laid out, ``keys`` which keys lie in a range."""

    def __init__(
        self, db: Rdict, options: Options, path: Path, keys: Callable[[bytes, bytes], Iterator[bytes]]
    ) -> None:
        """``path`` is where a file is while it is written, on the disk of ``db``; a second one stands beside it."""
        self._db, self._options, self._keys = db, options, keys
        self._path, self._apart = path, path.with_suffix(".apart")
        self._remove()
        self._moved = IngestExternalFileOptions()
        self._moved.set_move_files(_may_have_two_names(path))
        self._refused = False

    def write(self, changes: Sequence[Change]) -> None:
        """Do all of ``changes`` or nothing, and have it on the disk; what fails raises what RocksDB does."""
        left = self._left(changes)
        if self._refused:
            self._seek_room(left)
        self._refused = True
        try:
            self._lay_out(left)
            self._nudge(min(left))
            files = [str(path) for path in (self._path, self._apart) if path.exists()]
            self._db.ingest_external_file(files, self._moved)
            self._refused = False
        finally:
            self._remove()  # of one that was refused the room is wanted

    def _remove(self) -> None:
        """Remove what was not taken."""
        for path in (self._path, self._apart):
            path.unlink(missing_ok=True)

    def _seek_room(self, left: dict[bytes, bytes | None]) -> None:
        """What was refused is tried again and again: without room for it, it would fill the disk each time."""
        if shutil.disk_usage(self._path.parent).free < sum(len(key) + len(value or b"") for key, value in left.items()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _left(self, changes: Sequence[Change]) -> dict[bytes, bytes | None]:
        """What is to become of each key (``None``: it goes): in a file a key comes once, and there are no ranges."""
        left: dict[bytes, bytes | None] = {}
        for what, first, second in changes:
            if what == DELETE_RANGE:
                left |= dict.fromkeys([key for key in left if first <= key < second])
                left |= dict.fromkeys(self._keys(first, second))
            else:
                left[first] = second if what == PUT else None
        return left

    def _lay_out(self, left: dict[bytes, bytes | None]) -> None:
        keys = sorted(left)
        cut = _behind(keys, left, self._last)
        for path, own in ((self._path, keys[:cut]), (self._apart, keys[cut:])):
            if own:
                self._lay(path, own, left)

    def _lay(self, path: Path, keys: list[bytes], left: dict[bytes, bytes | None]) -> None:
        """Write one file, of ``keys`` in their order."""
        writer = SstFileWriter(self._options)
        writer.open(str(path))
        for key in keys:
            value = left[key]
            if value is None:
                writer.__delitem__(key)
            else:
                writer[key] = value
        with _in_the_cache(path):
            writer.finish()

    def _last(self) -> bytes:
        """The last key there is."""
        cursor = self._db.iter()
        cursor.seek_to_last()
        key: bytes = cursor.key() if cursor.valid() else b""
        return key

    def _nudge(self, key: bytes) -> None:
        """Write of ``key`` what is there already.

        A file that meets nothing newer is laid as deep as it goes, a level above the last one, and is merged again with
        each that comes. Behind something fresh it goes on top, and is merged with many others.
        """
        batch, value = WriteBatch(raw_mode=True), self._db.get(key)
        if value is None:
            batch.delete(key)
        else:
            batch.put(key, value)
        self._db.write(batch)


def _behind(keys: list[bytes], left: dict[bytes, bytes | None], last: Callable[[], bytes]) -> int:
    """Where in ``keys``, in order, those of cases begin that have a file of their own: new ones, behind all others.

    That is behind what is removed, and behind the ``last`` key there is: an order to remove someone writes older ones.
    """
    if not keys[-1].startswith(CASES):
        return len(keys)
    removed = next((key for key in reversed(keys) if left[key] is None), b"")
    first = max(bisect_left(keys, CASES), bisect_right(keys, removed), bisect_right(keys, last()))
    sizes = accumulate(len(left[key] or b"") for key in keys[first:])
    return first if any(size >= APART_BYTES for size in sizes) else len(keys)


def _may_have_two_names(path: Path) -> bool:
    """Whether a file at ``path``, where none is, can be linked to: RocksDB moves it by that. Else it is copied."""
    second = path.with_suffix(".second")
    try:
        path.touch()
        second.unlink(missing_ok=True)
        second.hardlink_to(path)
    except OSError:
        return False
    finally:
        for name in (path, second):
            name.unlink(missing_ok=True)
    return True


@contextmanager
def _in_the_cache(path: Path) -> Iterator[None]:
    """Keep what was written at ``path`` in the system's cache: RocksDB tells it to let go of a file it finished.

    Much of it is read again within minutes, and what somebody has mapped is not let go of. Where no file can be mapped,
    as on some network file systems, it is read from the disk.
    """
    flags = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)
    with ExitStack() as held:
        with suppress(OSError, ValueError), path.open("rb") as file:  # ValueError: there is nothing in it yet
            held.enter_context(mmap.mmap(file.fileno(), 0, flags=flags, prot=mmap.PROT_READ))
        yield
