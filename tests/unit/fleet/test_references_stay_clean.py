"""What never enters a reference: a campaign that was planned, and what a model did before it was trained anew."""

from __future__ import annotations

import numpy as np
from fleets.build import HOUR, LEARNED, START, event, feed, hourly, new_fleet, series_named

from monitor.catalog.models import Phase
from monitor.kernels.tally import BINS

NORMAL = np.random.default_rng(41).normal(0, 1, 60_000)


def healthy(i: int) -> dict[str, float]:
    return {"x": float(NORMAL[i])}


def shifted(i: int) -> dict[str, float]:
    return {"x": float(NORMAL[i]) + 3.0}


def iso(hours: int) -> float:
    return START + hours * HOUR


def test_a_planned_window_is_neither_judged_nor_learned() -> None:
    """A campaign raises no incident and leaves the reference as it was; the hour after it is judged again."""
    planned = ({"from": "2026-01-02T06:00:00Z", "until": "2026-01-02T18:00:00Z"},)
    fleet = new_fleet({"tick": "1h", "planned": planned})
    hourly(fleet, healthy, range(30))
    row = series_named(fleet, "x")
    before = fleet.series.rows["reference"][row].copy()
    spent = dict(fleet.judge.budget.spent)
    assert hourly(fleet, shifted, range(30, 42)) == []
    assert np.array_equal(fleet.series.rows["reference"][row], before)
    assert fleet.judge.budget.spent == spent
    [incident, *_] = hourly(fleet, shifted, range(42, 60))
    assert iso(42) < incident.fired_time <= iso(46)


def test_a_campaign_in_the_first_day_is_not_learned() -> None:
    """Before judging, too: the window's events count for nothing towards a reference."""
    planned = ({"from": "2026-01-01T03:00:00Z", "until": "2026-01-01T09:00:00Z"},)
    fleet = new_fleet({"tick": "1h", "planned": planned})
    hourly(fleet, lambda i: shifted(i) if 150 <= i < 450 else healthy(i), range(LEARNED))
    assert fleet.models.rows["learned"][0] == 50 * (LEARNED - 6)
    row = series_named(fleet, "x")
    held = int(fleet.series.rows["reference"][row, :BINS].sum())
    assert held == 50 * (LEARNED - 6)


def test_a_retrained_model_learns_anew() -> None:
    """Its incidents are resolved, its new shares become its reference, and from that it is judged."""
    fleet = new_fleet({"tick": "1h"})
    hourly(fleet, healthy, range(LEARNED))
    [opened, *_] = hourly(fleet, shifted, range(LEARNED, LEARNED + 6))
    assert opened.state == "firing"
    old = series_named(fleet, "x")
    now = iso(LEARNED + 6)
    resolved = feed(fleet, [event(now + 1, model="m", lifecycle="retrained")], until=now).incidents
    assert {incident.resolved_because for incident in resolved} == {"retrained"}
    assert fleet.models.rows["phase"][0] == Phase.LEARNING
    assert hourly(fleet, shifted, range(LEARNED + 6, 3 * LEARNED)) == []
    assert fleet.models.rows["phase"][0] == Phase.GROWING
    assert series_named(fleet, "x") != old
    [again, *_] = hourly(fleet, healthy, range(3 * LEARNED, 3 * LEARNED + 10))
    assert again.alertname == "ModelFeatureDrift"


def test_a_retired_model_is_judged_no_more() -> None:
    """Its incidents end and none begins; what comes later is learned, as of a model that was never met."""
    fleet = new_fleet({"tick": "1h"})
    hourly(fleet, healthy, range(LEARNED))
    assert hourly(fleet, shifted, range(LEARNED, LEARNED + 6))
    now = iso(LEARNED + 6)
    resolved = feed(fleet, [event(now + 1, model="m", lifecycle="retired")], until=now + HOUR).incidents
    assert {incident.state for incident in resolved} == {"resolved"}
    assert not fleet.book.open
    assert not any(state["applies"].any() for state in fleet.judge.states.values())
    assert hourly(fleet, shifted, range(LEARNED + 8, LEARNED + 20)) == []
