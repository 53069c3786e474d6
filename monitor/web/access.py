"""Who may read what? Tokens with scopes, teams, and the host names that a browser may call this server."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from monitor.errors import WebError
from monitor.telemetry.logs import get_logger

SCOPES = frozenset({"status", "fairness", "write"})

_log = get_logger("monitor.web")


@dataclass(frozen=True, slots=True)
class Reader:
    """What the one who asks may do. ``team`` limits models and incidents to those of that team."""

    scopes: frozenset[str]
    team: str | None = None
    token: str = ""
    """The first digits of the digest of the token: what the audit trail knows it by."""


EVERYTHING = Reader(frozenset({"status", "fairness"}))
"""Where no token file is configured: all that can be read. Writing needs a token in any case."""


class Tokens:
    """The tokens of a file: a line each, ``token [scope[,scope] [team]]``; without scopes a token reads (``status``).

    Empty lines and lines that begin with ``#`` are skipped. The file is read again when it changes; while it cannot
    be read, the tokens read last stay in force.

    Raises
    ------
    WebError
        The file cannot be read at the start, has no token, or names a scope that does not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = _stamp(path)
        self._readers = _read_tokens(path)

    def reader(self, token: str) -> Reader | None:
        """Whose ``token`` this is. Every known token is compared, in constant time."""
        self._refresh()
        digest = _digest(token)
        found = None
        for known, reader in self._readers:
            if hmac.compare_digest(known, digest):
                found = reader
        return found

    def _refresh(self) -> None:
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp  # first, so that a broken file is told once and not at every request
        try:
            self._readers = _read_tokens(self._path)
        except WebError as error:
            _log.warning("token_file_unusable", error=str(error))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _read_tokens(path: Path) -> Sequence[tuple[bytes, Reader]]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise WebError(f"token file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise WebError(f"token file {path}: is not UTF-8") from error
    readers = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if words and not words[0].startswith("#"):
            digest = _digest(words[0])
            readers.append((digest, replace(_reader(words[1:], f"token file {path}:{number}"), token=digest.hex()[:8])))
    if not readers:
        raise WebError(f"token file {path}: holds no token")
    return readers


def _reader(words: Sequence[str], place: str) -> Reader:
    if len(words) > 2:
        raise WebError(f"{place}: more than token, scopes and team")
    scopes = frozenset(words[0].split(",")) if words else frozenset({"status"})
    if not scopes <= SCOPES:
        raise WebError(f"{place}: scopes are {', '.join(sorted(SCOPES))}")
    return Reader(scopes, words[1] if len(words) > 1 else None)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def presented(headers: Mapping[str, str], form: Mapping[str, str] | None, *, writes: bool) -> str:
    """The token that somebody shows; empty where there is none.

    A form shows the one in it alone. A browser that was asked for a password (Basic, whatever the name) may read with
    it and not write: it sends it by itself, for a page elsewhere too.
    """
    if form is not None:
        return form.get("token", "").strip()
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    if scheme.lower() == "basic" and not writes:
        try:
            return base64.b64decode(token.strip(), validate=True).decode().partition(":")[2]
        except ValueError:
            return ""
    return ""


class Hosts:
    """Which ``Host`` a request may name: on loopback only this machine's names, against DNS rebinding; else any.

    A page of another origin can point its own host name at 127.0.0.1, but cannot make a browser send ours.
    """

    def __init__(self, listen_host: str, external_url: str) -> None:
        self._names: frozenset[str] | None = None
        if is_loopback(listen_host):
            external = urlsplit(external_url).hostname
            names = {"localhost", "127.0.0.1", "::1", listen_host.lower(), *([external] if external else [])}
            self._names = frozenset(names)

    def allow(self, host: str) -> bool:
        """Whether ``host``, as it stands in the header, is one of ours."""
        if self._names is None:
            return True
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        return name in self._names


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
