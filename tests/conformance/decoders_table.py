"""The formats that the suite runs over: records as their writers make them, and what is to be read in them."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from fakes.schemas import AVRO_EVENT, PROTO_EVENT, frame, in_avro, in_protobuf, known

from monitor.decode.topics import TopicFormat
from monitor.decode.translated import Record


def record(body: Any, headers: dict[str, str] | None = None, key: bytes | None = None) -> Record:
    value = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    return Record(value, key, [(name, text.encode()) for name, text in headers.items()] if headers else None)


@dataclass(frozen=True)
class Sample:
    """A record and the native events that it means; ``native`` leaves out what a sample does not speak of."""

    record: Record
    events: list[dict[str, Any]]


@dataclass(frozen=True)
class Case:
    """One format of one topic."""

    name: str
    topic: TopicFormat
    samples: list[Sample]
    bad: list[tuple[Record, str]] = field(default_factory=list)
    registry: Any = None


TIME, SECONDS = "2026-03-01T09:30:00Z", 1772357400.0
NATIVE = {"model": "m", "id": "1", "time": TIME, "features": {"age": 37, "region": "SE"}, "prediction": 0.5}
ATTRIBUTES = {
    "specversion": "1.0",
    "id": "ce-1",
    "source": "http://localhost:9081/",
    "type": "org.kubeflow.serving.inference.request",
    "time": TIME,
    "inferenceservicename": "iris",
    "namespace": "default",
    "component": "predictor",
}
REQUEST = {f"ce_{name}": value for name, value in ATTRIBUTES.items()} | {"content-type": "application/json"}
RESPONSE = REQUEST | {"ce_type": "org.kubeflow.serving.inference.response"}
STRUCTURED = {"Content-Type": "application/cloudevents+json; charset=UTF-8"}
SEGMENT = {"namespace": "default", "component": "predictor"}
SELDON = {
    "type": "io.seldon.serving.inference.request",
    "requestid": "r-1",
    "modelid": "classifier",
    "inferenceservicename": "fraud",
    "time": TIME,
}
CAPTURE = {"eventMetadata": {"eventId": "e-1", "inferenceTime": TIME}, "eventVersion": "0"}


def capture(request: str, answer: str, encoding: str = "JSON", **more: Any) -> dict[str, Any]:
    return CAPTURE | {
        "captureData": {
            "endpointInput": {"data": request, "encoding": encoding, "mode": "INPUT", **more},
            "endpointOutput": {"data": answer, "encoding": encoding, "mode": "OUTPUT", **more},
        }
    }


def tensor(name: str, shape: list[Any], datatype: str, data: Any) -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


def case_of(name: str, **parts: Any) -> dict[str, Any]:
    """An event of the KServe samples."""
    return {"model": "iris", "id": name, "time": TIME, "segment": SEGMENT, **parts}


NATIVE_CASE = Case("native", TopicFormat(), [Sample(record(NATIVE), [NATIVE])], [(record([1]), "not_object")])

CLOUDEVENTS = Case(
    "cloudevents",
    TopicFormat("cloudevents"),
    [
        Sample(record(NATIVE, {"ce_specversion": "1.0", "ce_id": "x", "ce_source": "s", "ce_type": "t"}), [NATIVE]),
        Sample(
            record({"features": {"a": 1}}, {"ce_id": "7", "ce_time": TIME, "ce_model": "m", "ce_modelversion": "2"}),
            [{"model": "m", "version": "2", "id": "7", "time": TIME, "features": {"a": 1}}],
        ),
        Sample(record({**ATTRIBUTES, "data": NATIVE}, STRUCTURED), [NATIVE]),
        Sample(record({**ATTRIBUTES, "data": json.dumps(NATIVE)}), [NATIVE]),
        Sample(record({**ATTRIBUTES, "data_base64": base64.b64encode(json.dumps(NATIVE).encode()).decode()}), [NATIVE]),
        Sample(
            record(
                {"id": "8", "subject": "m", "type": "t", "specversion": "1.0", "time": TIME, "data": {"outcome": 1}}
            ),
            [{"model": "m", "id": "8", "time": TIME, "outcome": 1}],
        ),
        Sample(record({"predictions": [0.25]}, RESPONSE), [case_of("ce-1", prediction=0.25)]),
    ],
    [
        (record(None, REQUEST), "empty"),
        (record({**ATTRIBUTES}, STRUCTURED), "empty"),
        (record({**ATTRIBUTES, "data_base64": "%"}, STRUCTURED), "field_type"),
        (record({"features": {"a": 1}}, {"ce_id": "7"}), "missing_model"),
        (record(b"\x89PNG\r\n\x1a\n", REQUEST), "utf8"),
        (record([NATIVE], REQUEST), "not_object"),
        (Record(b"{}", None, [("ce_id", b"\xff")]), "utf8"),
    ],
)

KSERVE = Case(
    "kserve",
    TopicFormat("kserve"),
    [
        Sample(
            record({"instances": [[6.8, 2.8], [6.0, None]]}, REQUEST),
            [
                case_of("ce-1/0", features={"f0": 6.8, "f1": 2.8}),
                case_of("ce-1/1", features={"f0": 6.0, "f1": None}),
            ],
        ),
        Sample(
            record({"predictions": [1, 0.5]}, RESPONSE),
            [case_of("ce-1/0", prediction=1), case_of("ce-1/1", prediction=0.5)],
        ),
        Sample(
            record({"instances": [{"age": 5, "sex": "F"}]}, REQUEST), [case_of("ce-1", features={"age": 5, "sex": "F"})]
        ),
        Sample(
            record({"predictions": [[0.1, 0.7, 0.2]]}, RESPONSE),
            [case_of("ce-1", prediction={"scores": {"0": 0.1, "1": 0.7, "2": 0.2}, "label": "1"})],
        ),
        Sample(record({**ATTRIBUTES, "data": {"instances": [[1]]}}, STRUCTURED), [case_of("ce-1", features={"f0": 1})]),
        Sample(
            record({"instances": [[1]]}, REQUEST | {"ce_inferenceservicename": '"iris"'}),
            [case_of("ce-1", features={"f0": 1})],
        ),
        Sample(
            record({"headers": {n.replace("_", "-"): v for n, v in REQUEST.items()}, "body": '{"instances": [[1]]}'}),
            [case_of("ce-1", features={"f0": 1})],
        ),
        Sample(
            record(
                {
                    "bytes": base64.b64encode(b'{"predictions": [1]}').decode(),
                    "reqType": "CEInferenceResponse",
                    "id": "ce-1",
                    "inferenceService": "iris",
                    "namespace": "default",
                    "component": "predictor",
                }
            ),
            [{"model": "iris", "id": "ce-1", "segment": SEGMENT, "prediction": 1}],
        ),
        Sample(record(b"1", RESPONSE), [case_of("ce-1", prediction=1)]),
        Sample(
            record({"inputs": [tensor("a", [2, 1], "FP32", [1, 2]), tensor("b", [2], "BYTES", ["x", "y"])]}, REQUEST),
            [
                case_of("ce-1/0", features={"a": 1, "b": "x"}),
                case_of("ce-1/1", features={"a": 2, "b": "y"}),
            ],
        ),
    ],
    [
        (record({"instances": [[1]]}), "missing_model"),
        (record({"instances": []}, REQUEST), "nothing"),
        (record({"instances": [1] * 10_001}, REQUEST), "too_many_values"),
        (record({"other": 1}, REQUEST), "nothing"),
        (record({"predictions": [[1, "a"]]}, RESPONSE), "field_type"),
        (record(b'{"instances":[{"a":1,"a":2}]}', REQUEST), "duplicate_key"),
        (record(b'{"instances":[[1]]', REQUEST), "json"),
        (record(b"\x89PNG", REQUEST), "utf8"),
    ],
)

NAMED = Case(
    "names",
    TopicFormat("kserve", model="bank", feature_names=("age", "income"), class_names=("no", "yes")),
    [
        Sample(
            record({"instances": [[37, 41.5]]}, REQUEST),
            [case_of("ce-1", features={"age": 37, "income": 41.5}) | {"model": "bank"}],
        ),
        Sample(
            record({"predictions": [[0.2, 0.8]]}, RESPONSE),
            [case_of("ce-1", prediction={"scores": {"no": 0.2, "yes": 0.8}, "label": "yes"}) | {"model": "bank"}],
        ),
    ],
    [
        (record({"instances": [[1, 2, 3]]}, REQUEST), "field_type"),
        (record({"predictions": [[0.1, 0.2, 0.7]]}, RESPONSE), "field_type"),
    ],
)

SELDON_CASE = Case(
    "seldon",
    TopicFormat("seldon"),
    [
        Sample(
            record({"data": {"names": ["age", "income"], "ndarray": [[37, 41.5]]}}, SELDON),
            [{"model": "fraud/classifier", "id": "r-1", "time": TIME, "features": {"age": 37, "income": 41.5}}],
        ),
        Sample(
            record({"data": {"tensor": {"shape": [2, 1], "values": [1, 2]}}}, SELDON),
            [
                {"model": "fraud/classifier", "id": f"r-1/{i}", "time": TIME, "features": {"f0": i + 1}}
                for i in range(2)
            ],
        ),
        Sample(
            record(
                {"data": {"names": ["proba"], "ndarray": [[0.4]]}, "meta": {}},
                SELDON | {"type": "io.seldon.serving.inference.response"},
            ),
            [{"model": "fraud/classifier", "id": "r-1", "time": TIME, "prediction": {"score": 0.4}}],
        ),
        Sample(
            record(
                {"request": {}, "truth": {"data": {"ndarray": [[1]]}}, "reward": 0.5},
                SELDON | {"type": "io.seldon.serving.feedback"},
            ),
            [{"model": "fraud/classifier", "id": "r-1", "time": TIME, "outcome": 1, "metrics": {"reward": 0.5}}],
        ),
        Sample(
            record({"jsonData": {"age": 3}, "meta": {"puid": "p"}}, {"Ce-Modelid": "classifier", "Ce-Time": TIME}),
            [{"model": "classifier", "id": "p", "time": TIME, "features": {"age": 3}}],
        ),
    ],
    [
        (record({"data": {"names": ["a", "a"], "ndarray": [[1, 2]]}}, SELDON), "field_type"),
        (record({"data": {"tensor": {"shape": [3], "values": [1]}}}, SELDON), "field_type"),
        (record({"data": 1}, SELDON), "field_type"),
        (record(b"\x1a\x1c\x8f", SELDON), "utf8"),
    ],
)

OIP = Case(
    "oip",
    TopicFormat("oip"),
    [
        Sample(
            record({"id": "42", "model_name": "m", "inputs": [tensor("x", [2, 2], "UINT32", [[1, 2], [3, 4]])]}),
            [
                {"model": "m", "id": "42/0", "features": {"x[0]": 1, "x[1]": 2}},
                {"model": "m", "id": "42/1", "features": {"x[0]": 3, "x[1]": 4}},
            ],
        ),
        Sample(
            record(
                {"inputs": [tensor("x", [1], "FP64", [1.5])]}, {"mlserver-model": "m", "mlserver-version": "3"}, b"k"
            ),
            [{"model": "m", "version": "3", "id": "k", "features": {"x": 1.5}}],
        ),
        Sample(
            record(
                {"modelName": "m", "modelVersion": "1", "id": "1", "outputs": [tensor("y", ["1", "1"], "INT64", [2])]}
            ),
            [{"model": "m", "version": "1", "id": "1", "prediction": {"label": 2}}],
        ),
        Sample(
            record(
                {
                    "model_name": "m",
                    "id": "1",
                    "outputs": [
                        tensor("label", [1], "BYTES", ["yes"]),
                        tensor("probabilities", [1, 2], "FP32", [0.2, 0.8]),
                        tensor("uncertainty", [1], "FP32", [0.1]),
                    ],
                }
            ),
            [
                {
                    "model": "m",
                    "id": "1",
                    "prediction": {"scores": {"0": 0.2, "1": 0.8}, "label": "yes"},
                    "metrics": {"uncertainty": 0.1},
                }
            ],
        ),
        Sample(
            record(
                {
                    "model_name": "m",
                    "id": "1",
                    "inputs": [tensor("image", [1, 2, 2, 3], "UINT8", [0] * 12), tensor("age", [1], "INT8", [3])],
                    "outputs": [tensor("y", [1], "FP32", [0.5])],
                }
            ),
            [{"model": "m", "id": "1", "features": {"image": [], "age": 3}, "prediction": 0.5}],
        ),
        Sample(
            record(
                {
                    "model_name": "m",
                    "id": "1",
                    "inputs": [
                        {
                            "name": "t",
                            "shape": [1],
                            "datatype": "BYTES",
                            "contents": {"bytesContents": [base64.b64encode(b"SE").decode()]},
                        }
                    ],
                }
            ),
            [{"model": "m", "id": "1", "features": {"t": "SE"}}],
        ),
    ],
    [
        (record({"model_name": "m", "inputs": [tensor("x", [3], "BOOL", [True])]}), "field_type"),
        (record({"model_name": "m", "inputs": [tensor("x", [-1], "BOOL", [True])]}), "field_type"),
        (record({"model_name": "m", "inputs": [tensor("x", [10**9, 1, 2], "FP32", [1])]}), "too_many_values"),
        (
            record({"model_name": "m", "inputs": [tensor("x", [2], "INT8", [1, 2]), tensor("y", [1], "INT8", [1])]}),
            "field_type",
        ),
        (record({"inputs": [tensor("x", [1], "FP64", [1.5])]}), "missing_model"),
        (record(b'{"inputs":[{"name":"x","shape":[3],"datatype":"INT32","data":[0.,1.]}]}'), "json"),
    ],
)

SAGEMAKER = Case(
    "sagemaker",
    TopicFormat("sagemaker", model="churn"),
    [
        Sample(
            record(capture("132,ab,,1e2\n", "0.25", "CSV")),
            [
                {
                    "model": "churn",
                    "id": "e-1",
                    "time": TIME,
                    "features": {"f0": 132.0, "f1": "ab", "f2": None, "f3": 100.0},
                    "prediction": 0.25,
                }
            ],
        ),
        Sample(
            record(
                capture(
                    '{"instances": [{"features": [28]}]}', '{"predictions": [{"score": 0.9, "predicted_label": 1}]}'
                )
            ),
            [
                {
                    "model": "churn",
                    "id": "e-1",
                    "time": TIME,
                    "features": {"f0": 28},
                    "prediction": {"label": 1, "score": 0.9},
                }
            ],
        ),
        Sample(
            record(capture('{"features":[1]}\n{"features":[2]}', '{"score":0.1}\n{"score":0.2}\n')),
            [
                {
                    "model": "churn",
                    "id": f"e-1/{i}",
                    "time": TIME,
                    "features": {"f0": i + 1},
                    "prediction": {"score": (i + 1) / 10},
                }
                for i in range(2)
            ],
        ),
        Sample(
            record(
                capture(
                    *(base64.b64encode(t).decode() for t in (b"1,2", b"3")), "BASE64", observedContentType="text/csv"
                )
            ),
            [{"model": "churn", "id": "e-1", "time": TIME, "features": {"f0": 1.0, "f1": 2.0}, "prediction": 3.0}],
        ),
        Sample(
            record(CAPTURE | {"groundTruthData": {"data": "1", "encoding": "CSV"}}),
            [{"model": "churn", "id": "e-1", "time": TIME, "outcome": 1}],
        ),
    ],
    [
        (record(capture("1\n2", "3", "CSV")), "field_type"),
        (record(capture("{", "1")), "json"),
        (record(capture("%", "%", "BASE64")), "field_type"),
        (record(capture("/w==", "/w==", "BASE64")), "utf8"),
        (record(capture("x" * 200_000, "1", "CSV")), "field_type"),
        (record(capture("1", "1", "PARQUET")), "field_type"),
        (record(CAPTURE), "nothing"),
        (record([CAPTURE]), "not_object"),
    ],
)

MAPPED = Case(
    "mapped",
    TopicFormat(
        "mapped",
        mapping={
            "model": "header:x-model",
            "id": "key",
            "time": "/ts",
            "features": "/in",
            "features.age": "/who/age",
            "prediction.score": "header:score",
            "sensitive.sex": "/who/sex",
        },
        time_unit="ms",
    ),
    [
        Sample(
            record(
                {"ts": SECONDS * 1000, "in": {"a": 1, "b": None}, "who": {"age": 3, "sex": "F"}},
                {"X-Model": "m", "score": "0.5"},
                b"k",
            ),
            [
                {
                    "model": "m",
                    "id": "k",
                    "time": TIME,
                    "features": {"a": 1, "b": None, "age": 3},
                    "prediction": {"score": 0.5},
                    "sensitive": {"sex": "F"},
                }
            ],
        ),
        Sample(
            record({"ts": SECONDS * 1000, "who": {"age": 3}}, {"x-model": "m"}),
            [{"model": "m", "time": TIME, "features": {"age": 3}}],
        ),
    ],
    [
        (record({"in": {"a": 1}}), "missing_model"),
        (record({"in": 1, "who": [], "ts": []}, {"x-model": "m"}), "field_type"),
        (record(b"{", {"x-model": "m"}), "json"),
        (record({"in": {}}, {"x-model": "m"}, b"\xff"), "utf8"),
        (record({}, {"x-model": "m", "score": "high"}), "field_type"),
    ],
)

EACH = Case(
    "mapped, a list of cases",
    TopicFormat(
        "mapped",
        model="/model",
        mapping={"id": "/req", "features": "/rows/*/x", "prediction": "/rows/*/y", "outcome": "/rows/*/truth"},
        feature_names=("a", "b"),
    ),
    [
        Sample(
            record({"model": "m", "req": 7, "rows": [{"x": [1, 2], "y": "no"}, {"x": [3, 4], "truth": "yes"}]}),
            [
                {"model": "m", "id": "7/0", "features": {"a": 1, "b": 2}, "prediction": "no"},
                {"model": "m", "id": "7/1", "features": {"a": 3, "b": 4}, "outcome": "yes"},
            ],
        ),
    ],
    [
        (record({"model": "m", "rows": []}), "nothing"),
        (record({"model": "m", "rows": {"x": 1}}), "field_type"),
        (record({"model": "m", "req": 7, "rows": [{"x": [1, 2]}, {"x": [1]}]}), "field_type"),
    ],
)

SCORING = {
    "type": "record",
    "name": "Scoring",
    "fields": [
        {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "who", "type": {"type": "enum", "name": "Sex", "symbols": ["F", "M"]}},
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "since", "type": {"type": "int", "logicalType": "date"}},
        {"name": "photo", "type": "bytes"},
        {"name": "vector", "type": {"type": "array", "items": "float"}},
        {"name": "p", "type": "double"},
    ],
}
SCORED = {
    "ts": datetime(2026, 3, 1, 9, 30, tzinfo=UTC),
    "who": "F",
    "amount": Decimal("41.25"),
    "since": date(1970, 1, 3),
    "photo": b"jpg",
    "vector": [0.5, 2.0],
    "p": 0.0,
}
APPLIED = """
syntax = "proto3";
package risk;
import "google/protobuf/wrappers.proto";
message Other { string text = 1; }
message Scored {
  enum Region { REGION_UNSPECIFIED = 0; SE = 1; }
  message Inner { string model = 1; Features features = 2; double prediction = 3; int64 time = 4; string outcome = 5; }
  message Features {
    int64 age = 1;
    optional double income = 2;
    google.protobuf.Int32Value debts = 3;
    Region region = 4;
    repeated double history = 5;
    oneof proof { bool salaried = 6; string trade = 7; }
    bytes photo = 8;
  }
  Inner inner = 1;
}
"""
_PROTO = {"model": "m", "id": "1", "features": {"age": 37, "region": "SE"}, "prediction": 0.5, "time": TIME}
_INNER = frame(4) + bytes([4, 2, 0])  # two indexes, 1 and 0: the first message in the second one
_AVRO = in_avro(1, AVRO_EVENT, {**NATIVE, "time": datetime.fromtimestamp(SECONDS, UTC)})
REGISTRY = known({1: AVRO_EVENT, 2: SCORING, 5: "string"}, {3: PROTO_EVENT, 4: APPLIED})

AVRO = Case(
    "avro",
    TopicFormat("avro"),
    [
        Sample(record(_AVRO), [NATIVE]),
        Sample(
            record(in_avro(1, AVRO_EVENT, {"model": "m", "id": "1", "outcome": "repaid", "value": 120.0})),
            [{"model": "m", "id": "1", "outcome": "repaid", "value": 120.0}],
        ),
        Sample(
            record(in_avro(1, AVRO_EVENT, {"model": "m", "features": {"a": None}, "prediction": {"score": 0.5}})),
            [{"model": "m", "features": {"a": None}, "prediction": {"score": 0.5}}],
        ),
    ],
    [
        (record(b"\1" + _AVRO[1:]), "unframed"),
        (record(b"\0\0\0"), "unframed"),
        (record(NATIVE), "unframed"),
        (record(frame(99) + _AVRO[5:]), "unknown_schema"),
        (record(in_protobuf(3, PROTO_EVENT, _PROTO)), "unreadable_schema"),
        (record(_AVRO[:-3]), "schema_body"),
        (record(_AVRO + b"\0"), "schema_body"),
        (record(frame(5) + b"\2a"), "not_object"),
        (record(frame(5) + b"\2\xff"), "utf8"),
        (record(in_avro(1, AVRO_EVENT, {"model": ""})), "missing_model"),
    ],
    REGISTRY,
)

AVRO_MAPPED = Case(
    "avro, mapped",
    TopicFormat(
        "avro",
        model="/who",
        mapping={
            "time": "/ts",
            "id": "key",
            "features": "/vector",
            "features.amount": "/amount",
            "features.since": "/since",
            "features.photo": "/photo",
            "prediction.score": "/p",
        },
        feature_names=("x", "y"),
    ),
    [
        Sample(
            record(in_avro(2, SCORING, SCORED), key=b"k"),
            [
                {
                    "model": "F",
                    "id": "k",
                    "time": TIME,
                    "features": {"x": 0.5, "y": 2.0, "amount": 41.25, "since": 172800.0, "photo": []},
                    "prediction": {"score": 0.0},
                }
            ],
        ),
    ],
    [(record(in_avro(1, AVRO_EVENT, {"model": "m"})), "missing_model"), (record(b"{}"), "unframed")],
    REGISTRY,
)

PROTOBUF = Case(
    "protobuf",
    TopicFormat("protobuf"),
    [
        Sample(record(in_protobuf(3, PROTO_EVENT, _PROTO)), [NATIVE]),
        Sample(
            record(in_protobuf(3, PROTO_EVENT, {"model": "m", "prediction": {"label": "approve", "score": 0.5}})),
            [{"model": "m", "prediction": {"label": "approve", "score": 0.5}}],
        ),
        # A message in a message: 0 without presence is a value among features and as a prediction, and no time.
        Sample(
            record(_INNER + b"\x0a\1m" + b"\x12\x0e" + b"\x20\1" + b"\x2a\x08" + b"\0" * 8 + b"\x30\1"),
            [
                {
                    "model": "m",
                    "features": {
                        "age": 0,
                        "income": None,
                        "debts": None,
                        "region": "SE",
                        "history": [0],
                        "salaried": True,
                        "photo": [],
                    },
                    "prediction": 0.0,
                }
            ],
        ),
    ],
    [
        (record(b"\1" + frame(3)), "unframed"),
        (record(frame(98) + b"\0"), "unknown_schema"),
        (record(_AVRO), "unreadable_schema"),
        (record(frame(3)), "schema_body"),
        (record(frame(3) + b"\2\x0e"), "schema_body"),
        (record(in_protobuf(3, PROTO_EVENT, _PROTO)[:-3]), "schema_body"),
        (record(in_protobuf(3, PROTO_EVENT, {"id": "1"})), "missing_model"),
    ],
    REGISTRY,
)

CASES = (
    *(NATIVE_CASE, CLOUDEVENTS, KSERVE, NAMED, SELDON_CASE, OIP, SAGEMAKER, MAPPED, EACH),
    *(AVRO, AVRO_MAPPED, PROTOBUF),
)
