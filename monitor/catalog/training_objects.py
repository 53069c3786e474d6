"""How lines of JSON are read: events of the native format, or flat objects of names and values."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from monitor.catalog.training_cells import ListCells
from monitor.catalog.training_counts import SpaceName
from monitor.catalog.training_stretch import ROWS_MAX, Key, Reading, Stretch
from monitor.errors import ProfileError

_NATIVE_FIELDS = frozenset(
    (
        *("model", "version", "id", "time", "entity", "lifecycle", "lineage"),
        *("features", "prediction", "sensitive", "segment", "outcome", "value", "metrics"),
    )
)


def read_objects(path: Path, reading: Reading) -> Iterator[tuple[int, Stretch]]:
    """The rows of a file as :func:`monitor.catalog.training_rows.read` says."""
    gathered = _Gathered(reading)
    with path.open("rb") as raw:
        stream = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            gathered.add(_object(path, number, line))
            if gathered.rows == ROWS_MAX:
                yield raw.tell(), gathered.stretch()
                gathered = _Gathered(reading)
        yield raw.tell(), gathered.stretch()


def _object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        try:
            value = msgspec.json.decode(line)
        except msgspec.DecodeError:
            value = json.loads(line)  # knows NaN and infinities, which events may hold too
    except (ValueError, RecursionError) as error:
        raise ProfileError(f"{path}: line {number}: is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ProfileError(f"{path}: line {number}: is no JSON object")
    return value


class _Gathered:
    """Objects whose values are gathered into columns."""

    def __init__(self, reading: Reading) -> None:
        self.rows = 0
        self._reading = reading
        self._events: dict[SpaceName, int] = {"feature": 0, "prediction": 0, "metric": 0}
        self._columns: dict[Key, list[Any]] = {}
        self._places: dict[str, Key | None] = {}

    def add(self, value: dict[str, Any]) -> None:
        """Take in an event of the native format, or a flat object of names and values."""
        if isinstance(value.get("features"), dict) or ("model" in value and value.keys() <= _NATIVE_FIELDS):
            self._add_event(value)
            return
        self.rows += 1
        for space in self._events:
            self._events[space] += 1
        for name, cell in value.items():
            self._put(self._place(name), cell)

    def stretch(self) -> Stretch:
        """What was gathered."""
        return Stretch(self.rows, self._events, {key: ListCells(values) for key, values in self._columns.items()})

    def _add_event(self, event: dict[str, Any]) -> None:
        model = event.get("model", self._reading.model)
        if model != self._reading.model:
            self._reading.other_models.add(str(model))
            return
        features, prediction, metrics = event.get("features"), event.get("prediction"), event.get("metrics")
        self.rows += any(part is not None for part in (features, prediction, metrics))
        if isinstance(features, dict):
            self._events["feature"] += 1
            for name, cell in features.items():
                self._put(self._place(name), cell)
        if isinstance(metrics, dict):
            self._events["metric"] += 1
            for name, cell in metrics.items():
                self._put(Key("metric", name), cell)
        if prediction is not None:
            self._events["prediction"] += 1
            self._add_prediction(prediction)

    def _add_prediction(self, prediction: Any) -> None:
        if not isinstance(prediction, dict):
            part = "label" if isinstance(prediction, str | bool) else "value"
            self._put(Key("prediction", part), prediction)
            return
        for part in ("label", "score"):
            if prediction.get(part) is not None:
                self._put(Key("prediction", part), prediction[part])

    def _place(self, name: str) -> Key | None:
        if name not in self._places:
            self._reading.names.add(name)
            self._places[name] = self._reading.place(name)
        return self._places[name]

    def _put(self, key: Key | None, cell: Any) -> None:
        if key is not None:
            self._columns.setdefault(key, []).append(cell)
