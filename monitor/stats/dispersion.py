"""How much more the counts of a cell scatter than independent events would, and how far to trust them less.

Events that come in clumps (retries, one user many times) say less than their number. The dispersion phi is the factor
by which the variance of a tick's rate exceeds that of a coin; it is taken from differences of successive ticks, so that
a change of level, which enters one difference only, does not look like scatter.

For two ticks of n and m events let d be the difference of their rates, N = n + m and P the rate of the two together.
For independent events of one mean p both ``d^2 n m / N`` and ``P (1 - P) N / (N - 1)`` have the mean p (1 - p) exactly,
at any n and m >= 1; phi is the sum of the first over the sum of the second. A ratio of sums, not a mean of ratios:
the latter is undefined for rare outcomes. P is pooled over just these two ticks, so a slow drift or a season does not
enter it; the price is that one pair tells at most N - 1, and that pairs of single events always tell 1.

Powers <= 1 of e-values are e-values (Jensen), so tempering by what earlier ticks showed never breaks a promise; that
dividing by phi restores it for clumped events is a heuristic, which the tests measure.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

PRIOR = 2.0
"""Dispersion that a cell is taken to have, at least, before it has shown its own."""
TICKS_MIN = 10
"""Differences after which a cell's own dispersion counts."""
MARGIN = 1.15
"""An estimate may be too low: 15 % is added."""


def successive_difference(s_prev: ArrayLike, n_prev: ArrayLike, s: ArrayLike, n: ArrayLike) -> tuple[Array, Array]:
    """Terms that a pair of ticks adds to the two sums whose ratio is phi: ``(numerator, weight)``.

    Parameters
    ----------
    s_prev, s
        (cells, cuts): sums of outcomes in [0, 1] of a cell's last two ticks *with events*. A cell with one question has
        one cut.
    n_prev, n
        (cells,): numbers of events. Where either is 0 both terms are 0.

    Returns
    -------
    tuple of Array
        (cells,) each, averaged over the cuts; additive over ticks, and may be decayed.
    """
    s_prev, s = np.asarray(s_prev, dtype=np.float64), np.asarray(s, dtype=np.float64)
    n_prev, n = np.asarray(n_prev, dtype=np.float64)[..., None], np.asarray(n, dtype=np.float64)[..., None]
    both = (n_prev > 0.0) & (n > 0.0)
    n_prev, n = np.where(both, n_prev, 1.0), np.where(both, n, 1.0)
    total = n_prev + n
    pooled = (s_prev + s) / total
    numerator = (s / n - s_prev / n_prev) ** 2 * n_prev * n / total
    weight = pooled * (1.0 - pooled) * total / (total - 1.0)
    return np.where(both, numerator, 0.0).mean(axis=-1), np.where(both, weight, 0.0).mean(axis=-1)


def successive_gap(s_prev: ArrayLike, n_prev: ArrayLike, s: ArrayLike, n: ArrayLike) -> tuple[Array, Array]:
    """What :func:`successive_difference` gives, of the difference of two rates: ``(numerator, weight)``.

    What moves both rates alike moves their difference not at all, and is no scatter of it.

    Parameters
    ----------
    s_prev, s
        (cells, 2, cuts): sums of outcomes of both samples in a cell's last two batches.
    n_prev, n
        (cells, 2): numbers of events. Where any is 0 both terms are 0.

    Returns
    -------
    tuple of Array
        (cells,) each: the squared step of the difference, and what independent events let expect of it, both in units
        of ``1/n`` summed over the four samples.
    """
    s_prev, s = np.asarray(s_prev, dtype=np.float64), np.asarray(s, dtype=np.float64)
    n_prev, n = np.asarray(n_prev, dtype=np.float64)[..., None], np.asarray(n, dtype=np.float64)[..., None]
    all_four = ((n_prev > 0.0) & (n > 0.0)).all(axis=-2)
    n_prev, n = np.maximum(n_prev, 1.0), np.maximum(n, 1.0)
    total, inverse = n_prev + n, 1.0 / n_prev + 1.0 / n
    pooled = (s_prev + s) / total
    step = s / n - s_prev / n_prev
    unit = inverse.sum(axis=-2)
    numerator = (step[..., 0, :] - step[..., 1, :]) ** 2 / unit
    weight = (pooled * (1.0 - pooled) * total / (total - 1.0) * inverse).sum(axis=-2) / unit
    return np.where(all_four, numerator, 0.0).mean(axis=-1), np.where(all_four, weight, 0.0).mean(axis=-1)


def dispersion(sum_numerator: ArrayLike, sum_weight: ArrayLike, ticks: ArrayLike) -> Array:
    """phi: the ratio of the sums, not below `PRIOR` until `TICKS_MIN` differences, `PRIOR` where nothing has varied.

    Parameters
    ----------
    sum_numerator, sum_weight
        Sums of what `successive_difference` gave; all arguments broadcast.
    ticks
        Number of differences in the sums.
    """
    numerator, weight = np.asarray(sum_numerator, dtype=np.float64), np.asarray(sum_weight, dtype=np.float64)
    known = weight > 0.0
    phi = np.where(known, numerator / np.where(known, weight, 1.0), PRIOR)
    return np.where(np.asarray(ticks) < TICKS_MIN, np.maximum(phi, PRIOR), phi)


def tempering(sum_numerator: ArrayLike, sum_weight: ArrayLike, ticks: ArrayLike) -> Array:
    """Exponent in (0, 1] for a cell's e-values (a factor for their logs): ``min(1, 1 / (1.15 phi))``.

    Arguments as for `dispersion`; the sums must not contain the tick that the exponent is applied to.
    """
    phi = dispersion(sum_numerator, sum_weight, ticks)
    return np.minimum(1.0, 1.0 / np.maximum(MARGIN * phi, 1.0))
