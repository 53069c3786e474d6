"""What does the API tell of a model in a past range? Read on the request's own thread, few of them at a time."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from threading import BoundedSemaphore
from typing import Any

from monitor.catalog.durations import parse_moment
from monitor.clock import Clock
from monitor.incidents.document import incident_document
from monitor.status import Desk, History
from monitor.web.api import may_see_model, visible_parts
from monitor.web.messages import RefusedError, Request, Response, bad_parameter, busy, json_response, not_found
from monitor.web.scopes import told

AT_ONCE = 2
"""Ranges that are read at a time: a long one takes a second, and nobody else should wait for it."""
_WAIT_SECONDS = 5.0
DEFAULT_SECONDS = 7 * 86400.0
EVIDENCE_HOURS_MAX = 7 * 24.0
LONGEST_SECONDS = 20 * 366 * 86400.0
_FIRST, _LAST = -2e9, 2e11
"""Years 1906 to 8307: what lies a few years about them can still be written."""


class Past:
    """Answers for ranges of the past."""

    def __init__(self, desk: Desk, clock: Clock) -> None:
        self._desk = desk
        self._clock = clock
        self._reading = BoundedSemaphore(AT_ONCE)

    def history(self, request: Request) -> Response:
        """`/api/v1/models/{model}/history`."""
        return json_response(self.document(request))

    def document(self, request: Request) -> dict[str, Any]:
        """What was known of the model that the path names, in the range that the query asks for.

        Raises
        ------
        RefusedError
            400 for what is no range, 404 for a model that is not there, not the reader's or without a past, 503 while
            the loop does not answer or others are being read.
        """
        return self._told(request, *self._range(request))

    def lately(self, request: Request) -> dict[str, Any]:
        """The last day of the model that the path names, or as many hours as its ``evidence`` says; raises as above."""
        try:
            hours = float(request.parameter("evidence"))
        except ValueError:
            raise bad_parameter("evidence", "is not a number of hours") from None
        if not 1.0 <= hours <= EVIDENCE_HOURS_MAX:
            raise bad_parameter("evidence", f"is not from 1 to {EVIDENCE_HOURS_MAX:.0f} hours")
        until = self._newest(request.rest)
        return self._told(request, until - hours * 3600.0, until)

    def _told(self, request: Request, since: float, until: float) -> dict[str, Any]:
        model, status = request.rest, self._desk.status()
        if not may_see_model(status.fleet, model, request.reader):
            raise not_found(f"no model {model!r}")
        try:
            read = self._desk.history(model, request.parameter("segment"))
        except TimeoutError as error:
            raise busy() from error
        if read is None:
            raise not_found(f"no model {model!r}, or no such segment of it, whose past is kept")
        found = self._read(read, since, until)
        incidents = visible_parts(status, request.reader, found.incidents)
        document = {**found.document, "incidents": [incident_document(incident) for incident in incidents]}
        return told(document, request.reader)

    def _read(self, read: Callable[[float, float], History], since: float, until: float) -> History:
        if not self._reading.acquire(timeout=_WAIT_SECONDS):
            raise RefusedError(503, "busy", "other ranges are being read", ("Retry-After", "5"))
        try:
            return read(since, until)
        finally:
            self._reading.release()

    def _range(self, request: Request) -> tuple[float, float]:
        """What is asked for; the last week of the model, where nothing is."""
        until = _moment(request, "until", self._newest(request.rest))
        since = _moment(request, "since", until - DEFAULT_SECONDS)
        if not since < until:
            raise bad_parameter("until", "is not behind since")
        if until - since > LONGEST_SECONDS:
            raise bad_parameter("since", "is more than twenty years before until")
        return since, until

    def _newest(self, model: str) -> float:
        """The minute behind the model's last event."""
        fleet = self._desk.status().fleet
        place = bisect_left(fleet.names, model)
        known = place < len(fleet.names) and fleet.names[place] == model
        last = float(fleet.last_event_time[place]) if known else math.nan
        return math.ceil((last if math.isfinite(last) else self._clock.now()) / 60.0) * 60.0


def _moment(request: Request, name: str, default: float) -> float:
    text = request.parameter(name)
    if not text:
        return default
    try:
        moment = parse_moment(text)
    except ValueError as error:
        raise bad_parameter(name, str(error)) from error
    if not _FIRST <= moment <= _LAST:
        raise bad_parameter(name, "is a time that no event has")
    return moment
