"""How do a model's features lie in each group of people? Counts by stratum of sampled events, and nothing is judged.

They tell which features a group differs in, and so which could make a model treat it otherwise without being told who
is who.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.rows import Field, Rows
from monitor.events.columns import EventBatch
from monitor.groups.watch import Groups
from monitor.kernels.lean import NO_PLACES, SLOTS, STRATA, lay
from monitor.outcomes.matured import Matured
from monitor.outcomes.outcomes import Outcomes

EVENTS_MAX = 20_000
"""Events of a group after which those before count for half: so counts are of the newest ones above all."""

FIELDS = {
    "group": Field(np.int32, (), -1, still=True),
    "n": Field(np.int64),
    "counts": Field(np.uint16, (SLOTS, STRATA)),
}
"""By row: the group, its events, and how many of them lie in each stratum of each of the first 32 features."""

Words = NDArray[np.uint64]
Rows64 = NDArray[np.int64]


class FeaturesByGroup:
    """Counts of all groups but intersections. Which events are looked at is what :class:`Leaning` says."""

    def __init__(self, groups: Groups, outcomes: Outcomes) -> None:
        self.rows = Rows(FIELDS)
        self.takers: list[Callable[[Rows64, Rows64, Words], None]] = []
        """Who else is told which events are of which groups (k,) each, and where the features of events lie."""
        self._groups = groups
        self._of_group: dict[int, int] = {}
        self._grown: set[int] = set()
        outcomes.takers.append(self.take)

    def tables(self) -> Mapping[str, Rows]:
        """What must be stored, by name."""
        return {"leaning.groups": self.rows}

    def restored(self) -> None:
        """Put in order what follows from the table, after it was loaded."""
        self._of_group = {group: row for row, group in enumerate(self.rows["group"][: len(self.rows)].tolist())}

    def note(
        self,
        batch: EventBatch,
        hashes: NDArray[np.uint64],
        model: NDArray[np.int32],
        series: NDArray[np.int32],
        places: Words,
    ) -> None:
        """Count the events of ``batch`` of which ``places`` (n, 2) says where their features lie.

        ``hashes`` (n,) are keys of models, ``model`` (n,) their rows or -1, ``series`` (m,) those of entries. Groups
        that were not counted before are not here either.
        """
        chosen = (places != NO_PLACES).any(axis=1) & (model >= 0)
        if not chosen.any() or not self._groups.sorter.concerns(batch):
            return
        register = self._groups.register
        turned_away = register.turned_away  # what a limit keeps out was counted once already
        of = self._groups.sorter.sort(batch, hashes, np.where(chosen, model, -1).astype(np.int32), series)
        register.turned_away = turned_away
        self._add(of.event, of.member, places)

    def take(self, cases: Matured) -> None:
        """Count matured cases of whom an attribute came in a record of its own: now it is known whose they are."""
        if not cases.apart.any():
            return
        known = (cases.places != NO_PLACES).any(axis=1)[:, None] & cases.apart
        if known.any():
            of = self._groups.recaller.recall(cases.model, cases.names, cases.texts, cases.kinds, known)
            self._add(of.event, of.member, cases.places)

    def close(self) -> None:
        """At the end of a tick: let what is old count for less."""
        for row in sorted(self._grown):
            if self.rows["n"][row] > EVENTS_MAX:
                self.rows["counts"][row] //= 2
                self.rows["n"][row] //= 2
        self._grown.clear()

    def counts(self, groups: list[int]) -> tuple[Rows64, NDArray[np.float64]]:
        """Events of ``groups`` (k,), and (k, SLOTS, STRATA) of them by stratum of each feature."""
        n, counts = np.zeros(len(groups), np.int64), np.zeros((len(groups), SLOTS, STRATA))
        for i, group in enumerate(groups):
            if (row := self._of_group.get(group)) is not None:
                n[i], counts[i] = self.rows["n"][row], self.rows["counts"][row]
        return n, counts

    def _add(self, event: Rows64, member: Rows64, places: Words) -> None:
        group = self._groups.register.members["group"][member].astype(np.int64)
        own = np.flatnonzero(~self._groups.register.crossed(group))
        if not len(own):
            return
        for take in self.takers:
            take(group[own], event[own], places)
        found, place = np.unique(group[own], return_inverse=True)
        rows = np.array([self._row(each) for each in found.tolist()], np.int64)
        lay(rows[place], event[own], places, self.rows["counts"])
        self.rows["n"][rows] += np.bincount(place, minlength=len(rows))
        self.rows.stir(rows)
        self._grown.update(rows.tolist())

    def _row(self, group: int) -> int:
        row = self._of_group.get(group)
        if row is None:
            row = self._of_group[group] = self.rows.add()
            self.rows["group"][row] = group
        return row
