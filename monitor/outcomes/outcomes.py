"""The room's door: events are joined to cases, and cohorts that have matured are summed up, judged and handed on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monitor.budget import Budget
from monitor.catalog.models import SHARES, Models
from monitor.catalog.rows import Rows
from monitor.events.columns import EventBatch
from monitor.incidents.firing import CellKey
from monitor.kernels.add import add_rows, distinct
from monitor.kernels.judge import FIRING
from monitor.outcomes.alarm import CaseAlarm
from monitor.outcomes.asked import Asked
from monitor.outcomes.bringing import brought
from monitor.outcomes.calibration import CELL, Calibration, Scored
from monitor.outcomes.case import HAS_OUTCOME, OPEN
from monitor.outcomes.days import Day
from monitor.outcomes.estimate import Estimate
from monitor.outcomes.joining import FATES, join
from monitor.outcomes.matured import Matured, cohorts, read
from monitor.outcomes.measures import MEASURES
from monitor.outcomes.pending import Pending, matured
from monitor.outcomes.performance import SHARE, Performance, Sums, cell_name, firing
from monitor.outcomes.recording import Recorder
from monitor.outcomes.totals import Totals

PENDING_MAX = 50_000_000
"""Cases that may wait if nobody says otherwise."""

_SHARE = SHARES.index(SHARE)


@dataclass(slots=True)
class Moment:
    """What the cohorts that were ``due`` at one moment gave: alarms, and cells that ceased to fire."""

    due: float
    alarms: list[CaseAlarm] = field(default_factory=list)
    cleared: list[CellKey] = field(default_factory=list)


@dataclass(slots=True)
class Judged:
    """Moments in which something began or ceased to fire, in order, and how many cells bet."""

    moments: list[Moment] = field(default_factory=list)
    n_cells: int = 0


class Outcomes:
    """Pending cases, and what has been learned from those that matured. Time is what events say."""

    def __init__(self, models: Models, budget: Budget, n_cells: dict[str, float]) -> None:
        """``n_cells`` counts the fleet's cells by share, its own too."""
        self.asked = Asked(models)
        self.pending = Pending()
        self.pending.room = self._pending_max = PENDING_MAX
        self.totals = Totals(models)
        self.recorder = Recorder(models, budget)
        self.performance = Performance(models, self.asked, budget, self.recorder)
        self.calibration = Calibration(models, budget, self.recorder)
        self.estimate = Estimate(models, self.asked, self.calibration)
        self.takers: list[Callable[[Matured], None]] = []
        """Are handed all cases that mature, a piece of a moment at a time, before the moment is judged."""
        self.followers: list[Callable[[Moment], None]] = []
        """Judge what they took of a moment once the models' own cells have been, and add to what it gave."""
        self.retention: float | None = None
        """Seconds from its tick's end for which anything is kept of a case; ``None``: twice its model's horizon."""
        self._models = models
        self._n_cells = n_cells

    def tables(self) -> Mapping[str, Rows]:
        """What must be stored, by name."""
        return {
            "outcomes": self.totals.rows,
            "performance": self.performance.rows,
            "calibration": self.calibration.rows,
            "estimate": self.estimate.rows,
            **{f"performance.{m.name}": s for m, s in zip(MEASURES, self.performance.states, strict=True)},
        }

    def restored(self) -> None:
        """Put in order what follows from the tables, after they were loaded; counts the cells again."""
        self._extend()
        n = len(self._models)
        cells = self.performance.rows["judged"][:n].sum(axis=1) + self.calibration.rows["judged"][:n]
        self._models.rows["n_cells"][:n, _SHARE] = cells
        self._n_cells[SHARE] = int(cells.sum())
        self.allow(self._pending_max)

    def allow(self, pending_max: int) -> None:
        """Let so many cases wait, over all models."""
        self._pending_max = pending_max
        self.pending.room = pending_max - self.n_waiting()

    def n_waiting(self) -> int:
        """Cases of the whole fleet that have not matured."""
        return int(self.totals.rows["waiting"][: len(self.totals.rows)].sum())

    def join(
        self,
        batch: EventBatch,
        model: NDArray[np.int32],
        due: NDArray[np.float64],
        passed: NDArray[np.float64],
        places: NDArray[np.uint64],
    ) -> dict[str, int]:
        """Bring the events of ``batch`` to their cases; how many met which of :data:`FATES`.

        By event: ``model`` is its row (-1: none), ``due`` when a case predicted then matures, ``passed`` the event time
        that was reached before it came, ``places`` (n, 2) where its features lie (``kernels/lean.py``).
        """
        self._extend()
        parts = brought(batch, model, due, passed, self.asked, places)
        if parts is None:
            return dict.fromkeys(FATES, 0)
        fates = join(self.pending, parts)
        first = np.concatenate([np.zeros(0, np.int64), *fates.predicted])
        self.estimate.add(parts.model[first], parts.predicted[first], parts.score[first], parts.value[first])
        return self.totals.count(fates)

    def doubted(self, models: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of ``models`` (k,) have a cell under suspicion, or one that fires."""
        self._extend()
        return self.performance.doubt(models)[0] | self.calibration.doubt(models)[0]

    def judges(self, model: int) -> bool:
        """Whether errors of a model are judged by now."""
        return model < len(self.performance.rows) and bool(self.performance.rows["judged"][model].any())

    def forget(self, keys: NDArray[np.uint64]) -> tuple[int, int, list[np.uint64]]:
        """Let go of the cases of ``keys``: how many waited, how many had matured, the outcomes (hashes) of the first.

        What they would have said of their model is lost; what they said already stays in its sums.
        """
        rows = self.pending.find(np.unique(keys))
        cases = self.pending.cases[rows[rows >= 0]]
        waited = cases["stage"] == OPEN
        self.totals.unmeet(cases[waited])
        self.totals.wait(cases["model"][waited], -1)
        self.pending.room += int(waited.sum())
        self.pending.erase(keys)  # of one that is over, a sheaf of another moment may still say how it was
        told = cases["outcome"][waited & ((cases["has"] & HAS_OUTCOME) > 0)]
        return int(waited.sum()), int((~waited).sum()), list(np.unique(told))

    def mature(self, until: float, *, inclusive: bool) -> Judged:
        """Judge the cohorts that were due before ``until``, or at it as well, in order.

        What matures then is remembered for a while, which may be over by ``until`` too where event time leaps.
        """
        out = Judged()
        while (due := self.pending.next_due) < until or (inclusive and due == until < np.inf):
            self._mature(due, out)
        return out

    def _mature(self, due: float, out: Judged) -> None:
        """All cases due at one moment: let go, summed up, judged by cohort."""
        sums: dict[float, tuple[Sums, Scored]] = {}
        for cases in self.pending.take(due):
            complete = matured(cases)
            own = _some(cases, complete)
            self._let_go(own, due)
            self.totals.wait(own["model"], -1)
            self.pending.room += len(own)
            if len(own) < len(cases):
                self.pending.forget(cases["key"][~complete])
                self._unmatched(cases.compress(~complete & (cases["stage"] == OPEN)))
            if len(own):
                seen = read(own, due, self._models.rows["tick"], self.asked)
                self.totals.add(seen)
                self._sum_up(seen, sums)
                for take in self.takers:
                    take(seen)
        moment = Moment(due)
        for _, (measures, scored) in sorted(sums.items()):
            out.n_cells += self._judge(measures, scored, moment)
        for follow in self.followers:
            follow(moment)
        if moment.alarms or moment.cleared:
            out.moments.append(moment)

    def _let_go(self, cases: NDArray[np.void], due: float) -> None:
        """Of what has matured nothing is kept but that it has, as long as ``privacy.retention.cases`` says."""
        model, horizon = cases["model"], self._models.rows["outcome_horizon"][: len(self._models)]
        kept = horizon if self.retention is None else self.retention - horizon
        until = np.round(due + kept, 3)[model]
        remembered = until > due
        if remembered.any():
            self.pending.close(cases["key"][remembered], until[remembered])
        if not remembered.all():
            self.pending.forget(cases["key"][~remembered])

    def _unmatched(self, cases: NDArray[np.void]) -> None:
        """Count what waited for a prediction that never came, and waits no more."""
        self.totals.wait(cases["model"], -1)
        self.pending.room += len(cases)
        told = (cases["has"] & HAS_OUTCOME) > 0
        for name, models in (
            ("without_prediction", cases["model"][told]),
            ("parts_without_prediction", cases["model"][~told]),
        ):
            self.totals.met(name, models)

    def _sum_up(self, cases: Matured, sums: dict[float, tuple[Sums, Scored]]) -> None:
        """Add ``cases`` to the sums of their cohorts, by the end of the tick in which they were predicted."""
        measured = self.performance.measured(cases)
        known = [i for i, x in enumerate(measured) if not np.isnan(x).all()]
        for end in cohorts(cases.end):
            chosen = cases.end == end
            models = distinct(cases.model[chosen])
            if end in sums:
                models = np.union1d(sums[end][0].model, models)
            held = sums[end] = _widened(sums.get(end), models, end, self._models.rows["tick"][models])
            places = np.full(len(self._models), -1, np.int64)
            places[models] = np.arange(len(models))
            place = np.where(chosen, places[cases.model], -1)
            for i in known:
                add_rows(held[0].measures.reshape(-1, 2), place * len(MEASURES) + i, (measured[i], 1.0))
            self.calibration.add(cases.model, cases.score, cases.y, place, held[1])

    def _judge(self, measures: Sums, scored: Scored, moment: Moment) -> int:
        """One cohort, of models that did not do as planned: it is judged, and noted; how many cells bet."""
        self.totals.judged(measures.model, measures.measures, scored.bins)
        own = ~self._models.planned(measures.model, float(measures.end[0]))
        return self._bet(measures.some(own), scored.some(own), moment) if own.any() else 0

    def _bet(self, measures: Sums, scored: Scored, moment: Moment) -> int:
        """One cohort: bets, then references grow where nothing is suspicious; how many cells bet."""
        fleet, n_cells = self._n_cells[SHARE], 0
        for alarms, cleared, n in (
            self.performance.judge(measures, fleet, moment.due),
            self.calibration.judge(scored, fleet, moment.due),
        ):
            moment.alarms += alarms
            moment.cleared += cleared
            n_cells += n
        doubts = (self.performance.doubt(measures.model), self.calibration.doubt(measures.model))
        doubted, firing = (a | b for a, b in zip(*doubts, strict=True))
        age = measures.end - self.performance.rows["first_end"][measures.model]
        began = self.performance.learn(measures, doubted, firing)
        began += self.calibration.learn(scored, age, doubted, firing)
        self._models.rows["n_cells"][measures.model, _SHARE] += began
        self._n_cells[SHARE] += int(began.sum())
        return n_cells

    def firing(self, model: int) -> set[str]:
        """The names of a model's cells that fire."""
        if model >= len(self.performance.rows):
            return set()
        found = {cell_name(i) for i in range(len(MEASURES)) if firing(self.performance, i, model)}
        return found | ({CELL} if self.calibration.rows["firing"][model] == FIRING else set())

    def restart(self, model: int, families: Collection[str]) -> set[str]:
        """Let the cells begin anew whose null follows from one of ``families`` of tolerances; those that fired."""
        self._extend()
        fired = self.performance.restart(model) if "performance" in families else set()
        return fired | (self.calibration.restart(model) if "calibration" in families else set())

    def judge_again(self, model: int, days: Sequence[Day]) -> list[CaseAlarm]:
        """Judge a model's cases from its beginning by ``days``, oldest first; the alarms that stand in the end.

        Its references begin empty, and are learned again from these days.
        """
        self._extend()
        had = self.performance.forget(model) | self.calibration.forget(model)
        self._models.rows["n_cells"][model, _SHARE] -= len(had)
        self._n_cells[SHARE] -= len(had)
        standing: dict[str, CaseAlarm] = {}
        at = np.array([model])
        for day in days:
            measures, scored = _widened(None, at, day.end, np.array([day.seconds]))
            measures.measures[0] = day.measured
            self.calibration.add_sums(day.curve[None], scored)
            moment = Moment(day.end)
            self._bet(measures, scored, moment)
            standing |= {alarm.cell: alarm for alarm in moment.alarms}
            for _, cell in moment.cleared:
                standing.pop(cell, None)
        return list(standing.values())

    def _extend(self) -> None:
        self.asked.extend()
        for part in (self.totals, self.performance, self.calibration, self.estimate):
            part.extend()


def _some(cases: NDArray[np.void], which: NDArray[np.bool_]) -> NDArray[np.void]:
    """Those of ``cases`` of ``which`` that is true, (n,), as whole records: an index copies them field by field."""
    return cases if which.all() else cases.compress(which)


def _widened(
    held: tuple[Sums, Scored] | None, models: NDArray[np.int64], end: float, seconds: NDArray[np.float64]
) -> tuple[Sums, Scored]:
    """Sums of one cohort of ``models`` (k,), which covers ``seconds`` (k,), with those that were ``held`` of it."""
    k = len(models)
    sums = Sums(models, np.full(k, end), seconds, np.zeros((k, len(MEASURES), 2)))
    scored = Scored.of(models, end, seconds)
    if held is not None:
        at = np.searchsorted(models, held[0].model)
        sums.measures[at] = held[0].measures
        for name in ("bins", "squares", "log_e", "now", "s", "n"):
            getattr(scored, name)[at] = getattr(held[1], name)
    return sums, scored
