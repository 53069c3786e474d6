"""The frozen picture of the fleet that the loop publishes and the web reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from monitor.incidents.incident import Incident
    from monitor.incidents.order import Order, Outcome

MODEL_STATES = ("learning", "watching", "firing", "silent")
CHECK_STATUSES = ("ok", "degraded", "failing")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold for the daemon to do its work. ``status`` is one of :data:`CHECK_STATUSES`."""

    status: str
    detail: str
    observed_at: float


@dataclass(frozen=True, slots=True)
class Fleet:
    """All models in columns, sorted by name; index ``i`` is the same model everywhere.

    ``state`` (uint8) indexes :data:`MODEL_STATES`; ``events`` (int64); ``last_event_time`` (float64, seconds since
    the epoch, NaN before the first); ``drift_ratio`` (float64: the largest effect over its tolerance, NaN while
    nothing is judged).
    """

    names: Sequence[str]
    versions: Sequence[str]
    teams: Sequence[str]
    state: NDArray[np.uint8]
    events: NDArray[np.int64]
    last_event_time: NDArray[np.float64]
    drift_ratio: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DriftingFeature:
    """A feature that is exported while it drifts. ``ratio`` is its effect over its tolerance."""

    model: str
    feature: str
    detector: str
    ratio: float


@dataclass(frozen=True, slots=True)
class ImpactRatio:
    """A group's present ratio of favourable decisions to the rest; ``group`` is a code where values stay inside."""

    model: str
    attribute: str
    group: str
    ratio: float


@dataclass(frozen=True, slots=True)
class DrilledModel:
    """What the last fire drill of a model found.

    ``days`` is by standard fault how long nobody would know where that takes longest, ``blind`` how many faults nobody
    would know of within the drill's horizon.
    """

    model: str
    days: Mapping[str, float]
    blind: int


@dataclass(frozen=True, slots=True)
class ClusterView:
    """What this replica knows of its cluster.

    ``member`` is its name in the group that shares out the shards, ``members`` how many that has, ``generation`` how
    often it was shared out anew, ``shards`` and ``partitions`` what this replica judges and reads.
    """

    member: str
    members: int
    generation: int
    shards: Sequence[int]
    shards_total: int
    partitions: Sequence[str]


@dataclass(frozen=True, slots=True)
class Status:
    """Everything the web shows, as of ``published_at`` (wall time). Immutable; a new one replaces it whole."""

    version: str
    mode: str
    started_at: float
    published_at: float
    watermark: float | None
    ready: bool
    loop_turned_at: float
    checks: Mapping[str, Check]
    fleet: Fleet
    incidents: Sequence[Incident]
    """Open ones and the newest resolved ones, newest first."""
    budget: Mapping[str, Any]
    """``per_week``, ``shares`` and ``spent`` by share."""
    config_hash: str = ""
    config_loaded_at: float = 0.0
    drifting: Sequence[DriftingFeature] = field(default=())
    impact: Sequence[ImpactRatio] = field(default=())
    drilled: Sequence[DrilledModel] = field(default=())
    opened: Mapping[str, int] = field(default_factory=dict)
    """Incidents that were opened since the start, by alertname."""
    cluster: ClusterView | None = None
    """``None`` where one daemon watches the whole fleet."""


@dataclass(frozen=True, slots=True)
class History:
    """What is known of a model in a past range: all but its incidents in JSON types, and these, the newest first."""

    document: dict[str, Any]
    incidents: Sequence[Incident]


class Desk(Protocol):
    """How another thread gets at what only the loop may touch: it asks, and the loop answers on its next turn.

    ``keeps_past`` tells whether the past of models is kept at all.
    """

    keeps_past: bool

    def status(self) -> Status:
        """The newest published picture; never blocks."""
        ...

    def model_detail(self, model: str) -> dict[str, Any] | None:
        """The document of ``/api/v1/models/{model}`` in JSON types, or ``None``; raises ``TimeoutError``."""
        ...

    def group_codes(self, model: str) -> dict[str, Any] | None:
        """What is behind the codes of a model's groups, in JSON types, or ``None``; raises ``TimeoutError``."""
        ...

    def drill(self, model: str) -> Callable[[], dict[str, Any]] | None:
        """A fire drill of a model, ready to be run on any thread, or ``None``; raises ``TimeoutError``."""
        ...

    def history(self, model: str, segment: str = "") -> Callable[[float, float], History] | None:
        """The past of a model, to be read on any thread by (since, until), or ``None``; raises ``TimeoutError``.

        With a ``segment`` such as ``country=SE`` that of one value by which the model is split.
        """
        ...

    def exhibit(self, digest: str) -> bytes | None:
        """The policy or the reference that an incident names by ``digest``, or ``None``."""
        ...

    def order(self, order: Order) -> Outcome:
        """Have the loop do what somebody asks for, and hear what became of it; raises ``TimeoutError``."""
        ...
