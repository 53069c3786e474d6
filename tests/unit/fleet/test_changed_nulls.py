"""Do groups and errors begin anew where a policy changes what they are judged by, and stay where it does not?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fleets.build import HOUR, START, event, feed, new_fleet
from fleets.cohorts import HORIZON, fleet_of, judged, matured

from monitor.catalog.policies import Clause, Policies
from monitor.fleet import Fleet
from monitor.incidents.incident import Incident
from monitor.outcomes.measures import ERROR_RATE

GROUPS = {"tick": "1h", "favourable": ("yes",)}


def reloaded(fleet: Fleet, said: dict[str, Any]) -> list[Incident]:
    """The incidents that a changed policy ends."""
    fleet.reload_policies(Policies([Clause("*", {"tolerance": {"drift": 0.02}} | said, "test")]).resolve)
    ended, fleet.lives.ended = fleet.lives.ended, []
    return ended


def unequal() -> Fleet:
    """A model that favours one group half as often as the rest, and a firing cell of it."""
    rng, fleet = np.random.default_rng(4), new_fleet(GROUPS)
    events = [
        event(
            START + i * HOUR / 100,
            id=str(i),
            prediction="yes" if rng.random() < (0.3 if i % 2 else 0.6) else "no",
            sensitive={"sex": "FM"[i % 2]},
        )
        for i in range(2000)
    ]
    feed(fleet, events)
    return fleet


def test_a_changed_ratio_begins_anew() -> None:
    """Groups that fire by a ratio that nobody asks for any more resolve as ``policy changed``, and are judged by it."""
    fleet = unequal()
    [held] = fleet.book.open.values()
    assert held.incident.alertname == "ModelDisparateImpact"
    assert reloaded(fleet, {**GROUPS, "tolerance": {"error_gap": 0.1}}) == []
    [ended] = reloaded(fleet, {**GROUPS, "tolerance": {"error_gap": 0.1, "impact_ratio": 0.3}})
    assert (ended.id, ended.state, ended.resolved_because) == (held.incident.id, "resolved", "policy changed")
    comparer, cells = fleet.groups.comparer, np.arange(len(fleet.groups.register.cells))
    assert set(comparer.tolerance(cells).tolist()) == {0.3}
    assert not comparer.state["firing"][cells].any()
    assert np.isneginf(comparer.state["log_r"][cells]).all()
    assert reloaded(fleet, {**GROUPS, "tolerance": {"error_gap": 0.1, "impact_ratio": 0.3}}) == []


def erring(**policy: Any) -> Fleet:
    """A model that began to err three times as often, and its firing cell."""
    fleet, rng = fleet_of(1, **policy), np.random.default_rng(6)
    for tick in range(60):
        moment = judged(fleet, matured(np.zeros(40), tick, wrong=(rng.random(40) < (0.1 if tick < 45 else 0.4)) * 1.0))
        fleet.models.rows["last_time"][0] = START + (tick + 1) * HOUR + HORIZON
        fleet.book.fire(fleet._told_of_model(alarm) for alarm in moment.alarms)
    return fleet


@pytest.mark.parametrize(
    ("said", "high"), [({"tolerance": {"performance": 0.5}}, 0.6), ({"limits": {"error_rate": 0.7}}, 0.7)]
)
def test_a_changed_contract_begins_anew(said: dict[str, Any], high: float) -> None:
    """Errors are held at once to the tolerance or the contract that is said now; the reference stays what it is."""
    fleet = erring()
    [held] = fleet.book.open.values()
    reference = fleet.outcomes.performance.rows["reference"][0].copy()
    assert reloaded(fleet, {"tick": "1h", "keep_firing": "2h"}) == []
    [ended] = reloaded(fleet, {"tick": "1h", "keep_firing": "2h", **said})
    assert (ended.id, ended.resolved_because) == (held.incident.id, "policy changed")
    state = fleet.outcomes.performance.states[ERROR_RATE]
    assert high - 0.01 <= state["null_high"][0, 0] <= high + 0.08
    assert fleet.outcomes.firing(0) == set()
    assert np.array_equal(fleet.outcomes.performance.rows["reference"][0], reference)
    assert fleet.judge.n_cells["performance"] == 1
