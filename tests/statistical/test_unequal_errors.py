"""Are groups with equal errors left alone within the budget, and unequal ones found? Cohorts as sums."""

from __future__ import annotations

import numpy as np
import pytest
from fleets.build import START, new_fleet
from numpy.typing import NDArray

from monitor.fleet import Fleet
from monitor.groups.questions import Kind
from monitor.groups.sums import TallySums
from monitor.kernels.hashing import hash64

TICK = 604.8
"""Seconds: a thousand ticks are a week."""


class Cohorts:
    """A fleet of models with two groups each, whose matured cohorts are given as sums of one kind."""

    def __init__(self, models: int, per_week: float, kind: Kind, **policy: object) -> None:
        self.fleet: Fleet = new_fleet(
            {"favourable": ("y",), "tick": f"{TICK}s", **policy},
            per_week=per_week,
            per_model=per_week,
            models_max=models,
        )
        register, members = self.fleet.groups.register, []
        for i in range(models):
            name = f"m{i}"
            row = self.fleet.models.add(name, hash64(name.encode()), self.fleet.discovery.policy_of(name), START)
            attribute, stratum = register.attribute(row, "sex"), register.stratum(row, 0)
            for value in ("F", "M"):
                group = register.group(attribute, value, hash64(value.encode()))
                members.append(register.member(group, stratum))
        self.rows, self.tick = register.bases(np.array(members), kind), 0

    def feed(self, n: NDArray[np.float64], s: NDArray[np.float64]) -> list[tuple[int, str]]:
        """One cohort of ``n`` and ``s`` (models, 2); model and group of what begins to alarm."""
        self.tick += 1
        sums = TallySums(self.rows, n.ravel(), s.ravel())
        compared = self.fleet.groups.comparer.judge(START + self.tick * TICK, sums)
        register = self.fleet.groups.register
        cells = [alarm.cell for alarm in compared.alarms]
        return [
            (
                int(register.outputs["model"][register.cells["output"][cell]]),
                register.group_names[register.cells["group"][cell]],
            )
            for cell in cells
        ]


@pytest.mark.parametrize("kind", [Kind.OPPORTUNITY, Kind.LOSS, Kind.COVERAGE])
def test_a_gap_of_the_tolerance_stays_within_the_budget(kind: Kind) -> None:
    """V4 for gaps: every model exactly at what is tolerated, sizes at random: alarms are at most what was spent."""
    rng = np.random.default_rng(51)
    cohorts, alarms = Cohorts(100, 400.0, kind, keep_firing="0s", tolerance={"label_gap": 0.05}), 0
    rate = [0.35, 0.30] if kind == Kind.LOSS else [0.60, 0.65]
    for _ in range(300):
        n = np.stack([rng.poisson(12, 100), rng.poisson(50, 100)], axis=1).astype(float)
        alarms += len(cohorts.feed(n, rng.binomial(n.astype(int), rate).astype(float)))
    spent = cohorts.fleet.judge.budget.spent["fairness"]
    assert 0.0 < spent <= 0.5 * 400.0 * 0.3 + 1e-6
    # The expectation is bounded by what was spent: four standard errors of as many rare events about it.
    assert alarms <= spent + 4.0 * np.sqrt(spent)


def test_gaps_are_found_and_nothing_else() -> None:
    """V5 for gaps: of 200 models with a gap of 0.03, 20 come to 0.25: most are found for the right group, few others.

    Beside it a z-test at 5 % on every cohort, as often wrong as its level says, every tick anew.
    """
    rng = np.random.default_rng(52)
    cohorts, first, naive = Cohorts(200, 5.0, Kind.OPPORTUNITY), {}, 0
    rate = np.tile([0.62, 0.65], (200, 1))
    for tick in range(400):
        if tick == 100:
            rate[:20, 0] = 0.40
        n = np.tile([10.0, 40.0], (200, 1))
        s = rng.binomial(n.astype(int), rate).astype(float)
        p = s.sum(axis=1) / n.sum(axis=1)
        z = (s[:, 1] / n[:, 1] - s[:, 0] / n[:, 0]) / np.sqrt(p * (1.0 - p) * (1.0 / n[:, 0] + 1.0 / n[:, 1]))
        naive += int((z[20:] > 1.645).sum())
        for model, group in cohorts.feed(n, s):
            assert model >= 20 or group == "F"
            first.setdefault(model, tick)
    found = [first[m] - 100 for m in range(20) if m in first]
    assert len(found) >= 18
    assert min(found) > 0
    assert np.median(found) < 120
    # Four standard errors about a mean of at most 2.5 * 0.4.
    assert sum(model >= 20 for model in first) <= 5
    assert naive > 3_000


@pytest.mark.parametrize(("share", "within"), [(0.01, 700), (0.05, 180), (0.2, 60)])
def test_power_at_small_shares(share: float, within: int) -> None:
    """A gap of 0.3 is found where the group is a hundredth of the people too; the smaller, the later."""
    rng = np.random.default_rng(53)
    cohorts, first = Cohorts(10, 5.0, Kind.OPPORTUNITY), {}
    for tick in range(1500):
        n = np.stack([rng.poisson(100 * share, 10), rng.poisson(100 * (1 - share), 10)], axis=1).astype(float)
        for model, _ in cohorts.feed(n, rng.binomial(n.astype(int), [0.5, 0.8]).astype(float)):
            first.setdefault(model, tick)
        if len(first) == 10:
            break
    assert len(first) == 10
    assert np.median(list(first.values())) < within


def test_residuals_of_scores_stay_within_the_budget() -> None:
    """Means of what is not 0 or 1 are bet on as rates: at the tolerated gap of outcomes over scores few alarms come."""
    rng = np.random.default_rng(54)
    cohorts, alarms = Cohorts(100, 400.0, Kind.CALIBRATION, keep_firing="0s"), 0
    for _ in range(200):
        n = np.tile([10.0, 40.0], (100, 1))
        s = np.zeros((100, 2))
        for side, (size, over) in enumerate(((10, 0.05), (40, 0.0))):
            score = rng.uniform(0.3, 0.9, (100, size))
            y = rng.random((100, size)) < score + over
            s[:, side] = np.rint(((1.0 + y - score) / 2.0).sum(axis=1) * 2**20) / 2**20
        alarms += len(cohorts.feed(n, s))
    spent = cohorts.fleet.judge.budget.spent["fairness"]
    assert spent > 5.0
    assert alarms <= spent + 4.0 * np.sqrt(spent)
