"""Where a rate can lie, given counts: the edges of the null that a finite reference leaves, and intervals to show."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from monitor.stats.alike import alike

Array = NDArray[np.float64]

_STEPS_MAX = 60
_CLOSE = 1e-13
"""A step of Newton's method, in logits, behind which an end of an interval is exact."""


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


def null_edge_once(k: Array, n: Array, tolerance: Array) -> tuple[Array, Array]:
    """:func:`null_edge`, computed once where many shares are alike: it is dear, and most rates of quality are 0."""
    cells = np.stack(np.broadcast_arrays(k, n, tolerance), axis=-1)
    flat = np.ascontiguousarray(cells).reshape(-1, 3)
    first, kind = alike(flat.view(np.uint64))
    low, high = null_edge(*flat[first].T)
    return low[kind].reshape(k.shape), high[kind].reshape(k.shape)


def gap_edge(
    ka: ArrayLike, na: ArrayLike, kb: ArrayLike, nb: ArrayLike, tolerance: ArrayLike, error: float = 1e-4
) -> tuple[Array, Array]:
    """Differences of two rates, a's less b's, that a past and a tolerance leave unsuspicious: ``(low, high)``.

    The past is two samples: Newcombe's hybrid score interval of their difference (1998, method 10), wrong on each side
    with a probability of about ``error``, is widened by the tolerance.

    Parameters
    ----------
    ka, na, kb, nb
        Successes and trials of both samples; all arguments broadcast. A sample without trials gives (-1, 1).
    tolerance
        In [0, 1].
    error
        One-sided, in (0, 1/2).

    Returns
    -------
    tuple of Array
        Clipped to [-1, 1].
    """
    ka, na, kb, nb = (np.asarray(x, dtype=np.float64) for x in (ka, na, kb, nb))
    some, tolerance = (na > 0.0) & (nb > 0.0), np.asarray(tolerance, dtype=np.float64)
    a, b = ka / np.maximum(na, 1.0), kb / np.maximum(nb, 1.0)
    (la, ua), (lb, ub) = wilson(ka, na, 2.0 * error), wilson(kb, nb, 2.0 * error)
    low = a - b - np.hypot(a - la, ub - b) - tolerance
    high = a - b + np.hypot(ua - a, b - lb) + tolerance
    return np.where(some, np.maximum(low, -1.0), -1.0), np.where(some, np.minimum(high, 1.0), 1.0)


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


def wald_difference(
    ka: ArrayLike, na: ArrayLike, kb: ArrayLike, nb: ArrayLike, error: ArrayLike = 0.05
) -> tuple[Array, Array]:
    """Normal interval of the difference of two rates, a's less b's, to be shown as a snapshot: ``(low, high)``.

    Parameters
    ----------
    ka, na, kb, nb
        Successes and trials of both samples; all arguments broadcast. A sample without trials gives (-1, 1).
    error
        Two-sided, in (0, 1); it promises nothing over time.
    """
    ka, na, kb, nb = (np.asarray(x, dtype=np.float64) for x in (ka, na, kb, nb))
    some = (na > 0.0) & (nb > 0.0)
    a, b = ka / np.maximum(na, 1.0), kb / np.maximum(nb, 1.0)
    spread = np.sqrt(a * (1.0 - a) / np.maximum(na, 1.0) + b * (1.0 - b) / np.maximum(nb, 1.0))
    reach = -special.ndtri(np.asarray(error, dtype=np.float64) / 2.0) * spread
    return np.where(some, a - b - reach, -1.0), np.where(some, a - b + reach, 1.0)


def anytime(k: ArrayLike, n: ArrayLike, error: float = 0.05) -> tuple[Array, Array]:
    """Interval of a rate that holds at all sizes at once, however often it is looked at: ``(low, high)``.

    All p for which the mixture ``B(k + 1/2, n - k + 1/2) / B(1/2, 1/2)`` of likelihoods is less than ``1 / error``
    times that of p: the mixture over the likelihood is a martingale that begins at 1 where p is true (Ville, Robbins).

    Parameters
    ----------
    k, n
        Sum and number of outcomes in [0, 1], of one mean given the past, ``0 <= k <= n``; broadcast. No outcomes give
        (0, 1).
    error
        Probability that the true rate is ever outside, in (0, 1).
    """
    k, n = np.broadcast_arrays(np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64))
    mixed = special.betaln(k + 0.5, n - k + 0.5) - special.betaln(0.5, 0.5) + np.log(error)
    low, high = _lower_logit(np.stack([k, n - k]), n, mixed)
    return special.expit(low), special.expit(-high)


def _lower_logit(k: Array, n: Array, mixed: Array) -> Array:
    """The least logit ``u`` at which ``k u - n log(1 + e^u)``, the likelihood, is ``mixed``; ``-inf`` where ``k`` is 0.

    Newton's method from where the line that the curve falls under on the left is: as it is concave, each step ends
    before the root, so that an interval is too wide by what is missing, never too narrow.
    """
    some = k > 0.0
    k, n, mixed = np.where(some, k, 1.0), np.where(some, n, 2.0), np.where(some, mixed, -2.0)
    logit: Array = mixed / k
    for _ in range(_STEPS_MAX):
        step = (mixed - k * logit + n * np.logaddexp(0.0, logit)) / (k - n * special.expit(logit))
        logit = logit + step
        if (np.abs(step) <= _CLOSE * (1.0 + np.abs(logit))).all():
            break
    return np.where(some, logit, -np.inf)


def anytime_widening(n: ArrayLike, error: float = 0.05, n_best: float = 1000.0) -> Array:
    """Standard errors that an asymptotic interval must reach on each side to hold at all large sizes at once.

    ``sqrt(2 (n r + 1) / (n r) log(sqrt(n r + 1) / error))``, narrowest about ``n_best`` outcomes: Waudby-Smith, Arbour,
    Sinha, Kennedy and Ramdas, arXiv:2103.06476.

    Parameters
    ----------
    n
        Outcomes so far; fewer than one count as one.
    error
        Two-sided, in (0, 1).
    n_best
        Outcomes for which the interval is tuned.
    """
    spread = -2.0 * np.log(error)
    scaled = np.maximum(np.asarray(n, dtype=np.float64), 1.0) * (spread + np.log(spread + 1.0)) / n_best
    widening: Array = np.sqrt(2.0 * (scaled + 1.0) / scaled * np.log(np.sqrt(scaled + 1.0) / error))
    return widening
