"""One model's incident: what a cell that begins to fire says of it, and what becomes of it with every further cell."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from monitor.incidents.causes import ALERTNAME as SHARED
from monitor.incidents.causes import standing
from monitor.incidents.incident import CellReport, GapBill, Incident
from monitor.incidents.onset import onset_interval
from monitor.incidents.shared import ONSET_SECONDS

_CELLS_MAX = 200
"""Cells told of in one incident; an incident says how many there were."""

CellKey = tuple[int, str]
"""A cell as the judge knows it: (series row, name of the detector)."""
BookKey = tuple[str, str, str]
"""What there is one open incident of: model, alertname and attribute; of a shared cause its cause stands last."""


@dataclass(frozen=True, slots=True)
class Firing:
    """A cell that begins to fire, with what its model says of it.

    ``traffic`` is the model's events a day, ``tick`` its tick in seconds; ``watched`` marks what a watch list found.
    ``horizon`` is how long after the newest prediction behind it the alarm comes, seconds: cases mature.
    ``reference_version`` is what its version is judged by, where that is another version.
    ``provisional``: what it saw may be a season that the model has not been seen through; nobody is called for that.
    ``docket`` is all that the cell was judged by since it came under suspicion, empty where that was not kept.
    """

    key: CellKey
    model: str
    version: str
    kind: str
    alertname: str
    team: str
    mode: str
    report: CellReport
    words: str
    upstreams: tuple[str, ...] = ()
    traffic: float = 0.0
    tick: float = 60.0
    watched: bool = False
    people_affected: int | None = None
    cost: float | None = None
    currency: str = ""
    bill: GapBill | None = None
    provisional: bool = False
    horizon: float = 0.0
    reference_version: str = ""
    docket: bytes = b""


class OpenIncident(msgspec.Struct):
    """An open incident, and which of its cells still fire. What is stored is exactly this.

    ``upstreams`` and ``tick`` (seconds) are its model's. Of a shared cause ``features`` are those that its members have
    in common, and ``merged`` the incidents that it stands for, by model, alertname and attribute.
    """

    incident: Incident
    firing: set[CellKey]
    words: list[str]
    upstreams: tuple[str, ...] = ()
    tick: float = 60.0
    features: tuple[str, ...] = ()
    merged: set[BookKey] = set()
    quiet_until: float = 0.0


def incident_id(model: str, alertname: str, attribute: str, fired_time: float) -> str:
    """The same on every replica and in every replay."""
    name = "\0".join((model, alertname, attribute, repr(fired_time)))
    return "inc-" + hashlib.sha256(name.encode()).hexdigest()[:16]


def continues(held: OpenIncident, firing: Firing) -> bool:
    """Whether a cell of a model that a shared cause struck goes on with it: the same features, or the same onset."""
    report = firing.report
    if held.features and report.feature is not None:
        return report.feature in held.features
    onset, began = report.onset_time, held.incident.onset_time
    if onset is None or began is None:
        return True
    cause = standing(held.incident, held.features)
    if cause.cause[0] == "moment":
        return cause.at_once(onset, report.fired_time, firing.tick)
    return abs(onset - began) <= max(ONSET_SECONDS, 2.0 * firing.tick, report.fired_time - onset)


def key_of(incident: Incident) -> BookKey:
    """What there is one open incident of."""
    if incident.alertname == SHARED:
        return "", SHARED, f"{incident.kind}/{incident.labels.get('mode', '')} {incident.cause}"
    return incident.model, incident.alertname, incident.attribute or ""


@dataclass(frozen=True, slots=True)
class JudgedBy:
    """By what an incident is judged: SHA-256 of its model's policy and reference, and of the docket of its first cell.

    Hexadecimal; empty where it has none.
    """

    policy: str = ""
    reference: str = ""
    docket: str = ""


def new_incident(firing: Firing, grave: str, code_version: str, judged_by: JudgedBy) -> Incident:
    """An incident that ``firing`` opens with the severity ``grave``; it has no cells yet."""
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
        segment=report.segment,
        severity=grave,
        state="firing",
        onset_time=report.onset_time,
        fired_time=report.fired_time,
        resolved_time=None,
        effect=report.effect,
        evidence_log10=report.evidence_log10,
        summary="",
        description="",
        labels=_labels(firing, grave),
        cells=(),
        people_affected=firing.people_affected,
        cost=firing.cost,
        currency=firing.currency if firing.cost is not None else "",
        bill=firing.bill,
        traffic=firing.traffic,
        watched=firing.watched,
        code_version=code_version,
        reference_version=firing.reference_version,
        policy_digest=judged_by.policy,
        reference_digest=judged_by.reference,
        docket_digest=judged_by.docket,
    )


def with_firing(held: OpenIncident, firing: Firing) -> Incident:
    """The incident with one more cell; cells are ranked by how far they moved beyond their tolerance, then evidence."""
    cells = sorted(_with(held.incident.cells, _with_interval(firing)), key=lambda cell: cell.rank)
    # What fired first tells when it began; of several at once, the one with most evidence.
    first = max(cells, key=lambda cell: (-cell.fired_time, cell.evidence_log10))
    return msgspec.structs.replace(
        held.incident,
        cells=tuple(cells[:_CELLS_MAX]),
        onset_time=first.onset_time,
        onset_interval=first.onset_interval,
        evidence_log10=max(cell.evidence_log10 for cell in cells),
        summary=_summary(held, firing),
        description=_description(held, firing),
    )


def _with_interval(firing: Firing) -> CellReport:
    """The firing cell with how sure its onset is; of silence it is known: the newest event."""
    report = firing.report
    if report.onset_time is None or report.detector == "silence":
        return report
    between = onset_interval(report.onset_time, report.fired_time - firing.horizon, firing.tick)
    return msgspec.structs.replace(report, onset_interval=between)


def _with(cells: Sequence[CellReport], report: CellReport) -> list[CellReport]:
    """``cells`` and ``report``; of a cell that fires again the first firing stays, with what it shows now."""

    def name(c: CellReport) -> tuple[str | None, ...]:
        return (c.detector, c.feature, c.output, c.attribute, c.group, c.segment)

    for earlier in cells:
        if name(earlier) == name(report):
            report = msgspec.structs.replace(
                report,
                onset_time=earlier.onset_time,
                onset_interval=earlier.onset_interval,
                fired_time=earlier.fired_time,
            )
    return [*(cell for cell in cells if name(cell) != name(report)), report]


def _labels(firing: Firing, grave: str) -> dict[str, str]:
    report = firing.report
    given = {
        "alertname": firing.alertname,
        "severity": grave,
        "service": "modelwatch",
        "model": firing.model,
        "version": firing.version,
        "detector": report.detector,
        "feature": report.feature,
        "output": report.output,
        "attribute": report.attribute,
        "group": report.group,
        "segment": report.segment,
        "team": firing.team,
        "mode": firing.mode,
    }
    return {name: value for name, value in given.items() if value}


def _summary(held: OpenIncident, firing: Firing) -> str:
    words = held.words or [firing.words]
    more = len(held.firing) - 1
    rest = f", and {more} more" if more > 0 else ""
    version, before = firing.version, firing.reference_version
    versions = f" version {version} against version {before}" if before else ""
    return f"{firing.model}{versions}: {words[0]}{rest}."


def _description(held: OpenIncident, firing: Firing) -> str:
    return "; ".join(held.words or [firing.words]) + "."


def with_related(incident: Incident, other: str) -> Incident:
    """The incident, naming the id ``other`` beside it."""
    return msgspec.structs.replace(incident, related=(*incident.related, other))
