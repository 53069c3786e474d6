"""Where is kept what series did in each hour of the last week? In the store, read when the same hour comes again.

256 series are a *volume*; a volume has a page for each of the 168 hours of a week. In memory are the hour that runs and
what the same hour held a week before.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.rows import CHUNK, Field, Rows, aside
from monitor.catalog.series import CUTS

HOUR_SECONDS = 3600.0
HOURS = 168
PREFIX = b"L"
_PAGE = np.dtype([("s", "<u4", (CUTS,)), ("n", "<u4")])

WEEK = {
    "series": Field(np.int32, (), -1, still=True),
    "hour": Field(np.int64, (), -1),
    "doubted": Field(np.uint8),
    "s": Field(np.uint32, (CUTS,)),
    "n": Field(np.uint32),
    "last_s": Field(np.uint32, (CUTS,)),
    "last_n": Field(np.uint32),
    "compared": Field(np.int32),
    "gap": Field(np.float32, (), 2.0),
}
"""Of a series' week: the ``hour`` that runs, counted since the epoch, with its sums at the cuts (``s`` of ``n`` values)
and whether anything spoke against it; ``last_s`` and ``last_n`` are what the same hour held a week before, or the last
time that nothing spoke against it; ``gap`` is by how much more than chance two hours that nothing spoke against lie
apart (a mean over those that were ``compared``, in units of their variance; 2 until it is known)."""
_PRIOR_HOURS, _GAP_HOURS = 10, 168
"""Hours that the first word on ``gap`` weighs, and of how many it is a fading mean."""

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


class WeekStore(Protocol):
    """What was written, read back."""

    def get(self, key: bytes) -> bytes | None:
        """The value of ``key``, or ``None``."""
        ...


class WeekWrites(Protocol):
    """Takes what must be written together."""

    def put(self, key: bytes, value: bytes) -> None:
        """Set ``key``."""
        ...


class Weeks:
    """All weeks, by slot. What changed is in memory until :meth:`save`, and always where no store is attached."""

    def __init__(self) -> None:
        self.rows = Rows(aside(WEEK))
        self._store: WeekStore | None = None
        self._changed: dict[bytes, bytes] = {}

    def attach(self, store: WeekStore) -> None:
        """Read on from ``store``, which holds what :meth:`save` wrote."""
        self._store = store

    def turn(self, slots: Indices, hour: Indices) -> NDArray[np.bool_]:
        """Which of ``slots`` (k,), none twice, stand at another ``hour`` (k,) than before: those turn their page.

        An hour against which something spoke does not take the place of one that is known: what fires is not normal a
        week later. The first of its kind is taken as it is.
        """
        rows = self.rows
        moved: NDArray[np.bool_] = rows["hour"][slots] != hour
        turned, hour = slots[moved], hour[moved]
        kept = turned[(rows["n"][turned] > 0) & ((rows["doubted"][turned] == 0) | (rows["last_n"][turned] == 0))]
        self._measure(kept[(rows["doubted"][kept] == 0) & (rows["last_n"][kept] > 0)])
        for key, at in self._pages(kept, rows["hour"][kept]):
            page = self._open(key).copy()
            page["s"][at % CHUNK], page["n"][at % CHUNK] = rows["s"][at], rows["n"][at]
            self._changed[key] = page.tobytes()
        rows["hour"][turned] = hour
        rows["s"][turned], rows["n"][turned], rows["doubted"][turned] = 0, 0, 0
        for key, at in self._pages(turned, hour):
            page = self._open(key)
            rows["last_s"][at], rows["last_n"][at] = page["s"][at % CHUNK], page["n"][at % CHUNK]
        rows.stir(turned)
        return moved

    def _measure(self, slots: Indices) -> None:
        """Learn from the hours of ``slots`` that are over how far they lie from those of the week before."""
        rows = self.rows
        s, n = rows["s"][slots].astype(np.float64), rows["n"][slots].astype(np.float64)[:, None]
        last_s, last_n = rows["last_s"][slots].astype(np.float64), rows["last_n"][slots].astype(np.float64)[:, None]
        pooled = (s + last_s) / (n + last_n)
        variance = pooled * (1.0 - pooled) * (1.0 / n + 1.0 / last_n)
        some = variance > 0.0
        apart = np.where(some, (s / n - last_s / last_n) ** 2 / np.where(some, variance, 1.0), 0.0).sum(axis=1)
        told = some.any(axis=1)
        at, gap = slots[told], (apart / np.maximum(some.sum(axis=1), 1))[told]
        weight = 1.0 / np.minimum(_PRIOR_HOURS + rows["compared"][at] + 1, _GAP_HOURS)
        rows["gap"][at] += (gap - rows["gap"][at]) * weight
        rows["compared"][at] += 1

    def add(self, slots: Indices, s: Array, n: Array, clean: NDArray[np.bool_]) -> None:
        """Count a tick, ``s`` (k, 9) of ``n`` (k,), into the hour that runs; one that is not clean makes it doubted."""
        self.rows["s"][slots] += s.astype(np.uint32)
        self.rows["n"][slots] += n.astype(np.uint32)
        self.rows["doubted"][slots] |= ~clean
        self.rows.stir(slots)

    def erase(self, slots: Indices) -> None:
        """Let ``slots`` be nobody's, and forget what they held."""
        self.rows.reset(slots)
        for hour in range(HOURS):
            for key, at in self._pages(slots, np.full(len(slots), hour)):
                page = self._open(key)
                if page["n"][at % CHUNK].any():
                    page = page.copy()
                    page[at % CHUNK] = 0
                    self._changed[key] = page.tobytes()

    def save(self, writes: WeekWrites) -> None:
        """Write what changed since; from here on the store has it."""
        for key, page in self._changed.items():
            writes.put(key, page)
        self._changed.clear()

    @staticmethod
    def _pages(slots: Indices, hour: Indices) -> list[tuple[bytes, Indices]]:
        """The keys of the pages of ``slots`` at ``hour`` (k,), and which of ``slots`` each is of."""
        place = slots // CHUNK * HOURS + hour % HOURS
        return [
            (PREFIX + (each // HOURS).to_bytes(4, "big") + (each % HOURS).to_bytes(1, "big"), slots[place == each])
            for each in np.unique(place).tolist()
        ]

    def _open(self, key: bytes) -> NDArray[np.void]:
        blob = self._changed.get(key)
        if blob is None and self._store is not None:
            blob = self._store.get(key)
        return np.zeros(CHUNK, _PAGE) if blob is None else np.frombuffer(blob, _PAGE)
