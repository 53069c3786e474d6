"""How evidence adds up from tick to tick, so that the number of false alarms stays within a budget.

Each cell carries R >= 0, begins at 0, and takes one step a tick: R <- (R + b) S, with b the budget that the cell spends
on this tick and S an e-value. It alarms when R >= 1 and begins again at 0. (Shin, Ramdas and Rinaldo,
arXiv:2203.03532, scaled by a budget that may differ from tick to tick.)

Theorem: over any period, the expected number of false alarms is at most the expected sum of the b spent in it.
Proof: let N count the alarms. Begun again, R has lost at least 1 and N gained 1, so
E[R + N | past] <= R_before + b + N_before. Sum over the period; R >= 0. Expectations add, so it holds for a fleet,
whatever ties its cells together, at any number of restarts, without asymptotics. b and the choice of bets may depend
on everything before the tick and on the tick's sizes, never on its outcomes.

A cell has several components (alternatives); the average of e-detectors is one, so they share the cell's budget.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

_NOTHING = math.log(2.0)
"""Nats above its budget at which a cell still counts as empty."""

FloatArray = NDArray[np.floating]
"""float64 or float32: the state keeps the type it came in."""


class Accumulated(NamedTuple):
    """The state after a step."""

    log_r: FloatArray
    """(cells, components); rows of cells that alarmed are -inf."""
    log_total: FloatArray
    """(cells,): log R of the cell before any reset, the evidence of an alarm in nats."""
    alarm: NDArray[np.bool_]
    """(cells,): R reached 1."""


def empty_state(cells: int, components: int) -> NDArray[np.float32]:
    """R = 0 for every component, in float32: 4 bytes a component."""
    return np.full((cells, components), -np.inf, dtype=np.float32)


def accumulate(
    log_r: FloatArray, log_e: FloatArray, log_budget: ArrayLike, log_weights: ArrayLike | None = None
) -> Accumulated:
    """Take one step of every cell; the arguments are left as they are.

    Parameters
    ----------
    log_r
        (cells, components), log R so far, -inf for nothing; float32 or float64, kept.
    log_e
        (cells, components), log e-values of this tick, tempered already; below infinity.
    log_budget
        (cells,) or scalar: log of the cell's budget for this tick. -inf: the cell spends nothing and does not bet, and
        its row of ``log_e`` is ignored.
    log_weights
        (components,), finite: logs of the shares of the budget, summing to 1. Equal shares by default.

    Returns
    -------
    Accumulated
        log R >= 0 alarms.
    """
    cells, components = log_r.shape
    budget = np.broadcast_to(np.asarray(log_budget, dtype=log_r.dtype), (cells,))
    shares = -math.log(components) if log_weights is None else np.asarray(log_weights, dtype=log_r.dtype)
    bets = budget > -np.inf
    if bets.all():
        stepped = _step(log_r, log_e, budget, shares)
    else:
        stepped = log_r.copy()
        stepped[bets] = _step(log_r[bets], log_e[bets], budget[bets], shares)
    log_total = _log_sum(stepped)
    alarm = log_total >= 0.0
    stepped[alarm] = -np.inf
    return Accumulated(stepped, log_total, alarm)


def restarted(log_total: FloatArray, log_budget: ArrayLike, margin: ArrayLike = _NOTHING) -> NDArray[np.bool_]:
    """Cells whose evidence is no more than this tick's own budget can explain: a change, if one is coming, is later.

    The last tick at which a cell restarted is the onset that an alarm names.

    Parameters
    ----------
    log_total
        (cells,), as `accumulate` returned it.
    log_budget
        (cells,) or scalar, as given to `accumulate`; where it is -inf only an empty cell counts as restarted.
    margin
        Nats above the budget that still count as nothing.
    """
    return np.asarray(log_total <= np.asarray(log_budget, dtype=np.float64) + np.asarray(margin))


def _step(log_r: FloatArray, log_e: FloatArray, budget: FloatArray, shares: float | FloatArray) -> FloatArray:
    """``logaddexp(log_r, budget + shares) + log_e``; written out because numpy's logaddexp is five times slower."""
    fresh: FloatArray = budget[:, None] + shares
    smaller = np.minimum(log_r, fresh)
    stepped: FloatArray = np.maximum(log_r, fresh)
    smaller -= stepped
    stepped += np.log1p(np.exp(smaller, out=smaller), out=smaller)
    stepped += log_e
    return stepped


def _log_sum(log_r: FloatArray) -> FloatArray:
    """``log(sum(exp(row)))``; -inf for a row of -inf, +inf where one entry is."""
    limit = np.finfo(log_r.dtype).max
    peak = np.clip(log_r.max(axis=1), -limit, limit)
    total = np.exp(log_r - peak[:, None]).sum(axis=1)
    with np.errstate(divide="ignore"):  # the log of an empty row's 0 is the -inf that it should be
        result: FloatArray = peak + np.log(total)
    return result
