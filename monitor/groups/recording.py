"""What is written into the docket of a comparison? Its batches by stratum, what they add up to, and what it came to."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.rows import Rows
from monitor.dockets import Dockets, Line, closed, floats
from monitor.groups.questions import QUESTIONS, Kind

_DIGITS = 8
"""By which a stratum is known in a docket."""

_DETECTORS = np.array([QUESTIONS[kind].detector for kind in Kind])
"""By kind."""
_KINDS_OF = {
    name: np.equal(_DETECTORS, name) for name in sorted({question.detector for question in QUESTIONS.values()})
}
"""By detector, which kinds are its own, ``(kinds,)``."""

Array = NDArray[np.float64]
Rows64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Step:
    """What ``k`` comparisons bet on, of ``m`` strata: the tallies ``row`` (m,), each of the cell at ``at`` (m,).

    ``pooled``, ``recent`` and ``last`` (m, 4) are (n, s) of the rest, then of the group: the batch, the present before
    it and the batch before. ``log_r`` (k, components) is what cells came with; the rest is ``(k,)``.
    """

    end: float
    row: Rows64
    at: Rows64
    pooled: Array
    recent: Array
    last: Array
    log_r: NDArray[np.float32]
    eta: Array
    log_budget: Array
    evidence: Array


class Recorder:
    """Keeps the dockets of comparisons.

    ``people`` says of how many people so many cases of groups (rows) are, ``stratum`` gives the key of a tally's
    stratum: rows are given as things are met, which must not be told by them.
    """

    def __init__(
        self,
        dockets: Dockets,
        state: Rows,
        people: Callable[[NDArray[np.integer], Array], Array],
        stratum: Callable[[int], int],
    ) -> None:
        self.dockets = dockets
        self._state, self._people, self._stratum = state, people, stratum

    def follow(
        self, cells: Rows64, kind: NDArray[np.uint8], group: Rows64, step: Step, kept: NDArray[np.bool_]
    ) -> None:
        """Write down what those of ``cells`` (k,) bet on that are to be ``kept`` (k,): they are under suspicion."""
        state = self._state
        for name, of_name in _KINDS_OF.items() if len(self.dockets) else ():
            own = of_name[kind]
            self.dockets.let_go(name, cells[own], kept[own])
        for j in np.flatnonzero(kept).tolist():
            cell = int(cells[j])
            log_r = step.log_r[j].tobytes(), state["log_r"][cell].tobytes()

            def lines(j: int = j, cell: int = cell) -> tuple[Line, Line, Line]:
                scatter = [float(state[name][cell]) for name in ("scatter", "scatter_weight", "scatter_ticks")]
                begun = {"is": "begun", "log_r": floats(step.log_r[j]), "scatter": scatter}
                return begun, {"is": "null"}, self._step(j, cell, group[j : j + 1], step)

            self.dockets.add(str(_DETECTORS[kind[j]]), cell, log_r, lines)

    def alarm(self, cell: int, header: dict[str, Any], fired: dict[str, Any]) -> bytes:
        """The whole docket of a comparison that fires, which is open no more; empty where there was no room for one."""
        lines = self.dockets.take(str(header["detector"]), cell)
        return closed({"is": "cell", "of": "groups", **header}, lines, {"is": "fired", **fired}) if lines else b""

    def _step(self, j: int, cell: int, group: Rows64, step: Step) -> Line:
        state, own = self._state, np.flatnonzero(step.at == j)
        sums = {name: floats(state[name][cell]) for name in ("recent", "recent_within", "since", "since_within")}
        seen = {name: float(self._people(group, state[name][[cell], 2])[0]) for name in ("recent", "since")}
        return {
            "is": "step",
            "end": step.end,
            "strata": [
                {
                    "stratum": hashlib.sha256(self._stratum(int(step.row[i])).to_bytes(8)).hexdigest()[:_DIGITS],
                    "batch": floats(step.pooled[i]),
                    "present": floats(step.recent[i]),
                    "before": floats(step.last[i]),
                }
                for i in own.tolist()
            ],
            **sums,
            "people": seen,
            "log_budget": float(step.log_budget[j]),
            "eta": float(step.eta[j]),
            "log_r": float(step.evidence[j] + step.log_budget[j]),
        }
