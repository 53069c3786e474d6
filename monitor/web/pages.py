"""What does a person see? Plain pages without scripts: the fleet, one model, one incident."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from monitor.clock import Clock
from monitor.incidents.document import incident_document
from monitor.status import MODEL_STATES, Desk, Status
from monitor.web.api import (
    SORTS,
    Api,
    Page,
    find_incident,
    model_row,
    page_of_models,
    status_document,
    visible_incidents,
)
from monitor.web.messages import HTML, Request, Response

ROWS_MAX = 100
SIGNS = {
    "learning": "○",
    "watching": "✓",
    "firing": "▲",
    "silent": "…",
    "resolved": "✓",
    "blind": "?",
    "ok": "✓",
    "degraded": "!",
    "failing": "✗",
}
STYLE = """
:root { color-scheme: light dark; --line: #8888; --quiet: #595959; --alarm: #a3151f; --link: #0b4f9c; }
@media (prefers-color-scheme: dark) { :root { --quiet: #b0b0b0; --alarm: #ff9c9c; --link: #9cc7ff; } }
body { font: 16px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 76rem; padding: 1rem; }
table { border-collapse: collapse; width: 100%; margin: 0 0 2rem; }
caption { text-align: left; font-weight: 600; font-size: 1.15rem; padding: .4rem 0; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; }
td, dd { overflow-wrap: break-word; } th[scope=row] { overflow-wrap: anywhere; min-width: 9rem; }
time { white-space: nowrap; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem .8rem; margin: 0 0 1rem; }
dt { font-weight: 600; } dd { margin: 0; } td dl { margin: 0 0 .3rem; }
a { color: var(--link); } .firing, .failing { color: var(--alarm); font-weight: 600; } .quiet { color: var(--quiet); }
a:focus-visible, input:focus-visible, select:focus-visible, button:focus-visible { outline: 3px solid var(--link); }
form > * { margin-right: .6rem; }
""".strip()
STYLE_SOURCE = f"'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'"
"""What the content security policy allows as a style: this one and no other."""

Column = tuple[str, str]
"""A heading and the class of its cells: ``n`` for numbers."""


class Pages:
    """The handlers of `/`, `/models/{model}` and `/incidents/{id}`. Links begin with the path of ``external_url``."""

    def __init__(self, desk: Desk, clock: Clock, api: Api, external_url: str) -> None:
        self._desk = desk
        self._clock = clock
        self._api = api
        self._prefix = urlsplit(external_url).path.rstrip("/")

    def fleet(self, request: Request) -> Response:
        """All models, a hundred to a page, below the open incidents."""
        status = self._desk.status()
        page = page_of_models(status.fleet, request, ROWS_MAX)
        body = [
            self._summary(status),
            self._incidents_table(status, request, None),
            self._search_form(request),
            self._models_table(status, page),
            self._pager(request, page),
        ]
        return self._page("Models", body)

    def model(self, request: Request) -> Response:
        """One model: what the loop knows of it, and its open incidents."""
        document = self._api.model_document(request)
        body = [
            f"<h1><bdi>{escape(request.rest)}</bdi></h1>",
            self._incidents_table(self._desk.status(), request, request.rest),
            *_sections(document),
        ]
        return self._page(f"Model {request.rest}", body)

    def incident(self, request: Request) -> Response:
        """One incident with its cells."""
        document = incident_document(find_incident(self._desk.status(), request))
        facts = {name: value for name, value in document.items() if name not in {"cells", "related", "model"}}
        related = [self._link("/incidents/", other) for other in document["related"]]
        body = [
            f"<h1>{escape(document['alertname'])}</h1>",
            f"<p>{_state(document['state'])} {escape(document['summary'])}</p>",
            f"<p>Model: {self._link('/models/', document['model'])}</p>" if document["model"] else "",
            f"<p>Related: {', '.join(related)}</p>" if related else "",
            *_sections({"facts": facts, "cells": document["cells"]}),
        ]
        return self._page(f"{document['alertname']} {document['model']}", body)

    def _page(self, title: str, body: Iterable[str]) -> Response:
        text = (
            f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escape(title)} - modelwatch</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
            f'<header><nav aria-label="Main"><a href="{escape(self._prefix)}/">All models</a></nav></header>\n'
            f"<main>\n{chr(10).join(part for part in body if part)}\n</main>\n</body>\n</html>\n"
        )
        return Response(200, HTML, text.encode("utf-8", "replace"))

    def _summary(self, status: Status) -> str:
        document = status_document(status, self._clock.now())
        counts = ", ".join(f"{document['models'][state]} {state}" for state in MODEL_STATES)
        checks = ", ".join(f"{escape(name)} {_state(check.status)}" for name, check in sorted(status.checks.items()))
        return (
            f"<h1>modelwatch</h1>\n<p>{_state(document['status'])}. {document['models']['total']} models: {counts}. "
            f"{document['incidents']['firing']} open incidents. As of {_moment(document['published_time'])}, "
            f"event time {_moment(document['watermark'])}.</p>" + (f"\n<p>Checks: {checks}</p>" if checks else "")
        )

    def _incidents_table(self, status: Status, request: Request, model: str | None) -> str:
        found = visible_incidents(status, request.reader, "firing")
        if model is not None:
            found = [incident for incident in found if incident.model == model or model in incident.models]
        rows = [
            [
                self._link("/incidents/", incident.id, incident.alertname),
                escape(incident.severity),
                self._link("/models/", incident.model) if incident.model else f"{len(incident.models)} models",
                _text(incident.feature or incident.attribute or incident.output),
                _moment(incident_document(incident)["fired_time"]),
                escape(incident.summary),
            ]
            for incident in found[:ROWS_MAX]
        ]
        headings = [("Alert", ""), ("Severity", ""), ("Model", ""), ("What", ""), ("Since", ""), ("Summary", "")]
        more = len(found) - len(rows)
        note = f"<p>{more} more in /api/v1/incidents?state=firing.</p>" if more else ""
        return _table("Open incidents", headings, rows) + note if rows else "<p>No open incidents.</p>"

    def _models_table(self, status: Status, page: Page) -> str:
        rows = []
        for i in page.rows:
            row = model_row(status.fleet, i)
            rows.append(
                [
                    self._link("/models/", row["model"]),
                    _text(row["version"]),
                    _text(row["team"]),
                    _state(row["state"]),
                    f"{row['events']:,}",
                    _moment(row["last_event_time"]),
                    _text(row["drift_ratio"]),
                ]
            )
        headings = [
            *(("Model", ""), ("Version", ""), ("Team", ""), ("State", "")),
            *(("Events", "n"), ("Last event", ""), ("Largest effect / tolerance", "n")),
        ]
        return _table(f"Models ({len(rows)} of {page.total} that match)", headings, rows)

    def _search_form(self, request: Request) -> str:
        states = _options([("", "any state"), *((state, state) for state in MODEL_STATES)], request.parameter("state"))
        sorts = _options([(sort, sort) for sort in SORTS], request.parameter("sort", "model"))
        return (
            f'<form method="get" action="{escape(self._prefix)}/" role="search">\n'
            f'<label>Name holds <input name="q" value="{escape(request.parameter("q"))}"></label>\n'
            f'<label>State <select name="state">{states}</select></label>\n'
            f'<label>Order <select name="sort">{sorts}</select></label>\n<button>Show</button>\n</form>'
        )

    def _pager(self, request: Request, page: Page) -> str:
        kept = {name: request.parameter(name) for name in ("q", "state", "sort") if request.parameter(name)}
        links = []
        if request.parameter("cursor"):
            links.append(f'<a href="{escape(self._prefix)}/?{escape(urlencode(kept))}">First page</a>')
        if page.next_cursor is not None:
            following = urlencode({**kept, "cursor": page.next_cursor})
            links.append(f'<a rel="next" href="{escape(self._prefix)}/?{escape(following)}">Next page</a>')
        return f'<nav aria-label="Pages of models">{" ".join(links)}</nav>' if links else ""

    def _link(self, stem: str, name: str, text: str = "") -> str:
        href = f"{self._prefix}{stem}{quote(name, safe='', errors='replace')}"
        return f'<a href="{escape(href)}"><bdi>{escape(text or name)}</bdi></a>'


def _sections(document: Mapping[str, Any]) -> Iterable[str]:
    """Lists of objects as tables, objects as definition lists, the plain values together before them."""
    plain = {name: value for name, value in document.items() if not isinstance(value, (dict, list))}
    if plain:
        yield _definitions(plain)
    for name, value in document.items():
        title = _words(name).capitalize()
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            yield _table_of(title, value)
        elif isinstance(value, (dict, list)):
            yield f"<h2>{escape(title)}</h2>\n{_text(value)}"


def _table_of(title: str, items: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(name for item in items for name in item))
    headings = [(_words(name), "") for name in names]
    return _table(title, headings, [[_text(item.get(name)) for name in names] for item in items])


def _table(caption: str, headings: Sequence[Column], rows: Iterable[Sequence[str]]) -> str:
    """A table; the first cell of a row is its heading. Cells are HTML already."""
    head = "".join(f'<th scope="col"{_class(kind)}>{escape(heading)}</th>' for heading, kind in headings)
    body = "\n".join(
        f'<tr><th scope="row">{first}</th>'
        + "".join(f"<td{_class(kind)}>{cell}</td>" for cell, (_, kind) in zip(rest, headings[1:], strict=True))
        + "</tr>"
        for first, *rest in rows
    )
    return (
        f"<table>\n<caption>{escape(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{body}\n</tbody>\n</table>"
    )


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def _options(options: Iterable[tuple[str, str]], chosen: str) -> str:
    return "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>{escape(text)}</option>'
        for value, text in options
    )


def _definitions(values: Mapping[str, Any]) -> str:
    pairs = "".join(f"<dt>{escape(_words(name))}</dt><dd>{_text(value)}</dd>" for name, value in values.items())
    return f"<dl>{pairs}</dl>"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _text(value: Any) -> str:
    """Any JSON value as HTML."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return '<span class="quiet">unknown</span>'
    if value in ("", [], {}):
        return '<span class="quiet">none</span>'
    if isinstance(value, dict):
        return _definitions(value)
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"<bdi>{escape(str(value))}</bdi>"


def _moment(time: str | None) -> str:
    return f'<time datetime="{time}">{time}</time>' if time else '<span class="quiet">unknown</span>'


def _state(state: str) -> str:
    """A state as a sign and a word, never by colour alone."""
    return (
        f'<span class="{escape(state)}"><span aria-hidden="true">{SIGNS.get(state, "")}</span> {escape(state)}</span>'
    )
