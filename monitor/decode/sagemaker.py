"""How lines of SageMaker's data capture are read, and the ground truth that is merged with them."""

from __future__ import annotations

import base64
import csv
import io
from typing import Any, Final

from monitor.decode import bodies
from monitor.decode.bodies import SERVING
from monitor.decode.cases import Cases, Naming, events_of
from monitor.decode.limits import DecodeLimits
from monitor.decode.model import ModelOf
from monitor.decode.topics import TopicFormat
from monitor.decode.translated import Record, Translate
from monitor.decode.twin import Rejected, members, parse, parse_any
from monitor.events.columns import Reason

_INPUTS: Final = ("endpointInput", "batchTransformInput")
_OUTPUTS: Final = ("endpointOutput", "batchTransformOutput")
_TRANSFORMED: Final = "SageMakerOutput"


def translator(topic: TopicFormat, limits: DecodeLimits) -> Translate:
    """Reads a record of a topic as its ``format = "sagemaker"`` says."""
    naming, model_of = Naming(topic.feature_names, topic.class_names), ModelOf(topic.model)

    def translate(record: Record) -> list[dict[str, Any]]:
        line = parse(record.value, limits)
        metadata = members(line.get("eventMetadata") or {})
        common = {
            "model": model_of(record, line),
            # Ground truth names the inference id as its event id where there is one.
            "id": metadata.get("inferenceId") or metadata.get("eventId"),
            "time": metadata.get("inferenceTime"),
        }
        return events_of(_cases(line, naming, limits), common)

    return translate


def _cases(line: dict[str, Any], naming: Naming, limits: DecodeLimits) -> Cases:
    captured = members(line.get("captureData") or {})
    said = Cases()
    for name in _INPUTS:
        if name in captured:
            said.features = _data(captured[name], naming, limits, response=False).features
    for name in _OUTPUTS:
        if name in captured:
            out = _data(captured[name], naming, limits, response=True)
            said.predictions = out.predictions
            said.features = said.features or out.features
    if "groundTruthData" in line:
        truth = _data(line["groundTruthData"], naming, limits, response=True)
        said.outcomes = [_class(each) for each in truth.predictions or ()]
    return said


def _data(part: Any, naming: Naming, limits: DecodeLimits, *, response: bool) -> Cases:
    """What one side of the capture says: CSV, JSON, or one JSON a line, itself as text or in base64."""
    part = members(part)
    data, encoding = part.get("data"), part.get("encoding", "JSON")
    if not isinstance(data, str) or not isinstance(encoding, str):
        raise Rejected(Reason.FIELD_TYPE)
    kind = part.get("observedContentType")
    if encoding.upper() == "BASE64":
        data = _plain(data)
        encoding = "CSV" if isinstance(kind, str) and "csv" in kind else "JSON"
    if encoding.upper() == "CSV":
        rows = _csv_rows(data)
        if response:
            return Cases(predictions=[naming.prediction(row) for row in rows])
        return Cases(features=[naming.features(row) for row in rows])
    if encoding.upper() != "JSON":
        raise Rejected(Reason.FIELD_TYPE)
    return _json(data, naming, limits, response=response)


def _json(data: str, naming: Naming, limits: DecodeLimits, *, response: bool) -> Cases:
    try:
        body = parse_any(data.encode(), limits)
    except Rejected as refusal:
        lines = [line for line in data.splitlines() if line.strip()]
        if refusal.reason is not Reason.JSON or len(lines) < 2:
            raise
        body = [parse_any(line.encode(), limits) for line in lines]
    if response:
        return _answers(body, naming)
    if isinstance(body, dict) and not body.keys() & SERVING:
        body = [body]
    return bodies.cases_of(body, naming, response=False)


def _answers(body: Any, naming: Naming) -> Cases:
    """Predictions or ground truth; batch transform joins its input with ``SageMakerOutput``."""
    if isinstance(body, dict) and _TRANSFORMED in body:
        said = _answers(members(body)[_TRANSFORMED], naming)
        rest = {name: value for name, value in body.items() if name != _TRANSFORMED}
        asked = bodies.cases_of(rest if rest.keys() & SERVING else [rest], naming, response=False) if rest else Cases()
        return Cases(features=asked.features, predictions=said.predictions)
    if isinstance(body, dict) and "instances" in body:
        return bodies.cases_of(body["instances"], naming, response=True)
    return bodies.cases_of(body, naming, response=True)


def _plain(data: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except UnicodeDecodeError:
        raise Rejected(Reason.UTF8) from None
    except ValueError:
        raise Rejected(Reason.FIELD_TYPE) from None


def _csv_rows(data: str) -> list[list[Any]]:
    try:
        return [[_value(cell) for cell in row] for row in csv.reader(io.StringIO(data)) if row]
    except csv.Error:
        raise Rejected(Reason.FIELD_TYPE) from None


def _value(cell: str) -> Any:
    """A number where a cell is one, nothing where it is empty."""
    try:
        return (float(cell) if "_" not in cell else cell) if cell.strip() else None
    except ValueError:
        return cell


def _class(prediction: Any) -> Any:
    """The truth of a case: its label where there are several members."""
    return prediction.get("label") if isinstance(prediction, dict) else prediction
