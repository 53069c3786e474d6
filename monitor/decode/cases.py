"""What a body says of the cases in it, and the native events that follow from that."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from monitor.decode.twin import Rejected, identifier, members
from monitor.events.columns import Reason

_LABELS: Final = ("label", "predicted_label", "predicted_class", "class")
_SCORES: Final = ("score", "probability", "proba")
_CLASS_SCORES: Final = ("scores", "probabilities")
_WHOLE: Final = ("prediction", "predicted_value", "value")
_AS_THEY_ARE: Final = ("tags", "ranking")


@dataclass(slots=True)
class Cases:
    """What is said of each case, in their order; ``None`` where a body does not speak of it.

    ``model``, ``version`` and ``id`` are those of the body, ``None`` where it has none.
    """

    features: list[dict[str, Any]] | None = None
    predictions: list[Any] | None = None
    outcomes: list[Any] | None = None
    metrics: list[dict[str, Any]] | None = None
    model: Any = None
    version: Any = None
    id: Any = None

    def with_(self, other: Cases) -> Cases:
        """Both, where a request and its response stand in one record; what ``self`` says goes first."""
        return Cases(*(getattr(self, name) or getattr(other, name) for name in self.__slots__))


def events_of(cases: Cases, common: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A native event for each case; ``common`` is what they all share, and wins over what the body says.

    Several cases with one id are told apart by their place: ``id/0``, ``id/1``; a request and its response agree.
    Raises :class:`Rejected` where what is said of the cases is not of one length, or nothing is said.
    """
    said = {
        "features": cases.features,
        "prediction": cases.predictions,
        "outcome": cases.outcomes,
        "metrics": cases.metrics,
    }
    columns = {name: column for name, column in said.items() if column is not None}
    lengths = {len(column) for column in columns.values()}
    if not lengths or lengths == {0}:
        raise Rejected(Reason.NOTHING)
    if len(lengths) > 1:
        raise Rejected(Reason.FIELD_TYPE)
    (n,) = lengths
    body = {"model": cases.model, "version": cases.version, "id": cases.id}
    shared = {name: value for name, value in (body | dict(common)).items() if value is not None}
    name = identifier(shared["id"]) if "id" in shared else ""
    return [
        {
            **shared,
            **({"id": f"{name}/{i}" if n > 1 else name} if name else {}),
            **{field: column[i] for field, column in columns.items()},
        }
        for i in range(n)
    ]


class Naming:
    """Names what comes as a list: features and classes by the configuration, else by their places."""

    def __init__(self, feature_names: Sequence[str] = (), class_names: Sequence[str] = ()) -> None:
        self._features = tuple(feature_names)
        self._classes = tuple(class_names)

    def columns(self, n: int, given: Sequence[str] | None = None) -> Sequence[str]:
        """Names of ``n`` columns: the configured ones, else those ``given`` by the record, else ``f0``, ``f1``.

        Raises :class:`Rejected` where another number is configured: no one knows then which is which.
        """
        if self._features:
            if len(self._features) != n:
                raise Rejected(Reason.FIELD_TYPE)
            return self._features
        return given if given is not None and len(given) == n else [f"f{i}" for i in range(n)]

    def features(self, row: Any, given: Sequence[str] | None = None) -> dict[str, Any]:
        """The features of a case: of an object its members, of a list its places, of anything else ``f0``."""
        if isinstance(row, dict):
            return self._members(row, given)
        if isinstance(row, list):
            if row and all(isinstance(each, dict) for each in row):
                return {name: value for each in row for name, value in self._members(each, given).items()}
            return dict(zip(self.columns(len(row), given), row, strict=True))
        return {self.columns(1, given)[0]: row}

    def _members(self, row: dict[str, Any], given: Sequence[str] | None) -> dict[str, Any]:
        row = members(row)
        if row.keys() == {"features"}:
            return self.features(row["features"], given)
        return {name: value[0] if _single(value) else value for name, value in row.items()}

    def prediction(self, value: Any, given: Sequence[str] | None = None) -> Any:
        """A native prediction: several numbers are a score for each class, several texts are tags.

        Where all scores lie in [0, 1], the class of the largest is the label, of equals the first.
        """
        if isinstance(value, dict):
            return self._prediction_object(members(value), given)
        if not isinstance(value, list):
            return value
        if _single(value):
            scored = given is not None and len(given) == 1 and given[0].lower() in _SCORES and _is_number(value[0])
            return {"score": value[0]} if scored else self.prediction(value[0], given)
        if value and all(isinstance(each, str) for each in value):
            return {"tags": value}
        return self._scores(value, given)

    def _prediction_object(self, value: dict[str, Any], given: Sequence[str] | None) -> Any:
        for name in _WHOLE:
            if name in value:
                return self.prediction(value[name], given)
        said: dict[str, Any] = {name: value[name] for name in _AS_THEY_ARE if name in value}
        for field, names in (("label", _LABELS), ("score", _SCORES)):
            found = next((value[name] for name in names if name in value), None)
            if found is not None:
                said[field] = found[0] if _single(found) else found
        scores = next((value[name] for name in _CLASS_SCORES if name in value), None)
        if isinstance(scores, list):
            said = self._scores(scores, given) | said
        elif scores is not None:
            said["scores"] = scores
        if said:
            return said
        if not value or not all(map(_is_number, value.values())):
            raise Rejected(Reason.FIELD_TYPE)
        return {"scores": value}

    def _scores(self, values: list[Any], given: Sequence[str] | None) -> dict[str, Any]:
        if not values or not all(map(_is_number, values)):
            raise Rejected(Reason.FIELD_TYPE)
        names = self._classes or (given if given is not None and len(given) == len(values) else ())
        names = names or [str(i) for i in range(len(values))]
        if len(names) != len(values):
            raise Rejected(Reason.FIELD_TYPE)
        said: dict[str, Any] = {"scores": dict(zip(names, values, strict=True))}
        if all(math.isfinite(each) and 0 <= each <= 1 for each in values):
            said["label"] = names[max(range(len(values)), key=values.__getitem__)]
        return said


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _single(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 1
