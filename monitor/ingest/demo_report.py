"""What a demo planted, what was found of it, what was missed, and what was false.

An incident makes *claims*: the cell that fired it, and each further cell that it took in, each with a moment.

* A fault is **found** by a claim on its model, under one of its alertnames and about one of its features, made from
  the moment it began until two ticks after it ended. Only that counts: what a fault brings about elsewhere does not
  find it.
* A claim is **explained** by a fault of the same model and the same span if it is about one of the fault's features,
  under whatever alertname: one fault may show in two (a number in another unit drifts, and leaves its range). It is
  explained too if it says that the model's answers drift and its score depends on a feature that the fault hits: they
  do drift, for the score is computed from what the model is given.
* An incident is **false** unless one of the claims with which it began is explained. An alarm for a fault that
  ended more than two ticks ago is false, and so is one for another feature of the same model.
* Cells that an incident took in without explanation are **stray**: they woke nobody, so they are counted apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from monitor.clock import rfc3339
from monitor.incidents.incident import Incident
from monitor.ingest.demo_faults import PREDICTION_DRIFT, Fault

GRACE_TICKS = 2


class _Claim(NamedTuple):
    """``feature`` moved, it was said at ``time``."""

    feature: str | None
    time: float


@dataclass(frozen=True, slots=True)
class Finding:
    """A planted fault and when it was first told, in seconds since the epoch; ``None`` where it was missed."""

    fault: Fault
    found_time: float | None


@dataclass(frozen=True, slots=True)
class DemoReport:
    """How a demo went. ``false`` are the incidents that no fault explains, ``stray_cells`` is how many cells."""

    findings: tuple[Finding, ...]
    false: tuple[Incident, ...]
    stray_cells: int
    incidents: int
    events: int
    seconds: float

    @property
    def planted(self) -> int:
        """How many faults there were."""
        return len(self.findings)

    @property
    def found(self) -> int:
        """How many of them were told."""
        return sum(finding.found_time is not None for finding in self.findings)

    @property
    def missed(self) -> int:
        """How many were not."""
        return self.planted - self.found

    @property
    def events_per_second(self) -> float:
        """Events over the time they took."""
        return self.events / self.seconds if self.seconds > 0 else 0.0


def score(
    faults: Sequence[Fault], incidents: Iterable[Incident], *, tick: float, events: int, seconds: float
) -> DemoReport:
    """Compare what was planted with what was told.

    Parameters
    ----------
    faults
        Of :class:`~monitor.ingest.demo.DemoFleet`.
    incidents
        All that there were, each in its final state.
    tick
        Seconds of event time in a tick.
    events, seconds
        How many events went through, and how long that took; for the record only.
    """
    final = list({incident.id: incident for incident in incidents}.values())
    grace = GRACE_TICKS * tick
    findings = [Finding(fault, min(_finds(fault, final, grace), default=None)) for fault in faults]
    false = [incident for incident in final if not _began_rightly(incident, faults, grace)]
    stray = sum(
        not _explained(incident, _Claim(cell.feature, cell.fired_time), faults, grace)
        for incident in final
        if incident not in false
        for cell in incident.cells
    )
    return DemoReport(tuple(findings), tuple(false), stray, len(final), events, seconds)


def as_json(report: DemoReport) -> dict[str, Any]:
    """The object that ``demo --json`` prints last; times are event time, RFC 3339."""
    return {
        "planted": report.planted,
        "found": report.found,
        "missed": report.missed,
        "false": len(report.false),
        "stray_cells": report.stray_cells,
        "incidents": report.incidents,
        "faults": [_fault(finding) for finding in report.findings],
        "events": report.events,
        "seconds": round(report.seconds, 3),
        "events_per_second": round(report.events_per_second, 1),
    }


def as_text(report: DemoReport) -> str:
    """The same for people."""
    rows = [("fault", "model", "feature", "began", "found after"), *(_row(finding) for finding in report.findings)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    counts = f"planted {report.planted}, found {report.found}, missed {report.missed}, false {len(report.false)}"
    lines += ["", f"{counts} (incidents {report.incidents}, stray cells {report.stray_cells})"]
    lines += [f"false: {rfc3339(each.fired_time)} {each.alertname} {each.summary}" for each in report.false]
    lines.append(f"{report.events} events in {report.seconds:.1f} s: {report.events_per_second:.0f} events/s")
    return "\n".join(lines)


def _claims(incident: Incident) -> list[_Claim]:
    """The opening one first: a cell that fired twice keeps only its last moment."""
    opening = _Claim(incident.feature, incident.fired_time)
    return [opening, *(_Claim(cell.feature, cell.fired_time) for cell in incident.cells)]


def _finds(fault: Fault, incidents: Iterable[Incident], grace: float) -> list[float]:
    """When each claim that tells of ``fault`` was made."""
    return [
        claim.time
        for incident in incidents
        if incident.model == fault.model and incident.alertname in fault.alertnames
        for claim in _claims(incident)
        if _in_span(fault, claim.time, grace) and _is_about(fault, incident, claim)
    ]


def _is_about(fault: Fault, incident: Incident, claim: _Claim) -> bool:
    """Whether the claim names what the fault hit; a drift of the model's answers names no feature."""
    if incident.alertname == PREDICTION_DRIFT:
        return PREDICTION_DRIFT in fault.alertnames
    return claim.feature in fault.features


def _in_span(fault: Fault, time: float, grace: float) -> bool:
    return fault.began <= time <= fault.ended + grace


def _explained(incident: Incident, claim: _Claim, faults: Iterable[Fault], grace: float) -> bool:
    return any(
        fault.model == incident.model
        and _in_span(fault, claim.time, grace)
        and (_is_about(fault, incident, claim) or (incident.alertname == PREDICTION_DRIFT and fault.moves_prediction))
        for fault in faults
    )


def _began_rightly(incident: Incident, faults: Iterable[Fault], grace: float) -> bool:
    began = [claim for claim in _claims(incident) if claim.time == incident.fired_time]
    return any(_explained(incident, claim, faults, grace) for claim in began)


def _fault(finding: Finding) -> dict[str, Any]:
    fault, found = finding.fault, finding.found_time
    return {
        "kind": str(fault.kind),
        "model": fault.model,
        "feature": fault.feature,
        "features": list(fault.features),
        "began": rfc3339(fault.began),
        "ended": rfc3339(fault.ended),
        "found": found is not None,
        "found_time": None if found is None else rfc3339(found),
        "alertnames": list(fault.alertnames),
    }


def _row(finding: Finding) -> tuple[str, ...]:
    fault, found = finding.fault, finding.found_time
    after = "missed" if found is None else _span(found - fault.began)
    return str(fault.kind), fault.model, ", ".join(fault.features), rfc3339(fault.began)[:16] + "Z", after


def _span(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60.0), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
