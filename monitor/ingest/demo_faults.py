"""What is made to go wrong in the demo fleet, where and when, and by which alerts each fault can show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from monitor.ingest.demo_laws import ModelLaw, NumberKind


class FaultKind(StrEnum):
    """What a fault does, from the moment it began until it ended."""

    MEAN_SHIFT = "mean_shift"
    """A number is half a standard deviation too large."""
    UNIT_CHANGE = "unit_change"
    """A number comes in another unit: a thousand times as large."""
    COLUMNS_SWAPPED = "columns_swapped"
    """Two numbers stand under each other's name."""
    SHARE_MOVED = "share_moved"
    """Half of a category's commonest value turns into its second."""
    UNSEEN_CATEGORY = "unseen_category"
    """A value that the reference does not have takes 30 % of a category."""
    MISSING = "missing"
    """A number is null in 30 % of the events instead of 1 %."""
    VANISHED = "vanished"
    """A feature is no longer in the events."""
    TYPE_CHANGE = "type_change"
    """A number comes as text."""
    NAN_FLOOD = "nan_flood"
    """A number is NaN in 20 % of the events."""
    SCORE_DRIFT = "score_drift"
    """The model answers 0.8 logits higher to the same features."""


QUALITY = "ModelDataQuality"
FEATURE_DRIFT = "ModelFeatureDrift"
PREDICTION_DRIFT = "ModelPredictionDrift"

_SHOWN_BY: dict[FaultKind, tuple[str, ...]] = {
    FaultKind.MEAN_SHIFT: (FEATURE_DRIFT,),
    FaultKind.UNIT_CHANGE: (FEATURE_DRIFT, QUALITY),
    FaultKind.COLUMNS_SWAPPED: (FEATURE_DRIFT, QUALITY),
    FaultKind.SHARE_MOVED: (FEATURE_DRIFT,),
    FaultKind.UNSEEN_CATEGORY: (QUALITY,),
    FaultKind.MISSING: (QUALITY,),
    FaultKind.VANISHED: (QUALITY,),
    FaultKind.TYPE_CHANGE: (QUALITY,),
    FaultKind.NAN_FLOOD: (QUALITY,),
    FaultKind.SCORE_DRIFT: (PREDICTION_DRIFT,),
}
_STRIKES: dict[FaultKind, tuple[NumberKind, ...]] = {
    FaultKind.MEAN_SHIFT: ("normal",),
    FaultKind.UNIT_CHANGE: ("lognormal",),
    FaultKind.COLUMNS_SWAPPED: ("normal", "uniform"),
    FaultKind.VANISHED: ("count",),
    FaultKind.TYPE_CHANGE: ("exponential",),
    FaultKind.NAN_FLOOD: ("bimodal",),
}
"""A number of each of these kinds is hit."""
USUAL_MISSING_RATE = 0.01
"""Of the number that :attr:`FaultKind.MISSING` hits, before it does."""
_BEGINS = (0.1, 0.45)
_LASTS = (0.3, 0.8)
"""Parts of the stream between which a fault's beginning and length are drawn."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A planted fault. ``began`` and ``ended`` in seconds since the epoch; it holds in [began, ended).

    ``alertnames`` are those under which it can show by its own ``features``, any of which counts. ``moves_prediction``
    tells whether the model's score depends on one of them, so that its answers really change too.
    """

    kind: FaultKind
    model: str
    features: tuple[str, ...]
    began: float
    ended: float
    alertnames: tuple[str, ...]
    moves_prediction: bool

    @property
    def feature(self) -> str:
        """The first of what it hits."""
        return self.features[0]


def plant(models: Sequence[ModelLaw], seed: int, start: float, seconds: float) -> tuple[Fault, ...]:
    """A fault of each kind, on a busy model of its own each; fewer where there are fewer busy models.

    Drawn from ``seed`` alone, before any event is; a fault that would outlast the stream ends with it.
    """
    rng = np.random.default_rng([seed, 2])
    busy = [model for model in models if model.busy]
    chosen = [busy[i] for i in rng.permutation(len(busy)).tolist()]
    kinds = [list(FaultKind)[i] for i in rng.permutation(len(FaultKind)).tolist()]
    faults = []
    for kind, model in zip(kinds, chosen, strict=False):
        began = start + seconds * rng.uniform(*_BEGINS)
        ended = min(began + seconds * rng.uniform(*_LASTS), start + seconds)
        features = _victims(kind, model, rng)
        drivers = {model.numbers[i].name for i in model.drivers}
        moves = kind is FaultKind.SCORE_DRIFT or not drivers.isdisjoint(features)
        faults.append(Fault(kind, model.name, features, round(began), round(ended), _SHOWN_BY[kind], moves))
    return tuple(sorted(faults, key=lambda fault: fault.began))


def _victims(kind: FaultKind, model: ModelLaw, rng: np.random.Generator) -> tuple[str, ...]:
    if kind is FaultKind.SCORE_DRIFT:
        return ("score", "label")
    if kind is FaultKind.MISSING:
        return tuple(law.name for law in model.numbers if law.missing == USUAL_MISSING_RATE)
    if kind in {FaultKind.SHARE_MOVED, FaultKind.UNSEEN_CATEGORY}:
        return (str(rng.choice([law.name for law in model.categories])),)
    return tuple(
        str(rng.choice([law.name for law in model.numbers if law.kind == wanted])) for wanted in _STRIKES[kind]
    )
