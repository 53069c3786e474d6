"""What could each cell see, and how fast? Said beforehand, from its null, its budget and the model's traffic alone.

A cell is blind where a share that moves by twice what is tolerated would not be found within thirty days. The planner
knows no traffic but its mean, and bets on what is true (:mod:`monitor.stats.power`); a drill is nearer to the truth.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.budget import Crowd
from monitor.detectors import DETECTORS
from monitor.detectors.cell import Detector
from monitor.drill.past import DAY_SECONDS, HORIZON_SECONDS
from monitor.fleet import Fleet
from monitor.kernels.judge import OFF
from monitor.outcomes.measures import LOG_LOSS, MEASURES
from monitor.outcomes.performance import SHARE as PERFORMANCE
from monitor.stats.dispersion import tempering
from monitor.stats.power import ticks_to_alarm_one_sample

_HIGHEST = 0.999

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


def slow_cells(fleet: Fleet, model: int, series: list[int]) -> list[dict[str, Any]]:
    """The blind cells of ``series`` (rows) and of the outcomes of ``model``, each with why and what it would need."""
    rows = fleet.models.rows
    age = float(rows["last_time"][model] - rows["first_time"][model])
    if not age > 0:
        return []
    # An outcome that comes later is an event of its own, in which no series has a value.
    totals = fleet.outcomes.totals.rows
    labelled = int(totals["labelled"][model]) if model < len(totals) else 0
    events = float(rows["events"][model])
    a_tick = max(events - labelled, events / 2.0) / age * float(rows["tick"][model])
    spots = []
    for detector in DETECTORS:
        applies = fleet.judge.states[detector.name]["applies"]
        at = np.array([row for row in series if applies[row]], np.int64)
        if len(at):
            spots += _of_series(fleet, model, detector, at, a_tick)
    return spots + _of_outcomes(fleet, model, age)


def _of_series(fleet: Fleet, model: int, detector: Detector, at: Indices, a_tick: float) -> list[dict[str, Any]]:
    state = fleet.judge.states[detector.name]
    tolerance = state["tolerance"][at].astype(np.float64)
    eta = tempering(state["scatter"][at], state["scatter_weight"][at], state["scatter_ticks"][at])
    low, high = (state[name][at].astype(np.float64) for name in ("null_low", "null_high"))
    moved = np.minimum(high + tolerance[:, None], _HIGHEST)
    if detector.two_sided:  # what is nearly all of the values can fall alone
        moved = np.where(high >= _HIGHEST, np.maximum(low - tolerance[:, None], 1.0 - _HIGHEST), moved)
    budget = _log_budget(fleet, model, detector.share, fleet.judge.weight(detector, at))
    ticks = ticks_to_alarm_one_sample(a_tick, moved, low, high, budget[:, None], eta[:, None])
    # Of a distribution the place is told where the same movement is hardest to see.
    used = state["cost"][at].reshape(len(at), detector.cuts, -1).min(axis=2) < OFF
    hardest = np.where(used, ticks, 0.0).max(axis=1)
    verb = "move" if detector.two_sided else "rise"
    return [
        {"feature": fleet.series.names[row], "detector": detector.name, **spot}
        for row, t, wide in zip(at.tolist(), hardest.tolist(), tolerance.tolist(), strict=True)
        for spot in _spot(fleet, model, t, a_tick, f"too little traffic to see a share {verb} by {2 * wide:.3g}")
    ]


def _of_outcomes(fleet: Fleet, model: int, age: float) -> list[dict[str, Any]]:
    """Measures of error that are judged, on as many matured cases with an outcome as came so far."""
    outcomes = fleet.outcomes
    performance, totals = outcomes.performance, outcomes.totals.rows
    if model >= min(len(performance.rows), len(totals)):
        return []
    a_tick = float(totals["labelled"][model]) / age * float(fleet.models.rows["tick"][model])
    tolerance = float(fleet.models.rows["tolerance_performance"][model])
    spots = []
    for place in np.flatnonzero(performance.rows["judged"][model]).tolist():
        high = float(performance.states[place]["null_high"][model, 0])
        unit = performance.unit(place, model) if place == LOG_LOSS else 1.0
        moved = min(high + tolerance / unit, _HIGHEST)
        budget = _log_budget(fleet, model, PERFORMANCE, np.ones(1))
        ticks = float(ticks_to_alarm_one_sample(max(a_tick, 1e-12), moved, 0.0, high, budget)[0])
        name = MEASURES[place].name
        why = f"too few outcomes to see the {MEASURES[place].words} rise by {2 * tolerance:.3g}"
        spots += [
            {"feature": None, "detector": "performance", "measure": name, **spot}
            for spot in _spot(fleet, model, ticks, a_tick, why)
        ]
    return spots


def _spot(fleet: Fleet, model: int, ticks: float, a_tick: float, why: str) -> list[dict[str, Any]]:
    """One entry where ``ticks`` are more than thirty days, none where they are not."""
    seconds = ticks * float(fleet.models.rows["tick"][model])
    if seconds <= HORIZON_SECONDS:
        return []
    known = math.isfinite(seconds)
    return [
        {
            "why": f"{why} within 30 days",
            "days": seconds / DAY_SECONDS if known else None,
            "events_needed": math.ceil(ticks * a_tick) if known else None,
        }
    ]


def _log_budget(fleet: Fleet, model: int, share: str, weight: Array) -> Array:
    """The log of what cells of ``share`` may spend in a tick, by their ``weight`` (k,)."""
    crowd = Crowd.of(share, fleet.judge.n_cells[share], fleet.models)
    tick = fleet.models.rows["tick"][model : model + 1]
    allowance = fleet.judge.budget.allowance(share, crowd, np.array([model]), tick)
    found: Array = np.log(np.maximum(weight * allowance, 1e-300))
    return found
