"""Over which periods may the past of groups be told? Days of a month, pooled so that no small group can be computed.

Whoever may ask for any range may subtract one answer from another. So the past is cut into periods that depend on
nothing that is asked, and a range is told by the periods that lie within it. A group is shown where it may be shown in
each of them: then any difference of two answers is a sum over periods in each of which it is no small group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from monitor.groups.privacy import Privacy

DAY_SECONDS = 86400.0
DAYS_POOLED = 7
"""Days after which a period ends, whoever is too small in it to be shown."""
_LATEST = 1e11

Sizes = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Period:
    """From ``since`` to ``until`` (seconds): how many people of each of an attribute's groups, and who may be shown."""

    since: float
    until: float
    sizes: Sizes
    shown: NDArray[np.bool_]


def periods(
    days: Sequence[float], sizes: Sizes, distinct: NDArray[np.bool_], privacy: Privacy, *, months: bool
) -> list[Period]:
    """Cut ``days`` (ends, oldest first) into periods: whole ``months``, else as few days as show everybody.

    ``sizes`` (days, groups) are cases by day, ``distinct`` (groups,) tells of which groups people are told apart: each
    counts once a day, so of several days the largest says how many there are at least. The last period ends with the
    last of ``days`` only where that is full.
    """
    found: list[Period] = []
    for end, own in groupby(range(len(days)), key=lambda i: month_end(days[i] - DAY_SECONDS / 2.0)):
        since, pooled = days[(places := list(own))[0]] - DAY_SECONDS, list[int]()
        for i in places:
            pooled.append(i)
            n = np.where(distinct, sizes[pooled].max(axis=0), sizes[pooled].sum(axis=0))
            shown = may_be_shown(n, privacy)
            over = days[i] >= end or (i == places[-1] and i + 1 < len(days))
            whole = bool(shown[n > 0.0].all()) or days[i] - since >= DAYS_POOLED * DAY_SECONDS
            if over or (whole and not months):
                found.append(Period(since, days[i], n, shown))
                since, pooled = days[i], []
    return found


def within(cut: Sequence[Period], since: float, until: float) -> list[Period]:
    """The periods that lie within a range."""
    return [period for period in cut if since <= period.since and period.until <= until]


def shown_in_all(own: Sequence[Period], privacy: Privacy) -> NDArray[np.bool_]:
    """Which groups may be shown over all of some periods (at least one); see the top of this file.

    Where a single group would be hidden in them, or few people, the next smallest are hidden with it.
    """
    sizes = np.sum([period.sizes for period in own], axis=0)
    in_each = np.logical_and.reduce([period.shown | (period.sizes == 0.0) for period in own])
    return may_be_shown(sizes, privacy, ~in_each)


def may_be_shown(sizes: Sizes, privacy: Privacy, unknown: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
    """Which groups may be shown by ``sizes`` (groups,); one that nobody is in hides nobody, and is not shown.

    Those that are ``unknown`` may not, however many they are.
    """
    some = np.flatnonzero(sizes > 0.0)
    shown = np.zeros(len(sizes), bool)
    shown[some] = privacy.shown(sizes[some].tolist(), () if unknown is None else unknown[some].tolist())
    return shown


def month_begin(time: float) -> float:
    """The beginning of the month (UTC) in which ``time`` lies, seconds."""
    at = datetime.fromtimestamp(min(max(time, 0.0), _LATEST), UTC)
    return datetime(at.year, at.month, 1, tzinfo=UTC).timestamp()


def month_end(time: float) -> float:
    """The end of the month (UTC) in which ``time`` lies, seconds."""
    at = datetime.fromtimestamp(min(max(time, 0.0), _LATEST), UTC)
    year, month = divmod(at.year * 12 + at.month, 12)
    return datetime(year, month + 1, 1, tzinfo=UTC).timestamp()
