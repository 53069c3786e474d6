"""What the bodies say that go in and out of model servers: V1, V2 (Open Inference Protocol), MLflow, Seldon v1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from monitor.decode import tensors
from monitor.decode.cases import Cases, Naming
from monitor.decode.twin import Rejected, elements, members
from monitor.events.columns import Reason

SERVING: Final = frozenset(
    {"instances", "predictions", "inputs", "outputs", "data", "jsonData", "dataframe_split", "dataframe_records"}
)
"""A body with one of these members went in or out of a model server."""


def cases_of(body: Any, naming: Naming, *, response: bool) -> Cases:
    """The cases of ``body``; ``response`` says which it is where the body alone does not.

    Raises :class:`Rejected` where it is of no form that is known.
    """
    if isinstance(body, list):
        return _listed(body, naming, response=response)
    if not isinstance(body, dict):
        if response and body is not None:
            return Cases(predictions=[naming.prediction(body)])
        raise Rejected(Reason.NOT_OBJECT)
    body = members(body)
    if isinstance(body.get("request"), dict) and isinstance(body.get("response"), dict):
        request = cases_of(body["request"], naming, response=False)
        return request.with_(cases_of(body["response"], naming, response=True))
    if tensors.is_tensors(body.get("inputs")) or tensors.is_tensors(body.get("outputs")):
        return tensors.cases_of(body, naming)
    return _rows(body, naming, response=response)


def _listed(body: list[Any], naming: Naming, *, response: bool) -> Cases:
    """A list: of bodies, else of rows."""
    if body and all(isinstance(each, dict) and each.keys() & SERVING for each in body):
        parts = [cases_of(each, naming, response=response) for each in body]
        said = Cases()
        for name in ("features", "predictions"):
            columns = [getattr(part, name) for part in parts]
            if any(column is not None for column in columns):
                setattr(said, name, [each for column in columns for each in column or ()])
        return said
    if response:
        return Cases(predictions=[naming.prediction(each) for each in body])
    return Cases(features=[naming.features(each) for each in body])


def _rows(body: dict[str, Any], naming: Naming, *, response: bool) -> Cases:
    cases = Cases(model=body.get("model_name"), version=body.get("model_version"), id=body.get("id"))
    if "data" in body or "jsonData" in body:
        return _seldon(body, naming, response=response)
    for name in ("instances", "inputs", "dataframe_records"):
        if name in body:
            cases.features = [naming.features(row) for row in _table(body[name])]
    if "dataframe_split" in body:
        split = members(body["dataframe_split"])
        names = _names(split.get("columns"))
        cases.features = [naming.features(row, names) for row in elements(split.get("data"))]
    for name in ("predictions", "outputs"):
        if name in body:
            cases.predictions = [naming.prediction(row) for row in _table(body[name])]
    if cases.features is None and cases.predictions is None:
        if not response:
            raise Rejected(Reason.NOTHING)
        cases.predictions = [naming.prediction(body)]
    return cases


def _seldon(body: dict[str, Any], naming: Naming, *, response: bool) -> Cases:
    """A message of Seldon Core v1: ``data`` with ``ndarray`` or ``tensor``, or ``jsonData``."""
    if "jsonData" in body:
        rows, names = _table(body["jsonData"]), None
    else:
        data = members(body["data"])
        names = _names(data.get("names"))
        rows = elements(data["ndarray"]) if "ndarray" in data else _tensor(members(data.get("tensor")))
    if response:
        return Cases(predictions=[naming.prediction(row, names) for row in rows])
    return Cases(features=[naming.features(row, names) for row in rows])


def _tensor(tensor: dict[str, Any]) -> list[Any]:
    """The rows of ``{"shape": [n, k], "values": [...]}``."""
    return tensors.rows_of({"name": "tensor", "datatype": "FP64", **tensor, "data": tensor.get("values")})


def _table(value: Any) -> list[Any]:
    """Rows: of a list its elements, of an object of lists (columns by name) an object for each place."""
    if not isinstance(value, dict):
        return elements(value) if isinstance(value, list) else [value]
    columns = members(value)
    lists = [column for column in columns.values() if isinstance(column, list)]
    if len(lists) < len(columns) or len({len(column) for column in lists}) != 1:
        return [columns]
    return [_row(columns, i) for i in range(len(lists[0]))]


def _row(columns: dict[str, list[Any]], i: int) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, column in columns.items():
        value = column[i]
        if isinstance(value, list) and len(value) > 1:
            row.update({f"{name}[{j}]": each for j, each in enumerate(value)})
        else:
            row[name] = value
    return row


def _names(value: Any) -> Sequence[str] | None:
    if value is None or value == []:
        return None
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value) or len({*value}) < len(value):
        raise Rejected(Reason.FIELD_TYPE)
    return value
