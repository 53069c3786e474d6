"""Do incidents of many models have one cause? What they share, against what chance would bring together.

A cause is a feature of one name, a source that policies name in ``upstreams``, or a moment. Incidents fall on models at
a rate that is known: the budget of false ones, and what else the fleet had in the last week. Those that fell on ``k``
models of a cause's candidates within ``span`` seconds are one incident where chance alone would do this less than once
in :data:`CHANCE_WEEKS` weeks (docs/statistics.md, "Shared causes").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from monitor.incidents.incident import Incident

CHANCE_WEEKS = 20.0
"""By chance alone incidents of different models are taken for one at most once in so many weeks."""
MODELS_MIN = 3
"""Two models are a coincidence that people can read for themselves."""
MOMENT_MODELS_MIN, MOMENT_PART_MIN = 5, 0.1
"""A moment is a weak bond: it needs so many models, and that part of the fleet."""
SPAN_SECONDS_MAX = 86400.0
"""Incidents that fired longer ago than this no longer found a cause; they may still join one."""
ONSET_SECONDS = 3600.0
"""By how much the onsets of a cause and of its consequences may differ at least: they are estimates."""
_OWN_FACTOR, _OWN_DEVIATIONS = 2.0, 5.0
"""A model's movement is its own where it is so many times the common one, and so many robust deviations beyond it."""
_WIDER = 1.5
"""A source is named in place of a feature where it struck so many times the models, half the feature's among them."""
_MAD = 1.4826
_WEEK_SECONDS = 7 * 86400.0
_KINDS = 3
"""Kinds of cause that each new incident is asked about."""

Cause = tuple[str, str]
"""Kind (``feature``, ``upstream``, ``moment``) and name."""

_DATA = frozenset(
    {
        *("ModelFeatureDrift", "ModelDataQuality", "ModelPredictionDrift"),
        *("ModelVolumeAnomaly", "ModelSilent", "ModelPopulationMix"),
    }
)
_OUTCOMES = frozenset({"ModelPerformanceDegraded", "ModelCalibrationShift", "ModelLabelGap"})
_CONSEQUENCE = "ModelPredictionDrift"


@dataclass(frozen=True, slots=True)
class Member:
    """One open incident of one model as a cause sees it; ``tick`` is its model's, in seconds."""

    incident: Incident
    upstreams: tuple[str, ...]
    tick: float

    @property
    def features(self) -> frozenset[str]:
        """The features of its cells."""
        return frozenset(cell.feature for cell in self.incident.cells if cell.feature)

    @property
    def began(self) -> float:
        """When it began, as far as is known."""
        return self.incident.fired_time if self.incident.onset_time is None else self.incident.onset_time


@dataclass(frozen=True, slots=True)
class Found:
    """A cause, the features that its members have in common, and the incidents that are taken for one."""

    cause: Cause
    features: tuple[str, ...]
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Chance:
    """What the fleet would show without any cause.

    ``budget`` is how many false incidents a week are allowed; ``incidents`` were there within the last ``elapsed``
    seconds (a week at most); ``share`` gives the part that falls on a cause's candidates; ``n_models`` is the size of
    the fleet.
    """

    budget: float
    incidents: int
    elapsed: float
    share: Callable[[Cause], float]
    n_models: int

    def rules_out(self, cause: Cause, k: int, span: float) -> bool:
        """Whether ``k`` models within ``span`` seconds, the newest among them, are no chance.

        The newest is there anyway: what is asked is how probable ``k - 1`` others within the span are, as a Poisson
        count at the rate of all other incidents. Every new incident asks once for each kind of cause and each ``k``,
        at levels that sum up to 1 / ``CHANCE_WEEKS`` a week.
        """
        exposure = max(self.elapsed - span, SPAN_SECONDS_MAX)
        per_week = self.budget + max(self.incidents - k, 0) * _WEEK_SECONDS / exposure
        expected = per_week * self.share(cause) * span / _WEEK_SECONDS
        looks = _KINDS * max(per_week, 1.0) * k * (k - 1) / (MODELS_MIN - 1)
        return float(special.pdtrc(k - 2, expected)) * looks * CHANCE_WEEKS <= 1.0


def groupable(incident: Incident) -> str:
    """The kind of incidents that it may be taken together with; empty for none.

    Fairness stays with its model: who is disadvantaged there is nobody else's consequence. So do the features of a
    group, and what a watch list says.
    """
    data = incident.alertname in _DATA and incident.attribute is None
    family = "data" if data else "outcomes" if incident.alertname in _OUTCOMES else ""
    return f"{family}/{incident.labels.get('mode', '')}" if family and not incident.watched else ""


def find(newest: Sequence[Member], recent: Sequence[Member], chance: Chance) -> Found | None:
    """The strongest cause of which one of ``newest`` is a part, or ``None``.

    ``recent`` are all members of the same family (:func:`groupable`) that fired within :data:`SPAN_SECONDS_MAX`,
    ``newest`` among them. A feature goes before a source, unless the source struck far more models; both go before a
    moment.
    """
    feature = _first(_features(newest, recent), recent, chance)
    sources = (_founded(cause, recent, chance) for cause in _upstreams(newest))
    source = max((found for found in sources if found), key=_n_struck, default=None)
    if feature is not None and source is not None and _wider(source, feature):
        return source
    return feature or source or _founded(("moment", ""), recent, chance)


@dataclass(frozen=True, slots=True)
class Standing:
    """A cause that stands: when it began and was found, seconds, its ``features``, and the ``models`` it struck."""

    cause: Cause
    features: frozenset[str]
    models: frozenset[str]
    began: float
    found: float

    def has(self, member: Member) -> bool:
        """Whether ``member`` belongs to it: it shares what the others share, or follows from it.

        The drift of a struck model's predictions follows from it where it began with it.
        """
        kind, name = self.cause
        slack = _onset_slack(member)
        with_it = abs(member.began - self.began) <= slack
        if member.incident.alertname == _CONSEQUENCE and member.incident.model in self.models:
            return with_it
        if kind == "feature":
            return member.began >= self.began - slack and _mostly(member, self.features)
        if kind == "upstream":
            return with_it and name in member.upstreams
        return self.at_once(member.began, member.incident.fired_time, member.tick)

    def at_once(self, onset: float, fired: float, tick: float) -> bool:
        """Whether what began about ``onset`` and fired then began at the same moment, seconds.

        An estimate is as far off as the alarm was late. Of what fires within a day that is slack enough; whatever is
        found more slowly still would fit any moment, and shares nothing else: its onset itself must be near.
        """
        soon = fired - self.found <= SPAN_SECONDS_MAX
        return abs(onset - self.began) <= max(ONSET_SECONDS, 2.0 * tick, fired - onset if soon else 0.0)


def own_movement(effects: Sequence[float], effect: float) -> bool:
    """Whether ``effect`` is a movement of a model's own beside the common one, the median of ``effects``."""
    middle = float(np.median(effects))
    deviation = _MAD * float(np.median(np.abs(np.asarray(effects) - middle)))
    return effect > _OWN_FACTOR * middle and effect > middle + _OWN_DEVIATIONS * deviation


def began(members: Sequence[Member]) -> float:
    """When what ``members`` share began: the median of their onsets, each an estimate with an error of its own."""
    return float(np.median([member.began for member in members]))


def _features(newest: Sequence[Member], recent: Sequence[Member]) -> list[Cause]:
    """Features of ``newest`` that enough of ``recent`` have, the commonest first."""
    counts = Counter(name for member in recent for name in member.features)
    names = {name for member in newest for name in member.features if counts[name] >= MODELS_MIN}
    return [("feature", name) for name in sorted(names, key=lambda name: (-counts[name], name))]


def _upstreams(newest: Sequence[Member]) -> list[Cause]:
    return [("upstream", name) for name in sorted({name for member in newest for name in member.upstreams})]


def _first(causes: Sequence[Cause], recent: Sequence[Member], chance: Chance) -> Found | None:
    return next((found for cause in causes if (found := _founded(cause, recent, chance)) is not None), None)


def _wider(source: Found, feature: Found) -> bool:
    """Whether a source names what ``feature`` is a part of: others of it moved at the same time, in other features."""
    when = began(feature.members)
    with_it = {m.incident.model for m in source.members if abs(m.began - when) <= _onset_slack(m)}
    struck = {member.incident.model for member in feature.members}
    return 2 * len(struck & with_it) >= len(struck) and len(with_it) >= _WIDER * len(struck)


def _n_struck(found: Found) -> int:
    return len({member.incident.model for member in found.members})


def _founded(cause: Cause, recent: Sequence[Member], chance: Chance) -> Found | None:
    """The cause with its members, where they are too many too close together for chance."""
    kind, name = cause
    if kind == "feature":
        held = [member for member in recent if name in member.features]
    elif kind == "upstream":
        held = [member for member in recent if name in member.upstreams]
    else:
        held = list(recent)
    if len({member.incident.model for member in held}) < MODELS_MIN:
        return None
    common = _common(held) if kind == "feature" else frozenset[str]()
    if kind == "feature":
        held = [member for member in held if _mostly(member, common)]
    held = _without_own(held)
    if not _too_many(cause, held, chance):
        return None
    named = tuple(sorted(common, key=lambda feature: (feature != name, feature)))
    return Found(cause, named, tuple(held))


def _too_many(cause: Cause, held: Sequence[Member], chance: Chance) -> bool:
    """Whether for any ``k`` the newest ``k`` models lie closer together than chance would bring them."""
    first: dict[str, float] = {}
    for member in held:
        model = member.incident.model
        first[model] = min(first.get(model, np.inf), member.incident.fired_time)
    least = MODELS_MIN
    if cause[0] == "moment":
        least = max(MOMENT_MODELS_MIN, int(np.ceil(MOMENT_PART_MIN * chance.n_models)))
    # Alarms come at the ends of ticks: closer together than a tick they cannot be told apart.
    tick = max((member.tick for member in held), default=0.0)
    times = sorted(first.values(), reverse=True)
    return any(chance.rules_out(cause, k, max(times[0] - times[k - 1], tick)) for k in range(least, len(times) + 1))


def _common(held: Sequence[Member]) -> frozenset[str]:
    """Features that at least half of ``held`` have among their cells."""
    counts = Counter(name for member in held for name in member.features)
    return frozenset(name for name, n in counts.items() if 2 * n >= len(held))


def _mostly(member: Member, features: frozenset[str]) -> bool:
    """Whether at least half of the cells of ``member`` are of ``features``: else what moved is the model's own."""
    cells = member.incident.cells
    return 2 * sum(cell.feature in features for cell in cells) >= len(cells) > 0


def _without_own(held: Sequence[Member]) -> list[Member]:
    effects = [member.incident.effect.value for member in held]
    return [member for member in held if not own_movement(effects, member.incident.effect.value)]


def _onset_slack(member: Member) -> float:
    delay = member.incident.fired_time - member.began
    return max(ONSET_SECONDS, 2.0 * member.tick, delay)
