"""Did the shape of the data change: a value of another type, or a feature that the reference does not know?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.detectors.cell import Counts, SeriesView, Shares, percent, quality_alert
from monitor.kernels.tally import EVENTS, PRESENT, TYPE


class Schema:
    """A number where a class was, the reverse, or a feature that appeared: docs/detectors/schema.md."""

    name = "schema"
    share = "quality"
    tolerance = "quality"
    cuts = 1
    two_sided = False
    shifts: tuple[float, ...] = (0.7, 1.5, 3.0)
    effect = "rate"

    def applies(self, view: SeriesView) -> NDArray[np.bool_]:
        """Every series: one that the reference does not have is itself a change of shape."""
        return np.ones(len(view.kind), bool)

    def shares(self, counts: Counts, view: SeriesView) -> Shares:
        """Values of another type, of all that were there; of a new series, events that have it at all."""
        s = np.where(view.in_reference, counts[:, TYPE], counts[:, PRESENT])
        n = np.where(view.in_reference, counts[:, PRESENT], counts[:, EVENTS])
        return Shares(np.minimum(s, n)[:, None], n)

    def alertname(self, space: int) -> str:
        return quality_alert(space)

    def words(self, before: float, now: float, what: str) -> str:
        if what == "appeared":
            return f"is new: in {percent(now)} of the events, unknown to the reference"
        return f"of another type in {percent(now)} of its values, {percent(before)} before"
