"""The published description of the API, against the routes and against what the server really says."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DOCUMENT = json.loads(files("monitor.web").joinpath("openapi.json").read_bytes())

REQUESTS = [
    ("/livez", "/livez", 200),
    ("/healthz", "/healthz", 200),
    ("/-/healthy", "/-/healthy", 200),
    ("/readyz", "/readyz?verbose", 200),
    ("/-/ready", "/-/ready", 200),
    ("/metrics", "/metrics", 200),
    ("/metrics/models", "/metrics/models?shards=2&shard=1&model=*", 200),
    ("/metrics/models", "/metrics/models?shards=x", 400),
    ("/api/v1/status", "/api/v1/status", 200),
    ("/api/v1/models", "/api/v1/models?limit=3&sort=-events", 200),
    ("/api/v1/models", "/api/v1/models?limit=x", 400),
    ("/api/v1/models/{model}", "/api/v1/models/a%2Fb%2Fc", 200),
    ("/api/v1/models/{model}", "/api/v1/models/absent", 404),
    ("/api/v1/models/{model}", "/api/v1/models/%ff", 400),
    ("/api/v1/models/{model}/drill", "/api/v1/models/a%2Fb%2Fc/drill", 200),
    ("/api/v1/models/{model}/drill", "/api/v1/models/absent/drill", 404),
    ("/api/v1/models/{model}/groups", "/api/v1/models/a%2Fb%2Fc/groups", 200),
    ("/api/v1/models/{model}/groups", "/api/v1/models/absent/groups", 404),
    ("/api/v1/models/{model}/history", "/api/v1/models/a%2Fb%2Fc/history?since=2026-02-01&until=2026-03-01", 200),
    ("/api/v1/models/{model}/history", "/api/v1/models/a%2Fb%2Fc/history?since=soon", 400),
    ("/api/v1/models/{model}/history", "/api/v1/models/absent/history", 404),
    ("/api/v1/incidents", "/api/v1/incidents?state=firing", 200),
    ("/api/v1/incidents", "/api/v1/incidents?limit=2", 200),
    ("/api/v1/incidents", "/api/v1/incidents?state=x", 400),
    ("/api/v1/incidents/{id}", "/api/v1/incidents/i-0003", 200),
    ("/api/v1/incidents/{id}", "/api/v1/incidents/absent", 404),
    ("/api/v1/incidents/{id}/capsule", "/api/v1/incidents/i-0003/capsule", 200),
    ("/api/v1/incidents/{id}/capsule", "/api/v1/incidents/absent/capsule", 404),
    ("/api/v1/exhibits/{digest}", f"/api/v1/exhibits/{'0' * 64}", 200),
    ("/api/v1/exhibits/{digest}", f"/api/v1/exhibits/{'1' * 64}", 200),
    ("/api/v1/exhibits/{digest}", "/api/v1/exhibits/2", 404),
    ("/api/v1/precision", "/api/v1/precision", 200),
    ("/api/v1/precision", "/api/v1/precision?since=soon", 400),
    ("/precision", "/precision?since=2026-02-01", 200),
    ("/openapi.json", "/openapi.json", 200),
    ("/", "/", 200),
    ("/models/{model}", "/models/a%2Fb%2Fc", 200),
    ("/models/{model}", "/models/absent", 404),
    ("/models/{model}/history", "/models/a%2Fb%2Fc/history", 200),
    ("/models/{model}/history", "/models/absent/history", 404),
    ("/incidents/{id}", "/incidents/i-0000", 200),
    ("/incidents/{id}", "/incidents/absent", 404),
    ("/runbooks/{alertname}", "/runbooks/ModelFeatureDrift", 200),
    ("/runbooks/{alertname}", "/runbooks/Absent", 404),
]


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        found = DOCUMENT
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


def operation(template: str) -> dict[str, Any]:
    """What is described of an address: it is either read or written to."""
    (found,) = DOCUMENT["paths"][template].values()
    return dict(found)


WRITTEN = {template for template, item in DOCUMENT["paths"].items() if "post" in item}


def check(template: str, answer: Any) -> None:
    """The answer's status, headers, content type and body are among those described."""
    described = operation(template)["responses"]
    assert str(answer.status) in described
    response = resolved(described[str(answer.status)])
    for header in response.get("headers", {}):
        assert header.lower() in answer.headers
    media = answer.headers["content-type"].partition(";")[0]
    assert media in response["content"]
    if media == "application/json":
        schema = {**response["content"][media]["schema"], "components": DOCUMENT["components"]}
        checker = Draft202012Validator.FORMAT_CHECKER
        assert "date-time" in checker.checkers
        errors = list(Draft202012Validator(schema, format_checker=checker).iter_errors(answer.json))
        assert errors == []


def test_the_document_is_valid() -> None:
    """It is OpenAPI 3.1."""
    assert DOCUMENT["openapi"].startswith("3.1")
    validate(DOCUMENT)


def test_every_route_is_described_and_nothing_else(get: Any) -> None:
    """Paths and routes are the same, and exactly the probes need no token."""
    routes = get.server.site.routes
    assert {route.template for route in routes} == set(DOCUMENT["paths"])
    open_ = {path for path in DOCUMENT["paths"] if operation(path).get("security") == []}
    assert open_ == {route.template for route in routes if route.scope is None}
    assert {route.template for route in routes if route.writes} == WRITTEN


def test_every_route_is_asked_here() -> None:
    """The requests below leave out no route."""
    assert {template for template, _, _ in REQUESTS} == set(DOCUMENT["paths"]) - WRITTEN


@pytest.mark.parametrize(("template", "path", "status"), REQUESTS)
def test_answers_are_as_described(get: Any, template: str, path: str, status: int) -> None:
    """What the live server says validates against its description."""
    answer = get(path)
    assert answer.status == status
    check(template, answer)


@pytest.mark.parametrize("template", sorted(DOCUMENT["paths"]))
def test_refusals_are_as_described(serve: Callable[..., Any], desk: Any, tmp_path: Path, template: str) -> None:
    """So do 401, 403, 405, 413, and failing probes."""
    path = template.replace("{model}", "m").replace("{id}", "i-0000")
    tokens = tmp_path / "tokens"
    tokens.write_text("w write\nr status\n")
    get = serve(token_file=str(tokens))
    desk.change(ready=False, loop_turned_at=0.0)
    probe = operation(template).get("security") == []
    if template in WRITTEN:
        answers = [
            (get(path, "POST", b"{}"), 401),
            (get(path, "POST", b"{}", Authorization="Bearer r"), 403),
            (get(path, "POST", b"{}", Authorization="Bearer w"), 400),
            (get(path, "POST", b"{}", Host="evil.example"), 403),
            (get(path, "PUT", b"{}"), 405),
        ]
        for answer, status in answers:
            check(template, answer)
            assert answer.status == status
        return
    answers = [
        (get(path), 503 if probe else 401),
        (get(path, Authorization="Bearer w"), 503 if probe else 403),
        (get(path, Host="evil.example"), 403),
        (get(path, "POST"), 405),
        (get(path, "GET", b"{}"), 413),
    ]
    for answer, status in answers:
        check(template, answer)
        assert answer.status == status


def test_busy_and_broken_are_as_described(get: Any, desk: Any) -> None:
    """A loop that does not answer and a bug have their descriptions too."""
    desk.busy = True
    check("/api/v1/models/{model}", get("/api/v1/models/%2F"))
    desk.busy, desk.broken = False, True
    check("/models/{model}", get("/models/%2F"))
