"""Is a value missing more often than it used to be?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.detectors.cell import Counts, SeriesView, Shares, percent, quality_alert
from monitor.kernels.tally import EVENTS, NULLS, PRESENT

GONE = 0.999
"""A missing share beyond which a series has vanished."""


class Missing:
    """A value was null or not there in more of the events: docs/detectors/missing.md."""

    name = "missing"
    share = "quality"
    tolerance = "quality"
    cuts = 1
    two_sided = False
    shifts: tuple[float, ...] = (0.7, 1.5, 3.0)
    effect = "rate"

    def applies(self, view: SeriesView) -> NDArray[np.bool_]:
        """Every series that the reference has."""
        return view.in_reference

    def shares(self, counts: Counts, view: SeriesView) -> Shares:
        """Events without a value, of all events that could have had one."""
        s = counts[:, EVENTS] - counts[:, PRESENT] + counts[:, NULLS]
        return Shares(np.maximum(s, 0.0)[:, None], counts[:, EVENTS])

    def alertname(self, space: int) -> str:
        return quality_alert(space)

    def words(self, before: float, now: float, what: str) -> str:
        if now > GONE:
            return f"vanished (missing in {percent(before)} of the events before)"
        return f"missing in {percent(now)} of the events, {percent(before)} before"
