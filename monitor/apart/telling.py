"""An alarm about a group's feature in words: which share of it is another than it was, beside that of the rest."""

from __future__ import annotations

import numpy as np

from monitor.apart.bets import GROUP, REST, rates, shares
from monitor.apart.watch import ALERTNAME, DETECTOR, EFFECT, SHARE, Apart, ApartAlarm
from monitor.catalog.strata import strata_labels, up_to_label
from monitor.detectors.cell import percent
from monitor.groups.visible import group_name
from monitor.incidents.firing import Firing
from monitor.incidents.incident import CellReport, Effect
from monitor.incidents.telling import events_a_day
from monitor.kernels.tally import KIND_NUMBER


def tell_apart(alarm: ApartAlarm, apart: Apart) -> Firing:
    """The alarm as the incident book takes it in."""
    register, model = apart.groups.register, apart.models.items[alarm.model]
    attribute = register.attribute_names[int(register.groups["attribute"][alarm.group])]
    feature, code = apart.series.names[alarm.series], group_name(apart.groups, alarm.group)
    report = CellReport(
        detector=DETECTOR,
        feature=feature,
        output=None,
        attribute=attribute,
        group=code,
        effect=Effect(EFFECT, abs(alarm.moved), alarm.tolerance),
        evidence_log10=alarm.evidence_log10,
        onset_time=alarm.onset_time,
        fired_time=alarm.fired_time,
    )
    return Firing(
        key=alarm.key,
        model=model.name,
        version=model.version,
        kind=SHARE,
        alertname=ALERTNAME,
        team=model.policy.team_of(SHARE),
        mode="shadow" if model.policy.mode == "shadow" else "",
        report=report,
        words=f"{attribute} {code}: {feature}: {_words(alarm, apart)}",
        upstreams=model.policy.upstreams,
        traffic=events_a_day(apart.models, alarm.model),
        tick=model.policy.tick,
    )


def _words(alarm: ApartAlarm, apart: Apart) -> str:
    """The share that moved most; without figures where those who have it, or all others, are too few to be told of."""
    cut, series = alarm.cut, apart.series
    number = np.array([series.rows["kind"][alarm.series] == KIND_NUMBER])
    past, now = (shares(counts[None], number) for counts in (alarm.past, alarm.now))
    what = up_to_label(series, alarm.series, cut) if number[0] else strata_labels(series, alarm.series)[cut]
    having = [count for s, n in (past, now) for count in (*s[0, :, cut], *(n[0] - s[0, :, cut]))]
    if min(having) < apart.groups.privacy.smallest_group:
        return f"the share of {what} is not what it was beside that of the rest"
    (was_group, was_rest), (is_group, is_rest) = (rates(*side)[0][[GROUP, REST], cut].tolist() for side in (past, now))
    group = f"went from {percent(was_group)} to {percent(is_group)}"
    return f"share of {what} {group}, of the rest from {percent(was_rest)} to {percent(is_rest)}"
