"""Who may spend how much of the false-alarm budget: a promise over the whole fleet, whatever its size."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.models import SHARES

WEEK_SECONDS = 7 * 86400.0


class Budget:
    """Hands each cell its allowance for a tick and keeps the books.

    The sum of all allowances of a week is at most ``per_week``; by the theorem of ``stats/accumulate.py`` that bounds
    the expected number of false alarms, whatever ties the cells together. A share that has no cells is not spent.
    """

    def __init__(self, per_week: float, per_model_per_week: float, shares: Mapping[str, float]) -> None:
        self.per_week = per_week
        self.per_model_per_week = per_model_per_week
        self.shares = {name: shares.get(name, 0.0) for name in SHARES}
        self.spent = dict.fromkeys(SHARES, 0.0)
        self._fleet = np.array([per_week * self.shares[name] for name in SHARES])
        self._model = np.array([per_model_per_week * self.shares[name] for name in SHARES])

    def allowance(
        self,
        share: str,
        n_fleet: float,
        n_model: NDArray[np.integer] | NDArray[np.floating],
        seconds: NDArray[np.float64],
        aside: float = 0.0,
    ) -> NDArray[np.float64]:
        """Expected false alarms that each cell may cost in this tick, shape ``(k,)``.

        Parameters
        ----------
        share
            The kind that pays.
        n_fleet
            Cells of this share that are judged in the whole fleet, each with its weight where they have one: what is
            handed out here is that of a cell of weight 1.
        n_model
            The same in each cell's model, shape ``(k,)``: no model takes more than its own cap.
        seconds
            Event time that the tick covers, shape ``(k,)``.
        aside
            Part of the weekly budget that is taken from this share for others: see :meth:`part`.
        """
        i = SHARES.index(share)
        fleet = max(float(self._fleet[i]) - aside * self.per_week, 0.0)
        per_cell = np.minimum(fleet / max(n_fleet, 1), self._model[i] / np.maximum(n_model, 1))
        allowance: NDArray[np.float64] = per_cell * seconds / WEEK_SECONDS
        return allowance

    def part(self, part: float, seconds: float) -> float:
        """Expected false alarms that ``part`` of the weekly budget pays for in ``seconds``."""
        return self.per_week * part * seconds / WEEK_SECONDS

    def spend(self, share: str, allowances: NDArray[np.float64]) -> None:
        """Write down what was handed out to cells that bet."""
        self.spent[share] += float(allowances.sum())
