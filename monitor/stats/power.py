"""How long a violation of a given size goes on before it is found: which cells are blind, said beforehand.

Evidence grows by the Kullback-Leibler divergence from the null's nearest point, and has to grow from the budget of one
tick to 1. So the expected number of ticks is about log(1/b) over the growth of a tick. It leaves out the overshoot of
the last tick and the price of not knowing the alternative (the log of the number of components, at most, and what the
nearest of them falls short of the truth).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Array = NDArray[np.float64]


def kl_bernoulli(p: ArrayLike, q: ArrayLike) -> Array:
    """Kullback-Leibler divergence of a coin of rate ``p`` from one of rate ``q``, nats; inf where q rules p out."""
    p, q = np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64)
    result: Array = special.rel_entr(p, q) + special.rel_entr(1.0 - p, 1.0 - q)
    return np.maximum(result, 0.0)


def ticks_to_alarm_one_sample(
    n: ArrayLike, p1: ArrayLike, low: ArrayLike, high: ArrayLike, log_budget: ArrayLike, eta: ArrayLike = 1.0
) -> Array:
    """Expected ticks until a rate of ``p1`` is found against the null [``low``, ``high``].

    Parameters
    ----------
    n
        Events a tick, > 0; 1 gives events instead of ticks. All arguments broadcast.
    p1
        The rate that the design asks for.
    low, high
        The edges of the null, tolerance and the reference's own error included (`bounds.null_edge`).
    log_budget
        Log of the cell's budget of one tick, < 0.
    eta
        Tempering exponent of the cell, in (0, 1].

    Returns
    -------
    Array
        >= 1; inf where ``p1`` lies inside the null.
    """
    p1 = np.asarray(p1, dtype=np.float64)
    growth = kl_bernoulli(p1, np.clip(p1, low, high))
    return _ticks(np.asarray(n, dtype=np.float64) * growth, log_budget, eta)


def ticks_to_alarm_two_sample(
    na: ArrayLike,
    nb: ArrayLike,
    a1: ArrayLike,
    b1: ArrayLike,
    a0: ArrayLike,
    b0: ArrayLike,
    log_budget: ArrayLike,
    eta: ArrayLike = 1.0,
) -> Array:
    """Expected ticks until rates of ``(a1, b1)`` are found against the null whose nearest point is ``(a0, b0)``.

    Parameters
    ----------
    na, nb
        Events a tick of the two samples; fractions are averages. All arguments broadcast.
    a1, b1
        The rates that the design asks for.
    a0, b0
        Their projection, from `evidence.project_ratio` or `evidence.project_difference`.
    log_budget
        Log of the cell's budget of one tick, < 0.
    eta
        Tempering exponent of the cell, in (0, 1].

    Returns
    -------
    Array
        >= 1; inf where the alternative lies inside the null.
    """
    growth = np.asarray(na, dtype=np.float64) * kl_bernoulli(a1, a0)
    growth = growth + np.asarray(nb, dtype=np.float64) * kl_bernoulli(b1, b0)
    return _ticks(growth, log_budget, eta)


def _ticks(growth: Array, log_budget: ArrayLike, eta: ArrayLike) -> Array:
    """Nats to gain over nats gained a tick."""
    growing = growth > 0.0
    gain = np.where(growing, growth, 1.0) * np.asarray(eta, dtype=np.float64)
    ticks = np.maximum(-np.asarray(log_budget, dtype=np.float64) / gain, 1.0)
    return np.where(growing, ticks, np.inf)
