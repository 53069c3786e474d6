"""Is a model wrong more often, or by more, than its contract or its past allow? One bet for each of its measures."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.budget import Budget, Crowd
from monitor.catalog.models import Models
from monitor.catalog.rows import Field, Rows, aside
from monitor.cells import cell_fields
from monitor.dockets import floats
from monitor.incidents.incident import Effect
from monitor.kernels.add import count
from monitor.kernels.judge import (
    DISPERSION_MAX,
    FIRING,
    HELD,
    IDLE,
    OFF,
    OVER,
    SUSPICIOUS,
    Bets,
    Question,
    bet,
    onset_of,
)
from monitor.outcomes.alarm import CaseAlarm
from monitor.outcomes.asked import Asked
from monitor.outcomes.matured import Matured
from monitor.outcomes.measures import ABSOLUTE_ERROR, COST, ERROR_RATE, LOG_LOSS, MEASURES, Scale, scales, values
from monitor.outcomes.recording import Cell, Recorder
from monitor.outcomes.rising import risen
from monitor.stats.bounds import null_edge
from monitor.stats.dispersion import dispersion, successive_difference, tempering

SHARE, SEVERITY = "performance", "critical"
"""All that is told of it is as grave, so its cells weigh the same."""
SHIFTS = (0.1, 0.25, 0.6, 1.2)
"""Alternatives in logits beyond the edge of the null; a rise of less than half of the least is never seen."""
ERROR_BINS = 256
"""Bins of absolute errors, four to each power of 2 from 2^-32 to 2^32, from which the large ones are told."""
LARGE = 0.9
"""The quantile of a reference's errors beyond which an error is large."""
RECENT_CASES = 300.0
"""Cases fade from the present by a factor e with every so many that follow."""
_RENULL_GROWTH = 1.1
GATHERED = ("firing", "log_r", "onset", "alarmed", "last_bad", "effect", "evidence", "suspicion")
"""What a cell has gathered for or against its null, and nothing else of its state."""
_LN10 = math.log(10.0)
_QUESTION = Question(1, False, SHIFTS)
_DETECTOR, _ALERTNAME = "performance", "ModelPerformanceDegraded"

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

_M = len(MEASURES)
FIELDS = {
    "first_end": Field(np.float64, (), np.nan),
    "judged": Field(bool, (_M,)),
    "reference": Field(np.float64, (_M, 2), rare=True),
    "pending": Field(np.float64, (_M, 2), rare=True),
    "waiting": Field(np.float64, (_M, 2), rare=True),
    "rising": Field(np.float64, (_M,), rare=True),
    "recent": Field(np.float64, (_M, 2), rare=True),
    "large": Field(np.float64, (), np.nan, still=True),
    "errors": Field(np.uint32, (ERROR_BINS,), still=True, rare=True),
}


@dataclass(slots=True)
class Sums:
    """One cohort of ``k`` models (rows), which covers ``seconds`` (k,): by measure sum and number, (k, measures, 2)."""

    model: Indices
    end: Floats
    seconds: Floats
    measures: Floats

    def some(self, own: NDArray[np.bool_]) -> Sums:
        """Those of the models that ``own`` (k,) marks."""
        return Sums(self.model[own], self.end[own], self.seconds[own], self.measures[own])


@dataclass(frozen=True, slots=True)
class _Held:
    """The cell of a ``model`` (its row) that begins to fire with the cohort that ended at ``end``; evidence in nats."""

    model: int
    evidence: float
    end: float


class Performance:
    """References and cells of all models, by model row."""

    def __init__(self, models: Models, asked: Asked, budget: Budget, recorder: Recorder | None = None) -> None:
        """``recorder`` keeps the dockets, where any are kept."""
        self._recorder = recorder
        self.rows = Rows(aside(FIELDS))
        self.states = tuple(Rows(aside(cell_fields(_QUESTION))) for _ in MEASURES)
        self._models, self._asked, self._budget = models, asked, budget
        self._scale = Scale(np.ones((_M, 0)), np.ones((_M, 0)))

    def extend(self) -> None:
        """Make room for models that were added since."""
        more = len(self._models) - len(self.rows)
        if more > 0:
            for table in (self.rows, *self.states):
                table.add(more)
        if self._scale.unit.shape[1] < len(self._models):
            self.rescale()

    def rescale(self) -> None:
        """Take units and contracts from the policies again."""
        errors = self.rows["errors"][: len(self._asked.rows)].sum(axis=1)
        self._scale = scales(self._asked, errors > 0)

    def unit(self, measure: int, model: int) -> float:
        """What 1 stands for in the sums of a measure: nats, or money."""
        return float(self._scale.unit[measure, model])

    def limit(self, measure: int, model: int) -> float:
        """The contract in the unit of the sums; NaN where the reference decides."""
        return float(self._scale.limit[measure, model])

    def measured(self, cases: Matured) -> Floats:
        """Each measure of each case, ``(measures, n)``; errors of models that are still learning go into their bins."""
        learns = ~np.isnan(cases.error) & np.isnan(self.rows["large"][cases.model])
        if learns.any():
            model = cases.model[learns]
            count(self.rows["errors"], model.astype(np.int64) * ERROR_BINS + _error_bin(cases.error[learns]))
            self.rows.touch(model)
            self.rescale()
        return values(cases, self._scale, self.rows["large"])

    def judge(self, sums: Sums, n_fleet: float, due: float) -> tuple[list[CaseAlarm], list[tuple[int, str]], int]:
        """Let the cells of a cohort bet that matured at ``due``; what fires, what clears, and how many bet.

        ``end`` is one value.
        """
        alarms: list[CaseAlarm] = []
        cleared: list[tuple[int, str]] = []
        rows, tick = self.rows, sums.measures
        fade = np.exp(-tick[:, :, 1] / RECENT_CASES)[:, :, None]
        rows["recent"][sums.model] = rows["recent"][sums.model] * fade + tick
        rows["pending"][sums.model] += tick
        first = np.isnan(rows["first_end"][sums.model])
        rows["first_end"][sums.model[first]] = sums.end[first]
        rows.stir(sums.model)
        asked = np.flatnonzero((tick[:, :, 1] > 0).any(axis=0)).tolist()
        if not asked:
            return alarms, cleared, 0
        crowd = Crowd.of(SHARE, n_fleet, self._models)
        allowance = self._budget.allowance(SHARE, crowd, sums.model, sums.seconds)
        bets = 0
        for measure in asked:
            some, judged = tick[:, measure, 1] > 0, rows["judged"][sums.model, measure]
            self._observe(measure, sums.model[some & ~judged], tick[some & ~judged, measure])
            place = np.flatnonzero(some & judged)
            if len(place):
                self._budget.spend(SHARE, SEVERITY, allowance[place], crowd, sums.model[place])
                held, over = self._bet(measure, sums, place, allowance)
                alarms += [self._alarm(measure, each, due, crowd) for each in held]
                cleared.extend((row, cell_name(measure)) for row in over)
                bets += len(place)
        return alarms, cleared, bets

    def restart(self, model: int) -> set[str]:
        """Let a model's cells begin without evidence, since their null is another; the names of those that fired."""
        at, fired = np.array([model]), set()
        self.rescale()
        for measure, state in enumerate(self.states):
            if self.rows["judged"][model, measure]:
                fired |= {cell_name(measure)} if state["firing"][model] == FIRING else set()
                state.reset(at, GATHERED)
                self._set_null(measure, at)
        self.rows.reset(at, ("pending", "waiting", "rising"))
        return fired

    def forget(self, model: int) -> set[str]:
        """Let a model's references and its cells begin empty; the names of the cells that it had.

        What a large error is stays: features keep their bins too.
        """
        had = {cell_name(i) for i in np.flatnonzero(self.rows["judged"][model]).tolist()}
        at = np.array([model])
        self.rows.reset(at, ("first_end", "judged", "reference", "pending", "waiting", "rising", "recent"))
        for state in self.states:
            state.reset(at)
        return had

    def doubt(self, model: Indices) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which models have a cell under suspicion or firing, and which one that fires or is about to."""
        fires, doubt = np.zeros(len(model), bool), np.zeros(len(model), bool)
        for state in self.states:
            fires |= state["firing"][model] != IDLE
            doubt |= state["suspicion"][model] > SUSPICIOUS
        return doubt | fires, fires

    def learn(self, sums: Sums, doubted: NDArray[np.bool_], firing: NDArray[np.bool_]) -> NDArray[np.int32]:
        """Let unsuspicious cohorts into references, and begin what has enough of one; how many cells began, by model.

        A reference begins to judge at ``learn.events_min`` and grows until ``learn.events`` and ``learn.for``; what
        rises above it waits until it is known to have been chance.
        """
        rows, policy = self.rows, self._models.rows
        self._choose_large(sums.model)
        age = sums.end - rows["first_end"][sums.model]
        began = np.zeros(len(sums.model), np.int32)
        for measure in range(_M):
            if not rows["pending"][sums.model, measure, 1].any():
                continue
            judged = rows["judged"][sums.model, measure]
            held = rows["reference"][sums.model, measure, 1]
            grows = (held < policy["learn_events"][sums.model]) | (age < policy["learn_for"][sums.model])
            rises = rows["rising"][sums.model, measure] > 0.0
            take = ~judged | (grows & ~doubted & ~rises)
            at, waits = sums.model[take], sums.model[judged & grows & ~doubted & rises]
            rows["reference"][at, measure] += rows["pending"][at, measure] + rows["waiting"][at, measure]
            rows["waiting"][waits, measure] += rows["pending"][waits, measure]
            rows["pending"][sums.model[~doubted | firing | ~judged], measure] = 0.0
            rows["waiting"][sums.model[take | firing | ~grows], measure] = 0.0
            enough = rows["reference"][sums.model, measure, 1] >= policy["learn_events_min"][sums.model]
            begins = sums.model[~judged & enough]
            rows["judged"][begins, measure] = True
            self.states[measure]["applies"][begins] = 1
            began += (~judged & enough).astype(np.int32)
            known = self.states[measure]["null_n"][sums.model]
            grown = enough & (rows["reference"][sums.model, measure, 1] > _RENULL_GROWTH * np.maximum(known, 0.0))
            self._set_null(measure, sums.model[grown & (take | (known < 0.0))])
        rows.stir(sums.model)
        return began

    def _observe(self, measure: int, models: Indices, tick: Floats) -> None:
        """Learn how cohorts scatter before they are judged, so that judging need not begin with a guess."""
        if not len(models):
            return
        state, (s, n) = self.states[measure], tick.T
        scatter, weight = successive_difference(state["s_prev"][models], state["n_prev"][models], s[:, None], n)
        state["scatter"][models] += np.minimum(scatter, DISPERSION_MAX * weight)
        state["scatter_weight"][models] += weight
        state["scatter_ticks"][models] += weight > 0.0
        state["s_prev"][models, 0], state["n_prev"][models] = s, n
        state.stir(models)

    def _bet(self, measure: int, sums: Sums, place: Indices, allowance: Floats) -> tuple[list[_Held], list[int]]:
        """Let the cells at ``place`` bet: those that begin to fire, and the rows of those that cease to."""
        state, policy = self.states[measure], self._models.rows
        now = self.rows["recent"][sums.model, measure]
        bets = Bets(
            end=float(sums.end[0]),
            place=place,
            row=sums.model[place],
            tick_s=np.ascontiguousarray(sums.measures[:, measure, :1]),
            tick_n=np.ascontiguousarray(sums.measures[:, measure, 1]),
            now_s=np.ascontiguousarray(now[:, :1]),
            now_n=np.ascontiguousarray(now[:, 1]),
            log_budget=np.log(np.maximum(allowance, 1e-300)),
            seconds=sums.seconds,
            hold=policy["hold"][sums.model],
            keep_firing=policy["keep_firing"][sums.model],
        )
        self._rise(measure, bets.row, sums.measures[place, measure])
        out = bet(_QUESTION, state, bets)
        state.stir(bets.row)
        self.rows["rising"][bets.row[state["firing"][bets.row] != IDLE], measure] = 0.0
        if self._recorder is not None:
            since, limit = self.rows["pending"][sums.model, measure], self._scale.limit[measure, sums.model]
            self._recorder.follow_measure(cell_name(measure), state, bets, out, since, limit)
        held = np.flatnonzero(out.flags & HELD).tolist()
        return (
            [_Held(int(bets.row[j]), float(out.evidence[j]), bets.end) for j in held],
            bets.row[(out.flags & OVER) > 0].tolist(),
        )

    def _rise(self, measure: int, models: Indices, cohort: Floats) -> None:
        """Let a cohort (k, 2) speak for or against a rise above the reference, as far as its events may be trusted."""
        rows, state = self.rows, self.states[measure]
        worth = tempering(state["scatter"][models], state["scatter_weight"][models], state["scatter_ticks"][models])
        reference, tolerance = rows["reference"][models, measure], self._tolerance(measure, models)
        rows["rising"][models, measure] = risen(rows["rising"][models, measure], cohort, reference, tolerance, worth)

    def _alarm(self, measure: int, held: _Held, due: float, crowd: Crowd) -> CaseAlarm:
        model, evidence, end = held.model, held.evidence, held.end
        state, told = self.states[measure], MEASURES[measure]
        s, n = self.rows["pending"][model, measure]
        unit, limit = self.unit(measure, model), self.limit(measure, model)
        contract = not math.isnan(limit)
        before = limit if contract else float(state["reference_share"][model, 0])
        now = float(s / max(n, 1.0))
        tolerance = 0.0 if contract else float(self._tolerance(measure, np.array([model]))[0])
        currency = self._models.items[model].policy.costs.currency if measure == COST else ""
        money = f" {currency}" if currency else ""
        against = f"{'the contract allows' if contract else 'it was'} {before * unit:.3g}{money}"
        return CaseAlarm(
            model=model,
            cell=cell_name(measure),
            detector=_DETECTOR,
            alertname=_ALERTNAME,
            effect=Effect(told.effect, (now - before) * unit, tolerance * unit),
            evidence_log10=evidence / _LN10,
            onset_time=onset_of(float(state["onset"][model]), end, float(self._models.rows["tick"][model])),
            fired_time=due,
            people_affected=round(max(now - before, 0.0) * n) if measure in (ERROR_RATE, ABSOLUTE_ERROR) else None,
            cost=self._excess_cost(model),
            words=f"{told.words} {now * unit:.3g}{money} in {n:.0f} matured cases, {against}",
            docket=self._docket(measure, held, due, crowd, (before, now)),
        )

    def _docket(self, measure: int, held: _Held, due: float, crowd: Crowd, told: tuple[float, float]) -> bytes:
        """What a cell that fires was judged by, which rose from one to the other of ``told``."""
        if self._recorder is None:
            return b""
        model = held.model
        header = {
            "of": "measure",
            "detector": _DETECTOR,
            "measure": MEASURES[measure].name,
            "unit": self.unit(measure, model),
            "bins": [],
            "cuts": _QUESTION.cuts,
            "two_sided": _QUESTION.two_sided,
            "shifts": list(SHIFTS),
        }
        fired = {
            "before": told[0],
            "told": told[1],
            "evidence": held.evidence,
            "reference": floats(self.rows["reference"][model, measure]),
        }
        cell = Cell(cell_name(measure), model, model, SHARE, held.end, due)
        return self._recorder.alarm(cell, crowd, header, fired)

    def _excess_cost(self, model: int) -> float | None:
        """What the cases since suspicion began cost more than as many of the reference, or of the contract."""
        (s, n), (s_before, n_before) = self.rows["pending"][model, COST], self.rows["reference"][model, COST]
        limit = self.limit(COST, model)
        if not n or (math.isnan(limit) and not n_before):
            return None
        before = s_before / n_before if math.isnan(limit) else limit
        return float(max(s - n * before, 0.0)) * self.unit(COST, model)

    def _tolerance(self, measure: int, models: Indices) -> Floats:
        """What may rise, in the sums' unit: a log loss by so many nats, all others by such a part of their range."""
        tolerance: Floats = self._models.rows["tolerance_performance"][models]
        return tolerance / self._scale.unit[measure, models] if measure == LOG_LOSS else tolerance

    def _choose_large(self, models: Indices) -> None:
        """Fix what a large error is, once there are enough errors; those so far become the reference."""
        rows = self.rows
        asked = models[np.isnan(rows["large"][models]) & rows["errors"][models].any(axis=1)]
        counts = rows["errors"][asked].astype(np.float64)
        enough = counts.sum(axis=1) >= self._models.rows["learn_events_min"][asked]
        asked, counts = asked[enough], counts[enough]
        if not len(asked):
            return
        total = counts.sum(axis=1)
        below = np.cumsum(counts, axis=1)
        place = (below >= LARGE * total[:, None]).argmax(axis=1)
        rows["large"][asked] = _upper_edge(place)
        beyond = total - below[np.arange(len(asked)), place]
        learned = np.isnan(self._scale.limit[ABSOLUTE_ERROR, asked])
        rows["reference"][asked[learned], ABSOLUTE_ERROR] = np.stack([beyond, total], axis=1)[learned]
        rows["pending"][asked[learned], ABSOLUTE_ERROR] = 0.0
        rows.touch(asked)

    def _set_null(self, measure: int, models: Indices) -> None:
        """The highest rate that is unsuspicious: the contract, or the reference's upper bound and the tolerance."""
        if not len(models):
            return
        state, reference = self.states[measure], self.rows["reference"][models, measure]
        phi = dispersion(state["scatter"][models], state["scatter_weight"][models], state["scatter_ticks"][models])
        worth = 1.0 / np.maximum(phi, 1.0)
        s, n = np.minimum(reference[:, 0], reference[:, 1]) * worth, reference[:, 1] * worth
        tolerance, limit = self._tolerance(measure, models), self._scale.limit[measure, models]
        low, high = null_edge(s, n, tolerance)
        low, high = np.where(np.isnan(limit), low, 0.0), np.where(np.isnan(limit), high, limit)
        state["reference_share"][models, 0] = reference[:, 0] / reference[:, 1]
        state["worth"][models], state["tolerance"][models] = worth, tolerance
        state["null_low"][models, 0], state["null_high"][models, 0] = low, high
        state["null_n"][models] = reference[:, 1]
        bets = np.log1p(high[:, None] * np.expm1(np.array(SHIFTS)))
        state["cost"][models] = np.where(high[:, None] < 1.0, bets, OFF)
        state.touch(models)


def cell_name(measure: int) -> str:
    """The name of a cell among its model's."""
    return f"{_DETECTOR}.{MEASURES[measure].name}"


def firing(performance: Performance, measure: int, model: int) -> bool:
    """Whether a cell fires."""
    return bool(performance.states[measure]["firing"][model] == FIRING)


def _error_bin(error: Floats) -> Indices:
    place = np.ceil(4.0 * np.log2(np.maximum(error, 2.0**-33))) + ERROR_BINS // 2
    bins: Indices = np.clip(place, 0, ERROR_BINS - 1).astype(np.int64)
    return bins


def _upper_edge(place: Indices) -> Floats:
    edge: Floats = 2.0 ** ((place - ERROR_BINS // 2) / 4.0)
    return edge
