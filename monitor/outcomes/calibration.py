"""Does a score still mean what it meant? Outcomes given scores, against the model's own reliability curve."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from monitor.budget import Budget, Crowd
from monitor.catalog.models import Models
from monitor.catalog.rows import Field, Rows, aside
from monitor.incidents.firing import CellKey
from monitor.incidents.incident import Effect
from monitor.kernels.add import add_rows
from monitor.kernels.judge import CLEAR_MARGIN, DISPERSION_MAX, FIRING, IDLE, PENDING, SUSPICIOUS
from monitor.outcomes.alarm import CaseAlarm
from monitor.outcomes.recording import Cell, Cohort, Recorder
from monitor.outcomes.totals import CURVE_BINS
from monitor.stats.accumulate import accumulate, restarted
from monitor.stats.bounds import clopper_pearson_lower, clopper_pearson_upper
from monitor.stats.dispersion import successive_difference, tempering
from monitor.stats.evidence import log_e_calibration, shift_logit

SHARE, SEVERITY = "performance", "critical"
DETECTOR, ALERTNAME = "calibration", "ModelCalibrationShift"
CELL = DETECTOR
BINS = CURVE_BINS
"""Bins of the score; within one the score's own slope is taken for the curve's."""
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
    "reference": Field(np.float64, (BINS, 3), rare=True),
    "pending": Field(np.float64, (BINS, 3), rare=True),
    "recent": Field(np.float64, (3,)),
    "null_n": Field(np.float64, (), -1.0),
    "known": Field(bool, (BINS,), still=True),
    "offset": Field(np.float64, (BINS, 3), still=True, rare=True),
    "curve": Field(np.float64, (BINS, 3), still=True, rare=True),
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
score to the lower bound, the estimate and the upper bound of the curve; ``curve`` is the reference that they follow
from, which may have grown since."""

_GATHERED = ("firing", "log_r", "pending", "onset", "alarmed", "last_bad", "effect", "evidence", "suspicion")
"""What a cell has gathered for or against its null, and nothing else of its state."""


@dataclass(slots=True)
class Scored:
    """One cohort of ``k`` cells (rows).

    ``seconds`` (k,) is the event time that it covers. ``bins`` (k, BINS, 3) are as in the reference, ``squares``
    (k, BINS) the sums of squared scores, ``log_e`` is (k, bets), ``now`` (k, 3) what the cohort adds to ``recent``; of
    ``n`` that were bet on ``s`` are positive, (k,).
    """

    row: Indices
    end: Floats
    seconds: Floats
    bins: Floats
    squares: Floats
    log_e: Floats
    now: Floats
    s: Floats
    n: Floats

    @classmethod
    def of(cls, row: Indices, end: float, seconds: Floats) -> Scored:
        """A cohort before any case is in it."""
        k = len(row)
        return cls(
            *(row, np.full(k, end), seconds, np.zeros((k, BINS, 3)), np.zeros((k, BINS)), np.zeros((k, len(BETS)))),
            *(np.zeros((k, 3)), np.zeros(k), np.zeros(k)),
        )

    def some(self, own: NDArray[np.bool_]) -> Scored:
        """Those of the cells that ``own`` (k,) marks."""
        return Scored(*(getattr(self, each.name)[own] for each in fields(self)))


@dataclass(frozen=True, slots=True)
class Stepped:
    """What the step of ``b`` cells gave: whether each alarms or is sustained, and its evidence in nats, ``(b,)``.

    ``eta`` (b,) is the power of its bets, ``log_r`` (b, bets) what it came with.
    """

    alarm: NDArray[np.bool_]
    sustained: NDArray[np.bool_]
    evidence: Floats
    eta: Floats
    log_r: NDArray[np.float32]


class Calibration:
    """Reliability curves and cells of all models, by model row. Of what else has cells, a row's model is asked for."""

    docket = CELL
    """Under which name dockets are kept."""

    def __init__(self, models: Models, budget: Budget, recorder: Recorder | None = None) -> None:
        """``recorder`` keeps the dockets, where any are kept."""
        self.rows = Rows(aside(FIELDS))
        self._models, self._budget, self._recorder = models, budget, recorder

    def extend(self) -> None:
        """Make room for models that were added since."""
        if len(self._models) > len(self.rows):
            self.rows.add(len(self._models) - len(self.rows))

    def model_of(self, row: Indices | NDArray[np.int32]) -> Indices | NDArray[np.int32]:
        """The model of each row."""
        return row

    def add(self, row: Indices | NDArray[np.int32], score: Floats, y: Floats, place: Indices, into: Scored) -> None:
        """Add cases of the cells ``row`` to the sums of a cohort, at its places ``place``; all shapes ``(n,)``.

        Cases without a score, without an ``y`` (NaN) or without a place (-1) are passed over.
        """
        chosen = np.flatnonzero(~np.isnan(y) & ~np.isnan(score) & (place >= 0))
        if not len(chosen):
            return
        row, score, y, place = row[chosen], np.clip(score[chosen], _EDGE, 1.0 - _EDGE), y[chosen], place[chosen]
        bin_ = np.minimum((score * BINS).astype(np.int64), BINS - 1)
        add_rows(into.bins, place * BINS + bin_, (1.0, y, score))
        add_rows(into.squares[:, :, None], place * BINS + bin_, (score * score,))
        bet = np.flatnonzero(self.rows["judged"][row])
        bet = bet[self.rows["known"].reshape(-1)[row[bet] * np.int64(BINS) + bin_[bet]]]
        if not len(bet):
            return
        row, score, y, place, bin_ = row[bet], score[bet], y[bet], place[bet], bin_[bet]
        self._add(row, bin_, place, score, np.stack([np.ones(len(y)), y]), into)

    def add_sums(self, bins: Floats, into: Scored) -> None:
        """Add cohorts of which only ``bins`` (k, BINS, 3) are known: all cases of a bin bet at their mean score."""
        into.bins += bins
        into.squares += bins[:, :, 2] ** 2 / np.maximum(bins[:, :, 0], 1.0)
        place, bin_ = np.nonzero(bins[:, :, 0])
        row = into.row[place]
        bet = self.rows["judged"][row] & self.rows["known"][row, bin_]
        row, place, bin_ = row[bet], place[bet], bin_[bet]
        n, y, score = bins[place, bin_].T
        self._add(row, bin_, place, score / n, np.stack([n, y]), into)

    def _add(
        self, row: Indices | NDArray[np.int32], bin_: Indices, place: Indices, score: Floats, sums: Floats, into: Scored
    ) -> None:
        """Let cases into their cohorts' bets: ``sums`` (2, m) are how many have each ``score``, and positive ones."""
        n, y = sums
        logit = _logit(score)
        offset = self.rows["offset"].reshape(-1, 3)[row * np.int64(BINS) + bin_]
        low, middle, high = (_sigmoid(logit + each) for each in offset.T)
        bets = BETS[:, None]
        no = log_e_calibration(0.0, np.where(bets > 0.0, high, low), bets, self.tolerance(row))
        # A positive outcome adds what is bet on it, and nothing else.
        add_rows(into.log_e, place, tuple(y * bets + n * no))
        add_rows(into.now, place, (y - n * middle, n * middle * (1.0 - middle), n))
        add_rows(into.s[:, None], place, (y,))
        add_rows(into.n[:, None], place, (n,))

    def chances(self, model: Indices | NDArray[np.int32], score: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """What scores mean: lower bound, estimate and upper bound of the chance that ``y`` is 1, (n, 3).

        Beside it, which of them are known: those of models that are judged, in bins with enough outcomes.
        """
        bin_ = np.minimum((score * BINS).astype(np.int64), BINS - 1)
        known: NDArray[np.bool_] = self.rows["judged"][model] & self.rows["known"][model, bin_]
        return _sigmoid(_logit(score)[:, None] + self.rows["offset"][model, bin_]), known

    def judge(self, sums: Scored, n_fleet: float, due: float) -> tuple[list[CaseAlarm], list[tuple[int, str]], int]:
        """Let the cells of a cohort bet that matured at ``due``; what fires, what clears, and how many bet.

        ``end`` is one value.
        """
        rows = self.rows
        rows["pending"][sums.row] += sums.bins
        rows["recent"][sums.row] = rows["recent"][sums.row] * np.exp(-sums.n / RECENT_CASES)[:, None] + sums.now
        rows.stir(sums.row)
        place = np.flatnonzero(rows["judged"][sums.row] & (sums.n > 0))
        if not len(place):
            return [], [], 0
        at = sums.row[place]
        allowance = self.allowance(at, n_fleet, sums.seconds[place])
        crowd = Crowd.of(SHARE, n_fleet, self._models)
        self._budget.spend(SHARE, SEVERITY, allowance, crowd, self.model_of(at))
        end, log_budget = float(sums.end[0]), np.log(np.maximum(allowance, 1e-300))
        step = self._bet(sums, place, log_budget, end)
        held, over = self._decide(at, end, step.alarm, step.sustained)
        self._record(sums, place, log_budget, step, held)
        alarms = []
        for j in np.flatnonzero(held).tolist():
            alarm = self._alarm(int(at[j]), float(step.evidence[j]), end, due)
            alarms.append(replace(alarm, docket=self._close(int(at[j]), float(step.evidence[j]), end, due, crowd)))
        return alarms, [self.key(row) for row in at[over].tolist()], len(place)

    def allowance(self, at: Indices, n_fleet: float, seconds: Floats) -> Floats:
        """Expected false alarms that each of the cells ``at`` may cost in a cohort that covers ``seconds``."""
        crowd = Crowd.of(SHARE, n_fleet, self._models)
        return self._budget.allowance(SHARE, crowd, self.model_of(at), seconds)

    def tolerance(self, at: Indices | NDArray[np.int32]) -> Floats:
        """The shift, in logits, that is tolerated of each cell."""
        found: Floats = self._models.rows["tolerance_calibration"][self.model_of(at)]
        return found

    def weight(self, row: int) -> float:
        """What part a cell has of what one cell of its model may spend."""
        return 1.0

    def people(self, at: Indices) -> Floats | None:
        """How many people are behind each of the cells ``at`` since suspicion began, where too few are not told of."""
        return None

    def asks(self) -> dict[str, float]:
        """What is asked of a cell beside its evidence and its effect, by name."""
        return {}

    def key(self, row: int) -> CellKey:
        """A cell as the incident book knows it."""
        return row, CELL

    def restart(self, model: int) -> set[str]:
        """Let a model's cell begin without evidence, since its null is another; its name, if it fired."""
        fired = {CELL} if self.rows["firing"][model] == FIRING else set()
        self.rows.reset(np.array([model]), _GATHERED)
        return fired

    def forget(self, model: int) -> set[str]:
        """Let a model's curve and its cell begin empty; the names of the cells that it had."""
        had = {CELL} if self.rows["judged"][model] else set()
        self.rows.reset(np.array([model]))
        return had

    def doubt(self, model: Indices) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which cells are under suspicion or fire, and which fire or are about to."""
        fires: NDArray[np.bool_] = self.rows["firing"][model] != IDLE
        return fires | (self.rows["suspicion"][model] > SUSPICIOUS), fires

    def learn(
        self, sums: Scored, age: Floats, doubted: NDArray[np.bool_], firing: NDArray[np.bool_]
    ) -> NDArray[np.int32]:
        """Let unsuspicious cohorts into the curves, and begin what has enough of one; 1 where a cell began."""
        rows, policy, model = self.rows, self._models.rows, self.model_of(sums.row)
        judged = rows["judged"][sums.row]
        held = rows["reference"][sums.row, :, 0].sum(axis=1)
        grows = (held < policy["learn_events"][model]) | (age < policy["learn_for"][model])
        take = ~judged | (grows & ~doubted)
        rows["reference"][sums.row[take]] += rows["pending"][sums.row[take]]
        rows["pending"][sums.row[~doubted | firing | ~judged]] = 0.0
        n = rows["reference"][sums.row, :, 0].sum(axis=1)
        begins = ~judged & (n >= policy["learn_events_min"][model])
        rows["judged"][sums.row[begins]] = True
        known = rows["null_n"][sums.row]
        grown = rows["judged"][sums.row] & take & (n > _RENULL_GROWTH * np.maximum(known, 0.0))
        self._set_null(sums.row[grown])
        rows.stir(sums.row)
        began: NDArray[np.int32] = begins.astype(np.int32)
        return began

    def shift(self, row: int) -> float:
        """By how many logits the outcomes of the present lie above the curve; one Newton step from 0."""
        excess, variance, _ = self.rows["recent"][row]
        return float(excess / variance) if variance > 0.0 else math.nan

    def _bet(self, sums: Scored, place: Indices, log_budget: Floats, end: float) -> Stepped:
        rows, at = self.rows, sums.row[place]
        eta = tempering(rows["scatter"][at], rows["scatter_weight"][at], rows["scatter_ticks"][at])
        s, n = sums.s[place], sums.n[place]
        scatter, weight = successive_difference(rows["s_prev"][at][:, None], rows["n_prev"][at], s[:, None], n)
        rows["scatter"][at] += np.minimum(scatter, DISPERSION_MAX * weight)
        rows["scatter_weight"][at] += weight
        rows["scatter_ticks"][at] += weight > 0.0
        rows["s_prev"][at], rows["n_prev"][at] = s, n
        log_e = (sums.log_e[place] * eta[:, None]).astype(np.float32)
        log_r = rows["log_r"][at]
        result = accumulate(log_r, log_e, log_budget.astype(np.float32))
        rows["log_r"][at] = result.log_r
        evidence = result.log_total - log_budget
        fresh = restarted(result.log_total, log_budget, SUSPICIOUS * -log_budget) & ~result.alarm
        unknown = np.isnan(rows["onset"][at])
        rows["onset"][at[unknown]] = end - self._models.rows["tick"][self.model_of(at[unknown])]
        rows["onset"][at[fresh]] = end
        rows["evidence"][at] = np.where(result.alarm, 0.0, evidence)
        rows["suspicion"][at] = evidence / -log_budget
        excess, variance, _ = rows["recent"][at].T
        shift = np.where(variance > 0.0, excess / np.where(variance > 0.0, variance, 1.0), 0.0)
        beyond = np.abs(shift) - self.tolerance(at)
        rows["effect"][at] = shift
        alarm = result.alarm & (beyond > 0.0)
        noise = CLEAR_MARGIN / np.sqrt(2.0 * np.maximum(variance, 1e-9))
        sustained = alarm | (beyond > noise) | (rows["suspicion"][at] > SUSPICIOUS)
        return Stepped(alarm, sustained, np.asarray(evidence, np.float64), eta, log_r)

    def _decide(
        self, at: Indices, end: float, alarm: NDArray[np.bool_], sustained: NDArray[np.bool_]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which cells begin to fire and which cease: as for the cells of series."""
        rows, policy, model = self.rows, self._models.rows, self.model_of(at)
        rows["last_bad"][at[sustained]] = end
        state = rows["firing"][at]
        began = alarm & (state == IDLE)
        rows["firing"][at[began]] = PENDING
        rows["alarmed"][at[began]] = end
        rows["firing"][at[(state == PENDING) & ~sustained]] = IDLE
        held: NDArray[np.bool_] = rows["firing"][at] == PENDING
        held &= end - rows["alarmed"][at] >= policy["hold"][model]
        rows["firing"][at[held]] = FIRING
        over: NDArray[np.bool_] = state == FIRING
        over &= end - rows["last_bad"][at] >= policy["keep_firing"][model]
        rows["firing"][at[over]] = IDLE
        return held, over

    def _record(self, sums: Scored, place: Indices, log_budget: Floats, step: Stepped, held: NDArray[np.bool_]) -> None:
        """Let the step of the cells at ``place`` into their dockets."""
        if self._recorder is None:
            return
        at = sums.row[place]
        cohort = Cohort(
            end=float(sums.end[0]),
            **{name: getattr(sums, name)[place] for name in ("seconds", "bins", "squares", "s", "n", "log_e")},
            adds=sums.now[place],
            log_budget=log_budget,
            eta=step.eta,
            log_r=step.log_r,
            evidence=step.evidence,
            tolerance=self.tolerance(at),
            people=self.people(at),
        )
        self._recorder.follow_scores(self.docket, self.rows, at, held, cohort)

    def _close(self, row: int, evidence: float, end: float, due: float, crowd: Crowd) -> bytes:
        """All that a cell that fires was judged by."""
        if self._recorder is None:
            return b""
        cell = Cell(self.docket, row, int(self.model_of(np.array([row]))[0]), SHARE, end, due, self.weight(row))
        header = {"of": "scores", "detector": DETECTOR, "bets": BETS.tolist(), "bin_min": BIN_MIN, **self.asks()}
        return self._recorder.alarm(cell, crowd, header, {"told": self.shift(row), "evidence": evidence})

    def _alarm(self, row: int, evidence: float, end: float, due: float) -> CaseAlarm:
        rows, shift, at = self.rows, self.shift(row), np.array([row])
        return CaseAlarm(
            model=int(self.model_of(at)[0]),
            cell=self.key(row)[1],
            detector=DETECTOR,
            alertname=ALERTNAME,
            effect=Effect("logit_shift", shift, float(self.tolerance(at)[0])),
            evidence_log10=evidence / _LN10,
            onset_time=float(rows["onset"][row]),
            fired_time=due,
            words=f"{words(shift)}: {self._counted(row)}",
        )

    def _counted(self, row: int) -> str:
        """Beside what the reference lets expect at these scores, whatever the scores themselves say."""
        n, y, c = self.rows["pending"][row].T
        usual = _sigmoid(_logit(c / np.maximum(n, 1.0)) + self.rows["offset"][row, :, 1])
        expected = np.where(self.rows["known"][row], usual * n, c).sum()
        return f"{y.sum():.0f} of {n.sum():.0f} matured cases, about {expected:.0f} were to be expected"

    def _set_null(self, at: Indices) -> None:
        """The curve by bin, with the bounds that a reference of its size leaves."""
        if not len(at):
            return
        rows = self.rows
        n, y, c = (rows["reference"][at, :, i] for i in range(3))
        size = np.maximum(n, 1.0)
        score = _logit(c / size)
        bounds = (
            clopper_pearson_lower(y, n, _ERROR),
            (y + 0.5) / (n + 1.0),
            clopper_pearson_upper(y, n, _ERROR),
        )
        rows["offset"][at] = np.stack([_logit(bound) - score for bound in bounds], axis=-1)
        rows["known"][at] = n >= BIN_MIN
        rows["curve"][at] = rows["reference"][at]
        rows["null_n"][at] = n.sum(axis=1)
        rows.touch(at)


def words(shift: float) -> str:
    """What an alarm says of a shift."""
    direction = "more" if shift > 0 else "less"
    return f"the outcome that its score speaks of comes {direction} often than it did at the same score"


def _logit(p: Floats) -> Floats:
    p = np.clip(p, _EDGE, 1.0 - _EDGE)
    result: Floats = np.log(p / (1.0 - p))
    return result


def _sigmoid(x: Floats) -> Floats:
    return shift_logit(0.5, x)
