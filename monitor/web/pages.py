"""What does a person see? Plain pages without scripts: the fleet, one model, one incident, a runbook."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any
from urllib.parse import urlsplit

from monitor.clock import Clock
from monitor.incidents.incident import Incident
from monitor.status import Desk
from monitor.web import fleet_page, history_page, incident_page, model_page
from monitor.web.api import Api, find_incident, visible_incidents
from monitor.web.exhibits import Exhibits
from monitor.web.html import Frame
from monitor.web.messages import Request, Response, not_found
from monitor.web.past import Past
from monitor.web.runbooks import runbook
from monitor.web.scopes import told


class Pages:
    """The handlers of the pages. Links begin with the path of ``external_url``."""

    def __init__(
        self,
        desk: Desk,
        clock: Clock,
        api: Api,
        past: Past,
        exhibits: Exhibits,
        external_url: str,
        *,
        writable: bool = False,
    ) -> None:
        """``writable`` tells that there are tokens, without which nobody writes."""
        self._desk = desk
        self._clock = clock
        self._api = api
        self._past = past
        self._exhibits = exhibits
        self._writable = writable
        self.frame = Frame(urlsplit(external_url).path.rstrip("/"), desk.keeps_past)

    def fleet(self, request: Request) -> Response:
        """All models, a hundred to a page, below the open incidents."""
        return self.frame.page("Models", fleet_page.body(self.frame, self._desk.status(), request, self._clock.now()))

    def model(self, request: Request) -> Response:
        """One model: its life, its open incidents, each feature's reference beside now."""
        document = self._api.model_document(request)
        status = self._desk.status()
        now = self._clock.now() if status.watermark is None else status.watermark
        incidents = visible_incidents(status, request.reader)
        lately = self._past.lately(request) if request.parameter("evidence") else None
        body = model_page.body(self.frame, document, incidents, now, lately)
        return self.frame.page(f"Model {request.rest}", body)

    def history(self, request: Request) -> Response:
        """What was known of one model in a past range."""
        document = self._past.document(request)
        return self.frame.page(f"History of {request.rest}", history_page.body(self.frame, document))

    def incident(self, request: Request) -> Response:
        """One incident: what changed, since when, how sure, what it touches, what judged it."""
        status = self._desk.status()
        incident = find_incident(status, request)
        visible, model = visible_incidents(status, request.reader), self._model_of(incident, request)
        judged_by = self._exhibits.of(incident)
        body = incident_page.body(self.frame, incident, status, model, visible, judged_by, writable=self._writable)
        return self.frame.page(f"{incident.alertname} {incident.model}", body)

    def runbook(self, request: Request) -> Response:
        """What to do about alerts of one name, from the operator's manual."""
        found = runbook(request.rest)
        if found is None:
            raise not_found(f"no runbook of {request.rest!r}")
        return self.frame.page(f"Runbook {request.rest}", [f"<h1>{escape(request.rest)}</h1>", found])

    def _model_of(self, incident: Incident, request: Request) -> Mapping[str, Any] | None:
        """The model's document; the page does without where there is none, or the loop does not answer."""
        if not incident.model:
            return None
        try:
            document = self._desk.model_detail(incident.model)
        except TimeoutError:
            return None
        return document and told(document, request.reader)
