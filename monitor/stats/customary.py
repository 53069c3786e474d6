"""What do others say of two rates? The customary tests, each for one look at a date that was fixed beforehand."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

_REACH = 45.0
"""Standard deviations about the mean beyond which nothing of a hypergeometric distribution is told apart from 0."""
_ALIKE = 1.0 + 1e-7
"""Tables that are as improbable as the one that was met, up to rounding, count to its tail."""


def two_proportion_z(k_a: float, n_a: float, k_b: float, n_b: float) -> float:
    """The pooled z of a's rate less b's, without correction for continuity; NaN where it does not exist."""
    if not (n_a > 0.0 and n_b > 0.0):
        return math.nan
    pooled = (k_a + k_b) / (n_a + n_b)
    spread = math.sqrt(pooled * (1.0 - pooled) * (1.0 / n_a + 1.0 / n_b))
    return (k_a / n_a - k_b / n_b) / spread if spread > 0.0 else math.nan


def fisher_exact(k_a: int, n_a: int, k_b: int, n_b: int) -> float:
    """Fisher's exact two-sided p-value: all tables with these margins that are no more probable than this one.

    ``0 <= k <= n``, whole numbers of any size.
    """
    total, k = n_a + n_b, k_a + k_b
    if not (n_a and n_b) or k in (0, total):
        return 1.0
    mean = n_a * k / total
    spread = math.sqrt(mean * (1.0 - k / total) * (n_b / max(total - 1, 1)))
    reach = _REACH * (spread + 1.0)
    low = max(k - n_b, 0, math.floor(min(mean - reach, k_a)))
    high = min(n_a, k, math.ceil(max(mean + reach, k_a)))
    x = np.arange(low, high + 1, dtype=np.float64)
    log_p = _log_choose(n_a, x) + _log_choose(n_b, k - x) - _log_choose(total, np.array([float(k)]))
    p = np.exp(log_p)
    return float(min(p[p <= p[k_a - low] * _ALIKE].sum(), 1.0))


def ratio_to_highest(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each of ``rates`` (groups,) over the highest of them; NaN where that is 0."""
    highest = rates.max(initial=0.0)
    return rates / highest if highest > 0.0 else np.full(len(rates), np.nan)


def _log_choose(n: int, k: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = special.gammaln(n + 1.0) - special.gammaln(k + 1.0) - special.gammaln(n - k + 1.0)
    return found
