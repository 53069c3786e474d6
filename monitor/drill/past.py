"""What came lately of one model, cut into stretches of equal length that can be lived through again and again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.groups.sums import TallySums
from monitor.kernels.tally import BINS, COLUMNS
from monitor.outcomes.days import Standing
from monitor.tally.closed import ClosedTick

DAY_SECONDS = 86400.0
PAST_SECONDS = 7 * DAY_SECONDS
"""How much of a model's past is drilled on."""
FINE_SECONDS = 2 * DAY_SECONDS
"""How much of it is looked at closely: as long as the tick log has every tick (store/ticklog.py)."""
HORIZON_SECONDS = 30 * DAY_SECONDS
"""What would take longer than this to see is a blind spot."""
_FINE_STRETCHES = 600
_COARSE_SECONDS = 2 * 3600.0

Array = NDArray[np.float64]
Sums = NDArray[np.uint32]
ReadTicks = Callable[[int, float, float], Sequence[ClosedTick]]
ReadCases = Callable[[int], Sequence[Standing]]
ReadGroups = Callable[[int, float, float], Sequence[tuple[float, TallySums]]]


@dataclass(frozen=True, slots=True)
class Past:
    """Where the sums of a model's past are read: ``ticks`` and ``groups`` of (row, since, until).

    ``cases`` of a row is how the model stood at the end of each day on which cases of it matured.
    """

    ticks: ReadTicks
    groups: ReadGroups = lambda _row, _since, _until: ()
    cases: ReadCases = lambda _row: ()


@dataclass(frozen=True, slots=True)
class Look:
    """One way through the past: in stretches of ``length`` seconds, from ``since`` before now, until ``horizon``."""

    length: float
    since: float
    horizon: float


def looks(tick: float) -> tuple[Look, Look]:
    """A close look at the last two days, then the last week over and over for thirty, for ticks of ``tick`` seconds."""
    fine = max(tick, math.ceil(FINE_SECONDS / _FINE_STRETCHES / tick) * tick)
    coarse = max(fine, math.ceil(_COARSE_SECONDS / tick) * tick)
    return Look(fine, FINE_SECONDS, FINE_SECONDS), Look(coarse, PAST_SECONDS, HORIZON_SECONDS)


def stretches(ticks: Sequence[ClosedTick], look: Look) -> Iterator[tuple[float, Sums]]:
    """The sums of ``ticks`` as ``look`` says, each with its end: (series, 40); those without events are there too.

    Whole days are repeated, so that the hour of the day stays what it is.
    """
    if not ticks:
        return
    place = [math.floor((tick.end - 1e-6) / look.length) for tick in ticks]
    first = max(place[0], place[-1] - math.ceil(look.since / look.length) + 1)
    n = max(len(tick.counts) for tick in ticks) - 1
    sums = [np.zeros((n, COLUMNS), np.uint32) for _ in range(place[-1] - first + 1)]
    for tick, at in zip(ticks, place, strict=True):
        if at >= first:
            sums[at - first][: len(tick.counts) - 1] += tick.counts[1:]
    lived = whole_days(len(sums), look.length)
    for i in range(int(look.horizon / look.length)):
        yield (first + 1 + i) * look.length, sums[i % lived]


def whole_days(n: int, length: float) -> int:
    """How many of ``n`` stretches of ``length`` seconds make whole days, or all of them where not even one is whole."""
    a_day = max(round(DAY_SECONDS / length), 1)
    return n - n % a_day if n >= a_day else n


def lasted(ticks: Sequence[ClosedTick], tick: float) -> float:
    """Seconds that ``ticks`` of about ``tick`` seconds span."""
    return ticks[-1].end - ticks[0].end + tick if ticks else 0.0


def deviations(ticks: Sequence[ClosedTick], n: int) -> Array:
    """Standard deviation of each of ``n`` series over ``ticks``; NaN where there are no numbers."""
    count, total, square = np.zeros(n), np.zeros(n), np.zeros(n)
    for tick in ticks:
        k = min(len(tick.counts) - 1, n)
        count[:k] += tick.counts[1 : k + 1, :BINS].sum(axis=1)
        total[:k] += tick.moments[1 : k + 1, 0]
        square[:k] += tick.moments[1 : k + 1, 1]
    safe = np.where(count > 0, count, np.nan)
    deviation: Array = np.sqrt(np.maximum(square / safe - (total / safe) ** 2, 0.0))
    return deviation
