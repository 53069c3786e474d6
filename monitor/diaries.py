"""Where is kept what series did hour by hour? In the store, read when a cycle is over; in memory is the hour that runs.

A *diary* is a series' shares by hour of the day and by slot of its first two cycles, running means in 16 bits. It takes
1.8 kB and is read some ten times in all, so it lies in the store: 256 diaries are a *volume*, and each hour adds a leaf
to it. Leaves are bound into the volume when it is read, or when there are many.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.policies import WEEK_SECONDS
from monitor.catalog.rows import CHUNK, Field, Rows, aside
from monitor.catalog.series import CUTS
from monitor.stats.seasons import HOURS, SLOTS

CYCLES = 2
"""Cycles of which each slot has a place of its own."""
PLACES = HOURS + CYCLES * SLOTS
PREFIX = b"E"
SHARE_UNIT = 65535.0
_KEY = struct.Struct(">II")
_LEAF = np.dtype([("diary", "u1"), ("hour", "u1"), ("slot", "u1"), ("share", "<u2", (CUTS,)), ("n", "<f4")])
_BLANK = 255
"""Stands for the hour of a leaf behind which the diary is another series'."""
_LEAVES_STORED, _LEAVES_HELD = 192, 32
"""Leaves that are bound at the latest, in a store and where there is none."""
_LEAVES_READ = 16
"""Leaves that are bound when they were read anyway."""

DIARY = {
    "series": Field(np.int32, (), -1, still=True),
    "since": Field(np.float64, (), np.nan, still=True),
    "cycle": Field(np.float64, (), WEEK_SECONDS, still=True),
    "seen": Field(np.float64, still=True),
    "hour": Field(np.int64, (), -1),
    "s": Field(np.float32, (CUTS,)),
    "n": Field(np.float32),
}
VOLUME = {"leaves": Field(np.int32)}

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Bound = tuple[NDArray[np.uint16], NDArray[np.float32]]
"""Shares (256, places, 9) in units of 1/65535, and weights (256, places)."""


class DiaryStore(Protocol):
    """What was written, read back."""

    def scan_prefix(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys that begin with ``prefix``, without it, and their values."""
        ...


class DiaryWrites(Protocol):
    """Takes what must be written together."""

    def put(self, key: bytes, value: bytes) -> None:
        """Set ``key``."""
        ...

    def delete_range(self, first: bytes, last: bytes) -> None:
        """Remove the keys from ``first`` on, short of ``last``."""
        ...


class Diaries:
    """All diaries, by slot. ``rows`` holds what is in memory of each: whose it is, and the sums of the hour that runs.

    What is added is in memory until :meth:`save`, and always where no store is attached. Reading gives the same
    wherever a leaf lies and whenever it is bound.
    """

    def __init__(self) -> None:
        self.rows = Rows(aside(DIARY))
        self.volumes = Rows(VOLUME)
        self._store: DiaryStore | None = None
        self._leaves: dict[int, list[bytes]] = {}
        """By volume, those that are not stored."""
        self._bound: dict[int, bytes] = {}
        """Volumes that are not stored as they are now; the store knows an older state, or none."""

    def attach(self, store: DiaryStore) -> None:
        """Read on from ``store``, which holds what :meth:`save` wrote."""
        self._store = store

    def write(self, slots: Indices, places: tuple[Indices, Indices], share: Array, n: NDArray[np.float32]) -> None:
        """Add what an hour held of ``slots`` (k,), none twice: ``share`` (k, 9) of ``n`` (k,) values.

        ``places`` (k,) each are the hour of the day and the slot of both cycles.
        """
        leaf = np.zeros(len(slots), _LEAF)
        leaf["diary"], leaf["hour"], leaf["slot"] = slots % CHUNK, *places
        leaf["share"], leaf["n"] = np.round(share * SHARE_UNIT), n
        self.rows["seen"][slots] += n
        self._add(slots // CHUNK, leaf)

    def erase(self, slots: Indices) -> None:
        """Let ``slots`` be nobody's."""
        leaf = np.zeros(len(slots), _LEAF)
        leaf["diary"], leaf["hour"] = slots % CHUNK, _BLANK
        self.rows.reset(slots)
        self._add(slots // CHUNK, leaf)
        owner = self.rows["series"][: len(self.rows)]
        for volume in np.unique(slots // CHUNK).tolist():
            if (owner[volume * CHUNK : (volume + 1) * CHUNK] < 0).all():
                self._bind(volume, b"")

    def read(self, slots: Indices) -> tuple[Array, Array]:
        """Shares and values of ``slots`` by place, ``(k, places, 9)`` and ``(k, places)``."""
        share, weight = np.empty((len(slots), PLACES, CUTS)), np.empty((len(slots), PLACES))
        of = slots // CHUNK
        for volume in np.unique(of).tolist():
            shares, weights = self._open(volume)
            own = of == volume
            share[own] = shares[slots[own] % CHUNK] / SHARE_UNIT
            weight[own] = weights[slots[own] % CHUNK]
            if self.volumes["leaves"][volume] > _LEAVES_READ:
                self._bind(volume, _blob(shares, weights))
        return share, weight

    def shift(self, slots: Indices, by: Array) -> None:
        """Move all shares of ``slots`` (k,), none twice, ``by`` (k, 9)."""
        of = slots // CHUNK
        for volume in np.unique(of).tolist():
            shares, weights = self._open(volume)
            own, at = of == volume, slots[of == volume] % CHUNK
            moved = shares[at] / SHARE_UNIT + by[own][:, None, :] * (weights[at] > 0)[:, :, None]
            shares[at] = np.round(np.clip(moved, 0.0, 1.0) * SHARE_UNIT)
            self._bind(volume, _blob(shares, weights))
        n = self.rows["n"][slots][:, None]
        self.rows["s"][slots] = np.clip(self.rows["s"][slots] + by * n, 0.0, n)
        self.rows.touch(slots)

    def save(self, writes: DiaryWrites) -> None:
        """Write what was added since; from here on the store has it."""
        for volume, blob in self._bound.items():
            writes.delete_range(PREFIX + _KEY.pack(volume, 0), PREFIX + _KEY.pack(volume + 1, 0))
            if blob:
                writes.put(PREFIX + _KEY.pack(volume, 0), blob)
        for volume, leaves in self._leaves.items():
            first = int(self.volumes["leaves"][volume]) - len(leaves) + 1
            for i, leaf in enumerate(leaves):
                writes.put(PREFIX + _KEY.pack(volume, first + i), leaf)
        self._bound.clear()
        self._leaves.clear()

    def _add(self, of: Indices, leaf: NDArray[np.void]) -> None:
        """Put each entry of ``leaf`` into its volume."""
        if len(self.volumes) <= of.max(initial=-1):
            self.volumes.add(int(of.max()) + 1 - len(self.volumes))
        most = _LEAVES_HELD if self._store is None else _LEAVES_STORED
        for volume in np.unique(of).tolist():
            self._leaves.setdefault(volume, []).append(leaf[of == volume].tobytes())
            self.volumes["leaves"][volume] += 1
            if self.volumes["leaves"][volume] >= most + volume % most // 4:  # not all of them in one hour
                self._bind(volume, _blob(*self._open(volume)))
        self.volumes.touch(np.unique(of))

    def _bind(self, volume: int, blob: bytes) -> None:
        self._bound[volume] = blob
        self._leaves.pop(volume, None)
        self.volumes["leaves"][volume] = 0
        self.volumes.touch(volume)

    def _open(self, volume: int) -> Bound:
        """A volume with all of its leaves."""
        known, leaves = self._bound.get(volume, b""), []
        if volume not in self._bound and self._store is not None:
            for key, value in self._store.scan_prefix(PREFIX + _KEY.pack(volume, 0)[:4]):
                if key == b"\0\0\0\0":
                    known = value
                else:
                    leaves.append(value)
        bound = _unpacked(known)
        for blob in leaves + self._leaves.get(volume, []):
            _turn(bound, np.frombuffer(blob, _LEAF))
        return bound


def _turn(bound: Bound, leaf: NDArray[np.void]) -> None:
    """Let one leaf into its volume."""
    shares, weights = bound
    at = leaf["diary"].astype(np.int64)
    blank = leaf["hour"] == _BLANK
    shares[at[blank]], weights[at[blank]] = 0, 0.0
    leaf, at = leaf[~blank], at[~blank]
    told, n = leaf["share"] / SHARE_UNIT, leaf["n"]
    for place in (leaf["hour"].astype(np.int64), leaf["slot"].astype(np.int64)):
        total = weights[at, place] + n
        before = shares[at, place] / SHARE_UNIT
        shares[at, place] = np.round((before + (told - before) * (n / total)[:, None]) * SHARE_UNIT)
        weights[at, place] = total


def _blob(shares: NDArray[np.uint16], weights: NDArray[np.float32]) -> bytes:
    return shares.tobytes() + weights.tobytes()


def _unpacked(blob: bytes) -> Bound:
    shares, weights = np.zeros((CHUNK, PLACES, CUTS), np.uint16), np.zeros((CHUNK, PLACES), np.float32)
    if blob:
        shares[:] = np.frombuffer(blob, np.uint16, shares.size).reshape(shares.shape)
        weights[:] = np.frombuffer(blob, np.float32, weights.size, shares.nbytes).reshape(weights.shape)
    return shares, weights
