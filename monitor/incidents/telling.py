"""An alarm in the words of its model: which feature, which output, what happened to it."""

from __future__ import annotations

import numpy as np

from monitor.catalog.models import Model, Models
from monitor.catalog.series import Series
from monitor.conduct.alarm import ConductAlarm, Listed
from monitor.conduct.lists import UNCHANGED
from monitor.detectors import DETECTORS
from monitor.detectors.cell import percent
from monitor.detectors.missing import GONE
from monitor.events.columns import Space
from monitor.incidents.firing import Firing
from monitor.incidents.incident import CellReport, Effect
from monitor.judging import CellAlarm
from monitor.kernels.tally import BINS, KIND_CATEGORY, KIND_NUMBER
from monitor.traffic.alarm import TrafficAlarm

_MOSTLY = 0.5
"""A share of values of another type beyond which the series is said to have changed its type."""
_EXPECTED_MIN, _GONE = 5.0, 0.05
"""A value vanished where the present would hold so many of it, and holds at most this part of them."""


def tell(alarm: CellAlarm, models: Models, series: Series) -> Firing:
    """The alarm as the incident book takes it in."""
    detector = DETECTORS[alarm.detector]
    row = alarm.row
    model = models.items[int(series.rows["model"][row])]
    space, name = int(series.rows["space"][row]), series.names[row]
    alertname = detector.alertname(space)
    is_prediction = space == Space.PREDICTION
    what = cut_words(alarm.row, alarm.cut, model, series) if detector.name in {"drift", "mix"} else ""
    if series.rows["appeared"][row]:
        what = "appeared"
    segment = model.split.shown(model.policy) if model.split else None
    words = detector.words(alarm.before, alarm.now, what)
    if what and (gone := _vanished(row, series)) not in {-1, alarm.cut}:
        what = cut_words(row, gone, model, series)
        words = f"{what} vanished; {words}"
    report = CellReport(
        detector=detector.name,
        feature=name if alertname != "ModelPredictionDrift" else None,
        output=what if alertname == "ModelPredictionDrift" else None,
        attribute=None,
        group=None,
        effect=Effect(detector.effect, alarm.effect, alarm.tolerance),
        evidence_log10=alarm.evidence_log10,
        onset_time=alarm.onset_time,
        fired_time=alarm.fired_time,
        segment=segment,
    )
    subject = f"predicted {name}" if is_prediction else name
    subject += f" where {segment}" if segment else ""
    kind = "mix" if alertname == "ModelPopulationMix" else detector.share
    return Firing(
        key=(row, detector.name),
        model=model.name,
        version=model.version,
        kind=kind,
        alertname=alertname,
        team=model.policy.team_of(kind),
        mode="shadow" if model.policy.mode == "shadow" else "",
        report=report,
        words=f"{subject}: {words}",
        upstreams=model.policy.upstreams,
        traffic=events_a_day(models, int(series.rows["model"][row])),
        tick=model.policy.tick,
        provisional=alarm.provisional,
        reference_version=model.reference_version,
        docket=alarm.docket,
    )


def fact_of(alarm: CellAlarm, series: Series) -> tuple[str, str] | None:
    """What an alarm says of the model's life, and of which series; ``None`` where it is no fact but a rate."""
    space, name = Space(int(series.rows["space"][alarm.row])).name.lower(), series.names[alarm.row]
    if series.rows["appeared"][alarm.row]:  # already noted, as new
        return None
    match DETECTORS[alarm.detector].name:
        case "missing" if alarm.now > GONE >= alarm.before:
            return f"vanished {space}", name
        case "schema" if alarm.now > _MOSTLY >= alarm.before:
            return f"changed type of {space}", name
    return None


def events_a_day(models: Models, row: int) -> float:
    """The model's events a day since its first, in closed ticks; of a model younger than a day those that it had."""
    age = float(np.nan_to_num(models.rows["closed_until"][row] - models.rows["first_time"][row]))
    return float(models.rows["closed_events"][row]) / max(age / 86400.0, 1.0)


def tell_traffic(alarm: TrafficAlarm, models: Models) -> Firing:
    """An alarm about a model's traffic as the incident book takes it in."""
    model = models.items[alarm.model]
    silent = alarm.detector == "silence"
    report = CellReport(
        detector=alarm.detector,
        feature=None,
        output=None,
        attribute=None,
        group=None,
        effect=Effect("missed_events" if silent else "relative_change", alarm.effect, alarm.tolerance),
        evidence_log10=alarm.evidence_log10,
        onset_time=alarm.onset_time,
        fired_time=alarm.fired_time,
    )
    return Firing(
        key=(alarm.model, alarm.detector),
        model=model.name,
        version=model.version,
        kind="volume",
        alertname="ModelSilent" if silent else "ModelVolumeAnomaly",
        team=model.policy.team_of("volume"),
        mode="shadow" if model.policy.mode == "shadow" else "",
        report=report,
        words=_silence_words(alarm) if silent else _volume_words(alarm),
        upstreams=model.policy.upstreams,
        traffic=events_a_day(models, alarm.model),
        tick=model.policy.tick,
    )


def tell_conduct(alarm: ConductAlarm, models: Models, series: Series) -> Firing:
    """An alarm about how a model is used, or what it answers, as the incident book takes it in."""
    model = models.items[alarm.model]
    of_series = alarm.series >= 0
    name = series.names[alarm.series] if of_series else alarm.listed.part if alarm.listed else None
    predicted = "predicted " if of_series and series.rows["space"][alarm.series] == Space.PREDICTION else ""
    seconds = alarm.detector in {"stuck", "stale"}
    report = CellReport(
        detector=alarm.detector,
        feature=name,
        output=alarm.output,
        attribute=None,
        group=None,
        effect=Effect("seconds" if seconds else "rate", alarm.effect, alarm.tolerance),
        evidence_log10=alarm.evidence_log10,
        onset_time=alarm.onset_time,
        fired_time=alarm.fired_time,
    )
    subject = f"{predicted}{name}: " if name else ""
    return Firing(
        key=(alarm.series if of_series else alarm.model, alarm.cell),
        model=model.name,
        version=model.version,
        kind="quality",
        alertname="ModelDataQuality",
        team=model.policy.team_of("quality"),
        mode="shadow" if model.policy.mode == "shadow" else "",
        report=report,
        words=subject + _conduct_words(alarm),
        upstreams=model.policy.upstreams,
        traffic=events_a_day(models, alarm.model),
        tick=model.policy.tick,
        docket=alarm.docket,
    )


def _conduct_words(alarm: ConductAlarm) -> str:
    before, now = percent(alarm.before), percent(alarm.now)
    if alarm.listed:
        return _list_words(alarm.listed, alarm.now)
    if alarm.detector == "stuck":
        usual = f"at most {span(alarm.before)}" if alarm.before >= 1.0 else "never through a whole tick"
        return f"the same value for {span(alarm.now)} and {alarm.events:.0f} events, {usual} before"
    if alarm.detector == "stale":
        return f"its newest time is {span(alarm.now)} old, at most {span(alarm.before)} before"
    if alarm.detector == "repeated":
        return f"the inputs of {now} of the events were there just before, {before} usually: near-identical queries"
    if alarm.detector == "far_outside":
        return f"several features at once outside their reference range in {now} of the events, {before} before"
    named = f", most often {alarm.output}" if alarm.output else ""
    return f"outputs that allowed_outputs does not name in {now} of the events{named}"


def _list_words(listed: Listed, seconds: float) -> str:
    before, now = percent(listed.before), percent(listed.now)
    if listed.question == UNCHANGED:
        return f"the items of the day before for {span(seconds)}: {now} of them are new, {before} usually"
    return (
        f"the same lists for everybody for {span(seconds)}: {now} of an hour's are different, at least {before} before"
    )


def _silence_words(alarm: TrafficAlarm) -> str:
    return f"no events for {span(alarm.seconds)}, in which about {alarm.expected:.3g} were expected"


def _volume_words(alarm: TrafficAlarm) -> str:
    times = alarm.events / max(alarm.expected, 1e-9)
    how = f"{times:.3g} times" if times >= 1 else f"{100 * times:.3g} % of"
    return f"traffic is {how} what is usual at this time of the week"


def span(seconds: float) -> str:
    """A span of time as people say it: its largest unit, with one digit behind the point below ten."""
    for unit, name in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * unit:
            n = seconds / unit
            return f"{n:.0f} {name}" if n >= 10 or n == round(n) else f"{n:.1f} {name}"
    return f"{seconds:.0f} seconds"


def _vanished(row: int, series: Series) -> int:
    """Which of a category's cuts no event has any more, the commonest before; -1 for none.

    Where a rare value becomes another, the other's share moves as far, and may lie further outside its null.
    """
    rows = series.rows
    if rows["kind"][row] != KIND_CATEGORY or not rows["n_cuts"][row]:
        return -1
    places = rows["cuts"][row, : rows["n_cuts"][row]]
    before, now = (rows[name][row, :BINS].astype(np.float64) for name in ("reference", "recent"))
    expected = before[places] / max(before.sum(), 1.0) * now.sum()
    gone = (expected >= _EXPECTED_MIN) & (now[places] <= _GONE * expected)
    return int(np.argmax(np.where(gone, expected, -1.0))) if gone.any() else -1


def cut_words(row: int, cut: int, model: Model, series: Series) -> str:
    """The values of series ``row`` whose share moved; protected ones stay inside unless the policy lets them out."""
    place = int(series.rows["cuts"][row, cut])
    if series.rows["kind"][row] == KIND_NUMBER:
        return f"<= {series.rows['edges'][row, place]:.6g}"
    assert series.rows["kind"][row] == KIND_CATEGORY
    protected = series.names[row] in (model.policy.sensitive or ())
    if protected and not model.policy.include_group_values:
        return "one protected value"
    return series.bin_label(row, place)
