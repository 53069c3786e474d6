"""What changed, since when, how sure is that, and what to look at first? The page that an alert links to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import urlencode

from monitor.clock import rfc3339
from monitor.detectors import DETECTORS
from monitor.events.columns import Space
from monitor.incidents.document import incident_document
from monitor.incidents.incident import Incident
from monitor.status import Status
from monitor.web import charts, exhibits, forms, html, odds
from monitor.web.html import Frame
from monitor.web.model_page import features_table

MODELS_SHOWN = 50
_DAY = 86400.0
_QUALITY = "ModelDataQuality"
_OF_DATA = frozenset(
    {each.name for each in DETECTORS if each.alertname(Space.FEATURE) == _QUALITY} | {"stuck", "stale", "not_allowed"}
)
"""Detectors of faults in the data."""


def body(
    frame: Frame,
    incident: Incident,
    status: Status,
    model: Mapping[str, Any] | None,
    visible: Sequence[Incident],
    judged_by: Sequence[Mapping[str, Any]],
    *,
    writable: bool,
) -> list[str]:
    """The parts of the page; ``model`` is the document of its model, ``None`` where there is none to be had.

    ``visible`` are the incidents that the reader may see, ``judged_by`` the documents of the policy and the reference
    that it names; ``writable`` tells whether anybody may acknowledge it here.
    """
    document = incident_document(incident)
    return [
        f"<h1>{escape(incident.alertname)}</h1>",
        f"<p>{html.state(incident.state)} {html.state(incident.severity)} {_whose(frame, incident)}</p>",
        f"<p><strong><bdi>{escape(incident.summary or incident.description)}</bdi></strong></p>",
        _facts(incident, document),
        _said(document),
        _first_look(frame, incident, visible),
        _now(incident, model),
        _cells(document["cells"]),
        _related(frame, visible, incident),
        forms.orders(frame, incident, status.watermark, writable=writable),
        _judged_by(incident, status, model, judged_by),
    ]


def _whose(frame: Frame, incident: Incident) -> str:
    if not incident.models:
        version = f", version {html.text(incident.version)}" if incident.version else ""
        return frame.link("/models/", incident.model) + version
    shown = ", ".join(frame.link("/models/", name) for name in incident.models[:MODELS_SHOWN])
    more = len(incident.models) - MODELS_SHOWN
    return f"{len(incident.models)} models: {shown}" + (f" and {more} more" if more > 0 else "")


def _since(document: Mapping[str, Any]) -> str:
    """When it began, and between when and when that was in nine of ten cases."""
    if not document["onset_time"]:
        return html.text(None)
    between = document["onset_interval"]
    sure = f", between {html.moment(between[0])} and {html.moment(between[1])}" if between else ""
    return f"{html.moment(document['onset_time'])} (estimated{sure})"


def _facts(incident: Incident, document: Mapping[str, Any]) -> str:
    effect = document["effect"]
    facts = [
        ("Since", _since(document)),
        ("Fired", html.moment(document["fired_time"])),
        ("How sure", escape(odds.strength(document["evidence_log10"]))),
        ("How far", _effect(effect)),
    ]
    if document["resolved_time"]:
        why = f", {escape(html.words(document['resolved_because']))}" if document["resolved_because"] else ""
        facts.insert(2, ("Resolved", html.moment(document["resolved_time"]) + why))
    named = ("segment", "feature", "output", "attribute", "group")
    facts += [(name.capitalize(), html.text(document[name])) for name in named if document[name]]
    if (bill := incident.bill) is not None:
        facts.append(("The gap", escape(bill.words())))
    if (advice := document["advice"]) is not None:
        facts.append(("What to do", escape(f"{html.words(advice['action'])}: {advice['reason']}")))
    people = document["people_affected"]
    facts.append(("People affected", f"{people:,}" if people is not None else html.text(None)))
    if document["cost"] is not None:
        facts.append(("Cost", html.text(f"{document['cost']:,.2f} {document['currency'] or ''}".rstrip())))
    return "<dl>" + "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts) + "</dl>"


def _said(document: Mapping[str, Any]) -> str:
    """Who knows of it, and what people wrote to it; what its models have in common, where they are many."""
    lines = []
    if document["cause"]:
        lines.append(f"They have in common: {html.text(document['cause'])}")
    if (known := document["acknowledged"]) is not None:
        note = f": {html.text(known['note'])}" if known["note"] else ""
        until = f", until {html.moment(known['until'])}" if known["until"] else ""
        reason = html.text(html.words(known["reason"]))
        silence = f" (silence {html.text(known['silence'])} in Alertmanager)" if known.get("silence") else ""
        lines.append(f"Acknowledged by {html.text(known['by'])} as {reason}{until}{note}{silence}")
    if document["verdict"] and (known is None or known["reason"] != document["verdict"]):
        lines.append(f"Somebody said of it: {html.text(html.words(document['verdict']))}")
    if document["waiting"]:
        lines.append("In the digest: its team was called often enough today, or its model was not seen for a week yet")
    lines += [f"{html.moment(n['time'])} {html.text(n['by'])}: {html.text(n['text'])}" for n in document["notes"]]
    return "<ul>" + "".join(f"<li>{line}</li>" for line in lines) + "</ul>" if lines else ""


def _effect(effect: Mapping[str, Any]) -> str:
    if effect["value"] is None or not effect["tolerance"]:
        return html.text(effect["value"])
    bar = charts.against_tolerance(effect["value"], effect["tolerance"])
    times = effect["value"] / effect["tolerance"]
    name = escape(html.words(effect["name"]))
    return f"{bar}{name} {effect['value']:.3g}, {times:.1f} times the tolerance of {effect['tolerance']:.3g}"


def _first_look(frame: Frame, incident: Incident, visible: Sequence[Incident]) -> str:
    """Where to begin: the questions that settle most, and what is at hand to answer them."""
    api = f'<a href="{escape(frame.href("/api/v1/incidents/", incident.id))}">this incident in the API</a>'
    runbook = frame.link("/runbooks/", incident.alertname, f"the runbook of {incident.alertname}")
    life = frame.href("/models/", incident.model) if incident.model else ""
    deployed = f' (<a href="{escape(life)}">the model\'s life</a>)' if life else ""
    then = f", {_history(life, incident)}" if life and frame.keeps_past else ""
    return (
        "<h2>What to look at first</h2>\n<ul>"
        f"<li>Did someone deploy or plan something about then{deployed}?</li>"
        f"<li>Is it the data or the world: {_data(frame, incident, visible)}.</li>"
        f"<li>One model or many: {_reach(incident)}.</li></ul>\n<p>Then {runbook}{then}, and {api}.</p>"
    )


def _data(frame: Frame, incident: Incident, visible: Sequence[Incident]) -> str:
    """Whether a fault of the data was told, in it or beside it; else how to tell."""
    if incident.alertname == _QUALITY or (incident.models and any(c.detector in _OF_DATA for c in incident.cells)):
        return "the data: a quality fault is among its cells"
    beside = [each for each in visible if each.id in incident.related and each.alertname == _QUALITY]
    if beside:
        return f"the data, it seems: {frame.link('/incidents/', beside[0].id, _QUALITY)} fired beside it"
    return "no fault of the data fired beside it; look whether other features moved at the same time"


def _history(life: str, incident: Incident) -> str:
    """What the model showed about then: from a week before it began until a day after it fired."""
    since, until = (incident.onset_time or incident.fired_time) - 7 * _DAY, incident.fired_time + _DAY
    query = urlencode({"since": rfc3339(since), "until": rfc3339(until)})
    return f'<a href="{escape(f"{life}/history?{query}")}">the model\'s history about then</a>'


def _reach(incident: Incident) -> str:
    if incident.models:
        return f"{len(incident.models)} models have it together, so go upstream"
    if incident.merged_into:
        return "it was taken into an incident of many models"
    if not incident.related:
        return "nothing related fired"
    several = len(incident.related) > 1
    return f"{len(incident.related)} related incident{'s are' if several else ' is'} listed below"


def _now(incident: Incident, model: Mapping[str, Any] | None) -> str:
    """The features and predictions that the cells speak of, as they are now."""
    if model is None:
        return ""
    named = {cell.feature for cell in incident.cells}
    predicted = any(cell.feature is None for cell in incident.cells)
    touched = [
        feature
        for feature in model.get("features") or []
        if feature.get("name") in named or (predicted and str(feature.get("space", "")).startswith("prediction"))
    ]
    return features_table("What it touches, now", touched)


def _cells(cells: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            html.text(cell["feature"] or cell["output"] or cell["attribute"] or "the model as a whole")
            + (f'<br><span class="quiet small">{html.text(cell["segment"])}</span>' if cell["segment"] else ""),
            html.text(cell["detector"]),
            html.text(cell["group"]) if cell["group"] else '<span class="quiet">none</span>',
            _effect(cell["effect"]),
            escape(odds.odds(cell["evidence_log10"])),
            html.moment(cell["onset_time"]),
            html.moment(cell["fired_time"]),
        ]
        for cell in cells
    ]
    headings = [
        *(("What", ""), ("Detector", ""), ("Group", ""), ("Effect", ""), ("Odds", "")),
        *(("Since", ""), ("Fired", "")),
    ]
    return html.table(f"Cells ({len(rows)})", headings, rows, stacked=True) if rows else ""


def _related(frame: Frame, visible: Sequence[Incident], incident: Incident) -> str:
    """What fired beside it, in words where it is still known."""
    names = [*incident.related, *([incident.merged_into] if incident.merged_into else [])]
    if not names:
        return ""
    known = {each.id: each for each in visible}
    entries = []
    for name in names:
        other = known.get(name)
        said = f"{frame.link('/incidents/', name, other.alertname)}: {html.text(other.description)}" if other else ""
        entries.append(f"<li>{said or frame.link('/incidents/', name)}</li>")
    return f"<h2>What moved with it</h2>\n<ul>{''.join(entries)}</ul>"


def _judged_by(
    incident: Incident, status: Status, model: Mapping[str, Any] | None, judged_by: Sequence[Mapping[str, Any]]
) -> str:
    """Tolerance, labels, policy and reference as they were at firing; reference and configuration as they are now."""
    reference = (model or {}).get("reference") or {}
    known = (reference.get("source"), reference.get("digest"))
    facts = {
        "tolerance at firing": incident.effect.tolerance,
        "program at firing": incident.code_version,
        "policy at firing (SHA-256)": incident.policy_digest,
        "reference at firing (SHA-256)": incident.reference_digest,
        "sums it was judged by (SHA-256)": incident.docket_digest,
        "reference of the model now": ", ".join(str(part) for part in known if part),
        "configuration of the daemon now": status.config_hash,
        "labels of the alert": dict(incident.labels),
    }
    return f"<h2>What judged it</h2>\n{html.definitions(facts)}\n{exhibits.shown(judged_by)}"
