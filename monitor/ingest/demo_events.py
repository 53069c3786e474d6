"""How a stretch of a demo model's traffic is drawn and written as events, a fault's doing included."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.ingest.demo_faults import Fault, FaultKind
from monitor.ingest.demo_laws import DAY_SECONDS, SWING, Floats, ModelLaw, score

VERSION = "1"
_SHIFT_DEVIATIONS = 0.5
_UNIT = 1000.0
_UNSEEN_VALUE = "not-seen-before"
_UNSEEN_SHARE = 0.3
_MOVED_SHARE = 0.5
_MISSING_SHARE = 0.3
_NAN_SHARE = 0.2
_SCORE_LOGITS = 0.8
_HALF = 0.5


_NAN = np.empty((), object)
_NAN[()] = msgspec.Raw(b"NaN")
_encode = msgspec.json.Encoder().encode


class _Prediction(msgspec.Struct, gc=False):
    label: str
    score: float


class _Event(msgspec.Struct, gc=False):
    model: str
    version: str
    id: str
    time: float
    features: msgspec.Struct
    prediction: _Prediction


@dataclass(slots=True)
class Drawn:
    """``n`` cases of one model. Per number: ``numbers`` and ``absent``; per category: ``categories``; each ``(n,)``.

    A category's index one beyond its law's values means the unseen one. ``labels`` is 0 or 1.
    """

    numbers: list[Floats]
    absent: list[NDArray[np.bool_]]
    categories: list[NDArray[np.int64]]
    scores: Floats
    labels: NDArray[np.int64]


def draw(model: ModelLaw, rng: np.random.Generator, n: int, fault: Fault | None = None) -> Drawn:
    """Fresh cases of ``model``, all of them under ``fault`` if one is given; the model scores what it was given."""
    numbers = [law.draw(rng, n) for law in model.numbers]
    absent = [rng.random(n) < law.missing if law.missing else np.zeros(n, bool) for law in model.numbers]
    drawn = Drawn(numbers, absent, [law.draw(rng, n) for law in model.categories], np.empty(0), np.empty(0, np.int64))
    if fault is not None:
        _spoil_numbers(drawn, model, fault, rng)
        _spoil_categories(drawn, model, fault, rng)
    logit = model.logit(rng, _as_the_model_sees(drawn, model, fault))
    if fault is not None and fault.kind is FaultKind.SCORE_DRIFT:
        logit += _SCORE_LOGITS
    drawn.scores = score(logit)
    drawn.labels = (drawn.scores < _HALF).astype(np.int64)
    return drawn


def times(model: ModelLaw, rng: np.random.Generator, start: float, seconds: float) -> Floats:
    """When events happen in [start, start + seconds), sorted: a Poisson process with a daily swing, in milliseconds."""
    most = model.rate / 3600.0 * (1.0 + SWING)
    candidates = np.sort(rng.uniform(start, start + seconds, rng.poisson(most * seconds)))
    swing = 1.0 + SWING * np.sin(2.0 * np.pi * candidates / DAY_SECONDS + model.phase)
    kept = candidates[rng.random(len(candidates)) * (1.0 + SWING) < swing]
    return np.floor(kept * 1000.0) / 1000.0


def write(model: ModelLaw, drawn: Drawn, at: Floats, prefix: str, fault: Fault | None) -> list[bytes]:
    """The events as native JSON, one for each of ``at``; their ids are ``prefix`` and a number."""
    columns: dict[str, list[Any]] = {}
    for law, values, absent in zip(model.numbers, drawn.numbers, drawn.absent, strict=True):
        columns[law.name] = _number_column(values, absent, law.decimals)
    for category, chosen in zip(model.categories, drawn.categories, strict=True):
        columns[category.name] = np.array([*category.values, _UNSEEN_VALUE], object)[chosen].tolist()
    if fault is not None and fault.kind is FaultKind.VANISHED:
        del columns[fault.feature]
    if fault is not None and fault.kind is FaultKind.TYPE_CHANGE:
        columns[fault.feature] = [value if value is None else str(value) for value in columns[fault.feature]]
    features = map(_features_struct(tuple(columns)), *columns.values())
    labels = np.array(model.labels, object)[drawn.labels].tolist()
    predictions = map(_Prediction, labels, drawn.scores.tolist())
    ids = map(f"{prefix}%d".__mod__, range(len(at)))
    events = map(_Event, repeat(model.name), repeat(VERSION), ids, at.tolist(), features, predictions)
    return [_encode(event) for event in events]


def _spoil_numbers(drawn: Drawn, model: ModelLaw, fault: Fault, rng: np.random.Generator) -> None:
    hit = [i for i, law in enumerate(model.numbers) if law.name in fault.features]
    if not hit:
        return
    first, law, n = hit[0], model.numbers[hit[0]], len(drawn.numbers[0])
    match fault.kind:
        case FaultKind.MEAN_SHIFT:
            drawn.numbers[first] = np.round(drawn.numbers[first] + _SHIFT_DEVIATIONS * law.spread, law.decimals)
        case FaultKind.UNIT_CHANGE:
            drawn.numbers[first] = np.round(drawn.numbers[first] * _UNIT, law.decimals)
        case FaultKind.COLUMNS_SWAPPED:
            other = hit[1]
            drawn.numbers[first], drawn.numbers[other] = drawn.numbers[other], drawn.numbers[first]
            drawn.absent[first], drawn.absent[other] = drawn.absent[other], drawn.absent[first]
        case FaultKind.MISSING:
            drawn.absent[first] = rng.random(n) < _MISSING_SHARE
        case FaultKind.NAN_FLOOD:
            drawn.numbers[first] = np.where(rng.random(n) < _NAN_SHARE, np.nan, drawn.numbers[first])
        case _:
            pass


def _spoil_categories(drawn: Drawn, model: ModelLaw, fault: Fault, rng: np.random.Generator) -> None:
    for i, law in enumerate(model.categories):
        if law.name not in fault.features:
            continue
        values, dice = drawn.categories[i], rng.random(len(drawn.categories[i]))
        if fault.kind is FaultKind.SHARE_MOVED:
            values[(values == 0) & (dice < _MOVED_SHARE)] = 1
        elif fault.kind is FaultKind.UNSEEN_CATEGORY:
            values[dice < _UNSEEN_SHARE] = len(law.values)


def _as_the_model_sees(drawn: Drawn, model: ModelLaw, fault: Fault | None) -> list[Floats]:
    """The numbers with NaN for what the model cannot use."""
    lost = fault.features if fault is not None and fault.kind in {FaultKind.VANISHED, FaultKind.TYPE_CHANGE} else ()
    return [
        np.where(absent | (law.name in lost), np.nan, values)
        for law, values, absent in zip(model.numbers, drawn.numbers, drawn.absent, strict=True)
    ]


def _number_column(values: Floats, absent: NDArray[np.bool_], decimals: int) -> list[Any]:
    """What is written for each value; NaN as JSON's readers, if not JSON, know it."""
    finite = np.isfinite(values)
    if finite.all():
        column: NDArray[Any] = values if decimals else values.astype(np.int64)
    else:
        column = np.where(finite, values.astype(object), _NAN)
    if absent.any():
        column = column.astype(object)
        column[absent] = None
    written: list[Any] = column.tolist()
    return written


@lru_cache(maxsize=4096)
def _features_struct(names: tuple[str, ...]) -> type[msgspec.Struct]:
    """Features of these names: what writes them fastest."""
    return msgspec.defstruct("Features", [(name, Any) for name in names], gc=False)
