"""What a record is wrapped in: a CloudEvent in binary or structured mode, or an HTTP request that someone recorded."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from monitor.decode.limits import DecodeLimits
from monitor.decode.places import text
from monitor.decode.translated import Record
from monitor.decode.twin import Rejected, members, parse_any
from monitor.events.columns import Reason

_PREFIXES: Final = ("ce_", "ce-")
"""Of attributes among headers: in Kafka's binding, and in HTTP's, which bridges write through."""
_STRUCTURED: Final = "application/cloudevents"


@dataclass(frozen=True, slots=True)
class Envelope:
    """``attributes`` by lower-case names, without ``ce_``; headers that are no attributes stand among them.

    ``body`` is what the JSON inside says.
    """

    attributes: Mapping[str, str]
    body: Any

    def first(self, *names: str) -> str | None:
        """The first attribute of ``names`` that is there and not empty."""
        return next((self.attributes[name] for name in names if self.attributes.get(name)), None)


def opened(record: Record, limits: DecodeLimits) -> Envelope:
    """What is in ``record``; raises :class:`Rejected` where that is no JSON, or nothing (a tombstone)."""
    headers = {name.lower(): text(value) for name, value in record.headers or () if value is not None}
    parsed = parse_any(record.value, limits)
    attributes = _attributes(headers)
    if not isinstance(parsed, dict):
        return Envelope(attributes, parsed)
    structured = headers.get("content-type", "").lower().startswith(_STRUCTURED)
    if structured or ("specversion" in parsed and "type" in parsed and "specversion" not in attributes):
        return _structured(members(parsed), attributes, limits)
    if isinstance(parsed.get("headers"), dict) and "body" in parsed:
        recorded = members(members(parsed)["headers"])
        lower = {name.lower(): value for name, value in recorded.items() if isinstance(value, str)}
        return Envelope(attributes | _attributes(lower), _inner(parsed["body"], limits))
    return Envelope(attributes, parsed)


def _attributes(headers: Mapping[str, str]) -> dict[str, str]:
    """Attributes before headers of the same name; quotes around a value, as old KServe wrote, are no part of it."""
    plain = {name: value for name, value in headers.items() if not name.startswith(_PREFIXES)}
    own = {name[3:]: value for name, value in headers.items() if name.startswith(_PREFIXES)}
    return {name: _unquoted(value) for name, value in (plain | own).items()}


def _unquoted(value: str) -> str:
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    try:
        inner = json.loads(value)
    except ValueError:
        return value
    return inner if isinstance(inner, str) else value


def _structured(event: dict[str, Any], attributes: dict[str, str], limits: DecodeLimits) -> Envelope:
    own = {name.lower(): value for name, value in event.items() if isinstance(value, str) and name != "data_base64"}
    attributes = attributes | {name: _unquoted(value) for name, value in own.items() if name != "data"}
    if "data_base64" in event:
        return Envelope(attributes, parse_any(_bytes(event["data_base64"]), limits))
    if event.get("data") is None:
        raise Rejected(Reason.EMPTY)
    return Envelope(attributes, _inner(event["data"], limits))


def _inner(body: Any, limits: DecodeLimits) -> Any:
    """A body that is JSON as text is read once more; one that is no JSON at all is rejected."""
    return parse_any(body.encode(), limits) if isinstance(body, str) else body


def _bytes(value: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError):
        raise Rejected(Reason.FIELD_TYPE) from None
