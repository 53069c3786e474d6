"""Is traffic far from what is expected? Poisson bets on the counts of hours, tempered by how counts have scattered.

For a count of mean at most ``m`` the number ``q^N exp(-m (q - 1))`` with q > 1 is an e-value, and with q < 1 for a mean
of at least ``m``. Counts of real traffic scatter far more than Poisson's; so bets are tempered by their dispersion
(``stats/dispersion.py``), which is measured here as that of the counts about their expectation, errors of the
expectation included, hour by hour and day by day; and of ticks within their season, which tells how many events come at
once.

Whole days are up or down together, and what comes in batches comes early or late. So there are bets on hours, tempered
by the largest of the three and against a null that lets traffic come an hour sooner or later (twice a year clocks
demand that of everybody), and bets on days, to which that does not matter, tempered by the scatter of days.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from monitor.stats.dispersion import MARGIN, PRIOR, TICKS_MIN

Array = NDArray[np.float64]

TIMES = (1.5, 3.0, 10.0)
"""The alternatives: so many times more than the upper edge, so many times less than the lower one."""
COMPONENTS = 2 * 2 * len(TIMES)
"""Bets on hours, then on days."""
_LOG_TIMES = np.log(np.array([*TIMES, *(1.0 / t for t in TIMES)]))
DAYS_MIN = 7
"""Days after which the scatter of a model's days is known."""
_DAY_PRIOR = 0.1
"""Until then days are taken to vary by this part of themselves."""
_SCATTER_MAX = 10.0
"""An hour or a day counts as at most this many times the scatter known, so that a change does not hide itself."""
_MEMORY = 28.0
"""Days of scatter that are remembered."""


def log_e(n: Array, low: Array, high: Array, eta: Array) -> NDArray[np.float32]:
    """Nats of each bet on counts ``n`` against means within [``low``, ``high``]; (m,) each, result (m, 6), up first."""
    edge = np.concatenate([np.repeat(high[:, None], len(TIMES), 1), np.repeat(low[:, None], len(TIMES), 1)], axis=1)
    nats = n[:, None] * _LOG_TIMES - edge * np.expm1(_LOG_TIMES)
    return np.asarray(eta[:, None] * nats, np.float32)


def exponents(hours: Array, days: Array, per_day: Array, clump: Array) -> tuple[Array, Array]:
    """Tempering in (0, 1] of each model's bets on hours and on days, (m,) each.

    Parameters
    ----------
    hours, days
        (m, 3): scatter of counts about their expectation, the expectation, and the number of counts.
    per_day
        Events a day.
    clump
        Dispersion of ticks, >= 1: about as many events come at once.
    """
    prior = np.maximum(1.0 + _DAY_PRIOR**2 * per_day, clump)
    of_days = np.where(days[:, 2] >= DAYS_MIN, _dispersion(days), prior)
    of_hours = np.maximum(np.maximum(_dispersion(hours), of_days), clump)
    return np.minimum(1.0, 1.0 / (MARGIN * of_hours)), np.minimum(1.0, 1.0 / (MARGIN * of_days))


def clump(ticks: Array, squares: Array, events: Array, rate: Array) -> Array:
    """How many events come at once: dispersion of the counts of ``ticks`` ticks, most of which may be empty, ``(m,)``.

    Parameters
    ----------
    ticks, squares, events
        (m,): how many ticks there were, the sum of their squared counts, and that of their counts.
    rate
        (m, 168): what the hours of the week bring. That a day has more than a night is no clump; what an hour or two
        have more than those around them may be one (a batch comes as a whole, and at another hour one day).
    """
    mean = events / np.maximum(ticks, 1.0)
    season = shifted(shifted(rate)[0])[1] / rate.mean(axis=1, keepdims=True)
    # What the ticks of a season would have without clumps, from its shape: traffic may have grown since its first tick.
    even = mean * mean * np.maximum((season * season).mean(axis=1), 1.0)
    variance = squares / np.maximum(ticks, 1.0) - even
    return np.asarray(np.maximum(variance / np.maximum(mean, 1e-300), 1.0))


def shifted(rate: Array) -> tuple[Array, Array]:
    """The least and the most of each hour and its two neighbours, (m, 168) each."""
    near = (np.roll(rate, 1, axis=1), rate, np.roll(rate, -1, axis=1))
    return np.minimum(np.minimum(near[0], near[1]), near[2]), np.maximum(np.maximum(near[0], near[1]), near[2])


def scattered(sums: Array, n: Array, expected: Array, memory: float) -> Array:
    """``sums`` (m, 3) with one more count each; old ones are forgotten over ``memory`` terms."""
    known = np.where(sums[:, 2] >= TICKS_MIN, _SCATTER_MAX * _dispersion(sums), math.inf)
    scatter = np.minimum((n - expected) ** 2, known * expected)
    kept = np.where(sums[:, 2] >= memory, 1.0 - 1.0 / memory, 1.0)[:, None]
    return np.asarray(sums * kept + np.stack([scatter, expected, np.ones(len(n))], axis=1))


HOURS_MEMORY, DAYS_MEMORY = 24.0 * _MEMORY, _MEMORY


def _dispersion(sums: Array) -> Array:
    phi = np.where(sums[:, 1] > 0.0, sums[:, 0] / np.where(sums[:, 1] > 0.0, sums[:, 1], 1.0), PRIOR)
    return np.where(sums[:, 2] < TICKS_MIN, np.maximum(phi, PRIOR), np.maximum(phi, 1.0))
