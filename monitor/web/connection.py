"""How is one connection spoken with? Requests one after another, bounded in time and bytes, answered by the site."""

from __future__ import annotations

import io
import socket
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from threading import BoundedSemaphore
from typing import Any
from urllib.parse import parse_qs, urlsplit

from monitor.clock import Clock
from monitor.telemetry.logs import SampledLogger, get_logger
from monitor.telemetry.metrics import Metrics
from monitor.web.messages import RefusedError, Request, Response
from monitor.web.routes import Site
from monitor.web.style import STYLE_SOURCE

HANDLERS_MAX = 16
HEAD_LINE_BYTES_MAX = 65536
QUERY_FIELDS_MAX = 20
DRAIN_BYTES_MAX = 65536
SECURITY_HEADERS = (
    (
        "Content-Security-Policy",
        f"default-src 'none'; style-src {STYLE_SOURCE}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
)

_log = get_logger("monitor.web")


@dataclass(frozen=True, slots=True)
class Shared:
    """What all connections share. ``timeout`` is what a client has for a request's head, and for taking an answer."""

    site: Site
    metrics: Metrics
    clock: Clock
    refusals: SampledLogger
    timeout: float
    handlers: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(HANDLERS_MAX))
    """At most ``HANDLERS_MAX`` answers are made and sent at a time; probes come on top, they take no time."""


class Connection(BaseHTTPRequestHandler):
    """One connection; made by the server's thread for it, and done when the constructor returns.

    Raises
    ------
    OSError
        The client went away or took too long.
    """

    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.0"  # what cannot be read is answered with a status line, not as HTTP/0.9

    def __init__(self, shared: Shared, connection: Any, client_address: Any, server: Any) -> None:
        self._shared = shared
        super().__init__(connection, client_address, server)

    def setup(self) -> None:
        """Read through a deadline, so that a byte now and then does not keep a connection for ever."""
        super().setup()
        self._reader = _DeadlineReader(self.connection, self._shared.clock)
        self.rfile.close()
        self.rfile = io.BufferedReader(self._reader)

    def handle_one_request(self) -> None:
        """Read one request and answer it."""
        self.close_connection = True
        self._reader.start(self._shared.timeout)
        self.raw_requestline = self.rfile.readline(HEAD_LINE_BYTES_MAX + 1)
        if not self.raw_requestline:
            return
        if len(self.raw_requestline) > HEAD_LINE_BYTES_MAX:
            self.requestline, self.request_version, self.command = "", "", ""
            self.send_error(414)
        elif self.parse_request():
            self._answer()

    def handle_expect_100(self) -> bool:
        """Bodies are small, so no one need ask before sending one, and none is told to go on."""
        return True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Errors that the standard library finds in the head of a request, in our own form."""
        del explain
        self.close_connection = True
        text = message or self.responses.get(code, ("the request cannot be read", ""))[0]
        self._send(RefusedError(int(code), "bad_request", text).response())

    def version_string(self) -> str:
        """What `Server` says: not which Python this is."""
        return "modelwatch"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's name
        """Every request at debug level; :meth:`_send` counts it."""
        _log.debug("http", line=format % args)

    def _answer(self) -> None:
        try:
            request = self._request()
        except ValueError:
            self.send_error(400, "the request line or its host cannot be read")
            return
        if "content-length" in request.headers or "transfer-encoding" in request.headers:
            self.close_connection = True  # whatever of the body stays unread must not pass for a request
            request = replace(request, body=self._drain(request))
        if self._shared.site.is_probe(request.path):
            self._send(self._response(request))
        elif self._shared.handlers.acquire(blocking=False):
            try:
                self._send(self._response(request))
            finally:
                self._shared.handlers.release()
        else:
            self._shared.metrics.limits_turned_away.labels("http_requests").inc()
            self._shared.refusals.warning("http_handlers_exhausted", handlers_max=HANDLERS_MAX)
            self._send(RefusedError(503, "busy", "too many requests at once", ("Retry-After", "1")).response())

    def _drain(self, request: Request) -> bytes:
        """Read a small body: closing a socket with unread bytes would tear our answer from the client's hands."""
        length = request.headers.get("content-length", "")
        announced = int(length) if length.isascii() and length.isdigit() and len(length) <= 9 else 0
        if announced <= DRAIN_BYTES_MAX and "expect" not in request.headers:
            return self.rfile.read(announced)
        return b""

    def _request(self) -> Request:
        target = urlsplit(self.path)
        query = parse_qs(target.query, keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX)
        headers = {name.lower(): value for name, value in self.headers.items()}
        hosts = self.headers.get_all("host", [])
        if len(hosts) > 1 or (not hosts and self.request_version == "HTTP/1.1"):
            raise ValueError(hosts)
        if target.netloc:
            headers["host"] = target.netloc  # the absolute form of a request line names the host itself
        return Request(self.command, target.path, query, headers)

    def _response(self, request: Request) -> Response:
        try:
            return self._shared.site.answer(request)
        except Exception:  # noqa: BLE001 - the only one: a bug in a handler costs one request its answer, no more
            _log.exception("http_handler_failed", path=request.path)
            return RefusedError(500, "internal", "the server made a mistake; its log says which").response()

    def _send(self, response: Response) -> None:
        self.connection.settimeout(self._shared.timeout)
        # Before it is sent: who has an answer in hand finds it counted.
        self._shared.metrics.http_requests.labels(str(response.status)).inc()
        self.send_response(response.status)
        for name, value in (*SECURITY_HEADERS, *response.headers):
            self.send_header(name, value)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)


class _DeadlineReader(io.RawIOBase):
    """Reads a socket until a moment that :meth:`start` sets; past it a read is a ``TimeoutError``."""

    def __init__(self, connection: socket.socket, clock: Clock) -> None:
        super().__init__()
        self._connection = connection
        self._clock = clock
        self._until = 0.0

    def start(self, seconds: float) -> None:
        """Give what follows ``seconds``."""
        self._until = self._clock.monotonic() + seconds

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what there is, at least a byte; 0 at the end."""
        remaining = self._until - self._clock.monotonic()
        if remaining <= 0:
            raise TimeoutError("the request took too long")
        self._connection.settimeout(remaining)
        return self._connection.recv_into(buffer)
