"""What the outside is told: an incident and the cells that it takes in (contract, section 6)."""

from __future__ import annotations

import msgspec


class Effect(msgspec.Struct, frozen=True):
    """How far something moved, in words and numbers; ``tolerance`` in the same unit as ``value``."""

    name: str
    value: float
    tolerance: float


class CellReport(msgspec.Struct, frozen=True):
    """One cell of an incident, as it stood when it fired. Times in seconds since the epoch; unknown is ``None``."""

    detector: str
    feature: str | None
    output: str | None
    attribute: str | None
    group: str | None
    effect: Effect
    evidence_log10: float
    onset_time: float | None
    fired_time: float


class Incident(msgspec.Struct, frozen=True):
    """One incident per model, alertname and attribute, frozen: a change makes a new value of the same ``id``.

    Times in seconds since the epoch. ``labels`` are the alert's own, frozen at firing, without ``external_labels``.
    """

    id: str
    kind: str
    alertname: str
    model: str
    version: str
    detector: str
    feature: str | None
    output: str | None
    attribute: str | None
    group: str | None
    severity: str
    state: str
    onset_time: float | None
    fired_time: float
    resolved_time: float | None
    effect: Effect
    evidence_log10: float
    summary: str
    description: str
    labels: dict[str, str]
    cells: tuple[CellReport, ...]
    models: tuple[str, ...] = ()
    people_affected: int | None = None
    cost: float | None = None
    related: tuple[str, ...] = ()
    merged_into: str | None = None
    resolved_because: str | None = None
