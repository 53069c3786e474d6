"""What came of which scores, in each group of people? Counts of matured cases, of which reports are made."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.rows import Field
from monitor.groups.group_rows import GroupRows
from monitor.groups.sorting import Memberships
from monitor.groups.watch import Groups
from monitor.kernels.add import count
from monitor.outcomes.matured import Matured
from monitor.outcomes.totals import SCORE_BINS

FIELDS = {"group": Field(np.int32, (), -1, still=True), "counts": Field(np.uint32, (2, SCORE_BINS), aside=True)}
"""By row: the group, and its cases by outcome (what the score speaks of did not come, or came) and bin of the score."""


class ScoresByGroup:
    """Counts of all groups but intersections, since the first case."""

    def __init__(self, groups: Groups) -> None:
        self.rows = GroupRows(FIELDS)
        self._groups = groups

    def count(self, cases: Matured, of: Memberships) -> None:
        """Count ``cases`` with a score and an outcome that it speaks of; ``of`` are their groups."""
        register = self._groups.register
        group = register.members["group"][of.member].astype(np.int64)
        scored = ~np.isnan(cases.score) & ~np.isnan(cases.y)
        own = np.flatnonzero(scored[of.event] & ~register.crossed(group))
        if not len(own):
            return
        rows, event = self.rows.enter(group[own]), of.event[own]
        bins = np.minimum((cases.score[event] * SCORE_BINS).astype(np.int64), SCORE_BINS - 1)
        count(self.rows["counts"], (2 * rows + cases.y[event].astype(np.int64)) * SCORE_BINS + bins)
        self.rows.stir(rows)

    def counts(self, groups: Sequence[int]) -> NDArray[np.float64]:
        """Cases of ``groups`` (k,) by outcome and bin of the score, (k, 2, SCORE_BINS)."""
        rows = self.rows.of(np.array(groups, np.int64))
        counts = np.zeros((len(groups), 2, SCORE_BINS))
        counts[rows >= 0] = self.rows["counts"][rows[rows >= 0]]
        return counts

    def restored(self) -> None:
        """Put in order what follows from the table, after it was loaded."""
        self.rows.restored()
