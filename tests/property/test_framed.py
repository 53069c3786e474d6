"""What the libraries encode is the same event as its JSON: Avro and Protocol Buffers against the native format."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from fakes.schemas import AVRO_EVENT, PROTO_EVENT, in_avro, in_protobuf, known
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.decode.decoder import make_decoder
from monitor.decode.limits import DecodeLimits
from monitor.decode.native import NativeDecoder
from monitor.decode.topics import TopicFormat
from monitor.events.columns import EventBatch

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
REGISTRY: Any = known({1: AVRO_EVENT}, {2: PROTO_EVENT})
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
NAMED = st.dictionaries(TEXT, st.none() | st.booleans() | NUMBER | TEXT, max_size=5)
MICROSECONDS = st.integers(-(10**15), 7 * 10**15)
EVENTS = st.fixed_dictionaries(
    {"model": TEXT, "features": NAMED.filter(bool)},
    optional={
        "version": TEXT,
        "id": TEXT,
        "time": MICROSECONDS,
        "prediction": NUMBER | TEXT | st.fixed_dictionaries({}, optional={"label": TEXT, "score": NUMBER}).filter(bool),
        "sensitive": st.dictionaries(TEXT, TEXT, min_size=1, max_size=2),
        "value": NUMBER,
    },
)


def moment(event: dict[str, Any]) -> datetime | None:
    return EPOCH + timedelta(microseconds=event["time"]) if "time" in event else None


def as_json(event: dict[str, Any]) -> bytes:
    at = moment(event)
    return json.dumps(event | ({"time": at.isoformat()} if at else {})).encode()


def as_protobuf(event: dict[str, Any]) -> bytes:
    at = moment(event)
    written = at.isoformat().replace("+00:00", "Z") if at else None
    return in_protobuf(2, PROTO_EVENT, event | ({"time": written} if at else {}))


def told(batch: EventBatch) -> list[tuple[Any, ...]]:
    entries = sorted(
        (int(batch.space[j]), batch.string(batch.name, j), batch.string(batch.text, j), repr(float(batch.number[j])))
        for j in range(len(batch.event))
    )
    texts = tuple(batch.string(each, 0) for each in (batch.model, batch.version, batch.id))
    return [(*texts, round(float(batch.time[0]), 6), int(batch.parts[0]), repr(float(batch.value[0])), *entries)]


def types(batch: EventBatch) -> list[tuple[str, int]]:
    return sorted((batch.string(batch.name, j), int(batch.type[j])) for j in range(len(batch.event)))


@settings(max_examples=100, deadline=None)
@given(event=EVENTS)
def test_an_encoded_event_is_the_event(event: dict[str, Any]) -> None:
    """Models, ids, times to the microsecond, every value with its type, and what is missing: as JSON says them."""
    at = np.array([1.7e9])
    native = NativeDecoder(DecodeLimits()).decode([as_json(event)], at, math.inf)
    assert len(native) == 1
    records = {
        "avro": in_avro(1, AVRO_EVENT, event | ({"time": moment(event)} if "time" in event else {})),
        "protobuf": as_protobuf(event),
    }
    for name, record in records.items():
        batch = make_decoder(TopicFormat(name), DecodeLimits(), registry=REGISTRY).decode([record], at, math.inf)
        assert told(batch) == told(native)
        assert types(batch) == types(native)


@settings(max_examples=100, deadline=None)
@given(event=EVENTS, data=st.data())
def test_any_bytes_are_an_event_or_a_dead_letter(event: dict[str, Any], data: st.DataObject) -> None:
    """However a record is cut, flipped or filled up, it is one event or one rejection, and costs no other record."""
    name = data.draw(st.sampled_from(["avro", "protobuf"]))
    record = bytearray(
        in_avro(1, AVRO_EVENT, {**event, "time": moment(event)}) if name == "avro" else as_protobuf(event)
    )
    whole = bytes(record)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(5, len(record)))
        record[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=6) | st.just(b"\xff" * 9))
    decoder = make_decoder(TopicFormat(name), DecodeLimits(), registry=REGISTRY)
    batch = decoder.decode([whole, bytes(record), whole], np.full(3, 1.7e9), math.inf)
    assert batch.record.tolist() in ([0, 1, 2], [0, 2])
    assert len(batch) + len(batch.rejected) == 3
