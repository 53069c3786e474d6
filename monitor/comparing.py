"""What did a replay's settings cost? The price of each tolerance, and what another configuration would have said."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.detectors import DETECTORS
from monitor.fleet import Fleet
from monitor.groups.effects import effect, noise
from monitor.groups.questions import QUESTIONS, Kind
from monitor.incidents.document import incident_document
from monitor.incidents.incident import Incident
from monitor.kernels.compare import Sides
from monitor.kernels.judge import IDLE
from monitor.outcomes.measures import LOG_LOSS

_FAMILIES: dict[str, str] = {
    **{detector.name: detector.tolerance for detector in DETECTORS},
    **{question.detector: question.tolerance for question in QUESTIONS.values()},
    "performance": "performance",
}
"""By detector, the tolerance that its cells are held to."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TolerancePrice:
    """What one tolerance did: ``cells`` are held to it, ``fired`` of them alarmed in the replay.

    ``swallowed`` of the others show a movement beyond chance (two standard errors) at the end that stays within the
    tolerance: what nobody heard of because it was said to be too small to matter. ``largest`` is the largest of these.
    ``low`` and ``high`` are its values over the models.
    """

    name: str
    low: float
    high: float
    cells: int
    fired: int
    swallowed: int
    largest: float

    def document(self) -> dict[str, Any]:
        """In JSON types."""
        return {
            "tolerance": self.name,
            "low": self.low,
            "high": self.high,
            "cells": self.cells,
            "fired": self.fired,
            "swallowed": self.swallowed,
            "largest_swallowed": self.largest,
        }

    def words(self) -> str:
        """As a line for people."""
        value = f"{self.low:g}" if self.low == self.high else f"{self.low:g} to {self.high:g}"
        kept = f", the largest {self.largest:.3g}" if self.swallowed else ""
        return (
            f"tolerance {self.name} = {value}: {self.cells} cells, {self.fired} fired; "
            f"{self.swallowed} moved beyond chance and stayed within it{kept}"
        )


def prices(fleet: Fleet, incidents: Iterable[Incident]) -> list[TolerancePrice]:
    """What each tolerance cost, by its name: of the cells of series, of groups, and of matured cases."""
    told = [(incident, cell) for incident in incidents if incident.model for cell in incident.cells]
    fired: dict[str, set[tuple[str | None, ...]]] = {}
    for incident, cell in told:
        if cell.detector in _FAMILIES:
            name = (incident.model, cell.detector, cell.feature, cell.output, cell.attribute, cell.group)
            fired.setdefault(_FAMILIES[cell.detector], set()).add(name if cell.attribute else name[:3])
    found = [*_of_series(fleet), *_of_groups(fleet), *_of_cases(fleet)]
    names = sorted({cells.name for cells in found})
    return [_price(name, [c for c in found if c.name == name], len(fired.get(name, ()))) for name in names]


@dataclass(frozen=True, slots=True)
class _Cells:
    """Cells that are held to the tolerance ``name``, as it is written in a policy, ``(k,)`` each.

    ``effect`` is how far each moved beyond chance, in the unit of ``tolerance``; 0 where it did not, or fires.
    """

    name: str
    tolerance: Floats
    edge: Floats
    effect: Floats


def _of_series(fleet: Fleet) -> Iterator[_Cells]:
    n = len(fleet.series.rows)
    for detector in DETECTORS:
        state = fleet.judge.states[detector.name]
        at = np.flatnonzero(state["applies"][:n] > 0)
        tolerance = state["tolerance"][at].astype(np.float64)
        effect = np.where(state["firing"][at] == IDLE, state["effect"][at].astype(np.float64), 0.0)
        yield _Cells(detector.tolerance, tolerance, tolerance, effect)


def _of_groups(fleet: Fleet) -> Iterator[_Cells]:
    """Ratios as the part by which the worse-off side's rate falls short of the other's; gaps as they are."""
    comparer = fleet.groups.comparer
    comparer.extend()
    cells = np.arange(len(comparer.register.cells))
    kind = comparer.kind(cells)
    for asked in np.unique(kind).tolist():
        question, at = QUESTIONS[Kind(asked)], cells[kind == asked]
        state = comparer.state
        at = at[state["recent_within"][at, 2] > 0.0]
        if not len(at):
            continue
        told = comparer.tolerance(at)
        value, error = (
            effect(comparer.kind(at), state["recent_within"][at]),
            noise(comparer.kind(at), Sides.of(state["recent"][at])),
        )
        # 0 is equality; towards where there is no harm nothing is let pass.
        log_ratio = np.log(np.clip(value, 1e-9, 1e9))
        moved = np.stack([value if question.gap else -log_ratio, -value if question.gap else log_ratio])
        moved = moved[list(question.directions)].max(axis=0)
        beyond = np.maximum(moved - 2.0 * error, 0.0)
        if not question.gap:
            beyond = 1.0 - np.exp(-beyond)
        edge = told if question.gap else 1.0 - told
        written = 1.0 / told - 1.0 if question.excess else told
        yield _Cells(question.tolerance, written, edge, np.where(state["firing"][at] == IDLE, beyond, 0.0))


def _of_cases(fleet: Fleet) -> Iterator[_Cells]:
    """Measures that are held to a learned reference; a contract knows no tolerance."""
    performance, rows = fleet.outcomes.performance, fleet.models.rows
    n = min(len(performance.rows), len(fleet.models))
    for measure, state in enumerate(performance.states):
        limited = np.array([not math.isnan(performance.limit(measure, row)) for row in range(n)], bool)
        at = np.flatnonzero(performance.rows["judged"][:n, measure] & ~limited)
        told = rows["tolerance_performance"][at].astype(np.float64)
        nats = [performance.unit(measure, row) if measure == LOG_LOSS else 1.0 for row in at.tolist()]
        moved = np.where(state["firing"][at] == IDLE, state["effect"][at].astype(np.float64), 0.0)
        yield _Cells("performance", told, told / np.array(nats), moved)


def _price(name: str, of: list[_Cells], fired: int) -> TolerancePrice:
    """What the cells ``of`` one tolerance say of it."""
    told, edge, moved = (np.concatenate([getattr(c, field) for c in of]) for field in ("tolerance", "edge", "effect"))
    swallowed = moved[(moved > 0.0) & (moved <= edge)]
    return TolerancePrice(
        name=name,
        low=round(float(told.min(initial=np.inf)), 9) if len(told) else 0.0,
        high=round(float(told.max(initial=0.0)), 9),
        cells=len(told),
        fired=fired,
        swallowed=len(swallowed),
        largest=float(swallowed.max(initial=0.0)),
    )


@dataclass(frozen=True, slots=True)
class Difference:
    """Which incidents only the one configuration gave, which only the other, and which both did, pair by pair."""

    only_a: tuple[Incident, ...]
    only_b: tuple[Incident, ...]
    both: tuple[tuple[Incident, Incident], ...]

    def lines(self) -> list[dict[str, Any]]:
        """As JSON: one object an incident, those of both with how much later (seconds) B said it."""
        found = [{"type": "incident", "in": "a", **incident_document(incident)} for incident in self.only_a]
        found += [{"type": "incident", "in": "b", **incident_document(incident)} for incident in self.only_b]
        found += [
            {"type": "incident", "in": "both", "later_seconds": b.fired_time - a.fired_time, **incident_document(b)}
            for a, b in self.both
        ]
        return sorted(found, key=lambda line: (str(line["fired_time"]), str(line["id"])))


def compare(a: Sequence[Incident], b: Sequence[Incident]) -> Difference:
    """Pair the incidents of two replays: one model, alert, attribute and cause, open at a common moment.

    Each is paired once, with the earliest that fits.
    """
    left: dict[tuple[str, ...], list[Incident]] = {}
    for incident in sorted(b, key=lambda incident: (incident.fired_time, incident.id)):
        left.setdefault(_name(incident), []).append(incident)
    only_a, both = [], []
    for incident in sorted(a, key=lambda incident: (incident.fired_time, incident.id)):
        fitting = left.get(_name(incident), [])
        partner = next((other for other in fitting if _overlap(incident, other)), None)
        if partner is None:
            only_a.append(incident)
        else:
            fitting.remove(partner)
            both.append((incident, partner))
    return Difference(tuple(only_a), tuple(one for rest in left.values() for one in rest), tuple(both))


def _name(incident: Incident) -> tuple[str, ...]:
    return (incident.model, incident.alertname, incident.attribute or "", incident.cause or "")


def _overlap(a: Incident, b: Incident) -> bool:
    ends = [np.inf if i.resolved_time is None else i.resolved_time for i in (a, b)]
    return a.fired_time <= ends[1] and b.fired_time <= ends[0]
