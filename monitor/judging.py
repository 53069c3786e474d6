"""From the sums of a tick to alarms: every cell bets against its null, and evidence adds up within the budget."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.budget import Budget
from monitor.catalog.models import SHARES, Models
from monitor.catalog.rows import Field, Rows
from monitor.catalog.series import JUDGED, Series
from monitor.detectors import DETECTORS
from monitor.detectors.cell import Counts, Detector, SeriesView, Shares
from monitor.kernels.tally import BINS, OTHER_BIN
from monitor.stats.accumulate import accumulate, restarted
from monitor.stats.bounds import null_edge
from monitor.stats.dispersion import dispersion, successive_difference, tempering

BLOCK = 8192
"""Series that are judged at once: the arrays of a block stay in the cache."""
RECENT_EVENTS = 300.0
"""What the present is: events fade from it by a factor e with every so many that follow."""
_RENULL_GROWTH = 1.1
"""The null is computed anew when a growing reference has grown by this factor."""
_OFF = np.float32(1e30)
"""Stands for the cost of a bet that cannot be made: its component never gains."""
_SUSPICIOUS = 0.4
"""Part of the evidence for an alarm from which a cell is under suspicion.

Its ticks no longer enter a growing reference, a firing cell goes on firing, and the onset is extrapolated back from
here. Budget alone, handed out tick by tick, carries a cell with little traffic up to a quarter of the way.
"""
_CLEAR_MARGIN = 1.5
"""Standard errors of the present by which a share must lie outside the null to keep a cell firing."""
_DISPERSION_MAX = 10.0
"""A pair of ticks counts as at most this much scatter, so that the change that is sought does not hide itself."""
_LN10 = math.log(10.0)

IDLE, PENDING, FIRING = range(3)

IndexArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CellAlarm:
    """A cell that fires. ``row`` is its series, ``cut`` the share that moved furthest from ``before`` to ``now``."""

    row: int
    detector: int
    cut: int
    before: float
    now: float
    effect: float
    tolerance: float
    evidence_log10: float
    onset_time: float
    fired_time: float


@dataclass(slots=True)
class TickSums:
    """What closed: ``k`` series with their counts of one tick, ``EVENTS`` filled in.

    ``rows`` (int64) are series rows, none twice; ``counts`` has shape ``(k, 40)``; ``end`` is the end of the tick in
    seconds since the epoch, ``seconds`` (k,) its length.
    """

    rows: IndexArray
    counts: NDArray[np.uint32]
    end: float
    seconds: NDArray[np.float64]


@dataclass(slots=True)
class Judged:
    """What a tick gave: alarms that begin to fire, cells that stopped, and how many cells bet."""

    alarms: list[CellAlarm]
    cleared: list[tuple[int, int]]
    n_cells: int


def components(detector: Detector) -> int:
    """Bets that one cell of ``detector`` holds at once."""
    return detector.cuts * (2 if detector.two_sided else 1) * len(detector.shifts)


def state_fields(detector: Detector) -> dict[str, Field]:
    """The state of one cell of ``detector``, as arrays by series row."""
    k, c = components(detector), detector.cuts
    return {
        "applies": Field(np.uint8),
        "firing": Field(np.uint8, (), IDLE),
        "log_r": Field(np.float32, (k,), -np.inf),
        "cost": Field(np.float32, (k,), float(_OFF)),
        "reference_share": Field(np.float32, (c,)),
        "null_low": Field(np.float32, (c,)),
        "null_high": Field(np.float32, (c,), 1.0),
        "null_n": Field(np.float64, (), -1.0),
        "s_prev": Field(np.float32, (c,)),
        "n_prev": Field(np.float32),
        "scatter": Field(np.float32),
        "scatter_weight": Field(np.float32),
        "scatter_ticks": Field(np.int32),
        "onset": Field(np.float64, (), np.nan),
        "alarmed": Field(np.float64, (), np.nan),
        "last_bad": Field(np.float64, (), np.nan),
        "effect": Field(np.float32),
        "evidence": Field(np.float32, (), -np.inf),
        "suspicion": Field(np.float32),
    }


class Judge:
    """Holds the state of all cells; :meth:`judge` takes it one tick further. Nothing here knows the time of day."""

    def __init__(self, models: Models, series: Series, budget: Budget) -> None:
        self.models = models
        self.series = series
        self.budget = budget
        self.states: dict[str, Rows] = {d.name: Rows(state_fields(d)) for d in DETECTORS}
        self.n_cells = dict.fromkeys(SHARES, 0)

    def extend(self) -> None:
        """Make room for series that were added since."""
        for state in self.states.values():
            if len(self.series.rows) > len(state):
                state.add(len(self.series.rows) - len(state))

    def begin(self, rows: IndexArray) -> None:
        """Start, or start anew, the cells of series ``rows``: their references say what is judged."""
        self.extend()
        view = self.view(rows)
        reference = self.series.rows["reference"][rows].astype(np.float64)
        for detector in DETECTORS:
            state = self.states[detector.name]
            before = state["applies"][rows].astype(np.int32)
            applies = detector.applies(view)
            fresh = rows[applies & (before == 0)]
            state.reset(fresh)
            state["applies"][rows] = applies
            self._count_cells(detector.share, rows, applies.astype(np.int32) - before)
            self._set_null(detector, rows[applies], reference[applies])

    def end(self, rows: IndexArray) -> None:
        """Take the cells of ``rows`` away; what they had gathered is forgotten."""
        self.extend()
        for detector in DETECTORS:
            state = self.states[detector.name]
            self._count_cells(detector.share, rows, -state["applies"][rows].astype(np.int32))
            state.reset(rows)

    def recount(self) -> None:
        """Count the cells of every share again, after the state was loaded."""
        self.models.rows["n_cells"][: len(self.models)] = 0
        self.n_cells = dict.fromkeys(SHARES, 0)
        everything = np.arange(len(self.series.rows))
        for detector in DETECTORS:
            applies = self.states[detector.name]["applies"][: len(everything)].astype(np.int32)
            self._count_cells(detector.share, everything, applies)

    def judge(self, sums: TickSums) -> Judged:
        """Let every cell of ``sums`` bet on its tick; a cell without events neither bets nor spends."""
        out = Judged([], [], 0)
        for start in range(0, len(sums.rows), BLOCK):
            part = slice(start, start + BLOCK)
            block = TickSums(sums.rows[part], sums.counts[part], sums.end, sums.seconds[part])
            self._judge_block(block, out)
        return out

    def suspicious(self, rows: IndexArray) -> NDArray[np.bool_]:
        """Which of ``rows`` have a cell that fires or has gathered evidence: their ticks stay out of the reference."""
        doubt = np.zeros(len(rows), bool)
        for state in self.states.values():
            doubt |= state["firing"][rows] != IDLE
            doubt |= state["suspicion"][rows] > _SUSPICIOUS
        return doubt

    def firing(self, rows: IndexArray) -> NDArray[np.bool_]:
        """Which of ``rows`` have a cell that fires or is about to."""
        fires = np.zeros(len(rows), bool)
        for state in self.states.values():
            fires |= state["firing"][rows] != IDLE
        return fires

    def renull(self, rows: IndexArray) -> None:
        """Compute the nulls of ``rows`` anew where their references have grown enough."""
        reference = self.series.rows["reference"][rows].astype(np.float64)
        view = self.view(rows)
        for detector in DETECTORS:
            state = self.states[detector.name]
            n = detector.shares(reference, view).n
            grown = (state["applies"][rows] > 0) & (n > _RENULL_GROWTH * state["null_n"][rows])
            self._set_null(detector, rows[grown], reference[grown])

    def view(self, rows: IndexArray) -> SeriesView:
        """What detectors may know of ``rows``."""
        r = self.series.rows
        return SeriesView(
            kind=r["kind"][rows],
            space=r["space"][rows],
            n_cuts=r["n_cuts"][rows],
            cuts=r["cuts"][rows],
            overflowed=r["reference"][rows, OTHER_BIN] > 0,
            in_reference=r["judging"][rows] == JUDGED,
        )

    def effect(self, detector: Detector, rows: IndexArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Shares of ``rows`` in the present and in the reference, each ``(k, cuts)``; NaN without events."""
        recent = detector.shares(self.series.rows["recent"][rows].astype(np.float64), self.view(rows))
        state = self.states[detector.name]
        return _rates(recent), state["reference_share"][rows].astype(np.float64)

    def _judge_block(self, sums: TickSums, out: Judged) -> None:
        rows, counts = sums.rows, sums.counts.astype(np.float64)
        recent = self._fade(rows, counts)
        self.series.rows["pending"][rows] += sums.counts
        suspected = self.series.rows["pending"][rows].astype(np.float64)
        view = self.view(rows)
        for i, detector in enumerate(DETECTORS):
            state = self.states[detector.name]
            tick = detector.shares(counts, view)
            bets = (state["applies"][rows] > 0) & (tick.n > 0)
            if not bets.any():
                continue
            at, now, since = rows[bets], detector.shares(recent, view), detector.shares(suspected, view)
            step = _Step(
                detector=i,
                at=at,
                end=sums.end,
                tick=Shares(tick.s[bets], tick.n[bets]),
                now=Shares(now.s[bets], now.n[bets]),
                since=Shares(since.s[bets], since.n[bets]),
                model=self.series.rows["model"][at],
                seconds=sums.seconds[bets],
            )
            self._bet(step, out)
            out.n_cells += len(at)

    def _fade(self, rows: IndexArray, counts: Counts) -> Counts:
        faded = self.series.rows["recent"][rows] * np.exp(-counts[:, :BINS].sum(axis=1) / RECENT_EVENTS)[:, None]
        recent: Counts = faded + counts
        self.series.rows["recent"][rows] = recent
        return recent

    def _bet(self, step: _Step, out: Judged) -> None:
        detector = DETECTORS[step.detector]
        state, at = self.states[detector.name], step.at
        n_model = self.models.rows["n_cells"][step.model, SHARES.index(detector.share)]
        allowance = self.budget.allowance(detector.share, self.n_cells[detector.share], n_model, step.seconds)
        self.budget.spend(detector.share, allowance)
        cost = state["cost"][at]
        active = np.maximum((cost < _OFF).sum(axis=1), 1)
        log_budget = np.log(np.maximum(allowance, 1e-300))
        log_e = _log_e(detector, step.tick, cost)
        log_e *= self._tempering(state, step)[:, None]
        spread = log_budget + np.log(components(detector) / active)
        result = accumulate(state["log_r"][at], log_e, spread.astype(np.float32))
        state["log_r"][at] = result.log_r
        needed = -log_budget
        fresh = restarted(result.log_total, log_budget, _SUSPICIOUS * needed) & ~result.alarm
        unknown = np.isnan(state["onset"][at])
        state["onset"][at[unknown]] = step.end - step.seconds[unknown]
        state["onset"][at[fresh]] = step.end
        evidence = result.log_total - log_budget
        state["evidence"][at] = np.where(result.alarm, 0.0, evidence)
        state["suspicion"][at] = evidence / needed
        self._decide(step, result.alarm, evidence, out)
        state.touch(at)

    def _tempering(self, state: Rows, step: _Step) -> NDArray[np.float32]:
        """The exponent for this tick from the ticks before, then this tick's own scatter for those to come."""
        at = step.at
        eta = tempering(state["scatter"][at], state["scatter_weight"][at], state["scatter_ticks"][at])
        scatter, weight = successive_difference(state["s_prev"][at], state["n_prev"][at], step.tick.s, step.tick.n)
        state["scatter"][at] += np.minimum(scatter, _DISPERSION_MAX * weight)
        state["scatter_weight"][at] += weight
        state["scatter_ticks"][at] += weight > 0.0
        state["s_prev"][at], state["n_prev"][at] = step.tick.s, step.tick.n
        return eta.astype(np.float32)

    def _decide(self, step: _Step, alarm: NDArray[np.bool_], evidence: NDArray[np.floating], out: Judged) -> None:
        """Evidence and effect: an alarm needs both; a firing cell clears when it has had neither for long enough."""
        detector = DETECTORS[step.detector]
        state, at, end = self.states[detector.name], step.at, step.end
        low, high = state["null_low"][at], state["null_high"][at]
        rate = np.nan_to_num(_rates(step.now))
        excess = np.maximum(rate - high, low - rate if detector.two_sided else -1.0)
        excess[state["cost"][at].reshape(len(at), detector.cuts, -1).min(axis=2) >= _OFF] = -1.0
        edge = np.where(rate > high, high, low)
        # Events that fade by a factor e over N others weigh as much as 2 N whole ones.
        weight = 2.0 * np.maximum(step.now.n, 1.0)[:, None]
        noise = _CLEAR_MARGIN * np.sqrt(np.maximum(edge * (1.0 - edge), 1e-4) / weight)
        alarm = alarm & (excess.max(axis=1) > 0.0)
        sustained = alarm | (excess > noise).any(axis=1) | (state["suspicion"][at] > _SUSPICIOUS)
        state["effect"][at] = self._strength(state, at, rate, weight)
        state["last_bad"][at[sustained]] = end

        firing = state["firing"][at]
        began = alarm & (firing == IDLE)
        state["firing"][at[began]] = PENDING
        state["alarmed"][at[began]] = end
        state["firing"][at[(firing == PENDING) & ~sustained]] = IDLE
        held = state["firing"][at] == PENDING
        held &= end - state["alarmed"][at] >= self.models.rows["hold"][step.model]
        state["firing"][at[held]] = FIRING
        told = np.where(np.isnan(_rates(step.since)), rate, _rates(step.since))
        for j in np.flatnonzero(held).tolist():
            out.alarms.append(self._alarm(step, j, told[j], excess[j], float(evidence[j])))
        over = (firing == FIRING) & (end - state["last_bad"][at] >= self.models.rows["keep_firing"][step.model])
        state["firing"][at[over]] = IDLE
        out.cleared.extend((row, step.detector) for row in at[over].tolist())

    def _alarm(
        self,
        step: _Step,
        j: int,
        rate: NDArray[np.float64],
        excess: NDArray[np.float64],
        evidence: float,
    ) -> CellAlarm:
        detector, row = DETECTORS[step.detector], int(step.at[j])
        state = self.states[detector.name]
        cut = int(np.argmax(excess))
        before, now = float(state["reference_share"][row, cut]), float(rate[cut])
        return CellAlarm(
            row=row,
            detector=step.detector,
            cut=cut,
            before=before,
            now=now,
            effect=abs(now - before),
            tolerance=float(self.models.rows[f"tolerance_{detector.tolerance}"][step.model[j]]),
            evidence_log10=evidence / _LN10,
            onset_time=_onset(float(state["onset"][row]), step.end),
            fired_time=step.end,
        )

    def _strength(
        self, state: Rows, at: IndexArray, rate: NDArray[np.float64], weight: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The largest movement of a cell's shares beyond what chance explains (two standard errors), shape ``(k,)``."""
        before = state["reference_share"][at].astype(np.float64)
        chance = 2.0 * np.sqrt(np.maximum(before * (1.0 - before), rate * (1.0 - rate)) / weight)
        gap: NDArray[np.float64] = np.maximum(np.abs(rate - before) - chance, 0.0)
        cuts = gap.shape[1]
        gap[state["cost"][at].reshape(len(at), cuts, -1).min(axis=2) >= _OFF] = 0.0
        strength: NDArray[np.float64] = gap.max(axis=1)
        return strength

    def _set_null(self, detector: Detector, rows: IndexArray, reference: Counts) -> None:
        if not len(rows):
            return
        state, view = self.states[detector.name], self.view(rows)
        shares = detector.shares(reference, view)
        tolerance = self.models.rows[f"tolerance_{detector.tolerance}"][self.series.rows["model"][rows]]
        # Events that clump say less than their number, of the reference too.
        phi = dispersion(state["scatter"][rows], state["scatter_weight"][rows], state["scatter_ticks"][rows])
        worth = 1.0 / np.maximum(phi, 1.0)
        low, high = null_edge(shares.s * worth[:, None], (shares.n * worth)[:, None], tolerance[:, None])
        state["reference_share"][rows] = np.nan_to_num(_rates(shares))
        state["null_low"][rows], state["null_high"][rows] = low, high
        state["null_n"][rows] = shares.n
        cost = _cost(detector, low, high)
        if detector.cuts > 1:
            unused = np.arange(detector.cuts) >= view.n_cuts[:, None]
            cost[unused] = _OFF
        state["cost"][rows] = cost.reshape(len(rows), -1)
        state.touch(rows)

    def _count_cells(self, share: str, rows: IndexArray, change: NDArray[np.int32]) -> None:
        self.n_cells[share] += int(change.sum())
        model = self.series.rows["model"][rows]
        np.add.at(self.models.rows["n_cells"][:, SHARES.index(share)], model, change)


@dataclass(slots=True)
class _Step:
    """One detector's share of a tick: ``at`` are the series whose cells bet; every array has their length.

    ``tick`` is what the tick brought, ``now`` the fading present, ``since`` all since the series came under suspicion.
    """

    detector: int
    at: IndexArray
    end: float
    tick: Shares
    now: Shares
    since: Shares
    model: NDArray[np.int32]
    seconds: NDArray[np.float64]


def _onset(clock: float, alarm: float) -> float:
    """When evidence began to grow, if it grew evenly: it came under suspicion at ``clock``, alarmed at ``alarm``."""
    return clock - (alarm - clock) * _SUSPICIOUS / (1.0 - _SUSPICIOUS)


def _rates(shares: Shares) -> NDArray[np.float64]:
    """Shares as rates, ``(k, cuts)``; NaN where there were no events."""
    n = np.where(shares.n > 0, shares.n, np.nan)[:, None]
    rates: NDArray[np.float64] = np.minimum(shares.s / n, 1.0)
    return rates


def _cost(detector: Detector, low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float32]:
    """``log(1 - p0 + p0 e^d)`` of each bet, shape ``(k, cuts, sides, shifts)``.

    The bet on a rate shifted by ``d`` logits beyond the edge ``p0`` of the null is worth ``s d - n cost`` nats after
    ``s`` of ``n`` events. A side on which nothing lies beyond the edge cannot be bet on.
    """
    d = np.array(detector.shifts)
    up = np.where(high[..., None] < 1.0, np.log1p(np.minimum(high, 1.0)[..., None] * np.expm1(d)), _OFF)
    if not detector.two_sided:
        return up[:, :, None, :].astype(np.float32)
    down = np.where(low[..., None] > 0.0, np.log1p(np.maximum(low, 0.0)[..., None] * np.expm1(-d)), _OFF)
    return np.stack([up, down], axis=2).astype(np.float32)


def _log_e(detector: Detector, tick: Shares, cost: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log e-values of a tick, shape ``(k, components)``."""
    d = np.array(detector.shifts, np.float32)
    shifts = np.stack([d, -d]) if detector.two_sided else d[None, :]
    gain = tick.s.astype(np.float32)[:, :, None, None] * shifts
    log_e: NDArray[np.float32] = gain.reshape(len(tick.n), -1) - tick.n.astype(np.float32)[:, None] * cost
    return log_e
