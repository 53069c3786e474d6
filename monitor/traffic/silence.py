"""How long may a model be silent? Learned from the gaps between its ticks with events, in events that were expected.

A gap is measured in the events that the hours of the week bring meanwhile, so that a night counts as little as it
brings; and in seconds, by which a batch that comes on the hour, or just before, is punctual. Either may tell.

What counts are gaps longer than the mean, by what they exceed it: events that come in crowds have many short gaps that
say nothing about the long ones. This excess is taken to be gamma distributed; Chernoff's bound says that it passes
``x`` times its mean with probability at most ``exp(-k (x - 1 - log x))`` at shape ``k``. The shape is a lower
confidence bound, so that few gaps prove little: what comes like clockwork (a batch a day) is missed at its second or
third absence, what comes at random after as many mean gaps as there are nats to gather. Each gap may be wrong with the
probability that the model's budget gives it for as long as a gap lasts; so false alarms add up to the budget.

Where gaps are all alike none is longer than the mean: then it is the gaps themselves that are taken to be gamma
distributed. Their squared variation is bounded by what the sums say of it (:func:`_scatter`), as if one further gap
had been twice the mean, so that ten alike prove less than forty.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]

GAPS_MIN = 5
"""Gaps longer than the mean that must have been seen before silence means anything."""
ALIKE_MIN = 10
"""Gaps that must have been seen where fewer than that were longer than the mean."""
_LONGER = 1.001
"""A gap is longer than the mean from so many times the mean: what rounding makes of one length is one length."""
_SHAPE_MAX = 30.0
"""Nobody is taken to be more punctual: an excess of less than 2.5 times its mean never alarms."""
_MISSED = 2.1
"""A gap of fewer means is no silence: that one run of a job fell out is no news, that two did is."""
_SHAPE_ERROR = 1e-3
_BEYOND = 1.5
"""A gap must be this many times as long as the longest that ended by itself."""
_NEWTON = 8
GAPS_KEPT = 2000.0
"""Gaps after which older ones count half."""
_FADE = 0.9999
"""What is left of the longest gap after each further one: no outage widens it for ever."""


def shape(n: Array, total: Array, squares: Array) -> Array:
    """The shape of the gamma law of ``n`` gaps by their sum and sum of squares: a lower bound, right but for 1e-3.

    The squared variation of gaps is divided by the lowest that chance makes of a variance from ``n``: their
    chi-squared quantile over its degrees of freedom.
    """
    some = n >= 2
    freedom = np.where(some, n - 1.0, 1.0)
    mean = total / np.maximum(n, 1.0)
    variance = np.maximum(squares - n * mean * mean, 0.0) / freedom
    upper = variance / np.maximum(_lowest(n) * mean * mean, 1e-300)
    return np.where(some, np.minimum(1.0 / np.maximum(upper, 1e-9), _SHAPE_MAX), 1e-9)


def learned(gaps: Array, gap: Array) -> Array:
    """``gaps`` (m, 6) with one more ``gap`` (m,) each, in expected events or in seconds.

    Columns: number and sum; of those longer than the mean by then, number, sum and sum of squares of the excess; the
    longest, which fades. Of many gaps older ones count less.
    """
    mean = gaps[:, 1] / np.maximum(gaps[:, 0], 1.0)
    excess = np.where((gaps[:, 0] > 0.0) & (gap > _LONGER * mean), gap - mean, 0.0)
    kept = np.where(gaps[:, 0] >= GAPS_KEPT, 0.5, 1.0)[:, None]
    add = np.stack([np.ones(len(gap)), gap, excess > 0.0, excess, excess * excess], axis=1)
    longest = np.maximum(gaps[:, 5] * _FADE, gap)
    return np.concatenate([gaps[:, :5] * kept + add, longest[:, None]], axis=1)


def remarkable(gaps: Array, nats: Array, alike: NDArray[np.bool_]) -> Array:
    """How long a gap must be to be a silence, in its own unit, ``(m,)``; inf where too few gaps were seen.

    Parameters
    ----------
    gaps
        (m, 6), as :func:`learned` makes them.
    nats
        Minus the log of the probability with which a single gap may alarm.
    alike
        (m,): whether gaps that were all alike mean anything yet: those of the first burst are, of what comes in bursts.
    """
    n, total, _, _, _, longest = gaps.T
    start, unit, k = _law(gaps)
    varied = _varied(gaps)
    least = np.where(varied, 0.0, _MISSED * total / np.maximum(n, 1.0))
    limit = np.maximum(start + _invert(nats / k) * unit, np.maximum(_BEYOND * longest, least))
    return np.where(varied | (alike & (n >= ALIKE_MIN)), limit, np.inf)


def longer(gaps: Array) -> Array:
    """The mean of the gaps that were longer than the mean, ``(m,)``; the mean where none was."""
    n, total, n_long, excess = gaps[:, :4].T
    return np.asarray(total / np.maximum(n, 1.0) + excess / np.maximum(n_long, 1.0))


def evidence(gaps: Array, gap: Array) -> Array:
    """Nats against ``gap`` being one of the usual ones."""
    start, unit, k = _law(gaps)
    x = np.maximum((gap - start) / np.maximum(unit, 1e-300), 1.0)
    nats: Array = k * (x - 1.0 - np.log(x))
    return nats


def _lowest(n: Array) -> Array:
    """The least, but for 1e-3, that chance makes of a variance of 1 from ``n`` numbers."""
    freedom = np.maximum(n - 1.0, 1.0)
    lowest: Array = special.chdtri(freedom, 1.0 - _SHAPE_ERROR) / freedom
    return lowest


def _varied(gaps: Array) -> NDArray[np.bool_]:
    """Whether enough gaps were longer than the mean to know the law of what they exceed it by."""
    return np.asarray((gaps[:, 2] >= GAPS_MIN) & (gaps[:, 3] > 0.0))


def _law(gaps: Array) -> tuple[Array, Array, Array]:
    """Where the gamma law of a gap begins, its mean from there, and its shape, ``(m,)`` each."""
    n, total, n_long, excess, squares, _ = gaps.T
    mean = total / np.maximum(n, 1.0)
    varied = _varied(gaps)
    k = np.where(varied, shape(n_long, excess, squares), np.minimum(1.0 / _scatter(gaps), _SHAPE_MAX))
    return np.where(varied, mean, 0.0), np.where(varied, excess / np.maximum(n_long, 1.0), mean), k


def _scatter(gaps: Array) -> Array:
    """An upper bound on the squared variation of gaps of which few were longer than the mean, at the error of `shape`.

    Numbers below ``longest`` with this mean vary by ``mean (longest - mean)`` at most. Or: those above the mean by the
    squares of their excess, those below by at most the mean times what they fall short of it, which together is the
    excess. The first gap, which met no mean, is taken to be the longest.
    """
    n, total, _, excess, squares, longest = gaps.T
    n = np.maximum(n, 1.0)
    mean = np.where(total > 0.0, total / n, 1.0)
    above, square = excess / mean, squares / mean**2
    first = np.maximum(longest / mean - 1.0, 0.0)
    seen = np.minimum(first, (square + above + first * (first + 1.0)) / n)
    scatter: Array = seen / _lowest(n) + 1.0 / n
    return scatter


def _invert(y: Array) -> Array:
    """The ``x`` above 1 with ``x - 1 - log x = y``, by Newton from above."""
    x = 1.0 + y + np.sqrt(2.0 * y)
    for _ in range(_NEWTON):
        x = np.maximum(x - (x - 1.0 - np.log(x) - y) / np.maximum(1.0 - 1.0 / x, 1e-12), 1.0)
    return x
