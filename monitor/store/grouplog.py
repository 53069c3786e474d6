"""The hours of groups: what was counted of each model's groups in the last week, hour by hour, for fire drills."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from monitor.errors import StoreError
from monitor.groups.sums import TallySums
from monitor.store.database import Database, Writes

_PREFIX = b"H"
_KEY = struct.Struct(">IQ")
_EPOCH = 1 << 62
"""Added to times, so that those before 1970 are in order too."""
_FIRST, _LAST = -1e12, 1e12
"""Before and behind every time that an event may have, seconds: what is asked for may be infinite."""
_HOUR = 3600.0
KEPT_SECONDS = 8 * 86400.0
"""Event time for which an hour is kept: a week, and a day in which it may be asked for."""


class GroupLog:
    """Appends hours, and forgets those that are older than a drill asks for."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, hours: list[tuple[float, TallySums]], model: NDArray[np.integer], writes: Writes) -> None:
        """Add ``hours`` (end, sums) to ``writes``; ``model`` (tallies,) says whose each tally is."""
        for end, sums in hours:
            owner = model[sums.row].astype(np.int64)
            order = np.argsort(owner, kind="stable")
            starts = np.flatnonzero(np.diff(owner[order], prepend=-1))
            for own in np.split(order, starts[1:]) if len(order) else ():
                key = self._key(int(owner[own[0]]), end)
                # A tick that closed after its hour was taken away comes to it here.
                earlier = self._database.get(key)
                whole = TallySums(sums.row[own], sums.n[own], sums.s[own])
                writes.put(key, _packed(whole if earlier is None else _merged(_unpacked(earlier), whole)))
                writes.delete(self._key(int(owner[own[0]]), end - KEPT_SECONDS))

    def read(self, model: int, since: float, until: float) -> list[tuple[float, TallySums]]:
        """The hours of ``model`` that ended after ``since``, at ``until`` at the latest, oldest first."""
        first, last = self._key(model, since + 0.001), self._key(model, until + 0.001)
        return [
            ((_KEY.unpack(key[len(_PREFIX) :])[1] - _EPOCH) / 1000.0, _unpacked(value))
            for key, value in self._database.scan(first, last)
        ]

    @staticmethod
    def _key(model: int, end: float) -> bytes:
        return _PREFIX + _KEY.pack(model, round(min(max(end, _FIRST), _LAST) * 1000.0) + _EPOCH)


def _packed(sums: TallySums) -> bytes:
    return sums.row.tobytes() + sums.n.tobytes() + sums.s.tobytes()


def _unpacked(blob: bytes) -> TallySums:
    k, rest = divmod(len(blob), 24)
    if rest:
        raise StoreError(f"the groups of an hour have {len(blob)} bytes")
    n, s = (np.frombuffer(blob, np.float64, k, 8 * k * (i + 1)) for i in range(2))
    return TallySums(np.frombuffer(blob, np.int64, k), n, s)


def _merged(a: TallySums, b: TallySums) -> TallySums:
    row, place = np.unique(np.concatenate([a.row, b.row]), return_inverse=True)
    n, s = (
        np.bincount(place, weights=np.concatenate(both), minlength=len(row)).astype(np.float64)
        for both in ((a.n, b.n), (a.s, b.s))
    )
    return TallySums(row, n, s)
