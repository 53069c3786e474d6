"""How often were incidents right, as far as people said? Answered over the API, and shown as a page."""

from __future__ import annotations

from typing import Any

from monitor.catalog.durations import parse_moment
from monitor.incidents.book import RESOLVED_KEPT
from monitor.incidents.precision import VERDICTS, Precision, precision
from monitor.status import Desk
from monitor.web import html
from monitor.web.api import visible_incidents
from monitor.web.html import Frame
from monitor.web.messages import Request, Response, bad_parameter, json_response

_SAID = f"""
<p>People say what an incident was when they acknowledge it. <em>Confirmed</em> ones were true: fixed, expected or not
useful. <em>False</em>: nothing had changed. The precision is the part of those judged that were confirmed; its interval
of 95 % (Wilson) holds if those judged are like the others, and of a few it is wide. It says nothing of what was missed.
Counted are all open incidents and the newest {RESOLVED_KEPT:,} that were resolved.</p>
"""


class PrecisionPage:
    """The handlers of `/api/v1/precision` and `/precision`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def api(self, request: Request) -> Response:
        """`/api/v1/precision`: of what the reader may see; ``since`` leaves out what fired before."""
        return json_response({"items": [_document(row) for row in self._rows(request)], "next_cursor": None})

    def page(self, frame: Frame, request: Request) -> Response:
        """The same as a table."""
        rows = [_cells(row) for row in self._rows(request)]
        headings = [
            *(("Team", ""), ("Detector", ""), ("Told", "n"), ("Confirmed", "n"), ("of these not useful", "n")),
            *(("False", "n"), ("Not judged", "n"), ("Precision", "n"), ("Interval", "n")),
        ]
        table = html.table("By team and detector", headings, rows, stacked=True) if rows else "<p>None yet.</p>"
        return frame.page("What people said", ["<h1>What people said of incidents</h1>", _SAID, table])

    def _rows(self, request: Request) -> list[Precision]:
        since = -float("inf")
        if given := request.parameter("since"):
            try:
                since = parse_moment(given)
            except ValueError as error:
                raise bad_parameter("since", str(error)) from error
        seen = visible_incidents(self._desk.status(), request.reader)
        return precision(incident for incident in seen if incident.fired_time >= since)


def _document(row: Precision) -> dict[str, Any]:
    return {
        "team": row.team or None,
        "detector": row.detector,
        "told": row.told,
        "confirmed": row.confirmed,
        "false": row.false,
        "not_judged": row.not_judged,
        "said": {verdict: row.said[verdict] for verdict in VERDICTS},
        "precision": row.precision,
        "interval": list(row.interval),
    }


def _cells(row: Precision) -> list[str]:
    low, high = row.interval
    known = row.precision is not None
    nothing = '<span class="quiet">not known</span>'
    return [
        html.text(row.team or "no team"),
        html.text(row.detector) if row.detector else "<strong>all</strong>",
        f"{row.told:,}",
        f"{row.confirmed:,}",
        f"{row.said['not_useful']:,}",
        f"{row.false:,}",
        f"{row.not_judged:,}",
        html.percent(row.precision) if row.precision is not None else nothing,
        f"{100 * low:.0f} to {100 * high:.0f} %" if known else nothing,
    ]
