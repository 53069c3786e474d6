"""Silence and volume in four worlds in which nothing is wrong, from empty expectations in the middle of a week.

Tolerance. Traffic may spend what the share of quality allows it, 0.5 false alarms a week here at the most; the number
in two weeks is at most Poisson of mean 1, so above 1 + 4 sqrt(1) = 5 but once in 1,000 runs. A fleet that never alarms
would pass too: that faults are found is tested in ``tests/unit/traffic``.
"""

from __future__ import annotations

import numpy as np
import pytest

from monitor.budget import Budget
from monitor.catalog.models import SHARES, Models
from monitor.catalog.policies import Policy
from monitor.traffic.watch import Traffic

pytestmark = pytest.mark.statistical

START, TICK, MODELS, DAYS = 1_767_225_600.0, 600.0, 400, 14


def fleet() -> Traffic:
    """Models that have twenty features each beside their traffic."""
    models, cells = Models(MODELS), dict.fromkeys(SHARES, 0)
    for i in range(MODELS):
        models.add(f"m{i}", i + 1, Policy(tick="600s"), START)
    models.rows["n_cells"][:MODELS, SHARES.index("quality")] = 80
    cells["quality"] = 80 * MODELS
    return Traffic(models, Budget(5.0, 1.0, {"quality": 0.1}), cells)


@pytest.mark.parametrize(
    "world",
    ["independent", "seasonal", *(pytest.param(w, marks=pytest.mark.long) for w in ("autocorrelated", "clustered"))],
)
def test_nothing_wrong_nothing_told(world: str) -> None:
    """Two events an hour or 20,000, days and weekends, days that wander, events in fives: within the budget."""
    rng, traffic = np.random.default_rng(31), fleet()
    rate = 10 ** rng.uniform(np.log10(2), np.log10(20_000), MODELS) * TICK / 3600
    phase, height, weekend = (
        rng.uniform(0, 2 * np.pi, MODELS),
        rng.uniform(0.2, 0.9, MODELS),
        rng.uniform(0.2, 1, MODELS),
    )
    wander, alarms = np.zeros(MODELS), []
    for k in range(round(DAYS * 86400 / TICK)):
        end = START + (k + 1) * TICK
        hour, day = end / 3600, int(end // 86400) % 7
        mean = rate
        if world != "independent":
            mean = rate * (1 + height * np.sin(2 * np.pi * hour / 24 + phase)) * (weekend if day in {2, 3} else 1.0)
        if world == "autocorrelated":
            wander = 0.995 * wander + rng.normal(0, 0.1 * np.sqrt(1 - 0.995**2), MODELS)
            mean = mean * np.exp(wander)
        events = rng.poisson(mean / 5) * 5 if world == "clustered" else rng.poisson(mean)
        alarms += [a for due in traffic.pass_time(end, through=False, silence_too=True) for a in due.alarms]
        traffic.count(np.arange(MODELS), events.astype(np.int64), end, np.zeros(MODELS, bool))
    print(f"{world}: {len(alarms)} false alarms of {MODELS} models in {DAYS} days")
    assert len(alarms) <= 5
    assert traffic.rows["judged"][:MODELS].mean() > 0.8
