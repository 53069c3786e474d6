"""What may be asked for over HTTP? Orders of scope ``write``: acknowledge, note, accept, exclude, retire, forget."""

from __future__ import annotations

import hashlib

import msgspec

from monitor.catalog.durations import parse_duration, parse_instant
from monitor.clock import Clock
from monitor.incidents.document import incident_document
from monitor.incidents.incident import REASONS
from monitor.incidents.order import ACK_SECONDS, BY_MAX, NOTE_MAX, Order, Outcome, Verb, Whom
from monitor.status import Desk
from monitor.web.api import find_incident, may_see_model
from monitor.web.forms import UNSAID
from monitor.web.messages import RefusedError, Request, Response, json_response, not_found

_DIGITS = 16
"""Of the SHA-256 that stands for a person in the audit trail."""
_SAID_BY_PEOPLE = tuple(reason for reason in REASONS if reason != "silenced")


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    """What an order may say: ``until`` and ``from_`` are times, ``for_`` a duration from now; whose data goes."""

    by: str = ""
    reason: str = "expected"
    note: str = ""
    until: str | None = None
    for_: str | None = msgspec.field(name="for", default=None)
    from_: str | None = msgspec.field(name="from", default=None)
    id: str = ""
    entity: str = ""
    model: str = ""


class Orders:
    """The handlers of `POST /api/v1/incidents/{id}/...` and `POST /api/v1/models/{model}/...`."""

    def __init__(self, desk: Desk, clock: Clock) -> None:
        self._desk = desk
        self._clock = clock

    def incident(self, verb: Verb, request: Request) -> Response:
        """Acknowledge an incident, take that back, or write a note to it; answers with the incident."""
        find_incident(self._desk.status(), request)
        outcome = self._carried_out(self._order(verb, request), f"no incident {request.rest!r}")
        return json_response(incident_document(outcome.incidents[0]))

    def model(self, verb: Verb, request: Request) -> Response:
        """Make a model's present its reference, judge it without a stretch of its past, or end its watch.

        Answers with the incidents that this resolved, and those that it found.
        """
        if not may_see_model(self._desk.status().fleet, request.rest, request.reader):
            raise not_found(f"no model {request.rest!r}")
        outcome = self._carried_out(self._order(verb, request), f"no model {request.rest!r}")
        ids = {state: [i.id for i in outcome.incidents if i.state == state] for state in ("resolved", "firing")}
        return json_response({"model": request.rest, **ids})

    def forget(self, request: Request) -> Response:
        """Remove what is kept of one person alone; answers with what went, what remains, and where else to look."""
        body = _read(request)
        if bool(body.id) == bool(body.entity):
            raise _bad("one of id and entity says whose data is to be removed")
        if body.model and not may_see_model(self._desk.status().fleet, body.model, request.reader):
            raise not_found(f"no model {body.model!r}")
        if not body.model and request.reader.team is not None:
            raise _bad("a token of a team names the model")
        whom = Whom("id" if body.id else "entity", body.id or body.entity, body.model)
        subject = f"{whom.kind} {hashlib.sha256(whom.name.encode()).hexdigest()[:_DIGITS]}"
        order = msgspec.structs.replace(self._order("forget", request), subject=subject, whom=whom)
        forgotten = self._carried_out(order, f"no model {body.model!r}").forgotten
        return json_response({"subject": subject, **msgspec.to_builtins(forgotten)})

    def _carried_out(self, order: Order, missing: str) -> Outcome:
        try:
            outcome = self._desk.order(order)
        except TimeoutError as error:
            message = "the loop is busy and did not answer in time; it may carry the order out yet"
            raise RefusedError(503, "busy", message, ("Retry-After", "1")) from error
        if not outcome.found:
            raise not_found(missing)
        if outcome.refused:
            raise RefusedError(409, "conflict", outcome.refused)
        return outcome

    def _order(self, verb: Verb, request: Request) -> Order:
        body, now = _read(request), self._clock.now()
        if not 0 < len(body.by) <= BY_MAX:
            raise _bad(f"by is who asks, 1 to {BY_MAX} characters")
        if len(body.note) > NOTE_MAX or (verb == "note" and not body.note):
            raise _bad(f"note is text of at most {NOTE_MAX} characters" + " and not empty" * (verb == "note"))
        if body.reason not in _SAID_BY_PEOPLE:
            raise _bad(f"reason is one of {', '.join(_SAID_BY_PEOPLE)}")
        if verb != "exclude" and body.from_ is not None:
            raise _bad(f"{verb} takes no from")
        from_, until = _stretch(body, now) if verb == "exclude" else (0.0, _until(body, now) if verb == "ack" else 0.0)
        return Order(verb, request.rest, body.by, now, body.reason, body.note, until, request.reader.token, from_=from_)


def _read(request: Request) -> _Body:
    try:
        if request.form is not None:
            said = {name: text for name, text in request.form.items() if name not in UNSAID and text}
            return msgspec.convert(said, type=_Body)
        return msgspec.json.decode(request.body or b"{}", type=_Body)
    except msgspec.MsgspecError as error:
        raise _bad(f"the body is not what this address takes: {error}") from error


def _until(body: _Body, now: float) -> float:
    """When an acknowledgement ends, seconds since the epoch."""
    if body.until is not None and body.for_ is not None:
        raise _bad("until and for are two ways to say the same: keep one")
    try:
        if body.until is not None:
            until = parse_instant(body.until)
        else:
            until = now + (ACK_SECONDS if body.for_ is None else parse_duration(body.for_))
    except ValueError as error:
        raise _bad(f"until or for: {error}") from error
    if until <= now:
        raise _bad("until is not in the future")
    return until


def _stretch(body: _Body, now: float) -> tuple[float, float]:
    """From when until when something is excluded, seconds since the epoch."""
    if body.from_ is None or body.until is None:
        raise _bad("exclude needs from and until")
    try:
        from_, until = parse_instant(body.from_), parse_instant(body.until)
    except ValueError as error:
        raise _bad(f"from or until: {error}") from error
    if not from_ < until:
        raise _bad("from is not before until")
    if until > now:
        raise _bad("until is in the future: what is planned stands in the policy, as planned")
    return from_, until


def _bad(message: str) -> RefusedError:
    return RefusedError(400, "bad_body", message)
