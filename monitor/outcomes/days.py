"""What were a model's cases judged by, day by day? The differences of how it stood at the ends of its days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Sums = Mapping[str, NDArray[np.generic]]
DAY_SECONDS = 86400.0


class Standing(Protocol):
    """How a model stood at the end of a day: the sums over all cases whose tick ended by ``reached`` (seconds)."""

    @property
    def reached(self) -> float:
        """The end of the day."""
        ...

    @property
    def sums(self) -> Sums:
        """A row of each array of the totals."""
        ...


@dataclass(frozen=True, slots=True)
class Day:
    """What a model's cases of a day, or of what there is of it, were judged by.

    It ended at ``end`` and lasted ``seconds``; ``measured`` (measures, 2) and ``curve`` (bins, 3) are what it added to
    the arrays of these names in the totals.
    """

    end: float
    seconds: float
    measured: NDArray[np.float64]
    curve: NDArray[np.float64]


def days_of(standings: Sequence[Standing], now: Sums, matured: float, tick: float) -> list[Day]:
    """The days of a model's cases, from how it stood at their ends and stands ``now``; the last may be none.

    All cases whose tick of ``tick`` seconds ended by ``matured`` are in ``now``.
    """
    days: list[Day] = []
    before: Sums | None = None
    for standing in standings:
        days.append(_day(before, standing.sums, standing.reached, DAY_SECONDS))
        before = standing.sums
    began = standings[-1].reached if standings else matured - DAY_SECONDS
    rest = _day(before, now, max(matured, began + tick), min(max(matured - began, tick), DAY_SECONDS))
    return [day for day in [*days, rest] if day.measured.any() or day.curve.any()]


def _day(before: Sums | None, after: Sums, end: float, seconds: float) -> Day:
    measured, curve = (
        after[name].astype(np.float64) - (0.0 if before is None else before[name].astype(np.float64))
        for name in ("measured", "curve")
    )
    return Day(end, seconds, measured, curve)
