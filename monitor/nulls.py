"""What is a cell judged against? The edges of its null: its reference, season and tolerance."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.models import Models
from monitor.catalog.rows import put
from monitor.catalog.series import Series
from monitor.cells import Cells, question
from monitor.detectors import DETECTORS
from monitor.detectors.cell import Counts, Detector, SeriesView, Shares, in_proportion, rates
from monitor.kernels.judge import OFF, costs
from monitor.resting import Resting
from monitor.seasons import UNSEEN, Seasons, usual_edges
from monitor.stats.alike import alike
from monitor.stats.bounds import null_edge_once
from monitor.stats.dispersion import dispersion

SEASONAL = "drift"
"""The detector whose shares have seasons."""
_NULL = ("null_high", "null_n", "tolerance", "worth", "cost", "mute")
_RARE = ("reference_share", "null_low", "wander")
"""What is remembered of a null; and what of it is zeros in most rows of most detectors."""
_TOLERANCES = ("unseen_tolerance", *dict.fromkeys(f"tolerance_{detector.tolerance}" for detector in DETECTORS))
"""What a policy says of them, as the columns of models."""

IndexArray = NDArray[np.int64]


class Nulls:
    """The nulls in the ``states`` of all detectors. ``view`` is what they may know of series rows."""

    def __init__(
        self,
        models: Models,
        series: Series,
        states: Mapping[str, Cells],
        seasons: Seasons,
        resting: Resting,
        view: Callable[[IndexArray], SeriesView],
    ) -> None:
        self._models = models
        self._series = series
        self._states = states
        self._seasons = seasons
        self._resting = resting
        self._view = view

    def set(self, detector: Detector, rows: IndexArray, reference: Counts) -> None:
        """Let the cells of ``rows`` (k,) be judged against ``reference`` (k, 40), and by their tolerances."""
        if not len(rows):
            return
        state, view = self._states[detector.name], self._view(rows)
        shares = detector.shares(reference, view)
        if detector.name == SEASONAL:
            known, s, n = self._seasons.last_week(rows)
            shares.s[known], shares.n[known] = s, n
        put(state["reference_share"], rows, np.nan_to_num(rates(shares)))
        tolerance = self.tolerance(detector, rows)
        low, high = self._edges(detector, rows, shares, tolerance)
        put(state["null_low"], rows, low)
        state["null_high"][rows], state["tolerance"][rows], state["null_n"][rows] = high, tolerance, shares.n
        cost = costs(question(detector), low, high)
        if detector.cuts > 1:
            unused = np.arange(detector.cuts) >= view.n_cuts[:, None]
            cost[unused] = OFF
        state["cost"][rows] = cost.reshape(len(rows), -1)
        self._resting.mute(detector, rows, cost.reshape(len(rows), -1))
        state.touch(rows)

    def alike(self, rows: IndexArray, view: SeriesView, remembered: NDArray[np.bool_]) -> tuple[IndexArray, IndexArray]:
        """Where each kind of ``rows`` (k,) first stands, and of which kind each is: those of one have the same nulls.

        So have the models of a fleet that share a reference. What is a kind of its own is any series of which
        something is ``remembered`` (k,), and a stranger to its reference.
        """
        series, models = self._series.rows, self._models.rows
        model = series["model"][rows]
        said = np.zeros((len(rows), 16), np.uint8)
        said[:, : view.cuts.shape[1]] = view.cuts
        flags = (models[name][model] > 0 for name in ("from_file", "quality_auto", "drift_auto"))
        for place, column in enumerate(
            (view.kind, view.space, view.n_cuts, view.overflowed, *flags), view.cuts.shape[1]
        ):
            said[:, place] = column
        counts = series["reference"].take(rows, axis=0).view(np.uint64)
        tolerances = [models[name][model].view(np.uint64) for name in _TOLERANCES]
        own = np.where(remembered | ~view.in_reference, rows + 1, 0).astype(np.uint64)
        return alike(np.column_stack([counts, said.view(np.uint64), *tolerances, own]))

    def copy(self, detector: Detector, given: IndexArray, rows: IndexArray) -> None:
        """Let the cells of ``rows`` (k,) have the nulls of ``given`` (k,), which are of their kinds."""
        others = rows != given
        state, rows, given = self._states[detector.name], rows[others], given[others]
        if not len(rows):
            return
        for name in _NULL:
            state[name][rows] = state[name][given]
        for name in _RARE:
            put(state[name], rows, state[name][given])

    def unseen(self, rows: IndexArray) -> NDArray[np.bool_]:
        """Which of ``rows`` learn their reference and have not been seen through a whole cycle."""
        learned = self._models.rows["from_file"][self._series.rows["model"][rows]] == 0
        return np.asarray(learned & (self._seasons.links["stage"][rows] == UNSEEN))

    def tolerance(self, detector: Detector, rows: IndexArray) -> NDArray[np.float64]:
        """What is too small to matter, of each of ``rows``; an automatic one comes from what the series itself does."""
        models, model = self._models.rows, self._series.rows["model"][rows]
        told: NDArray[np.float64] = models[f"tolerance_{detector.tolerance}"][model]
        if detector.tolerance == "quality":
            share = self._states[detector.name]["reference_share"][rows, 0].astype(np.float64)
            return np.where(models["quality_auto"][model] > 0, in_proportion(told, share), told)
        if detector.name != SEASONAL:
            return told
        own = np.where(models["drift_auto"][model] > 0, self._seasons.tolerance(rows), 0.0)
        return np.maximum(told, np.where(self.unseen(rows), models["unseen_tolerance"][model], own))

    def _edges(
        self, detector: Detector, rows: IndexArray, shares: Shares, tolerance: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The edges of the nulls of ``rows``, shape ``(k, cuts)`` each; where there is a season, those of the hour."""
        state = self._states[detector.name]
        # Events that clump say less than their number, of a learned reference too; the rows of a file do not clump.
        phi = dispersion(state["scatter"][rows], state["scatter_weight"][rows], state["scatter_ticks"][rows])
        if detector.name == SEASONAL:
            put(state["wander"], rows, self._seasons.wander(rows))
            phi = np.maximum(phi, state["wander"][rows])
        from_file = self._models.rows["from_file"][self._series.rows["model"][rows]] > 0
        worth = np.where(from_file, 1.0, 1.0 / np.maximum(phi, 1.0))
        state["worth"][rows] = worth
        seasonal = self._seasons.seasonal(rows) & (detector.name == SEASONAL) & (shares.n > 0)
        low, high = np.zeros(shares.s.shape), np.ones(shares.s.shape)
        plain = ~seasonal
        if plain.any():
            low[plain], high[plain] = null_edge_once(
                (shares.s * worth[:, None])[plain], (shares.n * worth)[plain, None], tolerance[plain, None]
            )
        if seasonal.any():
            at = rows[seasonal]
            usual = self._seasons.usual(at)
            share = np.clip(state["reference_share"][at] + usual.add, 0.0, 1.0)
            known = 1.0 / (shares.n * worth)[seasonal] + usual.variance
            slack = usual.slack + tolerance[seasonal, None]
            low[seasonal], high[seasonal] = usual_edges(share, known[:, None], slack)
            state["reference_share"][at] = share
        return low, high
