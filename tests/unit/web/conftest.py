"""A live server on a free port, and a small client that shows what came over the wire."""

from __future__ import annotations

import http.client
import json
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from fakes.desk import NOW, FakeDesk, made_status

from monitor.telemetry.metrics import Metrics
from monitor.web.server import WebServer
from monitor.web.settings import HttpSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from monitor.clock import Clock


class StoppedClock:
    """Stands still; what waits for sockets asks the deadline, which therefore never passes."""

    def now(self) -> float:
        return NOW

    def monotonic(self) -> float:
        return 0.0

    def wall(self) -> float:
        return NOW

    def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    server: WebServer
    metrics: Metrics

    def __call__(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=5)
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body=body, headers=names)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk(made_status())


@pytest.fixture
def serve(desk: FakeDesk) -> Iterator[Callable[..., Client]]:
    """Start a server with these settings, ended with the test."""
    with ExitStack() as stack:

        def start(clock: Clock | None = None, *, timeout: float = 5.0, **settings: Any) -> Client:
            metrics = Metrics(version="0.1.0")
            metrics.read_status(desk.status)
            made = HttpSettings(**{"listen": "127.0.0.1:0", **settings})
            server = WebServer(made, desk, metrics, clock or StoppedClock(), timeout=timeout)
            stack.callback(server.stop)
            server.start()
            return Client(server, metrics)

        yield start


@pytest.fixture
def get(serve: Callable[..., Client]) -> Client:
    """A client of a server with the default settings."""
    return serve()
