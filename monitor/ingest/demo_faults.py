"""What is made to go wrong in the demo fleet, where, when and by how much, and by which alerts each fault can show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from monitor.incidents.advice import FIX_INPUT, NOTHING, RECALIBRATE, RETRAIN, ROLL_BACK
from monitor.ingest.demo_laws import ATTRIBUTES, SEGMENT, STEP_SECONDS, TAGS, FleetLaws, LawKind, ModelLaw, Role


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
    SILENCE = "silence"
    """The model is asked no more."""
    SURGE = "surge"
    """So many times as many events."""
    SLUMP = "slump"
    """So much of the events are left."""
    MIX_MOVED = "mix_moved"
    """So much of the largest market's people come from the next instead."""
    GROUP_MOVED = "group_moved"
    """So many people of a group have the largest values of a number, which others had, to the end: the whole stays."""
    DISPARATE_IMPACT = "disparate_impact"
    """People of a group get the good decision so many times as often as they did."""
    UNWARRANTED_ASSOCIATION = "unwarranted_association"
    """People of a group get a tag so many times as often as they did."""
    UNEQUAL_ERRORS = "unequal_errors"
    """So many of a group get the decision that what comes of their cases does not merit."""
    LABEL_GAP = "label_gap"
    """What comes of the cases of a group is never told for so many of them."""
    ANSWERS_MIXED_UP = "answers_mixed_up"
    """So many of the answers are those of another case: each for itself looks as it did."""
    CONCEPT_UP = "concept_up"
    """The same scores come true more often, by so many logits."""
    CONCEPT_DOWN = "concept_down"
    """The same scores come true less often, by so many logits."""
    UPSTREAM_BREAK = "upstream_break"
    """A source fails, and all models that it feeds miss its number in so many of their events."""


QUALITY = "ModelDataQuality"
FEATURE_DRIFT = "ModelFeatureDrift"
PREDICTION_DRIFT = "ModelPredictionDrift"
SHARED_CAUSE = "FleetSharedCause"
VOLUME, SILENT, MIX = "ModelVolumeAnomaly", "ModelSilent", "ModelPopulationMix"
IMPACT, ASSOCIATION = "ModelDisparateImpact", "ModelUnwarrantedAssociation"
UNEQUAL, GAP = "ModelUnequalErrors", "ModelLabelGap"
PERFORMANCE, CALIBRATION = "ModelPerformanceDegraded", "ModelCalibrationShift"
BY_OUTCOMES = frozenset({PERFORMANCE, CALIBRATION, UNEQUAL, GAP})
"""Alerts that are told when cases mature."""

_MEASURED: tuple[LawKind, ...] = ("normal", "lognormal", "exponential", "uniform", "bimodal")
_LONG: tuple[LawKind, ...] = ("lognormal", "exponential")
_ANY: tuple[LawKind, ...] = (*_MEASURED, "count", "zero_inflated")
_WRONG = (PREDICTION_DRIFT, PERFORMANCE, CALIBRATION)
_OF_PEOPLE = (Role.DECIDER, Role.TAGGER)


@dataclass(frozen=True, slots=True)
class Kind:
    """One line of the table of what can go wrong.

    ``alertnames`` are those that can tell of it; ``victims`` has the kinds of law that each of its features may have,
    none for a fault of the model itself; ``sizes`` are the least and the largest, drawn evenly on a log scale;
    ``entails`` are the alerts of what it really brings about elsewhere, in the model's traffic or answers or in what
    comes of them; ``roles`` are what a model has to be to people.
    """

    alertnames: tuple[str, ...]
    victims: tuple[tuple[LawKind, ...], ...]
    sizes: tuple[float, float] = (1.0, 1.0)
    entails: tuple[str, ...] = (PREDICTION_DRIFT, PERFORMANCE)
    roles: tuple[Role, ...] = tuple(Role)


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
    FaultKind.SCORE_DRIFT: Kind((PREDICTION_DRIFT,), (), (0.3, 2.0), _WRONG),
    FaultKind.SCORE_COLLAPSE: Kind((PREDICTION_DRIFT,), (), (0.1, 0.6), _WRONG),
    FaultKind.CLASS_VANISHED: Kind((PREDICTION_DRIFT,), (), (0.5, 1.0), _WRONG),
    FaultKind.SILENCE: Kind((SILENT,), (), entails=(VOLUME,)),
    FaultKind.SURGE: Kind((VOLUME,), (), (4.0, 10.0), ()),
    FaultKind.SLUMP: Kind((VOLUME, SILENT), (), (0.05, 0.25), ()),
    FaultKind.MIX_MOVED: Kind((MIX,), (), (0.2, 0.9), (), _OF_PEOPLE),
    FaultKind.GROUP_MOVED: Kind(
        (FEATURE_DRIFT,), (_MEASURED,), (0.5, 1.0), (PREDICTION_DRIFT, PERFORMANCE, IMPACT, UNEQUAL), _OF_PEOPLE
    ),
    FaultKind.DISPARATE_IMPACT: Kind((IMPACT,), (), (0.3, 0.7), (*_WRONG, UNEQUAL), (Role.DECIDER,)),
    FaultKind.UNWARRANTED_ASSOCIATION: Kind((ASSOCIATION,), (), (2.0, 6.0), (), (Role.TAGGER,)),
    FaultKind.UNEQUAL_ERRORS: Kind((UNEQUAL,), (), (0.2, 0.8), _WRONG, (Role.DECIDER,)),
    FaultKind.LABEL_GAP: Kind((GAP,), (), (0.2, 0.8), (), (Role.DECIDER,)),
    FaultKind.ANSWERS_MIXED_UP: Kind((PERFORMANCE,), (), (0.5, 1.0), (CALIBRATION,), (Role.DECIDER,)),
    FaultKind.CONCEPT_UP: Kind((CALIBRATION,), (), (1.0, 3.0), (PERFORMANCE,), (Role.DECIDER,)),
    FaultKind.CONCEPT_DOWN: Kind((CALIBRATION,), (), (1.0, 3.0), (PERFORMANCE,), (Role.DECIDER,)),
}
"""What goes wrong in models of their own, a line for each kind; the upstream break is planted apart."""
_INPUTS_MOVED = (FIX_INPUT, NOTHING, RETRAIN)
REMEDIES: dict[FaultKind, tuple[str, ...]] = {
    **dict.fromkeys((FaultKind.DRIFT_UP, FaultKind.DRIFT_DOWN, FaultKind.SPREAD, FaultKind.SHARE_MOVED), _INPUTS_MOVED),
    FaultKind.GROUP_MOVED: _INPUTS_MOVED,
    **dict.fromkeys((FaultKind.UNIT_CHANGE, FaultKind.COLUMNS_SWAPPED, FaultKind.STUCK), (FIX_INPUT,)),
    **dict.fromkeys((FaultKind.DEFAULT_FLOOD, FaultKind.OUT_OF_RANGE, FaultKind.UNSEEN_CATEGORY), (FIX_INPUT,)),
    **dict.fromkeys((FaultKind.MISSING, FaultKind.VANISHED, FaultKind.APPEARED), (FIX_INPUT,)),
    **dict.fromkeys((FaultKind.TYPE_CHANGE, FaultKind.NAN_FLOOD, FaultKind.UPSTREAM_BREAK), (FIX_INPUT,)),
    **dict.fromkeys((FaultKind.SCORE_DRIFT, FaultKind.SCORE_COLLAPSE, FaultKind.CLASS_VANISHED), (ROLL_BACK,)),
    **dict.fromkeys((FaultKind.SILENCE, FaultKind.SURGE, FaultKind.SLUMP, FaultKind.LABEL_GAP), (FIX_INPUT,)),
    FaultKind.MIX_MOVED: (NOTHING, RETRAIN),
    FaultKind.DISPARATE_IMPACT: (ROLL_BACK,),
    FaultKind.UNWARRANTED_ASSOCIATION: (ROLL_BACK,),
    FaultKind.UNEQUAL_ERRORS: (ROLL_BACK,),
    FaultKind.ANSWERS_MIXED_UP: (ROLL_BACK,),
    FaultKind.CONCEPT_UP: (RECALIBRATE, RETRAIN),
    FaultKind.CONCEPT_DOWN: (RECALIBRATE, RETRAIN),
}
"""What each kind asks for. A number that is larger for the people of today asks for nothing, or for another model; one
that was spoiled on the way asks to be mended; by its values alone the two cannot be told apart."""
OF_TRAFFIC = frozenset({FaultKind.SILENCE, FaultKind.SURGE, FaultKind.SLUMP})
"""Faults in how many events there are; what is in them is as ever."""
OF_GROUPS = frozenset(
    {
        FaultKind.DISPARATE_IMPACT,
        FaultKind.UNWARRANTED_ASSOCIATION,
        FaultKind.UNEQUAL_ERRORS,
        FaultKind.LABEL_GAP,
    }
)
"""Faults in what a group of people gets, or in what is told of it."""
OF_FEATURES_BY_GROUP = frozenset({FaultKind.GROUP_MOVED})
"""Faults in a feature of one group of people."""
OF_OUTCOMES = frozenset({FaultKind.ANSWERS_MIXED_UP, FaultKind.CONCEPT_UP, FaultKind.CONCEPT_DOWN})
"""Faults that nothing but outcomes show."""
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
_BEGINS, _BEGINS_LATE = (0.1, 0.5), (0.3, 0.55)
_LASTS = (0.25, 0.5)
"""Parts of the stream between which a fault's beginning and length are drawn. Late begins what the stream alone teaches
to know, traffic, what comes of cases and how groups differ: the references of the weeks before tell nothing of it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A planted fault. ``began`` and ``ended`` in seconds since the epoch; it holds in [began, ended).

    ``alertnames`` are those under which it can show by its own ``features``, any of which counts, or by its own
    ``group`` and what that gets (``output``) or how its feature lies; ``entails`` are those of what else changes with
    it in the models ``moves``. ``models`` is more than one only for what hits many at once; where features are hit,
    ``moves`` are those of them whose score depends on one. ``features`` is empty for what is not in them,
    ``attribute``, ``group`` and ``output`` are ``None``.
    """

    kind: FaultKind
    models: tuple[str, ...]
    features: tuple[str, ...]
    size: float
    began: float
    ended: float
    alertnames: tuple[str, ...]
    moves: frozenset[str]
    entails: tuple[str, ...] = ()
    attribute: str | None = None
    group: str | None = None
    output: str | None = None

    @property
    def model(self) -> str:
        """The first of those that it hits."""
        return self.models[0]

    @property
    def feature(self) -> str | None:
        """The first of the features that it hits."""
        return self.features[0] if self.features else None


def plant(laws: FleetLaws, seed: int, start: float, seconds: float) -> tuple[Fault, ...]:
    """Faults of every kind, each on a model of its own, and a break that hits many; fewer where there are few models.

    Model, kind, size and moment are drawn from ``seed`` alone, before any event is, and whatever a model's traffic; a
    fault that would outlast the stream ends with it.
    """
    rng = np.random.default_rng([seed, 2])
    repeats = min(max(len(laws.models) // (2 * len(KINDS)), 1), PER_KIND)
    kinds = [kind for kind in KINDS for _ in range(repeats)]
    free = [laws.models[i] for i in rng.permutation(len(laws.models)).tolist()]
    struck = []
    # What not every model can suffer chooses first.
    for kind in sorted(
        (kinds[i] for i in rng.permutation(len(kinds)).tolist()), key=lambda kind: len(KINDS[kind].roles)
    ):
        place = next((i for i, model in enumerate(free) if model.role in KINDS[kind].roles), None)
        if place is not None:
            struck.append((kind, free.pop(place)))
    faults = [_strike(kind, [model], laws, rng, start, seconds) for kind, model in struck]
    fed = [model for model in free if SOURCE_FEATURE in laws.names_of(model)]
    fed = fed[: min(_BREAK_MODELS, int(_BREAK_SHARE * len(laws.models)))]
    if fed:
        faults.append(_strike(FaultKind.UPSTREAM_BREAK, fed, laws, rng, start, seconds))
    return tuple(sorted(faults, key=lambda fault: (fault.began, fault.model)))


def _strike(
    kind: FaultKind, hit: Sequence[ModelLaw], laws: FleetLaws, rng: np.random.Generator, start: float, seconds: float
) -> Fault:
    began = start + seconds * rng.uniform(*(_BEGINS_LATE if kind in _LATE else _BEGINS))
    lasts = seconds if kind in _STAY else seconds * rng.uniform(*_LASTS)
    ended = min(began + lasts, start + seconds)
    # Traffic is even within a step.
    grain = STEP_SECONDS if kind in OF_TRAFFIC else 1.0
    table = KINDS.get(kind, _BREAK)
    low, high = table.sizes
    size = round(low * (high / low) ** rng.random(), 3)
    features = _victims(kind, table, hit[0], laws, rng)
    of_features = bool(table.victims) or kind in _OF_FEATURES
    attribute, group = _group(rng) if kind in OF_GROUPS | OF_FEATURES_BY_GROUP else (None, None)
    return Fault(
        kind=kind,
        models=tuple(model.name for model in hit),
        features=features,
        size=size,
        began=grain * round(began / grain),
        ended=grain * round(ended / grain),
        alertnames=table.alertnames,
        moves=frozenset(model.name for model in hit if not of_features or _drives(model, laws, features)),
        entails=table.entails,
        attribute=attribute,
        group=group,
        output=str(rng.choice(list(TAGS))) if kind is FaultKind.UNWARRANTED_ASSOCIATION else None,
    )


_OF_ANSWERS = {FaultKind.SCORE_DRIFT, FaultKind.SCORE_COLLAPSE, FaultKind.CLASS_VANISHED}
_OF_FEATURES = {FaultKind.UPSTREAM_BREAK}
_STAY = {FaultKind.APPEARED, FaultKind.GROUP_MOVED}
_LATE = OF_TRAFFIC | OF_OUTCOMES | OF_FEATURES_BY_GROUP


def _group(rng: np.random.Generator) -> tuple[str, str]:
    """An attribute and one of its groups."""
    attribute = str(rng.choice(list(ATTRIBUTES)))
    return attribute, str(rng.choice(list(ATTRIBUTES[attribute])))


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
    if kind is FaultKind.MIX_MOVED:
        return (SEGMENT,)
    own = [laws.laws[i] for i in model.laws]
    return tuple(str(rng.choice([law.name for law in own if law.kind in wanted])) for wanted in table.victims)
