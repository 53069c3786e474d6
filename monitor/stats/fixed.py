"""How far do two samples that will not grow differ at least? Bounds that hold at any size, and what to do with many.

Unlike the evidence of the stream (`accumulate.py`) these are for one look at samples whose sizes were settled
beforehand: a gate before a release. Every bound is exact or conservative at every size; none is an approximation.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from monitor.stats.bounds import clopper_pearson_lower, clopper_pearson_upper
from monitor.stats.power import kl_bernoulli

Array = NDArray[np.float64]

LOG10_SMALLEST = -30.0
"""Below this a p-value is not told apart."""
_HALVINGS = 40


def mean_bounds(s: ArrayLike, n: ArrayLike, error: float) -> tuple[Array, Array]:
    """Lower and upper bound of a mean in [0, 1], each beyond the true one with probability at most ``error``.

    Clopper and Pearson's where the sum ``s`` of the ``n`` values counts (is whole), else Chernoff's as Hoeffding (1963,
    theorem 1) gives it for any values in [0, 1], which is wider. No values give (0, 1).
    """
    s, n = np.broadcast_arrays(np.asarray(s, np.float64), np.asarray(n, np.float64))
    low, high = clopper_pearson_lower(np.floor(s), n, error), clopper_pearson_upper(np.ceil(s), n, error)
    broken = (s != np.floor(s)) & (n > 0)
    if not broken.any():
        return low, high
    rate, reach = s / np.maximum(n, 1.0), -math.log(error) / np.maximum(n, 1.0)
    ends = []
    for outer in (0.0, 1.0):
        outside, inside = np.full(rate.shape, outer), rate.copy()
        for _ in range(_HALVINGS):
            middle = (outside + inside) / 2.0
            within = kl_bernoulli(rate, middle) <= reach
            inside, outside = np.where(within, middle, inside), np.where(within, outside, middle)
        ends.append(outside)
    return np.where(broken, ends[0], low), np.where(broken, ends[1], high)


def least_rise(k: ArrayLike, n: ArrayLike, k_now: ArrayLike, n_now: ArrayLike, error: float) -> Array:
    """Rise from the first rate to the second that is more than the true one with probability at most ``error``.

    The two bounds share the error: exact at every size, at the price of a reach up to 1.4 times that of the best test.
    """
    upper = mean_bounds(k, n, error / 2.0)[1]
    lower: Array = mean_bounds(k_now, n_now, error / 2.0)[0]
    return lower - upper


def least_gap(k: ArrayLike, n: ArrayLike, k_now: ArrayLike, n_now: ArrayLike, error: float) -> Array:
    """As :func:`least_rise`, in whichever direction there is one: a movement that is at least so large."""
    rise = least_rise(k, n, k_now, n_now, error / 2.0)
    return np.maximum(rise, least_rise(k_now, n_now, k, n, error / 2.0))


def mean_reach(values: Array, error: float, width: float = 1.0) -> float:
    """How far the mean of ``values`` may lie above or below the true one, each with probability at most ``error``.

    The empirical Bernstein bound of Maurer and Pontil (2009, theorem 4) for values within an interval of ``width``; it
    adapts to how little they vary. Infinite for fewer than two.
    """
    n = len(values)
    if n < 2:
        return math.inf
    log = math.log(2.0 / error)
    return math.sqrt(2.0 * float(values.var(ddof=1)) * log / n) + 7.0 * width * log / (3.0 * (n - 1))


def p_value(fails: Callable[[float], bool]) -> float:
    """The smallest error at which ``fails`` says that the samples lie beyond what is tolerated; 1 where at none.

    ``fails(error)`` must be right with probability ``1 - error``, and may not go from True to False as errors grow.
    """
    if not fails(0.5):
        return 1.0
    low, high = LOG10_SMALLEST, math.log10(0.5)
    if fails(10.0**low):
        return float(10.0**low)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        low, high = (low, middle) if fails(10.0**middle) else (middle, high)
    return float(10.0**high)


def holm(p: Array, level: float) -> NDArray[np.bool_]:
    """Which of the questions with p-values ``p`` (m,) are answered with yes: all right with probability 1 - ``level``.

    Holm's step-down procedure (1979): whatever depends on what.
    """
    order = np.argsort(p, kind="stable")
    passed = p[order] <= level / np.arange(len(p), 0, -1)
    kept = np.logical_and.accumulate(passed)
    found = np.zeros(len(p), bool)
    found[order[kept]] = True
    return found
