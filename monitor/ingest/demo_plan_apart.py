"""Would a feature that moves in one group be told? The planner plays it some times before, as in ``demo_rehearsal.py``.

What the people of a group and all others have in each stratum of a feature follows from its law, as ever and under the
fault. Some lives of the cell that compares them learn day by day what is usual, and bet on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monitor.apart.cells import DAY_SECONDS, Batch, Cells, Growth
from monitor.apart.watch import BATCH_MIN, SEVERITY, SHARE, day_over, growth
from monitor.budget import Crowd
from monitor.catalog.models import SHARES
from monitor.catalog.series import choose_edges
from monitor.fleet import Fleet
from monitor.ingest.demo import DemoFleet
from monitor.ingest.demo_faults import Fault
from monitor.ingest.demo_laws import ATTRIBUTES, POOL, STEP_SECONDS, Floats
from monitor.ingest.demo_rehearsal import LIVES, by_tick, chances, lives, tick_of, within
from monitor.kernels.hashing import hash64
from monitor.kernels.lean import MISSING, STRATA
from monitor.leaning.sums import in_short_tick, thinned


def features_by_group(demo: DemoFleet, faults: Sequence[Fault], scratch: Fleet, cells: float) -> list[float]:
    """The chance of each of ``faults`` in a feature of a group; the budget's part is shared by ``cells`` a model."""
    if not faults:
        return []
    models = lives(demo, faults, scratch)
    models.rows["n_cells"][: len(models), SHARES.index(SHARE)] = round(cells)
    crowd = Crowd.of(SHARE, round(cells) * len(demo.models), models)
    row, day = LIVES * np.arange(len(faults)), np.full(len(faults), DAY_SECONDS)
    budget = scratch.judge.budget
    allowance = budget.allowance(SHARE, crowd, row, day) * budget.weight(SEVERITY)
    played = [
        _Played.of(demo, fault, growth(models, i), float(models.rows["tolerance_drift"][i]), spent)
        for fault, i, spent in zip(faults, row.tolist(), allowance.tolist(), strict=True)
    ]
    rng, tick, told = np.random.default_rng(6), tick_of(models), np.zeros(len(models), bool)
    fleet = in_short_tick(demo.means().sum(axis=1) * tick / STEP_SECONDS, tick).mean()
    for starts, mean in by_tick(demo, faults, tick):
        looked_at = mean / 2.0 ** thinned(in_short_tick(mean.sum(axis=0), tick), float(fleet))
        for i, life in enumerate(played):
            own = slice(LIVES * i, LIVES * (i + 1))
            life.count(starts[:, 0], looked_at[:, own], rng)
            told[own] |= life.close(starts[0, 0] + tick)
    return chances(told)


@dataclass(slots=True)
class _Played:
    """Some lives of the cell of a fault's group and feature, and what came today in each, (LIVES, 2, STRATA).

    ``usual`` and ``spoiled`` (2, STRATA) are the shares of the strata in the group and among all others, times their
    shares among the people.
    """

    fault: Fault
    growth: Growth
    tolerance: float
    log_budget: float
    usual: Floats
    spoiled: Floats
    cells: Cells = field(default_factory=Cells)
    came: Floats = field(default_factory=lambda: np.zeros((LIVES, 2, STRATA)))
    due: float = -np.inf

    @classmethod
    def of(cls, demo: DemoFleet, fault: Fault, growth: Growth, tolerance: float, allowance: float) -> _Played:
        """Lives that know nothing yet; all cells of the model share ``allowance`` a day."""
        model = demo.models[demo.row(fault.model)]
        law = demo.laws.law_of(model, fault.feature or "")
        share = ATTRIBUTES[fault.attribute or ""][fault.group or ""]
        sides, largest = np.array([[share], [1.0 - share]]), np.arange(POOL) >= POOL * (1.0 - share)
        usual = sides * _strata(np.full(POOL, 1.0 / POOL), law.numbers)
        apart = np.stack([_strata(np.where(which, 1.0 / POOL, 0.0), law.numbers) for which in (largest, ~largest)])
        spoiled = (1.0 - fault.size) * usual + fault.size * apart
        judged = len(model.laws) * sum(map(len, ATTRIBUTES.values()))
        return cls(fault, growth, tolerance, float(np.log(allowance / judged)), usual, spoiled)

    def count(self, starts: Floats, mean: Floats, rng: np.random.Generator) -> None:
        """Let come what is looked at of a tick's steps, which begin at ``starts``: ``mean`` (steps, LIVES) events."""
        held = (self.fault.began <= starts) & (starts < self.fault.ended)
        for under, shares in ((held, self.spoiled), (~held, self.usual)):
            self.came += rng.poisson(mean[under].sum(axis=0)[:, None, None] * shares)

    def close(self, end: float) -> NDArray[np.bool_]:
        """At the end of a tick: judge the day if it is over; in which lives the fault is told, in its time."""
        told = np.zeros(LIVES, bool)
        if end < self.due:
            return told
        if np.isfinite(self.due):
            told[self._judge(end)] = within(self.fault, end, DAY_SECONDS)
            self.came[:] = 0.0
        self.due = day_over(hash64(self.fault.model.encode()), end)
        return told

    def _judge(self, end: float) -> NDArray[np.int64]:
        """Judge the day of all lives; those that fire."""
        enough = np.flatnonzero(self.came.sum(axis=2).min(axis=1) >= BATCH_MIN)
        none = np.zeros(len(enough), np.int64)
        batch = Batch(self.cells.places(enough, none, none, none == 0), self.came[enough], end)
        self.cells.rows["tolerance"][batch.at] = self.tolerance
        judged = self.cells.rows["judged"][batch.at]
        fires = none[:0]
        if judged.any():
            seen = self.cells.bet(batch.some(judged), np.full(int(judged.sum()), self.log_budget))
            fires = enough[judged][seen.alarm]
        self.cells.take_in(batch.some(~judged))
        self.cells.learn(batch, self.growth)
        return fires


def _strata(weights: Floats, values: Floats) -> Floats:
    """What lies in each stratum of a law whose ``values`` have ``weights``."""
    edges = choose_edges(values)
    bins = np.searchsorted(edges, values, side="left")
    shares: Floats = np.bincount(bins * MISSING // (len(edges) + 1), weights, STRATA).astype(np.float64)
    return shares
