"""What is told of a model's conduct: alarms that begin to fire, and cells that no longer do."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Listed:
    """What an alarm about lists speaks of: which ``part`` of the predictions, and shares of it that fell so low."""

    part: str
    question: str
    before: float
    now: float


@dataclass(frozen=True, slots=True)
class ConductAlarm:
    """A cell of ``model`` that begins to fire; ``series`` is the row of the series that it is about, -1 for none.

    ``before`` and ``now`` are seconds for ``stuck`` and ``stale``, shares of the events for the others; ``events`` came
    in the stretch that ``stuck`` saw; ``output`` is the commonest that is not allowed; ``listed`` of lists alone.
    """

    model: int
    series: int
    detector: str
    before: float
    now: float
    effect: float
    tolerance: float
    evidence_log10: float
    onset_time: float
    fired_time: float
    events: float = 0.0
    output: str | None = None
    listed: Listed | None = None
    docket: bytes = b""
    """All that it was judged by since it came under suspicion (:mod:`monitor.dockets`); empty where it was not kept."""

    @property
    def cell(self) -> str:
        """The cell's name among those of its row."""
        return self.listed.question if self.listed else self.detector


@dataclass(slots=True)
class Conducted:
    """What a tick gave: alarms, cells (row, detector) that stopped, and how many cells bet."""

    alarms: list[ConductAlarm] = field(default_factory=list)
    cleared: list[tuple[int, str]] = field(default_factory=list)
    n_cells: int = 0

    def add(self, other: Conducted) -> None:
        """Add what other cells gave."""
        self.alarms += other.alarms
        self.cleared += other.cleared
        self.n_cells += other.n_cells
