"""How tensors of the Open Inference Protocol become features and predictions."""

from __future__ import annotations

import base64
import binascii
import math
from typing import Any, Final, NamedTuple

from monitor.decode.cases import Cases, Naming
from monitor.decode.twin import Rejected, elements, members
from monitor.events.columns import Reason

_LABELS: Final = frozenset({"label", "labels", "class", "classes", "predict", "prediction", "predictions"})
_LABELS_LONG: Final = frozenset({"output_label", "predicted_label", "predicted_class"})
_SCORES: Final = frozenset({"score", "scores", "probability", "probabilities", "predict_proba", "output_probability"})
_RANK_MAX: Final = 2
"""A tensor of more dimensions holds no values that could be watched one by one, such as an image."""


class Tensor(NamedTuple):
    """``rows`` are the values of each case, empty where ``opaque``: then there are more dimensions than columns."""

    name: str
    datatype: str
    rows: list[list[Any]]
    opaque: bool


def is_tensors(value: Any) -> bool:
    """Whether ``value`` is a list of tensors rather than of rows."""
    return isinstance(value, list) and bool(value) and all(isinstance(each, dict) and "shape" in each for each in value)


def cases_of(body: dict[str, Any], naming: Naming) -> Cases:
    """The cases of a request, a response, or both in one."""
    cases = Cases(
        model=body.get("model_name", body.get("modelName")),
        version=body.get("model_version", body.get("modelVersion")),
        id=body.get("id") or None,
    )
    if is_tensors(body.get("inputs")):
        cases.features = _features([_tensor(each) for each in body["inputs"]], naming)
    if is_tensors(body.get("outputs")):
        cases.predictions, cases.metrics = _predictions([_tensor(each) for each in body["outputs"]], naming)
    return cases


def rows_of(said: dict[str, Any]) -> list[list[Any]]:
    """The rows of one tensor; raises :class:`Rejected` where it has more dimensions than rows and columns."""
    tensor = _tensor(said)
    if tensor.opaque:
        raise Rejected(Reason.FIELD_TYPE)
    return tensor.rows


def _features(tensors: list[Tensor], naming: Naming) -> list[dict[str, Any]]:
    n = _rows_of(tensors)
    events: list[dict[str, Any]] = [{} for _ in range(n)]
    alone = len(tensors) == 1
    for tensor in tensors:
        if tensor.opaque:
            for event in events:
                event[tensor.name] = []
            continue
        width = len(tensor.rows[0])
        given = [tensor.name] if width == 1 else [f"{tensor.name}[{i}]" for i in range(width)]
        names = naming.columns(width, given) if alone else given
        for event, row in zip(events, tensor.rows, strict=True):
            event.update(zip(names, row, strict=True))
    return events


def _predictions(tensors: list[Tensor], naming: Naming) -> tuple[list[Any], list[dict[str, Any]] | None]:
    """What each case's prediction is, and the other outputs that are single numbers, as metrics."""
    n = _rows_of(tensors)
    label = next((each for each in tensors if each.name.lower() in _LABELS | _LABELS_LONG), None)
    score = next((each for each in tensors if each.name.lower() in _SCORES), None)
    first = label or score or tensors[0]
    predictions = [_prediction(first, i, naming) for i in range(n)]
    if label is not None and score is not None and not score.opaque:
        predictions = [_scored(each, score.rows[i], naming) for i, each in enumerate(predictions)]
    others = [each for each in tensors if each is not first and each is not score]
    named = [each for each in others if not each.opaque and len(each.rows[0]) == 1]
    return predictions, [{each.name: each.rows[i][0] for each in named} for i in range(n)] if named else None


def _prediction(tensor: Tensor, case: int, naming: Naming) -> Any:
    """Integers, booleans and texts are classes, floats are numbers; several floats are a score for each class."""
    if tensor.opaque:
        raise Rejected(Reason.FIELD_TYPE)
    row = tensor.rows[case]
    if len(row) > 1:
        return naming.prediction(row) if tensor.datatype.startswith(("FP", "BF")) else {"tags": row}
    value = row[0]
    return value if tensor.datatype.startswith(("FP", "BF")) else {"label": value}


def _scored(prediction: Any, row: list[Any], naming: Naming) -> dict[str, Any]:
    said = prediction if isinstance(prediction, dict) else {"label": prediction}
    return {**naming.prediction(row), **said} if len(row) > 1 else {**said, "score": row[0]}


def _rows_of(tensors: list[Tensor]) -> int:
    """How many cases the tensors are of; raises :class:`Rejected` where they do not agree."""
    counts = {len(tensor.rows) for tensor in tensors}
    if len(counts) > 1 or len({tensor.name for tensor in tensors}) < len(tensors):
        raise Rejected(Reason.FIELD_TYPE)
    return counts.pop()


def _tensor(said: dict[str, Any]) -> Tensor:
    said = members(said)
    name, datatype = said.get("name"), said.get("datatype", "")
    if not isinstance(name, str) or not isinstance(datatype, str):
        raise Rejected(Reason.FIELD_TYPE)
    shape = [_dimension(each) for each in elements(said.get("shape"))]
    n = shape[0] if shape else 1
    if len(shape) > _RANK_MAX and math.prod(shape[1:]) > 1:
        return Tensor(name, datatype, [[] for _ in range(_cases(n))], opaque=True)
    values = _values(said, datatype)
    if not values or len(values) != math.prod(shape):
        raise Rejected(Reason.FIELD_TYPE)
    width = len(values) // n
    return Tensor(name, datatype, [values[i : i + width] for i in range(0, len(values), width)], opaque=False)


def _cases(n: int) -> int:
    if n > 10_000:
        raise Rejected(Reason.TOO_MANY_VALUES)
    return n


def _dimension(value: Any) -> int:
    """A dimension; the JSON form of protocol buffers writes it as text."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise Rejected(Reason.FIELD_TYPE)
    return value


def _values(said: dict[str, Any], datatype: str) -> list[Any]:
    """The values of a tensor in one row: ``data`` of the REST form, or ``contents`` of the gRPC form in JSON."""
    if "data" in said:
        return _flat(said["data"])
    contents = members(said.get("contents"))
    if len(contents) != 1:
        raise Rejected(Reason.FIELD_TYPE)
    ((kind, values),) = contents.items()
    values = elements(values)
    if kind.lower().startswith("bytes"):
        return [_bytes(each) for each in values]
    if datatype.startswith(("INT", "UINT")):
        return [int(each) if isinstance(each, str) and each.lstrip("-").isdecimal() else each for each in values]
    return values


def _bytes(value: Any) -> str:
    try:
        return base64.b64decode(value, validate=True).decode()
    except (TypeError, ValueError, binascii.Error):
        raise Rejected(Reason.FIELD_TYPE) from None


def _flat(value: Any) -> list[Any]:
    if not isinstance(value, list):
        return [value]
    return [inner for each in value for inner in _flat(each)] if any(isinstance(e, list) for e in value) else value
