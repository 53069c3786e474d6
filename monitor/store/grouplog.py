"""The past of groups: what was counted of each model's groups, hour by hour for a week, then day by day."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from monitor.errors import StoreError
from monitor.groups.hours import Hours
from monitor.groups.periods import month_end
from monitor.groups.sums import TallySums
from monitor.store.database import Database, Writes

HOURS, DAYS, RUNNING = b"H", b"Y", b"U"
_KEY = struct.Struct(">IQ")
_RUNNING_KEY = struct.Struct(">QQ")
_RUNNING_HOUR = struct.Struct(">d")
_EPOCH = 1 << 62
"""Added to times, so that those before 1970 are in order too."""
_FIRST, _LAST = -1e12, 1e12
"""Before and behind every time that an event may have, seconds: what is asked for may be infinite."""
_DAY = 86400.0
KEPT_SECONDS = 8 * _DAY
"""Event time for which hours are kept: a week, and a day in which it may be asked for. Then days are."""


class GroupLog:
    """Appends hours, and rolls up to days those that are older than a drill asks for."""

    def __init__(self, database: Database, retention_seconds: float = math.inf) -> None:
        """``retention_seconds`` of event time days are kept for, whole months of them at a time."""
        self._database = database
        self._retention = retention_seconds
        self._number = 0
        """Of the next part of an hour that runs."""

    def save(self, hours: Hours, model: NDArray[np.integer], watermark: float, writes: Writes) -> None:
        """Add to ``writes`` the hours that are over at ``watermark``, and what is new in those that run.

        ``model`` (tallies,) says whose each tally is.
        """
        over = hours.take(watermark)
        if over:
            writes.delete_range(RUNNING, RUNNING + _RUNNING_KEY.pack(_millis(watermark) + 1, 0))
            self.append(over, model, writes)
        for until, hour, sums in hours.take_fresh():
            if until > watermark:
                key = RUNNING + _RUNNING_KEY.pack(_millis(until), self._number)
                writes.put(key, _RUNNING_HOUR.pack(hour) + _packed(sums))
                self._number += 1

    def load(self, hours: Hours) -> None:
        """Give back to ``hours`` those that were not over when they were stored."""
        for key, value in self._database.scan_prefix(RUNNING):
            until, number = _RUNNING_KEY.unpack(key)
            hour, sums = _RUNNING_HOUR.unpack_from(value)[0], _unpacked(value[_RUNNING_HOUR.size :])
            hours.restore((until - _EPOCH) / 1000.0, hour, sums)
            self._number = max(self._number, number + 1)

    def append(self, hours: list[tuple[float, TallySums]], model: NDArray[np.integer], writes: Writes) -> None:
        """Add ``hours`` (end, sums), none of them twice, to ``writes``; ``model`` as in :meth:`save`."""
        for end, sums in hours:
            owner = model[sums.row].astype(np.int64)
            order = np.argsort(owner, kind="stable")
            starts = np.flatnonzero(np.diff(owner[order], prepend=-1))
            for own in np.split(order, starts[1:]) if len(order) else ():
                whole = TallySums(sums.row[own], sums.n[own], sums.s[own])
                # What became known after its hour was taken away comes to it here.
                self._merge(HOURS, int(owner[own[0]]), end, whole, writes)

    def read(self, model: int, since: float, until: float) -> list[tuple[float, TallySums]]:
        """The hours of ``model`` that ended after ``since``, at ``until`` at the latest, oldest first."""
        return list(self._scan(HOURS, model, since, until))

    def days(self, model: int, since: float, until: float) -> list[tuple[float, TallySums]]:
        """Days (UTC) of ``model`` that ended after ``since``, at ``until`` at the latest, oldest first, as far as kept.

        What is rolled up leaves the hours and enters its day in one write, so no case is in two of them.
        """
        found: dict[float, TallySums] = {}
        for level in (DAYS, HOURS):
            _merge_days(found, self._scan(level, model, since - _DAY, until))
        return sorted((day, sums) for day, sums in found.items() if since < day <= until)

    def roll_up(self, model: int, watermark: float, writes: Writes) -> None:
        """Merge the hours of ``model`` that have grown old into their days, and forget the oldest months."""
        limit = math.floor((watermark - KEPT_SECONDS) / _DAY) * _DAY
        days: dict[float, TallySums] = {}
        _merge_days(days, self._scan(HOURS, model, -math.inf, limit))
        for day, sums in days.items():
            self._merge(DAYS, model, day, sums, writes)
        if days:
            writes.delete_range(_key(HOURS, model, -math.inf), _key(HOURS, model, limit + 0.001))
        if math.isfinite(self._retention):
            forgotten = month_end(watermark - self._retention)
            writes.delete_range(_key(DAYS, model, -math.inf), _key(DAYS, model, forgotten + 0.001))

    def _merge(self, level: bytes, model: int, end: float, sums: TallySums, writes: Writes) -> None:
        key = _key(level, model, end)
        earlier = self._database.get(key)
        writes.put(key, _packed(sums if earlier is None else _merged(_unpacked(earlier), sums)))

    def _scan(self, level: bytes, model: int, since: float, until: float) -> Iterator[tuple[float, TallySums]]:
        """What ended after ``since``, at ``until`` at the latest, oldest first."""
        first, last = _key(level, model, since + 0.001), _key(level, model, until + 0.001)
        for key, value in self._database.scan(first, last):
            yield (_KEY.unpack(key[len(level) :])[1] - _EPOCH) / 1000.0, _unpacked(value)


def _merge_days(days: dict[float, TallySums], parts: Iterable[tuple[float, TallySums]]) -> None:
    for end, sums in parts:
        day = math.ceil(end / _DAY) * _DAY
        days[day] = _merged(days[day], sums) if day in days else sums


def _millis(time: float) -> int:
    return round(min(max(time, _FIRST), _LAST) * 1000.0) + _EPOCH


def _key(level: bytes, model: int, end: float) -> bytes:
    return level + _KEY.pack(model, _millis(end))


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
