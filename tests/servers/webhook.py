"""A receiver of webhooks: an HTTP server that keeps the JSON it is sent."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable


class WebhookReceiver:
    """Collects the JSON bodies of POSTs; ``status`` is what it answers with from now on."""

    def __init__(self, port: int = 0) -> None:
        self.status = 200
        self._bodies: list[Any] = []
        self._changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/"

    @property
    def bodies(self) -> list[Any]:
        """What came so far, oldest first."""
        with self._changed:
            return list(self._bodies)

    def clear(self) -> None:
        with self._changed:
            self._bodies.clear()

    def wait(self, enough: Callable[[list[Any]], bool], seconds: float = 60.0) -> list[Any]:
        """Wait until ``enough`` holds for what came, and return that."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not enough(self._bodies):
                left = deadline - time.monotonic()
                assert left > 0, f"not enough after {seconds} s: {len(self._bodies)} bodies: {self._bodies!r}"
                self._changed.wait(left)
            return list(self._bodies)

    def take(self, body: Any) -> None:
        with self._changed:
            self._bodies.append(body)
            self._changed.notify_all()


def _handler(receiver: WebhookReceiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            if receiver.status < 300:
                receiver.take(json.loads(body))
            self.send_response(receiver.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
