"""What can be done with a store from outside: looked through from end to end, copied away, put back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from monitor.errors import StoreError
from monitor.events.raw import Partition
from monitor.fleet import Fleet
from monitor.store.checkpoint import Checkpoint
from monitor.store.database import Database, Writes
from monitor.store.sums import unpack
from monitor.store.ticklog import TickLog
from monitor.tally.event_time import EventTime

_COPIED_BYTES = 4 << 20
"""Bytes that are copied in one write."""
_SINGLE = (b"head", b"owner")
_LAST = b"\xff" * 8
"""Behind every key there is."""


@dataclass(slots=True)
class Found:
    """What a store holds, all of it read and understood: ``keys`` and ``n_bytes`` by kind of key."""

    models: int = 0
    series: int = 0
    open_ticks: int = 0
    open_incidents: int = 0
    remembered: int = 0
    watermark: float = float("-inf")
    positions: dict[Partition, int] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    n_bytes: dict[str, int] = field(default_factory=dict)


def check(path: Path, make_fleet: Callable[[], Fleet]) -> Found:
    """Read everything in the store at ``path``: every key with its checksum, every tick, and the state as a fleet.

    Raises
    ------
    StoreError
        There is no store, it is damaged, or another format than this program reads; the message says where.
    """
    found = Found()
    with Database(_existing(path), to_look=True) as database:
        for key, value in database.scan(b"", _LAST):
            kind = key.decode() if key in _SINGLE else chr(key[0])
            found.keys[kind] = found.keys.get(kind, 0) + 1
            found.n_bytes[kind] = found.n_bytes.get(kind, 0) + len(key) + len(value)
            if kind == "T":
                unpack(value)
        if "head" not in found.keys:
            raise StoreError(f"{path}: no daemon has written to this store yet" if not found.keys else _headless(path))
        fleet, time = make_fleet(), EventTime(0.0)
        found.positions = Checkpoint(database, TickLog(database, float("inf"))).load(fleet, time)
    found.models, found.series = len(fleet.models), len(fleet.series.rows)
    found.open_ticks, found.open_incidents = len(fleet.blocks), len(fleet.book.open)
    found.remembered, found.watermark = len(fleet.duplicates), time.watermark
    return found


def copy(source: Path, target: Path) -> int:
    """Copy the store at ``source`` to ``target``, which is made; returns the number of keys.

    The copy is one moment of the source, which may be open in a daemon, and is on the disk when this returns. Every
    block is read with its checksum, so damage is not copied.

    Raises
    ------
    StoreError
        ``source`` is no store or is damaged, or ``target`` exists and is not empty.
    """
    _existing(source)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise StoreError(f"{target}: is there already; a store is never overwritten")
    n = 0
    with Database(source, to_look=True) as old, Database(target) as new:
        if old.get(b"head") is None:
            raise StoreError(_headless(source))
        writes = Writes()
        for key, value in old.scan(b"", _LAST):
            if key != b"owner":  # a copy is another store
                writes.put(key, value)
                n += 1
            if writes.n_bytes >= _COPIED_BYTES:
                new.commit(writes)
                writes = Writes()
        new.commit(writes)
    return n


def _existing(path: Path) -> Path:
    if not (path / "CURRENT").is_file():
        raise StoreError(f"{path}: there is no store here")
    return path


def _headless(path: Path) -> str:
    return f"{path}: the store has no head, so nothing says what it holds"
