"""Which address answers what, and to whom? The one table of routes, and the way of a request through it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files
from urllib.parse import unquote

from monitor.clock import Clock
from monitor.incidents.order import INCIDENT_VERBS, MODEL_VERBS
from monitor.status import Desk
from monitor.telemetry.metrics import Metrics
from monitor.web import forms
from monitor.web.access import EVERYTHING, Hosts, Reader, Tokens, presented
from monitor.web.api import Api
from monitor.web.exhibits import Exhibits
from monitor.web.fleet_metrics import CONTENT_TYPE, FleetMetrics, Selection
from monitor.web.health import Health
from monitor.web.messages import JSON, RefusedError, Request, Response, bad_parameter, not_found
from monitor.web.orders import Orders
from monitor.web.pages import Pages
from monitor.web.past import Past
from monitor.web.precision_page import PrecisionPage
from monitor.web.scopes import sees_groups

METHODS = ("GET", "HEAD")
WRITE_METHODS = ("POST",)
GLOB_LENGTH_MAX = 200
SHARDS_MAX = 1000


@dataclass(frozen=True, slots=True)
class Route:
    """One address. ``template`` may have one parameter in braces, which takes all that stands in its place.

    ``scope`` is what a token must hold; ``None`` marks a probe, which is answered without one, and always at once.
    ``writes`` marks an address that takes ``POST`` with a JSON body, and nothing else; ``form`` that forms on pages may
    write to it too. ``page`` marks what people read: their browsers ask them for a token.
    """

    template: str
    handler: Callable[[Request], Response]
    scope: str | None = "status"
    writes: bool = False
    form: bool = False
    page: bool = False

    @property
    def stem(self) -> str:
        """What stands before the parameter; the whole template if it has none."""
        return self.template.partition("{")[0]

    @property
    def tail(self) -> str:
        """What stands behind the parameter."""
        return self.template.partition("}")[2]

    @property
    def has_parameter(self) -> bool:
        """Whether the template has a parameter."""
        return "{" in self.template


class Site:
    """Answers requests: checks the host, finds the route, checks method and token, calls the handler.

    Knows no socket. ``tokens`` is ``None`` where none are configured, and then everything may be read.
    """

    def __init__(
        self,
        desk: Desk,
        metrics: Metrics,
        clock: Clock,
        *,
        hosts: Hosts,
        tokens: Tokens | None = None,
        liveness_timeout: float = 60.0,
        external_url: str = "",
    ) -> None:
        self._desk = desk
        self._metrics = metrics
        self._fleet_metrics = FleetMetrics()
        self._hosts = hosts
        self._tokens = tokens
        self._openapi = files("monitor.web").joinpath("openapi.json").read_bytes()
        api = Api(desk, clock)
        past, exhibits = Past(desk, clock), Exhibits(desk)
        pages = Pages(desk, clock, api, past, exhibits, external_url, writable=tokens is not None)
        self._frame = pages.frame
        self.routes = self._table(
            Health(desk, clock, liveness_timeout),
            api,
            past,
            exhibits,
            pages,
            PrecisionPage(desk),
            Orders(desk, clock),
        )
        self._exact = {route.template: route for route in self.routes if not route.has_parameter}
        # The ones with a tail first: a name may hold anything, so what ends like a verb is one where it is posted.
        self._stems = sorted((route for route in self.routes if route.has_parameter), key=lambda route: not route.tail)

    def answer(self, request: Request) -> Response:
        """The response, errors included.

        Host before route before method before token: who may not call at all learns nothing of what there is.
        """
        try:
            self._check_host(request)
            route, rest = self._find(request)
            _check_method(request, route)
            response = self._by_form(request, route, rest) if forms.is_form(request) else self._by(request, route, rest)
        except RefusedError as refused:
            response = refused.response()
        return response.compressed_for(request.headers.get("accept-encoding", ""))

    def _by(self, request: Request, route: Route, rest: str) -> Response:
        reader = EVERYTHING if route.scope is None else self._reader(request, route)
        try:
            return route.handler(replace(request, reader=reader, rest=rest))
        except RefusedError as error:
            if not (route.page and forms.is_read_by_people(request)):
                raise
            return forms.refused(self._frame, error)

    def _by_form(self, request: Request, route: Route, rest: str) -> Response:
        """Somebody writes from a page, and is shown a page."""
        if not route.form:
            raise RefusedError(415, "body_not_accepted", "this address takes JSON")
        incident = forms.written_from(route.stem, rest, {})
        try:
            said = forms.fields(request)
            incident = forms.written_from(route.stem, rest, said)
            self._by(replace(request, form=said), route, rest)
        except RefusedError as error:
            if not forms.is_read_by_people(request):
                raise
            return forms.refused(self._frame, error, incident)
        return forms.done(self._frame, incident, rest)

    def is_probe(self, path: str) -> bool:
        """Whether ``path`` must be answered however busy the server is."""
        route = self._exact.get(path)
        return route is not None and route.scope is None

    def _table(
        self,
        health: Health,
        api: Api,
        past: Past,
        exhibits: Exhibits,
        pages: Pages,
        precision: PrecisionPage,
        orders: Orders,
    ) -> tuple[Route, ...]:
        return (
            Route("/livez", health.live, None),
            Route("/healthz", health.live, None),
            Route("/-/healthy", health.live, None),
            Route("/readyz", health.ready, None),
            Route("/-/ready", health.ready, None),
            Route("/metrics", self._own_metrics),
            Route("/metrics/models", self._model_metrics),
            Route("/api/v1/status", api.status),
            Route("/api/v1/models", api.models),
            Route("/api/v1/models/{model}", api.model),
            Route("/api/v1/models/{model}/drill", api.drill),
            Route("/api/v1/models/{model}/groups", api.groups, "fairness"),
            Route("/api/v1/models/{model}/history", past.history),
            Route("/api/v1/incidents", api.incidents),
            Route("/api/v1/incidents/{id}", api.incident),
            Route("/api/v1/incidents/{id}/capsule", exhibits.capsule),
            *(
                Route(
                    f"/api/v1/incidents/{{id}}/{verb}", partial(orders.incident, verb), "write", writes=True, form=True
                )
                for verb in INCIDENT_VERBS
            ),
            *(
                Route(
                    f"{forms.MODELS}{{model}}/{verb}",
                    partial(orders.model, verb),
                    "write",
                    writes=True,
                    form=verb == "exclude",
                )
                for verb in MODEL_VERBS
            ),
            Route("/api/v1/exhibits/{digest}", exhibits.exhibit),
            Route("/api/v1/precision", precision.api),
            Route("/api/v1/store/forget", orders.forget, "write", writes=True),
            Route("/openapi.json", lambda _request: Response(200, JSON, self._openapi)),
            Route("/", pages.fleet, page=True),
            Route("/models/{model}", pages.model, page=True),
            Route("/models/{model}/history", pages.history, page=True),
            Route("/incidents/{id}", pages.incident, page=True),
            Route("/precision", partial(precision.page, pages.frame), page=True),
            Route("/runbooks/{alertname}", pages.runbook, page=True),
        )

    def _check_host(self, request: Request) -> None:
        host = request.headers.get("host")
        if host is not None and not self._hosts.allow(host):
            raise RefusedError(403, "host_not_allowed", "this server does not answer to that host name")

    def _find(self, request: Request) -> tuple[Route, str]:
        path = request.path
        if (route := self._exact.get(path)) is not None:
            return route, ""
        fitting = [
            route
            for route in self._stems
            if path.startswith(route.stem) and path.endswith(route.tail) and len(path) > len(route.stem + route.tail)
        ]
        # A model may be called `x/retire`: reading it is no order.
        reading = request.method in METHODS
        for route in [route for route in fitting if route.writes != reading] or fitting:
            try:
                return route, unquote(path[len(route.stem) : len(path) - len(route.tail)], errors="strict")
            except UnicodeDecodeError as error:
                raise RefusedError(400, "bad_path", "the path is not percent-encoded UTF-8") from error
        raise not_found("there is nothing at this address")

    def _reader(self, request: Request, route: Route) -> Reader:
        scope = route.scope or ""
        if self._tokens is None:
            if scope not in EVERYTHING.scopes:
                raise RefusedError(403, "forbidden", f"writing needs http.token_file and a token of scope {scope}")
            return EVERYTHING
        token = presented(request.headers, request.form, writes=route.writes)
        reader = self._tokens.reader(token) if token else None
        if reader is None:
            scheme = "Basic" if route.page else "Bearer"
            challenge = ("WWW-Authenticate", f'{scheme} realm="modelwatch"')
            raise RefusedError(
                401, "unauthorized", "this address needs a token", *([] if request.form else [challenge])
            )
        if scope not in reader.scopes:
            raise RefusedError(403, "forbidden", f"the token lacks the scope {scope}")
        return reader

    def _own_metrics(self, request: Request) -> Response:
        body, content_type = self._metrics.render(request.headers.get("accept", ""))
        return Response(200, content_type, body)

    def _model_metrics(self, request: Request) -> Response:
        shards = request.whole_number("shards", 1, 1, SHARDS_MAX)
        shard = request.whole_number("shard", 0, 0, shards - 1)
        model = request.parameter("model") or None
        if model is not None and len(model) > GLOB_LENGTH_MAX:
            raise bad_parameter("model", f"is longer than {GLOB_LENGTH_MAX} characters")
        selection = Selection(model, shard, shards, request.reader.team, groups=sees_groups(request.reader))
        return Response(200, CONTENT_TYPE, self._fleet_metrics.render(self._desk.status(), selection))


def _check_method(request: Request, route: Route) -> None:
    methods = WRITE_METHODS if route.writes else METHODS
    if request.method not in methods:
        message = "this address is written to" if route.writes else "this address is read only"
        raise RefusedError(405, "method_not_allowed", message, ("Allow", ", ".join(methods)))
    length = request.headers.get("content-length", "0").strip()
    if "transfer-encoding" in request.headers or (length != str(len(request.body)) if route.writes else length != "0"):
        raise RefusedError(413, "body_not_accepted", "this address takes no such body")
