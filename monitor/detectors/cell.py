"""What a detector is: a question asked of each series, as shares of its counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from monitor.kernels.tally import BINS

Counts = NDArray[np.float64]
_LEAST = 0.25


@dataclass(frozen=True, slots=True)
class SeriesView:
    """What detectors may know of ``k`` series: arrays of shape ``(k,)``, ``cuts`` ``(k, 9)``.

    ``kind`` is ``KIND_NUMBER`` or ``KIND_CATEGORY``; ``n_cuts`` is 0 for a series whose distribution is not judged;
    ``overflowed`` tells that there are more categories than are told apart, or that new ones come with time;
    ``in_reference`` that the series was there when the reference was made.
    """

    kind: NDArray[np.uint8]
    space: NDArray[np.uint8]
    n_cuts: NDArray[np.uint8]
    cuts: NDArray[np.uint8]
    overflowed: NDArray[np.bool_]
    in_reference: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Shares:
    """``s`` of ``n`` events, by series and cut: shapes ``(k, cuts)`` and ``(k,)``."""

    s: Counts
    n: Counts


class Detector(Protocol):
    """One question. Its cells are the series that it applies to; a cell has ``cuts`` shares that must not move.

    ``name`` is the word in incidents and labels, stable for ever. ``two_sided``: a share may neither rise nor fall,
    else it may not rise. ``shifts`` are the alternatives that are bet on, in logits beyond the edge of the null.
    """

    name: str
    share: str
    tolerance: str
    cuts: int
    two_sided: bool
    shifts: tuple[float, ...]
    effect: str

    def applies(self, view: SeriesView) -> NDArray[np.bool_]:
        """Which series have this cell, shape ``(k,)``."""
        ...

    def shares(self, counts: Counts, view: SeriesView) -> Shares:
        """The judged shares of ``counts`` (k, 40): the same question of a tick, of the reference and of the present."""
        ...

    def alertname(self, space: int) -> str:
        """The alert under which a cell of a series in ``space`` is told."""
        ...

    def words(self, before: float, now: float, what: str) -> str:
        """What happened, as the end of a sentence that begins with the series' name."""
        ...


def in_proportion(tolerance: Counts, share: Counts) -> Counts:
    """A tolerance that is meant for a share of one half, for shares (k,) that vary less: at least a quarter of it.

    From .01 to .03 is much further than from .50 to .52. In units of a share's own standard deviation both are told
    alike (Cohen, Statistical Power Analysis, 1988, ch. 6).
    """
    part: Counts = np.maximum(_LEAST, 2.0 * np.sqrt(np.clip(share * (1.0 - share), 0.0, 0.25)))
    return tolerance * part


def values(counts: Counts) -> Counts:
    """Values that were counted into bins, shape ``(k,)``."""
    n: Counts = counts[:, :BINS].sum(axis=1)
    return n


def rates(shares: Shares) -> Counts:
    """Shares as rates, ``(k, cuts)``; NaN where there were no events."""
    n = np.where(shares.n > 0, shares.n, np.nan)[:, None]
    return np.asarray(np.minimum(shares.s / n, 1.0))


def quality_alert(_space: int) -> str:
    """All questions of data quality are told under one alert."""
    return "ModelDataQuality"


def percent(rate: float) -> str:
    """A rate as people read it: two significant digits where it is small."""
    return f"{100 * rate:.3g} %"
