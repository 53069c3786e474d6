"""The tick log: the sums of every closed tick, rolled up as they age, so that a year of history fits a disk."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from monitor.store.database import Database, Writes
from monitor.store.sums import pack, pack_all, unpack
from monitor.tally.closed import ClosedTick, ClosedTicks, merge

_END = struct.Struct(">Q")
_LEVEL_MODEL = struct.Struct(">BI")
_EPOCH = 1 << 62
"""Added to times, so that those before 1970 are in order too."""
_PREFIX = b"T"
_FIRST, _LAST = -1e12, 1e12
"""Before and behind every time that an event may have, seconds: what is asked for may be infinite."""


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution of the log: ticks of at least ``seconds``, kept for ``kept`` seconds of event time."""

    seconds: float
    kept: float


LEVELS = (Level(0.0, 2 * 86400.0), Level(3600.0, 35 * 86400.0), Level(86400.0, float("inf")))
"""Ticks as they were for two days, hours for five weeks, days as long as the operator says."""


class TickLog:
    """Appends closed ticks, and rolls them up as they age."""

    def __init__(self, database: Database, retention_seconds: float) -> None:
        self._database = database
        self._retention = retention_seconds

    def append(self, ticks: list[ClosedTicks], writes: Writes) -> None:
        """Add ``ticks`` to ``writes``."""
        for closed in ticks:
            end = _end(closed.end)
            blobs = pack_all(closed.counts, closed.moments, closed.starts, closed.sizes)
            for model, blob in zip(closed.models.tolist(), blobs, strict=True):
                writes.put(_PREFIX + _LEVEL_MODEL.pack(0, model) + end, blob)

    def read(self, model: int, since: float, until: float) -> list[ClosedTick]:
        """The sums of ``model`` from ``since`` to ``until``, oldest first, at the finest resolution still there.

        No event is in two of them: what is rolled up leaves one level and enters the next in one write.
        """
        return sorted(self.each(model, since, until), key=lambda tick: tick.end)

    def each(self, model: int, since: float, until: float) -> Iterator[ClosedTick]:
        """As :meth:`read`, one at a time, the coarsest first: for stretches that need not fit into memory."""
        for level in reversed(range(len(LEVELS))):
            yield from self._scan(level, model, since, until)

    def roll_up(self, model: int, watermark: float, writes: Writes) -> None:
        """Merge into ``writes`` what ``model`` has and has grown old, and forget what is older than the retention.

        What a coarser level holds is complete before the finer is removed, and both happen in one write.
        """
        # The coarsest first: what it removes must not be what the next one puts there in the same write.
        for (fine, level), (coarse, above) in reversed(list(pairwise(enumerate(LEVELS)))):
            self._roll_up_level(model, fine, coarse, above.seconds, watermark - level.kept, writes)
        last = len(LEVELS) - 1
        if np.isfinite(self._retention):
            forgotten = _key(last, model, watermark - self._retention)
            writes.delete_range(_key(last, model, _FIRST), forgotten)

    def _roll_up_level(self, model: int, fine: int, coarse: int, seconds: float, before: float, writes: Writes) -> None:
        """Merge the ticks of whole coarse periods that ended before ``before``."""
        limit = np.floor(before / seconds) * seconds
        merged: dict[float, tuple[NDArray[np.uint32], NDArray[np.float64]]] = {}
        for tick in self._scan(fine, model, -np.inf, limit):
            end = float(np.ceil(tick.end / seconds) * seconds)
            own = (tick.counts, tick.moments)
            merged[end] = merge(merged[end], own) if end in merged else own
        for end, sums in merged.items():
            key = _key(coarse, model, end)
            earlier = self._database.get(key)  # where a part of the period was rolled up in another pass
            writes.put(key, pack(*(merge(unpack(earlier), sums) if earlier else sums)))
        if merged:
            writes.delete_range(_key(fine, model, _FIRST), _key(fine, model, limit + 0.001))

    def _scan(self, level: int, model: int, since: float, until: float) -> Iterator[ClosedTick]:
        """Ticks of one level that ended after ``since``, at ``until`` at the latest."""
        first = _key(level, model, since + 0.001)
        for key, value in self._database.scan(first, _key(level, model, until + 0.001)):
            counts, moments = unpack(value)
            end = (_END.unpack(key[-8:])[0] - _EPOCH) / 1000.0
            yield ClosedTick(model, end, counts, moments, LEVELS[level].seconds)


def _key(level: int, model: int, end: float) -> bytes:
    """Level, model, and the end of the tick in milliseconds: the order in which history is read."""
    return _PREFIX + _LEVEL_MODEL.pack(level, model) + _end(end)


def _end(end: float) -> bytes:
    return _END.pack(round(min(max(end, _FIRST), _LAST) * 1000.0) + _EPOCH)
