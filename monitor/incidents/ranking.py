"""Which incident should an expert look at first? By harm: who and what is hit, how far, how surely, with what end."""

from __future__ import annotations

import math

from monitor.incidents.incident import Incident

_WEIGHT = {"critical": 1000.0, "warning": 30.0, "info": 1.0}
"""What a consequence multiplies: one person harmed a day weighs a thousand events whose inputs moved."""
_DAY = 86400.0
_HIT_DAYS_MIN = 1.0 / 24.0
_EXCESS_MAX = 10.0
"""Tolerances are set by hand, and some are nearly nothing: beyond this many of them an effect is simply large."""
_EVIDENCE_HALF = 2.0
"""Decades of evidence at which an alarm counts for half of what it says."""
_ACKNOWLEDGED = 1e3
_RESOLVED = 1e12


def harm(incident: Incident) -> float:
    """Harm in decades: log10 of the events or people that are hit a day, and the cost a day, all weighted.

    ``(hit * excess + cost) * weight * certainty``, where ``hit`` is ``people_affected`` a day since it began, or the
    models' events a day where nobody counted people; ``excess`` is the largest effect of a cell over its tolerance, 1
    to 10; ``weight`` 1, 30 or 1,000 by severity (ten times that from a watch list); ``certainty`` is ``E / (E + 2)``
    for ``E`` decades of evidence. At least 0.
    """
    hit = incident.traffic if incident.people_affected is None else incident.people_affected / _days(incident)
    weight = _WEIGHT[incident.severity] * (10.0 if incident.watched else 1.0)
    evidence = max(incident.evidence_log10, 0.0)
    certainty = evidence / (evidence + _EVIDENCE_HALF) if math.isfinite(evidence) else 1.0
    cost = incident.cost if incident.cost is not None and math.isfinite(incident.cost) else 0.0
    return math.log10(1.0 + (hit * _excess(incident) + max(cost, 0.0) / _days(incident)) * weight * certainty)


def _days(incident: Incident) -> float:
    """Over which people and cost were counted: from when it began until it fired, an hour at least."""
    onset = incident.fired_time if incident.onset_time is None else incident.onset_time
    days = (incident.fired_time - onset) / _DAY
    return max(_HIT_DAYS_MIN, days)


def place_in_list(incident: Incident) -> float:
    """What incidents are listed by, smallest first: open ones by harm, acknowledged ones behind them, then the past."""
    if incident.state != "firing":
        return _RESOLVED - incident.fired_time
    return (_ACKNOWLEDGED if incident.acknowledged else 0.0) - harm(incident)


def _excess(incident: Incident) -> float:
    effects = [cell.effect for cell in incident.cells] or [incident.effect]
    ratios = [effect.value / max(effect.tolerance, 1e-9) for effect in effects if math.isfinite(effect.value)]
    return min(max([1.0, *ratios]), _EXCESS_MAX)
