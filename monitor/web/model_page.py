"""What is known of one model? Its life on a line, and each feature's reference beside the present."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

from monitor.incidents.document import incident_document
from monitor.incidents.incident import Incident
from monitor.web import charts, gaps, group_tables, html, model_parts, odds
from monitor.web.charts import Mark, Span
from monitor.web.fleet_page import incident_list
from monitor.web.history_page import evidence, steps_of
from monitor.web.html import Frame

FEATURES_SHOWN = 150
_FACTS = ("version", "team", "task", "phase", "events", "first_event_time", "last_event_time")


def body(
    frame: Frame,
    document: Mapping[str, Any],
    incidents: Sequence[Incident],
    now: float,
    lately: Mapping[str, Any] | None = None,
) -> list[str]:
    """The parts of the page: ``document`` of the API, the model's incidents, ``now`` in event time.

    ``lately`` is its history of the last hours, where evidence over time was asked for.
    """
    name = str(document["model"])
    found = [incident for incident in incidents if incident.model == name or name in incident.models]
    associations = document.get("associations") or []
    return [
        f"<h1><bdi>{escape(name)}</bdi></h1>",
        f"<p>{html.state(document['state'])}{_history(frame, name)}</p>",
        _facts(document),
        _withheld(document),
        "<h2>Open incidents</h2>",
        incident_list(frame, [incident for incident in found if incident.state == "firing"]),
        _life(frame, document, found, now),
        _evidence_links(frame, name, lately) if document.get("features") else "",
        features_table("Features and predictions", document.get("features") or [], lately),
        _splits(frame, document),
        model_parts.performance(document.get("performance")),
        group_tables.tables(associations),
        group_tables.calibration(document.get("calibration_by_group") or []),
        gaps.tables(associations),
        gaps.features(document.get("group_features") or []),
        gaps.remedies(document.get("remedies") or []),
        model_parts.leaning(document.get("leaning")),
        model_parts.traffic(document.get("traffic")),
        model_parts.conduct(document.get("conduct") or []),
        model_parts.blind_spots(document.get("blind_spots") or []),
        model_parts.drill(document.get("drill")),
        f'<p><a href="{escape(frame.href("/api/v1/models/", name))}">This model in the API</a></p>',
    ]


def _splits(frame: Frame, document: Mapping[str, Any]) -> str:
    past = f"{frame.href('/models/', str(document['model']))}/history" if frame.keeps_past else ""
    return model_parts.splits(document.get("splits") or [], past)


def _withheld(document: Mapping[str, Any]) -> str:
    why = document.get("withheld")
    return f'<p class="quiet">Groups are not shown: {escape(str(why))}.</p>' if why else ""


def _history(frame: Frame, name: str) -> str:
    return f', <a href="{escape(frame.href("/models/", name))}/history">its history</a>' if frame.keeps_past else ""


def _evidence_links(frame: Frame, name: str, lately: Mapping[str, Any] | None) -> str:
    """Evidence over time costs a reading of the past, so it is shown where it is asked for."""
    if not frame.keeps_past:
        return ""
    here = escape(frame.href("/models/", name))
    links = ", ".join(
        f'<a href="{here}?evidence={hours}#features">{words}</a>'
        for hours, words in ((6, "six hours"), (24, "a day"), (168, "seven days"))
    )
    covered = lately["covered"] if lately else None
    said = ""
    if covered:
        said = (
            f" Shown: {html.moment(covered['from'])} to {html.moment(covered['until'])}, as if judging had begun then, "
            "by today's reference."
        )
    elif lately:
        said = " Nothing is kept of these hours."
    return f'<p class="small" id="features">Evidence over time, of the last {links}.{said}</p>'


def features_table(caption: str, features: Sequence[Mapping[str, Any]], lately: Mapping[str, Any] | None = None) -> str:
    """Features as rows, those that fire first, then by effect over tolerance."""
    steps = steps_of(lately) if lately else []
    gathered = {(each["space"], each["name"]): evidence(each, steps) for each in lately["features"]} if lately else {}
    rows = [
        _feature(feature, gathered.get((feature.get("space"), feature.get("name"))))
        for feature in sorted(features, key=_place)[:FEATURES_SHOWN]
    ]
    if not rows:
        return ""
    headings = [
        *(("Name", ""), ("State", ""), ("Reference (line) and now (bars)", "")),
        *(("Effect and tolerance", ""), ("Evidence", "")),
    ]
    more = len(features) - len(rows)
    rest = f"<p>{more} more, nearer to their references, in the API.</p>" if more else ""
    return html.table(caption, headings, rows, stacked=True) + rest


def _place(feature: Mapping[str, Any]) -> tuple[bool, float, str]:
    return feature.get("state") != "firing", -(_ratio(feature.get("effect")) or 0.0), str(feature.get("name"))


def _ratio(effect: Mapping[str, Any] | None) -> float | None:
    if not effect or effect.get("value") is None or not effect.get("tolerance"):
        return None
    return float(effect["value"]) / float(effect["tolerance"])


def _feature(feature: Mapping[str, Any], over_time: str | None) -> list[str]:
    space = feature.get("space")
    kind = html.words(str(feature.get("kind") or ""))
    what = kind if space in {None, "feature"} else f"{html.words(str(space))}, {kind}"
    why = feature.get("not_judged_because")
    return [
        f'{html.text(feature.get("name"))}<br><span class="quiet small">{escape(what)}</span>',
        html.state(str(feature.get("state")))
        + (f'<br><span class="quiet small">{escape(str(why))}</span>' if why else ""),
        _picture(feature),
        _effect(feature),
        _evidence(feature) + (f"<div>{over_time}</div>" if over_time else ""),
    ]


def _evidence(feature: Mapping[str, Any]) -> str:
    """In odds; of what fires, what came together since the alarm, with which it began at nothing."""
    said = escape(odds.odds(feature.get("evidence_log10")))
    return f"{said} since it fired" if feature.get("state") == "firing" else said


def _effect(feature: Mapping[str, Any]) -> str:
    effect = feature.get("effect")
    if not effect or _ratio(effect) is None:
        return '<span class="quiet">not judged</span>'
    bar = charts.against_tolerance(float(effect["value"]), float(effect["tolerance"]))
    return f"{bar}{escape(html.words(str(effect['name'])))} {effect['value']:.3g}, tolerated {effect['tolerance']:.3g}"


def _picture(feature: Mapping[str, Any]) -> str:
    """The reference beside the present, where both have the same bins."""
    reference, current = feature.get("reference"), feature.get("current")
    if not isinstance(reference, Mapping) or not isinstance(current, Mapping):
        return html.text(None)
    bins, then, now = reference.get("bins"), reference.get("counts"), current.get("counts")
    if not bins or not then or not now or not len(bins) == len(then) == len(now):
        return '<span class="quiet">nothing to compare</span>'
    named = feature.get("kind") == "category"
    picture = charts.distribution(str(feature.get("name")), bins, then, now, named=named)
    return picture + _missing(reference, current)


def _missing(reference: Mapping[str, Any], current: Mapping[str, Any]) -> str:
    """What has no bin, where there is any: missing, invalid, of the wrong type."""
    said = []
    for name in ("missing", "invalid", "wrong_type"):
        was, is_ = (_share(part, name) for part in (reference, current))
        if max(was, is_) >= 0.0005:
            said.append(f"{html.words(name)} {100 * was:.3g} % → {100 * is_:.3g} %")
    return f'<span class="small quiet">{escape(", ".join(said))}</span>' if said else ""


def _share(part: Mapping[str, Any], name: str) -> float:
    total = sum(part["counts"]) + sum(part.get(other) or 0.0 for other in ("missing", "invalid", "wrong_type"))
    return float(part.get(name) or 0.0) / total if total > 0 else 0.0


def _facts(document: Mapping[str, Any]) -> str:
    facts = {name: html.text(document[name]) for name in _FACTS if document.get(name) not in (None, "")}
    facts |= {name: html.moment(document[name]) for name in facts if name.endswith("_time")}
    facts["events"] = f"{document['events']:,}"
    facts["versions"] = html.text(document.get("versions") or None)
    if advice := document.get("advice"):
        facts["what to do"] = html.text(f"{html.words(advice['action'])}: {advice['reason']}")
    if excluded := document.get("excluded"):
        facts["excluded"] = ", ".join(
            f"{html.moment(each['from'])} to {html.moment(each['until'])} by {html.text(each['by'])}"
            for each in excluded
        )
    reference = document.get("reference")
    if isinstance(reference, Mapping):
        said = ", ".join(str(value) for value in map(reference.get, ("source", "version", "digest")) if value)
        facts["reference"] = html.text(said)
    pairs = "".join(f"<dt>{escape(html.words(name))}</dt><dd>{value}</dd>" for name, value in facts.items())
    return f"<dl>{pairs}</dl>"


def _life(frame: Frame, document: Mapping[str, Any], incidents: Sequence[Incident], now: float) -> str:
    """The line, and the same in words below it, newest first."""
    begin = _seconds(document.get("first_event_time"))
    facts = document.get("facts") or []
    if begin is None:
        return ""
    newest = _seconds(document.get("last_event_time")) or begin
    end = max([newest, *(incident.fired_time for incident in incidents), min(now, newest + 86400.0)])
    marks = [
        Mark(_seconds(fact["time"]) or begin, f"{fact['what']} {fact['subject']}, {fact['time'][:16]}")
        for fact in facts
    ]
    spans = [
        Span(
            incident.onset_time or incident.fired_time,
            incident.resolved_time,
            f"{incident.alertname}: {incident.description}",
        )
        for incident in incidents
    ]
    ends = (html.moment(document["first_event_time"]), "now")
    entries = [
        (
            _seconds(fact["time"]) or begin,
            f"{html.moment(fact['time'])} {html.text(fact['what'])} {html.text(fact['subject'])}",
        )
        for fact in facts
    ]
    entries += [(incident.fired_time, _told(frame, incident)) for incident in incidents]
    listed = "".join(f"<li>{words}</li>" for _, words in sorted(entries, key=lambda entry: -entry[0]))
    return (
        f'<h2>Life</h2>\n<p class="ends small quiet"><span>{ends[0]}</span><span>{ends[1]}</span></p>'
        f"{charts.life(begin, end, marks, spans)}\n"
        f"<details><summary>{len(entries)} entries in words</summary><ul>{listed}</ul></details>"
    )


def _told(frame: Frame, incident: Incident) -> str:
    document = incident_document(incident)
    link = frame.link("/incidents/", incident.id, incident.alertname)
    return (
        f"{html.moment(document['fired_time'])} {html.state(incident.state)} {link}: {html.text(incident.description)}"
    )


def _seconds(time: Any) -> float | None:
    return datetime.fromisoformat(time).timestamp() if isinstance(time, str) else None
