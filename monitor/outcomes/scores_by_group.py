"""What came of which scores, in each group of people? Counts of matured cases, of which reports are made."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.rows import Field, Rows
from monitor.groups.sorting import Memberships
from monitor.groups.watch import Groups
from monitor.outcomes.matured import Matured
from monitor.outcomes.totals import SCORE_BINS

FIELDS = {"group": Field(np.int32, (), -1, still=True), "counts": Field(np.uint32, (2, SCORE_BINS))}
"""By row: the group, and its cases by outcome (what the score speaks of did not come, or came) and bin of the score."""


class ScoresByGroup:
    """Counts of all groups but intersections, since the first case."""

    def __init__(self, groups: Groups) -> None:
        self.rows = Rows(FIELDS)
        self._groups = groups
        self._of_group: dict[int, int] = {}

    def count(self, cases: Matured, of: Memberships) -> None:
        """Count ``cases`` with a score and an outcome that it speaks of; ``of`` are their groups."""
        register = self._groups.register
        group = register.members["group"][of.member].astype(np.int64)
        scored = ~np.isnan(cases.score) & ~np.isnan(cases.y)
        own = np.flatnonzero(scored[of.event] & ~register.crossed(group))
        if not len(own):
            return
        found, place = np.unique(group[own], return_inverse=True)
        rows = np.array([self._row(each) for each in found.tolist()], np.int64)
        event = of.event[own]
        bins = np.minimum((cases.score[event] * SCORE_BINS).astype(np.int64), SCORE_BINS - 1)
        np.add.at(self.rows["counts"], (rows[place], cases.y[event].astype(np.int64), bins), 1)
        self.rows.stir(rows)

    def counts(self, groups: Sequence[int]) -> NDArray[np.float64]:
        """Cases of ``groups`` (k,) by outcome and bin of the score, (k, 2, SCORE_BINS)."""
        counts = np.zeros((len(groups), 2, SCORE_BINS))
        for i, group in enumerate(groups):
            if (row := self._of_group.get(group)) is not None:
                counts[i] = self.rows["counts"][row]
        return counts

    def restored(self) -> None:
        """Put in order what follows from the table, after it was loaded."""
        self._of_group = {group: row for row, group in enumerate(self.rows["group"][: len(self.rows)].tolist())}

    def _row(self, group: int) -> int:
        row = self._of_group.get(group)
        if row is None:
            row = self._of_group[group] = self.rows.add()
            self.rows["group"][row] = group
        return row
