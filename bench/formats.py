"""How fast are records of formats with a schema read? Events a second on one core, beside the same events natively.

Events as in ``bench/decode.py``: model, id, time, 16 numbers, 4 categories, a label and a score. Features are a map, or
a record or message of their own.
"""

from __future__ import annotations

import gc
import json
import random
from datetime import UTC, datetime
from typing import Any

import numpy as np
from decode import event, fastest
from fakes.schemas import AVRO_EVENT, in_avro, in_protobuf, known

from monitor.decode.decoder import make_decoder
from monitor.decode.limits import DecodeLimits
from monitor.decode.topics import TopicFormat

BATCH = 1000
NUMBERS, WORDS = [f"num_{j:02d}" for j in range(16)], [f"cat_{j}" for j in range(4)]
FIELDS = [{"name": name, "type": "double"} for name in NUMBERS] + [{"name": name, "type": "string"} for name in WORDS]
RECORD = {
    **AVRO_EVENT,
    "fields": [
        each | {"type": {"type": "record", "name": "Features", "fields": FIELDS}}
        if each["name"] == "features"
        else each
        for each in AVRO_EVENT["fields"]  # type: ignore[attr-defined]
    ],
}
PROTO = """
syntax = "proto3";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
message Event {{
  string model = 1; string id = 3; google.protobuf.Timestamp time = 4;
  {features} features = 5; Prediction prediction = 6;
}}
message Prediction {{ string label = 1; double score = 2; }}
message Features {{ {fields} }}
"""
TYPED = " ".join(
    f"{kind} {name} = {n + 1};"
    for n, (kind, name) in enumerate([("double", name) for name in NUMBERS] + [("string", name) for name in WORDS])
)
MESSAGE = PROTO.format(fields=TYPED, features="Features")
VALUES = PROTO.format(fields="", features="map<string, google.protobuf.Value>")


def main() -> None:
    gc.disable()  # as the daemon does
    rng = random.Random(1)
    natives = [event(rng, i, None) for i in range(BATCH)]
    said: list[dict[str, Any]] = [json.loads(each) for each in natives]
    timed = [each | {"time": datetime(2026, 3, 1, 9, 30, tzinfo=UTC)} for each in said]
    registry: Any = known({1: AVRO_EVENT, 2: RECORD}, {3: MESSAGE, 4: VALUES})
    ways = {
        "native": ("native", natives),
        "avro, a map of unions": ("avro", [in_avro(1, AVRO_EVENT, each) for each in timed]),
        "avro, a record": ("avro", [in_avro(2, RECORD, each) for each in timed]),
        "protobuf, a message": ("protobuf", [in_protobuf(3, MESSAGE, each) for each in said]),
        "protobuf, a map of Values": ("protobuf", [in_protobuf(4, VALUES, each) for each in said]),
    }
    times = np.full(BATCH, 1.7e9)
    for name, (format_, records) in ways.items():
        decoder = make_decoder(TopicFormat(format_), DecodeLimits(), registry=registry)
        assert len(decoder.decode(records, times)) == BATCH
        took = fastest(lambda d=decoder, r=records: d.decode(r, times), BATCH, 2.0)  # type: ignore[misc]
        size = sum(map(len, records)) / BATCH
        print(f"{name:28} {took / 1e3:7.2f} us an event  {1e9 / took:10,.0f} events/s  {size:5.0f} bytes")


if __name__ == "__main__":
    main()
