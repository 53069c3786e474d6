"""How the log of KServe's inference services is read: CloudEvents around V1 and V2 bodies."""

from __future__ import annotations

import base64
from typing import Any, Final

from monitor.decode import bodies
from monitor.decode.cases import Naming, events_of
from monitor.decode.envelope import Envelope, opened
from monitor.decode.limits import DecodeLimits
from monitor.decode.model import ModelOf
from monitor.decode.topics import TopicFormat
from monitor.decode.translated import Record, Translate
from monitor.decode.twin import Rejected, members, parse_any
from monitor.events.columns import Reason

_MODEL: Final = ("inferenceservicename", "inferenceservice", "modelname", "modelid")
_SEGMENTS: Final = ("namespace", "component", "endpoint")


def translator(topic: TopicFormat, limits: DecodeLimits) -> Translate:
    """Reads a record of a topic as its ``format = "kserve"`` says."""
    naming, model_of = Naming(topic.feature_names, topic.class_names), ModelOf(topic.model)
    return lambda record: events(record, _stored(opened(record, limits), limits), naming, model_of)


def events(record: Record, envelope: Envelope, naming: Naming, model_of: ModelOf) -> list[dict[str, Any]]:
    """The events of a request or a response; both have the ``id`` of the CloudEvent, which joins them."""
    response = envelope.attributes.get("type", "").endswith("response")
    cases = bodies.cases_of(envelope.body, naming, response=response)
    if cases.features is not None and response:
        # A server that echoes what it was asked says nothing new by that.
        cases.features = None
    segment = {name: envelope.attributes[name] for name in _SEGMENTS if envelope.attributes.get(name)}
    common = {
        "model": model_of(record, envelope.body) or envelope.first(*_MODEL),
        "id": envelope.first("id"),
        "time": envelope.first("time"),
        "segment": segment or None,
    }
    return events_of(cases, common)


def _stored(envelope: Envelope, limits: DecodeLimits) -> Envelope:
    """The row of KServe's blob store, where this is one: ``bytes`` is the body in base64, ``reqType`` the type."""
    body = envelope.body
    if not isinstance(body, dict) or not {"bytes", "reqType"} <= body.keys():
        return envelope
    row = {name.lower(): value for name, value in members(body).items() if isinstance(value, str)}
    try:
        inner = base64.b64decode(row.get("bytes", ""), validate=True)
    except ValueError:
        raise Rejected(Reason.FIELD_TYPE) from None
    kind = {"CEInferenceRequest": "request", "CEInferenceResponse": "response"}.get(row.get("reqtype", ""))
    attributes = {name: value for name, value in row.items() if name != "bytes"}
    return Envelope(attributes | {"type": kind or row.get("reqtype", "")}, parse_any(inner, limits))
