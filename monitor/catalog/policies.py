"""What is asked of each model: one policy, put together from all ``[[models]]`` that match its name."""

from __future__ import annotations

import fnmatch
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, field_validator, model_validator

from monitor.catalog.durations import Instant, PositiveSeconds, Seconds
from monitor.catalog.tables import (
    ClassName,
    Count,
    FrozenTable,
    PathAfter,
    Settings,
    Share,
    Text,
    TextMap,
    class_name,
    did_you_mean,
    overlay,
)

if TYPE_CHECKING:
    from monitor.catalog.outputs import AllowedOutputs

ToleranceFamily = Literal[
    "drift",
    "impact_ratio",
    "error_gap",
    "performance",
    "calibration",
    "quality",
    "association",
    "label_gap",
    "volume",
]
OWNED_KINDS = ("drift", "quality", "volume", "performance", "calibration", "fairness", "label_gap", "mix")
"""Kinds of incident that may have a team of their own."""

DRIFT_FLOOR = 0.02
"""The least that ``tolerance.drift = "auto"`` comes to: a share of the events."""
DRIFT_UNSEEN = 0.2
"""What it comes to before a model was seen through a whole week: a season takes most features no further."""
WEEK_SECONDS = 7 * 86400.0
CALIBRATION_LOGITS = 0.1
"""What ``tolerance.calibration`` is if it is not said: a shift of the outcome's log-odds given the score."""

VOLUME_TOLERANCE = 0.2
"""``tolerance.volume`` where none is set: traffic is looser than what is in it."""

RESOLVED_MAX = 32_768
COMBINATIONS_MAX = 4_096


class Learn(Settings):
    """``learn``: how much of the past becomes the reference."""

    events_min: Count = 200
    events: Count = 10_000
    for_: Seconds = Field(default=7 * 86400.0, alias="for")

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if {"events_min", "events"} <= self.model_fields_set and self.events < self.events_min:
            raise ValueError(f"events ({self.events}) is less than events_min ({self.events_min})")
        return self


def _auto_or_share(value: object) -> object:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value != "auto" and not (number and 0 <= float(str(value)) < 1):
        raise ValueError('is neither "auto" nor a number of at least 0 and less than 1')
    return value


class Tolerance(Settings):
    """``[models.tolerance]``: what is too small to matter, in the unit of each effect.

    ``None`` is ``performance``, of ``quality`` less of rare shares (``detectors/cell.py``), but of ``calibration``,
    which is in logits, :data:`CALIBRATION_LOGITS`, and of ``volume`` a fifth of the traffic. ``impact_ratio`` is the
    least ratio of a group's rate to the rest's,
    ``association`` by what part more often than the rest it may get an output.
    """

    drift: Annotated[float | Literal["auto"], BeforeValidator(_auto_or_share)] = "auto"
    impact_ratio: float = Field(default=0.8, gt=0, le=1)
    error_gap: Share = 0.05
    performance: float = Field(default=0.02, ge=0)
    calibration: float | None = Field(default=None, ge=0)
    quality: float | None = Field(default=None, ge=0)
    association: float = Field(default=0.25, ge=0, le=1e6)
    label_gap: float | None = Field(default=None, ge=0)
    volume: float | None = Field(default=None, ge=0)


class Limits(Settings):
    """``limits``: contracts for performance, each the most there may be; ``None`` where the reference decides."""

    error_rate: Share | None = None
    loss: float | None = Field(default=None, ge=0)
    cost: float | None = Field(default=None, ge=0)


class Costs(Settings):
    """``costs``: what one wrong decision costs, in ``currency``."""

    currency: str = Field(default="", max_length=16)
    false_positive: float = Field(default=0.0, ge=0)
    false_negative: float = Field(default=0.0, ge=0)


class Ignore(Settings):
    """One entry of ``ignore``: traffic for which all that is said holds never counts."""

    segment: TextMap = FrozenTable()
    id_prefix: str = ""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.segment and not self.id_prefix:
            raise ValueError("needs segment or id_prefix, else it would ignore everything")
        return self


class Planned(Settings):
    """One entry of ``planned``: from ``from_`` until just before ``until``, in seconds since the epoch."""

    from_: Instant = Field(alias="from")
    until: Instant
    note: str = ""

    @model_validator(mode="after")
    def _forwards(self) -> Self:
        if self.from_ >= self.until:
            raise ValueError("from is not before until")
        return self


class WatchList(Settings):
    """One ``[[models.watch_tags]]``: a severe-harm list whose tags count as one."""

    name: Text
    tags: tuple[Text, ...]
    budget_share: float = Field(default=0.2, gt=0, le=1)

    @field_validator("tags", mode="after")
    @classmethod
    def _some(cls, tags: tuple[str, ...]) -> tuple[str, ...]:
        if not tags:
            raise ValueError("needs at least one")
        return tags


class RollUp(WatchList):
    """One ``[[models.roll_ups]]``: what tags of one meaning come to together, such as a branch of a taxonomy."""

    budget_share: float = Field(default=0.02, gt=0, le=1)


def _reference(text: str) -> str:
    if text in {"learn", "previous-version", "same-slot-last-week"}:
        return text
    if not text.startswith("file:") or text == "file:":
        raise ValueError('is not "learn", "previous-version", "same-slot-last-week" or "file:PATH"')
    try:
        names = {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
    except ValueError:
        names = {""}
    if not names <= {"model", "version"}:
        raise ValueError("has braces that are neither {model} nor {version}")
    return text


def _file_or_list(value: object) -> object:
    if isinstance(value, tuple):
        if not value or not all(isinstance(each, str | int | float) and each != "" for each in value):
            raise ValueError("is no list of at least one class, tag or item")
        return tuple(str(class_name(each)) for each in value)
    if value != "" and not (isinstance(value, str) and value.startswith("file:") and value != "file:"):
        raise ValueError('is neither "file:PATH" nor a list')
    return value


def _pairs(value: object) -> object:
    if value == "auto":
        return value
    pairs = value if isinstance(value, tuple) else ()
    if value != () and not pairs:
        raise ValueError('is neither "auto" nor a list of pairs')
    if not all(isinstance(pair, tuple) and len(pair) == len(set(pair)) == 2 for pair in pairs):
        raise ValueError('is neither "auto" nor a list of pairs, each of two attributes')
    return value


def _one_or_several(value: object) -> object:
    """A class alone stands for a list of one."""
    return (value,) if isinstance(value, str | int | float) else value


def _owned_kinds(owners: Mapping[str, str]) -> Mapping[str, str]:
    for kind in owners:
        if kind not in OWNED_KINDS:
            raise ValueError(f'"{kind}" is not a kind of incident{did_you_mean(kind, OWNED_KINDS)}')
    return owners


class Policy(Settings):
    """All that is asked of a model. Durations in seconds; names as in the file, but ``learn.for_``, ``planned.from_``.

    ``sensitive`` is ``None`` where every key of the events' own ``sensitive`` counts; of ``intersections`` each is of
    two attributes, "auto" is every two. ``season`` is empty where it is
    found in the reference. ``favourable`` and ``decision_threshold`` are never both set. ``favourable_outcomes`` of a
    resolved policy are those of ``favourable`` where the file names none.
    """

    task: Literal["auto", "binary", "multiclass", "regression", "tags", "ranking"] = "auto"
    learn: Learn = Learn()
    outcome_horizon: Seconds = 86400.0
    missing_outcome: ClassName = "unknown"
    hold: Seconds = 0.0
    keep_firing: Seconds = 3600.0
    team: str = ""
    owners: Annotated[TextMap, AfterValidator(_owned_kinds)] = FrozenTable()
    sensitive: tuple[Text, ...] | None = None
    favourable: tuple[ClassName, ...] = ()
    favourable_outcomes: tuple[ClassName, ...] = ()
    decision_threshold: float | None = None
    favourable_when: Literal["above", "below"] = "above"
    positive: Annotated[tuple[ClassName, ...], BeforeValidator(_one_or_several)] = ()
    explain_by: tuple[Text, ...] = ()
    intersections: Annotated[Literal["auto"] | tuple[tuple[Text, ...], ...], BeforeValidator(_pairs)] = "auto"
    season: tuple[PositiveSeconds, ...] = ()
    limits: Limits = Limits()
    tick: PositiveSeconds = 60.0
    reference: Annotated[str, PathAfter("file:"), AfterValidator(_reference)] = "learn"
    split_by: tuple[Text, ...] = ()
    outcomes_observed: Literal["all", "favourable"] = "all"
    upstreams: tuple[Text, ...] = ()
    allowed_outputs: Annotated[str | tuple[str, ...], PathAfter("file:"), BeforeValidator(_file_or_list)] = ""
    mode: Literal["live", "shadow"] = "live"
    include_group_values: bool = False
    costs: Costs = Costs()
    ignore: tuple[Ignore, ...] = ()
    planned: tuple[Planned, ...] = ()
    tolerance: Tolerance = Tolerance()
    watch_tags: tuple[WatchList, ...] = ()
    roll_ups: tuple[RollUp, ...] = ()
    _outputs: AllowedOutputs | None = PrivateAttr(None)

    @property
    def outputs(self) -> AllowedOutputs | None:
        """What ``allowed_outputs`` names; ``None`` where every output is allowed, or the list was not read."""
        return self._outputs

    def allow(self, outputs: AllowedOutputs | None) -> None:
        """Note the list that ``allowed_outputs`` names; only who puts a policy together may."""
        self._outputs = outputs

    @field_validator(
        "sensitive",
        "favourable",
        "favourable_outcomes",
        "positive",
        "explain_by",
        "season",
        "split_by",
        "upstreams",
        mode="after",
    )
    @classmethod
    def _no_doubles(cls, values: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        if values is not None and len(set(values)) < len(values):
            raise ValueError("something is named twice")
        return values

    @field_validator("watch_tags", "roll_ups", mode="after")
    @classmethod
    def _lists_differ(cls, lists: tuple[WatchList, ...]) -> tuple[WatchList, ...]:
        names = [entry.name for entry in lists]
        doubles = sorted({name for name in names if names.count(name) > 1})
        if doubles:
            raise ValueError(f'"{doubles[0]}" is named twice')
        return lists

    @model_validator(mode="after")
    def _one_way_to_favour(self) -> Self:
        if self.favourable and self.decision_threshold is not None:
            raise ValueError("favourable and decision_threshold are two ways to say the same: keep one")
        return self

    def tolerance_of(self, family: ToleranceFamily) -> float:
        """The tolerance that detectors of ``family`` (a key of ``[models.tolerance]``) use, in their effect's unit.

        An automatic drift tolerance is its floor here; who knows the model's history may only raise it.
        """
        if self.tolerance.drift == "auto" and family == "drift":
            return DRIFT_FLOOR
        if self.tolerance.calibration is None and family == "calibration":
            return CALIBRATION_LOGITS
        value: float | None = getattr(self.tolerance, family)
        if value is None:
            return VOLUME_TOLERANCE if family == "volume" else self.tolerance.performance
        return value

    def contract(self) -> dict[str, float]:
        """What errors are held to and in which unit: of ``limits`` and ``costs`` all that is said, by name."""
        costs = {"false_positive": self.costs.false_positive, "false_negative": self.costs.false_negative}
        said = {name: getattr(self.limits, name) for name in Limits.model_fields}
        return costs | {name: limit for name, limit in said.items() if limit is not None}

    @property
    def cycle(self) -> float:
        """The longest season that is looked for, in seconds: a week, unless a longer one is declared."""
        return max(WEEK_SECONDS, *self.season, 0.0)

    @property
    def unseen_tolerance(self) -> float:
        """The drift tolerance before a whole cycle was seen; 1, which nothing exceeds, where seasons are declared."""
        if self.season:
            return 1.0
        return DRIFT_UNSEEN if self.tolerance.drift == "auto" else self.tolerance.drift

    def team_of(self, kind: str) -> str:
        """The team that incidents of ``kind`` belong to; empty where nobody was named."""
        return self.owners.get(kind, self.team)


class PolicyEntry(Policy):
    """One ``[[models]]`` of a file: what it says, for the models whose names ``match`` fits."""

    match: Text


@dataclass(frozen=True, slots=True)
class Clause:
    """A valid ``[[models]]`` as it was written (lists as tuples), and where: ``config.toml: models[1]``."""

    match: str
    keys: Mapping[str, Any]
    origin: str


class Policies:
    """Which policy a model has. Matching is by glob, case counts; all that match apply in order, later keys win."""

    def __init__(
        self,
        clauses: Sequence[Clause] = (),
        tick: float = 60.0,
        outputs: Mapping[str | tuple[str, ...], AllowedOutputs] = MappingProxyType({}),
    ) -> None:
        """``clauses`` must each be valid as :class:`PolicyEntry`; ``tick`` (seconds) is the tick of who names none.

        ``outputs`` are the lists that were read, by what ``allowed_outputs`` says.
        """
        self.clauses = tuple(clauses)
        self.tick = tick
        self._outputs = outputs
        self._patterns = [re.compile(fnmatch.translate(clause.match)) for clause in self.clauses]
        # Two caches, since thousands of models share few combinations of clauses, and names are chosen by strangers.
        self._of_model = lru_cache(maxsize=RESOLVED_MAX)(self._find)
        self._of_clauses = lru_cache(maxsize=COMBINATIONS_MAX)(self._combine)

    def resolve(self, model: str) -> Policy:
        """The policy of ``model``; models to whom the same ``[[models]]`` apply share one object."""
        return self._of_model(model)

    def unnamed(self) -> Policy:
        """The policy of a model that nothing matches."""
        return self._of_clauses(())

    def resolve_pattern(self, index: int) -> Policy:
        """What ``clauses[index]`` comes to for a model that no narrower pattern names."""
        match = self.clauses[index].match
        return self._of_clauses(
            tuple(i for i, pattern in enumerate(self._patterns) if i == index or pattern.match(match))
        )

    def _find(self, model: str) -> Policy:
        return self._of_clauses(tuple(i for i, pattern in enumerate(self._patterns) if pattern.match(model)))

    def _combine(self, indices: tuple[int, ...]) -> Policy:
        merged: dict[str, Any] = {}
        for i in indices:
            keys = self.clauses[i].keys
            if keys.get("favourable"):
                merged.pop("decision_threshold", None)
            if "decision_threshold" in keys:
                merged.pop("favourable", None)
            merged = overlay(merged, keys)
        merged.setdefault("favourable_outcomes", merged.get("favourable", ()))
        policy = Policy.model_validate(merged | {"learn": _consistent(merged.get("learn", {}))})
        if "tick" not in merged:
            policy = policy.model_copy(update={"tick": self.tick})
        policy.allow(self._outputs.get(policy.allowed_outputs))
        return policy


def _consistent(learn: Mapping[str, Any]) -> dict[str, Any]:
    """``learn`` of several clauses, each valid alone, such that the reference never ends before judging begins."""
    defaults = Learn()
    events_min = learn.get("events_min", defaults.events_min)
    return {**learn, "events": max(events_min, learn.get("events", defaults.events))}
