"""How many events does a model bring in each hour of the week? Learned from the weeks before, and for ever.

The expectation is a mean over the same hour of up to four earlier weeks. Hours that were seen seldom lean on their
hour of the day over days of their kind (working days, weekend), times how busy that day of the week is; that on the
hour over all days, that on the mean: each level counts as much as five events, the mean as much as one. Where an hour
of the week was never seen the expectation says so as a *width*: the factor by which an hour that is only inferred may
differ without being remarkable.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Hours = NDArray[np.int64]

HOUR = 3600.0
SLOTS = 168
"""Hours of a week. Slot 0 begins on a Thursday at 00:00 UTC, as the epoch did."""
MONDAY = 4 * 24
"""The slot in which a week begins for people."""
MEMORY = 4
"""Weeks whose mean is expected: growth is followed, and what happened once is forgotten."""
_EVENTS = 5.0
"""Events' worth that each coarser level weighs."""
_WEEKEND = np.array([False, False, True, True, False, False, False])
SAME_KIND, OTHER_KIND = 2.0, 10.0
"""Widths of an hour that was seen on other days of its kind, and on days of the other kind only."""
_NIGHT = 0.05
"""A model that has an hour of the day with less than this part of its mean keeps the hours of people."""


def hour_of(ends: Array) -> Hours:
    """The hour since the epoch of ticks that ended at ``ends``: one that ended on the hour belongs to that before."""
    return np.ceil(ends / HOUR).astype(np.int64) - 1


def rates(observed: NDArray[np.floating], seen: NDArray[np.uint8]) -> Array:
    """Events expected in each hour of the week, shape ``(m, 168)``, above 0.

    Parameters
    ----------
    observed
        (m, 168): mean of the events in that hour over the weeks that count.
    seen
        (m, 168): how many weeks those are, at most ``MEMORY``.
    """
    n = seen.reshape(-1, 7, 24).astype(np.float64)
    events = n * observed.reshape(-1, 7, 24)
    mean = np.maximum(events.sum(axis=(1, 2)) / np.maximum(n.sum(axis=(1, 2)), 1.0), 1e-9)
    of_day = (events.sum(axis=1) + 1.0) / (n.sum(axis=1) + 1.0 / mean[:, None])
    of_kind = np.empty_like(events)
    for kind in (_WEEKEND, ~_WEEKEND):
        own = (events[:, kind].sum(axis=1) + _EVENTS) / (n[:, kind].sum(axis=1) + _EVENTS / of_day)
        of_kind[:, kind] = own[:, None, :]
    busy = (events.sum(axis=2) + _EVENTS) / ((n * of_kind).sum(axis=2) + _EVENTS)
    expected: Array = ((events + _EVENTS) / (n + _EVENTS / (busy[:, :, None] * of_kind))).reshape(-1, SLOTS)
    return expected


def widths(seen: NDArray[np.uint8]) -> Array:
    """By which factor each hour may differ from :func:`rates` because it is only inferred, shape ``(m, 168)``."""
    known = seen.reshape(-1, 7, 24) > 0
    wide = np.full(known.shape, OTHER_KIND)
    for kind in (_WEEKEND, ~_WEEKEND):
        met = known[:, kind].any(axis=1)
        wide[:, kind] = np.where(met, SAME_KIND, OTHER_KIND)[:, None, :]
    wide[known] = 1.0
    return wide.reshape(-1, SLOTS)


def sure_rates(expected: Array, wide: Array) -> Array:
    """:func:`rates`, but 0 in hours of which nothing is known, ``(m, 168)``.

    Whoever sleeps at night may rest at the weekend: of days of a kind that was never seen nothing is known then.
    """
    of_day = expected.reshape(-1, 7, 24).mean(axis=1)
    sleeps = of_day.min(axis=1) < _NIGHT * of_day.mean(axis=1)
    return np.where(sleeps[:, None] & (wide >= OTHER_KIND), 0.0, expected)


def between(expected: Array, start: Array, stop: Array) -> Array:
    """Events expected from ``start`` to ``stop`` (seconds since the epoch, start <= stop), shape ``(m,)``."""
    total = np.concatenate([np.zeros((len(expected), 1)), np.cumsum(expected, axis=1)], axis=1)
    return _since_epoch(expected, total, stop) - _since_epoch(expected, total, start)


def reached(expected: Array, start: Array, events: Array) -> Array:
    """When as many ``events`` will have been expected since ``start``, seconds, ``(m,)``; inf where that is never."""
    hour = np.floor(start / HOUR)
    begun = start / HOUR - hour
    order = (hour.astype(np.int64)[:, None] + np.arange(SLOTS + 1)) % SLOTS
    parts = np.take_along_axis(expected, order, axis=1)
    length = np.ones(parts.shape)
    length[:, 0], length[:, -1] = 1.0 - begun, begun
    grown = np.cumsum(parts * length, axis=1)
    week = grown[:, -1]
    some = (week > 0.0) & np.isfinite(events)
    weeks = np.floor(np.where(some, events, 0.0) / np.where(some, week, 1.0))
    left = np.where(some, events, 0.0) - weeks * week
    last = np.minimum((grown < left[:, None]).sum(axis=1), SLOTS)
    at = np.arange(len(parts))
    before = np.where(last > 0, grown[at, last - 1], 0.0)
    rate = parts[at, last]
    within = np.where(rate > 0.0, (left - before) / np.where(rate > 0.0, rate, 1.0), 0.0)
    gone = np.where(last > 0, last - begun, 0.0) + within
    return np.where(some, start + (weeks * SLOTS + gone) * HOUR, np.inf)


def remember(
    observed: NDArray[np.float32], seen: NDArray[np.uint8], rows: Hours, slots: Hours, events: NDArray[np.float64]
) -> None:
    """Let ``events`` of one hour each into what is known of ``rows`` in ``slots``; no row twice."""
    n = np.minimum(seen[rows, slots] + 1, MEMORY)
    observed[rows, slots] += (events - observed[rows, slots]) / n
    seen[rows, slots] = n


def _since_epoch(expected: Array, total: Array, time: Array) -> Array:
    """Events expected since a fixed moment long ago, if every week were like this one."""
    hour = np.floor(time / HOUR)
    weeks, slot = np.divmod(hour.astype(np.int64), SLOTS)
    at = np.arange(len(expected))
    grown: Array = weeks * total[:, -1] + total[at, slot] + expected[at, slot] * (time / HOUR - hour)
    return grown
