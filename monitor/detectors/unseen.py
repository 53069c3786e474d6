"""Do categories come that the reference does not have?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.detectors.cell import Counts, SeriesView, Shares, percent, quality_alert, values
from monitor.events.columns import Space
from monitor.kernels.tally import KIND_CATEGORY, UNSEEN_BIN


class Unseen:
    """A category that the reference never saw takes a share of the values: docs/detectors/unseen.md."""

    name = "unseen"
    share = "quality"
    tolerance = "quality"
    cuts = 1
    two_sided = False
    shifts: tuple[float, ...] = (0.7, 1.5, 3.0)
    effect = "rate"

    def applies(self, view: SeriesView) -> NDArray[np.bool_]:
        """Categories, unless there are more of them than are told apart."""
        applies: NDArray[np.bool_] = (view.kind == KIND_CATEGORY) & ~view.overflowed & view.in_reference
        return applies

    def shares(self, counts: Counts, view: SeriesView) -> Shares:
        """Values without a code, of all values."""
        return Shares(counts[:, [UNSEEN_BIN]], values(counts))

    def alertname(self, space: int) -> str:
        return "ModelPopulationMix" if space == Space.SEGMENT else quality_alert(space)

    def words(self, before: float, now: float, what: str) -> str:
        return f"a category that the reference does not have in {percent(now)} of its values, {percent(before)} before"
