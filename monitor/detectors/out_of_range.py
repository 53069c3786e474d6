"""Do numbers lie outside the range of the reference?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.detectors.cell import Counts, SeriesView, Shares, percent, quality_alert, values
from monitor.kernels.tally import ABOVE, BELOW, KIND_NUMBER


class OutOfRange:
    """A number lies outside the reference's range, a tenth wider on each side: docs/detectors/out_of_range.md."""

    name = "out_of_range"
    share = "quality"
    tolerance = "quality"
    cuts = 1
    two_sided = False
    shifts: tuple[float, ...] = (0.7, 1.5, 3.0)
    effect = "rate"

    def applies(self, view: SeriesView) -> NDArray[np.bool_]:
        """Numbers."""
        applies: NDArray[np.bool_] = (view.kind == KIND_NUMBER) & view.in_reference
        return applies

    def shares(self, counts: Counts, view: SeriesView) -> Shares:
        """Numbers below or above the range, of all numbers."""
        return Shares(counts[:, [BELOW]] + counts[:, [ABOVE]], values(counts))

    def alertname(self, space: int) -> str:
        return quality_alert(space)

    def words(self, before: float, now: float, what: str) -> str:
        return f"outside its reference range in {percent(now)} of its values, {percent(before)} before"
