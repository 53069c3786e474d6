"""How records are read that a schema registry's serializer wrote: Avro and Protocol Buffers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from monitor.decode import mapped
from monitor.decode.cases import Naming
from monitor.decode.model import ModelOf
from monitor.decode.topics import TopicFormat
from monitor.decode.translated import Record, Translate
from monitor.decode.twin import Rejected
from monitor.events.columns import Reason
from monitor.schemas.faults import BodyError
from monitor.schemas.registry import FRAME_BYTES, Registry

_KINDS: Final = {"avro": "AVRO", "protobuf": "PROTOBUF"}


def translator(topic: TopicFormat, registry: Registry) -> Translate:
    """Reads a record of a topic as its ``format`` says: fields as those of a native event, or as ``mapping`` says."""
    if topic.mapping:
        return mapped.translator_of(topic, _parser(topic, registry, is_event=False))
    parse = _parser(topic, registry, is_event=True)
    naming, model_of = Naming(topic.feature_names, topic.class_names), ModelOf(topic.model)

    def translate(record: Record) -> list[dict[str, Any]]:
        event = parse(record.value)
        if not isinstance(event, dict):
            raise Rejected(Reason.NOT_OBJECT)
        model = model_of(record, event)
        if model is not None:
            event["model"] = model
        for name, named in (("features", naming.features), ("prediction", naming.prediction)):
            if isinstance(event.get(name), list):
                event[name] = named(event[name])
        return [event]

    return translate


def _parser(topic: TopicFormat, registry: Registry, *, is_event: bool) -> Callable[[bytes | None], Any]:
    """Raises :class:`Rejected` for what is not of a schema of the topic's format."""
    kind = _KINDS[topic.name]

    def parse(value: bytes | None) -> Any:
        if not value:
            raise Rejected(Reason.EMPTY)
        if value[0] or len(value) < FRAME_BYTES:
            raise Rejected(Reason.UNFRAMED)
        schema = registry.schema(value[:FRAME_BYTES])
        if not schema.kind:
            raise Rejected(Reason.UNKNOWN_SCHEMA)
        if schema.kind != kind or schema.read is None:
            raise Rejected(Reason.UNREADABLE_SCHEMA)
        try:
            return schema.read(value, is_event)
        except BodyError:
            raise Rejected(Reason.SCHEMA_BODY) from None
        except UnicodeDecodeError:
            raise Rejected(Reason.UTF8) from None

    return parse
