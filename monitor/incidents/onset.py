"""How sure is an onset? The span in which a change began, from how far the estimate was off where the truth was known.

An onset is extrapolated from when suspicion began to when the alarm came (`monitor/kernels/judge.py`), so its error
grows with the time between. ``bench/onset.py`` measured it: see docs/statistics.md.
"""

from __future__ import annotations

NEAREST, FURTHEST = 0.7, 2.0
"""By what the time from onset to alarm is multiplied: nine of ten changes began in between, or within a tick of it."""


def onset_interval(onset: float, seen: float, tick: float) -> tuple[float, float]:
    """The earliest and latest moment of a change, seconds since the epoch, in nine of ten cases.

    Parameters
    ----------
    onset
        When it is estimated to have begun.
    seen
        The event time of the newest prediction behind the alarm: the alarm's own, or a horizon before it.
    tick
        Seconds in which nothing is told apart.
    """
    span = max(seen - onset, 0.0)
    return min(seen - FURTHEST * span - tick, onset), max(min(seen - NEAREST * span + tick, seen), onset)
