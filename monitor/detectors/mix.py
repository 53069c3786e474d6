"""Did the mix of a segment change: who is judged, not what is said of them?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.detectors.cell import Counts, SeriesView, Shares, percent
from monitor.events.columns import Space
from monitor.kernels.judge import cut_shares
from monitor.kernels.tally import KIND_NUMBER


class Mix:
    """The share of a segment's value (a country, a channel, an arm) moved, up or down: docs/detectors/mix.md."""

    name = "mix"
    share = "drift"
    tolerance = "drift"
    cuts = 9
    two_sided = True
    shifts: tuple[float, ...] = (0.1, 0.4, 1.2)
    effect = "share_gap"

    def applies(self, view: SeriesView) -> NDArray[np.bool_]:
        """Segments with at least two values."""
        applies: NDArray[np.bool_] = (view.space == Space.SEGMENT) & (view.n_cuts > 0) & view.in_reference
        return applies

    def shares(self, counts: Counts, view: SeriesView) -> Shares:
        """Events of each of the nine commonest values."""
        return Shares(*cut_shares(counts, view.kind == KIND_NUMBER, view.cuts))

    def alertname(self, _space: int) -> str:
        return "ModelPopulationMix"

    def words(self, before: float, now: float, what: str) -> str:
        return f"share of {what} in the traffic went from {percent(before)} to {percent(now)}"
