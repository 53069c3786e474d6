"""Is a number more often not a number than it used to be?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.detectors.cell import Counts, SeriesView, Shares, percent, quality_alert
from monitor.kernels.tally import DROPPED, INVALID, KIND_NUMBER, PRESENT


class Invalid:
    """NaN, infinite, or a list or an object where a number belongs: docs/detectors/invalid.md."""

    name = "invalid"
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
        """Invalid values, of all that were there."""
        return Shares(counts[:, [INVALID]] + counts[:, [DROPPED]], counts[:, PRESENT])

    def alertname(self, space: int) -> str:
        return quality_alert(space)

    def words(self, before: float, now: float, what: str) -> str:
        return f"not a finite number in {percent(now)} of its values, {percent(before)} before"
