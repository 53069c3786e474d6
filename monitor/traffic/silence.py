"""How long may a model be silent? Learned from the gaps between its ticks with events, in events that were expected.

A gap is measured in the events that the hours of the week bring meanwhile, so that a night counts as little as it
brings; and in seconds, by which a batch that comes on the hour, or just before, is punctual. Either may tell.

What counts are gaps longer than the mean, by what they exceed it: events that come in crowds have many short gaps that
say nothing about the long ones. This excess is taken to be gamma distributed; Chernoff's bound says that it passes
``x`` times its mean with probability at most ``exp(-k (x - 1 - log x))`` at shape ``k``. The shape is a lower
confidence bound, so that few gaps prove little: what comes like clockwork (a batch a day) is missed at its second or
third absence, what comes at random after as many mean gaps as there are nats to gather. Each gap may be wrong with the
probability that the model's budget gives it for as long as a gap lasts; so false alarms add up to the budget.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]

GAPS_MIN = 5
"""Gaps longer than the mean that must have been seen before silence means anything."""
_SHAPE_MAX = 30.0
"""Nobody is taken to be more punctual: an excess of less than 2.5 times its mean never alarms."""
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
    lowest = special.chdtri(freedom, 1.0 - _SHAPE_ERROR) / freedom
    upper = variance / np.maximum(lowest * mean * mean, 1e-300)
    return np.where(some, np.minimum(1.0 / np.maximum(upper, 1e-9), _SHAPE_MAX), 1e-9)


def learned(gaps: Array, gap: Array) -> Array:
    """``gaps`` (m, 6) with one more ``gap`` (m,) each, in expected events or in seconds.

    Columns: number and sum; of those longer than the mean by then, number, sum and sum of squares of the excess; the
    longest, which fades. Of many gaps older ones count less.
    """
    mean = gaps[:, 1] / np.maximum(gaps[:, 0], 1.0)
    excess = np.where(gaps[:, 0] > 0.0, np.maximum(gap - mean, 0.0), 0.0)
    kept = np.where(gaps[:, 0] >= GAPS_KEPT, 0.5, 1.0)[:, None]
    add = np.stack([np.ones(len(gap)), gap, excess > 0.0, excess, excess * excess], axis=1)
    longest = np.maximum(gaps[:, 5] * _FADE, gap)
    return np.concatenate([gaps[:, :5] * kept + add, longest[:, None]], axis=1)


def remarkable(gaps: Array, nats: Array) -> Array:
    """How long a gap must be to be a silence, in its own unit, ``(m,)``; inf where too few gaps were seen.

    Parameters
    ----------
    gaps
        (m, 6), as :func:`learned` makes them.
    nats
        Minus the log of the probability with which a single gap may alarm.
    """
    n, total, n_long, excess, squares, longest = gaps.T
    known = (n_long >= GAPS_MIN) & (excess > 0.0)
    times = _invert(nats / shape(n_long, excess, squares))
    beyond = total / np.maximum(n, 1.0) + times * excess / np.maximum(n_long, 1.0)
    return np.where(known, np.maximum(beyond, _BEYOND * longest), np.inf)


def longer(gaps: Array) -> Array:
    """The mean of the gaps that were longer than the mean, ``(m,)``; the mean where none was."""
    n, total, n_long, excess = gaps[:, :4].T
    return np.asarray(total / np.maximum(n, 1.0) + excess / np.maximum(n_long, 1.0))


def evidence(gaps: Array, gap: Array) -> Array:
    """Nats against ``gap`` being one of the usual ones."""
    n, total, n_long, excess, squares, _ = gaps.T
    x = np.maximum((gap - total / np.maximum(n, 1.0)) * n_long / np.maximum(excess, 1e-300), 1.0)
    nats: Array = shape(n_long, excess, squares) * (x - 1.0 - np.log(x))
    return nats


def _invert(y: Array) -> Array:
    """The ``x`` above 1 with ``x - 1 - log x = y``, by Newton from above."""
    x = 1.0 + y + np.sqrt(2.0 * y)
    for _ in range(_NEWTON):
        x = np.maximum(x - (x - 1.0 - np.log(x) - y) / np.maximum(1.0 - 1.0 / x, 1e-12), 1.0)
    return x
