"""Of how many people is a group made? Each counts once a day, by the first decision on them, however often they ask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.rows import Field, Rows
from monitor.events.columns import EventBatch, Part
from monitor.groups.register import Register
from monitor.groups.sorting import Memberships
from monitor.kernels.hashing import mix
from monitor.tally.duplicates import Duplicates

DAY_SECONDS = 86400.0
COUNTED = 64
"""Different people of a group up to which they are counted; with so many it is no small group."""
FIELDS = {
    "group": Field(np.int32, still=True),
    "n": Field(np.uint8, still=True),
    "met": Field(np.uint64, (COUNTED,), still=True),
    "anonymous": Field(np.int64, still=True),
}
"""Of groups in whose cases an ``entity`` was named: the first ``n`` people that were ``met`` (hashes), and the cases
since then that named nobody."""
_DECIDED, _MATURED = np.uint64(1), np.uint64(2)

Keys = NDArray[np.uint64]
Rows64 = NDArray[np.int64]


class People:
    """Remembers who was counted today, and counts the first people of each group."""

    def __init__(self, register: Register, capacity: int) -> None:
        self.rows = Rows(FIELDS)
        self.counted = Duplicates(2 * DAY_SECONDS, capacity)
        self._register = register
        self._of_group: dict[int, int] = {}
        self._mark = -np.inf

    def once(self, batch: EventBatch, of: Memberships) -> Memberships:
        """``of`` without the predictions for people on whom the model decided before on the same day (UTC)."""
        named = (batch.entity.length > 0) & ((batch.parts & int(Part.PREDICTION)) > 0)
        if not named.any() and not self._of_group:
            return of
        events = np.unique(of.event[named[of.event]])
        repeated = np.zeros(len(batch), bool)
        keys = self._keys(batch.model.hash[events], batch.entity.hash[events], batch.time[events], _DECIDED)
        repeated[events] = self._met(keys, batch.time[events])
        kept = ~repeated[of.event]
        event, member = of.event[kept], of.member[kept]
        self._count(self._register.members["group"][member], batch.entity.hash[event] * named[event])
        return Memberships(event, member, np.searchsorted(event, np.arange(len(batch) + 1)))

    def first(self, models: Keys, entity: Keys, time: NDArray[np.float64], due: float) -> NDArray[np.bool_]:
        """Which matured cases are the first of their day of their model (hashes ``models``) and person; shape ``(n,)``.

        ``entity`` is 0 where nobody is named: such a case is always one.
        """
        first = np.ones(len(time), bool)
        order = np.flatnonzero(entity > 0)
        order = order[np.argsort(time[order], kind="stable")]
        keys = self._keys(models[order], entity[order], time[order], _MATURED)
        first[order] = ~self._met(keys, np.full(len(order), due))
        return first

    def few(self, groups: NDArray[np.integer], cases: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of how many people ``cases`` of ``groups`` are at most, as far as that is few; shapes ``(k,)``."""
        if not self._of_group:
            return cases
        most = cases.astype(np.float64)
        for i, group in enumerate(groups.tolist()):
            row = self._of_group.get(group)
            if row is not None and self.rows["n"][row] < COUNTED:
                most[i] = min(most[i], float(self.rows["n"][row]) + float(self.rows["anonymous"][row]))
        return most

    def told_apart(self, groups: Sequence[int]) -> NDArray[np.bool_]:
        """Of which ``groups`` (k,) people are told apart: an ``entity`` was named in their cases."""
        return np.array([group in self._of_group for group in groups], bool)

    def forget(self, models: Keys, entity: np.uint64) -> int:
        """Remove a person (hash) from those of today of ``models`` (hashes) and of groups; how many places held it."""
        n = 0
        for row in np.flatnonzero((self.rows["met"][: len(self.rows)] == entity).any(axis=1)).tolist():
            kept = self.rows["met"][row][self.rows["met"][row] != entity]
            self.rows["met"][row, : len(kept)], self.rows["met"][row, len(kept) :] = kept, 0
            self.rows["n"][row] -= 1
            self.rows["anonymous"][row] += 1
            self.rows.touch(row)
            n += 1
        if np.isfinite(self._mark):
            days = np.repeat(self._mark + DAY_SECONDS * np.arange(-4.0, 3.0), len(models))
            of = np.tile(models, len(days) // len(models))
            for which in (_DECIDED, _MATURED):
                n += self.counted.forget(self._keys(of, np.full(len(of), entity), days, which))
        return n

    def restored(self) -> None:
        """Put in order what follows from the table, after it was loaded."""
        self._of_group = {group: row for row, group in enumerate(self.rows["group"][: len(self.rows)].tolist())}

    def _met(self, keys: Keys, time: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each of ``keys`` was met before within its day; each is remembered."""
        if not len(keys):
            return np.zeros(0, bool)
        marks = np.maximum.accumulate(np.maximum(time, max(self._mark, self.counted.generations[-1].began)))
        self._mark = float(marks[-1])
        return self.counted.find(keys, marks)

    @staticmethod
    def _keys(models: Keys, entity: Keys, time: NDArray[np.float64], which: np.uint64) -> Keys:
        day = np.floor(time / DAY_SECONDS).astype(np.int64).astype(np.uint64)
        return np.maximum(mix(mix(models, entity), day * np.uint64(4) + which), np.uint64(1))

    def _count(self, group: NDArray[np.int32], entity: Keys) -> None:
        """Let the people of cases into the counts of their groups, shapes ``(k,)``; 0: nobody was named."""
        rows = self.rows
        for one in np.unique(group).tolist():
            people = np.unique(entity[group == one])
            people = people[people > 0]
            row = self._of_group.get(one)
            if row is None:
                if not len(people):
                    continue
                row = self._of_group[one] = rows.add()
                rows["group"][row] = one
            n = int(rows["n"][row])
            if n < COUNTED:
                new = np.setdiff1d(people, rows["met"][row, :n])[: COUNTED - n]
                rows["met"][row, n : n + len(new)] = new
                rows["n"][row] = n + len(new)
                rows["anonymous"][row] += int(((group == one) & (entity == 0)).sum())
                rows.touch(row)
