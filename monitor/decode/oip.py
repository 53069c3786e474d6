"""How requests and responses of the Open Inference Protocol (V2) are read that stand in a topic as they are."""

from __future__ import annotations

from typing import Any, Final

from monitor.decode import bodies
from monitor.decode.cases import Naming, events_of
from monitor.decode.envelope import opened
from monitor.decode.limits import DecodeLimits
from monitor.decode.model import ModelOf
from monitor.decode.places import text
from monitor.decode.topics import TopicFormat
from monitor.decode.translated import Record, Translate

_MODEL: Final = ("mlserver-model", "modelname", "modelid", "inferenceservicename")
_VERSION: Final = ("mlserver-version", "modelversion")
_ID: Final = ("x-request-id", "requestid", "id")


def translator(topic: TopicFormat, limits: DecodeLimits) -> Translate:
    """Reads a record of a topic as its ``format = "oip"`` says."""
    naming, model_of = Naming(topic.feature_names, topic.class_names), ModelOf(topic.model)

    def translate(record: Record) -> list[dict[str, Any]]:
        envelope = opened(record, limits)
        response = envelope.attributes.get("type", "").endswith("response")
        cases = bodies.cases_of(envelope.body, naming, response=response)
        key = text(record.key) if record.key else None
        common = {
            "model": model_of(record, envelope.body) or cases.model or envelope.first(*_MODEL),
            "version": cases.version or envelope.first(*_VERSION),
            "id": cases.id or envelope.first(*_ID) or key,
            "time": envelope.first("time"),
        }
        return events_of(cases, common)

    return translate
