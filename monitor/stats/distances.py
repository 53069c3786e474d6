"""How far two histograms lie apart, in the figures that engineers know: sizes of an effect, never evidence.

All functions take counts ``reference`` and ``current`` of shape (rows, bins), >= 0 and broadcasting, and give (rows,).
A row without events on either side gives nan. PSI, the chi-squared divergence, 8 Jensen-Shannon and 8 squared Hellinger
agree where histograms are close: they are one measure in several costumes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

_EMPTY_BIN = 0.5
"""Events that an empty bin counts for in PSI, whose logarithm would be infinite; the usual continuity correction."""


def psi(reference: ArrayLike, current: ArrayLike) -> Array:
    """Population stability index, ``sum (q - p) log(q / p)``, nats.

    A bin that is empty on one side counts as half an event there; a bin that is empty on both is left out. Biased: two
    samples of one distribution give (B - 1)(1/n + 1/m) in the mean.
    """
    ref, cur = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    occupied = (ref + cur) > 0.0
    p = np.where(occupied, _shares(np.where(occupied, np.maximum(ref, _EMPTY_BIN), 0.0), ref), 1.0)
    q = np.where(occupied, _shares(np.where(occupied, np.maximum(cur, _EMPTY_BIN), 0.0), cur), 1.0)
    result: Array = np.where(occupied, (q - p) * np.log(q / p), 0.0).sum(axis=-1)
    return np.where(_judged(ref, cur), result, np.nan)


def debiased_psi(reference: ArrayLike, current: ArrayLike) -> Array:
    """PSI less what chance alone adds to it, ``(B - 1)(1/n + 1/m)`` with B the occupied bins; may be negative.

    Source: the index is (1/n + 1/m) chi-squared with B - 1 degrees of freedom (Yurdakul, 2018). Exact in the limit
    of large bins; with a few events a bin it takes off too little or too much, by less than it takes off.
    """
    ref, cur = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    occupied = ((ref + cur) > 0.0).sum(axis=-1)
    chance: Array = np.maximum(occupied - 1.0, 0.0) * (_inverse(ref.sum(axis=-1)) + _inverse(cur.sum(axis=-1)))
    result: Array = psi(ref, cur) - chance
    return result


def cdf_gap(reference: ArrayLike, current: ArrayLike) -> Array:
    """Largest difference of the cumulated shares, in [0, 1]: Kolmogorov's distance on the bins, which are ordered."""
    result: Array = np.abs(_gap(reference, current).cumsum(axis=-1)).max(axis=-1)
    return result


def share_gap(reference: ArrayLike, current: ArrayLike) -> Array:
    """Largest difference of the shares, in [0, 1]; for categories, which have no order."""
    result: Array = np.abs(_gap(reference, current)).max(axis=-1)
    return result


def total_variation(reference: ArrayLike, current: ArrayLike, error: float = 0.05) -> tuple[Array, Array]:
    """Half of ``sum |p - q|`` less what chance alone puts there (not below 0), and what it is at least, both in [0, 1].

    The best guess from a bin which of the two sides it came from is wrong in ``(1 - TV) / 2`` of the cases, both sides
    weighing alike. The lower bound is wrong with probability ``error`` at most, at one look: McDiarmid's inequality
    about the mean, which exceeds the truth by half the sum of the bins' standard errors at most. Coarse bins make the
    distance smaller, never larger.
    """
    ref, cur = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    p, q = _both_shares(ref, cur)
    n, m = _inverse(ref.sum(axis=-1)), _inverse(cur.sum(axis=-1))
    raw = 0.5 * np.abs(p - q).sum(axis=-1)
    spread = np.sqrt(p * (1.0 - p) * n[..., None] + q * (1.0 - q) * m[..., None]).sum(axis=-1)
    low = raw - 0.5 * spread - np.sqrt(np.log(1.0 / error) * (n + m) / 2.0)
    return np.maximum(raw - spread / np.sqrt(2.0 * np.pi), 0.0), np.maximum(low, 0.0)


def wasserstein(reference: ArrayLike, current: ArrayLike, positions: ArrayLike) -> Array:
    """Earth mover's distance in standard deviations of the reference; nan also where that deviation is 0.

    Parameters
    ----------
    reference, current
        Counts, (rows, bins).
    positions
        (bins,) or (rows, bins): the value that stands for each bin, increasing, finite.
    """
    where = np.asarray(positions, dtype=np.float64)
    ref = np.asarray(reference, dtype=np.float64)
    moved = np.abs(_gap(ref, current).cumsum(axis=-1))[..., :-1]
    distance = (moved * np.diff(where, axis=-1)).sum(axis=-1)
    p = _shares(ref, ref)
    mean = (p * where).sum(axis=-1, keepdims=True)
    sigma = np.sqrt((p * (where - mean) ** 2).sum(axis=-1))
    result: Array = distance / np.where(sigma > 0.0, sigma, np.nan)
    return result


def jensen_shannon(reference: ArrayLike, current: ArrayLike) -> Array:
    """Jensen-Shannon divergence in nats, both sides weighing the same, in [0, log 2]; its root is the distance."""
    p, q = _both_shares(reference, current)
    middle = (p + q) / 2.0
    result: Array = ((_entropy_terms(middle, p) + _entropy_terms(middle, q)) / 2.0).sum(axis=-1)
    return np.maximum(result, 0.0)


def hellinger(reference: ArrayLike, current: ArrayLike) -> Array:
    """Hellinger's distance, ``sqrt(sum (sqrt p - sqrt q)^2 / 2)``, in [0, 1]."""
    p, q = _both_shares(reference, current)
    result: Array = np.sqrt(((np.sqrt(p) - np.sqrt(q)) ** 2).sum(axis=-1) / 2.0)
    return result


def _shares(counts: Array, events: Array) -> Array:
    """Counts over their sum; nan where ``events`` has none."""
    total = np.where(events.sum(axis=-1, keepdims=True) > 0.0, counts.sum(axis=-1, keepdims=True), np.nan)
    result: Array = counts / total
    return result


def _both_shares(reference: ArrayLike, current: ArrayLike) -> tuple[Array, Array]:
    ref, cur = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    return _shares(ref, ref), _shares(cur, cur)


def _gap(reference: ArrayLike, current: ArrayLike) -> Array:
    p, q = _both_shares(reference, current)
    return q - p


def _judged(reference: Array, current: Array) -> NDArray[np.bool_]:
    """Rows with events on both sides."""
    return np.asarray((reference.sum(axis=-1) > 0.0) & (current.sum(axis=-1) > 0.0))


def _inverse(total: Array) -> Array:
    result: Array = 1.0 / np.where(total > 0.0, total, np.nan)
    return result


def _entropy_terms(middle: Array, p: Array) -> Array:
    """``p log(p / middle)``, 0 where p is 0, nan where p is."""
    return p * np.log(np.where(p > 0.0, p, 1.0) / np.where(p > 0.0, middle, 1.0))
