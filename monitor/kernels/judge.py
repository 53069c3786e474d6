"""How a closed tick meets the cells: the fading present, and every cell's bet. Compiled in ``judge.c``; here in numpy.

The compiled loops and their twins differ by roundings alone: about 1e-6 nats a tick.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from monitor.kernels.library import address, library
from monitor.kernels.tally import (
    ABOVE,
    BELOW,
    BINS,
    DROPPED,
    EVENTS,
    INVALID,
    KIND_NUMBER,
    NULLS,
    PRESENT,
    TYPE,
    UNSEEN_BIN,
)
from monitor.stats.accumulate import accumulate, restarted
from monitor.stats.dispersion import MARGIN, PRIOR, TICKS_MIN, successive_difference, tempering

OFF = np.float32(1e30)
"""Stands for the cost of a bet that cannot be made: its component never gains."""
SUSPICIOUS = 0.4
"""Part of the evidence for an alarm from which a cell is under suspicion.

Its ticks no longer enter a growing reference, a firing cell goes on firing, and the onset is extrapolated back from
here. Budget alone, handed out tick by tick, carries a cell with little traffic up to a quarter of the way.
"""
CLEAR_MARGIN = 1.5
"""Standard errors of the present by which a share must lie outside the null to keep a cell firing."""
DISPERSION_MAX = 10.0
"""A pair of ticks counts as at most this much scatter, so that the change that is sought does not hide itself."""

IDLE, PENDING, FIRING = range(3)
HELD, OVER = 1, 2
"""What :func:`bet` says of a cell: it begins to fire; it ceases to."""

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

_STATE = (
    *("log_r", "cost", "reference_share", "null_low", "null_high", "s_prev", "n_prev", "scatter", "scatter_weight"),
    *("wander", "scatter_ticks", "onset", "alarmed", "last_bad", "effect", "evidence", "suspicion", "firing"),
)
_OF_TICK = ("place", "row", "tick_s", "tick_n", "now_s", "now_n", "log_budget", "seconds", "hold", "keep_firing")
_ONES = ("values", "events", "present", "of_schema", "missing", "invalid", "out_of_range", "unseen", "schema")
"""What ``shares_call`` of ``judge.c`` gives beside the shares at cuts, in its order."""
_ASKED_ONCE = tuple(
    (name, _ONES.index(name), _ONES.index(of))
    for name, of in (
        *(("missing", "events"), ("invalid", "present"), ("out_of_range", "values")),
        *(("unseen", "values"), ("schema", "of_schema")),
    )
)
"""Detectors with one share: where it stands, and where that of which it is one."""
_P, _N, _D = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double


class State(Protocol):
    """The arrays of one detector's cells, by name: ``cell_fields`` of ``cells.py``."""

    def __getitem__(self, name: str) -> NDArray[Any]:
        """One array."""
        ...


@dataclass(frozen=True, slots=True)
class Question:
    """What a detector asks: its number of cuts, whether a share may not fall either, the shifts that are bet on."""

    cuts: int
    two_sided: bool
    shifts: tuple[float, ...]

    @property
    def components(self) -> int:
        """Bets that one cell holds at once."""
        return self.cuts * (2 if self.two_sided else 1) * len(self.shifts)


@dataclass(slots=True)
class Bets:
    """``b`` cells that bet, of the ``k`` series of a tick that ended at ``end``.

    ``place`` and ``row``, shape ``(b,)``: where in the tick's arrays each stands, and which series it is. Those arrays
    are shares of the tick and of the present, ``(k, cuts)`` of ``(k,)`` events, C-contiguous; and, ``(k,)`` each, the
    log of the tick's budget, its length, and the model's ``hold`` and ``keep_firing`` in seconds.
    """

    end: float
    place: Indices
    row: Indices
    tick_s: Array
    tick_n: Array
    now_s: Array
    now_n: Array
    log_budget: Array
    seconds: Array
    hold: Array
    keep_firing: Array


class _BetCall(ctypes.Structure):
    """``bet_call`` of ``judge.c``."""

    _fields_ = (
        *((name, _N) for name in ("bets", "cuts", "sides", "shifts")),
        *((name, _D) for name in ("end", "suspicious", "clear_margin", "dispersion_max", "off", "prior", "margin")),
        ("prior_ticks", _N),
        ("shift", _P),
        *((name, _P) for name in (*_OF_TICK, *_STATE, "evidence_out", "flags", "eta_out", "before")),
    )


class _SharesCall(ctypes.Structure):
    """``shares_call`` of ``judge.c``."""

    _fields_ = (
        *((name, _N) for name in ("series", "cuts", "events", "present", "nulls", "invalid", "dropped")),
        *((name, _N) for name in ("below", "above", "type", "unseen")),
        ("recent_events", _D),
        *((name, _P) for name in ("row", "counts", "recent", "is_number", "in_reference", "cut", "cut_s", "one")),
    )


@cache
def compiled() -> ctypes.CDLL | None:
    """The compiled kernels of ``judge.c``; ``None`` where the twins must do."""
    loaded = library()
    if loaded is None:
        return None
    loaded.mw_bet_call_size.argtypes, loaded.mw_bet_call_size.restype = (), _N
    loaded.mw_bet.argtypes, loaded.mw_bet.restype = (ctypes.POINTER(_BetCall),), _N
    loaded.mw_cut_shares.argtypes, loaded.mw_cut_shares.restype = (_N, _P, _P, _P, _N, _P, _P), None
    loaded.mw_shares_call_size.argtypes, loaded.mw_shares_call_size.restype = (), _N
    loaded.mw_shares.argtypes, loaded.mw_shares.restype = (ctypes.POINTER(_SharesCall),), None
    sizes = loaded.mw_bet_call_size(), loaded.mw_shares_call_size()
    return loaded if sizes == (ctypes.sizeof(_BetCall), ctypes.sizeof(_SharesCall)) else None


def costs(question: Question, low: Array, high: Array) -> NDArray[np.float32]:
    """``log(1 - p0 + p0 e^d)`` of each bet, shape ``(k, cuts, sides, shifts)``; ``low`` and ``high`` are ``(k, cuts)``.

    The bet on a rate shifted by ``d`` logits beyond the edge ``p0`` of the null is worth ``s d - n cost`` nats after
    ``s`` of ``n`` events. A side on which nothing lies beyond the edge cannot be bet on.
    """
    d = np.array(question.shifts)
    up = np.where(high[..., None] < 1.0, np.log1p(np.minimum(high, 1.0)[..., None] * np.expm1(d)), OFF)
    if not question.two_sided:
        return up[:, :, None, :].astype(np.float32)
    down = np.where(low[..., None] > 0.0, np.log1p(np.maximum(low, 0.0)[..., None] * np.expm1(-d)), OFF)
    return np.stack([up, down], axis=2).astype(np.float32)


class Outcome(NamedTuple):
    """What the step of ``b`` cells gave."""

    flags: NDArray[np.uint8]
    """(b,): :data:`HELD`, :data:`OVER`."""
    evidence: Array
    """(b,): nats above the tick's budget."""
    eta: NDArray[np.float32]
    """(b,): the power to which the tick's e-values were raised."""
    before: NDArray[np.float32]
    """(b, components): log R that a cell came with; undefined where it is neither suspicious nor about to fire."""


def bet(question: Question, state: State, bets: Bets) -> Outcome:
    """Take every cell of ``bets`` one step further."""
    kernels = compiled()
    if kernels is None:
        return bet_twin(question, state, bets)
    n = len(bets.row)
    out = Outcome(
        np.empty(n, np.uint8), np.empty(n), np.empty(n, np.float32), np.empty((n, question.components), np.float32)
    )
    shift = np.array(question.shifts)
    call = _BetCall(
        *(n, question.cuts, 2 if question.two_sided else 1, len(shift)),
        *(bets.end, SUSPICIOUS, CLEAR_MARGIN, DISPERSION_MAX, float(OFF), PRIOR, MARGIN, TICKS_MIN),
        address(shift),
        *(address(getattr(bets, name)) for name in _OF_TICK),
        *(address(state[name]) for name in _STATE),
        *(address(out.evidence), address(out.flags), address(out.eta), address(out.before)),
    )
    if kernels.mw_bet(ctypes.byref(call)) < 0:
        raise ValueError(f"a cell of {question.components} components")
    return out


def bet_twin(question: Question, state: State, bets: Bets) -> Outcome:
    """What :func:`bet` does, in numpy."""
    at, log_budget = bets.row, bets.log_budget[bets.place]
    s, n = bets.tick_s[bets.place], bets.tick_n[bets.place]
    cost = state["cost"][at]
    active = np.maximum((cost < OFF).sum(axis=1), 1)
    log_e = _log_e(question, s, n, cost)
    eta, before = _tempering(state, at, s, n), state["log_r"][at]
    log_e *= eta[:, None]
    spread = log_budget + np.log(question.components / active)
    result = accumulate(before, log_e, spread.astype(np.float32))
    state["log_r"][at] = result.log_r
    needed = -log_budget
    fresh = restarted(result.log_total, log_budget, SUSPICIOUS * needed) & ~result.alarm
    unknown = np.isnan(state["onset"][at])
    state["onset"][at[unknown]] = bets.end - bets.seconds[bets.place[unknown]]
    state["onset"][at[fresh]] = bets.end
    evidence = result.log_total - log_budget
    state["evidence"][at] = np.where(result.alarm, 0.0, evidence)
    state["suspicion"][at] = evidence / needed
    rate, weight = _present(bets)
    outside = excess(question, state, at, rate)
    edge = np.where(rate > state["null_high"][at], state["null_high"][at], state["null_low"][at])
    noise = CLEAR_MARGIN * np.sqrt(np.maximum(edge * (1.0 - edge), 1e-4) / weight)
    alarm = result.alarm & (outside.max(axis=1) > 0.0)
    sustained = alarm | (outside > noise).any(axis=1) | (state["suspicion"][at] > SUSPICIOUS)
    state["effect"][at] = _strength(question, state, at, rate, weight)
    hold, keep_firing = bets.hold[bets.place], bets.keep_firing[bets.place]
    flags = decide(state, at, bets.end, hold, keep_firing, alarm, sustained)
    return Outcome(flags, np.asarray(evidence, np.float64), eta, before)


def excess(question: Question, state: State, at: Indices, rate: Array) -> Array:
    """By how much each share of ``rate`` (b, cuts) lies outside the null of cells ``at``; -1 where none is bet on."""
    low, high = state["null_low"][at], state["null_high"][at]
    beyond: Array = np.maximum(rate - high, low - rate if question.two_sided else -1.0)
    beyond[_unused(question, state, at)] = -1.0
    return beyond


def present(
    rows: Indices, counts: NDArray[np.uint32], recent: NDArray[np.float32], events: float
) -> tuple[Array, Array]:
    """Let ``counts`` (k, 40) of a tick into the ``recent`` sums of their series ``rows``.

    The present fades by a factor e with every ``events`` values. Returns the tick and the present, both ``(k, 40)``.
    """
    tick = counts.astype(np.float64)
    now: Array = recent[rows] * np.exp(-tick[:, :BINS].sum(axis=1) / events)[:, None] + tick
    recent[rows] = now
    return tick, now


class Judged(Protocol):
    """What must be known of ``k`` series to ask what detectors do: ``SeriesView`` of ``detectors/cell.py``."""

    @property
    def kind(self) -> NDArray[np.uint8]:
        """Numbers or categories, (k,)."""
        ...

    @property
    def in_reference(self) -> NDArray[np.bool_]:
        """Whether the reference has it, (k,)."""
        ...

    @property
    def cuts(self) -> NDArray[np.uint8]:
        """Bins, (k, c)."""
        ...


Pair = tuple[Array, Array]
"""Shares ``s`` (k, cuts) of ``n`` (k,) events."""


def shares(
    rows: Indices, counts: NDArray[np.uint32], recent: NDArray[np.float32], events: float, view: Judged
) -> dict[str, tuple[Pair, Pair]] | None:
    """What detectors ask, by their names, of ``counts`` (k, 40) of a tick, and of the present that they are let into.

    Its twin is :func:`present` with the ``shares`` of each detector: ``None`` where that must do.
    """
    kernels = compiled()
    if kernels is None:
        return None
    k, cuts = len(rows), np.ascontiguousarray(view.cuts)
    cut_s, one = np.empty((2, k, cuts.shape[1])), np.empty((2, len(_ONES), k))
    is_number = view.kind == KIND_NUMBER
    call = _SharesCall(
        *(k, cuts.shape[1], EVENTS, PRESENT, NULLS, INVALID, DROPPED, BELOW, ABOVE, TYPE, UNSEEN_BIN, events),
        *(address(each) for each in (rows, counts, recent, is_number, view.in_reference, cuts, cut_s, one)),
    )
    kernels.mw_shares(ctypes.byref(call))
    of_cuts: tuple[Pair, Pair] = ((cut_s[0], one[0, 0]), (cut_s[1], one[1, 0]))
    found = {"drift": of_cuts, "mix": of_cuts}
    for name, s, n in _ASKED_ONCE:
        found[name] = ((one[0, s][:, None], one[0, n]), (one[1, s][:, None], one[1, n]))
    return found


def cut_shares(counts: Array, is_number: NDArray[np.bool_], cuts: NDArray[np.uint8]) -> tuple[Array, Array]:
    """Of the bins of ``counts`` (k, 40): what is at or below each cut of a number, in each cut of a category.

    ``cuts`` (k, c) are bins. Returns shares (k, c) and the number of values (k,).
    """
    kernels = compiled()
    if kernels is None:
        return cut_shares_twin(counts, is_number, cuts)
    columns, cuts = np.ascontiguousarray(counts.T), np.ascontiguousarray(cuts)
    s, total = np.empty(cuts.shape), np.empty(len(cuts))
    asked = (address(columns), address(is_number), address(cuts))
    kernels.mw_cut_shares(len(cuts), *asked, cuts.shape[1], address(s), address(total))
    return s, total


def cut_shares_twin(counts: Array, is_number: NDArray[np.bool_], cuts: NDArray[np.uint8]) -> tuple[Array, Array]:
    """What :func:`cut_shares` does, in numpy."""
    bins = counts[:, :BINS]
    ordered = np.where(is_number[:, None], np.cumsum(bins, axis=1), bins)
    return np.take_along_axis(ordered, cuts.astype(np.int64), axis=1), bins.sum(axis=1)


def _log_e(question: Question, s: Array, n: Array, cost: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log e-values of a tick, shape ``(b, components)``."""
    d = np.array(question.shifts, np.float32)
    shifts = np.stack([d, -d]) if question.two_sided else d[None, :]
    gain = s.astype(np.float32)[:, :, None, None] * shifts
    log_e: NDArray[np.float32] = gain.reshape(len(n), -1) - n.astype(np.float32)[:, None] * cost
    return log_e


def _tempering(state: State, at: Indices, s: Array, n: Array) -> NDArray[np.float32]:
    """The exponent for this tick from the ticks before, then this tick's own scatter for those to come."""
    eta = tempering(state["scatter"][at], state["scatter_weight"][at], state["scatter_ticks"][at])
    eta = np.minimum(eta, 1.0 / (MARGIN * np.maximum(state["wander"][at].astype(np.float64), 1.0 / MARGIN)))
    scatter, weight = successive_difference(state["s_prev"][at], state["n_prev"][at], s, n)
    state["scatter"][at] += np.minimum(scatter, DISPERSION_MAX * weight)
    state["scatter_weight"][at] += weight
    state["scatter_ticks"][at] += weight > 0.0
    state["s_prev"][at], state["n_prev"][at] = s, n
    return eta.astype(np.float32)


def _present(bets: Bets) -> tuple[Array, Array]:
    """Rates of the present, ``(b, cuts)``, and how many whole events they weigh, ``(b, 1)``."""
    s, n = bets.now_s[bets.place], bets.now_n[bets.place][:, None]
    rate = np.where(n > 0.0, np.minimum(s / np.where(n > 0.0, n, 1.0), 1.0), 0.0)
    # Events that fade by a factor e over N others weigh as much as 2 N whole ones.
    return rate, 2.0 * np.maximum(n, 1.0)


def _strength(question: Question, state: State, at: Indices, rate: Array, weight: Array) -> Array:
    """The largest movement of a cell's shares beyond what chance explains (two standard errors), shape ``(b,)``."""
    before = state["reference_share"][at].astype(np.float64)
    chance = 2.0 * np.sqrt(np.maximum(before * (1.0 - before), rate * (1.0 - rate)) / weight)
    gap: Array = np.maximum(np.abs(rate - before) - chance, 0.0)
    gap[_unused(question, state, at)] = 0.0
    strength: Array = gap.max(axis=1)
    return strength


def _unused(question: Question, state: State, at: Indices) -> NDArray[np.bool_]:
    """Cuts on which nothing can be bet, shape ``(b, cuts)``."""
    unused: NDArray[np.bool_] = state["cost"][at].reshape(len(at), question.cuts, -1).min(axis=2) >= OFF
    return unused


def decide(
    state: State, at: Indices, end: float, hold: Array, keep_firing: Array, alarm: NDArray[np.bool_], sustained: Any
) -> NDArray[np.uint8]:
    """Evidence and effect make an alarm; a firing cell clears when it has had neither for long enough.

    ``at`` (b,) are rows of ``state``; ``hold`` and ``keep_firing`` seconds, ``alarm`` and ``sustained`` flags of each.
    Returns, shape ``(b,)``, flags (:data:`HELD`, :data:`OVER`).
    """
    state["last_bad"][at[sustained]] = end
    firing = state["firing"][at]
    began = alarm & (firing == IDLE)
    state["firing"][at[began]] = PENDING
    state["alarmed"][at[began]] = end
    state["firing"][at[(firing == PENDING) & ~sustained]] = IDLE
    held = state["firing"][at] == PENDING
    held &= end - state["alarmed"][at] >= hold
    state["firing"][at[held]] = FIRING
    over = (firing == FIRING) & (end - state["last_bad"][at] >= keep_firing)
    state["firing"][at[over]] = IDLE
    flags: NDArray[np.uint8] = held * np.uint8(HELD) | over * np.uint8(OVER)
    return flags


def onset_of(clock: float, alarm: float, tick: float) -> float:
    """When evidence began to grow, if it grew evenly, between suspicion and alarm.

    ``clock`` is the end of the last tick that was not suspicious, ``alarm`` that of the one that alarmed. On average
    the threshold was passed half a tick after ``clock``, and overshot by half a tick at ``alarm``.
    """
    ticks = (alarm - clock) / tick
    back = (ticks - 1.0) * SUSPICIOUS / (1.0 - SUSPICIOUS) - 0.5
    return clock - tick * max(back, 0.0)
