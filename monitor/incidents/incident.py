"""What the outside is told: an incident and the cells that it takes in (contract, section 6)."""

from __future__ import annotations

import msgspec


class Effect(msgspec.Struct, frozen=True):
    """How far something moved, in words and numbers; ``tolerance`` in the same unit as ``value``."""

    name: str
    value: float
    tolerance: float


class CellReport(msgspec.Struct, frozen=True):
    """One cell of an incident, as it stood when it fired. Times in seconds since the epoch; unknown is ``None``.

    ``segment`` is the part of the events that it speaks of (``country=SE``), ``None`` for all of them.
    ``model`` is whose cell it is; empty where that is the incident's own model.
    """

    detector: str
    feature: str | None
    output: str | None
    attribute: str | None
    group: str | None
    effect: Effect
    evidence_log10: float
    onset_time: float | None
    fired_time: float
    model: str = ""
    segment: str | None = None
    strength: float | None = None
    """How it ranks among the cells of its incident, where its effect over its tolerance does not say."""
    onset_interval: tuple[float, float] | None = None
    """Between when and when it began, in nine of ten cases."""

    @property
    def rank(self) -> tuple[float, float]:
        """The strongest cell first: how far it moved beyond its tolerance, then evidence."""
        strength = self.effect.value / max(self.effect.tolerance, 1e-9) if self.strength is None else self.strength
        return -strength, -self.evidence_log10


class Acknowledged(msgspec.Struct, frozen=True):
    """Who knows of an incident and until when nobody else need hear of it; times in seconds since the epoch.

    ``reason`` is one of :data:`REASONS`. ``silence`` is the id of the Alertmanager silence that said so, else empty.
    """

    by: str
    reason: str
    note: str
    since: float
    until: float
    silence: str = ""


class Advice(msgspec.Struct, frozen=True):
    """What should be done, one of :data:`monitor.incidents.advice.ACTIONS`, and why."""

    action: str
    reason: str


class Note(msgspec.Struct, frozen=True):
    """What somebody wrote to an incident, at ``time`` (wall time, seconds since the epoch)."""

    by: str
    time: float
    text: str


REASONS = ("expected", "fixed", "false", "not_useful", "silenced")
"""Why an incident is acknowledged. ``silenced`` is said by an Alertmanager alone."""


class GapBill(msgspec.Struct, frozen=True):
    """What a gap between a group and the rest comes from, as it stood when it fired.

    ``gap`` is the group's rate less the rest's, in points of 1, and the sum of ``composition``, the group's other
    shares of the strata of ``by``, and ``behaviour``, its other rates within them. ``people`` of the group were
    decided on since suspicion began; ``cost`` is what behaviour cost of them, in ``currency``.
    """

    by: tuple[str, ...]
    gap: float
    composition: float
    behaviour: float
    people: int
    cost: float | None = None
    currency: str = ""

    def words(self) -> str:
        """In one line, of percentage points and people."""
        parts = (self.gap, self.composition, self.behaviour)
        told = [f"{100.0 * part:+.3g} points ({part * self.people:+.0f} people)" for part in parts]
        within = f" by {' and '.join(self.by)}" if self.by else ", of which nothing is said in explain_by"
        money = "" if self.cost is None else f", {self.cost:.2f} {self.currency}".rstrip()
        return f"{told[0]}: composition{within} {told[1]}, the model's behaviour {told[2]}{money}"


class Incident(msgspec.Struct, frozen=True):
    """One incident per model, alertname and attribute, frozen: a change makes a new value of the same ``id``.

    Times in seconds since the epoch. ``labels`` are the alert's own, frozen at firing, without ``external_labels``.
    Of a shared cause ``model`` is empty, ``models`` are those it struck, and ``cause`` says what they have in common.
    ``traffic`` is the events a day that flowed through its models when it fired. ``watched`` incidents come from a
    watch list and wait for nobody; ``reference_version`` is the one that ``version`` is judged by, where it is one;
    ``paged_time`` is when the team was called, ``None`` if it was not.
    ``onset_interval`` is between when and when it began in nine of ten cases. ``policy_digest``,
    ``reference_digest`` and ``docket_digest`` (SHA-256, hexadecimal) name what it was judged by when it fired; the
    docket is that of the cell that opened it. ``verdict`` is the reason with which somebody acknowledged it last; it
    outlives the acknowledgement, unless that is taken back.
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
    currency: str = ""
    related: tuple[str, ...] = ()
    merged_into: str | None = None
    resolved_because: str | None = None
    cause: str | None = None
    traffic: float = 0.0
    watched: bool = False
    paged_time: float | None = None
    acknowledged: Acknowledged | None = None
    notes: tuple[Note, ...] = ()
    code_version: str = ""
    onset_interval: tuple[float, float] | None = None
    segment: str | None = None
    reference_version: str = ""
    policy_digest: str = ""
    reference_digest: str = ""
    docket_digest: str = ""
    verdict: str = ""
    advice: Advice | None = None
    bill: GapBill | None = None
