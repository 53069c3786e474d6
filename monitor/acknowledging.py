"""Which cells need not be heard for now? Those that somebody acknowledged: they spend nothing until they worsen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from monitor.cells import Cells
from monitor.detectors import DETECTORS
from monitor.detectors.cell import Detector

_NEXT_TO_NOTHING = 1e-12
"""What an acknowledged cell may spend on a tick: it goes on being judged, so that it clears and is seen to worsen."""
_WORSE = 0.25
"""An acknowledged effect has worsened when it has grown by this part of itself, and by its tolerance at least."""

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


class Acknowledgements:
    """The acknowledged cells of each detector, beside the ``states`` of all cells.

    ``count`` is told by how much the cells that pay for themselves change: detector, series rows, change.
    ``gap`` says how far cells have moved by what is known of now, ``(k,)``; ``wake`` ends their rest.
    """

    def __init__(
        self,
        states: Mapping[str, Cells],
        count: Callable[[Detector, Indices, NDArray[np.int32]], None],
        gap: Callable[[Detector, Indices], Array],
        wake: Callable[[Detector, Indices], None],
    ) -> None:
        self._states = states
        self._count = count
        self._gap = gap
        self._wake = wake
        self._rows: dict[str, Indices] = {}

    def add(self, cells: Iterable[tuple[int, str]], until: float) -> None:
        """Let ``cells`` (series row, detector) spend nothing until ``until``, unless they worsen before.

        What they show now is the measure: their effect beyond chance, or how far they moved if that is more.
        """
        by_name: dict[str, list[int]] = {}
        for row, name in cells:
            by_name.setdefault(name, []).append(row)
        for detector in DETECTORS:
            rows = np.array(by_name.get(detector.name, ()), np.int64)
            if not len(rows):
                continue
            state = self._states[detector.name]
            self.drop(detector, rows)
            self._wake(detector, rows)
            self._count(detector, rows, np.full(len(rows), -1, np.int32))
            state["acked_until"][rows] = until
            state["acked_effect"][rows] = np.maximum(self._gap(detector, rows), state["effect"][rows])
            state.touch(rows)
            self._rows[detector.name] = np.union1d(self._rows.get(detector.name, rows), rows)

    def drop(self, detector: Detector, rows: Indices) -> None:
        """Let the cells of ``rows``, all its own, spend again; those that were not acknowledged stay as they are."""
        state = self._states[detector.name]
        rows = rows[state["acked_until"][rows] > 0.0]
        if not len(rows):
            return
        self._count(detector, rows, np.ones(len(rows), np.int32))
        state["acked_until"][rows] = 0.0
        state.touch(rows)
        left = np.setdiff1d(self._rows.pop(detector.name), rows)
        if len(left):
            self._rows[detector.name] = left

    def restored(self, n_rows: int) -> None:
        """Find them again among ``n_rows`` series, after the states were loaded and all cells were counted."""
        for detector in DETECTORS:
            state = self._states[detector.name]
            rows = np.flatnonzero((state["applies"][:n_rows] > 0) & (state["acked_until"][:n_rows] > 0.0))
            if len(rows):
                self._rows[detector.name] = rows
                self._count(detector, rows, np.full(len(rows), -1, np.int32))

    def quieten(self, detector: Detector, rows: Indices, allowance: Array, log_budget: Array) -> tuple[Array, Array]:
        """The allowances of the cells of ``rows`` and their logarithms, next to nothing for those acknowledged."""
        if detector.name not in self._rows:
            return allowance, log_budget
        quiet = self._states[detector.name]["acked_until"][rows] > 0.0
        allowance = np.where(quiet, np.minimum(allowance, _NEXT_TO_NOTHING), allowance)
        return allowance, np.log(np.maximum(allowance, 1e-300))

    def give_back(self, end: float, tolerance: Callable[[Detector, Indices], Array]) -> list[tuple[int, str]]:
        """Cells that worsened, or whose time is over at ``end``: from here on they are judged as any other."""
        returned: list[tuple[int, str]] = []
        for detector in DETECTORS:
            rows = self._rows.get(detector.name)
            if rows is None:
                continue
            state = self._states[detector.name]
            known = state["acked_effect"][rows].astype(np.float64)
            worse = state["effect"][rows] > known + np.maximum(tolerance(detector, rows), _WORSE * known)
            back = rows[worse | (state["acked_until"][rows] <= end)]
            returned += [(row, detector.name) for row in back.tolist()]
            self.drop(detector, back)
        return returned
