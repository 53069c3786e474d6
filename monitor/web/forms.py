"""How does a person write from a page? By a form that carries a token, to the addresses that programs write to."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from urllib.parse import parse_qsl, urlsplit

from monitor.clock import rfc3339
from monitor.incidents.incident import Incident
from monitor.incidents.order import BY_MAX, NOTE_MAX
from monitor.web import html
from monitor.web.html import Frame
from monitor.web.messages import HTML, RefusedError, Request, Response

FORM = "application/x-www-form-urlencoded"
FIELDS_MAX = 10
INCIDENTS, MODELS = "/api/v1/incidents/", "/api/v1/models/"
"""What the addresses begin with that forms are sent to."""
_HOUR = 3600.0
"""What is filled in where it is not known when it began."""
UNSAID = ("token", "incident")
"""Fields of a form that are no part of what is asked for: who may, and from which page it came."""
_REASONS = (
    ("expected", "expected: it was planned or is known"),
    ("fixed", "fixed: the cause is gone"),
    ("false", "false: nothing has changed"),
    ("not_useful", "not useful: true, but nothing to act on"),
)
_SPANS = (("7d", "7 days"), ("4h", "4 hours"), ("1d", "a day"), ("30d", "30 days"))


def is_form(request: Request) -> bool:
    """Whether a browser sends the fields of a form.

    Clients that are given JSON call it a form too where nobody says what it is, curl among them: that is JSON.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    return request.method == "POST" and kind == FORM and not request.body.lstrip().startswith(b"{")


def is_read_by_people(request: Request) -> bool:
    """Whether the answer is asked for as a page: errors are JSON for everybody else."""
    return "text/html" in request.headers.get("accept", "")


def fields(request: Request) -> Mapping[str, str]:
    """The fields of a form that stands on a page of ours.

    A form is let in by the token in it and by nothing that a browser sends by itself, so no page elsewhere can write by
    way of a reader's browser. Where a browser says that the form stood elsewhere it is refused all the same.

    Raises
    ------
    RefusedError
        403 where it stood elsewhere, 400 where it cannot be read.
    """
    origin, site = request.headers.get("origin", "null"), request.headers.get("sec-fetch-site", "same-origin")
    elsewhere = origin != "null" and urlsplit(origin).netloc != request.headers.get("host")
    if elsewhere or site != "same-origin":
        raise RefusedError(403, "elsewhere", "this form does not stand on a page of this server")
    try:
        pairs = parse_qsl(
            request.body.decode(), keep_blank_values=True, strict_parsing=bool(request.body), max_num_fields=FIELDS_MAX
        )
    except ValueError as error:
        raise RefusedError(400, "bad_body", "the form cannot be read") from error
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise RefusedError(400, "bad_body", "a field of the form is given more than once")
    return dict(pairs)


def written_from(route_stem: str, rest: str, said: Mapping[str, str]) -> str:
    """The incident from whose page a form was sent: the one that is written to, or that the form names; else empty."""
    return rest if route_stem == INCIDENTS else said.get("incident", "")


def done(frame: Frame, incident: str, model: str) -> Response:
    """Back to the page of the incident, or else of the model, by a request that may be repeated."""
    back = frame.href("/incidents/", incident) if incident else frame.href("/models/", model)
    return Response(303, HTML, b"", (("Location", back),))


def refused(frame: Frame, error: RefusedError, incident: str = "") -> Response:
    """What went wrong, as a page; with the way back, where it was written from the page of an ``incident``."""
    title = "Not done" if incident else "Not shown"
    back = f"<p>{frame.link('/incidents/', incident, 'Back to the incident')}</p>" if incident else ""
    page = frame.page(title, [f"<h1>{title}</h1>", f'<p role="alert">{escape(str(error))}.</p>', back])
    return Response(error.status, page.content_type, page.body, error.headers)


def orders(frame: Frame, incident: Incident, reached: float | None, *, writable: bool) -> str:
    """Forms to acknowledge an incident, to take that back, to write a note to it, and to exclude what made it.

    ``reached`` is event time: until then may be excluded what still goes on.
    """
    if not writable:
        return (
            "<h2>Acknowledge, note, exclude</h2>\n<p>Not from here: the daemon has no <code>http.token_file</code>. "
            "A silence in Alertmanager acknowledges what it matches.</p>"
        )
    forms = []
    if incident.state == "firing" and incident.acknowledged is None:
        choices = (
            f'<label>Why <select name="reason">{html.options(_REASONS, "expected")}</select></label>\n'
            f'<label>For <select name="for">{html.options(_SPANS, "7d")}</select></label>\n'
        )
        forms.append(_form(frame, incident, "ack", choices + _note(required=False), "Acknowledge"))
    elif incident.state == "resolved" and incident.merged_into is None:
        choices = f'<label>What it was <select name="reason">{html.options(_REASONS, "fixed")}</select></label>\n'
        forms.append(_form(frame, incident, "ack", choices + _note(required=False), "Say what it was"))
        if incident.verdict:
            forms.append(_form(frame, incident, "unack", _note(required=False), "Take back"))
    elif incident.state == "firing":
        forms.append(_form(frame, incident, "unack", _note(required=False), "Take back"))
    forms.append(_form(frame, incident, "note", _note(required=True), "Write a note"))
    if incident.model:
        forms.append(_exclude(frame, incident, reached))
    return "<h2>Acknowledge, note, exclude</h2>\n" + "\n".join(forms)


def _exclude(frame: Frame, incident: Incident, reached: float | None) -> str:
    """Behind a line of its own: it is about the whole model, and nobody can take it back."""
    began = incident.onset_interval[0] if incident.onset_interval else incident.onset_time or incident.fired_time
    over = max(incident.resolved_time or reached or incident.fired_time, incident.fired_time)
    began = began if began < over else over - _HOUR
    stretch = "".join(
        f'<label>{words} <input name="{name}" size="24" required value="{rfc3339(moment)}"></label>\n'
        for name, words, moment in (("from", "From", began), ("until", "Until", over))
    )
    named = f'<input type="hidden" name="incident" value="{escape(incident.id)}">\n'
    action = f"{frame.href(MODELS, incident.model)}/exclude"
    return (
        "<details><summary>Exclude a stretch of the model's past</summary>\n"
        "<p>For data that should not have come: a test, a fault at the source, a campaign. The stretch leaves what the "
        "whole model is judged by, and what is left of its past is judged again. It cannot be taken back.</p>\n"
        f"{_posted(action, named + stretch + _note(required=True), 'Exclude')}\n</details>"
    )


def _form(frame: Frame, incident: Incident, verb: str, own: str, words: str) -> str:
    return _posted(f"{frame.href(INCIDENTS, incident.id)}/{verb}", own, words)


def _posted(action: str, own: str, words: str) -> str:
    return (
        f'<form method="post" action="{escape(action)}" aria-label="{words}">\n{own}\n'
        f'<label>Who <input name="by" required maxlength="{BY_MAX}" autocomplete="username"></label>\n'
        '<label>Token of scope write <input type="password" name="token" required autocomplete="current-password">'
        f"</label>\n<button>{words}</button>\n</form>"
    )


def _note(*, required: bool) -> str:
    return f'<label>Note <input name="note" maxlength="{NOTE_MAX}"{" required" if required else ""}></label>'
