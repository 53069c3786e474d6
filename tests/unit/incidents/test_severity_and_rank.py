"""Is an incident as grave as what it does to people, and does the list begin with what an expert would look at?"""

from __future__ import annotations

from typing import Any

import pytest
from fakes.desk import made_incident

from monitor.incidents.incident import Acknowledged, CellReport, Effect, Incident
from monitor.incidents.ranking import harm, place_in_list
from monitor.severity import HARMFUL, gravest, severity


@pytest.mark.parametrize("alertname", sorted(HARMFUL))
def test_moved_outcomes_are_critical(alertname: str) -> None:
    """Outcomes, fairness and calibration that move harm somebody by themselves."""
    assert severity(alertname, []) == "critical"


@pytest.mark.parametrize(
    ("alertname", "beside", "expected"),
    [
        ("ModelFeatureDrift", [], "info"),
        ("ModelPopulationMix", [], "info"),
        ("ModelFeatureDrift", ["ModelDataQuality"], "info"),
        ("ModelFeatureDrift", ["ModelPredictionDrift"], "warning"),
        ("ModelPredictionDrift", ["ModelFeatureDrift"], "warning"),
        ("ModelFeatureDrift", ["ModelUnequalErrors"], "critical"),
        ("ModelPredictionDrift", ["ModelPerformanceDegraded"], "critical"),
        ("ModelDataQuality", [], "warning"),
        ("ModelSilent", [], "warning"),
    ],
)
def test_by_what_moved_beside_it(alertname: str, beside: list[str], expected: str) -> None:
    """Inputs alone are for information, with moved answers a warning, with moved outcomes critical."""
    assert severity(alertname, beside) == expected


def test_money_is_critical() -> None:
    """A known cost makes any incident critical; one of nothing does not."""
    assert severity("ModelFeatureDrift", [], cost=12.0) == "critical"
    assert severity("ModelFeatureDrift", [], cost=0.0) == "info"


def test_gravest() -> None:
    """Of several incidents the gravest counts."""
    assert gravest(["info", "critical", "warning"]) == "critical"


def incident(**changes: Any) -> Incident:
    ratio = changes.pop("ratio", 2.0)
    cell = CellReport("drift", "x", None, None, None, Effect("share_gap", 0.02 * ratio, 0.02), 6.0, None, 0.0)
    base = {"severity": "warning", "state": "firing", "effect": cell.effect, "cells": (cell,)}
    return made_incident(1, "m", **{**base, "people_affected": None, "cost": None, "traffic": 1e4, **changes})


@pytest.mark.parametrize(
    ("more", "less"),
    [
        ({"traffic": 1e5}, {"traffic": 1e4}),
        ({"ratio": 8.0}, {"ratio": 2.0}),
        ({"evidence_log10": 12.0}, {"evidence_log10": 3.0}),
        ({"severity": "critical"}, {"severity": "warning"}),
        ({"severity": "warning"}, {"severity": "info"}),
        ({"cost": 1e6}, {"cost": None}),
        ({"people_affected": 10**6}, {"people_affected": 100}),
        ({"watched": True}, {"watched": False}),
        ({"severity": "critical", "traffic": 1e3}, {"severity": "info", "traffic": 2e4}),
        ({"severity": "warning", "traffic": 1e7}, {"severity": "critical", "traffic": 10.0}),
    ],
)
def test_more_harm_comes_first(more: dict[str, Any], less: dict[str, Any]) -> None:
    """Each of effect, evidence, traffic, people, cost and consequence moves an incident up; a huge one outweighs."""
    assert harm(incident(**more)) > harm(incident(**less))
    assert place_in_list(incident(**more)) < place_in_list(incident(**less))


def test_harm_is_never_absurd() -> None:
    """A tolerance of nothing, infinite evidence and no traffic give a number that can be ranked."""
    odd = incident(ratio=float("inf"), evidence_log10=float("inf"), traffic=0.0)
    assert harm(odd) == 0.0
    assert harm(incident(ratio=1e9)) == harm(incident(ratio=10.0))


def test_order_of_the_list() -> None:
    """Open incidents by harm, acknowledged ones behind them, then resolved ones, the newest first."""
    known = Acknowledged("ada", "expected", "", 0.0, 1e12)
    rows = [
        incident(traffic=1e9),
        incident(),
        incident(traffic=1e12, acknowledged=known),
        incident(state="resolved", fired_time=2e9, traffic=1e15),
        incident(state="resolved", fired_time=1e9),
    ]
    assert sorted(rows[2:] + rows[:2], key=place_in_list) == rows
