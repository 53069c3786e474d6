"""What is known of one model, as the document that the API and ``replay --out`` give."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.apart.watch import standing
from monitor.catalog.models import LAST_WEEK, PREVIOUS_VERSION, Model, Phase
from monitor.catalog.series import JUDGED, RETIRED, SPACE_NAMES, UNJUDGED
from monitor.clock import rfc3339
from monitor.detectors import DETECTORS
from monitor.drill.findings import Findings, document, names_of, told
from monitor.drill.planner import slow_cells
from monitor.fleet import Fleet
from monitor.groups.shown import associations, blind_spots
from monitor.kernels.judge import FIRING
from monitor.kernels.tally import (
    BINS,
    EVENTS,
    INVALID,
    KIND_CATEGORY,
    NULLS,
    PRESENT,
    TYPE,
)
from monitor.leaning.document import leaning_document
from monitor.leaning.group_document import group_features
from monitor.outcomes.document import performance_document
from monitor.outcomes.group_report import calibration_by_group, remedies
from monitor.stats.distances import debiased_psi, wasserstein
from monitor.status import MODEL_STATES

KINDS = ("unknown", "number", "category")
_LN10 = math.log(10.0)


def model_states(fleet: Fleet) -> NDArray[np.uint8]:
    """Index of ``MODEL_STATES`` of each model, by row; a model that is silent is that before all."""
    phase = fleet.models.rows["phase"][: len(fleet.models)]
    learning, watching, firing, silent = (MODEL_STATES.index(s) for s in ("learning", "watching", "firing", "silent"))
    states = np.where(phase == Phase.LEARNING, learning, watching).astype(np.uint8)
    for name in {key[0] for key in fleet.book.open}:
        row = fleet.find_model(name)
        if row is not None:
            states[row] = firing
    states[fleet.traffic.silent()] = silent
    return states


def model_document(fleet: Fleet, row: int, state: int, found: Findings | None = None) -> dict[str, Any]:
    """The document of the model in ``row``; ``state`` indexes ``MODEL_STATES``, ``found`` is of its last fire drill."""
    model, rows = fleet.models.items[row], fleet.models.rows
    series = [r for r in model.series if fleet.series.rows["judging"][r] != RETIRED]
    features = [_feature(fleet, r) for r in series]
    drilled = _drilled(fleet, row, found)
    return {
        "model": model.name,
        "version": model.version,
        "state": MODEL_STATES[state],
        "phase": Phase(int(rows["phase"][row])).name.lower(),
        "team": model.policy.team,
        "events": int(rows["events"][row]),
        "first_event_time": _time(rows["first_time"][row]),
        "last_event_time": _time(rows["last_time"][row]),
        "versions": list(model.versions),
        "excluded": [
            {"from": rfc3339(e.from_), "until": rfc3339(e.until), "by": e.by, "note": e.note} for e in model.excluded
        ],
        "facts": [{"time": rfc3339(f.time), "what": f.what, "subject": f.subject} for f in model.facts],
        "reference": {
            "digest": model.reference_digest or None,
            "source": source_of(model),
            "version": model.reference_version or None,
        },
        "traffic": _traffic(fleet, row),
        "conduct": _conduct(fleet, row),
        "features": features,
        "splits": [_split(fleet, within) for within in fleet.models.within.get(row, ())],
        "associations": associations(fleet.groups, row, fleet.by_group.unidentified(row), fleet.by_group.price),
        "performance": performance_document(fleet.outcomes, fleet.models, row),
        "calibration_by_group": calibration_by_group(fleet.groups, fleet.by_group, row),
        "remedies": []
        if fleet.by_group.unidentified(row)
        else remedies(fleet.groups, fleet.by_group.scores, row, model.policy),
        "advice": _advice(fleet, model.name),
        "leaning": _leaning(fleet, row),
        "group_features": group_features(
            *(fleet.groups, fleet.features_by_group, fleet.leaning, fleet.series),
            row,
            fleet.lives.series_rows(row),
            partial(standing, fleet.apart.cells(row)),
        ),
        "blind_spots": _blind_spots(fleet, row, series)
        + blind_spots(
            fleet.groups, row, float(rows["last_time"][row] - rows["first_time"][row]), fleet.by_group.unseen(row)
        )
        + drilled["blind_spots"],
        "drill": drilled if found else None,
    }


def _advice(fleet: Fleet, name: str) -> dict[str, str] | None:
    """What should be done about all that is open; the same for every incident of a model."""
    said = [held.incident.advice for key, held in fleet.book.open.items() if key[0] == name]
    advice = next((each for each in said if each is not None), None)
    return None if advice is None else {"action": advice.action, "reason": advice.reason}


def _leaning(fleet: Fleet, row: int) -> dict[str, Any] | None:
    """What the model leans on; features that are groups of people are told of elsewhere."""
    policy = fleet.models.items[row].policy
    hidden = () if policy.include_group_values else policy.sensitive or ()
    rows = fleet.lives.series_rows(row)
    return leaning_document(fleet.leaning, fleet.series, row, rows, hidden, policy.costs.currency)


def _drilled(fleet: Fleet, row: int, found: Findings | None) -> dict[str, Any]:
    """What the last fire drill said; its blind spots say why in the drill's own words."""
    if found is None:
        return {"blind_spots": []}
    drill = document(fleet.models.items[row].name, found, told(names_of(fleet, row), found))
    for spot in drill["blind_spots"]:
        spot["why"] = spot["words"]
    return drill


def _split(fleet: Fleet, row: int) -> dict[str, Any]:
    """What is known of the events with one value of a segment."""
    model, rows = fleet.models.items[row], fleet.models.rows
    features = [_feature(fleet, r) for r in model.series if fleet.series.rows["judging"][r] != RETIRED]
    firing = any(feature["state"] == "firing" for feature in features)
    learning = rows["phase"][row] == Phase.LEARNING
    return {
        "segment": model.split.shown(model.policy) if model.split else None,
        "version": model.version,
        "state": "firing" if firing else "learning" if learning else "watching",
        "events": int(rows["events"][row]),
        "last_event_time": _time(rows["last_time"][row]),
        "features": features,
    }


def _traffic(fleet: Fleet, row: int) -> dict[str, Any]:
    """What is usual of the model's traffic and what comes now; rates in events an hour."""
    known = fleet.traffic.known(row)
    return {
        "retired": known.retired,
        "judged": known.judged,
        "state": "silent" if known.silent else "firing" if known.firing else "watching" if known.judged else "learning",
        "silent_at": _time(known.due),
        "expected_by_hour_of_week": [float(f"{rate:.4g}") for rate in known.rates],
        "ratio": _finite(known.ratio),
    }


def _conduct(fleet: Fleet, row: int) -> list[dict[str, Any]]:
    """How the model is used and what it answers: shares of its events or lists, in the reference and now."""
    return [
        {
            "detector": known.detector,
            "state": "firing" if known.firing else "watching",
            "before": _finite(known.before),
            "now": _finite(known.now),
            "effect": {"name": known.unit, "value": known.effect, "tolerance": known.tolerance},
            "evidence_log10": _finite(known.evidence / _LN10),
        }
        for known in fleet.conduct.known(row)
    ]


def _still(fleet: Fleet, row: int) -> list[dict[str, Any]]:
    """The cell that tells whether a series stands still, or is stale; none where that is not judged."""
    known = fleet.conduct.stretches.known(row)
    if known is None:
        return []
    return [
        {
            "detector": known.detector,
            "state": "firing" if known.firing else "watching",
            "effect": {"name": "seconds", "value": known.seconds, "tolerance": known.limit},
            "ratio": known.seconds / known.limit if known.firing else 0.0,
            "evidence_log10": _finite(known.evidence / _LN10),
        }
    ]


def _feature(fleet: Fleet, row: int) -> dict[str, Any]:
    rows = fleet.series.rows
    at = np.array([row])
    reference, recent = rows["reference"][row].astype(np.float64), rows["recent"][row].astype(np.float64)
    reason = UNJUDGED[int(rows["unjudged"][row])]
    cells = [_cell(fleet, i, at) for i, d in enumerate(DETECTORS) if fleet.judge.states[d.name]["applies"][row]]
    cells += _still(fleet, row)
    worst = max(cells, key=lambda c: (c["state"] == "firing", c["ratio"] or 0.0), default=None)
    return {
        "name": fleet.series.names[row],
        "space": SPACE_NAMES[int(rows["space"][row])],
        "kind": KINDS[int(rows["kind"][row])],
        "state": _state(fleet, row, cells),
        "not_judged_because": reason or None,
        "effect": worst["effect"] if worst else None,
        "evidence_log10": worst["evidence_log10"] if worst else None,
        "cells": cells,
        "effects": _effects(fleet, row, reference, recent),
        "reference_events": int(reference[EVENTS]),
        "reference": _histogram(fleet, row, reference),
        "current": _histogram(fleet, row, recent),
    }


def _state(fleet: Fleet, row: int, cells: list[dict[str, Any]]) -> str:
    if any(cell["state"] == "firing" for cell in cells):
        return "firing"
    return "watching" if fleet.series.rows["judging"][row] == JUDGED else "learning"


def _cell(fleet: Fleet, index: int, at: NDArray[np.int64]) -> dict[str, Any]:
    detector, row = DETECTORS[index], int(at[0])
    state = fleet.judge.states[detector.name]
    tolerance = float(state["tolerance"][row])
    effect = float(state["effect"][row])
    return {
        "detector": detector.name,
        "state": "firing" if state["firing"][row] == FIRING else "watching",
        "effect": {"name": detector.effect, "value": effect, "tolerance": tolerance},
        "ratio": effect / tolerance if tolerance > 0 else None,
        "evidence_log10": _finite(float(state["evidence"][row]) / _LN10),
    }


def _effects(fleet: Fleet, row: int, reference: NDArray[np.float64], recent: NDArray[np.float64]) -> dict[str, Any]:
    """The field's customary figures: PSI without its bias, and Wasserstein's distance in standard deviations."""
    rows = fleet.series.rows
    bins, now = reference[None, :BINS], recent[None, :BINS]
    effects = {"debiased_psi": _finite(float(debiased_psi(bins, now)[0])), "w1_over_sigma": None}
    if rows["kind"][row] != KIND_CATEGORY and rows["n_edges"][row] > 0:
        places = _places(rows["edges"][row, : int(rows["n_edges"][row])], rows["seen_low"][row], rows["seen_high"][row])
        effects["w1_over_sigma"] = _finite(float(wasserstein(bins, now, places[None, :])[0]))
    return effects


def _places(edges: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """A number that stands for each bin: its middle, the extremes for the tails."""
    ends = np.concatenate([[min(low, edges[0])], edges, [max(high, edges[-1])]])
    middles = (ends[:-1] + ends[1:]) / 2.0
    return np.pad(middles, (0, BINS - len(middles)), mode="edge")


def bins_shown(fleet: Fleet, row: int) -> list[int]:
    """The columns of a series' counts that are bins which mean something."""
    rows = fleet.series.rows
    if rows["kind"][row] == KIND_CATEGORY:
        return [*range(int(rows["n_categories"][row])), BINS - 2, BINS - 1]
    return list(range(int(rows["n_edges"][row]) + 1))


def bins_told(fleet: Fleet, row: int) -> list[str]:
    """What stands in each of these bins, in words; groups of people that the policy keeps inside have numbers."""
    hidden = protected(fleet, row)
    return [f"category {j + 1}" if hidden else fleet.series.bin_label(row, j) for j in bins_shown(fleet, row)]


def _histogram(fleet: Fleet, row: int, counts: NDArray[np.float64]) -> dict[str, Any]:
    return {
        "bins": bins_told(fleet, row),
        "counts": [round(float(counts[j]), 3) for j in bins_shown(fleet, row)],
        "missing": round(float(counts[EVENTS] - counts[PRESENT] + counts[NULLS]), 3),
        "invalid": round(float(counts[INVALID]), 3),
        "wrong_type": round(float(counts[TYPE]), 3),
    }


def protected(fleet: Fleet, row: int) -> bool:
    """Whether the values of ``row`` are groups of people that the policy keeps inside."""
    policy = fleet.models.items[int(fleet.series.rows["model"][row])].policy
    return fleet.series.names[row] in (policy.sensitive or ()) and not policy.include_group_values


def _blind_spots(fleet: Fleet, model: int, series: list[int]) -> list[dict[str, Any]]:
    """What could not be seen within thirty days, and why."""
    known, rows = fleet.models.items[model], fleet.series.rows
    spots: list[dict[str, Any]] = []
    traffic = fleet.traffic.known(model)
    if not (traffic.judged or traffic.retired):
        spots.append({"feature": None, "detector": "silence", "why": "traffic is still being learned"})
        spots.append({"feature": None, "detector": "volume", "why": "traffic is still being learned"})
    if not known.reference_digest:
        spots.append({"feature": None, "detector": None, "why": "no training reference"})
    if fleet.conduct.lists.unchanged.blind(model):
        spots.append({"feature": None, "detector": "stuck", "why": "the items it serves were nearly all served before"})
    for row in series:
        reason = UNJUDGED[int(rows["unjudged"][row])]
        if not reason and rows["n_cuts"][row] == 0:
            reason = "nearly always one value"
        if rows["judging"][row] != JUDGED:
            reason = "reference is still being learned"
        if reason:
            spots.append({"feature": fleet.series.names[row], "detector": "drift", "why": reason})
        if reason == "timestamp" and rows["kind"][row] == KIND_CATEGORY:
            why = "a time in words: that it stands still is seen, not how old it is"
            spots.append({"feature": fleet.series.names[row], "detector": "stale", "why": why})
    return spots + slow_cells(fleet, model, series)


def source_of(model: Model) -> str:
    """Where a model's reference is from: a file, the version before, the week before, or what it showed."""
    if model.reference_version:
        return PREVIOUS_VERSION
    if model.policy.reference == LAST_WEEK:
        return LAST_WEEK
    return "file" if model.reference_digest else "learned"


def _time(seconds: float) -> str | None:
    return rfc3339(float(seconds)) if math.isfinite(float(seconds)) else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
