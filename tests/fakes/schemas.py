"""Schemas at hand without a registry, and records as the serializers of one write them."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import fastavro
from google.protobuf import json_format, message_factory

from monitor.schemas import avro, protobuf
from monitor.schemas.faults import UnknownSchemaError
from monitor.schemas.registry import FRAME_BYTES, Schema

if TYPE_CHECKING:
    from monitor.schemas.client import Written

AVRO_EVENT = {
    "type": "record",
    "name": "Event",
    "namespace": "credit",
    "fields": [
        {"name": "model", "type": "string"},
        {"name": "version", "type": ["null", "string"]},
        {"name": "id", "type": ["null", "string"]},
        {"name": "time", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}]},
        {
            "name": "features",
            "type": ["null", {"type": "map", "values": ["null", "boolean", "long", "double", "string"]}],
        },
        {
            "name": "prediction",
            "type": [
                "null",
                "double",
                "string",
                {
                    "type": "record",
                    "name": "Decision",
                    "fields": [
                        {"name": "label", "type": ["null", "string"]},
                        {"name": "score", "type": ["null", "double"]},
                    ],
                },
            ],
        },
        {"name": "sensitive", "type": ["null", {"type": "map", "values": "string"}]},
        {"name": "outcome", "type": ["null", "double", "string"]},
        {"name": "value", "type": ["null", "double"]},
    ],
}
PROTO_EVENT = """
syntax = "proto3";
package credit;
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
message Event {
  string model = 1;
  string version = 2;
  string id = 3;
  google.protobuf.Timestamp time = 4;
  map<string, google.protobuf.Value> features = 5;
  google.protobuf.Value prediction = 6;
  map<string, string> sensitive = 7;
  google.protobuf.Value outcome = 8;
  optional double value = 9;
}
"""


def frame(number: int) -> bytes:
    """What a record begins with whose schema has this id."""
    return b"\0" + number.to_bytes(4)


@cache
def _avro(text: str) -> Any:
    return fastavro.parse_schema(json.loads(text))


@cache
def proto_message(text: str, name: str = "Event") -> Any:
    """The class of a message at the top of the file ``text``."""
    return message_factory.GetMessageClass(protobuf._compiled(text, {}).message_types_by_name[name])


def in_avro(number: int, schema: Any, said: Any) -> bytes:
    """A record in Avro, as a registry's serializer writes it; a record's fields that ``said`` leaves out are null."""
    body = io.BytesIO()
    fastavro.schemaless_writer(body, _avro(json.dumps(schema)), said)
    return frame(number) + body.getvalue()


def in_protobuf(number: int, text: str, said: Any, indexes: bytes = b"\0", name: str = "Event") -> bytes:
    """A record in Protocol Buffers; ``said`` is what JSON would say of the message."""
    return frame(number) + indexes + json_format.ParseDict(said, proto_message(text, name)()).SerializeToString()


@dataclass
class Known:
    """A registry that has answered already."""

    schemas: dict[int, Schema] = field(default_factory=dict)

    def schema(self, first: bytes) -> Schema:
        return self.schemas.get(int.from_bytes(first[1:]), Schema())


def known(avro_schemas: dict[int, Any], protobuf_schemas: dict[int, str]) -> Known:
    """A registry with these schemas."""
    made = {n: Schema("AVRO", avro.reader(json.dumps(each), {}, FRAME_BYTES)) for n, each in avro_schemas.items()}
    made |= {n: Schema("PROTOBUF", protobuf.reader(text, {}, FRAME_BYTES)) for n, text in protobuf_schemas.items()}
    return Known(made)


@dataclass
class Answers:
    """Whom a registry's thread asks: ``written`` by id, or an error to raise; ``asked`` are the questions so far."""

    written: dict[int, Written | Exception] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)

    def schema(self, number: int) -> Written:
        self.asked.append(number)
        found = self.written.get(number, UnknownSchemaError())
        if isinstance(found, Exception):
            raise found
        return found
