"""Are matured cases judged against their contract or a reference that grows, and shown with number and interval?"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from fleets.build import DAY, HOUR, START
from fleets.cohorts import HORIZON, fleet_of, judged, matured

from monitor.fleet import Fleet
from monitor.outcomes.alarm import told
from monitor.outcomes.document import performance_document
from monitor.outcomes.measures import ABSOLUTE_ERROR, ERROR_RATE, MEASURES
from monitor.outcomes.outcomes import Moment


def alternating(n: int, rate: float) -> np.ndarray:
    """``n`` outcomes with exactly that rate, evenly mixed."""
    return np.diff(np.floor(np.arange(n + 1) * rate + 1e-9))


def run(fleet: Fleet, ticks: range, rate: float, n: int = 40) -> list[Moment]:
    return [judged(fleet, matured(np.zeros(n), tick, wrong=alternating(n, rate))) for tick in ticks]


def alarms(moments: list[Moment]) -> list[Any]:
    return [alarm for moment in moments for alarm in moment.alarms]


def document(fleet: Fleet) -> dict[str, Any]:
    shown = performance_document(fleet.outcomes, fleet.models, 0)
    assert shown is not None
    json.dumps(shown, allow_nan=False)
    return shown


def test_judging_begins_with_enough_outcomes() -> None:
    """Below ``learn.events_min`` nothing bets and nothing is spent; from there on a cell does."""
    fleet = fleet_of(1, learn={"events_min": 200})
    run(fleet, range(4), 0.9)
    assert fleet.judge.n_cells["performance"] == 0
    assert fleet.judge.budget.spent["performance"] == 0.0
    run(fleet, range(4, 6), 0.9)
    assert fleet.judge.n_cells["performance"] == 1
    assert fleet.judge.budget.spent["performance"] > 0.0
    assert document(fleet)["cells"][0]["state"] == "watching"


def test_a_rise_is_told_in_the_time_of_the_predictions() -> None:
    """The alarm names the measure and how far it rose; its onset is near the change, its firing a horizon later."""
    fleet = fleet_of(1)
    assert alarms(run(fleet, range(50), 0.1)) == []
    [alarm] = alarms(run(fleet, range(50, 60), 0.5))
    assert (alarm.detector, alarm.alertname, alarm.cell) == (
        "performance",
        "ModelPerformanceDegraded",
        "performance.error_rate",
    )
    assert alarm.effect.name == "error_rate_rise"
    assert alarm.effect.value == pytest.approx(0.4, abs=0.02)
    assert alarm.effect.tolerance == 0.02
    assert abs(alarm.onset_time - (START + 50 * HOUR)) <= 3 * HOUR
    assert alarm.fired_time >= START + 51 * HOUR + HORIZON
    assert "error rate 0.5 in" in alarm.words
    firing = told(alarm, fleet.models.items[0])
    assert (firing.model, firing.kind, firing.report.feature) == ("m0", "performance", None)


def test_a_better_model_is_no_incident() -> None:
    """Fewer errors than before are not told."""
    fleet = fleet_of(1)
    run(fleet, range(50), 0.5)
    assert alarms(run(fleet, range(50, 100), 0.05)) == []


def test_suspicious_cohorts_stay_out_of_the_reference() -> None:
    """What led to an alarm, and what comes while it fires, is not learned; when it is over, learning goes on."""
    fleet = fleet_of(1, learn={"events": 100_000})
    run(fleet, range(50), 0.1)
    run(fleet, range(50, 70), 0.5)
    s, n = fleet.outcomes.performance.rows["reference"][0, ERROR_RATE]
    assert s / n < 0.12
    moments = run(fleet, range(70, 120), 0.1)
    assert [cell for moment in moments for cell in moment.cleared] == [(0, "performance.error_rate")]
    assert fleet.outcomes.performance.rows["reference"][0, ERROR_RATE, 1] > n


def test_a_reference_ends() -> None:
    """Behind ``learn.events`` and ``learn.for`` it no longer changes."""
    fleet = fleet_of(1, learn={"events": 1000, "for": "10h"})
    run(fleet, range(60), 0.1)
    size = fleet.outcomes.performance.rows["reference"][0, ERROR_RATE, 1]
    assert 1000 <= size <= 1040


def test_a_contract_is_the_edge_itself() -> None:
    """Above ``limits.error_rate`` it alarms though it was never better; below it does not, though it was."""
    broken = fleet_of(1, limits={"error_rate": 0.1})
    [alarm, *_] = alarms(run(broken, range(60), 0.2))
    assert (alarm.effect.value, alarm.effect.tolerance) == (pytest.approx(0.1, abs=0.01), 0.0)
    assert "the contract allows 0.1" in alarm.words
    assert document(broken)["cells"][0]["contract"] == 0.1
    kept = fleet_of(1, limits={"error_rate": 0.5})
    assert alarms(run(kept, range(50), 0.05) + run(kept, range(50, 100), 0.4)) == []


def test_large_errors_of_a_regression() -> None:
    """What is large is told from the first errors; ten times as many of them alarm."""
    rng, fleet = np.random.default_rng(5), fleet_of(1)
    found = []
    for tick in range(80):
        error = np.abs(rng.normal(0.0, 30.0 if tick < 60 else 90.0, 40))
        found += judged(fleet, matured(np.zeros(40), tick, error=error)).alarms
    large = float(fleet.outcomes.performance.rows["large"][0])
    assert 0.80 < math.erf(large / 30.0 / math.sqrt(2.0)) < 0.99
    assert {alarm.cell for alarm in found} == {"performance.absolute_error"}
    assert found[0].fired_time >= START + 61 * HOUR + HORIZON
    figures = document(fleet)["figures"]
    assert figures["mae"]["n"] == figures["rmse"]["n"] == 3200
    assert figures["mae"]["interval"][0] < 30.0 * math.sqrt(2 / math.pi) * 0.75 + 90 * 0.25 < 46
    assert fleet.outcomes.performance.rows["judged"][0].tolist() == [i == ABSOLUTE_ERROR for i in range(len(MEASURES))]


def test_contracts_of_losses_and_costs() -> None:
    """A mean loss or cost above its contract alarms, in the contract's own unit."""
    fleet = fleet_of(1, limits={"loss": 2.0, "cost": 1.0}, costs={"false_positive": 10.0})
    cells = set()
    for tick in range(100):
        cost = 10.0 * alternating(40, 0.3)
        cells |= {a.cell for a in judged(fleet, matured(np.zeros(40), tick, error=np.full(40, 5.0), cost=cost)).alarms}
    assert cells == {"performance.absolute_error", "performance.cost"}
    shown = {cell["measure"]: cell for cell in document(fleet)["cells"]}
    assert (shown["absolute_error"]["contract"], shown["absolute_error"]["present"]) == (2.0, pytest.approx(5.0))
    assert (shown["cost"]["contract"], shown["cost"]["present"]) == (1.0, pytest.approx(3.0))


def test_figures_are_those_of_the_cases() -> None:
    """Error rate, precision, recall, Brier score, log loss and AUC, each with its number and an interval around it."""
    fleet = fleet_of(1)
    y = np.array([1, 1, 1, 0, 0, 0, 0, 0] * 50)
    score = np.array([0.9, 0.8, 0.3, 0.7, 0.2, 0.1, 0.1, 0.05] * 50)
    guess = (score > 0.5).astype(np.int8)
    judged(
        fleet,
        matured(
            np.zeros(400),
            0,
            wrong=(guess != y).astype(float),
            score=score,
            y=y.astype(float),
            predicted_positive=guess,
            actual_positive=y.astype(np.int8),
        ),
    )
    figures = document(fleet)["figures"]
    assert figures["error_rate"]["value"] == 0.25
    assert figures["precision"]["value"] == figures["recall"]["value"] == pytest.approx(2 / 3)
    assert (figures["precision"]["n"], figures["recall"]["n"], figures["auc"]["n"]) == (150, 150, 400)
    assert figures["brier"]["value"] == pytest.approx(float(((y - score) ** 2).mean()))
    assert figures["log_loss"]["value"] == pytest.approx(float(-np.log(np.where(y == 1, score, 1 - score)).mean()))
    assert figures["auc"]["value"] == pytest.approx(14 / 15)
    for figure in figures.values():
        assert figure["interval"][0] < figure["value"] < figure["interval"][1]


def test_selective_labels_are_seen() -> None:
    """Where only favourable decisions have outcomes it is shown, and recall is not identified, declared or not."""
    n = 400
    favourable = (np.arange(n) % 2).astype(np.int8)
    kind = {"favourable": favourable, "labelled": favourable == 1}
    confusion = {"predicted_positive": favourable, "actual_positive": np.where(favourable, 1, -1).astype(np.int8)}
    cases = matured(np.zeros(n), 0, **kind, **confusion, wrong=np.where(favourable, 0.0, np.nan))
    seen = fleet_of(1)
    judged(seen, cases)
    shown = document(seen)
    assert shown["selective_labels"]["detected"] is True
    assert shown["figures"]["recall"]["value"] is None
    assert shown["figures"]["precision"]["among"] == "favourable decisions"
    assert shown["coverage"]["value"] == 0.5
    said = fleet_of(1, outcomes_observed="favourable")
    judged(said, matured(np.zeros(n), 0, wrong=np.zeros(n)))
    assert document(said)["selective_labels"]["declared"] is True
    both = fleet_of(1)
    judged(both, matured(np.zeros(n), 0, favourable=favourable, wrong=np.zeros(n)))
    assert document(both)["selective_labels"]["detected"] is False


def test_a_model_without_cases_has_no_performance() -> None:
    """Not knowing is no figure."""
    assert performance_document(fleet_of(1).outcomes, fleet_of(1).models, 0) is None


def test_calibration_needs_scores_of_a_known_class() -> None:
    """Without them there is no cell; with them the curve is shown."""
    rng, fleet = np.random.default_rng(6), fleet_of(1)
    for tick in range(20):
        score = rng.uniform(0.05, 0.95, 40)
        judged(fleet, matured(np.zeros(40), tick, score=score, y=(rng.random(40) < score).astype(float)))
    shown = document(fleet)
    assert [cell["cell"] for cell in shown["cells"]] == ["performance.brier", "performance.log_loss", "calibration"]
    assert all(abs(point["value"] - point["mean_score"]) < 0.2 for point in shown["reliability"])
    assert START + 5 * DAY > fleet.outcomes.performance.rows["first_end"][0] > START
