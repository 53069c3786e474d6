"""How was each feature distributed in a past range, how far from its reference, and when? From the sums of ticks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from monitor.catalog.series import JUDGED, RETIRED, SPACE_NAMES, UNJUDGED
from monitor.clock import rfc3339
from monitor.detectors import DETECTORS
from monitor.detectors.cell import Detector, SeriesView, Shares
from monitor.fleet import Fleet
from monitor.kernels.tally import BINS, COLUMNS, EVENTS, INVALID, KIND_CATEGORY, NULLS, PRESENT, TYPE
from monitor.portrait import KINDS, bins_shown, bins_told, protected
from monitor.stats.distances import debiased_psi, wasserstein
from monitor.tally.blocks import EVENTS_IN, WITH_OUTCOME, WITH_PREDICTION
from monitor.tally.closed import ClosedTick

STEPS_MAX = 60
"""Steps that a range is told in at most."""
STEPS_SECONDS = (60.0, 300.0, 900.0, 3600.0, 3 * 3600.0, 6 * 3600.0, 86400.0, 7 * 86400.0, 28 * 86400.0)
EVENTS_MIN = 30
"""Values of a step below which nothing is told of its effect."""
_ERROR = 0.05
"""How often chance alone may let a step look further from its reference than it is, over all cuts of a cell."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of one detector, by series: which have one, what is tolerated, what the reference says, of how much."""

    applies: NDArray[np.bool_]
    tolerance: Array
    before: Array
    n_before: Array

    def of(self, series: NDArray[np.int64]) -> Cells:
        """Those of ``series``, each as often as it stands there."""
        return Cells(self.applies[series], self.tolerance[series], self.before[series], self.n_before[series])


@dataclass(frozen=True, slots=True)
class Subject:
    """All that must be known of a model's series to read its ticks: copied, so that any thread may.

    Lists and arrays have an entry for each series, in the order in which ticks hold them; ``places`` (k, 32) are
    numbers that stand for bins, NaN where there are none. ``tick`` is the length of a tick, seconds.
    """

    tick: float
    names: list[str]
    about: list[dict[str, Any]]
    labels: list[list[str]]
    shown: list[list[int]]
    hidden: list[bool]
    reference: Array
    places: Array
    view: SeriesView
    cells: list[Cells]


@dataclass(frozen=True, slots=True)
class Steps:
    """The sums of a range: ``counts`` (steps, series + 1, 40), a step of ``seconds`` each, the first from ``since`` on.

    ``began`` and ``ended`` say what they cover.
    """

    since: float
    seconds: float
    counts: NDArray[np.int64]
    began: float
    ended: float


def subject(fleet: Fleet, row: int) -> Subject:
    """Copy what must be known of the series of the model in ``row``."""
    own = np.array(fleet.models.items[row].series, np.int64)
    rows, names = fleet.series.rows, fleet.series.names
    view, cells = fleet.judge.view(own), []
    reference = fleet.judge.reference(own, view)
    for detector in DETECTORS:
        state = fleet.judge.states[detector.name]
        shares = detector.shares(reference, view)
        tolerance = state["tolerance"][own].astype(np.float64)
        cells.append(Cells(state["applies"][own] > 0, tolerance, _rates(shares), shares.n))
    return Subject(
        tick=float(fleet.models.rows["tick"][row]),
        names=[names[r] for r in own.tolist()],
        about=[_about(fleet, r) for r in own.tolist()],
        labels=[bins_told(fleet, r) for r in own.tolist()],
        shown=[bins_shown(fleet, r) for r in own.tolist()],
        hidden=[protected(fleet, r) for r in own.tolist()],
        reference=rows["reference"][own].astype(np.float64),
        places=_places(fleet, own),
        view=view,
        cells=cells,
    )


def _about(fleet: Fleet, row: int) -> dict[str, Any]:
    rows = fleet.series.rows
    judging, reason = int(rows["judging"][row]), UNJUDGED[int(rows["unjudged"][row])]
    return {
        "name": fleet.series.names[row],
        "space": SPACE_NAMES[int(rows["space"][row])],
        "kind": KINDS[int(rows["kind"][row])],
        "retired": judging == RETIRED,
        "not_judged_because": reason or (None if judging != RETIRED else "another took its place"),
        "reference_complete": judging == JUDGED,
    }


def _places(fleet: Fleet, own: NDArray[np.int64]) -> Array:
    """A number for each bin: its middle, the extremes for the tails."""
    rows, found = fleet.series.rows, np.full((len(own), BINS), np.nan)
    for i, row in enumerate(own.tolist()):
        n = int(rows["n_edges"][row])
        if rows["kind"][row] != KIND_CATEGORY and n:
            edges = rows["edges"][row, :n]
            low, high = min(rows["seen_low"][row], edges[0]), max(rows["seen_high"][row], edges[-1])
            ends = np.concatenate([[low], edges, [high]])
            middles = (ends[:-1] + ends[1:]) / 2.0
            found[i] = np.pad(middles, (0, BINS - len(middles)), mode="edge")
    return found


def summed(of: Subject, ticks: Iterable[ClosedTick], since: float, until: float) -> Steps | None:
    """The sums of ``ticks``, the coarsest of them first, in steps; ``None`` where there are none."""
    steps: Steps | None = None
    began, ended = math.inf, -math.inf
    for tick in ticks:
        if steps is None:
            steps = _empty(of, max(tick.seconds, of.tick), since, until)
        step = min(max(math.ceil((tick.end - steps.since) / steps.seconds) - 1, 0), len(steps.counts) - 1)
        n = min(len(tick.counts), steps.counts.shape[1])
        steps.counts[step, :n] += tick.counts[:n]
        began, ended = min(began, tick.end - max(tick.seconds, of.tick)), max(ended, tick.end)
    return None if steps is None else Steps(steps.since, steps.seconds, steps.counts, began, ended)


def _empty(of: Subject, least: float, since: float, until: float) -> Steps:
    wanted = max((until - since) / STEPS_MAX, least)
    seconds = next((each for each in STEPS_SECONDS if each >= wanted), math.ceil(wanted / 86400.0) * 86400.0)
    first = math.floor(since / seconds) * seconds
    n = max(math.ceil((until - first) / seconds), 1)
    return Steps(first, seconds, np.zeros((n, len(of.names) + 1, COLUMNS), np.int64), first, first)


def volumes(steps: Steps) -> list[dict[str, Any]]:
    """Events by step, with those of them that held a prediction or an outcome."""
    return [
        {
            "from": rfc3339(steps.since + i * steps.seconds),
            "until": rfc3339(steps.since + (i + 1) * steps.seconds),
            "events": int(counts[EVENTS_IN]),
            "predictions": int(counts[WITH_PREDICTION]),
            "outcomes": int(counts[WITH_OUTCOME]),
        }
        for i, counts in enumerate(steps.counts[:, 0])
    ]


def features(of: Subject, steps: Steps, evidence: Mapping[int, list[float | None]]) -> list[dict[str, Any]]:
    """Each series that was met in the range, in JSON types: its distribution then, and how far it was when.

    ``evidence`` is what was gathered against it by step, by its place.
    """
    whole = steps.counts.sum(axis=0).astype(np.float64)[1:]
    cells = _effects(of, whole)
    ratios = _ratios(of, steps)
    return [
        {
            **of.about[i],
            "events": int(whole[i, EVENTS]),
            "present": int(whole[i, PRESENT]),
            "cells": cells[i],
            "ratios": ratios[i],
            "evidence_ratios": evidence.get(i),
            "effects": _customary(of, i, whole[i]),
            "reference": None if of.hidden[i] else _histogram(of, i, of.reference[i]),
            "current": None if of.hidden[i] else _histogram(of, i, whole[i]),
        }
        for i in np.flatnonzero(whole[:, PRESENT] > 0.0).tolist()
    ]


def _effects(of: Subject, counts: Array) -> list[list[dict[str, Any]]]:
    """Of each series its cells, the furthest from what is tolerated first; ``counts`` (series, 40)."""
    found: list[list[dict[str, Any]]] = [[] for _ in of.names]
    for detector, cells in zip(DETECTORS, of.cells, strict=True):
        values = _moved(detector.shares(counts, of.view), detector, cells)
        for i in np.flatnonzero(cells.applies & ~np.isnan(values)).tolist():
            value, tolerance = float(values[i]), float(cells.tolerance[i])
            effect = {"name": detector.effect, "value": value, "tolerance": tolerance}
            ratio = value / tolerance if tolerance > 0.0 else None
            found[i].append({"detector": detector.name, "effect": effect, "ratio": ratio})
    return [sorted(cells, key=lambda cell: -(cell["ratio"] or 0.0)) for cells in found]


def _moved(shares: Shares, detector: Detector, cells: Cells, chance: Array | float = 0.0) -> Array:
    """How far the furthest share of each series lies from the reference, ``(series,)``; NaN without events.

    ``chance`` (series, cuts) is what is left out of each.
    """
    moved = _rates(shares) - cells.before
    moved = np.maximum((np.abs(moved) if detector.two_sided else moved) - chance, 0.0)
    empty = np.isnan(moved).all(axis=1)
    largest: Array = np.where(empty, np.nan, np.nan_to_num(moved, nan=0.0).max(axis=1, initial=0.0))
    return largest


def _rates(shares: Shares) -> Array:
    """Shares as rates, ``(k, cuts)``; NaN without events."""
    rates: Array = np.minimum(shares.s / np.where(shares.n > 0.0, shares.n, np.nan)[:, None], 1.0)
    return rates


def _ratios(of: Subject, steps: Steps) -> list[list[float | None]]:
    """Of each series the least that its largest effect was over what is tolerated, by step; ``None`` of too few values.

    In a short step chance alone moves shares beyond what is tolerated, so what it may do is left out.
    """
    n_steps, n = len(steps.counts), len(of.names)
    counts = steps.counts[:, 1:].reshape(n_steps * n, COLUMNS)
    found = np.full(n_steps * n, np.nan)
    enough = counts[:, PRESENT] >= EVENTS_MIN
    for detector, cells in zip(DETECTORS, of.cells, strict=True):
        at = np.flatnonzero(np.tile(cells.applies, n_steps) & enough)
        if len(at):
            series = at % n
            own, shares = cells.of(series), detector.shares(counts[at].astype(np.float64), _view(of.view, series))
            least = _moved(shares, detector, own, _chance(shares, detector, own))
            found[at] = np.fmax(found[at], least / np.maximum(own.tolerance, 1e-9))
    by_series = found.reshape(n_steps, n).T.tolist()
    return [[None if math.isnan(value) else float(f"{value:.4g}") for value in row] for row in by_series]


def _view(view: SeriesView, series: NDArray[np.int64]) -> SeriesView:
    """What detectors may know of ``series``, each as often as it stands there."""
    return SeriesView(*(getattr(view, each.name)[series] for each in fields(SeriesView)))


def _chance(shares: Shares, detector: Detector, cells: Cells) -> Array:
    """By how much each share may differ from the reference's by chance, ``(series, cuts)``: normal, over all cuts."""
    n, n_before = np.maximum(shares.n, 1.0)[:, None], np.maximum(cells.n_before, 1.0)[:, None]
    rate, before = np.nan_to_num(_rates(shares)), np.nan_to_num(cells.before)
    variance = np.maximum(rate * (1.0 - rate), 1.0 / n) / n + before * (1.0 - before) / n_before
    reach: Array = -special.ndtri(_ERROR / 2.0 / detector.cuts) * np.sqrt(variance)
    return reach


def _customary(of: Subject, i: int, counts: Array) -> dict[str, Any]:
    """The field's customary figures: PSI without its bias, and Wasserstein's distance in standard deviations."""
    then, now = of.reference[i : i + 1, :BINS], counts[None, :BINS]
    effects: dict[str, Any] = {"debiased_psi": _finite(float(debiased_psi(then, now)[0])), "w1_over_sigma": None}
    if not np.isnan(of.places[i]).any():
        effects["w1_over_sigma"] = _finite(float(wasserstein(then, now, of.places[i : i + 1])[0]))
    return effects


def _histogram(of: Subject, i: int, counts: Array) -> dict[str, Any]:
    return {
        "bins": of.labels[i],
        "counts": [round(float(counts[j]), 3) for j in of.shown[i]],
        "missing": round(float(counts[EVENTS] - counts[PRESENT] + counts[NULLS]), 3),
        "invalid": round(float(counts[INVALID]), 3),
        "wrong_type": round(float(counts[TYPE]), 3),
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
