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
from monitor.groups.group_rows import GroupRows
from monitor.groups.watch import Groups
from monitor.kernels.lean import NO_PLACES, SLOTS, STRATA, lay
from monitor.outcomes.matured import Matured
from monitor.outcomes.outcomes import Outcomes

EVENTS_MAX = 20_000
"""Events of a group after which those before count for half: so counts are of the newest ones above all."""

FIELDS = {
    "group": Field(np.int32, (), -1, still=True),
    "n": Field(np.int64),
    "counts": Field(np.uint16, (SLOTS, STRATA), aside=True),
}
"""By row: the group, its events, and how many of them lie in each stratum of each of the first 32 features."""

Words = NDArray[np.uint64]
Rows64 = NDArray[np.int64]


class FeaturesByGroup:
    """Counts of all groups but intersections. Which events are looked at is what :class:`Leaning` says."""

    def __init__(self, groups: Groups, outcomes: Outcomes) -> None:
        self.rows = GroupRows(FIELDS)
        self.takers: list[Callable[[Rows64, Rows64, Words], None]] = []
        """Who else is told which events are of which groups (k,) each, and where the features of events lie."""
        self._groups = groups
        outcomes.takers.append(self.take)

    def tables(self) -> Mapping[str, Rows]:
        """What must be stored, by name."""
        return {"leaning.groups": self.rows}

    def restored(self) -> None:
        """Put in order what follows from the table, after it was loaded."""
        self.rows.restored()

    def note(
        self,
        batch: EventBatch,
        hashes: NDArray[np.uint64],
        model: NDArray[np.int32],
        series: NDArray[np.int32],
        places: Words,
    ) -> None:
        """Count the events of ``batch`` of which ``places`` (n, 2) says where their features lie.

        ``hashes`` (n,) are keys of models, ``model`` (n,) their rows or -1, ``series`` (m,) those of entries. Groups of
        most events are known from when the batch was counted: only those of which something was new are looked at
        again. Groups that were not counted before are not here either.
        """
        known = self._groups.known
        chosen = ((places[:, 0] & places[:, 1]) != NO_PLACES) & (model >= 0)
        own = np.flatnonzero(chosen[known.event])
        event, member = known.event[own].astype(np.int64), known.member[own].astype(np.int64)
        again = known.left[chosen[known.left]]
        if len(again):
            rest = np.full(len(model), -1, np.int32)
            rest[again] = model[again]
            register = self._groups.register
            turned_away = register.turned_away  # what a limit keeps out was counted once already
            of = self._groups.sorter.sort(batch, hashes, rest, series)
            register.turned_away = turned_away
            event, member = np.concatenate([event, of.event]), np.concatenate([member, of.member])
        self._add(event, member, places)

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
        grown = self.rows.take_counted()
        old = grown[self.rows["n"][grown] > EVENTS_MAX]
        self.rows["counts"][old] //= 2
        self.rows["n"][old] //= 2

    def counts(self, groups: list[int]) -> tuple[Rows64, NDArray[np.float64]]:
        """Events of ``groups`` (k,), and (k, SLOTS, STRATA) of them by stratum of each feature."""
        n, counts = np.zeros(len(groups), np.int64), np.zeros((len(groups), SLOTS, STRATA))
        rows = self.rows.of(np.array(groups, np.int64))
        known = rows >= 0
        n[known], counts[known] = self.rows["n"][rows[known]], self.rows["counts"][rows[known]]
        return n, counts

    def _add(self, event: Rows64, member: Rows64, places: Words) -> None:
        group = self._groups.register.members["group"][member].astype(np.int64)
        own = np.flatnonzero(~self._groups.register.crossed(group))
        if not len(own):
            return
        for take in self.takers:
            take(group[own], event[own], places)
        lay(self.rows.count(group[own], "n"), event[own], places, self.rows["counts"])
