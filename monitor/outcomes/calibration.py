"""Does a score still mean what it meant? Outcomes given scores, against the model's own reliability curve."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.budget import Budget
from monitor.catalog.models import SHARES, Models
from monitor.catalog.rows import Field, Rows
from monitor.incidents.incident import Effect
from monitor.kernels.judge import CLEAR_MARGIN, DISPERSION_MAX, FIRING, IDLE, PENDING, SUSPICIOUS
from monitor.outcomes.alarm import CaseAlarm
from monitor.outcomes.matured import Matured
from monitor.stats.accumulate import accumulate, restarted
from monitor.stats.bounds import clopper_pearson_lower, clopper_pearson_upper
from monitor.stats.dispersion import successive_difference, tempering
from monitor.stats.evidence import log_e_calibration, shift_logit

SHARE = "performance"
DETECTOR, ALERTNAME = "calibration", "ModelCalibrationShift"
CELL = DETECTOR
BINS = 10
"""Bins of the score, of equal width; within one the score's own slope is taken for the curve's."""
BETS = np.array([0.25, 0.5, 1.0, -0.25, -0.5, -1.0])
"""Nats for each positive outcome: up, and down."""
BIN_MIN = 20
"""Outcomes that a bin of the reference needs; scores in emptier ones are passed over."""
RECENT_CASES = 300.0
_ERROR = 1e-4
_RENULL_GROWTH = 1.1
_EDGE = 1e-6
_LN10 = math.log(10.0)

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

FIELDS = {
    "firing": Field(np.uint8, (), IDLE),
    "judged": Field(bool),
    "log_r": Field(np.float32, (len(BETS),), -np.inf),
    "reference": Field(np.float64, (BINS, 3)),
    "pending": Field(np.float64, (BINS, 3)),
    "recent": Field(np.float64, (3,)),
    "null_n": Field(np.float64, (), -1.0),
    "known": Field(bool, (BINS,), still=True),
    "offset": Field(np.float64, (BINS, 3), still=True),
    "s_prev": Field(np.float64),
    "n_prev": Field(np.float64),
    "scatter": Field(np.float64),
    "scatter_weight": Field(np.float64),
    "scatter_ticks": Field(np.int64),
    "onset": Field(np.float64, (), np.nan),
    "alarmed": Field(np.float64, (), np.nan),
    "last_bad": Field(np.float64, (), np.nan),
    "effect": Field(np.float64),
    "evidence": Field(np.float64, (), -np.inf),
    "suspicion": Field(np.float64),
}
"""``reference`` and ``pending`` are by bin number, positive outcomes and sum of scores; ``recent`` is the outcomes'
excess over what the curve expects, their variance under it, and their number. ``offset`` is by bin the logits from the
score to the lower bound, the estimate and the upper bound of the curve."""


@dataclass(slots=True)
class Scored:
    """One cohort of ``k`` models (rows).

    ``bins`` (k, BINS, 3) as in the reference; ``log_e`` (k, bets); ``now`` (k, 3) what the cohort adds to ``recent``;
    ``s`` positive ones of ``n`` that were bet on, (k,) each.
    """

    model: Indices
    end: Floats
    bins: Floats
    log_e: Floats
    now: Floats
    s: Floats
    n: Floats


class Calibration:
    """Reliability curves and cells of all models, by model row."""

    def __init__(self, models: Models, budget: Budget) -> None:
        self.rows = Rows(FIELDS)
        self._models, self._budget = models, budget

    def extend(self) -> None:
        """Make room for models that were added since."""
        if len(self._models) > len(self.rows):
            self.rows.add(len(self._models) - len(self.rows))

    def add(self, cases: Matured, place: Indices, into: Scored) -> None:
        """Add ``cases`` to the sums of their cohorts; ``place`` says which of them."""
        chosen = np.flatnonzero(~np.isnan(cases.y) & ~np.isnan(cases.score))
        if not len(chosen):
            return
        model, score, y, place = cases.model[chosen], cases.score[chosen], cases.y[chosen], place[chosen]
        bin_ = np.minimum((score * BINS).astype(np.int64), BINS - 1)
        np.add.at(into.bins, (place, bin_), np.stack([np.ones(len(y)), y, score], axis=1))
        rows = self.rows
        bet = rows["judged"][model] & rows["known"][model, bin_]
        if not bet.any():
            return
        model, score, y, place, bin_ = model[bet], score[bet], y[bet], place[bet], bin_[bet]
        logit = _logit(score)
        low, middle, high = (_sigmoid(logit + rows["offset"][model, bin_, i]) for i in range(3))
        shift = self._models.rows["tolerance_calibration"][model]
        edges = np.where(BETS > 0.0, high[:, None], low[:, None])
        log_e = log_e_calibration(y[:, None], edges, BETS, shift[:, None])
        np.add.at(into.log_e, place, log_e)
        np.add.at(into.now, place, np.stack([y - middle, middle * (1.0 - middle), np.ones(len(y))], axis=1))
        np.add.at(into.s, place, y)
        np.add.at(into.n, place, 1.0)

    def chances(self, model: Indices | NDArray[np.int32], score: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """What scores mean: lower bound, estimate and upper bound of the chance that ``y`` is 1, (n, 3).

        Beside it, which of them are known: those of models that are judged, in bins with enough outcomes.
        """
        bin_ = np.minimum((score * BINS).astype(np.int64), BINS - 1)
        known: NDArray[np.bool_] = self.rows["judged"][model] & self.rows["known"][model, bin_]
        return _sigmoid(_logit(score)[:, None] + self.rows["offset"][model, bin_]), known

    def judge(self, sums: Scored, n_fleet: int) -> tuple[list[CaseAlarm], list[tuple[int, str]], int]:
        """Let the cells of a cohort bet; what fires, what clears, and how many bet. ``end`` is one value."""
        rows = self.rows
        rows["pending"][sums.model] += sums.bins
        rows["recent"][sums.model] = rows["recent"][sums.model] * np.exp(-sums.n / RECENT_CASES)[:, None] + sums.now
        rows.stir(sums.model)
        place = np.flatnonzero(rows["judged"][sums.model] & (sums.n > 0))
        if not len(place):
            return [], [], 0
        at = sums.model[place]
        policy = self._models.rows
        tick, n_model = policy["tick"][at], policy["n_cells"][at, SHARES.index(SHARE)]
        allowance = self._budget.allowance(SHARE, n_fleet, n_model, tick)
        self._budget.spend(SHARE, allowance)
        end = float(sums.end[0])
        alarm, sustained, evidence = self._bet(sums, place, np.log(np.maximum(allowance, 1e-300)), end)
        held, over = self._decide(at, end, alarm, sustained)
        alarms = [self._alarm(int(at[j]), float(evidence[j]), end) for j in np.flatnonzero(held).tolist()]
        return alarms, [(row, CELL) for row in at[over].tolist()], len(place)

    def doubt(self, model: Indices) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which models' cells are under suspicion or fire, and which fire or are about to."""
        fires: NDArray[np.bool_] = self.rows["firing"][model] != IDLE
        return fires | (self.rows["suspicion"][model] > SUSPICIOUS), fires

    def learn(
        self, sums: Scored, age: Floats, doubted: NDArray[np.bool_], firing: NDArray[np.bool_]
    ) -> NDArray[np.int32]:
        """Let unsuspicious cohorts into the curves, and begin what has enough of one; 1 where a cell began."""
        rows, policy = self.rows, self._models.rows
        judged = rows["judged"][sums.model]
        held = rows["reference"][sums.model, :, 0].sum(axis=1)
        grows = (held < policy["learn_events"][sums.model]) | (age < policy["learn_for"][sums.model])
        take = ~judged | (grows & ~doubted)
        rows["reference"][sums.model[take]] += rows["pending"][sums.model[take]]
        rows["pending"][sums.model[~doubted | firing | ~judged]] = 0.0
        n = rows["reference"][sums.model, :, 0].sum(axis=1)
        begins = ~judged & (n >= policy["learn_events_min"][sums.model])
        rows["judged"][sums.model[begins]] = True
        known = rows["null_n"][sums.model]
        grown = rows["judged"][sums.model] & take & (n > _RENULL_GROWTH * np.maximum(known, 0.0))
        self._set_null(sums.model[grown])
        rows.stir(sums.model)
        began: NDArray[np.int32] = begins.astype(np.int32)
        return began

    def shift(self, model: int) -> float:
        """By how many logits the outcomes of the present lie above the curve; one Newton step from 0."""
        excess, variance, _ = self.rows["recent"][model]
        return float(excess / variance) if variance > 0.0 else math.nan

    def _bet(
        self, sums: Scored, place: Indices, log_budget: Floats, end: float
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_], Floats]:
        rows, at = self.rows, sums.model[place]
        eta = tempering(rows["scatter"][at], rows["scatter_weight"][at], rows["scatter_ticks"][at])
        s, n = sums.s[place], sums.n[place]
        scatter, weight = successive_difference(rows["s_prev"][at][:, None], rows["n_prev"][at], s[:, None], n)
        rows["scatter"][at] += np.minimum(scatter, DISPERSION_MAX * weight)
        rows["scatter_weight"][at] += weight
        rows["scatter_ticks"][at] += weight > 0.0
        rows["s_prev"][at], rows["n_prev"][at] = s, n
        log_e = (sums.log_e[place] * eta[:, None]).astype(np.float32)
        result = accumulate(rows["log_r"][at], log_e, log_budget.astype(np.float32))
        rows["log_r"][at] = result.log_r
        evidence = result.log_total - log_budget
        fresh = restarted(result.log_total, log_budget, SUSPICIOUS * -log_budget) & ~result.alarm
        unknown = np.isnan(rows["onset"][at])
        rows["onset"][at[unknown]] = end - self._models.rows["tick"][at[unknown]]
        rows["onset"][at[fresh]] = end
        rows["evidence"][at] = np.where(result.alarm, 0.0, evidence)
        rows["suspicion"][at] = evidence / -log_budget
        excess, variance, _ = rows["recent"][at].T
        shift = np.where(variance > 0.0, excess / np.where(variance > 0.0, variance, 1.0), 0.0)
        beyond = np.abs(shift) - self._models.rows["tolerance_calibration"][at]
        rows["effect"][at] = shift
        alarm = result.alarm & (beyond > 0.0)
        noise = CLEAR_MARGIN / np.sqrt(2.0 * np.maximum(variance, 1e-9))
        sustained = alarm | (beyond > noise) | (rows["suspicion"][at] > SUSPICIOUS)
        return alarm, sustained, np.asarray(evidence, np.float64)

    def _decide(
        self, at: Indices, end: float, alarm: NDArray[np.bool_], sustained: NDArray[np.bool_]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which cells begin to fire and which cease: as for the cells of series."""
        rows, policy = self.rows, self._models.rows
        rows["last_bad"][at[sustained]] = end
        state = rows["firing"][at]
        began = alarm & (state == IDLE)
        rows["firing"][at[began]] = PENDING
        rows["alarmed"][at[began]] = end
        rows["firing"][at[(state == PENDING) & ~sustained]] = IDLE
        held: NDArray[np.bool_] = rows["firing"][at] == PENDING
        held &= end - rows["alarmed"][at] >= policy["hold"][at]
        rows["firing"][at[held]] = FIRING
        over: NDArray[np.bool_] = state == FIRING
        over &= end - rows["last_bad"][at] >= policy["keep_firing"][at]
        rows["firing"][at[over]] = IDLE
        return held, over

    def _alarm(self, model: int, evidence: float, end: float) -> CaseAlarm:
        rows, shift = self.rows, self.shift(model)
        n, y, c = rows["pending"][model].sum(axis=0)
        direction = "more" if shift > 0 else "less"
        words = f"the outcome that its score speaks of comes {direction} often than it did at the same score"
        return CaseAlarm(
            model=model,
            cell=CELL,
            detector=DETECTOR,
            alertname=ALERTNAME,
            effect=Effect("logit_shift", shift, float(self._models.rows["tolerance_calibration"][model])),
            evidence_log10=evidence / _LN10,
            onset_time=float(rows["onset"][model]),
            fired_time=math.nan,
            words=f"{words}: {y:.0f} of {n:.0f} matured cases, their scores expected {c:.0f}",
        )

    def _set_null(self, models: Indices) -> None:
        """The curve by bin, with the bounds that a reference of its size leaves."""
        if not len(models):
            return
        rows = self.rows
        n, y, c = (rows["reference"][models, :, i] for i in range(3))
        size = np.maximum(n, 1.0)
        score = _logit(c / size)
        bounds = (
            clopper_pearson_lower(y, n, _ERROR),
            (y + 0.5) / (n + 1.0),
            clopper_pearson_upper(y, n, _ERROR),
        )
        rows["offset"][models] = np.stack([_logit(bound) - score for bound in bounds], axis=-1)
        rows["known"][models] = n >= BIN_MIN
        rows["null_n"][models] = n.sum(axis=1)
        rows.touch(models)


def _logit(p: Floats) -> Floats:
    p = np.clip(p, _EDGE, 1.0 - _EDGE)
    result: Floats = np.log(p / (1.0 - p))
    return result


def _sigmoid(x: Floats) -> Floats:
    return shift_logit(0.5, x)
