"""If this went wrong, when would we know? Synthetic faults in copies of a model's own tick sums, judged as they are.

Judging is pure, so a fire drill costs nothing but time: the series of a model are copied once for each fault, the sums
of its last two days are changed as the fault would have changed them, and the copies are judged under the budget that
the real cells have. The copies begin without evidence: what is foretold is the time from the fault to the alarm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.budget import Budget
from monitor.catalog.models import FIELDS as MODEL_FIELDS
from monitor.catalog.models import Models
from monitor.catalog.series import FIELDS as SERIES_FIELDS
from monitor.catalog.series import JUDGED, SPACE_NAMES, Series
from monitor.detectors import DETECTORS
from monitor.fleet import Fleet
from monitor.judging import Judge, TickSums
from monitor.kernels.tally import (
    BELOW,
    BINS,
    COLUMNS,
    INVALID,
    KIND_CATEGORY,
    KIND_NUMBER,
    NULLS,
    TYPE,
    UNSEEN_BIN,
)
from monitor.tally.closed import ClosedTick

PAST_SECONDS = 2 * 86400.0
"""How much of a model's past is drilled on: as long as the tick log has every tick (store/ticklog.py)."""
HORIZON_SECONDS = 30 * 86400.0
"""What would take longer than this to see is a blind spot."""
FINE_TICKS_MAX = 600
"""Ticks of the first look, and of the second: the past is cut so that there are no more."""
_SEED = 20_011
_KEPT = ("reference_share", "null_low", "null_high", "null_n", "cost", "applies")
_SCATTER = ("scatter", "scatter_weight", "scatter_ticks")

Array = NDArray[np.float64]
Transform = Callable[["Subject"], Array]


@dataclass(frozen=True, slots=True)
class Subject:
    """A series as a fault meets it: its bins (32,) as reference counts, its edges, and what numbers it has."""

    reference: Array
    edges: Array
    low: float
    high: float
    deviation: float


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that may go wrong with a series of one kind; ``words`` continue "if ...".

    ``matrix`` says where values go, shape ``(40, 40)``: a value counted in column ``i`` is counted in ``j`` with
    probability ``matrix[i, j]``. Totals (events, present) are columns like any other.
    """

    name: str
    kind: int
    words: str
    matrix: Transform


@dataclass(frozen=True, slots=True)
class Finding:
    """What a drill says of one fault: ``days`` until somebody would know, ``None`` where that is beyond the horizon."""

    feature: str
    space: str
    fault: str
    words: str
    detector: str | None
    days: float | None

    def document(self) -> dict[str, Any]:
        """In JSON types."""
        seen = f"you would know in {self.days:.1f} days" if self.days is not None else "nobody would know in 30 days"
        return {
            "feature": self.feature,
            "space": self.space,
            "fault": self.fault,
            "detector": self.detector,
            "days": None if self.days is None else round(self.days, 4),
            "words": f"if {self.feature} {self.words}, {seen}",
        }


@dataclass(slots=True)
class Drill:
    """Everything a drill needs, copied from the fleet, so that it may run on any thread."""

    model: str
    judge: Judge
    series: NDArray[np.int64]
    """Row of each copy, ``(k,)``."""
    origin: NDArray[np.int64]
    """The series' place in the model's ticks, for each copy."""
    faults: list[tuple[str, str, Fault]]
    matrices: Array
    ticks: Sequence[ClosedTick]
    seconds: float

    def run(self) -> list[Finding]:
        """Judge all faults side by side, first on the past two days, then over thirty, the past repeated."""
        days = np.full(len(self.series), np.nan)
        names: list[str | None] = [None] * len(self.series)
        fine = max(self.seconds, math.ceil(PAST_SECONDS / FINE_TICKS_MAX / self.seconds) * self.seconds)
        coarse = max(fine, math.ceil(HORIZON_SECONDS / FINE_TICKS_MAX / self.seconds) * self.seconds)
        for length, horizon in ((fine, PAST_SECONDS), (coarse, HORIZON_SECONDS)):
            open_ = np.flatnonzero(np.isnan(days))
            if len(open_):
                self._play(open_, length, horizon, days, names)
        return [
            Finding(feature, space, fault.name, fault.words, name, None if math.isnan(day) else float(day))
            for (feature, space, fault), name, day in zip(self.faults, names, days.tolist(), strict=True)
        ]

    def _play(
        self, copies: NDArray[np.int64], length: float, horizon: float, days: Array, names: list[str | None]
    ) -> None:
        """Judge ``copies`` over ticks of ``length`` seconds until ``horizon``; fill in when each is seen, by what."""
        _forget(self.judge, self.series)
        rng = np.random.default_rng(_SEED)
        place = {int(row): i for i, row in enumerate(self.series.tolist())}
        for number, sums in enumerate(_repeated(_lengthened(self.ticks, length), int(horizon / length)), 1):
            before = sums[self.origin[copies]].astype(np.float64)
            after = np.einsum("kc,kcd->kd", before, self.matrices[copies])
            counts = np.floor(after + rng.random(after.shape)).astype(np.uint32)
            end = number * length
            judged = self.judge.judge(TickSums(self.series[copies], counts, end, np.full(len(copies), length)))
            for alarm in judged.alarms:
                i = place[alarm.row]
                if math.isnan(days[i]):
                    days[i], names[i] = end / 86400.0, DETECTORS[alarm.detector].name


def drill_of(
    fleet: Fleet, model: str, history: Callable[[int, float, float], Sequence[ClosedTick]]
) -> Callable[[], dict[str, Any]] | None:
    """A drill of ``model`` on the last two days of ``history`` (row, since, until), ready to be run on any thread.

    ``None`` where there is no such model.
    """
    row = fleet.find_model(model)
    if row is None:
        return None
    now = float(fleet.models.rows["last_time"][row])
    drill = prepare(fleet, row, history(row, now - PAST_SECONDS, np.inf))
    return lambda: report(model, drill.run())


def prepare(fleet: Fleet, row: int, ticks: Sequence[ClosedTick]) -> Drill:
    """Copy what a drill of the model in ``row`` needs; ``ticks`` are those of its last two days, oldest first."""
    series, rows = fleet.lives.series_rows(row), fleet.series.rows
    judged = [i for i, at in enumerate(series.tolist()) if rows["judging"][at] == JUDGED]
    deviations = _deviations(ticks, len(series))
    origin, faults, matrices = [], [], []
    for i in judged:
        at = int(series[i])
        subject = _subject(fleet, at, float(deviations[i]))
        for fault in FAULTS:
            if fault.kind != rows["kind"][at] or (fault.name in _OF_DISTRIBUTION and not rows["n_cuts"][at]):
                continue
            origin.append(i)
            faults.append((fleet.series.names[at], SPACE_NAMES[int(rows["space"][at])], fault))
            matrices.append(fault.matrix(subject))
    copies = np.array(origin, np.int64)
    return Drill(
        model=fleet.models.items[row].name,
        judge=_judge(fleet, row, series[copies]),
        series=np.arange(len(copies)),
        origin=copies,
        faults=faults,
        matrices=np.stack(matrices) if matrices else np.zeros((0, COLUMNS, COLUMNS)),
        ticks=list(ticks),
        seconds=float(fleet.models.rows["tick"][row]),
    )


def report(model: str, findings: Iterable[Finding]) -> dict[str, Any]:
    """The document of a drill: what would be seen, the quickest first, and the blind spots."""
    found = sorted(findings, key=lambda f: (f.days is None, f.days or 0.0, f.feature, f.fault))
    return {
        "model": model,
        "horizon_days": HORIZON_SECONDS / 86400.0,
        "faults": [finding.document() for finding in found],
        "blind_spots": [finding.document() for finding in found if finding.days is None],
    }


def _judge(fleet: Fleet, row: int, originals: NDArray[np.int64]) -> Judge:
    """A judge of copies of ``originals`` alone, with their nulls and the budget of their real cells."""
    models, series = Models(1), Series()
    models.rows.add()
    for name in MODEL_FIELDS:
        models.rows[name][0] = fleet.models.rows[name][row]
    if len(originals):
        series.rows.add(len(originals))
        for name in SERIES_FIELDS:
            series.rows[name][: len(originals)] = fleet.series.rows[name][originals]
    series.rows["model"][: len(originals)] = 0
    series.names = [fleet.series.names[original] for original in originals.tolist()]
    budget = fleet.judge.budget
    judge = Judge(models, series, Budget(budget.per_week, budget.per_model_per_week, budget.shares))
    judge.n_cells = dict(fleet.judge.n_cells)
    judge.extend()
    for detector in DETECTORS:
        own, real = judge.states[detector.name], fleet.judge.states[detector.name]
        for name in (*_KEPT, *_SCATTER):
            own[name][: len(originals)] = real[name][originals]
    models.rows["hold"][0] = 0.0
    models.rows["n_cells"][0] = np.maximum(models.rows["n_cells"][0], 1)
    return judge


def _forget(judge: Judge, rows: NDArray[np.int64]) -> None:
    """Let the cells of ``rows`` begin anew, with what they know of their nulls and of clumps."""
    for detector in DETECTORS:
        state = judge.states[detector.name]
        kept = {name: state[name][rows].copy() for name in (*_KEPT, *_SCATTER)}
        state.reset(rows)
        for name, values in kept.items():
            state[name][rows] = values
    for name in ("recent", "pending"):
        judge.series.rows[name][rows] = 0


def _lengthened(ticks: Sequence[ClosedTick], length: float) -> list[NDArray[np.uint32]]:
    """Sums of ``ticks`` by stretches of ``length`` seconds, each (series, 40); stretches without events are there."""
    if not ticks:
        return []
    n = max(len(tick.counts) for tick in ticks) - 1
    first = math.floor((ticks[0].end - 1e-6) / length)
    last = math.floor((ticks[-1].end - 1e-6) / length)
    sums = [np.zeros((n, COLUMNS), np.uint32) for _ in range(last - first + 1)]
    for tick in ticks:
        sums[math.floor((tick.end - 1e-6) / length) - first][: len(tick.counts) - 1] += tick.counts[1:]
    return sums


def _repeated(sums: Sequence[NDArray[np.uint32]], n: int) -> Iterator[NDArray[np.uint32]]:
    for i in range(n if sums else 0):
        yield sums[i % len(sums)]


def _deviations(ticks: Sequence[ClosedTick], n: int) -> Array:
    """Standard deviation of each series over ``ticks``, ``(n,)``; NaN where there are no numbers."""
    count, total, square = np.zeros(n), np.zeros(n), np.zeros(n)
    for tick in ticks:
        k = len(tick.counts) - 1
        count[:k] += tick.counts[1:, :BINS].sum(axis=1)
        total[:k] += tick.moments[1:, 0]
        square[:k] += tick.moments[1:, 1]
    safe = np.where(count > 0, count, np.nan)
    deviation: Array = np.sqrt(np.maximum(square / safe - (total / safe) ** 2, 0.0))
    return deviation


def _subject(fleet: Fleet, row: int, deviation: float) -> Subject:
    rows = fleet.series.rows
    return Subject(
        reference=rows["reference"][row, :BINS].astype(np.float64),
        edges=rows["edges"][row, : int(rows["n_edges"][row])].copy(),
        low=float(rows["seen_low"][row]),
        high=float(rows["seen_high"][row]),
        deviation=deviation,
    )


def _moved(subject: Subject, move: Callable[[Array], Array]) -> Array:
    """Where numbers go when each is ``move``d, taken as spread evenly over its bin."""
    matrix = np.eye(COLUMNS)
    n = len(subject.edges)
    if not n or not math.isfinite(subject.deviation):
        return matrix
    ends = np.concatenate([[min(subject.low, subject.edges[0])], subject.edges, [max(subject.high, subject.edges[-1])]])
    grid = (np.arange(64) + 0.5) / 64
    values = ends[:-1, None] + np.diff(ends)[:, None] * grid
    values[np.diff(ends) <= 0] = ends[1:][np.diff(ends) <= 0, None]
    landed = np.searchsorted(subject.edges, move(values), side="left")
    for i in range(n + 1):
        matrix[i, :BINS] = np.bincount(landed[i], minlength=BINS)[:BINS] / 64
    return matrix


def _shift(size: float) -> Transform:
    return lambda subject: _moved(subject, lambda x: x + size * subject.deviation)


def _spread(subject: Subject) -> Array:
    middle = float(np.interp(0.5, np.cumsum(subject.reference) / max(subject.reference.sum(), 1.0), np.arange(BINS)))
    centre = float(subject.edges[min(round(middle), len(subject.edges) - 1)]) if len(subject.edges) else 0.0
    return _moved(subject, lambda x: centre + 1.5 * (x - centre))


def _to(column: int, part: float) -> Transform:
    """A part of the values is counted in ``column`` instead."""

    def matrix(_subject: Subject) -> Array:
        made = np.eye(COLUMNS)
        made[:BINS] *= 1.0 - part
        made[:BINS, column] += part
        return made

    return matrix


def _flood(subject: Subject) -> Array:
    """A tenth of the values becomes the commonest one."""
    made = np.eye(COLUMNS)
    made[:BINS] *= 0.9
    made[:BINS, int(subject.reference.argmax())] += 0.1
    return made


def _out_of_range(_subject: Subject) -> Array:
    """A twentieth of the values lies below the range: they are in the first bin, and counted beside it."""
    made = np.eye(COLUMNS)
    made[:BINS] *= 0.95
    made[:BINS, 0] += 0.05
    made[:BINS, BELOW] += 0.05
    return made


def _swapped(part: float) -> Transform:
    """A part of the commonest category turns into the second."""

    def matrix(subject: Subject) -> Array:
        made = np.eye(COLUMNS)
        first, second = np.argsort(-subject.reference, kind="stable")[:2].tolist()
        made[first, first] = 1.0 - part
        made[first, second] += part
        return made

    return matrix


FAULTS: tuple[Fault, ...] = (
    Fault("shift_0.25", KIND_NUMBER, "moved by 0.25 sd", _shift(0.25)),
    Fault("shift_0.5", KIND_NUMBER, "moved by 0.5 sd", _shift(0.5)),
    Fault("shift_1", KIND_NUMBER, "moved by 1 sd", _shift(1.0)),
    Fault("spread_1.5", KIND_NUMBER, "spread to 1.5 of its width", _spread),
    Fault("flood_0.1", KIND_NUMBER, "had one value in 10 % of its values more", _flood),
    Fault("out_of_range_0.05", KIND_NUMBER, "left its range in 5 % of its values", _out_of_range),
    Fault("invalid_0.05", KIND_NUMBER, "were no number in 5 % of its values", _to(INVALID, 0.05)),
    *(
        fault
        for kind in (KIND_NUMBER, KIND_CATEGORY)
        for fault in (
            Fault("missing_0.05", kind, "were missing in 5 % more events", _to(NULLS, 0.05)),
            Fault("missing_0.2", kind, "were missing in 20 % more events", _to(NULLS, 0.2)),
            Fault("type_0.05", kind, "had another type in 5 % of its values", _to(TYPE, 0.05)),
        )
    ),
    Fault("swapped_0.2", KIND_CATEGORY, "had 20 % of its commonest value under the second", _swapped(0.2)),
    Fault("swapped_0.5", KIND_CATEGORY, "had half of its commonest value under the second", _swapped(0.5)),
    Fault("unseen_0.05", KIND_CATEGORY, "had an unknown value in 5 % of its values", _to(UNSEEN_BIN, 0.05)),
)
"""The faults of a drill, by the kind of series that they may strike."""
_OF_DISTRIBUTION = frozenset({"shift_0.25", "shift_0.5", "shift_1", "spread_1.5", "flood_0.1"})
