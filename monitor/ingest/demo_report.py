"""What a demo planted, what was found of it, what was missed, and what was false.

An incident makes *claims*: the cell that fired it, and each further cell that it took in, each with a moment.

* A fault is **found** by a claim on one of its models, under one of its alertnames and about one of its features, or
  its group and output, made before it ended: in a tick that began before. How a feature lies in a group is judged by
  days, which are its ticks. Only that counts: what a fault brings about elsewhere does not find it.
* A fault that the planner named as one that the traffic cannot show is **not planted**: it counts neither as found nor
  as missed, but an incident about it is no false one either.
* A claim is **explained** by a fault of the same model and the same span if it is about one of the fault's features,
  under whatever alertname: one fault may show in two (a number in another unit drifts, and leaves its range). It is
  explained too by what a fault really brings about elsewhere in that model: answers drift, and may be right less often,
  where the score depends on a feature that is hit, for it is computed from what the model is given; and where a group
  is treated otherwise, or its feature moved, the others of its attribute are compared with a rest that has it. What
  outcomes say of cases of the span is said when these mature, and explained then.
* An incident is **false** unless one of the claims with which it began is explained. An alarm for a fault that has
  ended is false, and so is one for another feature of the same model.
* A **shared cause** is judged by what was merged into it: it is false unless at least half of that began rightly.
* Cells that an incident took in without explanation are **stray**: they woke nobody, so they are counted apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from monitor.apart.cells import DAY_SECONDS
from monitor.clock import rfc3339
from monitor.incidents.attention import ranked
from monitor.incidents.incident import CellReport, Incident
from monitor.incidents.ranking import harm
from monitor.ingest.demo_faults import BY_OUTCOMES, PREDICTION_DRIFT, REMEDIES, Fault
from monitor.ingest.demo_people import OUTCOME_HORIZON
from monitor.ingest.demo_plan import Outlook

_RANKED = 10
"""Lines of the ranked list that are printed."""


class _Claim(NamedTuple):
    """``feature`` moved, or ``group`` of ``attribute`` gets ``output`` otherwise than the rest: said at ``time``.

    Or ``feature`` moved in ``group``.
    """

    feature: str | None
    attribute: str | None
    group: str | None
    output: str | None
    time: float

    @classmethod
    def of(cls, said: Incident | CellReport) -> _Claim:
        """What an incident or one of its cells says."""
        return cls(said.feature, said.attribute, said.group, said.output, said.fired_time)

    @property
    def by_days(self) -> bool:
        """Whether it is told of a day, and not of a tick."""
        return self.feature is not None and self.attribute is not None


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault, its outlook, and when it was first told, in seconds since the epoch; ``None`` where it was not.

    ``incidents`` are those that tell of it and were merged into no other: one, if it was seen as the one fault it is.
    ``advice`` is what the first of them said should be done, in its last state.
    """

    outlook: Outlook
    found_time: float | None
    incidents: int
    advice: str | None = None

    @property
    def fault(self) -> Fault:
        """The fault."""
        return self.outlook.fault

    @property
    def advised_rightly(self) -> bool:
        """Whether the advice is what the planted cause asks for."""
        return self.advice in REMEDIES[self.fault.kind]

    @property
    def missed(self) -> bool:
        """Whether nobody told of it though the traffic can show it."""
        return self.outlook.visible and self.found_time is None


@dataclass(frozen=True, slots=True)
class DemoReport:
    """How a demo went. ``false`` are the incidents that no fault explains, ``stray_cells`` is how many cells.

    ``ranked`` are all incidents that were merged into no other, the one that somebody should look at first in front.
    """

    findings: tuple[Finding, ...]
    ranked: tuple[Incident, ...]
    false: tuple[Incident, ...]
    stray_cells: int
    incidents: int
    events: int
    seconds: float

    @property
    def planted(self) -> int:
        """How many faults there were that the traffic can show."""
        return sum(finding.outlook.visible for finding in self.findings)

    @property
    def found(self) -> int:
        """How many of them were told."""
        return sum(finding.outlook.visible and finding.found_time is not None for finding in self.findings)

    @property
    def undetectable(self) -> int:
        """How many more faults there were that the planner named as too small for their traffic."""
        return len(self.findings) - self.planted

    @property
    def missed(self) -> int:
        """How many were not."""
        return self.planted - self.found

    @property
    def advised(self) -> tuple[int, int]:
        """Of how many faults that were told the advice was right, and how many had one."""
        said = [finding for finding in self.findings if finding.advice is not None]
        return sum(finding.advised_rightly for finding in said), len(said)

    @property
    def events_per_second(self) -> float:
        """Events over the time they took."""
        return self.events / self.seconds if self.seconds > 0 else 0.0


def score(
    outlooks: Sequence[Outlook], incidents: Iterable[Incident], *, tick: float, events: int, seconds: float
) -> DemoReport:
    """Compare what was planted with what was told.

    Parameters
    ----------
    outlooks
        The faults of :class:`~monitor.ingest.demo.DemoFleet`, as they were planned.
    incidents
        All that there were, each in its final state.
    tick
        Seconds of event time in a tick.
    events, seconds
        How many events went through, and how long that took; for the record only.
    """
    final = list({incident.id: incident for incident in incidents}.values())
    faults = [outlook.fault for outlook in outlooks]
    rightly = {incident.id: _began_rightly(incident, faults, tick) for incident in final if not incident.models}
    for shared in (incident for incident in final if incident.models):
        members = [rightly[incident.id] for incident in final if incident.merged_into == shared.id]
        rightly[shared.id] = 2 * sum(members) >= len(members) > 0
    false = [incident for incident in final if not rightly[incident.id]]
    stray = sum(
        not _explained(incident, _Claim.of(cell), faults, tick)
        for incident in final
        if incident not in false and not incident.models
        for cell in incident.cells
    )
    findings = tuple(_finding(outlook, final, tick) for outlook in outlooks)
    on_their_own = [incident for incident in final if incident.merged_into is None]
    return DemoReport(findings, tuple(ranked(on_their_own)), tuple(false), stray, len(final), events, seconds)


def as_json(report: DemoReport) -> dict[str, Any]:
    """The object that ``demo --json`` prints last; times are event time, RFC 3339."""
    return {
        "planted": report.planted,
        "found": report.found,
        "missed": report.missed,
        "false": len(report.false),
        "undetectable": report.undetectable,
        "stray_cells": report.stray_cells,
        "advice": {"right": report.advised[0], "given": report.advised[1]},
        "incidents": report.incidents,
        "faults": [_fault(finding) for finding in report.findings],
        "ranked": [incident.id for incident in report.ranked],
        "events": report.events,
        "seconds": round(report.seconds, 3),
        "events_per_second": round(report.events_per_second, 1),
    }


def as_text(report: DemoReport) -> str:
    """The same for people."""
    rows: list[tuple[str, ...]] = [("fault", "size", "model", "of what", "began", "ended", "advice", "found after")]
    rows += [_row(finding) for finding in report.findings]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    n = len(report.ranked)
    lines += ["", f"the list, as ranked by decades of harm ({min(_RANKED, n)} of {n}):"]
    lines += [f"{i:3}. {harm(each):4.1f}  {each.severity:8}  {_told(each)}" for i, each in enumerate(_top(report), 1)]
    lines += ["", *(f"missed: {_named(finding.fault)}" for finding in report.findings if finding.missed)]
    lines += [f"false: {_told(each)}" for each in report.false]
    lines.append(
        f"planted {report.planted}, found {report.found}, missed {report.missed}, false {len(report.false)} "
        f"(named undetectable beforehand {report.undetectable}, incidents {report.incidents}, "
        f"stray cells {report.stray_cells})"
    )
    lines.append(f"advice given {report.advised[1]}, what the cause asks for {report.advised[0]}")
    lines.append(f"{report.events} events in {report.seconds:.1f} s: {report.events_per_second:.0f} events/s")
    return "\n".join(lines)


def _claims(incident: Incident) -> list[_Claim]:
    """The opening one first: a cell that fired twice keeps only its last moment."""
    return [_Claim.of(incident), *(_Claim.of(cell) for cell in incident.cells)]


def _finding(outlook: Outlook, incidents: Iterable[Incident], tick: float) -> Finding:
    """When claims were made that tell of the fault, and in how many incidents."""
    fault = outlook.fault
    told = [
        (claim.time, incident.merged_into or incident.id, incident.advice)
        for incident in incidents
        if incident.model in fault.models and incident.alertname in fault.alertnames
        for claim in _claims(incident)
        if _in_span(fault, claim, tick) and _is_about(fault, incident, claim)
    ]
    # What was merged told of it all the same, and is one incident with all that it was merged with.
    first = min(told, key=lambda each: each[:2], default=None)
    advice = first[2].action if first is not None and first[2] is not None else None
    return Finding(outlook, None if first is None else first[0], len({which for _, which, _ in told}), advice)


def _is_about(fault: Fault, incident: Incident, claim: _Claim) -> bool:
    """Whether the claim names what the fault hit; what is said of a model as a whole names nothing."""
    if fault.attribute is not None:
        said = (claim.feature, claim.attribute, claim.group, claim.output)
        return said == (fault.feature, fault.attribute, fault.group, fault.output)
    if not fault.features or incident.alertname == PREDICTION_DRIFT:
        return incident.alertname in fault.alertnames
    return claim.feature in fault.features


def _in_span(fault: Fault, claim: _Claim, tick: float, late: float = 0.0) -> bool:
    """Whether the claim was made, so much ``late``, of a tick that has events of the fault's span."""
    tick = max(tick, DAY_SECONDS) if claim.by_days else tick
    return fault.began + late <= claim.time < fault.ended + tick + late


def _explained(incident: Incident, claim: _Claim, faults: Iterable[Fault], tick: float) -> bool:
    late = OUTCOME_HORIZON if incident.alertname in BY_OUTCOMES else 0.0
    return any(
        incident.model in fault.models
        and _in_span(fault, claim, tick, late)
        and (_is_about(fault, incident, claim) or _follows(fault, incident, claim))
        for fault in faults
    )


def _follows(fault: Fault, incident: Incident, claim: _Claim) -> bool:
    """Whether the fault really brings about what is said."""
    entailed = incident.alertname in fault.entails and incident.model in fault.moves
    if fault.attribute is None:
        return entailed
    if claim.attribute is None:
        return entailed or claim.feature in fault.features
    same = (claim.feature, claim.output) == (fault.feature, fault.output)
    return claim.attribute == fault.attribute and (same or entailed)


def _began_rightly(incident: Incident, faults: Iterable[Fault], tick: float) -> bool:
    began = [claim for claim in _claims(incident) if claim.time == incident.fired_time]
    return any(_explained(incident, claim, faults, tick) for claim in began)


def _told(incident: Incident) -> str:
    return f"{rfc3339(incident.fired_time)[:16]}Z  {incident.alertname}  {incident.summary}"


def _fault(finding: Finding) -> dict[str, Any]:
    fault, found = finding.fault, finding.found_time
    return {
        "kind": str(fault.kind),
        "model": fault.model,
        "models": list(fault.models),
        "size": fault.size,
        "detectable": finding.outlook.visible,
        "feature": fault.feature,
        "features": list(fault.features),
        "attribute": fault.attribute,
        "group": fault.group,
        "output": fault.output,
        "began": rfc3339(fault.began),
        "ended": rfc3339(fault.ended),
        "found": found is not None,
        "found_time": None if found is None else rfc3339(found),
        "alertnames": list(fault.alertnames),
        "advice": finding.advice,
        "asks_for": list(REMEDIES[fault.kind]),
    }


def _row(finding: Finding) -> tuple[str, ...]:
    fault, found = finding.fault, finding.found_time
    after = "missed" if found is None else _span(found - fault.began)
    if not finding.outlook.visible:
        after = f"undetectable ({finding.outlook.events:.0f} events), {after}"
    if len(fault.models) > 1:
        after += f", as {finding.incidents} incident{'s' * (finding.incidents != 1)}"
    model = fault.model if len(fault.models) == 1 else f"{len(fault.models)} models"
    span = (rfc3339(time)[5:16].replace("T", " ") for time in (fault.began, fault.ended))
    advice = finding.advice or ""
    told = advice + ("" if not advice or finding.advised_rightly else f" (not {REMEDIES[fault.kind][0]})")
    return str(fault.kind), f"{fault.size:g}", model, _hit(fault), *span, told, after


def _top(report: DemoReport) -> tuple[Incident, ...]:
    return report.ranked[:_RANKED]


def _hit(fault: Fault) -> str:
    """What in its model a fault hits: features, or a group and what it gets, or how its feature lies."""
    if fault.attribute is None:
        return ", ".join(fault.features)
    what = fault.output or fault.feature
    return f"{fault.attribute} {fault.group}" + (f": {what}" if what else "")


def _named(fault: Fault) -> str:
    return " ".join(filter(None, (f"{fault.kind} of size {fault.size:g} in {fault.model}", _hit(fault))))


def _span(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60.0), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
