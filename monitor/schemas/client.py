"""How a schema registry is asked: three GETs of the HTTP API that Confluent documents and others speak too."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Final, Protocol
from urllib.parse import quote, urlsplit

from monitor.catalog.secrets import read_secret
from monitor.errors import ConfigError
from monitor.schemas.faults import RegistryAwayError, UnknownSchemaError, UnreadableSchemaError
from monitor.schemas.settings import SchemaRegistrySettings

ANSWER_BYTES_MAX: Final = 8 << 20
IMPORTS_MAX: Final = 200
"""More schemas that one refers to, over all its references, make it unreadable."""
_UNKNOWN: Final = frozenset({40401, 40402, 40403})
"""``error_code`` of a subject, a version and a schema that there is not. Any other 404 is of somebody else's."""


@dataclass(frozen=True, slots=True)
class Written:
    """A schema as its author wrote it.

    ``kind`` is ``AVRO``, ``PROTOBUF`` or another word; ``imports`` are the texts of the schemas that it refers to, by
    the names under which it does, each behind those that it needs itself.
    """

    kind: str
    text: str
    imports: Mapping[str, str] = field(default_factory=dict)


class Asked(Protocol):
    """Whom schemas are asked of."""

    def schema(self, number: int) -> Written:
        """The schema with this id; raises one of the errors of ``monitor/schemas/faults.py``."""
        ...


class Client:
    """Asks the registry at the first of its ``urls`` that answers. A connection for each question: they are few."""

    def __init__(self, settings: SchemaRegistrySettings) -> None:
        self._settings = settings

    def schema(self, number: int) -> Written:
        """See :class:`Asked`."""
        document = self._get(f"/schemas/ids/{number}")
        imports: dict[str, str] = {}
        for name, text in self._imports(document, frozenset()):
            imports.setdefault(name, text)
            if len(imports) > IMPORTS_MAX:
                raise UnreadableSchemaError(f"refers to more than {IMPORTS_MAX} others")
        kind = document.get("schemaType") or "AVRO"
        return Written(str(kind), _text(document), imports)

    def _imports(self, document: Mapping[str, Any], above: frozenset[str]) -> Iterator[tuple[str, str]]:
        references = document.get("references") or []
        for reference in references if isinstance(references, list) else []:
            try:
                name, subject, version = (reference[key] for key in ("name", "subject", "version"))
                path = f"/subjects/{quote(subject, safe='')}/versions/{int(version)}"
            except (KeyError, TypeError, ValueError):
                raise UnreadableSchemaError("a reference is not name, subject and version") from None
            if path in above or len(above) > IMPORTS_MAX:
                raise UnreadableSchemaError("refers to itself")
            try:
                found = self._get(path)
            except UnknownSchemaError:
                raise UnreadableSchemaError("refers to a schema that the registry does not have") from None
            yield from self._imports(found, above | {path})
            yield str(name), _text(found)

    def _get(self, path: str) -> Mapping[str, Any]:
        trouble = "no address"
        for url in self._settings.urls:
            try:
                status, body = self._exchange(url, path)
                document = json.loads(body) if status in {200, 404} else None
            except (OSError, HTTPException, ValueError, RecursionError, ConfigError) as error:
                trouble = f"{_host(url)}: {_reason(error)}"
                continue
            if status == 200 and isinstance(document, dict):
                return document
            if status == 404 and isinstance(document, dict) and document.get("error_code") in _UNKNOWN:
                raise UnknownSchemaError
            trouble = f"{_host(url)}: HTTP {status}"
        raise RegistryAwayError(trouble)

    def _exchange(self, url: str, path: str) -> tuple[int, bytes]:
        parts = urlsplit(url)
        host, timeout = parts.hostname or "", self._settings.timeout
        connection: HTTPConnection
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=self._settings.ca_file or None)
            connection = HTTPSConnection(host, parts.port or 443, timeout=timeout, context=context)
        else:
            connection = HTTPConnection(host, parts.port or 80, timeout=timeout)
        try:
            connection.request("GET", parts.path.rstrip("/") + path, headers=self._headers())
            response = connection.getresponse()
            body = response.read(ANSWER_BYTES_MAX)
            if not response.isclosed():
                raise ValueError
            return response.status, body
        finally:
            connection.close()

    def _headers(self) -> dict[str, str]:
        """Secrets are read for each question: they are rotated in place."""
        settings = self._settings
        headers = {"User-Agent": "modelwatch", "Accept": "application/vnd.schemaregistry.v1+json, application/json"}
        if settings.bearer_token_file:
            headers["Authorization"] = f"Bearer {read_secret(settings.bearer_token_file)}"
        elif settings.username:
            credentials = f"{settings.username}:{read_secret(settings.password_file)}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(credentials).decode('ascii')}"
        return headers


def _text(document: Mapping[str, Any]) -> str:
    text = document.get("schema")
    if not isinstance(text, str):
        raise UnreadableSchemaError("the registry's answer has no text of a schema")
    return text


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def _reason(error: Exception) -> str:
    """In words that quote no header: errors about those do, secrets and all."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ValueError | RecursionError) and not isinstance(error, ssl.SSLError):
        return "an answer that is not the registry's"
    return str(error) or type(error).__name__
