"""What do cells that see nothing cost the others of their share, and what would the slow ones pay for being left out?

A cell bets once an hour on a rate, with three shifts, tempered as where events do not clump. All cells of the fleet
share one false alarm a week: a fifth of five. Delays are means over 400 cells.
"""

from __future__ import annotations

import numpy as np
import pytest
from fleets.build import DAY, HOUR, START, columns, feed, new_fleet
from numpy.typing import NDArray

from monitor.detectors import DETECTORS
from monitor.fleet import Fleet
from monitor.judging import Judged, TickSums
from monitor.kernels.judge import Question, costs
from monitor.stats.accumulate import accumulate, empty_state
from monitor.stats.power import ticks_to_alarm_one_sample

pytestmark = pytest.mark.statistical

CELLS, HOURS_A_WEEK = 400, 168.0
QUESTION, ETA = Question(1, False, (0.7, 1.5, 3.0)), 1 / 1.15


def delay(n: float, edge: float, rate: float, fleet: int, part: float = 1.0) -> NDArray[np.float64]:
    """Ticks until each of 400 cells finds a ``rate`` beyond the ``edge`` at ``n`` events a tick, in a ``fleet``."""
    rng = np.random.default_rng(91)
    cost = costs(QUESTION, np.zeros((1, 1)), np.array([[edge]])).reshape(-1)
    log_r, found = empty_state(CELLS, len(QUESTION.shifts)), np.full(CELLS, np.nan)
    tick = 0
    while np.isnan(found).any():
        tick += 1
        events = rng.poisson(n, CELLS)
        s = rng.binomial(events, rate)
        nats = ETA * (s[:, None] * np.array(QUESTION.shifts) - events[:, None] * cost)
        with np.errstate(divide="ignore"):
            budget = np.log(np.where(events > 0, part / fleet / HOURS_A_WEEK, 0.0))
        step = accumulate(log_r, nats.astype(np.float32), budget)
        log_r = step.log_r
        found[step.alarm & np.isnan(found)] = tick
    return found


@pytest.mark.parametrize("fleet", [1000, 20_000])
def test_what_cells_that_rest_are_worth(fleet: int) -> None:
    """Where half of the cells rest the others are a few per cent sooner, where nine of ten do more; and never later."""
    for rate in (0.14, 0.2):
        whole = delay(50, 0.1, rate, fleet).mean()
        sooner = {rest: delay(50, 0.1, rate, fleet, 1 / (1 - rest)).mean() / whole for rest in (0.25, 0.5, 0.9)}
        told = ", ".join(f"{times:.2f} where {rest:.0%} rest" for rest, times in sooner.items())
        print(f"{fleet} cells, .1 to {rate}: {whole:.1f} ticks; times {told}")
        assert 0.9 <= sooner[0.5] <= 0.98
        assert 0.65 <= sooner[0.9] <= 0.9


@pytest.mark.parametrize("fleet", [1000, 20_000])
def test_what_slow_cells_would_pay(fleet: int) -> None:
    """Cells that are too slow for twice the tolerance see a gross fault in days: next to nothing would double these."""
    slow = float(ticks_to_alarm_one_sample(1 / 24, 0.14, 0.0, 0.1, -np.log(fleet * HOURS_A_WEEK), ETA)) / 24
    gross = delay(1 / 24, 0.1, 0.9, fleet).mean() / 24
    later = {part: delay(1 / 24, 0.1, 0.9, fleet, part).mean() / 24 / gross for part in (1 / 8, 1e-3, 1e-6)}
    told = ", ".join(f"{times:.2f} at {part:.3g}" for part, times in later.items())
    print(f"{fleet} cells, one event a day: .1 to .14 in {slow:.0f} days, to .9 in {gross:.1f}; times {told} of a part")
    assert slow > 30 > gross
    assert later[1e-6] > 1.7


def moved(fleet: Fleet) -> NDArray[np.float64]:
    """Days until drift of each of 20 models is found that moves on the 50th day; 180 others are gone since the 5th."""
    rng, found, judge = np.random.default_rng(92), {}, fleet.judge.judge

    def judged(sums: TickSums) -> Judged:
        out = judge(sums)
        for alarm in out.alarms:
            if DETECTORS[alarm.detector].name == "drift":
                found.setdefault(alarm.row, (sums.end - START) / DAY - 50)
        return out

    fleet.judge.judge = judged  # type: ignore[method-assign]
    for i in range(4 * 70):
        alive = 200 if i < 4 * 5 else 20
        x = rng.normal(0.0 if i < 4 * 50 else 0.35, 1, 60 * alive)
        times = np.repeat(START + 6 * HOUR * (i + (np.arange(60) + 0.5) / 60), alive)
        batch = columns(times, [f"m{k}" for k in range(alive)] * 60, {"x": x})
        feed(fleet, batch, until=START + (i + 1) * 6 * HOUR)
    return np.array([found.get(row, np.inf) for row in range(20)])


def test_a_fleet_of_which_most_is_gone() -> None:
    """In a fleet of which nine in ten models are gone for good, what moves in the others is found sooner."""
    fleet, before = (new_fleet({"tick": "6h"}, per_week=0.05, per_model=0.05) for _ in range(2))
    before.judge.resting.turn = lambda end: None  # type: ignore[method-assign]
    now, then = moved(fleet), moved(before)
    print(f"days until found: {now.mean():.2f} on average where cells rest, {then.mean():.2f} where none does")
    assert (fleet.judge.n_cells["drift"], before.judge.n_cells["drift"]) == (20, 200)
    assert (now <= then).all()
    assert now.mean() < then.mean()
