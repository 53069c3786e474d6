"""How do requests get in? A threading server of the standard library with a bounded number of connections."""

from __future__ import annotations

import socket
import ssl
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import BoundedSemaphore, Lock, Thread, current_thread
from typing import Any

from monitor.clock import Clock
from monitor.errors import WebError
from monitor.status import Desk
from monitor.telemetry.logs import SampledLogger, get_logger
from monitor.telemetry.metrics import Metrics
from monitor.web.access import Hosts, Tokens, is_loopback
from monitor.web.connection import Connection, Shared
from monitor.web.routes import Site
from monitor.web.settings import HttpSettings

TIMEOUT_SECONDS = 5.0
CONNECTIONS_MAX = 64

_log = get_logger("monitor.web")


class WebServer:
    """Serves a :class:`Site` on threads of its own, from :meth:`start` to :meth:`stop`.

    The address is bound when the object is made, so a port of 0 is settled by then (:attr:`port`), and a client that
    comes before :meth:`start` waits. ``timeout`` is what a client has, in seconds, for the head of a request and for
    taking an answer.

    Raises
    ------
    WebError
        The address cannot be bound, or a token, certificate or key file cannot be used; the message names it.
    """

    def __init__(
        self,
        settings: HttpSettings,
        desk: Desk,
        metrics: Metrics,
        clock: Clock,
        *,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        host, port = settings.address
        tokens = Tokens(Path(settings.token_file)) if settings.token_file else None
        tls = _tls_context(settings) if settings.tls_cert_file else None
        self.site = Site(
            desk,
            metrics,
            clock,
            hosts=Hosts(host, settings.external_url),
            tokens=tokens,
            liveness_timeout=settings.liveness_timeout,
            external_url=settings.external_url,
        )
        shared = Shared(self.site, metrics, clock, SampledLogger(_log, clock), timeout)
        try:
            self._server = _Server((host, port), shared, tls)
        except OSError as error:
            raise WebError(f"http.listen: cannot listen on {settings.listen}: {error.strerror or error}") from error
        self.port: int = self._server.server_address[1]
        self._listen = settings.listen
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), name="web", daemon=True)
        if not is_loopback(host) and (tokens is None or tls is None):
            _log.warning("http_open_to_the_network", listen=settings.listen, tokens=tokens is not None, tls=bool(tls))

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()
        _log.info("http_listening", listen=self._listen, port=self.port)

    def stop(self) -> None:
        """Stop listening, and end the connections that are open; may be called before :meth:`start`."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self._server.end_connections()


class _Server(ThreadingHTTPServer):
    """At most ``CONNECTIONS_MAX`` connections, each with a thread that lives as long as it does."""

    request_queue_size = CONNECTIONS_MAX

    def __init__(self, address: tuple[str, int], shared: Shared, tls: ssl.SSLContext | None) -> None:
        self._shared = shared
        self._tls = tls
        self._places = BoundedSemaphore(CONNECTIONS_MAX)
        self._open: dict[Thread, socket.socket] = {}
        self._lock = Lock()
        host, port = address
        everywhere = "::" if socket.has_dualstack_ipv6() else "0.0.0.0"  # noqa: S104 - an empty host asks for it
        host = host or everywhere
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), partial(Connection, shared))

    def server_bind(self) -> None:
        """Bind without the look-up of our own name that the standard class makes: it may take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give the connection a thread, or close it at once where all places are taken."""
        if self._places.acquire(blocking=False):
            Thread(target=self._serve, args=(request, client_address), name="web-connection", daemon=True).start()
            return
        self._shared.metrics.limits_turned_away.labels("http_connections").inc()
        self._shared.refusals.warning("http_connections_exhausted", connections_max=CONNECTIONS_MAX)
        if self._tls is None:
            _say_busy(request)
        self.shutdown_request(request)

    def end_connections(self) -> None:
        """Shut what is still open, and wait a moment for its threads."""
        with self._lock:
            remaining = dict(self._open)
        for thread, connection in remaining.items():
            _shut(connection)
            thread.join(timeout=1.0)

    def _serve(self, request: socket.socket, client_address: Any) -> None:
        connection = request
        try:
            request.settimeout(self._shared.timeout)
            self._remember(request)
            if self._tls is not None:
                # Here and not where connections are accepted: a slow handshake must hold up no one else.
                connection = self._tls.wrap_socket(request, server_side=True)
                self._remember(connection)
            self.finish_request(connection, client_address)
        except OSError as error:
            _log.debug("http_connection_lost", error=str(error))
        finally:
            self.shutdown_request(connection)
            with self._lock:
                del self._open[current_thread()]
            self._places.release()

    def _remember(self, connection: socket.socket) -> None:
        with self._lock:
            self._open[current_thread()] = connection


def _tls_context(settings: HttpSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_cert_file, settings.tls_key_file)
    except OSError as error:
        place = f"{settings.tls_cert_file}, {settings.tls_key_file}"
        raise WebError(f"http.tls_cert_file, http.tls_key_file: {place}: {error.strerror or error}") from error
    return context


def _say_busy(connection: socket.socket) -> None:
    """The shortest possible 503, without waiting: the accepting thread has no time for a slow client."""
    try:
        connection.setblocking(False)
        connection.send(
            b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
    except OSError as error:
        _log.debug("http_connection_lost", error=str(error))


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError as error:
        _log.debug("http_connection_lost", error=str(error))
