"""Is a series that is compared with the same hour of the week before quiet where its week repeats, and not blind?

Each series has its days, and a campaign of three hours at a time of its own in the week. Four roots above the budget is
passed once in 30,000 runs. The seeds are fixed.
"""

from __future__ import annotations

import numpy as np
import pytest
from fleets.build import DAY, HOUR, SHARES, START
from numpy.typing import NDArray

from monitor.budget import Budget
from monitor.catalog import references
from monitor.catalog.models import Models, Phase
from monitor.catalog.policies import Clause, Policies
from monitor.catalog.series import Series
from monitor.detectors import DETECTORS
from monitor.judging import Judge, TickSums
from monitor.kernels.tally import COLUMNS, EVENTS, KIND_NUMBER, PRESENT

pytestmark = pytest.mark.statistical

SERIES, A_TICK, WEEKS, SHIFT_WEEK = 40, 1500, 4, 3
TICK, TICKS = 3 * HOUR, 56
"""Seconds of a tick, and ticks of a week."""
PER_WEEK = 100.0
DRIFT = [detector.name for detector in DETECTORS].index("drift")
_X = np.linspace(-1.5, 1.5, 20)


class World:
    """Distributions over 20 bins, by series and tick: each has a day, and a campaign a week."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.day = self.rng.uniform(0.05, 0.2, SERIES)
        self.phase = self.rng.uniform(0, 2 * np.pi, SERIES)
        self.campaign = self.rng.integers(0, TICKS, SERIES)

    def shares(self, tick: int, shift: NDArray[np.float64]) -> NDArray[np.float64]:
        tilt = self.day * np.sin(2 * np.pi * tick / 8 + self.phase) + 1.2 * (tick % TICKS == self.campaign) + shift
        weight = np.exp(tilt[:, None] * _X)
        return weight / weight.sum(axis=1, keepdims=True)

    def counts(self, tick: int, shift: NDArray[np.float64]) -> NDArray[np.uint32]:
        counts = np.zeros((SERIES, COLUMNS), np.uint32)
        counts[:, :20] = self.rng.multinomial(A_TICK, self.shares(tick, shift))
        counts[:, [PRESENT, EVENTS]] = A_TICK
        return counts


def judge_of(world: World) -> Judge:
    """A judge of numbers, one a model, whose references are what their first days showed."""
    models, series = Models(SERIES), Series()
    policy = Policies([Clause("*", {"reference": "same-slot-last-week"}, "test")]).resolve("m")
    for i in range(SERIES):
        models.add(f"m{i}", i + 1, policy, START)
        models.rows["phase"][i] = Phase.FROZEN
        row = series.add(i, 1, 0, "x", i + 1, START)
        series.rows["kind"][row] = KIND_NUMBER
        references.set_edges(series, row, np.arange(19.0))
        series.rows["seen_low"][row], series.rows["seen_high"][row] = 0.0, 20.0
    for tick in range(-16, 0):
        series.rows["reference"][:SERIES] += world.counts(tick, np.zeros(SERIES))
    judge = Judge(models, series, Budget(PER_WEEK, PER_WEEK, SHARES))
    references.begin_judging(series, np.arange(SERIES))
    judge.begin(np.arange(SERIES))
    return judge


def lived(seed: int, size: float) -> tuple[Judge, list[tuple[int, float]]]:
    """Live for :data:`WEEKS`; from :data:`SHIFT_WEEK` on every second series is shifted by ``size`` for good.

    Returns the judge and which series fired of drift, days after the beginning.
    """
    world, fired = World(seed), []
    judge, shifted = judge_of(world), np.where(np.arange(SERIES) % 2 == 0, size, 0.0)
    for tick in range(WEEKS * TICKS):
        end = START + (tick + 1) * TICK
        counts = world.counts(tick, shifted * (tick >= SHIFT_WEEK * TICKS))
        judged = judge.judge(TickSums(np.arange(SERIES), counts, end, np.full(SERIES, TICK)))
        fired += [(alarm.row, (end - START) / DAY) for alarm in judged.alarms if alarm.detector == DRIFT]
    return judge, fired


def test_weeks_that_repeat_are_quiet_and_a_level_that_changes_is_found() -> None:
    """Campaigns are told in the first week alone; what shifts is told within three days and still fires in the end."""
    judge, fired = lived(seed=42, size=0.5)
    first = {row: day - 7 * SHIFT_WEEK for row, day in reversed(fired) if day > 7 * SHIFT_WEEK}
    campaigns, allowed = sum(day <= 7 for _, day in fired), judge.budget.spent["drift"] / WEEKS
    print(f"{campaigns} campaigns told, {allowed:.0f} allowed, then {len(first)} of {SERIES // 2} shifts: {first}")
    assert judge.seasons.paired(np.arange(SERIES)).all()
    assert campaigns <= allowed + 4 * np.sqrt(allowed)
    assert not [day for _, day in fired if 7.0 < day <= 7 * SHIFT_WEEK]
    assert set(first) == set(range(0, SERIES, 2))
    assert max(first.values()) <= 3.0
    assert np.flatnonzero(judge.states["drift"]["firing"][:SERIES]).tolist() == sorted(first)
