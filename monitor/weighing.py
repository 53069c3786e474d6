"""What does the cell of a series weigh in the budget? By how grave its alert is alone: inputs, answers, or harm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.budget import Budget, Crowd
from monitor.detectors import DETECTORS
from monitor.detectors.cell import Detector
from monitor.events.columns import Space
from monitor.severity import SEVERITIES, severity

_GRAVE = {
    detector.name: np.array([SEVERITIES.index(severity(detector.alertname(space), ())) for space in Space])
    for detector in DETECTORS
}
"""Places in ``SEVERITIES``, by the space of a series."""

Array = NDArray[np.float64]


class Weights:
    """The weights of cells under one budget, by detector and the ``space`` (k,) of their series."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._weights = np.array([budget.weight(name) for name in SEVERITIES])
        self.even = bool((self._weights == 1.0).all())
        """Whether all cells weigh the same."""

    def of(self, detector: Detector, space: NDArray[np.integer]) -> Array:
        """What cells weigh among those of their share, ``(k,)``."""
        weight: Array = self._weights[_GRAVE[detector.name][space]]
        return weight

    def spend(
        self,
        detector: Detector,
        space: NDArray[np.integer],
        allowance: Array,
        crowd: Crowd,
        model: NDArray[np.integer],
    ) -> None:
        """Write down what cells that bet were given, of the models in the rows ``model`` (k,)."""
        grave = _GRAVE[detector.name][space]
        for i in np.flatnonzero(np.bincount(grave)).tolist():
            own = grave == i
            self._budget.spend(detector.share, SEVERITIES[i], allowance[own], crowd, model[own])
