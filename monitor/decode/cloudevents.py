"""How CloudEvents are read whose data is a native event, or what went in or out of a model server."""

from __future__ import annotations

from typing import Any, Final

from monitor.decode import kserve
from monitor.decode.bodies import SERVING
from monitor.decode.cases import Naming
from monitor.decode.envelope import Envelope, opened
from monitor.decode.limits import DecodeLimits
from monitor.decode.model import ModelOf
from monitor.decode.topics import TopicFormat
from monitor.decode.translated import Record, Translate
from monitor.decode.twin import Rejected, members
from monitor.events.columns import Reason

_MODEL: Final = ("model", "modelname", "modelid", "inferenceservicename", "subject")
_VERSION: Final = ("modelversion", "version")


def translator(topic: TopicFormat, limits: DecodeLimits) -> Translate:
    """Reads a record of a topic as its ``format = "cloudevents"`` says."""
    naming, model_of = Naming(topic.feature_names, topic.class_names), ModelOf(topic.model)

    def translate(record: Record) -> list[dict[str, Any]]:
        envelope = opened(record, limits)
        if isinstance(envelope.body, dict) and envelope.body.keys() & SERVING:
            return kserve.events(record, envelope, naming, model_of)
        return [_native(record, envelope, model_of)]

    return translate


def _native(record: Record, envelope: Envelope, model_of: ModelOf) -> dict[str, Any]:
    """The data, and the attributes where it is silent: ``id``, ``time``, the model and its version."""
    if not isinstance(envelope.body, dict):
        raise Rejected(Reason.NOT_OBJECT)
    event = dict(members(envelope.body))
    named = {
        "model": model_of(record, envelope.body),
        "id": None if event.get("id") else envelope.first("id"),
        "time": None if event.get("time") is not None else envelope.first("time"),
        "version": None if event.get("version") is not None else envelope.first(*_VERSION),
    }
    if named["model"] is None and not event.get("model"):
        named["model"] = envelope.first(*_MODEL)
    return event | {name: value for name, value in named.items() if value is not None}
