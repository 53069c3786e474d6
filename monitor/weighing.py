"""What does the cell of a series weigh in the budget? By how grave its alert is alone: inputs, answers, or harm."""

from __future__ import annotations

from collections.abc import Callable, Mapping

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
        self._even = bool((self._weights == 1.0).all())
        self._given: dict[str, list[tuple[NDArray[np.integer], Array, NDArray[np.integer]]]] = {}
        """What cells were given of a tick that is being judged, by detector."""

    def of(self, detector: Detector, space: NDArray[np.integer]) -> Array:
        """What cells weigh among those of their share, ``(k,)``."""
        weight: Array = self._weights[_GRAVE[detector.name][space]]
        return weight

    def weighed(
        self, detector: Detector, space: NDArray[np.integer], allowance: Array, log: Array
    ) -> tuple[Array, Array]:
        """Allowances (k,) of cells that weigh 1, and their logarithms, as those of cells of series in ``space``."""
        if self._even:
            return allowance, log
        weight = self.of(detector, space)
        return weight * allowance, np.log(weight) + log

    def note(
        self, detector: Detector, space: NDArray[np.integer], allowance: Array, model: NDArray[np.integer]
    ) -> None:
        """What cells that bet were given, of the models in the rows ``model`` (k,), until a tick is judged."""
        self._given.setdefault(detector.name, []).append((space, allowance, model))

    def settle(self, crowds: Mapping[str, Crowd], breathe: Callable[[], None] = lambda: None) -> None:
        """Write down what was given in a tick: in one sum, so that it does not depend on how the tick was cut.

        Between two detectors the loop may ``breathe``.
        """
        for detector in DETECTORS:
            if (given := self._given.get(detector.name)) is None:
                continue
            space, allowance, model = (np.concatenate(each) for each in zip(*given, strict=True))
            grave = _GRAVE[detector.name][space]
            for i in np.flatnonzero(np.bincount(grave)).tolist():
                own = grave == i
                crowd = crowds[detector.share]
                self._budget.spend(detector.share, SEVERITIES[i], allowance[own], crowd, model[own])
            breathe()
        self._given.clear()
