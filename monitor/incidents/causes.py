"""The incident of a shared cause: made from those of many models, and what it takes in while it is open."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from monitor.incidents.advice import Setting, advise
from monitor.incidents.incident import CellReport, Effect, Incident
from monitor.incidents.shared import Cause, Found, Member, Standing, began
from monitor.severity import gravest

ALERTNAME = "FleetSharedCause"
CELLS_MAX = 200
"""Cells told of in one incident of a shared cause, the most harmful first."""
_MODELS_NAMED = 5


def shared_incident(found: Found, family: str, identity: str, now: float) -> Incident:
    """The incident that ``found`` is, at ``now``: its effect is the common movement, the median of its members'.

    ``family`` is that of the members (:func:`monitor.incidents.shared.groupable`); its kind becomes the incident's.
    """
    incidents = [member.incident for member in found.members]
    strongest = max(incidents, key=lambda incident: incident.evidence_log10)
    kind, name = found.cause
    severity = gravest(incident.severity for incident in incidents)
    labels = _labels(found.cause, strongest, severity, incidents)
    made = Incident(
        id=identity,
        kind=family.partition("/")[0],
        alertname=ALERTNAME,
        model="",
        version="",
        detector=strongest.detector,
        feature=name if kind == "feature" else None,
        output=None,
        attribute=None,
        group=None,
        severity=severity,
        state="firing",
        onset_time=began(found.members),
        onset_interval=_began_between(incidents, began(found.members)),
        fired_time=now,
        resolved_time=None,
        effect=_common_effect(incidents, strongest),
        evidence_log10=strongest.evidence_log10,
        summary="",
        description="",
        labels=labels,
        cells=(),
        models=(),
        advice=advise({ALERTNAME}, Setting()),
        cause=f"{kind} {name}".strip(),
    )
    return taken_in(made, found.members)


def cause_of(incident: Incident) -> Cause:
    """The cause of a shared cause's incident: its kind and its name."""
    kind, _, name = (incident.cause or "").partition(" ")
    return kind, name


def standing(incident: Incident, features: Sequence[str]) -> Standing:
    """The cause of a shared cause's incident as members are held to it; ``features`` are what they have in common."""
    onset = incident.fired_time if incident.onset_time is None else incident.onset_time
    return Standing(cause_of(incident), frozenset(features), frozenset(incident.models), onset, incident.fired_time)


def taken_in(incident: Incident, members: Sequence[Member]) -> Incident:
    """The incident with further ``members``: models, traffic and people add up, cost in one currency too."""
    models = tuple(dict.fromkeys([*incident.models, *(member.incident.model for member in members)]))
    traffic = {member.incident.model: member.incident.traffic for member in members}
    fresh = sum(traffic[model] for model in models if model in traffic and model not in set(incident.models))
    people = [p for p in (incident.people_affected, *(m.incident.people_affected for m in members)) if p is not None]
    priced = [each for each in (incident, *(m.incident for m in members)) if each.cost is not None]
    currencies = {each.currency for each in priced}
    one = len(currencies) == 1
    changed = msgspec.structs.replace(
        incident,
        models=models,
        traffic=incident.traffic + fresh,
        people_affected=sum(people) if people else None,
        cost=sum(each.cost or 0.0 for each in priced) if one else None,
        currency=currencies.pop() if one else "",
    )
    return with_cells(changed, [cell for member in members for cell in cells_of(member)])


def with_cells(incident: Incident, cells: Sequence[CellReport]) -> Incident:
    """The incident with further cells of its models; one that is there already is replaced."""
    named = {_name(cell): cell for cell in (*incident.cells, *cells)}
    everything = sorted(named.values(), key=_rank)[:CELLS_MAX]
    return msgspec.structs.replace(
        incident,
        cells=tuple(everything),
        evidence_log10=max([incident.evidence_log10, *(cell.evidence_log10 for cell in cells)]),
        summary=_summary(cause_of(incident), incident.models),
        description=_description(cause_of(incident), incident.models, everything),
    )


def cells_of(member: Member) -> list[CellReport]:
    """The member's cells, each with its model's name."""
    return [msgspec.structs.replace(cell, model=member.incident.model) for cell in member.incident.cells]


def _common_effect(incidents: Sequence[Incident], strongest: Incident) -> Effect:
    alike = [i.effect for i in incidents if i.effect.name == strongest.effect.name]
    values, tolerances = [effect.value for effect in alike], [effect.tolerance for effect in alike]
    return Effect(strongest.effect.name, float(np.median(values)), float(np.median(tolerances)))


def _began_between(incidents: Sequence[Incident], onset: float) -> tuple[float, float] | None:
    """Between when and when a cause began about ``onset``: the median of what its members say of both ends."""
    known = np.array([incident.onset_interval for incident in incidents if incident.onset_interval is not None])
    if not len(known):
        return None
    low, high = np.median(known, axis=0).tolist()
    return min(low, onset), max(high, onset)


def _labels(cause: Cause, strongest: Incident, severity: str, incidents: Sequence[Incident]) -> dict[str, str]:
    """What the alert is known by; a team only where all members have the same one."""
    kind, name = cause
    teams = {incident.labels.get("team", "") for incident in incidents}
    given = {
        "alertname": ALERTNAME,
        "severity": severity,
        "service": "modelwatch",
        "detector": strongest.detector if kind == "feature" else "",
        "feature": name if kind == "feature" else "",
        "upstream": name if kind == "upstream" else "",
        "team": teams.pop() if len(teams) == 1 else "",
        "mode": strongest.labels.get("mode", ""),
    }
    return {label: value for label, value in given.items() if value}


def _summary(cause: Cause, models: Sequence[str]) -> str:
    kind, name = cause
    what = {"feature": f"feature {name} moved", "upstream": f"what depends on {name} moved"}.get(
        kind, "the fleet moved at one moment"
    )
    return f"{what} in {len(models)} models."


def _description(cause: Cause, models: Sequence[str], cells: Sequence[CellReport]) -> str:
    named = ", ".join(models[:_MODELS_NAMED])
    more = f" and {len(models) - _MODELS_NAMED} more" if len(models) > _MODELS_NAMED else ""
    features = list(dict.fromkeys(cell.feature for cell in cells if cell.feature))
    beside = [feature for feature in features if cause != ("feature", feature)][:_MODELS_NAMED]
    also = f" Beside it: {', '.join(beside)}." if beside else ""
    return f"Models: {named}{more}.{also} Their own incidents are resolved and name this one."


def _rank(cell: CellReport) -> tuple[float, float, str]:
    return (-cell.effect.value / max(cell.effect.tolerance, 1e-9), -cell.evidence_log10, cell.model)


def _name(cell: CellReport) -> tuple[str | None, ...]:
    return (cell.model, cell.detector, cell.feature, cell.output, cell.attribute, cell.group)
