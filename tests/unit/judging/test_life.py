"""The life of an alarm: evidence and effect, hold, sustained, clear; and who pays for it."""

from __future__ import annotations

import numpy as np
from fleets.build import HOUR, LEARNED, SHARES, START, cell, event, feed, hourly, new_fleet

from monitor.budget import WEEK_SECONDS
from monitor.conduct.watch import FAR, REPEATED
from monitor.kernels.judge import FIRING, IDLE, PENDING
from monitor.kernels.tally import NULLS, PRESENT
from monitor.traffic.watch import CELLS as TRAFFIC_CELLS

NORMAL = np.random.default_rng(31).normal(0, 1, 60_000)


def healthy(i: int) -> dict[str, float]:
    return {"x": float(NORMAL[i])}


def shifted(i: int) -> dict[str, float]:
    return {"x": float(NORMAL[i]) + 1.5}


def watched(**policy: str):
    fleet = new_fleet({"tick": "1h", **policy})
    hourly(fleet, healthy, range(LEARNED))
    return fleet


def test_without_events_nothing_is_bet() -> None:
    """A cell without values in a tick neither bets nor spends, and keeps what it knew."""
    fleet = watched()
    spent, known = dict(fleet.judge.budget.spent), cell(fleet, "drift", "x", "log_r").copy()
    end = START + LEARNED * HOUR
    closed = feed(fleet, [event(end + 1, metrics={"m": 1.0})])
    assert closed.n_cells == 0
    closed = feed(fleet, [event(end + HOUR + 1, {"x": None})])
    assert closed.n_cells == 3  # missing, invalid, schema: the event is there, and a null is
    assert fleet.judge.budget.spent["drift"] == spent["drift"]
    assert np.array_equal(cell(fleet, "drift", "x", "log_r"), known)


def test_spent_is_within_the_promise() -> None:
    """Over a week of event time no share spends more than its part, nor a model more than its cap."""
    fleet = new_fleet({"tick": "1h"}, per_week=5.0, per_model=1.0)
    lonely = new_fleet({"tick": "1h"}, per_week=5.0, per_model=100.0)
    for one in (fleet, lonely):
        hourly(one, lambda i: healthy(i) | {"y": float(NORMAL[-i - 1])}, range(LEARNED + 168))
    judged = START + (LEARNED + 168) * HOUR - fleet.models.items[0].facts[0].time
    for share in ("drift", "quality"):
        # A little less where cells begin at the end of a tick, before the hour's traffic is judged among more of them.
        for one, per_week in ((fleet, 1.0), (lonely, 5.0)):
            part = one.judge.budget.spent[share] / (judged / WEEK_SECONDS * per_week * SHARES[share])
            assert 0.999 < part <= 1.0 + 1e-6
    assert fleet.judge.budget.spent["fairness"] == 0.0


def test_restored_counts_of_cells() -> None:
    """Counting the cells anew gives what was counted step by step."""
    fleet = watched()
    hourly(fleet, lambda i: healthy(i) | {"z": 1.0}, range(LEARNED, LEARNED + 2))
    counted, by_model = dict(fleet.judge.n_cells), fleet.models.rows["n_cells"][0].copy()
    fleet.judge.recount()
    fleet.traffic.restored()
    fleet.conduct.restored()
    assert fleet.judge.n_cells == counted
    assert fleet.models.rows["n_cells"][0].tolist() == by_model.tolist()
    assert counted == {
        "drift": 1,
        "quality": 5 + len(TRAFFIC_CELLS) + len((REPEATED, FAR)),
        "performance": 0,
        "fairness": 0,
    }


def test_effect_is_needed_too() -> None:
    """Evidence alone does not fire: a change within the tolerance is none, however many events tell of it."""
    fleet = new_fleet({"tick": "1h", "tolerance": {"drift": 0.3}, "learn": {"events": 1000, "for": "1d"}})
    hourly(fleet, healthy, range(LEARNED))
    assert hourly(fleet, lambda i: {"x": float(NORMAL[i]) + 0.5}, range(LEARNED, LEARNED + 100)) == []
    assert cell(fleet, "drift", "x", "effect") > 0.1
    assert len(hourly(fleet, lambda i: {"x": float(NORMAL[i]) + 1.5}, range(LEARNED + 100, LEARNED + 110))) == 1


def test_fires_sustained_and_clears() -> None:
    """A cell fires while the change lasts, and for ``keep_firing`` behind it; then the incident is resolved."""
    fleet = watched(keep_firing="10h")
    [fired] = hourly(fleet, shifted, range(LEARNED, LEARNED + 50))
    assert fired.state == "firing"
    assert fleet.judge.states["drift"]["firing"][0] == FIRING
    assert cell(fleet, "drift", "x", "last_bad") == START + (LEARNED + 50) * HOUR
    [done] = hourly(fleet, healthy, range(LEARNED + 50, LEARNED + 100))
    assert done.state == "resolved"
    assert done.resolved_because == "cleared"
    assert done.resolved_time - cell(fleet, "drift", "x", "last_bad") == 10 * HOUR
    assert START + (LEARNED + 60) * HOUR <= done.resolved_time <= START + (LEARNED + 90) * HOUR
    assert fleet.judge.states["drift"]["firing"][0] == IDLE


def test_hold() -> None:
    """With ``hold`` an alarm fires only if the change is still there after it."""
    fleet = watched(hold="6h")
    assert hourly(fleet, shifted, range(LEARNED, LEARNED + 4)) == []
    assert fleet.judge.states["drift"]["firing"][0] == PENDING
    [fired] = hourly(fleet, shifted, range(LEARNED + 4, LEARNED + 10))
    held = fired.fired_time - cell(fleet, "drift", "x", "alarmed")
    assert held == 6 * HOUR


def test_hold_lets_a_short_change_pass() -> None:
    """A change that is over before ``hold`` fires nothing."""
    fleet = watched(hold="48h")
    hourly(fleet, shifted, range(LEARNED, LEARNED + 3))
    assert fleet.judge.states["drift"]["firing"][0] == PENDING
    assert hourly(fleet, healthy, range(LEARNED + 3, LEARNED + 80)) == []
    assert fleet.judge.states["drift"]["firing"][0] == IDLE


def test_onset_is_near() -> None:
    """The onset that an alarm names is within a few ticks of when the change began."""
    off = []
    for seed in range(5):
        values = np.random.default_rng(seed).normal(0, 1, 20_000)
        fleet = new_fleet({"tick": "1h"})
        hourly(fleet, lambda i, v=values: {"x": float(v[i])}, range(LEARNED + 20))
        began = START + (LEARNED + 20) * HOUR
        [fired] = hourly(fleet, lambda i, v=values: {"x": float(v[i]) + 0.6}, range(LEARNED + 20, LEARNED + 60))
        off.append((fired.onset_time - began) / HOUR)
        assert fired.onset_time <= fired.fired_time
    assert max(map(abs, off)) <= 8
    assert abs(np.median(off)) <= 4


def test_missing_is_of_the_events() -> None:
    """What is missing is counted of the events that could have had it: those with features."""
    fleet = watched()
    end = START + LEARNED * HOUR
    hour = [event(end + i, {"y": 1.0} if i % 2 else {"x": 1.0}) for i in range(20)]
    [tick] = feed(fleet, [*hour, *(event(end + 30, metrics={"m": 1}) for _ in range(80))]).ticks
    assert tick.counts[1, PRESENT] == 10
    assert tick.counts[1, NULLS] == 0
    assert cell(fleet, "missing", "x", "n_prev") == 20
    assert cell(fleet, "missing", "x", "s_prev") == 10
