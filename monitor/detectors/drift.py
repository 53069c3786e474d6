"""Did a distribution leave its reference? Its CDF at nine reference deciles, or each category against the rest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.detectors.cell import Counts, SeriesView, Shares, percent
from monitor.events.columns import Space
from monitor.kernels.judge import cut_shares
from monitor.kernels.tally import KIND_NUMBER


class Drift:
    """A share below a cut (numbers) or of a category moved, up or down: docs/detectors/drift.md."""

    name = "drift"
    share = "drift"
    tolerance = "drift"
    cuts = 9
    two_sided = True
    shifts: tuple[float, ...] = (0.1, 0.4, 1.2)
    effect = "share_gap"

    def applies(self, view: SeriesView) -> NDArray[np.bool_]:
        """Series with at least one cut; what is constant, an identifier or a clock has none; segments have a mix."""
        applies: NDArray[np.bool_] = (view.n_cuts > 0) & view.in_reference & (view.space != Space.SEGMENT)
        return applies

    def shares(self, counts: Counts, view: SeriesView) -> Shares:
        """Events at or below each cut, or of each category."""
        return Shares(*cut_shares(counts, view.kind == KIND_NUMBER, view.cuts))

    def alertname(self, space: int) -> str:
        """The model's answers drift under a name of their own."""
        return "ModelPredictionDrift" if space == Space.PREDICTION else "ModelFeatureDrift"

    def words(self, before: float, now: float, what: str) -> str:
        return f"share of {what} went from {percent(before)} to {percent(now)}"
