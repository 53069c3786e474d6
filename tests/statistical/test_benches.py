"""The benches of the promise: hours counted from a grid are the hours that events would give, and nothing wrong is so.

What the benches find is in docs/statistics.md; here they run small.
"""

from __future__ import annotations

import importlib
import json
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from monitor.config import load

pytestmark = pytest.mark.statistical

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCH))
    for name in ("worlds", "false_alarms", "delay"):
        sys.modules.pop(name, None)
    return importlib.import_module("false_alarms")


CONFIG = load(None, {}, {"clock.tick": "1h"})


def test_counted_hours_are_what_events_would_give(bench: ModuleType) -> None:
    """Two days of which the second is counted from the grid, and two of events: the same sums and references."""
    world = [bench.World("clustered", 6, 3) for _ in range(2)]
    counted, written = (bench.Watched(CONFIG, one) for one in world)
    for hour in world[0].hours(2.5):
        counted.hour(hour)
    for hour in world[1].hours(2.5):
        written._write(hour)
        written.fleet.close(hour.start + 3600.0)
    assert counted._series is not None
    a, b = counted.fleet, written.fleet
    for name in ("reference", "recent", "suspected", "seen_low", "seen_high", "low", "high"):
        assert np.array_equal(a.series.rows[name], b.series.rows[name]), name
    assert np.array_equal(a.models.rows["events"], b.models.rows["events"])
    assert np.array_equal(a.models.rows["phase"], b.models.rows["phase"])
    # What the inputs of single events spend, and those are quality's alone, is not counted from the grid.
    for share in ("drift", "performance", "fairness"):
        assert a.judge.budget.spent[share] == b.judge.budget.spent[share]


@pytest.mark.parametrize("kind", ["independent", "seasonal", "autocorrelated", "clustered"])
def test_a_world_is_what_it_says(bench: ModuleType, kind: str) -> None:
    """Values are standard normal but for the season; neighbours are as alike as the world makes them."""
    world = bench.World(kind, 4, 5)
    hours = list(world.hours(14.0))
    z = np.concatenate([(h.place - bench.PLACES // 2 + 0.5) / 64 for h in hours])
    model = np.concatenate([h.model for h in hours])
    busiest = int(np.argmax(np.bincount(model)))
    own = z[model == busiest]
    n = len(own)
    assert n > 1000
    # Means of correlated events scatter more: three times the variance at most.
    assert np.all(np.abs(own.mean(axis=0)) < 4.5 * np.sqrt(3.0 / n) + (0.3 if kind == "seasonal" else 0.0))
    assert np.all(np.abs(own.std(axis=0) - 1.0) < 0.1)
    alike = np.mean([np.corrcoef(own[1:, j], own[:-1, j])[0, 1] for j in range(10)])
    wanted = {"independent": 0.0, "seasonal": 0.05, "autocorrelated": 0.5, "clustered": 0.29}[kind]
    assert abs(alike - wanted) < 0.06


def test_nothing_wrong_stays_within_the_budget(bench: ModuleType) -> None:
    """40 models in an independent world for nine days: modelwatch tells no more than its budget, PSI far more."""
    table = bench.run("independent", 40, 9.0, 1, CONFIG)
    assert sum(table["modelwatch"]) <= 1
    assert table["psi > .1"][1] > 10
    assert "modelwatch, pages" in bench.as_text([{"world": "independent", "seed": 1, "table": table}])


@pytest.mark.long
def test_delay_falls_with_size_and_grows_slowly_with_the_fleet(
    bench: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    """V8: a fleet a thousand times as large sees half a standard deviation after less than three times the events."""
    delay = importlib.import_module("delay")
    medians = {
        (size, cells): float(
            np.median(delay.Ours("number", 100, cells, None, np.random.default_rng(7)).delays(size, 4000))
        )
        for size, cells in ((0.5, 1), (0.5, 1000), (0.5, 100_000), (1.0, 1000))
    }
    print(f"V8 median events until a shift is seen, by size and cells: {medians}")
    assert medians[1.0, 1000] < medians[0.5, 1000] < 600
    assert medians[0.5, 1] < medians[0.5, 1000] < 3 * medians[0.5, 1]
    # Evidence has to grow from the budget of a tick: each factor of 100 costs the same number of events.
    per_hundred = (medians[0.5, 100_000] - medians[0.5, 1]) / 2.5
    assert medians[0.5, 100_000] - medians[0.5, 1000] < 1.7 * per_hundred


def test_a_soak_never_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fills the topic of a soak are events of as many models as it says, in the order of their times."""
    monkeypatch.syspath_prepend(str(BENCH))
    endless = importlib.import_module("soak").endless(models=30, per_tick=8.0)
    events = [json.loads(next(endless)) for _ in range(2_000)]
    assert len({event["model"] for event in events}) == 30
    assert all(a["time"] <= b["time"] for a, b in pairwise(events))
