"""What did a replay's settings cost? The price of each tolerance, and what another configuration would have said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from monitor.detectors import DETECTORS
from monitor.fleet import Fleet
from monitor.incidents.document import incident_document
from monitor.incidents.incident import Incident


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
    """What each tolerance cost, by its name."""
    fired: dict[str, set[tuple[str, str | None, str | None]]] = {}
    family = {detector.name: detector.tolerance for detector in DETECTORS}
    for incident in incidents:
        for cell in incident.cells if incident.model else ():
            if cell.detector in family:
                names = fired.setdefault(family[cell.detector], set())
                names.add((incident.model, cell.detector, cell.feature))
    return [_price(fleet, name, len(fired.get(name, ()))) for name in sorted(set(family.values()))]


def _price(fleet: Fleet, name: str, fired: int) -> TolerancePrice:
    values, effects, tolerances = [], [], []
    n = len(fleet.series.rows)
    for detector in DETECTORS:
        if detector.tolerance != name:
            continue
        state = fleet.judge.states[detector.name]
        at = np.flatnonzero((state["applies"][:n] > 0) & (state["firing"][:n] == 0))
        tolerances.append(fleet.models.rows[f"tolerance_{name}"][fleet.series.rows["model"][at]])
        effects.append(state["effect"][at].astype(np.float64))
        values.append(int((state["applies"][:n] > 0).sum()))
    effect, tolerance = np.concatenate(effects), np.concatenate(tolerances)
    swallowed = effect[(effect > 0.0) & (effect <= tolerance)]
    known = fleet.models.rows[f"tolerance_{name}"][: len(fleet.models)]
    return TolerancePrice(
        name=name,
        low=float(known.min(initial=np.inf)) if len(known) else 0.0,
        high=float(known.max(initial=0.0)) if len(known) else 0.0,
        cells=sum(values),
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
