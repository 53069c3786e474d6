"""How do the features of each group's people lie today? Counts by stratum of sampled events, until they are judged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monitor.apart.shelf import DAYS, Shelf
from monitor.catalog.rows import Field
from monitor.groups.group_rows import GroupRows
from monitor.groups.register import Register
from monitor.kernels.lean import SLOTS, STRATA, lay

FULL_EVENTS = 30_000
"""Events of a group after which its counts, of 16 bits, are laid aside until the day is over; no more are counted at
once."""

FIELDS = {
    "group": Field(np.int32, (), -1, still=True),
    "n": Field(np.int64),
    "held": Field(np.uint32),
    "aside": Field(bool),
    "counts": Field(np.uint16, (SLOTS, STRATA), aside=True),
}
"""By row: the group, its events since the first, those that ``counts`` holds: how many lie in each stratum of each of
its model's first 32 features; and whether more of the same day lie in the store."""

_ASIDE = np.dtype("<u4")
Array = NDArray[np.float64]
Rows64 = NDArray[np.int64]


class Counting:
    """Counts of all groups but intersections, by row in the order in which they were met."""

    def __init__(self, register: Register, shelf: Shelf) -> None:
        self.rows = GroupRows(FIELDS)
        self._register, self._shelf = register, shelf

    def add(self, group: Rows64, event: Rows64, places: NDArray[np.uint64]) -> None:
        """Count that ``event`` (k,) is of ``group`` (k,); ``places`` (n, 2) says where the features of events lie."""
        for first in range(0, len(group), FULL_EVENTS):
            some = slice(first, first + FULL_EVENTS)
            lay(self.rows.count(group[some], "n", "held"), event[some], places, self.rows["counts"])
            self._lay_aside(self.rows.take_counted())

    def take(self, attribute: int) -> tuple[Rows64, Array]:
        """The groups of an attribute (k,) and their day, (k, SLOTS, STRATA), which is counted anew from here on."""
        groups = np.array(self._register.groups_of(attribute), np.int64)
        rows = self.rows.of(groups)
        groups, rows = groups[rows >= 0], rows[rows >= 0]
        days = np.array([self._day(row) for row in rows.tolist()], np.float64).reshape(len(rows), SLOTS, STRATA)
        for row in rows[self.rows["aside"][rows]].tolist():
            self._shelf.write(DAYS, row, b"")
        self.rows["counts"][rows], self.rows["held"][rows], self.rows["aside"][rows] = 0, 0, False
        self.rows.stir(rows)
        return groups, days

    def events(self, groups: Sequence[int]) -> Array:
        """Events of ``groups`` since the first, ``(k,)``."""
        rows = self.rows.of(np.array(groups, np.int64))
        return np.where(rows >= 0, self.rows["n"][rows], 0).astype(np.float64)

    def restored(self) -> None:
        """Put in order what follows from the table, after it was loaded."""
        self.rows.restored()

    def _lay_aside(self, rows: Rows64) -> None:
        """Put away what might soon be too much for 16 bits, however long the tick is."""
        for row in rows[self.rows["held"][rows] > FULL_EVENTS].tolist():
            self._shelf.write(DAYS, row, self._day(row).astype(_ASIDE).tobytes())
            self.rows["counts"][row], self.rows["held"][row], self.rows["aside"][row] = 0, 0, True

    def _day(self, row: int) -> Array:
        """What a group had since its day began, (SLOTS, STRATA)."""
        counts: Array = self.rows["counts"][row].astype(np.float64)
        if self.rows["aside"][row]:
            counts += np.frombuffer(self._shelf.read(DAYS, row), _ASIDE).reshape(SLOTS, STRATA)
        return counts
