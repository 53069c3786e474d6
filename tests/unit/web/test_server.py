"""What the sockets promise: bounds in time, threads and bytes, and refusals that can be read."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from monitor.clock import SystemClock
from monitor.errors import WebError
from monitor.telemetry.metrics import Metrics
from monitor.web import server as server_module
from monitor.web.connection import HANDLERS_MAX
from monitor.web.server import WebServer
from monitor.web.settings import HttpSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from fakes.desk import FakeDesk


def raw(port: int, request: bytes) -> bytes:
    """What the server says to these bytes until it closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        return answer


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def test_the_port_is_known_before_the_start(desk: FakeDesk) -> None:
    """Port 0 is settled when the server is made, and a server that never started stops cleanly."""
    server = WebServer(HttpSettings(listen="127.0.0.1:0"), desk, Metrics(), SystemClock())
    assert server.port > 0
    server.stop()


def test_an_address_in_use_is_named(get: Any, desk: FakeDesk) -> None:
    """Where the address is taken the error says which."""
    address = f"127.0.0.1:{get.server.port}"
    with pytest.raises(WebError, match=f"cannot listen on {address}: Address already in use"):
        WebServer(HttpSettings(listen=address), desk, Metrics(), SystemClock())


def test_an_empty_host_listens_everywhere(serve: Callable[..., Any]) -> None:
    """`:0` is reached through loopback, under any host name."""
    get = serve(listen=":0")
    assert get("/livez", Host="monitor.example").status == 200


def test_a_missing_certificate_is_named(desk: FakeDesk) -> None:
    """TLS files that cannot be used stop the start, with their names."""
    settings = HttpSettings(listen="127.0.0.1:0", tls_cert_file="/no/cert.pem", tls_key_file="/no/key.pem")
    with pytest.raises(WebError, match=r"/no/cert\.pem.*No such file"):
        WebServer(settings, desk, Metrics(), SystemClock())


def test_head_is_get_without_the_body(get: Any) -> None:
    """HEAD has the status and length of GET on every kind of address."""
    for path in ("/livez", "/metrics/models", "/api/v1/status", "/", "/nothing"):
        full, head = get(path), get(path, "HEAD")
        assert head.body == b""
        assert (head.status, head.headers["content-length"]) == (full.status, str(len(full.body)))


def test_unknown_addresses_are_404(get: Any) -> None:
    """There is nothing between or behind the routes."""
    for path in ("/nope", "/api", "/api/v1/models/", "/models/", "/livez/", "/metrics/x", "/api/v1/incidents/none"):
        answer = get(path)
        assert (answer.status, answer.json["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW"])
def test_other_methods_are_405(get: Any, method: str) -> None:
    """What is read takes no orders, and what takes orders nothing else; each says what is allowed."""
    answer = get("/api/v1/incidents/i-0000", method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert answer.json["error"]["code"] == "method_not_allowed"
    if method != "POST":
        answer = get("/api/v1/incidents/i-0000/ack", method)
        assert (answer.status, answer.headers["allow"]) == (405, "POST")


def test_bodies_are_refused_and_never_read_as_requests(get: Any) -> None:
    """A body is refused, and the connection closed, so that it cannot pass for the next request."""
    assert get("/livez", "GET", b"GET /metrics HTTP/1.1\r\n\r\n").status == 413
    smuggled = (
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n"
    )
    assert raw(get.server.port, smuggled).count(b"HTTP/1.1 ") == 1
    assert get("/livez", "POST", b"x" * 1000).status == 405
    expecting = b"POST /livez HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"
    assert status_of(raw(get.server.port, expecting)) == 405


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"GET /livez HTTP/9.9\r\n\r\n", 505),
        (b"GET /livez HTTP/1.1\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400),
        (b"GET //[bad HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404),
        (b"GET http://[bad/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /%ff HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404),
        (b"GET /models/%ff HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 400),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET /livez HTTP/1.1\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", 431),
        (b"GET /livez HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
        (b"GET /?" + b"a=1&" * 30 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /livez HTTP/1.0\r\n\r\n", 200),
    ],
)
def test_malformed_requests_are_refused(get: Any, request_bytes: bytes, status: int) -> None:
    """Each malformed head has a status of its own, and the server goes on."""
    assert status_of(raw(get.server.port, request_bytes)) == status
    assert get("/livez").status == 200


def test_every_answer_carries_the_security_headers(get: Any) -> None:
    """Pages run no script, are framed by no one and kept nowhere; the server does not say what it runs on."""
    for path in ("/", "/api/v1/status", "/nope"):
        headers = get(path).headers
        assert headers["server"] == "modelwatch"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")


def test_a_connection_is_kept_for_the_next_request(get: Any) -> None:
    """HTTP/1.1: two requests on one connection get two answers."""
    one = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    two = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert raw(get.server.port, one + two).count(b"HTTP/1.1 200") == 2


def test_a_slow_client_is_let_go(serve: Callable[..., Any]) -> None:
    """Half a request, even one byte at a time, holds a connection no longer than the timeout."""
    get = serve(SystemClock(), timeout=0.1)
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", get.server.port), timeout=5) as connection:
        connection.sendall(b"GET /livez HT")
        for _ in range(3):
            time.sleep(0.04)
            try:
                connection.sendall(b"T")
            except OSError:
                break
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(100) == b""
    assert time.monotonic() - began < 2


def test_answers_in_the_making_are_limited_but_probes_pass(get: Any, desk: FakeDesk) -> None:
    """With all handlers busy a request is told to come back, and a probe is still answered."""
    desk.gate.clear()
    threads = [threading.Thread(target=get, args=("/api/v1/models/%2F",)) for _ in range(HANDLERS_MAX)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 5
    while desk.asked < HANDLERS_MAX and time.monotonic() < deadline:
        time.sleep(0.005)
    refused = get("/api/v1/status")
    probe = get("/livez")
    desk.gate.set()
    for thread in threads:
        thread.join()
    assert (refused.status, refused.headers["retry-after"], refused.json["error"]["code"]) == (503, "1", "busy")
    assert probe.status == 200
    assert get("/api/v1/status").status == 200
    assert get.metrics.limits_turned_away.labels("http_requests")._value.get() == 1


def test_connections_are_limited(serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit a connection is closed at once and counted; places are free again afterwards."""
    monkeypatch.setattr(server_module, "CONNECTIONS_MAX", 2)
    get = serve()
    held = [socket.create_connection(("127.0.0.1", get.server.port), timeout=5) for _ in range(2)]
    with socket.create_connection(("127.0.0.1", get.server.port), timeout=5) as third:
        assert third.recv(1000).startswith(b"HTTP/1.1 503 ")
    assert get.metrics.limits_turned_away.labels("http_connections")._value.get() == 1
    for connection in held:
        connection.close()
    deadline = time.monotonic() + 5
    while get.server._server._open and time.monotonic() < deadline:
        time.sleep(0.005)
    assert get("/livez").status == 200


def test_a_bug_in_a_handler_costs_one_answer(get: Any, desk: FakeDesk) -> None:
    """An unexpected error is a 500 without details, and the next request is answered."""
    desk.broken = True
    answer = get("/api/v1/models/%2F")
    assert (answer.status, answer.json["error"]["code"]) == (500, "internal")
    assert b"ZeroDivision" not in answer.body
    assert get("/api/v1/status").status == 200


def test_answers_are_counted_by_code(get: Any) -> None:
    """`modelwatch_http_requests_total` has a series for each status code that was sent."""
    get("/livez")
    get("/nope")
    body = get("/metrics").body.decode()
    assert 'modelwatch_http_requests_total{code="200"} 1.0' in body
    assert 'modelwatch_http_requests_total{code="404"} 1.0' in body


def test_stopping_ends_open_connections(desk: FakeDesk) -> None:
    """A client that holds a connection open does not hold up the stop."""
    server = WebServer(HttpSettings(listen="127.0.0.1:0"), desk, Metrics(), SystemClock())
    server.start()
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1")
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 1
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("web")]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("127.0.0.1:9899", 200),
        ("LOCALHOST:1", 200),
        ("[::1]:9899", 200),
        ("monitor.example", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("[", 403),
        ("", 403),
    ],
)
def test_on_loopback_only_our_own_host_names_are_served(serve: Callable[..., Any], host: str, status: int) -> None:
    """A page that points its own name at 127.0.0.1 (DNS rebinding) reads nothing."""
    get = serve(external_url="https://monitor.example/watch")
    assert get("/livez", Host=host).status == status


def test_the_absolute_form_names_its_host(get: Any) -> None:
    """`GET http://host/path` is checked by that host."""
    request = b"GET http://%s/livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert status_of(raw(get.server.port, request % b"evil.example")) == 403
    assert status_of(raw(get.server.port, request % b"localhost")) == 200
