"""What is told of a model's traffic: alarms, what became due at a moment, what there is to show."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class TrafficAlarm:
    """Traffic of ``model`` that begins to fire: ``events`` came in ``seconds`` in which ``expected`` were.

    ``effect`` and ``tolerance`` are in events for ``silence``, relative changes for ``volume``.
    """

    model: int
    detector: str
    events: float
    expected: float
    seconds: float
    effect: float
    tolerance: float
    evidence_log10: float
    onset_time: float
    fired_time: float


@dataclass(slots=True)
class Watched:
    """What became due at the moment ``due``: alarms that begin to fire, and cells that no longer do."""

    due: float
    alarms: list[TrafficAlarm] = field(default_factory=list)
    cleared: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Known:
    """What there is to show of one model's traffic: ``due`` is when it would be silent at the earliest, NaN for never.

    ``ratio`` is the present over what is expected, NaN before judging; ``rates`` (168,) events an hour from Monday.
    """

    retired: bool
    judged: bool
    silent: bool
    firing: bool
    due: float
    ratio: float
    rates: list[float]
