"""How does a command ask a running daemon? Over its HTTP API, with a token."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from monitor.errors import UsageError, WebError

DEFAULT_URL = "http://127.0.0.1:9899"
TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Daemon:
    """A running daemon at ``url`` (``http`` or ``https``); ``token`` may be empty."""

    url: str
    token: str = ""

    def get(self, *path: str, **query: str) -> Any:
        """The document at ``/api/v1/`` and the parts of ``path``; raises as :meth:`post`."""
        return self._ask("GET", path, None, query)

    def post(self, body: dict[str, Any], *path: str) -> Any:
        """Post ``body`` to ``/api/v1/`` and the parts of ``path``, each quoted.

        Raises
        ------
        WebError
            The daemon cannot be reached, or says no; the message holds what it said.
        """
        return self._ask("POST", path, json.dumps(body).encode())

    def _ask(
        self, method: str, path: tuple[str, ...], body: bytes | None, query: Mapping[str, str] | None = None
    ) -> Any:
        address = f"{self.url.rstrip('/')}/api/v1/{'/'.join(quote(part, safe='') for part in path)}"
        address += f"?{urlencode(query)}" if query else ""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        request = urllib.request.Request(address, body, headers, method=method)  # noqa: S310 - checked in `daemon`
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310 - as above
                return json.loads(response.read())
        except urllib.error.HTTPError as error:
            raise WebError(f"{self.url}: {_said(error)}") from None
        except (OSError, ValueError) as error:
            raise WebError(f"{self.url}: {getattr(error, 'reason', error)}") from None


def daemon(url: str, token_file: Path | None) -> Daemon:
    """The daemon at ``url``, with the first word of ``token_file`` as token.

    Raises
    ------
    UsageError
        The URL is not one, or the file cannot be read.
    """
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise UsageError(f"--url: {url!r} is not an http or https URL")
    if token_file is None:
        return Daemon(url)
    try:
        words = token_file.read_text("utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--token-file: {token_file}: {error}") from error
    if not words:
        raise UsageError(f"--token-file: {token_file}: holds no token")
    return Daemon(url, words[0])


def _said(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {error.code}"
