"""What is wrong now, and where is the model that someone looks for? The page of the whole fleet."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from urllib.parse import urlencode

from monitor.incidents.document import incident_document
from monitor.incidents.incident import Incident
from monitor.incidents.ranking import place_in_list
from monitor.status import MODEL_STATES, Status
from monitor.web import html
from monitor.web.api import SORTS, Page, model_row, page_of_models, status_document, visible_incidents
from monitor.web.html import Frame
from monitor.web.messages import Request

MODELS_SHOWN = 100
INCIDENTS_SHOWN = 50
_SORT_WORDS = {
    "model": "name",
    "events": "fewest events",
    "-events": "most events",
    "last_event_time": "silent for longest",
    "-last_event_time": "newest event",
    "drift_ratio": "drifted least",
    "-drift_ratio": "drifted most",
}


def body(frame: Frame, status: Status, request: Request, now: float) -> list[str]:
    """The parts of the page, as of ``now`` (seconds since the epoch)."""
    page = page_of_models(status.fleet, request, MODELS_SHOWN)
    return [
        _summary(frame, status, request, now),
        "<h2>Open incidents, the worst first</h2>",
        incident_list(frame, visible_incidents(status, request.reader, "firing")),
        '<h2 id="models">Models</h2>',
        _search(frame, request),
        _models(frame, status, page),
        _pager(frame, request, page),
    ]


def incident_list(frame: Frame, incidents: Sequence[Incident]) -> str:
    """One entry an incident: how bad, what happened, to whom, since when."""
    if not incidents:
        return "<p>None.</p>"
    shown = sorted(incidents, key=lambda incident: (place_in_list(incident), incident.id))[:INCIDENTS_SHOWN]
    entries = "\n".join(_entry(frame, incident) for incident in shown)
    more = len(incidents) - len(shown)
    rest = (
        f'<p>{more} more in <a href="{escape(frame.href("/api/v1/incidents"))}?state=firing">the API</a>.</p>'
        if more
        else ""
    )
    return f'<ul class="open">\n{entries}\n</ul>{rest}'


def _entry(frame: Frame, incident: Incident) -> str:
    document = incident_document(incident)
    since = html.moment(document["onset_time"] or document["fired_time"])
    whose = f"{len(incident.models)} models" if incident.models else frame.link("/models/", incident.model)
    people = f", {incident.people_affected:,} people" if incident.people_affected else ""
    known = f", acknowledged by {html.text(incident.acknowledged.by)}" if incident.acknowledged else ""
    known += ", in the digest" if document["waiting"] else ""
    version = f", version {html.text(incident.version)}" if incident.version and not incident.models else ""
    return (
        f'<li class="{escape(incident.severity)}-edge"><p>{html.state(incident.severity)} '
        f"{frame.link('/incidents/', incident.id, incident.alertname)}: "
        f"<bdi>{escape(incident.description or incident.summary)}</bdi></p>"
        f'<p class="small quiet">{whose}{version}{people}, since {since}{known}, harm {document["harm"]:.1f}</p></li>'
    )


def _summary(frame: Frame, status: Status, request: Request, now: float) -> str:
    document = status_document(status, now, request.reader)
    models, incidents = document["models"], document["incidents"]
    home = escape(frame.href("/"))
    cards = [
        f'<li><strong>{models[state]:,}</strong><a href="{home}?state={state}#models">{html.state(state)}</a></li>'
        for state in MODEL_STATES
    ]
    cards.append(f"<li><strong>{incidents['firing']:,}</strong>open incidents</li>")
    checks = ", ".join(f"{escape(name)} {html.state(check.status)}" for name, check in sorted(status.checks.items()))
    return (
        f"<h1>{models['total']:,} models</h1>\n<p>{html.state(document['status'])}. "
        f"Event time {html.moment(document['watermark'])}, looked at {html.moment(document['published_time'])}.</p>\n"
        f'<ul class="cards">{"".join(cards)}</ul>' + (f'\n<p class="small">Checks: {checks}</p>' if checks else "")
    )


def _search(frame: Frame, request: Request) -> str:
    states = html.options([("", "any"), *((state, state) for state in MODEL_STATES)], request.parameter("state"))
    sorts = html.options([(sort, _SORT_WORDS[sort]) for sort in SORTS], request.parameter("sort", "model"))
    return (
        f'<form method="get" action="{escape(frame.href("/"))}#models" role="search">\n'
        f'<label>Name holds <input type="search" name="q" value="{escape(request.parameter("q"))}"></label>\n'
        f'<label>State <select name="state">{states}</select></label>\n'
        f'<label>Order by <select name="sort">{sorts}</select></label>\n<button>Show</button>\n</form>'
    )


def _models(frame: Frame, status: Status, page: Page) -> str:
    rows = []
    for i in page.rows:
        row = model_row(status.fleet, i)
        ratio = row["drift_ratio"]
        rows.append(
            [
                frame.link("/models/", row["model"]),
                html.state(row["state"]),
                html.text(row["version"]),
                html.text(row["team"]),
                f"{row['events']:,}",
                html.moment(row["last_event_time"]),
                '<span class="quiet">not judged</span>' if ratio is None else f"{ratio:.2f}",
            ]
        )
    headings = [
        *(("Model", ""), ("State", ""), ("Version", ""), ("Team", "")),
        *(("Events", "n"), ("Last event", ""), ("Drift / tolerance", "n")),
    ]
    return html.table(f"{len(rows)} of {page.total:,} models that match", headings, rows, stacked=True)


def _pager(frame: Frame, request: Request, page: Page) -> str:
    kept = {name: request.parameter(name) for name in ("q", "state", "sort") if request.parameter(name)}
    home, links = escape(frame.href("/")), []
    if request.parameter("cursor"):
        links.append(f'<a href="{home}?{escape(urlencode(kept))}#models">First page</a>')
    if page.next_cursor is not None:
        following = urlencode({**kept, "cursor": page.next_cursor})
        links.append(f'<a rel="next" href="{home}?{escape(following)}#models">Next page</a>')
    return f'<nav class="pages" aria-label="Pages of models">{" ".join(links)}</nav>' if links else ""
