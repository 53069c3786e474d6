"""An alarm about a group in words: which group, which output, how its rate compares with that of the rest."""

from __future__ import annotations

from monitor.catalog.models import Models
from monitor.catalog.policies import Policy
from monitor.groups.bill import Price
from monitor.groups.comparing import GroupAlarm
from monitor.groups.questions import QUESTIONS, Kind, Question
from monitor.groups.ranking import strength
from monitor.groups.shown import output_name
from monitor.groups.visible import group_name
from monitor.groups.watch import Groups
from monitor.incidents.firing import CellKey, Firing
from monitor.incidents.incident import CellReport, Effect, GapBill
from monitor.incidents.telling import events_a_day
from monitor.kernels.compare import LESS, MORE

_UNKNOWN = Price()


def cell_key(groups: Groups, cell: int) -> CellKey:
    """The cell as the incident book knows it."""
    return cell, _question(groups, cell)[1].detector


def tell_group(alarm: GroupAlarm, groups: Groups, models: Models, price: Price = _UNKNOWN) -> Firing:
    """The alarm as the incident book takes it in; ``price`` is what one person costs, where it is known."""
    register, cell = groups.register, alarm.cell
    kind, question = _question(groups, cell)
    output, group = int(register.cells["output"][cell]), int(register.cells["group"][cell])
    attribute_row = int(register.groups["attribute"][group])
    attribute = register.attribute_names[attribute_row]
    model = models.items[int(register.outputs["model"][output])]
    shown = group_name(groups, group)
    told_as = "label_gap" if question.tolerance == "label_gap" else "fairness"
    name = output_name(kind, register.output_names[output])
    report = CellReport(
        detector=question.detector,
        feature=None,
        output=name,
        attribute=attribute,
        group=shown,
        effect=Effect(question.effect, alarm.effect, alarm.tolerance),
        evidence_log10=alarm.evidence_log10,
        onset_time=alarm.onset_time,
        fired_time=alarm.fired_time,
        strength=_strength(alarm, groups, kind),
    )
    return Firing(
        key=(cell, question.detector),
        model=model.name,
        version=model.version,
        kind=told_as,
        alertname=question.alertname,
        team=model.policy.team_of(told_as),
        mode="shadow" if model.policy.mode == "shadow" else "",
        report=report,
        words=_words(alarm, kind, f"{attribute} {shown}", name, model.policy.explain_by),
        upstreams=model.policy.upstreams,
        traffic=events_a_day(models, int(register.outputs["model"][output])),
        tick=model.policy.tick,
        watched=kind == Kind.WATCHED,
        people_affected=alarm.people_affected,
        cost=None if price.each is None else alarm.people_affected * price.each,
        currency=price.currency,
        bill=_bill(alarm, model.policy, price),
        docket=alarm.docket,
    )


def _bill(alarm: GroupAlarm, policy: Policy, price: Price) -> GapBill:
    split, people = alarm.split, round(alarm.n[1])
    behaviour = split.change - split.explained
    cost = None if price.each is None else abs(behaviour) * people * price.each
    return GapBill(policy.explain_by, split.change, split.explained, behaviour, people, cost, price.currency)


def _question(groups: Groups, cell: int) -> tuple[Kind, Question]:
    register = groups.register
    kind = Kind(int(register.outputs["kind"][register.cells["output"][cell]]))
    return kind, QUESTIONS[kind]


def _strength(alarm: GroupAlarm, groups: Groups, kind: Kind) -> float:
    """Outputs by their log-odds with a prior, in standard errors; others by how far beyond what is tolerated."""
    if QUESTIONS[kind].gap:
        return alarm.effect / max(alarm.tolerance, 1e-9)
    if kind == Kind.DECISION:
        return alarm.tolerance / max(alarm.effect, 1e-9)
    signed = strength(groups.register, alarm.cell)
    return signed if alarm.direction == MORE else -signed


def _words(alarm: GroupAlarm, kind: Kind, who: str, output: str | None, explain_by: tuple[str, ...]) -> str:
    question = QUESTIONS[kind]
    rest, group = (_percent(question.origin + question.unit * rate) for rate in alarm.rates)
    within = f", within {' and '.join(explain_by)}" if explain_by else ""
    if question.gap:
        worse = "fewer" if alarm.direction == LESS else "more"
        much = f"{100 * alarm.effect:.3g} points {worse} than the rest, {100 * alarm.tolerance:.3g} are tolerated"
        return f"{who}: {question.words}: {group} of its matured cases, {rest} of the rest ({much}{within})"
    what = {
        Kind.DECISION: "favourable decision",
        Kind.WATCHED: f"a tag of the watch list {output}",
        Kind.ROLLED: f"a tag of {output}",
    }.get(kind, f"{output}")
    much = f"{alarm.effect:.2f} times as often as the rest"
    less = "only " if alarm.direction == LESS else ""
    return f"{who}: {what} in {group} of its cases, {rest} of the rest ({less}{much}{within})"


def _percent(rate: float) -> str:
    return f"{100 * rate:.3g} %"
