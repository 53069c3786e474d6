"""An alarm about outcomes, as the incident book takes it in."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.catalog.models import Model
from monitor.incidents.firing import Firing
from monitor.incidents.incident import CellReport, Effect


@dataclass(frozen=True, slots=True)
class CaseAlarm:
    """A cell of ``model`` (its row) that fires; ``cell`` is its name among the model's, ``words`` what happened.

    ``people_affected`` and ``cost`` (in the model's currency) are those of the cases since suspicion began, beyond what
    the reference or the contract lets expect. ``onset_time`` is when the first predictions were made that are behind
    it, ``fired_time`` when they had matured.
    """

    model: int
    cell: str
    detector: str
    alertname: str
    effect: Effect
    evidence_log10: float
    onset_time: float
    fired_time: float
    words: str
    people_affected: int | None = None
    cost: float | None = None
    attribute: str | None = None
    group: str | None = None
    """What a cell of one group of people is called outside; ``None`` of the model as a whole."""
    docket: bytes = b""
    """All that it was judged by since it came under suspicion (:mod:`monitor.dockets`); empty where it was not kept."""


def told(alarm: CaseAlarm, model: Model) -> Firing:
    """The alarm in the words of its model."""
    report = CellReport(
        detector=alarm.detector,
        feature=None,
        output=None,
        attribute=alarm.attribute,
        group=alarm.group,
        effect=alarm.effect,
        evidence_log10=alarm.evidence_log10,
        onset_time=alarm.onset_time,
        fired_time=alarm.fired_time,
    )
    return Firing(
        key=(alarm.model, alarm.cell),
        model=model.name,
        version=model.version,
        kind=alarm.detector,
        alertname=alarm.alertname,
        team=model.policy.team_of(alarm.detector),
        mode="shadow" if model.policy.mode == "shadow" else "",
        report=report,
        words=alarm.words,
        people_affected=alarm.people_affected,
        cost=alarm.cost,
        currency=model.policy.costs.currency,
        tick=model.policy.tick,
        horizon=model.policy.outcome_horizon,
        docket=alarm.docket,
    )
