"""What holds for the whole fleet: the budget of false alarms, event time, privacy, sharing, limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, model_validator

from monitor.catalog.durations import PositiveSeconds, Seconds, parse_duration
from monitor.catalog.tables import Count, FilePath, FrozenTable, Settings, Share

SHARE_KINDS = ("drift", "quality", "performance", "fairness")


class ClockSettings(Settings):
    """``[clock]``: how event time is cut, and how long it waits."""

    tick: PositiveSeconds = 60.0
    lateness: Seconds = 120.0
    idle: PositiveSeconds = 60.0
    future: Seconds = 600.0
    leap: PositiveSeconds = 3600.0


class DedupeSettings(Settings):
    """``[dedupe]``: how long, and how many, events are remembered so that none is counted twice."""

    horizon: PositiveSeconds = 86400.0
    capacity: Count = Field(default=5_000_000, ge=1_000, le=10**9)


class BudgetShares(Settings):
    """``budget.shares``: parts of the budget by kind of question; what they leave is not spent."""

    drift: Share = 0.2
    quality: Share = 0.1
    performance: Share = 0.2
    fairness: Share = 0.5

    @model_validator(mode="after")
    def _at_most_one(self) -> Self:
        total = sum(getattr(self, kind) for kind in SHARE_KINDS)
        if total > 1 + 1e-9:
            parts = ", ".join(f"{kind} {getattr(self, kind):g}" for kind in SHARE_KINDS)
            raise ValueError(f"the shares sum to {total:g}, more than 1 ({parts})")
        return self


def _parts(teams: Mapping[str, float]) -> Mapping[str, float]:
    total = sum(teams.values())
    if total > 1 + 1e-9:
        raise ValueError(f"the parts of teams sum to {total:g}, more than 1")
    return FrozenTable(teams)


TeamParts = Annotated[
    Mapping[str, Annotated[float, Field(gt=0, le=1)]],
    AfterValidator(_parts),
    PlainSerializer(dict, return_type=dict[str, float]),
]
"""Parts of a whole by the names of teams, frozen."""


Weight = Annotated[float, Field(ge=1e-3, le=1e3)]


class SeverityWeights(Settings):
    """``budget.severities``: how much a cell gets of its share beside the others, by how grave its alert is alone."""

    info: Weight = 1.0
    warning: Weight = 1.0
    critical: Weight = 1.0


class BudgetSettings(Settings):
    """``[budget]``: the promise. Alarms per week of event time.

    ``teams`` have a part of each share for their models alone; what they leave is that of all others together.
    """

    false_alarms_per_week: float = Field(default=5.0, gt=0, le=1e9)
    per_model_per_week: float = Field(default=1.0, gt=0, le=1e9)
    shares: BudgetShares = BudgetShares()
    teams: TeamParts = FrozenTable()
    severities: SeverityWeights = SeverityWeights()


class AttentionSettings(Settings):
    """``[attention]``: how often a team may be called."""

    pages_per_team_per_day: int = Field(default=10, ge=0, le=10**9)
    gather: Seconds = 300.0


def _horizon_or_duration(value: object) -> object:
    if value != "outcome_horizon":
        parse_duration(value)
    return value


class RetentionSettings(Settings):
    """``privacy.retention``: how long what is kept is kept; ``outcome_horizon`` is each model's own."""

    ticks: PositiveSeconds = 400 * 86400.0
    cases: Annotated[Seconds | Literal["outcome_horizon"], BeforeValidator(_horizon_or_duration)] = "outcome_horizon"
    incidents: PositiveSeconds = 5 * 365 * 86400.0


class PrivacySettings(Settings):
    """``[privacy]``: what is never shown, and when it is forgotten."""

    smallest_group: Count = 20
    group_salt_file: FilePath = ""
    retention: RetentionSettings = RetentionSettings()


class ClusterSettings(Settings):
    """``[cluster]``: whether replicas of one group share the fleet, and into how many shards it is parted for that.

    ``replication`` is that of the internal topics when they are made; -1 is the brokers' own default.
    """

    enabled: bool = False
    shards: int = Field(default=8, ge=1, le=256)
    replication: int = Field(default=-1, ge=-1, le=16)


class DrillSettings(Settings):
    """``[drill]``: how often the daemon asks of each model what it would see, and how much work that may be."""

    every: Seconds = 7 * 86400.0
    cpu: float = Field(default=0.05, gt=0, le=1)


class LimitSettings(Settings):
    """``[limits]``: how much of each there may be; what goes beyond is turned away and counted."""

    models: Count = 20_000
    features_per_model: Count = 1_000
    categories_per_feature: Count = 30
    segment_values: Count = 32
    attributes_per_model: Count = 16
    intersections_per_model: int = Field(default=6, ge=0, le=120)
    groups_per_attribute: Count = 32
    strata_per_model: Count = 128
    outputs_per_model: Count = 1_000
    group_tallies_per_model: Count = 20_000
    record_bytes: Count = Field(default=1_048_576, le=2**28)
    values_per_event: Count = Field(default=2_048, le=2**20)
    depth: Count = Field(default=32, ge=4, le=64)
    name_bytes: Count = Field(default=1_024, le=65_536)
    open_incidents: Count = 10_000
    open_ticks: Count = Field(default=200_000, ge=1_000)
    pending_predictions: Count = 50_000_000
    memory_bytes: int = Field(default=0, ge=0, le=2**50)
