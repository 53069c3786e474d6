"""What the tests of notifying share: incidents, a stage with a clock that stands still, and a local HTTP server."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from monitor.clock import ManualClock
from monitor.errors import NotifyError
from monitor.incidents.incident import Effect, Incident
from monitor.notify.alertmanager import Reply
from monitor.notify.notifier import Notifications
from monitor.notify.settings import AlertmanagerSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.notify.facts import Fact

BEGAN = 1_772_000_000.0
ONE = ("http://one:9093",)


def incident(model: str = "credit", **changes: Any) -> Incident:
    """A firing incident; a keyword replaces a field."""
    labels = {
        "alertname": "ModelFeatureDrift",
        "severity": "warning",
        "service": "modelwatch",
        "model": model,
        "detector": "drift",
        "feature": "income",
    }
    fields: dict[str, Any] = {
        "id": f"i-{model}",
        "kind": "drift",
        "alertname": "ModelFeatureDrift",
        "model": model,
        "version": "7",
        "detector": "drift",
        "feature": "income",
        "output": None,
        "attribute": None,
        "group": None,
        "severity": "warning",
        "state": "firing",
        "onset_time": BEGAN - 600.0,
        "fired_time": BEGAN,
        "paged_time": BEGAN,
        "resolved_time": None,
        "effect": Effect("psi", 0.31234, 0.25),
        "evidence_log10": 6.3217,
        "summary": "A model input feature has drifted from its reference.",
        "description": "Feature income of credit 7 has drifted.",
        "labels": labels,
        "cells": (),
    }
    return Incident(**{**fields, **changes})


def resolved(model: str = "credit", resolved_time: float | None = BEGAN, **changes: Any) -> Incident:
    """The same incident after its end."""
    return incident(model, state="resolved", resolved_time=resolved_time, **changes)


@dataclass
class FakeAlertmanager:
    """Answers as it is told to, and remembers what it was sent and when."""

    clock: ManualClock
    status: int = 200
    broken: bool = False
    bad: set[str] = field(default_factory=set)
    """Models whose alerts it refuses, and the batch that they stand in."""
    takes: float = 0.0
    on_post: Callable[[], None] = lambda: None
    posts: list[tuple[float, list[dict[str, Any]]]] = field(default_factory=list)
    tries: list[float] = field(default_factory=list)
    patience: list[float] = field(default_factory=list)
    closed: bool = False

    def post(self, body: bytes, timeout_seconds: float) -> Reply:
        items = json.loads(body)
        self.on_post()
        self.tries.append(self.clock.monotonic())
        self.patience.append(timeout_seconds)
        self.clock.advance(self.takes)
        if self.broken:
            raise NotifyError("one:9093: connection refused")
        if any(item["labels"].get("model") in self.bad for item in items):
            return Reply(400, "bad label")
        if self.status == 200 and items:
            self.posts.append((self.clock.now(), items))
        return Reply(self.status, "")

    def close(self) -> None:
        self.closed = True

    def items(self) -> list[tuple[float, dict[str, Any]]]:
        return [(at, item) for at, items in self.posts for item in items]

    def told(self, model: str = "credit") -> list[tuple[float, dict[str, Any]]]:
        return [(at, item) for at, item in self.items() if item["labels"].get("model") == model]

    def models(self) -> set[str]:
        return {item["labels"]["model"] for _, item in self.items()}


class Stage:
    """Notifications over fake Alertmanagers, with their threads' turns taken by hand; keywords are settings."""

    def __init__(
        self,
        urls: tuple[str, ...] = ONE,
        jitter: Callable[[], float] = lambda: 1.0,
        alerts_max: int = 10_000,
        assured: Callable[[], bool] = lambda: True,
        **keys: Any,
    ) -> None:
        self.clock = ManualClock(BEGAN)
        self.facts: list[Fact] = []
        self.managers: list[FakeAlertmanager] = []
        self.notifications = Notifications(
            AlertmanagerSettings(urls=urls, **keys),
            self.clock,
            "https://watch.example",
            self.facts.append,
            connect=self._connect,
            jitter=jitter,
            alerts_max=alerts_max,
            assured=assured,
        )
        self.deliveries = self.notifications._deliveries

    def _connect(self, url: str, settings: AlertmanagerSettings) -> FakeAlertmanager:
        self.managers.append(FakeAlertmanager(self.clock))
        return self.managers[-1]

    def offer(self, *incidents: Incident) -> None:
        self.notifications.offer(incidents)

    def run(self, seconds: float) -> None:
        """Let time pass, each delivery taking its turn when it asked for it."""
        end = self.clock.monotonic() + seconds
        for _ in range(100_000):
            wait = min([delivery.turn() for delivery in self.deliveries])
            left = end - self.clock.monotonic()
            if wait > left:
                self.clock.advance(max(left, 0.0))
                return
            self.clock.advance(wait)
        raise AssertionError("the deliveries never come to rest")


class LocalServer:
    """A real HTTP server on the loopback that answers as it is told to."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.peers: set[tuple[str, int]] = set()
        self.status = 200
        self.body = b"{}"
        self.drop = False
        """Whether connections end after a reply without a word, as when the other side restarts."""
        self.hang = threading.Event()
        """Replies wait while this is not set."""
        self.hang.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.port = self._server.server_port
        self.name = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.name}"

    def stop(self) -> None:
        self.hang.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(owner: LocalServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            owner.peers.add(self.client_address)
            owner.requests.append((self.path, dict(self.headers), body))
            owner.hang.wait(5)
            self.send_response(owner.status)
            self.send_header("Content-Length", str(len(owner.body)))
            self.end_headers()
            self.wfile.write(owner.body)
            self.close_connection = owner.drop

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
