"""Where a rate can lie, given counts: the edges of the null that a finite reference leaves, and intervals to show."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Array = NDArray[np.float64]


def clopper_pearson_lower(k: ArrayLike, n: ArrayLike, error: ArrayLike) -> Array:
    """Rate that is above the true one with probability at most ``error``, whatever the true one is.

    Parameters
    ----------
    k, n
        Successes and trials, ``0 <= k <= n``; all arguments broadcast. No trials give 0.
    error
        One-sided error in (0, 1).
    """
    k, n = np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64)
    some = k > 0
    bound = special.betaincinv(
        np.where(some, k, 1.0), np.where(some, n - k + 1.0, 1.0), np.asarray(error, dtype=np.float64)
    )
    return np.where(some, bound, 0.0)


def clopper_pearson_upper(k: ArrayLike, n: ArrayLike, error: ArrayLike) -> Array:
    """Rate that is below the true one with probability at most ``error``; the mirror of the lower bound.

    Parameters
    ----------
    k, n
        Successes and trials, ``0 <= k <= n``; all arguments broadcast. No trials give 1.
    error
        One-sided error in (0, 1).
    """
    k, n = np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64)
    some = k < n
    bound = special.betainccinv(
        np.where(some, k + 1.0, 1.0), np.where(some, n - k, 1.0), np.asarray(error, dtype=np.float64)
    )
    return np.where(some, bound, 1.0)


def null_edge(k: ArrayLike, n: ArrayLike, tolerance: ArrayLike, error: float = 1e-4) -> tuple[Array, Array]:
    """Rates that a reference of ``k`` successes in ``n`` and a tolerance leave unsuspicious: ``(low, high)``.

    A learned reference is a sample. Taken for the truth, its own error looks like drift and is found sooner or later;
    so the null reaches from a lower bound of the reference's rate less the tolerance to an upper bound plus it. Each
    side is wrong with probability at most ``error`` per reference.

    Parameters
    ----------
    k, n
        Successes and trials of the reference; all arguments broadcast. No trials give (0, 1): nothing is suspicious.
    tolerance
        In [0, 1].
    error
        One-sided error of each bound, in (0, 1).

    Returns
    -------
    tuple of Array
        Clipped to [0, 1].
    """
    tolerance = np.asarray(tolerance, dtype=np.float64)
    low = clopper_pearson_lower(k, n, error) - tolerance
    high = clopper_pearson_upper(k, n, error) + tolerance
    return np.maximum(low, 0.0), np.minimum(high, 1.0)


def wilson(k: ArrayLike, n: ArrayLike, error: float = 0.05) -> tuple[Array, Array]:
    """Score interval of a rate, to be shown beside it: ``(low, high)``, a snapshot that promises nothing over time.

    Parameters
    ----------
    k, n
        Successes and trials, ``0 <= k <= n``; broadcast. No trials give (0, 1).
    error
        Two-sided, in (0, 1).
    """
    k, n = np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64)
    z2 = float(special.ndtri(error / 2.0)) ** 2
    size = np.maximum(n, 1.0)
    rate = k / size
    centre = (rate + z2 / (2.0 * size)) / (1.0 + z2 / size)
    reach = np.sqrt(z2 * (rate * (1.0 - rate) + z2 / (4.0 * size)) / size) / (1.0 + z2 / size)
    some = n > 0
    return np.where(some, np.maximum(centre - reach, 0.0), 0.0), np.where(some, np.minimum(centre + reach, 1.0), 1.0)


def cdf_band(n: ArrayLike, error: float = 0.05, n_min: float = 1.0) -> Array:
    """Half-width of a band about an empirical distribution function that holds at all sizes >= ``n_min`` at once.

    ``0.85 sqrt((log log(e n / n_min) + C) / n)`` with ``C = 0.8 log(1612 / error)``: Howard and Ramdas,
    arXiv:1906.09712. For display: independent events of one distribution; it goes stale when that changes.

    Parameters
    ----------
    n
        Events so far.
    error
        Probability, in (0, 1), that the true function ever leaves the band.
    n_min
        Size from which the band holds, >= 1; below it the half-width is 1.
    """
    n = np.asarray(n, dtype=np.float64)
    size = np.maximum(n, n_min)
    iterated = np.log(np.log(size / n_min) + 1.0)
    radius = 0.85 * np.sqrt((iterated + 0.8 * np.log(1612.0 / error)) / size)
    return np.where(n >= n_min, np.minimum(radius, 1.0), 1.0)
