"""What should be done about it, and why? A pure function of what fires with what in one model.

It goes from causes to consequences: a spoiled input explains all that follows from it, a new version what begins with
it; what is left is the world, which asks for other probabilities or another model, or for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from monitor.incidents.incident import Advice

FIX_INPUT, ROLL_BACK, RECALIBRATE, RETRAIN, NOTHING = ACTIONS = (
    "fix_input",
    "roll_back",
    "recalibrate",
    "retrain",
    "nothing",
)
"""What can be done; the first that applies is advised."""

QUALITY, DRIFT, ANSWERS = "ModelDataQuality", "ModelFeatureDrift", "ModelPredictionDrift"
PERFORMANCE, CALIBRATION = "ModelPerformanceDegraded", "ModelCalibrationShift"
SILENT, VOLUME, MIX = "ModelSilent", "ModelVolumeAnomaly", "ModelPopulationMix"
SHARED, GAP = "FleetSharedCause", "ModelLabelGap"
UNFAIR = frozenset({"ModelDisparateImpact", "ModelUnequalErrors", "ModelUnwarrantedAssociation"})

FOLLOWS_MIN = 0.6
"""Below this share of what it followed of its strongest feature a model's answers belong to other inputs."""
OWN_MOVEMENT_MIN = 0.25
"""Standard deviations of its answers by which a model must have moved by itself."""
NEW_SECONDS = 86400.0
"""A change that begins so soon behind a new version is laid to it."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What else is known of a model beside what fires.

    ``began`` is when the change began, ``born`` when the model was first seen, ``version_since`` when its version took
    over (-inf: it has always been this one); seconds of event time. ``judged_by_outcomes``: its errors are judged, and
    would be seen. ``follows``: how much of its strongest feature its answers still follow, ``own_movement`` by how
    many standard deviations they moved where inputs lie as they did; ``None`` where unknown.
    """

    began: float | None = None
    born: float | None = None
    version_since: float = float("-inf")
    judged_by_outcomes: bool = False
    follows: float | None = None
    own_movement: float | None = None


@dataclass(frozen=True, slots=True)
class _Rule:
    action: str
    applies: Callable[[Collection[str], Setting], bool]
    reason: str


def _new_version(fires: Collection[str], known: Setting) -> bool:
    moved = UNFAIR | {ANSWERS, PERFORMANCE, CALIBRATION}
    if known.began is None or moved.isdisjoint(fires):
        return False
    # What is estimated to have begun a little before the version took over may well be due to it.
    return -NEW_SECONDS / 24.0 <= known.began - known.version_since <= NEW_SECONDS


def _answers_otherwise(fires: Collection[str], known: Setting) -> bool:
    if DRIFT in fires or MIX in fires:
        return False
    by_itself = (known.own_movement or 0.0) > OWN_MOVEMENT_MIN and not {PERFORMANCE, CALIBRATION}.isdisjoint(fires)
    return ANSWERS in fires or by_itself


def _changed_under_way(fires: Collection[str], known: Setting) -> bool:
    late = known.began is not None and known.born is not None and known.began - known.born > NEW_SECONDS
    return late and not UNFAIR.isdisjoint(fires) and DRIFT not in fires and MIX not in fires


RULES = (
    _Rule(
        FIX_INPUT,
        lambda fires, _: SHARED in fires,
        "many models were struck at once: what they have in common is at fault, not this model",
    ),
    _Rule(
        FIX_INPUT,
        lambda fires, _: QUALITY in fires,
        "values are missing, invalid or out of range: what feeds the model changed, and its answers follow from that",
    ),
    _Rule(
        FIX_INPUT,
        lambda fires, _: GAP in fires and not {PERFORMANCE, CALIBRATION} & set(fires),
        "outcomes come less often or later for some: what delivers them is at fault, and errors by group can't be told",
    ),
    _Rule(
        ROLL_BACK,
        _new_version,
        "it began with a new version: the one before did not do this",
    ),
    _Rule(
        ROLL_BACK,
        lambda fires, known: (
            bool({PERFORMANCE, CALIBRATION, ANSWERS}.intersection(fires))
            and known.follows is not None
            and known.follows < FOLLOWS_MIN
        ),
        "the answers no longer follow the inputs as they did: a model, its code or its joins changed, not the world",
    ),
    _Rule(
        ROLL_BACK,
        _answers_otherwise,
        "the answers moved and the inputs did not: the model or its code changed, not the world",
    ),
    _Rule(
        RECALIBRATE,
        lambda fires, _: CALIBRATION in fires and PERFORMANCE not in fires,
        "the same scores come true more or less often, and errors did not rise: their order still holds",
    ),
    _Rule(
        RETRAIN,
        lambda fires, _: CALIBRATION in fires,
        "the same scores mean something else and errors rose: what the model learned no longer holds",
    ),
    _Rule(
        RETRAIN,
        lambda fires, _: PERFORMANCE in fires and bool({DRIFT, MIX}.intersection(fires)),
        "the model is asked about other cases than it learned from, and errs more on them",
    ),
    _Rule(
        RETRAIN,
        lambda fires, _: PERFORMANCE in fires,
        "errors rose while inputs and answers stood still: what is to be predicted changed",
    ),
    _Rule(
        ROLL_BACK,
        _changed_under_way,
        "the model began to treat groups otherwise while its inputs stood still: it or its code changed",
    ),
    _Rule(
        RETRAIN,
        lambda fires, _: not UNFAIR.isdisjoint(fires),
        "the model has treated groups unequally for as long as it was seen, or since its inputs moved",
    ),
    _Rule(
        FIX_INPUT,
        lambda fires, _: bool({SILENT, VOLUME}.intersection(fires)),
        "who asks the model, or what carries its events, changed: nothing says that the model did",
    ),
    _Rule(
        NOTHING,
        lambda _, known: known.judged_by_outcomes,
        "the inputs moved and the model follows them: it is wrong no more often than before",
    ),
    _Rule(
        NOTHING,
        lambda _fires, _known: True,
        "only the inputs moved; no outcomes say yet whether the model errs more on them",
    ),
)
"""From causes to consequences; the first that applies is the advice."""


def advise(fires: Collection[str], known: Setting) -> Advice:
    """The advice for a model in which incidents under the alertnames ``fires`` are open, with its reason."""
    rule = next(rule for rule in RULES if rule.applies(fires, known))
    return Advice(rule.action, rule.reason)
