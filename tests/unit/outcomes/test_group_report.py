"""Are scores reported by group, and what if they were used otherwise, of groups that may be told alone?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fleets.decisions import Town, came, decision

from monitor.portrait import model_document
from monitor.web.gaps import remedies as page


def lender(threshold: float = 0.5) -> Any:
    """Scores of group A are lower by 0.2 at the same merit, so its decisions are worse."""

    def person(rng: np.random.Generator, group: str) -> dict[str, Any]:
        merits = bool(rng.random() < 0.5)
        score = float(np.clip(rng.normal(0.7 if merits else 0.4, 0.12) - 0.2 * (group == "A"), 0.0, 1.0))
        return {"event": decision(score >= threshold, score=score), "outcome": came(merits)}

    return person


COSTS = {"currency": "EUR", "false_positive": 100.0, "false_negative": 100.0}


def told(hours: int = 40, **policy: Any) -> dict[str, Any]:
    town = Town(**policy)
    town.live(hours, lender())
    town.end()
    return model_document(town.fleet, 0, 1)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """What is told of the lender after 1,600 people."""
    return told(costs=COSTS)


def test_scores_that_say_less_of_a_group_are_told(document: dict[str, Any]) -> None:
    """At the same score group A merits more: its shift is positive and certain, that of B the other way round."""
    shifts = {line["group"]: line for line in document["calibration_by_group"]}
    assert shifts["A"]["interval"][0] > 0.0 > shifts["B"]["interval"][1]
    assert shifts["A"]["n"] == 800


def test_what_if(document: dict[str, Any]) -> None:
    """One threshold is cheap or fair; thresholds by group are both, and are said to treat people by their group."""
    (line,) = document["remedies"]
    assert (line["attribute"], line["groups"], line["currency"]) == ("race", ["A", "B"], "EUR")
    cheapest, fair = (line["common_threshold"][name] for name in ("cheapest", "cheapest_within_tolerance"))
    assert cheapest["impact_ratio"] < 0.8 <= fair["impact_ratio"]
    assert cheapest["cost"] < fair["cost"]
    equal = line["equal_opportunity"]
    assert equal["differential_treatment"]
    assert equal["cost"] < cheapest["cost"]
    thresholds = {each["group"]: each["threshold"] for each in equal["thresholds"]}
    assert thresholds["B"] - thresholds["A"] == pytest.approx(0.2, abs=0.07)
    assert line["geometric_repair"]["differential_treatment"]
    assert [len(each["scores"]) for each in line["geometric_repair"]["map"]] == [9, 9]
    shown = page(document["remedies"])
    assert "What if: race" in shown
    assert "differential treatment" in shown


def test_few_people_and_selective_outcomes_are_not_told() -> None:
    """Of few cases nothing is told; where only the favoured have outcomes there is nothing to tell by."""
    few = told(hours=1)
    assert (few["calibration_by_group"], few["remedies"]) == ([], [])
    assert told(hours=8, outcomes_observed="favourable")["remedies"] == []
    assert told(hours=8)["remedies"]


def test_a_score_of_risk_is_the_other_way_round(document: dict[str, Any]) -> None:
    """Where little of the score is good, the same people give the same remedies, with thresholds from the other end."""

    def mirrored(rng: np.random.Generator, group: str) -> dict[str, Any]:
        who: dict[str, Any] = lender()(rng, group)
        who["event"]["prediction"] = {"score": 1.0 - who["event"]["prediction"]["score"]}
        return who

    town = Town(favourable=(), decision_threshold=0.5, favourable_when="below", costs=COSTS)
    town.live(40, mirrored)
    town.end()
    (line,), (straight,) = model_document(town.fleet, 0, 1)["remedies"], document["remedies"]
    for name in ("cheapest", "cheapest_within_tolerance"):
        there, back = line["common_threshold"][name], straight["common_threshold"][name]
        assert there["threshold"] == pytest.approx(1.0 - back["threshold"])
        assert there["cost"] == pytest.approx(back["cost"])
