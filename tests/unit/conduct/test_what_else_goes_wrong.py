"""Which alert tells of each thing that goes wrong short of outcomes: one row each, through the whole fleet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fleets.build import HOUR, LEARNED, START, event, hourly, new_fleet, replayed, write_lines

NORMAL = np.random.default_rng(61).normal(0, 1, (2, 60_000))
UNIFORM = np.random.default_rng(62).random((2, 60_000))
POLICY = {"tick": "1h", "keep_firing": "6h"}
BEGINS = LEARNED + 34

Case = dict[str, Any]


def healthy(i: int) -> Case:
    return {
        "features": {
            "income": float(np.exp(10 + 0.5 * NORMAL[0, i])),
            "age": float(45 + 10 * NORMAL[1, i]),
            "channel": "web" if UNIFORM[0, i] < 0.6 else "shop",
            "note": f"what somebody wrote in the form, number {int(1e9 * UNIFORM[1, i])}",
        },
        "prediction": {
            "label": "approve" if UNIFORM[1, i] < 0.5 else "refer" if UNIFORM[1, i] < 0.7 else "deny",
            "score": float(UNIFORM[1, i]),
        },
        "metrics": {"latency_seconds": 0.02 + 0.01 * float(UNIFORM[0, -i - 1])},
    }


def changed(part: str, change: Callable[[Case, int], Case]) -> Callable[[int], Case]:
    return lambda i: healthy(i) | {part: healthy(i)[part] | change(healthy(i)[part], i)}


FAULTS: dict[str, tuple[Callable[[int], Case], set[tuple[str, str, str | None]]]] = {
    "a column swapped with another": (
        changed("features", lambda f, _: {"income": f["age"], "age": f["income"]}),
        {("ModelFeatureDrift", "drift", "income"), ("ModelDataQuality", "out_of_range", "age")},
    ),
    "a unit changed": (
        changed("features", lambda f, _: {"income": f["income"] / 1000}),
        {("ModelFeatureDrift", "drift", "income")},
    ),
    "a default that floods in": (
        changed("features", lambda f, i: {"age": 45.0 if i % 5 < 2 else f["age"]}),
        {("ModelFeatureDrift", "drift", "age")},
    ),
    "a sensor frozen": (
        changed("features", lambda f, _: {"age": 44.5}),
        {("ModelFeatureDrift", "drift", "age"), ("ModelDataQuality", "stuck", "age")},
    ),
    "a text repeated": (
        changed("features", lambda f, _: {"note": "what somebody wrote in the form"}),
        {("ModelDataQuality", "stuck", "note")},
    ),
    "scores that lost their spread": (
        changed("prediction", lambda p, _: {"score": 0.5 + 0.05 * (p["score"] - 0.5)}),
        {("ModelPredictionDrift", "drift", None)},
    ),
    "one and the same answer": (
        changed("prediction", lambda p, _: {"label": "approve", "score": 0.5}),
        {("ModelPredictionDrift", "drift", None), ("ModelDataQuality", "stuck", "label")},
    ),
    "a class that vanished": (
        changed("prediction", lambda p, _: {"label": "deny"} if p["label"] == "refer" else {}),
        {("ModelPredictionDrift", "drift", None)},
    ),
    "a class that nobody knows": (
        changed("prediction", lambda p, i: {"label": "perhaps"} if i % 4 == 0 else {}),
        {("ModelDataQuality", "unseen", "label")},
    ),
    "latency": (
        changed("metrics", lambda m, _: {"latency_seconds": m["latency_seconds"] + 0.02}),
        {("ModelFeatureDrift", "drift", "latency_seconds")},
    ),
    "a metric no longer measured": (
        changed("metrics", lambda m, _: {"latency_seconds": None}),
        {("ModelDataQuality", "missing", "latency_seconds")},
    ),
}


def fed(case: Callable[[int], Case], fleet: Any, hours: range) -> list[Any]:
    parts = {part: lambda i, part=part: case(i)[part] for part in ("prediction", "metrics")}
    return hourly(fleet, lambda i: case(i)["features"], hours, **parts)


@pytest.mark.parametrize("name", FAULTS)
def test_it_is_told_by_this_alert(name: str) -> None:
    """Each fault is told, under the alert, detector and feature that the table names, within hours."""
    fault, cells = FAULTS[name]
    fleet = new_fleet(POLICY)
    assert fed(healthy, fleet, range(BEGINS)) == []
    incidents = fed(fault, fleet, range(BEGINS, BEGINS + 14))
    assert cells <= {(i.alertname, cell.detector, cell.feature) for i in incidents for cell in i.cells}


def test_metrics_alone(tmp_path: Path) -> None:
    """Events of nothing but metrics need no id, are none of the model's features, and are judged through replay."""
    events = [
        event(
            START + i * HOUR / 50,
            None,
            metrics={
                "latency_seconds": 0.02 + 0.01 * float(UNIFORM[0, i]) + 0.02 * (i > 60 * 50),
                "revenue": float(NORMAL[0, i]),
            },
        )
        for i in range(90 * 50)
    ]
    config = '[[models]]\nmatch = "*"\ntick = "1h"\ntolerance = { drift = 0.02 }\n'
    result = replayed(tmp_path, config, write_lines(tmp_path / "metrics.jsonl", events))
    assert result.rejected == {}
    assert {(i.alertname, c.detector, c.feature) for i in result.incidents for c in i.cells} >= {
        ("ModelFeatureDrift", "drift", "latency_seconds")
    }
    assert all(cell.feature == "latency_seconds" for i in result.incidents for cell in i.cells)
