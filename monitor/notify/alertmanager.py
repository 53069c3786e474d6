"""How one Alertmanager is spoken to: one keep-alive connection, its credentials and its certificates."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

from monitor.catalog.secrets import read_secret
from monitor.errors import ConfigError, NotifyError
from monitor.notify.settings import AlertmanagerSettings

ALERTS_PATH = "/api/v2/alerts"
REPLY_BYTES = 65_536
REPLY_SHOWN = 200
DOCUMENT_BYTES = 16 << 20


class Reply(NamedTuple):
    """An HTTP status and the beginning of its body, on one line."""

    status: int
    text: str


class Transport(Protocol):
    """What carries a body of alerts to one Alertmanager."""

    def post(self, body: bytes, timeout_seconds: float) -> Reply:
        """Post to ``/api/v2/alerts``.

        Raises
        ------
        NotifyError
            No reply came: the message says why, and holds no secret.
        """
        ...

    def close(self) -> None:
        """Let go of the connection; the next post opens a new one."""
        ...


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The parts of an Alertmanager's URL; ``path`` holds the prefix and ends in ``/api/v2/alerts``."""

    secure: bool
    host: str
    port: int
    path: str

    @property
    def name(self) -> str:
        """``host:port``: what metrics and logs call it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def endpoint(url: str) -> Endpoint:
    """Take apart the URL of an Alertmanager, which the settings have found to be one."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    path = parts.path.rstrip("/") + ALERTS_PATH
    return Endpoint(secure, parts.hostname or "", parts.port or (443 if secure else 80), path)


class Alertmanager:
    """One Alertmanager behind one connection; used by one thread."""

    def __init__(self, url: str, settings: AlertmanagerSettings) -> None:
        self._endpoint = endpoint(url)
        self._settings = settings
        self._context: ssl.SSLContext | None = None
        self._trusted: tuple[int, int, int] | None = None
        self._connection: HTTPConnection | None = None

    @property
    def name(self) -> str:
        """``host:port``."""
        return self._endpoint.name

    def post(self, body: bytes, timeout_seconds: float) -> Reply:
        """See :class:`Transport`."""
        status, text = self._ask("POST", self._endpoint.path, body, timeout_seconds, REPLY_BYTES)
        return Reply(status, " ".join(text.decode("utf-8", "replace").split())[:REPLY_SHOWN])

    def get(self, path: str, timeout_seconds: float) -> bytes:
        """The body at ``path``, which begins with ``/api/v2``; at most 16 MiB of it.

        Raises
        ------
        NotifyError
            No reply came, or another status than 200.
        """
        place = self._endpoint.path.removesuffix(ALERTS_PATH) + path
        status, body = self._ask("GET", place, None, timeout_seconds, DOCUMENT_BYTES)
        if status != 200:
            raise NotifyError(f"{self.name}: HTTP {status}")
        return body

    def _ask(self, method: str, path: str, body: bytes | None, timeout_seconds: float, limit: int) -> tuple[int, bytes]:
        try:
            headers = self._headers()
            connection, reused = self._connect(timeout_seconds)
            try:
                return self._exchange(connection, method, path, body, headers, limit)
            except (ConnectionResetError, BrokenPipeError):
                # A kept connection may have been closed since; posting alerts twice does no harm.
                if not reused:
                    raise
                self.close()
                return self._exchange(self._connect(timeout_seconds)[0], method, path, body, headers, limit)
        except (OSError, HTTPException, ValueError, ConfigError) as error:
            self.close()
            raise NotifyError(f"{self.name}: {_reason(error)}") from None

    def close(self) -> None:
        """See :class:`Transport`."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self, timeout_seconds: float) -> tuple[HTTPConnection, bool]:
        """The connection, and whether it has been used before."""
        if self._endpoint.secure:
            self._refresh_trust()
        if self._connection is not None and self._connection.sock is not None:
            self._connection.sock.settimeout(timeout_seconds)
            return self._connection, True
        host, port = self._endpoint.host, self._endpoint.port
        if self._endpoint.secure:
            self._connection = HTTPSConnection(host, port, timeout=timeout_seconds, context=self._context)
        else:
            self._connection = HTTPConnection(host, port, timeout=timeout_seconds)
        return self._connection, False

    def _refresh_trust(self) -> None:
        """Make the TLS context at the first time, and again when the file of certificates has been replaced."""
        ca_file = self._settings.ca_file or None
        stamp = (0, 0, 0)
        if ca_file is not None:
            stat = Path(ca_file).stat()
            stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if stamp == self._trusted:
            return
        context = ssl.create_default_context(cafile=ca_file)
        if self._settings.insecure_skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self._context, self._trusted = context, stamp
        self.close()

    def _exchange(
        self,
        connection: HTTPConnection,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        limit: int,
    ) -> tuple[int, bytes]:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        text = response.read(limit)
        if not response.isclosed():  # more than anyone wants to read: the connection is of no further use
            self.close()
        return response.status, text

    def _headers(self) -> dict[str, str]:
        """Secrets are read for each post: they are rotated in place."""
        settings = self._settings
        headers = {"User-Agent": "modelwatch", **settings.headers, "Content-Type": "application/json"}
        if settings.bearer_token_file:
            headers["Authorization"] = f"Bearer {read_secret(settings.bearer_token_file)}"
        elif settings.username:
            credentials = f"{settings.username}:{read_secret(settings.password_file)}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(credentials).decode('ascii')}"
        return headers


def _reason(error: Exception) -> str:
    """Why there was no reply; errors about headers quote them, secrets and all, so they are told in other words."""
    if isinstance(error, TimeoutError):
        return "no reply in time"
    if isinstance(error, ValueError) and not isinstance(error, ssl.SSLError):
        return "a header or a token holds characters that HTTP does not take"
    return str(error) or type(error).__name__
