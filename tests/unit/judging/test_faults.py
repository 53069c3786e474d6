"""Is each kind of fault found, named, and let go when it is over?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fleets.build import HOUR, LEARNED, START, cell, cells_of, hourly, new_fleet

from monitor.kernels.judge import IDLE
from monitor.portrait import model_document

NORMAL = np.random.default_rng(21).normal(0, 1, 60_000)
UNIFORM = np.random.default_rng(22).random(60_000)
POLICY = {"tick": "1h", "keep_firing": "6h"}
BEGINS, ENDS, OVER = LEARNED + 10, LEARNED + 40, LEARNED + 110


def healthy(i: int) -> dict[str, Any]:
    return {
        "x": float(NORMAL[i]),
        "y": float(np.exp(NORMAL[-i - 1])),
        "level": "low" if UNIFORM[i] < 0.5 else "mid" if UNIFORM[i] < 0.8 else "high",
        "flag": bool(UNIFORM[-i - 1] < 0.3),
        "limit": 100.0,
    }


Fault = Callable[[dict[str, Any], int], dict[str, Any]]
FAULTS: dict[str, tuple[Fault, set[tuple[str, str]], str]] = {
    "shift": (lambda f, i: f | {"x": f["x"] + 1.0}, {("drift", "x")}, "ModelFeatureDrift"),
    "scale": (lambda f, i: f | {"x": f["x"] * 2.5}, {("drift", "x")}, "ModelFeatureDrift"),
    "mix": (
        lambda f, i: f | {"level": "low" if UNIFORM[i] < 0.15 else "high"},
        {("drift", "level")},
        "ModelFeatureDrift",
    ),
    "rate": (lambda f, i: f | {"flag": True}, {("drift", "flag")}, "ModelFeatureDrift"),
    "vanished": (lambda f, i: {k: v for k, v in f.items() if k != "x"}, {("missing", "x")}, "ModelDataQuality"),
    "null": (lambda f, i: f | ({"x": None} if i % 2 else {}), {("missing", "x")}, "ModelDataQuality"),
    "nan": (lambda f, i: f | ({"x": float("nan")} if i % 3 == 0 else {}), {("invalid", "x")}, "ModelDataQuality"),
    "infinite": (lambda f, i: f | {"x": float("inf")}, {("invalid", "x")}, "ModelDataQuality"),
    "list": (lambda f, i: f | ({"x": [1.0]} if i % 3 == 0 else {}), {("invalid", "x")}, "ModelDataQuality"),
    "type": (lambda f, i: f | {"x": "1.5"}, {("schema", "x")}, "ModelDataQuality"),
    "number": (lambda f, i: f | ({"level": 3} if i % 2 else {}), {("schema", "level")}, "ModelDataQuality"),
    "unseen": (
        lambda f, i: f | ({"level": "extreme"} if i % 4 == 0 else {}),
        {("unseen", "level")},
        "ModelDataQuality",
    ),
    "unit": (
        lambda f, i: f | ({"y": f["y"] * 1000} if i % 5 == 0 else {}),
        {("out_of_range", "y")},
        "ModelDataQuality",
    ),
    "new": (lambda f, i: f | {"extra": 1.0 * i}, {("schema", "extra")}, "ModelDataQuality"),
    "constant": (lambda f, i: f | {"limit": 90.0}, {("out_of_range", "limit")}, "ModelDataQuality"),
}


@pytest.fixture(scope="module")
def quiet_hours():
    fleet = new_fleet(POLICY)
    return hourly(fleet, healthy, range(OVER))


def test_healthy_is_quiet(quiet_hours) -> None:
    """Without a fault there is no incident."""
    assert quiet_hours == []


@pytest.mark.parametrize("name", [name for name in FAULTS if name != "new"])
def test_found_and_resolved(name: str) -> None:
    """A fault fires under its own alert, with the cell that it is in, soon; it is resolved when it is over."""
    fault, cells, alertname = FAULTS[name]
    fleet = new_fleet(POLICY)
    changed = hourly(fleet, healthy, range(BEGINS))
    assert changed == []
    changed = hourly(fleet, lambda i: fault(healthy(i), i), range(BEGINS, ENDS))
    assert cells <= cells_of(i for i in changed if i.alertname == alertname)
    first = changed[0]
    assert first.state == "firing"
    assert first.fired_time <= START + (BEGINS + 4) * HOUR
    assert START + (BEGINS - 2) * HOUR <= first.onset_time <= first.fired_time
    done = hourly(fleet, healthy, range(ENDS, OVER))
    assert set({i.id: i.state for i in done}.values()) == {"resolved"}
    assert {i.id for i in done} == {i.id for i in changed}
    assert not fleet.book.open


@pytest.mark.parametrize(
    ("name", "fact"),
    [("vanished", "vanished feature"), ("type", "changed type of feature"), ("null", ""), ("number", ""), ("unit", "")],
)
def test_what_is_whole_is_a_fact_of_its_life(name: str, fact: str) -> None:
    """A feature that vanished, or came in another type, is noted once with when it was seen; a part of it is not."""
    fleet = new_fleet(POLICY)
    hourly(fleet, healthy, range(BEGINS))
    before = len(fleet.models.items[0].facts)
    changed = hourly(fleet, lambda i: FAULTS[name][0](healthy(i), i), range(BEGINS, ENDS))
    told = [(f.what, f.subject, f.time) for f in fleet.models.items[0].facts[before:]]
    assert told == ([(fact, "x", changed[0].fired_time)] if fact else [])


def test_new_feature_joins() -> None:
    """A feature that the reference does not know is an incident, until it has a reference of its own."""
    fleet = new_fleet(POLICY)
    hourly(fleet, healthy, range(BEGINS))
    fault = FAULTS["new"][0]
    changed = hourly(fleet, lambda i: fault(healthy(i), i), range(BEGINS, BEGINS + 30))
    assert cells_of(changed) == {("schema", "extra")}
    done = changed[-1]
    assert (done.state, done.resolved_because) == ("resolved", "joined the reference")
    assert done.resolved_time == START + (BEGINS + 25) * HOUR
    assert "is new" in changed[0].summary
    assert cell(fleet, "schema", "extra", "firing") == IDLE
    facts = [(fact.what, fact.subject) for fact in fleet.models.items[0].facts]
    assert ("new feature", "extra") in facts
    assert hourly(fleet, lambda i: fault(healthy(i), i), range(BEGINS + 30, BEGINS + 60)) == []


def test_first_predictions_are_no_strangers() -> None:
    """A model that begins to tell its predictions later than its features has no fault; they are judged in time."""
    fleet = new_fleet(POLICY)
    hourly(fleet, healthy, range(BEGINS))
    scores = lambda i: {"score": float(UNIFORM[i])}
    assert hourly(fleet, healthy, range(BEGINS, BEGINS + 40), prediction=scores) == []
    shifted = lambda i: {"score": float(UNIFORM[i] ** 3)}
    [first, *_] = hourly(fleet, healthy, range(BEGINS + 40, BEGINS + 60), prediction=shifted)
    assert first.alertname == "ModelPredictionDrift"


@pytest.mark.parametrize("kind", ["score", "label", "value"])
def test_prediction_drift(kind: str) -> None:
    """A drifting score, label or value is told as the prediction's, with the output it went to or from."""
    make = {
        "score": (lambda i: {"score": float(UNIFORM[i])}, lambda i: {"score": float(UNIFORM[i] ** 2)}),
        "label": (lambda i: "yes" if UNIFORM[i] < 0.3 else "no", lambda i: "yes" if UNIFORM[i] < 0.8 else "no"),
        "value": (lambda i: 100 + float(NORMAL[i]), lambda i: 101 + float(NORMAL[i])),
    }[kind]
    fleet = new_fleet(POLICY)
    assert hourly(fleet, healthy, range(BEGINS), prediction=make[0]) == []
    [first, *_] = hourly(fleet, healthy, range(BEGINS, ENDS), prediction=make[1])
    assert first.alertname == "ModelPredictionDrift"
    assert first.severity == "info"  # the model was not seen through a week
    assert first.feature is None
    assert first.output in {"yes", "no"} if kind == "label" else first.output.startswith("<= ")


def test_metric_drift() -> None:
    """A metric is judged like a feature."""
    fleet = new_fleet(POLICY)
    latency = lambda i: {"latency_seconds": 0.02 + 0.01 * float(UNIFORM[i])}
    slow = lambda i: {"latency_seconds": 0.03 + 0.01 * float(UNIFORM[i])}
    assert hourly(fleet, healthy, range(BEGINS), metrics=latency) == []
    changed = hourly(fleet, healthy, range(BEGINS, ENDS), metrics=slow)
    assert ("drift", "latency_seconds") in cells_of(changed)


def test_no_poisoning() -> None:
    """What a firing cell sees never enters the reference, however long it lasts; quiet series go on growing."""
    fleet = new_fleet(POLICY)
    hourly(fleet, healthy, range(BEGINS))
    reference = fleet.series.rows["reference"]
    rows = {fleet.series.names[row]: row for row in fleet.models.items[0].series}
    before = {name: reference[row].copy() for name, row in rows.items()}
    hourly(fleet, lambda i: FAULTS["shift"][0](healthy(i), i), range(BEGINS, ENDS))
    reference = fleet.series.rows["reference"]
    grown = reference[rows["x"]].astype(int) - before["x"]
    assert grown.sum() == 0
    assert reference[rows["y"]].sum() > before["y"].sum()
    hourly(fleet, healthy, range(ENDS, OVER))
    assert fleet.series.rows["reference"][rows["x"]].sum() > before["x"].sum()


def test_a_rare_error_that_becomes_common() -> None:
    """A metric that is 0 but for two in a thousand has a cell of its own, and is told when it is one in ten."""
    fleet = new_fleet(POLICY)
    rate: Callable[[float], Callable[[int], dict[str, int]]] = lambda p: lambda i: {"errors": int(UNIFORM[i] < p)}
    assert hourly(fleet, healthy, range(2 * LEARNED), metrics=rate(0.002)) == []
    assert cell(fleet, "drift", "errors", "applies")
    spots = model_document(fleet, 0, 0)["blind_spots"]
    assert [spot for spot in spots if spot["feature"] == "errors"] == []
    changed = hourly(fleet, healthy, range(2 * LEARNED, 4 * LEARNED), metrics=rate(0.1))
    assert cells_of(changed) == {("drift", "errors")}
