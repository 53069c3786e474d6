"""What is made to go wrong in the demo fleet, where, when and by how much, and by which alerts each fault can show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from monitor.ingest.demo_laws import FleetLaws, LawKind, ModelLaw


class FaultKind(StrEnum):
    """What a fault does, from the moment it began until it ended; its ``size`` is what :data:`KINDS` says."""

    DRIFT_UP = "drift_up"
    """A number is larger by so many standard deviations."""
    DRIFT_DOWN = "drift_down"
    """A number is smaller by so many standard deviations."""
    SPREAD = "spread"
    """A number scatters about its mean so many times as far."""
    SHARE_MOVED = "share_moved"
    """So much of a category's commonest value turns into the next."""
    UNIT_CHANGE = "unit_change"
    """A number comes in another unit: so many times as large."""
    COLUMNS_SWAPPED = "columns_swapped"
    """Two numbers stand under each other's name."""
    STUCK = "stuck"
    """A number repeats one value."""
    DEFAULT_FLOOD = "default_flood"
    """So many of a number's values are a default, 0."""
    OUT_OF_RANGE = "out_of_range"
    """So many of a number's values are ten times as large: a slipped decimal point."""
    UNSEEN_CATEGORY = "unseen_category"
    """A value that the reference does not have takes so much of a category."""
    MISSING = "missing"
    """A number is null in so many of the events."""
    VANISHED = "vanished"
    """A feature is no longer in the events."""
    APPEARED = "appeared"
    """A feature that the reference does not have is in so many of the events, and stays to the end."""
    TYPE_CHANGE = "type_change"
    """So many of a number's values come as text."""
    NAN_FLOOD = "nan_flood"
    """A number is NaN in so many of the events."""
    SCORE_DRIFT = "score_drift"
    """The model answers higher to the same features, by so many logits."""
    SCORE_COLLAPSE = "score_collapse"
    """The model's scores keep only so much of their spread, in logits."""
    CLASS_VANISHED = "class_vanished"
    """So many of the model's refusals turn into the other class."""
    UPSTREAM_BREAK = "upstream_break"
    """A source fails, and all models that it feeds miss its number in so many of their events."""


QUALITY = "ModelDataQuality"
FEATURE_DRIFT = "ModelFeatureDrift"
PREDICTION_DRIFT = "ModelPredictionDrift"
SHARED_CAUSE = "FleetSharedCause"

_MEASURED: tuple[LawKind, ...] = ("normal", "lognormal", "exponential", "uniform", "bimodal")
_LONG: tuple[LawKind, ...] = ("lognormal", "exponential")
_ANY: tuple[LawKind, ...] = (*_MEASURED, "count", "zero_inflated")


@dataclass(frozen=True, slots=True)
class Kind:
    """One line of the table of what can go wrong.

    ``alertnames`` are those that can tell of it; ``victims`` has the kinds of law that each of its features may have,
    none for a fault of the model itself; ``sizes`` are the least and the largest, drawn evenly on a log scale.
    """

    alertnames: tuple[str, ...]
    victims: tuple[tuple[LawKind, ...], ...]
    sizes: tuple[float, float] = (1.0, 1.0)


KINDS: dict[FaultKind, Kind] = {
    FaultKind.DRIFT_UP: Kind((FEATURE_DRIFT,), (_MEASURED,), (0.25, 2.0)),
    FaultKind.DRIFT_DOWN: Kind((FEATURE_DRIFT,), (_MEASURED,), (0.25, 2.0)),
    FaultKind.SPREAD: Kind((FEATURE_DRIFT, QUALITY), (("normal", "uniform", "bimodal"),), (1.5, 4.0)),
    FaultKind.SHARE_MOVED: Kind((FEATURE_DRIFT,), (("category",),), (0.2, 0.9)),
    FaultKind.UNIT_CHANGE: Kind((FEATURE_DRIFT, QUALITY), (_LONG,), (10.0, 1000.0)),
    FaultKind.COLUMNS_SWAPPED: Kind((FEATURE_DRIFT, QUALITY), (("normal",), ("uniform",))),
    FaultKind.STUCK: Kind((FEATURE_DRIFT,), (_MEASURED,)),
    FaultKind.DEFAULT_FLOOD: Kind((FEATURE_DRIFT, QUALITY), (("normal", "bimodal"),), (0.1, 0.8)),
    FaultKind.OUT_OF_RANGE: Kind((QUALITY, FEATURE_DRIFT), (("normal",),), (0.05, 0.5)),
    FaultKind.UNSEEN_CATEGORY: Kind((QUALITY,), (("category",),), (0.05, 0.5)),
    FaultKind.MISSING: Kind((QUALITY,), (_ANY,), (0.05, 0.5)),
    FaultKind.VANISHED: Kind((QUALITY,), (_ANY,)),
    FaultKind.APPEARED: Kind((QUALITY,), (_ANY,), (0.2, 1.0)),
    FaultKind.TYPE_CHANGE: Kind((QUALITY,), (_ANY,), (0.05, 1.0)),
    FaultKind.NAN_FLOOD: Kind((QUALITY,), (_ANY,), (0.05, 0.5)),
    FaultKind.SCORE_DRIFT: Kind((PREDICTION_DRIFT,), (), (0.3, 2.0)),
    FaultKind.SCORE_COLLAPSE: Kind((PREDICTION_DRIFT,), (), (0.1, 0.6)),
    FaultKind.CLASS_VANISHED: Kind((PREDICTION_DRIFT,), (), (0.5, 1.0)),
}
"""What goes wrong in models of their own; the upstream break is planted apart."""
PER_KIND = 4
"""Faults of each kind, in a fleet that has room for them."""
_BREAK = Kind((QUALITY, SHARED_CAUSE), (), (0.3, 0.6))
_BREAK_MODELS = 60
_BREAK_SHARE = 0.06
"""Of the fleet is hit by the upstream break, at most :data:`_BREAK_MODELS`."""
SOURCE, SOURCE_FEATURE = "bureau", "income"
"""The source that breaks, and the number that it delivers."""
NEW_FEATURE = "shadow_score_"
"""How the name of a feature that appears begins; the rest is the model's own, for these have no cause in common."""
_ANSWERS = ("score", "label")
_BEGINS = (0.1, 0.5)
_LASTS = (0.25, 0.5)
"""Parts of the stream between which a fault's beginning and length are drawn."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A planted fault. ``began`` and ``ended`` in seconds since the epoch; it holds in [began, ended).

    ``alertnames`` are those under which it can show by its own ``features``, any of which counts. ``models`` is more
    than one only for what hits many at once; ``moves`` are those of them whose score depends on a feature that is hit,
    so that their answers really change too.
    """

    kind: FaultKind
    models: tuple[str, ...]
    features: tuple[str, ...]
    size: float
    began: float
    ended: float
    alertnames: tuple[str, ...]
    moves: frozenset[str]

    @property
    def model(self) -> str:
        """The first of those that it hits."""
        return self.models[0]

    @property
    def feature(self) -> str:
        """The first of what it hits."""
        return self.features[0]


def plant(laws: FleetLaws, seed: int, start: float, seconds: float) -> tuple[Fault, ...]:
    """Faults of every kind, each on a model of its own, and a break that hits many; fewer where there are few models.

    Model, kind, size and moment are drawn from ``seed`` alone, before any event is, and whatever a model's traffic; a
    fault that would outlast the stream ends with it.
    """
    rng = np.random.default_rng([seed, 2])
    repeats = min(max(len(laws.models) // (2 * len(KINDS)), 1), PER_KIND)
    kinds = [kind for kind in KINDS for _ in range(repeats)]
    chosen = [laws.models[i] for i in rng.permutation(len(laws.models)).tolist()]
    struck = list(zip((kinds[i] for i in rng.permutation(len(kinds)).tolist()), chosen, strict=False))
    faults = [_strike(kind, [model], laws, rng, start, seconds) for kind, model in struck]
    fed = [model for model in chosen[len(struck) :] if SOURCE_FEATURE in laws.names_of(model)]
    fed = fed[: min(_BREAK_MODELS, int(_BREAK_SHARE * len(laws.models)))]
    if fed:
        faults.append(_strike(FaultKind.UPSTREAM_BREAK, fed, laws, rng, start, seconds))
    return tuple(sorted(faults, key=lambda fault: (fault.began, fault.model)))


def _strike(
    kind: FaultKind, hit: Sequence[ModelLaw], laws: FleetLaws, rng: np.random.Generator, start: float, seconds: float
) -> Fault:
    began = start + seconds * rng.uniform(*_BEGINS)
    lasts = seconds if kind is FaultKind.APPEARED else seconds * rng.uniform(*_LASTS)
    ended = min(began + lasts, start + seconds)
    table = KINDS.get(kind, _BREAK)
    low, high = table.sizes
    size = round(low * (high / low) ** rng.random(), 3)
    features = _victims(kind, table, hit[0], laws, rng)
    moves = frozenset(model.name for model in hit if kind in _OF_ANSWERS or _drives(model, laws, features))
    names = tuple(model.name for model in hit)
    return Fault(kind, names, features, size, round(began), round(ended), table.alertnames, moves)


_OF_ANSWERS = {FaultKind.SCORE_DRIFT, FaultKind.SCORE_COLLAPSE, FaultKind.CLASS_VANISHED}


def _drives(model: ModelLaw, laws: FleetLaws, features: tuple[str, ...]) -> bool:
    names = laws.names_of(model)
    return not {names[i] for i in model.drivers}.isdisjoint(features)


def _victims(
    kind: FaultKind, table: Kind, model: ModelLaw, laws: FleetLaws, rng: np.random.Generator
) -> tuple[str, ...]:
    if kind is FaultKind.UPSTREAM_BREAK:
        return (SOURCE_FEATURE,)
    if kind is FaultKind.APPEARED:
        return (NEW_FEATURE + model.name.rpartition("-")[2],)
    if kind in _OF_ANSWERS:
        return _ANSWERS
    own = [laws.laws[i] for i in model.laws]
    return tuple(str(rng.choice([law.name for law in own if law.kind in wanted])) for wanted in table.victims)
