"""The embedded store: ordered keys, one atomic write. RocksDB behind four verbs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rocksdict import AccessType, BlockBasedOptions, DBCompressionType, Options, Rdict, WriteBatch, WriteOptions

from monitor.catalog.aside import Aside
from monitor.errors import StoreError, StoreFullError
from monitor.store.bulk import DELETE, DELETE_RANGE, PUT, Bulk, Change

_BUFFER_BYTES = 8 << 20
"""What RocksDB collects in memory before it writes a file: of a small fleet, more would be a third of all memory.

A write of more would be a file at once: it becomes one by itself."""
_FIRST_FILES, _MANY_FILES, _TOO_MANY_FILES = 16, 32, 48
"""Files of what was collected before they are merged; before writes wait a little, and until there are fewer. A large
write leaves two, and one of them has next to nothing."""
_LOOKS = 20
"""Times that a store is opened to look at it, until nothing is moved meanwhile."""
_COMING = "coming"
"""What a file is called that is being written."""
_NO_ROOM = "No space left on device"
"""How RocksDB says that there is no room: the one failure of a disk that it recovers from by itself."""
_MEMORY_BLOOM = 0.05
"""Part of that memory for a filter of the keys in it."""
_BLOOM_BITS = 10
"""Bits a key of the filters that tell, mostly without reading a file, that it is not there."""


class Writes:
    """Everything that must change together, in its order; given to :meth:`Database.commit`, again if it failed."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.n_bytes = 0
        self.n_deleted = 0

    def put(self, key: bytes, value: bytes) -> None:
        """Set ``key``."""
        self.changes.append((PUT, key, value))
        self.n_bytes += len(key) + len(value)

    def put_many(self, keys: list[bytes], values: list[bytes]) -> None:
        """Set each of ``keys`` to its value."""
        self.changes += zip(repeat(PUT), keys, values, strict=False)
        self.n_bytes += sum(map(len, keys)) + sum(map(len, values))

    def delete(self, key: bytes) -> None:
        """Remove ``key``; one that is not there is no error."""
        self.changes.append((DELETE, key, b""))
        self.n_deleted += 1

    def delete_range(self, first: bytes, last: bytes) -> None:
        """Remove the keys from ``first`` on, short of ``last``."""
        self.changes.append((DELETE_RANGE, first, last))


class Database:
    """A directory that one process at a time has open.

    One that is opened ``to_look`` must exist, is never written, and may meanwhile be open in another process: it is
    what was there at the opening. One that is ``passing`` does not outlive its process, and waits for no disk.
    """

    def __init__(self, path: Path, *, to_look: bool = False, passing: bool = False) -> None:
        self.path, self._bulk = path, None
        try:
            if to_look:
                self._db = _to_look(path)
            else:
                path.mkdir(parents=True, exist_ok=True)
                options = _options()
                options.create_if_missing(True)
                self._db = Rdict(str(path), options)
                if not passing:
                    self._bulk = Bulk(self._db, _options(merged=False), path / _COMING, self._keys)
        except Exception as error:  # rocksdict raises bare Exception; all it can mean here is an unusable store
            raise StoreError(f"{path}: the store cannot be opened: {error}") from error
        self.aside = None if to_look else Aside(path)
        """Where a fleet over this store lays what it seldom looks at; nowhere if it only looks."""
        self._watched: list[Change] | None = None
        self._writing = threading.Lock()
        self._synced = WriteOptions()
        self._synced.sync = not passing

    def get(self, key: bytes) -> bytes | None:
        """The value of ``key``, or ``None``."""
        try:
            value: bytes | None = self._db.get(key)
        except Exception as error:  # as above: a block whose checksum is wrong, a file that is gone
            raise StoreError(f"{self.path}: the store cannot be read: {error}") from error
        return value

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        """The values of ``keys``, in their order."""
        wanted: list[str | int | float | bytes | bool] = [*keys]
        try:
            values: Any = self._db.get(wanted) if keys else []
        except Exception as error:  # as above
            raise StoreError(f"{self.path}: the store cannot be read: {error}") from error
        return list(values)

    def scan(self, first: bytes, last: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values from ``first`` on, short of ``last``, in order."""
        for key, cursor in self._cursor(first, last):
            yield key, cursor.value()

    def scan_prefix(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys that begin with ``prefix``, without it, and their values."""
        for key, value in self.scan(prefix, _after(prefix)):
            yield key[len(prefix) :], value

    def _keys(self, first: bytes, last: bytes) -> Iterator[bytes]:
        """Keys from ``first`` on, short of ``last``, in order."""
        for key, _ in self._cursor(first, last):
            yield key

    def _cursor(self, first: bytes, last: bytes) -> Iterator[tuple[bytes, Any]]:
        """Each key from ``first`` on, short of ``last``, and a cursor that stands there."""
        cursor = self._db.iter()
        cursor.seek(first)
        while cursor.valid():
            key = cursor.key()
            if key >= last:
                return
            yield key, cursor
            cursor.next()
        try:
            cursor.status()  # an iterator that meets a damaged block is at its end
        except Exception as error:  # as above
            raise StoreError(f"{self.path}: the store cannot be read: {error}") from error

    def commit(self, writes: Writes) -> None:
        """Do all of ``writes`` or nothing, and have it on the disk before returning, unless it is passing.

        Raises
        ------
        StoreFullError
            The disk is full. RocksDB goes on by itself some seconds after there is room for a buffer (8 MiB), and a
            large write once there is room for all of it.
        StoreError
            The disk is broken.
        """
        with self._writing:
            try:
                if self._bulk is not None and writes.n_bytes >= _BUFFER_BYTES:
                    self._bulk.write(writes.changes)
                else:
                    self._log(writes.changes)
            except Exception as error:  # as above: a full or broken disk
                told = f"{self.path}: the store cannot be written: {error}"
                raise (StoreFullError if _NO_ROOM in told else StoreError)(told) from error
            if self._watched is not None:
                self._watched += writes.changes

    def _log(self, changes: list[Change]) -> None:
        """Write what is not large: it is in the log, and in memory until there is enough for a file."""
        batch = WriteBatch(raw_mode=True)
        do = {PUT: batch.put, DELETE_RANGE: batch.delete_range, DELETE: lambda key, _: batch.delete(key)}
        for what, first, second in changes:
            do[what](first, second)
        self._db.write(batch, self._synced)

    def watch(self) -> None:
        """From here on remember what changes, for :meth:`take_changes`."""
        self._watched = []

    def take_changes(self) -> list[Change]:
        """All that was written since this was last asked, in order; nothing unless it is watched."""
        with self._writing:
            changes, self._watched = self._watched or [], None if self._watched is None else []
        return changes

    def n_bytes(self) -> int:
        """Bytes on the disk, roughly: files and what is not in a file yet."""
        names = ("rocksdb.total-sst-files-size", "rocksdb.cur-size-all-mem-tables")
        return sum(int(self._db.property_int_value(name) or 0) for name in names)

    def close(self) -> None:
        """Let go of the directory; an error where the disk is full or broken, with all that was committed on it."""
        try:
            self._db.close()
        except Exception as error:  # as above
            raise StoreError(f"{self.path}: the store cannot be closed: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _to_look(path: Path) -> Rdict:
    """Open for reading what is there at one moment, also while another process writes.

    RocksDB reads which files there are, opens them, and reads the log then. What went into a file meanwhile would be
    missing, and what came behind it would be there: so it is opened again where the list of files changed.
    """
    for _ in range(_LOOKS):
        before = _listed(path)
        try:
            db = Rdict(str(path), _options(), access_type=AccessType.read_only())
        except Exception:
            if _listed(path) == before:
                raise
            continue  # a file was gone before it was opened
        if _listed(path) == before:
            return db
        db.close()
    raise StoreError("what writes to it is too fast; try again")


def _listed(path: Path) -> tuple[str, int]:
    """What the list of files is called, and how long it is: it only grows, or another one takes its place."""
    try:
        name = (path / "CURRENT").read_text("ascii").strip()
        return name, (path / name).stat().st_size
    except OSError:
        return "", 0


def _options(*, merged: bool = True) -> Options:
    """How files are laid out: those that are ``merged`` from others, and live, or one that is written for minutes."""
    options = Options(raw_mode=True)
    kinds = DBCompressionType
    options.set_compression_type(kinds.lz4() if merged else kinds.none())
    options.set_bottommost_compression_type(kinds.zstd() if merged else kinds.none())
    options.set_write_buffer_size(_BUFFER_BYTES)
    options.set_max_write_buffer_number(3)
    options.set_level_zero_file_num_compaction_trigger(_FIRST_FILES)
    options.set_level_zero_slowdown_writes_trigger(_MANY_FILES)
    options.set_level_zero_stop_writes_trigger(_TOO_MANY_FILES)
    options.set_max_background_jobs(2)
    # What is asked for lies in one of many files: of most others it is known without a look that it is not there.
    options.set_memtable_prefix_bloom_ratio(_MEMORY_BLOOM)
    options.set_memtable_whole_key_filtering(True)
    table = BlockBasedOptions()
    table.set_bloom_filter(_BLOOM_BITS, False)
    options.set_block_based_table_factory(table)
    return options


def _after(prefix: bytes) -> bytes:
    """The first key that is behind all keys with ``prefix``."""
    return prefix[:-1] + bytes([prefix[-1] + 1])
