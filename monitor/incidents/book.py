"""The life of incidents: cells that fire are taken in by model, alert and attribute, and let go when they clear."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from monitor.incidents.incident import CellReport, Incident

RESOLVED_KEPT = 1000
"""Resolved incidents that stay at hand for people to read; all of them stay in the store."""
_WORDS_MAX = 10
"""Things told of in an incident's description."""
_CELLS_MAX = 200
"""Cells told of in one incident; an incident says how many there were."""

CellKey = tuple[int, str]
"""A cell as the judge knows it: (series row, name of the detector)."""


@dataclass(frozen=True, slots=True)
class Firing:
    """A cell that begins to fire, with what its model says of it."""

    key: CellKey
    model: str
    version: str
    kind: str
    alertname: str
    team: str
    mode: str
    report: CellReport
    words: str


class OpenIncident(msgspec.Struct):
    """An open incident, and which of its cells still fire. What is stored is exactly this."""

    incident: Incident
    firing: set[CellKey]
    words: list[str]


@dataclass(slots=True)
class Book:
    """All open incidents, and the newest of those that were resolved."""

    open_max: int
    open: dict[tuple[str, str, str], OpenIncident] = field(default_factory=dict)
    resolved: list[Incident] = field(default_factory=list)
    turned_away: int = 0
    changed: set[str] = field(default_factory=set)
    """Ids of incidents that are otherwise, or fire for other cells, than when they were last stored."""
    _cells: dict[CellKey, tuple[str, str, str]] = field(default_factory=dict)

    def fire(self, firings: Iterable[Firing]) -> list[Incident]:
        """Take in cells that began to fire; returns the incidents that are new or changed, in order of firing."""
        changed: dict[str, Incident] = {}
        for firing in firings:
            key = (firing.model, firing.alertname, firing.report.attribute or "")
            held = self.open.get(key)
            if held is None:
                if len(self.open) >= self.open_max:
                    self.turned_away += 1
                    continue
                held = self.open[key] = OpenIncident(_new(firing, self._severity(firing)), set(), [])
                self._relate(held.incident, changed)
            held.firing.add(firing.key)
            if len(held.words) < _WORDS_MAX and firing.words not in held.words:
                held.words.append(firing.words)
            self._cells[firing.key] = key
            held.incident = _taken_in(self.open[key], firing)
            changed[held.incident.id] = held.incident
        self.changed |= changed.keys()
        return list(changed.values())

    def clear(self, cells: Sequence[CellKey], now: float, because: str | None = None) -> list[Incident]:
        """Let go of cells that no longer fire; returns the incidents that this resolved."""
        resolved = []
        for cell in cells:
            key = self._cells.pop(cell, None)
            if key is None:
                continue
            held = self.open[key]
            held.firing.discard(cell)
            self.changed.add(held.incident.id)
            if not held.firing:
                resolved.append(self._resolve(key, now, because))
        return resolved

    def take_turned_away(self) -> int:
        """How many alarms found no room since this was last asked."""
        n, self.turned_away = self.turned_away, 0
        return n

    def newest(self) -> list[Incident]:
        """Open incidents and the resolved ones that are still at hand, the newest first."""
        everything = [held.incident for held in self.open.values()] + self.resolved
        return sorted(everything, key=lambda incident: (-incident.fired_time, incident.id))

    def restore(self, held: OpenIncident) -> None:
        """Take back an open incident that was stored."""
        incident = held.incident
        key = (incident.model, incident.alertname, incident.attribute or "")
        self.open[key] = held
        self._cells.update(dict.fromkeys(held.firing, key))

    def _resolve(self, key: tuple[str, str, str], now: float, because: str | None) -> Incident:
        held = self.open.pop(key)
        done = msgspec.structs.replace(
            held.incident, state="resolved", resolved_time=now, resolved_because=because or "cleared"
        )
        self.resolved.append(done)
        del self.resolved[:-RESOLVED_KEPT]
        return done

    def _severity(self, firing: Firing) -> str:
        """A feature that drifts alone harms nobody yet; with the model's answers it does."""
        if firing.alertname != "ModelFeatureDrift":
            return "warning"
        return "warning" if (firing.model, "ModelPredictionDrift", "") in self.open else "info"

    def _relate(self, incident: Incident, changed: dict[str, Incident]) -> None:
        """Let the open incidents of one model name each other."""
        others = [held for key, held in self.open.items() if key[0] == incident.model and held.incident is not incident]
        for held in others:
            held.incident = _with_related(held.incident, incident.id)
            changed[held.incident.id] = held.incident
        own = self.open[incident.model, incident.alertname, incident.attribute or ""]
        for held in others:
            own.incident = _with_related(own.incident, held.incident.id)


def incident_id(model: str, alertname: str, attribute: str, fired_time: float) -> str:
    """The same on every replica and in every replay."""
    name = "\0".join((model, alertname, attribute, repr(fired_time)))
    return "inc-" + hashlib.sha256(name.encode()).hexdigest()[:16]


def _new(firing: Firing, severity: str) -> Incident:
    report = firing.report
    return Incident(
        id=incident_id(firing.model, firing.alertname, report.attribute or "", report.fired_time),
        kind=firing.kind,
        alertname=firing.alertname,
        model=firing.model,
        version=firing.version,
        detector=report.detector,
        feature=report.feature,
        output=report.output,
        attribute=report.attribute,
        group=report.group,
        severity=severity,
        state="firing",
        onset_time=report.onset_time,
        fired_time=report.fired_time,
        resolved_time=None,
        effect=report.effect,
        evidence_log10=report.evidence_log10,
        summary="",
        description="",
        labels=_labels(firing, severity),
        cells=(),
    )


def _taken_in(held: OpenIncident, firing: Firing) -> Incident:
    """The incident with one more cell; cells are ranked by how far they moved beyond their tolerance, then evidence."""
    cells = sorted(_with(held.incident.cells, firing.report), key=_rank)
    # What fired first tells when it began; of several at once, the one with most evidence.
    first = max(cells, key=lambda cell: (-cell.fired_time, cell.evidence_log10))
    return msgspec.structs.replace(
        held.incident,
        cells=tuple(cells[:_CELLS_MAX]),
        onset_time=first.onset_time,
        evidence_log10=max(cell.evidence_log10 for cell in cells),
        summary=_summary(held, firing),
        description=_description(held, firing),
    )


def _with(cells: Sequence[CellReport], report: CellReport) -> list[CellReport]:
    """``cells`` and ``report``; of a cell that fires again the first firing stays, with what it shows now."""

    def name(c: CellReport) -> tuple[str | None, ...]:
        return (c.detector, c.feature, c.output, c.attribute, c.group)

    for earlier in cells:
        if name(earlier) == name(report):
            first = {"onset_time": earlier.onset_time, "fired_time": earlier.fired_time}
            report = msgspec.structs.replace(report, **first)
    return [*(cell for cell in cells if name(cell) != name(report)), report]


def _rank(cell: CellReport) -> tuple[float, float]:
    return (-cell.effect.value / max(cell.effect.tolerance, 1e-9), -cell.evidence_log10)


def _labels(firing: Firing, severity: str) -> dict[str, str]:
    report = firing.report
    given = {
        "alertname": firing.alertname,
        "severity": severity,
        "service": "modelwatch",
        "model": firing.model,
        "version": firing.version,
        "detector": report.detector,
        "feature": report.feature,
        "output": report.output,
        "attribute": report.attribute,
        "group": report.group,
        "team": firing.team,
        "mode": firing.mode,
    }
    return {name: value for name, value in given.items() if value}


def _summary(held: OpenIncident, firing: Firing) -> str:
    words = held.words or [firing.words]
    more = len(held.firing) - 1
    rest = f", and {more} more" if more > 0 else ""
    return f"{firing.model}: {words[0]}{rest}."


def _description(held: OpenIncident, firing: Firing) -> str:
    return "; ".join(held.words or [firing.words]) + "."


def _with_related(incident: Incident, other: str) -> Incident:
    return msgspec.structs.replace(incident, related=(*incident.related, other))
