"""Matured cases from columns, handed to the judges of outcomes without events."""

from __future__ import annotations

from typing import Any

import numpy as np
from fleets.build import HOUR, START, new_fleet
from numpy.typing import NDArray

from monitor.fleet import Fleet
from monitor.kernels.hashing import hash64
from monitor.kernels.lean import NO_PLACES
from monitor.outcomes.case import SLOTS, blank
from monitor.outcomes.lists import graded
from monitor.outcomes.matured import Matured
from monitor.outcomes.outcomes import Moment

HORIZON = 24 * HOUR


def fleet_of(n_models: int, **policy: Any) -> Fleet:
    """A fleet of ``n_models`` models that were met, with ticks of an hour."""
    fleet = new_fleet({"tick": "1h", **policy})
    for i in range(n_models):
        name = f"m{i}"
        row = fleet.models.add(name, hash64(name.encode()), fleet.discovery.policy_of(name), START)
        fleet.models.rows["last_time"][row] = START
    fleet.outcomes.restored()
    return fleet


def matured(model: NDArray[Any], tick: int, **columns: Any) -> Matured:
    """Cases of one cohort: ``columns`` are those of :class:`Matured`, others say nothing."""
    n = len(model)
    nothing: dict[str, Any] = {
        **{name: np.full(n, np.nan) for name in ("delay", "value", "outcome_number", "money")},
        **{name: np.full(n, np.nan) for name in ("wrong", "score", "y", "error", "cost")},
        **{name: np.zeros(n, np.uint64) for name in ("predicted", "outcome", "entity")},
        **{name: np.full(n, -1, np.int8) for name in ("favourable", "merits", "predicted_positive", "actual_positive")},
        "key": np.arange(1, n + 1, dtype=np.uint64),
        "names": np.zeros((n, SLOTS), np.uint64),
        "texts": np.zeros((n, SLOTS), np.uint64),
        "kinds": np.zeros((n, SLOTS), np.uint8),
        "apart": np.zeros((n, SLOTS), bool),
        "labelled": np.ones(n, bool),
        "places": np.full((n, 2), NO_PLACES),
        "lists": graded(blank(n)),
    }
    end = START + HOUR * (tick + 1)
    times = np.full(n, end - HOUR / 2)
    given = {name: c if name == "lists" else np.asarray(c) for name, c in columns.items()}
    fixed = {"model": np.asarray(model, np.int32), "end": np.full(n, end), "due": end + HORIZON, "time": times}
    return Matured(**{**nothing, **given, **fixed})


def judged(fleet: Fleet, cases: Matured) -> Moment:
    """Let one cohort be judged, and its incidents be taken in; what began and ceased to fire."""
    outcomes, moment = fleet.outcomes, Moment(cases.due)
    outcomes.totals.add(cases)
    sums: dict[float, Any] = {}
    outcomes._sum_up(cases, sums)
    for measures, scored in sums.values():
        outcomes._judge(measures, scored, moment)
    return moment
