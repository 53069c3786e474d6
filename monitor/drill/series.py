"""A drill of a model's series: copies of each, one for every fault, judged side by side under the real budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.budget import Budget
from monitor.catalog.models import FIELDS as MODEL_FIELDS
from monitor.catalog.models import Models
from monitor.catalog.series import FIELDS as SERIES_FIELDS
from monitor.catalog.series import JUDGED, Series
from monitor.detectors import DETECTORS
from monitor.drill.faults import FAULTS, Subject, of_kind
from monitor.drill.past import DAY_SECONDS, Look, deviations, looks, stretches
from monitor.fleet import Fleet
from monitor.judging import Judge
from monitor.kernels.tally import BINS, COLUMNS
from monitor.tally.closed import ClosedTick, TickSums

SERIES_AT_ONCE = 50
"""Series whose copies are judged side by side: what bounds the memory of a drill."""
STEPS_AT_ONCE = 8
"""Stretches that are judged between two breaths of whoever drills."""
_SEED = 20_011
_KEPT = ("reference_share", "null_low", "null_high", "null_n", "cost", "applies", "tolerance", "wander")
_SCATTER = ("scatter", "scatter_weight", "scatter_ticks")
_NOTHING = -1
"""The fault of the copy that nothing befalls."""

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Breathe = Callable[[], None]


@dataclass(slots=True)
class SeriesFindings:
    """By fault of a series, ``(k,)`` each: the series' place, the fault's in ``FAULTS``, who would see it, and when.

    ``detector`` is -1 and ``days`` NaN where nobody would within thirty days, or where nobody could tell, because the
    series moves by itself.
    """

    series: Indices
    fault: Indices
    detector: Indices
    days: Array


@dataclass(slots=True)
class SeriesDrill:
    """Copies of the judged series of a model, taken from the fleet, so that any thread may drill on them."""

    judge: Judge
    rows: Indices
    """The series' rows in the fleet, ``(n,)``: row ``i`` of ``judge`` is the copy of ``rows[i]``."""
    places: Indices
    """Their places in the model's ticks."""
    n_series: int
    """How many series the model's ticks have."""
    tick: float

    def run(self, ticks: Sequence[ClosedTick], breathe: Breathe = lambda: None) -> SeriesFindings:
        """Judge every fault of every series on ``ticks``; ``breathe`` is called every few milliseconds."""
        spread = deviations(ticks, self.n_series)[self.places]
        none = np.zeros(0, np.int64)
        found = [SeriesFindings(none, none, none, np.zeros(0))]
        found += [
            self._some(np.arange(start, min(start + SERIES_AT_ONCE, len(self.rows))), spread, ticks, breathe)
            for start in range(0, len(self.rows), SERIES_AT_ONCE)
        ]
        series, fault, detector, days = (
            np.concatenate([getattr(part, name) for part in found]) for name in ("series", "fault", "detector", "days")
        )
        return SeriesFindings(series, fault, detector, days)

    def subjects(self, ticks: Sequence[ClosedTick]) -> dict[int, Subject]:
        """The series as faults meet them, by their rows in the fleet."""
        spread = deviations(ticks, self.n_series)[self.places]
        return {int(row): self._subject(i, float(spread[i])) for i, row in enumerate(self.rows)}

    def _some(self, some: Indices, spread: Array, ticks: Sequence[ClosedTick], breathe: Breathe) -> SeriesFindings:
        origin, fault, matrices = [], [], []
        for i in some.tolist():
            subject, faults = self._subject(i, float(spread[i])), self._faults(i)
            origin += [i] * (1 + len(faults))
            fault += [_NOTHING, *faults]
            matrices += [np.eye(COLUMNS), *(FAULTS[j].matrix(subject) for j in faults)]
            breathe()
        play = _Play(self, np.array(origin), np.stack(matrices), breathe)
        for look in looks(self.tick):
            play.through(ticks, look)
        return play.findings(np.array(fault))

    def _faults(self, i: int) -> list[int]:
        rows = self.judge.series.rows
        return of_kind(int(rows["kind"][i]), distribution=bool(rows["n_cuts"][i]))

    def _subject(self, i: int, deviation: float) -> Subject:
        rows = self.judge.series.rows
        return Subject(
            reference=rows["reference"][i, :BINS].astype(np.float64),
            edges=rows["edges"][i, : int(rows["n_edges"][i])].copy(),
            low=float(rows["seen_low"][i]),
            high=float(rows["seen_high"][i]),
            deviation=deviation,
        )


class _Play:
    """Copies of some series on their way through the past."""

    def __init__(self, drill: SeriesDrill, origin: Indices, matrices: Array, breathe: Breathe) -> None:
        self._drill, self._origin, self._matrices, self._breathe = drill, origin, matrices, breathe
        self._days = np.full((len(origin), len(DETECTORS)), np.nan)

    def through(self, ticks: Sequence[ClosedTick], look: Look) -> None:
        """Judge what nobody has seen yet by ``look``; note when each detector sees it."""
        judge, places = copied(self._drill.judge, 0, self._origin), self._drill.places[self._origin]
        rng, waiting = np.random.default_rng(_SEED), self._waiting()
        for number, (end, sums) in enumerate(stretches(ticks, look), 1):
            if number % STEPS_AT_ONCE == 0:
                self._breathe()
                waiting = self._waiting()
            if not len(waiting):
                return
            after = np.einsum("kc,kcd->kd", sums[places[waiting]].astype(np.float64), self._matrices[waiting])
            counts = np.floor(after + rng.random(after.shape)).astype(np.uint32)
            judged = judge.judge(TickSums(waiting, counts, end, np.full(len(waiting), look.length)))
            for alarm in judged.alarms:
                seen = self._days[alarm.row]
                seen[alarm.detector] = np.fmin(seen[alarm.detector], number * look.length / DAY_SECONDS)

    def findings(self, fault: Indices) -> SeriesFindings:
        """What was seen of each ``fault``, told from what each series does by itself."""
        by_itself = np.full((int(self._origin.max()) + 1, len(DETECTORS)), np.inf)
        idle = fault == _NOTHING
        by_itself[self._origin[idle]] = np.nan_to_num(self._days[idle], nan=np.inf)
        struck = np.flatnonzero(~idle)
        days = np.where(self._days[struck] < by_itself[self._origin[struck]], self._days[struck], np.inf)
        first = days.argmin(axis=1)
        soonest = days[np.arange(len(struck)), first]
        seen = np.isfinite(soonest)
        return SeriesFindings(
            self._origin[struck], fault[struck], np.where(seen, first, -1), np.where(seen, soonest, np.nan)
        )

    def _waiting(self) -> Indices:
        return np.flatnonzero(np.isnan(self._days).all(axis=1))


def series_drill(fleet: Fleet, row: int) -> SeriesDrill:
    """Copy what a drill of the model in ``row`` needs of its series."""
    series = fleet.lives.series_rows(row)
    places = np.flatnonzero(fleet.series.rows["judging"][series] == JUDGED)
    rows = series[places].astype(np.int64)
    return SeriesDrill(
        judge=copied(fleet.judge, row, rows),
        rows=rows,
        places=places,
        n_series=len(series),
        tick=float(fleet.models.rows["tick"][row]),
    )


def copied(source: Judge, model: int, rows: Indices) -> Judge:
    """A judge of copies of series ``rows`` of ``model`` alone: nulls, clumps, seasons and present, no evidence."""
    models, series, n = Models(1), Series(), len(rows)
    models.rows.add()
    for name in MODEL_FIELDS:
        models.rows[name][0] = source.models.rows[name][model]
    models.rows["hold"][0], models.rows["root"][0] = 0.0, 0
    models.rows["n_cells"][0], models.rows["team"][0] = np.maximum(models.rows["n_cells"][0], 1), 0
    if n:
        series.rows.add(n)
        for name in SERIES_FIELDS:
            series.rows[name][:n] = source.series.rows[name][rows]
        series.rows["model"][:n], series.rows["suspected"][:n] = 0, -1
    budget = source.budget
    judge = Judge(
        models, series, Budget(budget.per_week, budget.per_model_per_week, budget.shares, severities=budget.severities)
    )
    # What its team has for itself is as if the whole were divided among so many cells.
    judge.n_cells = {share: source.sharing(share, model) for share in source.n_cells}
    judge.extend()
    judge.seasons.take_over(source.seasons, rows)
    for detector in DETECTORS:
        own, real = judge.states[detector.name], source.states[detector.name]
        for name in (*_KEPT, *_SCATTER):
            own[name][:n] = real[name][rows]
    return judge
