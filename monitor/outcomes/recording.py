"""What is written into the docket of a cell of cases? Cohorts of what a measure summed, and of scores by their bins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.budget import Budget, Crowd
from monitor.catalog.models import Models
from monitor.dockets import Dockets, Line, closed, floats
from monitor.kernels.judge import Bets, Outcome, State
from monitor.recording import Part, begun, follow, followed, null, paid, step

FEW, MANY = 3, 10
"""Cohorts of fewer cases than the first are not written down, nor of fewer scores than the second: what they sum up or
bet would tell what somebody's was. Of fewer scores than the first in one bin the mean is told roughly; of as many as
the second the mean square too, by which what they bet can be computed more finely."""
COARSE = 0.02
"""To a multiple of this the mean of few scores is told."""

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell that fires: its ``row``, the ``model`` (its row) and how the cell is called there.

    ``end`` is that of its cohort, which matured at ``due``. ``weight`` is its part of what one cell may spend.
    """

    name: str
    row: int
    model: int
    share: str
    end: float
    due: float
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Cohort:
    """What ``b`` cells of scores bet on; shapes begin with ``(b,)``.

    ``bins`` (b, bins, 3): number, positive outcomes and sum of scores, ``squares`` (b, bins) those of scores squared.
    Of ``n`` that were bet on ``s`` are positive; ``log_e`` (b, bets) is what they won, ``adds`` (b, 3) what they add to
    the present. ``log_r`` (b, bets) is what cells came with, ``tolerance`` what is let pass, in logits; ``people`` how
    many are behind it, where that is asked.
    """

    end: float
    seconds: Floats
    bins: Floats
    squares: Floats
    s: Floats
    n: Floats
    log_e: Floats
    adds: Floats
    log_budget: Floats
    eta: Floats
    log_r: NDArray[np.float32]
    evidence: Floats
    tolerance: Floats
    people: Floats | None = None


class Recorder:
    """Keeps the dockets of the cells of cases."""

    def __init__(self, models: Models, budget: Budget) -> None:
        self.dockets = Dockets()
        self._models, self._budget = models, budget

    def follow_measure(self, name: str, state: State, bets: Bets, out: Outcome, since: Floats, limit: Floats) -> None:
        """Write down what the cells ``name`` bet on that are under suspicion and do not fire; forget the others.

        By place ``since`` (k, 2) is sum and number since suspicion began, ``limit`` (k,) the contract or NaN.
        """

        def told(j: int, row: int, place: int) -> tuple[Line, Line]:
            contract = None if np.isnan(limit[place]) else float(limit[place])
            own = step(bets, j, place, float(bets.tick_n[place]), out)
            return {**null(state, row), "limit": contract}, {**own, "since": floats(since[place])}

        follow(self.dockets, name, state, bets, out, told, FEW)

    def follow_scores(self, name: str, state: State, rows: Indices, held: NDArray[np.bool_], cohort: Cohort) -> None:
        """As :meth:`follow_measure`, of the cells ``rows`` (b,) of scores, of which ``held`` begin to fire."""
        kept = followed(state, rows, held) & (cohort.n >= MANY)
        self.dockets.let_go(name, rows, kept)
        for j in np.flatnonzero(kept).tolist():
            row = int(rows[j])
            log_r = cohort.log_r[j].tobytes(), state["log_r"][row].tobytes()

            def lines(j: int = j, row: int = row) -> tuple[Line, Line, Line]:
                came_with = begun(state, row, cohort.log_r[j])
                return came_with, _curve(state, row, float(cohort.tolerance[j])), _scores(state, row, cohort, j)

            self.dockets.add(name, row, log_r, lines)

    def alarm(self, cell: Cell, crowd: Crowd, header: dict[str, Any], fired: dict[str, Any]) -> bytes:
        """The whole docket of a cell that fires, which is open no more; empty where there was no room for one.

        ``crowd`` shares what it spends; ``header`` says what it asks, ``fired`` what was found.
        """
        lines = self.dockets.take(cell.name, cell.row)
        if not lines:
            return b""
        sharing = np.broadcast_to(self._budget.sharing(crowd, np.array([cell.model])), 1)
        part = Part(cell.weight, float(sharing[0]))
        hold = float(self._models.rows["hold"][cell.model])
        budget = paid(self._budget, self._models, cell.share, cell.model, part)
        return closed(
            {"is": "cell", **header, "hold": hold},
            lines,
            {"is": "fired", "end": cell.end, "due": cell.due, "budget": budget, **fired},
        )


def _curve(state: State, row: int, tolerance: float) -> Line:
    """What scores meant: by bin what the reference held, and the logits to its bounds; nothing of bins with few."""
    known = state["known"][row]
    return {
        "is": "null",
        "curve": [floats(x) if some else None for some, x in zip(known, state["curve"][row], strict=True)],
        "offset": [floats(x) if some else None for some, x in zip(known, state["offset"][row], strict=True)],
        "tolerance": tolerance,
    }


def _scores(state: State, row: int, cohort: Cohort, j: int) -> Line:
    bins = np.flatnonzero(state["known"][row] & (cohort.bins[j, :, 0] > 0))
    log_budget = float(cohort.log_budget[j])
    return {
        "is": "step",
        "end": cohort.end,
        "seconds": float(cohort.seconds[j]),
        "scores": [_bin(i, cohort.bins[j, i], cohort.squares[j, i]) for i in bins.tolist()],
        "s": float(cohort.s[j]),
        "n": float(cohort.n[j]),
        "log_e": floats(cohort.log_e[j]),
        "adds": floats(cohort.adds[j]),
        "now": floats(state["recent"][row]),
        "people": None if cohort.people is None else float(cohort.people[j]),
        "log_budget": log_budget,
        "eta": float(cohort.eta[j]),
        "log_r": float(cohort.evidence[j]) + log_budget,
    }


def _bin(place: int, sums: Floats, squares: np.float64) -> list[float]:
    """A bin's place, its number of cases, and the mean of their scores; of many the mean square too."""
    n, _, scores = sums.tolist()
    if n < FEW:
        return [place, n, round(scores / n / COARSE) * COARSE]
    return [place, n, scores / n] if n < MANY else [place, n, scores / n, float(squares / n)]
