"""Which cells need no part of the budget? Those that have had nothing to bet on for thirty days: they see nothing.

A feature that came once, a model that nobody asks any more, a season of a year that nobody has seen yet: such a cell is
handed nothing, and does not count among those of its share, so that the others have what it leaves. What it can bet on
next is let pass; from the tick after that on it has its part again.

The sum of what is handed out stays within the budget at every moment, however cells come and go. A cell counts before
the first tick that it bets on begins, and for days after the last one has ended, which is longer than a tick: whoever
is paid for a tick is paid by a count that holds all who bet within it. Who rests is said by when there was something to
bet on and by the null, never by what was found (decision 36).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from monitor.cells import Cells
from monitor.detectors import DETECTORS
from monitor.detectors.cell import Detector
from monitor.kernels.judge import IDLE, OFF

DAYS = 30
"""Days without anything to bet on, after which a cell rests: how far the planner looks, and longer than any tick."""
_DAY_SECONDS = 86400.0

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


class Resting:
    """The cells of each detector that rest, beside the ``states`` of all: of models whose ticks are a day at most.

    ``count`` is told by how much the cells that pay for themselves change: detector, series rows, change. ``tick`` says
    how long the ticks of series rows are, in seconds.
    """

    def __init__(
        self,
        states: Mapping[str, Cells],
        count: Callable[[Detector, Indices, NDArray[np.int32]], None],
        tick: Callable[[Indices], Array],
    ) -> None:
        self._states = states
        self._count = count
        self._tick = tick
        self._woken: list[tuple[Detector, Indices]] = []
        self.day = -np.inf
        """The last day of event time on which somebody was sent to rest."""

    def mute(self, detector: Detector, rows: Indices, cost: NDArray[np.float32]) -> None:
        """Note beyond the nulls of which of ``rows`` nothing lies; ``cost`` (k, components) is that of their bets."""
        self._states[detector.name]["mute"][rows] = (cost >= OFF).all(axis=1)

    def quieten(self, detector: Detector, rows: Indices, allowance: Array, log_budget: Array) -> tuple[Array, Array]:
        """The allowances of the cells of ``rows`` and their logarithms: nothing for those that rest."""
        rests = self._states[detector.name]["idle_days"][rows] >= DAYS
        if not rests.any():
            return allowance, log_budget
        allowance = np.where(rests, 0.0, allowance)
        return allowance, np.log(np.maximum(allowance, 1e-300))

    def bet(self, detector: Detector, rows: Indices) -> None:
        """The cells of ``rows`` had events: who could bet on them is not idle, and who rested is woken by it."""
        state = self._states[detector.name]
        rows = rows[state["mute"][rows] == 0]
        idle = state["idle_days"][rows]
        if not idle.any():
            return
        rests = idle >= DAYS
        state["idle_days"][rows[~rests]] = 0
        if rests.any():
            self._woken.append((detector, rows[rests]))

    def settle(self) -> None:
        """Behind a tick: who was woken by it counts, and is paid, from here on."""
        for detector, rows in self._woken:
            self.wake(detector, rows)
        self._woken.clear()

    def turn(self, end: float) -> None:
        """Before a tick that ended at ``end`` is judged: once a day, who has been idle for too long goes to rest."""
        day = end // _DAY_SECONDS
        if day <= self.day:
            return
        if self.day > -np.inf:
            for detector in DETECTORS:
                self._turn(detector, int(min(day - self.day, DAYS)))
        self.day = day

    def wake(self, detector: Detector, rows: Indices) -> None:
        """Let those of ``rows`` that rest, all the detector's own, count and be paid again."""
        state = self._states[detector.name]
        rows = rows[state["idle_days"][rows] >= DAYS]
        state["idle_days"][rows] = 0
        self._count(detector, rows, np.ones(len(rows), np.int32))
        state.stir(rows)

    def restored(self, n_rows: int) -> None:
        """Find them again among ``n_rows`` series, after the states were loaded and all cells were counted."""
        for detector in DETECTORS:
            state = self._states[detector.name]
            rests = (state["applies"][:n_rows] > 0) & (state["idle_days"][:n_rows] >= DAYS)
            rows = np.flatnonzero(rests)
            self._count(detector, rows, np.full(len(rows), -1, np.int32))

    def _turn(self, detector: Detector, days: int) -> None:
        """So many ``days`` have ended; cells that fire, or that are acknowledged, go on being heard."""
        state = self._states[detector.name]
        n = len(state)  # what lies behind them is whatever the memory held
        heard = (state["firing"][:n] == IDLE) & (state["acked_until"][:n] <= 0.0)
        rows = np.flatnonzero((state["applies"][:n] > 0) & heard & (state["idle_days"][:n] < DAYS))
        rows = rows[self._tick(rows) <= _DAY_SECONDS]
        state["idle_days"][rows] += days
        tired = rows[state["idle_days"][rows] >= DAYS]
        state["log_r"][tired], state["evidence"][tired], state["suspicion"][tired] = -np.inf, -np.inf, 0.0
        self._count(detector, tired, np.full(len(tired), -1, np.int32))
        state.stir(rows)
