"""What does the JSON API answer? Documents made from the newest published status, and details asked of the loop."""

from __future__ import annotations

import base64
import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.clock import Clock, rfc3339
from monitor.incidents.attention import ranked, waits
from monitor.incidents.document import incident_document
from monitor.incidents.incident import Incident
from monitor.incidents.ranking import place_in_list
from monitor.status import MODEL_STATES, Desk, Fleet, Status
from monitor.web.access import Reader
from monitor.web.health import overall
from monitor.web.messages import Request, Response, bad_parameter, busy, json_response, not_found
from monitor.web.scopes import of_groups, sees_groups, told

LIMIT_MAX = 1000
LIMIT_DEFAULT = 100
SORTS = ("model", "events", "-events", "last_event_time", "-last_event_time", "drift_ratio", "-drift_ratio")
DIGEST_SHOWN = 20
INCIDENT_STATES = ("firing", "resolved")


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of a list, and where the next one begins."""

    rows: Sequence[int]
    next_cursor: str | None
    total: int


class Api:
    """The handlers of `/api/v1/...`."""

    def __init__(self, desk: Desk, clock: Clock) -> None:
        self._desk = desk
        self._clock = clock

    def status(self, request: Request) -> Response:
        """`/api/v1/status`."""
        return json_response(status_document(self._desk.status(), self._clock.now(), request.reader))

    def models(self, request: Request) -> Response:
        """`/api/v1/models`."""
        fleet = self._desk.status().fleet
        page = page_of_models(fleet, request, limit_of(request))
        return _list([model_row(fleet, i) for i in page.rows], page.next_cursor)

    def model(self, request: Request) -> Response:
        """`/api/v1/models/{model}`."""
        return json_response(self.model_document(request))

    def groups(self, request: Request) -> Response:
        """`/api/v1/models/{model}/groups`."""
        return json_response(self._asked(request, self._desk.group_codes))

    def drill(self, request: Request) -> Response:
        """`/api/v1/models/{model}/drill`: run on this request's own thread, on copies."""
        model = request.rest
        if not may_see_model(self._desk.status().fleet, model, request.reader):
            raise not_found(f"no model {model!r}")
        try:
            run = self._desk.drill(model)
        except TimeoutError as error:
            raise busy() from error
        if run is None:
            raise not_found(f"no model {model!r}")
        return json_response(told(run(), request.reader))

    def incidents(self, request: Request) -> Response:
        """`/api/v1/incidents`."""
        state = request.parameter("state")
        if state and state not in INCIDENT_STATES:
            raise bad_parameter("state", f"is one of {', '.join(INCIDENT_STATES)}")
        found = visible_incidents(self._desk.status(), request.reader, state)
        page = page_of_incidents(found, request, limit_of(request))
        return _list([incident_document(found[i]) for i in page.rows], page.next_cursor)

    def incident(self, request: Request) -> Response:
        """`/api/v1/incidents/{id}`."""
        return json_response(incident_document(find_incident(self._desk.status(), request)))

    def model_document(self, request: Request) -> dict[str, Any]:
        """What the loop says of the model that the path names.

        Raises
        ------
        RefusedError
            404 for a model that is not there or not the reader's, 503 while the loop does not answer.
        """
        return told(self._asked(request, self._desk.model_detail), request.reader)

    def _asked(self, request: Request, ask: Callable[[str], dict[str, Any] | None]) -> dict[str, Any]:
        """What the loop answers when it is asked of the model that the path names."""
        model = request.rest
        if not may_see_model(self._desk.status().fleet, model, request.reader):
            raise not_found(f"no model {model!r}")
        try:
            document = ask(model)
        except TimeoutError as error:
            raise busy() from error
        if document is None:
            raise not_found(f"no model {model!r}")
        return document


def status_document(status: Status, now: float, reader: Reader) -> dict[str, Any]:
    """The document of `/api/v1/status`, with the incidents that ``reader`` may know of."""
    incidents = [it for it in status.incidents if sees_groups(reader) or not of_groups(it)]
    states = np.bincount(status.fleet.state, minlength=len(MODEL_STATES)).tolist()
    firing = Counter(incident.severity for incident in incidents if incident.state == "firing")
    waiting = ranked(incident for incident in incidents if waits(incident))
    return {
        "status": overall(status),
        "ready": status.ready,
        "version": status.version,
        "mode": status.mode,
        "started_time": rfc3339(status.started_at),
        "published_time": rfc3339(status.published_at),
        "uptime_seconds": round(max(0.0, now - status.started_at), 3),
        "watermark": None if status.watermark is None else time_of(status.watermark),
        "checks": {
            name: {"status": check.status, "detail": check.detail, "observed_time": rfc3339(check.observed_at)}
            for name, check in sorted(status.checks.items())
        },
        "models": {"total": len(status.fleet.names), **dict(zip(MODEL_STATES, states, strict=True))},
        "incidents": {"firing": firing.total(), **{name: firing[name] for name in ("critical", "warning", "info")}},
        "digest": {"waiting": len(waiting), "first": [incident.id for incident in waiting[:DIGEST_SHOWN]]},
        "budget": dict(status.budget),
        "cluster": None if status.cluster is None else asdict(status.cluster),
        "config": {"hash": status.config_hash, "loaded_time": time_of(status.config_loaded_at or math.nan)},
    }


def model_row(fleet: Fleet, i: int) -> dict[str, Any]:
    """Model ``i`` as it stands in lists."""
    ratio = float(fleet.drift_ratio[i])
    return {
        "model": fleet.names[i],
        "version": fleet.versions[i],
        "team": fleet.teams[i],
        "state": MODEL_STATES[fleet.state[i]],
        "events": int(fleet.events[i]),
        "last_event_time": time_of(float(fleet.last_event_time[i])),
        "drift_ratio": ratio if math.isfinite(ratio) else None,
    }


def page_of_models(fleet: Fleet, request: Request, limit: int) -> Page:
    """The models that the request asks for, by `state`, `q` (part of the name), `sort` and `cursor`.

    A cursor holds the last row's place in the order, not a number of rows, so a model that comes or goes moves no
    other from page to page (one whose own value changes may be met twice or not at all).
    """
    sort = request.parameter("sort", "model")
    if sort not in SORTS:
        raise bad_parameter("sort", f"is one of {', '.join(SORTS)}")
    keys = _sort_keys(fleet, sort)
    wanted = _wanted_models(fleet, request)
    total = int(wanted.sum())
    if cursor := request.parameter("cursor"):
        last_key, last_name = _read_cursor(cursor, sort)
        greater_name = np.arange(len(keys)) >= bisect_right(fleet.names, last_name)
        wanted &= (keys > last_key) | ((keys == last_key) & greater_name)
    rows = np.flatnonzero(wanted)
    rows = rows[np.argsort(keys[rows], kind="stable")].tolist()  # rows of one key stay in the order of their names
    return _page(rows, limit, total, lambda i: _write_cursor(sort, float(keys[i]), fleet.names[i]))


def page_of_incidents(incidents: Sequence[Incident], request: Request, limit: int) -> Page:
    """A page of ``incidents``, which are sorted as they are listed, from the request's `cursor` on."""
    rows: Sequence[int] = range(len(incidents))
    if cursor := request.parameter("cursor"):
        last_key, last_id = _read_cursor(cursor, "incidents")
        rows = [i for i in rows if _listed(incidents[i]) > (last_key, last_id)]
    return _page(rows, limit, len(incidents), lambda i: _write_cursor("incidents", *_listed(incidents[i])))


def visible_incidents(status: Status, reader: Reader, state: str = "") -> list[Incident]:
    """The incidents that the reader may see, all or those in ``state``: open ones by harm, then the newest."""
    asked = [incident for incident in status.incidents if not state or incident.state == state]
    return sorted(visible_parts(status, reader, asked), key=_listed)


def visible_parts(status: Status, reader: Reader, incidents: Iterable[Incident]) -> list[Incident]:
    """Of ``incidents`` those that the reader may see, and of them what is theirs."""
    return [_part_of(status.fleet, each, reader) for each in incidents if _may_see(status.fleet, each, reader)]


def find_incident(status: Status, request: Request) -> Incident:
    """The incident that the path names; 404 if there is none, or none of the reader's team."""
    for incident in status.incidents:
        if incident.id == request.rest and _may_see(status.fleet, incident, request.reader):
            return _part_of(status.fleet, incident, request.reader)
    raise not_found(f"no incident {request.rest!r}")


def limit_of(request: Request) -> int:
    """The `limit` of a list, 1 to 1000."""
    return request.whole_number("limit", LIMIT_DEFAULT, 1, LIMIT_MAX)


def time_of(seconds: float) -> str | None:
    """RFC 3339, or ``None`` for NaN."""
    return rfc3339(seconds) if math.isfinite(seconds) else None


def _list(items: list[dict[str, Any]], next_cursor: str | None) -> Response:
    return json_response({"items": items, "next_cursor": next_cursor})


def _page(rows: Sequence[int], limit: int, total: int, cursor_after: Callable[[int], str]) -> Page:
    shown = rows[:limit]
    return Page(shown, cursor_after(shown[-1]) if len(rows) > limit else None, total)


def _wanted_models(fleet: Fleet, request: Request) -> NDArray[np.bool_]:
    wanted = np.ones(len(fleet.names), dtype=bool)
    if state := request.parameter("state"):
        if state not in MODEL_STATES:
            raise bad_parameter("state", f"is one of {', '.join(MODEL_STATES)}")
        wanted &= fleet.state == MODEL_STATES.index(state)
    if part := request.parameter("q").casefold():
        wanted &= np.fromiter((part in name.casefold() for name in fleet.names), bool, len(fleet.names))
    if (team := request.reader.team) is not None:
        wanted &= np.fromiter((of == team for of in fleet.teams), bool, len(fleet.names))
    return wanted


def _sort_keys(fleet: Fleet, sort: str) -> NDArray[np.float64]:
    """What rows are ordered by, smallest first; unknown values come last in either direction."""
    if sort == "model":
        return np.zeros(len(fleet.names))
    columns = {"events": fleet.events, "last_event_time": fleet.last_event_time, "drift_ratio": fleet.drift_ratio}
    keys = columns[sort.removeprefix("-")].astype(np.float64)
    if sort.startswith("-"):
        keys = -keys
    return np.where(np.isnan(keys), np.inf, keys)


def _listed(incident: Incident) -> tuple[float, str]:
    return place_in_list(incident), incident.id


def _team_of(fleet: Fleet, model: str) -> str | None:
    place = bisect_left(fleet.names, model)
    known = place < len(fleet.names) and fleet.names[place] == model
    return fleet.teams[place] if known else None


def may_see_model(fleet: Fleet, model: str, reader: Reader) -> bool:
    """Whether a model is one of the reader's team."""
    return reader.team is None or _team_of(fleet, model) == reader.team


def _may_see(fleet: Fleet, incident: Incident, reader: Reader) -> bool:
    """A team sees what is addressed to it and what concerns its models; of groups only who has the scope."""
    if of_groups(incident) and not sees_groups(reader):
        return False
    models = incident.models or (incident.model,)
    return incident.labels.get("team") == reader.team or any(may_see_model(fleet, m, reader) for m in models)


def _part_of(fleet: Fleet, incident: Incident, reader: Reader) -> Incident:
    """Of an incident over many models, what concerns the reader's own."""
    if reader.team is None or not incident.models or incident.labels.get("team") == reader.team:
        return incident
    own = {model for model in incident.models if may_see_model(fleet, model, reader)}
    return msgspec.structs.replace(
        incident,
        models=tuple(model for model in incident.models if model in own),
        cells=tuple(cell for cell in incident.cells if cell.model in own),
        description="",
    )


def _write_cursor(sort: str, key: float, name: str) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode((sort, repr(key), name))).decode().rstrip("=")


def _read_cursor(cursor: str, sort: str) -> tuple[float, str]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True)
        of, key, name = msgspec.json.decode(text, type=tuple[str, str, str])
        place = float(key)
    except (ValueError, msgspec.MsgspecError) as error:
        raise bad_parameter("cursor", "is not one that this server gave") from error
    if of != sort:
        raise bad_parameter("cursor", "belongs to a list in another order")
    return place, name
