"""Do the formats read what model servers really wrote, as their projects publish it?"""

from __future__ import annotations

import ast
import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from real_data.cases import DATA

from monitor.decode.decoder import make_decoder
from monitor.decode.limits import DecodeLimits
from monitor.decode.topics import TopicFormat
from monitor.events.columns import EventBatch, Part, Reason, Space, ValueType

if TYPE_CHECKING:
    from collections.abc import Mapping

PAYLOADS = DATA / "payloads"

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not PAYLOADS.exists(), reason="../shared/data/payloads is not here"),
]

NOW = 1.78e9
KSERVE = TopicFormat("kserve", model="m")
OIP = TopicFormat("oip", model="m")
SAGEMAKER = TopicFormat("sagemaker", model="adult")

BODIES: dict[str, tuple[TopicFormat, int]] = {
    "kserve/aif_germancredit_input.json": (KSERVE, 78),
    "kserve/autogluon_titanic_input.json": (KSERVE, 2),
    "kserve/autogluon_titanic_input_v2.json": (OIP, 2),
    "kserve/income_input.json": (KSERVE, 1),
    "kserve/iris_batch_input.json": (KSERVE, 8),
    "kserve/iris_input.json": (KSERVE, 2),
    "kserve/iris_input_v2.json": (OIP, 2),
    "kserve/iris_input_v2_all_binary.json": (OIP, 2),
    "kserve/iris_input_v2_binary.json": (OIP, 2),
    "kserve/iris_input_v2_grpc.json": (OIP, 2),
    "kserve/iris_input_v3.json": (KSERVE, 1),
    "kserve/iris_input_v4.json": (KSERVE, 1),
    "kserve/mlflow_input_v2.json": (OIP, 1),
    "mlserver_oip/bench_grpc_requests.json": (OIP, 1),
    "mlserver_oip/bench_rest_requests.json": (OIP, 1),
    "mlserver_oip/stream_request.json": (OIP, 1),
    "seldon/v2_sklearn-iris-request.json": (OIP, 1),
    "seldon/v2_sklearn-iris-response.json": (OIP, 1),
    "seldon/v2_tensorflow-tfsimple-request.json": (OIP, 1),
    "seldon/v2_tensorflow-tfsimple-response.json": (OIP, 1),
    "seldon/v2_xgboost-income-request.json": (OIP, 1),
    "seldon/v2_xgboost-income-response.json": (OIP, 1),
    "triton/mlflow_plugin_input.json": (KSERVE, 1),
    "triton/mlflow_plugin_output.json": (KSERVE, 1),
    "sagemaker/capture_2.json": (SAGEMAKER, 2),
    "sagemaker/capture_4.json": (SAGEMAKER, 1),
    "sagemaker/capture_6.json": (SAGEMAKER, 2),
    "sagemaker/merged_1.json": (SAGEMAKER, 334),
    "sagemaker/merged_3.json": (SAGEMAKER, 334),
    "sagemaker/merged_5.json": (SAGEMAKER, 1),
}
"""Each published body, the format it is written in, and how many cases it holds."""

BROKEN = ("mlserver_oip/sklearn_request.json", "mlserver_oip/kafka_request.json")
"""Published with numbers such as ``0.``, which JSON does not know."""


def decode(topic: TopicFormat, values: list[bytes], headers: list[Mapping[str, str]] | None = None) -> EventBatch:
    pairs = [[(name, text.encode()) for name, text in each.items()] for each in headers or ()]
    return make_decoder(topic, DecodeLimits()).decode(values, np.full(len(values), NOW), headers=pairs)


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (PAYLOADS / name).read_text().splitlines()]


def reasons(batch: EventBatch) -> list[str]:
    return [Reason(reason).name.lower() for reason in batch.reasons]


def values_of(batch: EventBatch, space: Space, event: int = 0) -> dict[str, Any]:
    at = np.flatnonzero((batch.event == event) & (batch.space == space)).tolist()
    return {
        batch.string(batch.name, i): batch.string(batch.text, i) if batch.type[i] == ValueType.TEXT else batch.number[i]
        for i in at
    }


@pytest.mark.parametrize("name", BODIES)
def test_a_published_body_is_read(name: str) -> None:
    """Each body gives as many events as it holds cases, with a value for every one."""
    topic, n = BODIES[name]
    batch = decode(topic, [(PAYLOADS / name).read_bytes()])
    assert (reasons(batch), len(batch)) == ([], n)
    assert np.bincount(batch.event, minlength=n).min() > 0


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_body_is_a_dead_letter(name: str) -> None:
    """What is no JSON is rejected as that, and the stream goes on."""
    good = (PAYLOADS / "mlserver_oip/bench_rest_requests.json").read_bytes()
    batch = decode(OIP, [good, (PAYLOADS / name).read_bytes(), good])
    assert (len(batch), batch.rejected.tolist(), reasons(batch)) == (2, [1], ["json"])


def test_kserve_logs() -> None:
    """Requests and responses of the logger come with their service, an id for each case, and their time."""
    dumped = lines("kserve/DERIVED_http_binary_mode.jsonl")
    bodies = [json.dumps(line["body"]).encode() for line in dumped]
    batch = decode(TopicFormat("kserve"), bodies, [line["headers"] for line in dumped])
    assert (reasons(batch), len(batch)) == ([], 8)
    assert {batch.string(batch.model, i) for i in range(8)} == {"sklearn-iris"}
    ids = [batch.string(batch.id, i) for i in range(8)]
    assert ids[:2] == ids[2:4] == [f"{dumped[0]['headers']['ce-id']}/{i}" for i in range(2)]
    parts = [Part(int(each)) & (Part.FEATURES | Part.PREDICTION) for each in batch.parts]
    assert parts == [Part.FEATURES, Part.FEATURES, Part.PREDICTION, Part.PREDICTION] * 2
    assert batch.time[0] == pytest.approx(1618014206.0789529)
    assert values_of(batch, Space.FEATURE) == {"f0": 6.8, "f1": 2.8, "f2": 4.8, "f3": 1.4}


def test_recorded_requests_are_read_as_they_stand() -> None:
    """The lines of an HTTP recorder need no headers of Kafka."""
    for name, model in (("kserve", "sklearn-iris"), ("seldon", "model-logs/classifier")):
        paths = {"kserve": "DERIVED_http_binary_mode.jsonl", "seldon": "DERIVED_v1_events.jsonl"}
        values = [json.dumps(line).encode() for line in lines(f"{name}/{paths[name]}")]
        batch = decode(TopicFormat(name), values)
        assert reasons(batch) == []
        assert {batch.string(batch.model, i) for i in range(len(batch))} == {model}


def test_an_image_is_a_dead_letter() -> None:
    """The body of the image classifier's request is no JSON; its answer is a prediction."""
    text = (PAYLOADS / "kserve/cloudevents_torchserve_binary_body.txt").read_bytes()
    bodies = [part.split(b"\n\xe2\x98\x81")[0].strip() for part in text.split(b"Data,")[1:]]
    headers = [
        {"ce_id": "1", "ce_type": f"org.kubeflow.serving.inference.{kind}", "ce_inferenceservicename": "m"}
        for kind in ("request", "response")
    ]
    batch = decode(TopicFormat("kserve"), bodies, headers)
    assert batch.rejected.tolist() == [0]
    assert reasons(batch)[0] in {"utf8", "json"}
    assert values_of(batch, Space.PREDICTION) == {"value": 1.0}


def test_seldon_logs() -> None:
    """The request and the response of a prediction have one id and one model."""
    dumped = lines("seldon/DERIVED_v1_events.jsonl")
    batch = decode(
        TopicFormat("seldon"), [line["body"].encode() for line in dumped], [line["headers"] for line in dumped]
    )
    assert (reasons(batch), len(batch)) == ([], 2)
    assert [batch.string(batch.id, i) for i in range(2)] == ["33fb419e-8d6b-44e0-a084-8bd4bd4dbf7b"] * 2
    assert values_of(batch, Space.FEATURE) == {"f0": 1.0, "f1": 2.0, "f2": 5.0}
    assert values_of(batch, Space.PREDICTION, 1) == {"score": 0.43782349911420193}


def test_old_seldon_logs() -> None:
    """The executor's first log is read; its protocol buffer is a dead letter."""
    text = (PAYLOADS / "seldon/v1_executor_logger_dumps.txt").read_text()
    bodies = [ast.literal_eval(body) for body in re.findall(r"body: ('.*'),", text)]
    headers = [dict(re.findall(r"'([\w-]+)': '([^']*)'", part)) for part in text.split("path: '/'")[1:]]
    batch = decode(TopicFormat("seldon"), [body.encode() for body in bodies], headers)
    assert (batch.record.tolist(), reasons(batch)) == ([0], ["json"])
    assert batch.string(batch.model, 0) == "classifier"


def test_sagemaker_capture() -> None:
    """Captured lines of every encoding are cases with features and a prediction, joined by their event's id."""
    values = (PAYLOADS / "sagemaker/endpoint_capture.jsonl").read_bytes().splitlines()
    batch = decode(SAGEMAKER, values)
    assert (reasons(batch), len(batch)) == ([], 9)
    assert {Part(int(each)) for each in batch.parts} == {Part.FEATURES | Part.PREDICTION}
    assert values_of(batch, Space.PREDICTION)["label"] == "1"
    merged = decode(SAGEMAKER, [(PAYLOADS / "sagemaker/merged_5.json").read_bytes()])
    assert Part(int(merged.parts[0])) == Part.FEATURES | Part.PREDICTION | Part.OUTCOME
    assert values_of(merged, Space.OUTCOME) == {"label": "1"}


def test_monitoring_lines_of_bentoml_are_mapped() -> None:
    """A log without a format of its own is read by pointers; a long text is dropped, and its event lives."""
    mapping = {"id": "/request_id", "features.text": "/input_text", "metrics.words": "/words"}
    values = (PAYLOADS / "bentoml/monitoring_log_lines.jsonl").read_bytes().splitlines()
    batch = decode(TopicFormat("mapped", model="summary", mapping=mapping), values)
    assert (reasons(batch), len(batch)) == ([], len(values))


def test_mlflow_requests() -> None:
    """The bodies that MLflow's scoring server takes are rows of features."""
    values = (PAYLOADS / "mlflow/request_forms.jsonl").read_bytes().splitlines()
    batch = decode(KSERVE, values)
    assert (reasons(batch), len(batch)) == ([], 5)
    assert values_of(batch, Space.FEATURE, 4) == {f"feature{i}": i for i in range(1, 5)}
