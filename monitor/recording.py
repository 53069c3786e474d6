"""What is written into a series' docket? What its cell began with, its nulls and ticks, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.budget import Budget
from monitor.catalog.models import SHARES, Models
from monitor.catalog.series import JUDGED, Series
from monitor.cells import Cells, question
from monitor.detectors.cell import Detector
from monitor.dockets import Dockets, Line, closed, floats
from monitor.kernels.judge import FIRING, HELD, PENDING, SUSPICIOUS, Bets, Outcome, State
from monitor.kernels.tally import BINS, KIND_NUMBER
from monitor.seasons import Seasons

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Found:
    """What an alarm says: the ``cut`` that moved, and its share as the present and as all since suspicion show it.

    ``now`` and ``since`` are shares of that cut, ``since`` NaN where nothing is held; ``told`` is the one that is told.
    """

    cut: int
    before: float
    now: float
    since: float
    told: float
    evidence: float


@dataclass(frozen=True, slots=True)
class Part:
    """What a cell has of its share: its ``weight`` among so many ``cells``, each counted with its own."""

    weight: float
    cells: float


class Recorder:
    """Keeps the dockets of the cells of series."""

    def __init__(self, dockets: Dockets, models: Models, series: Series, seasons: Seasons, budget: Budget) -> None:
        self.dockets = dockets
        self._models, self._series, self._seasons, self._budget = models, series, seasons, budget

    def follow(self, detector: Detector, state: Cells, bets: Bets, counts: NDArray[np.uint32], out: Outcome) -> None:
        """Write down what cells bet on that are under suspicion and do not fire; forget those that are cleared.

        ``counts`` (k, 40) are those of the tick, in which ``bets`` have their places.
        """

        def told(j: int, row: int, place: int) -> tuple[Line, Line]:
            return self._null(detector, state, row), step(bets, j, place, float(counts[place, :BINS].sum()), out)

        follow(self.dockets, detector.name, state, bets, out, told)

    def alarm(
        self, detector: Detector, row: int, bets: Bets, found: Found, part: Part, reference: NDArray[np.float64]
    ) -> bytes:
        """The whole docket of a cell that fires, which is open no more; empty where there was no room for one.

        ``reference`` (40,) are the counts that it is judged against, ``part`` is what it has of the budget.
        """
        lines = self.dockets.take(detector.name, row)
        if not lines:
            return b""
        series, models = self._series, self._models
        model = int(series.rows["model"][row])
        asked = question(detector)
        header = {
            "is": "cell",
            "of": "series",
            "detector": detector.name,
            "series": series.names[row],
            "space": int(series.rows["space"][row]),
            "number": bool(series.rows["kind"][row] == KIND_NUMBER),
            "known": bool(series.rows["judging"][row] == JUDGED),
            "bins": series.rows["cuts"][row, : series.rows["n_cuts"][row]].tolist(),
            "cuts": asked.cuts,
            "two_sided": asked.two_sided,
            "shifts": list(asked.shifts),
            "hold": float(models.rows["hold"][model]),
            "from_file": bool(models.rows["from_file"][model]),
        }
        fired = {
            "is": "fired",
            "end": bets.end,
            "cut": found.cut,
            "before": found.before,
            "now": found.now,
            "since": None if np.isnan(found.since) else found.since,
            "told": found.told,
            "evidence": found.evidence,
            "budget": paid(self._budget, models, detector.share, model, part),
            "reference": reference.astype(int).tolist(),
        }
        return closed(header, lines, fired)

    def _null(self, detector: Detector, state: Cells, row: int) -> Line:
        at = np.array([row])
        season = None
        if detector.name == "drift" and self._seasons.seasonal(at)[0]:
            usual = self._seasons.usual(at)
            season = {
                "add": floats(usual.add[0]),
                "variance": float(usual.variance[0]),
                "slack": floats(usual.slack[0]),
            }
        last_week = detector.name == "drift" and bool(self._seasons.paired(at)[0])
        return null(state, row, season, last_week=last_week)


def followed(state: State, rows: Rows, held: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which of the cells ``rows`` (b,), which have just bet, have a docket: suspicious ones that do not fire.

    ``held`` (b,) marks those that begin to fire now, whose docket is about to be closed.
    """
    firing = state["firing"][rows]
    kept: NDArray[np.bool_] = (firing != FIRING) & (state["suspicion"][rows] > SUSPICIOUS)
    kept |= (firing == PENDING) | held
    return kept


def follow(
    dockets: Dockets,
    name: str,
    state: State,
    bets: Bets,
    out: Outcome,
    told: Callable[[int, int, int], tuple[Line, Line]],
    least: float = 0.0,
) -> None:
    """Write down what the cells ``name`` bet on that have a docket, and forget the dockets of the others.

    Steps of fewer events than ``least`` are not written: a docket begins anew behind them.
    ``told`` gives the null and the step of the ``j``-th of ``bets``, of a row, whose sums stand at a place.
    """
    kept = followed(state, bets.row, (out.flags & HELD) > 0) & (bets.tick_n[bets.place] >= least)
    dockets.let_go(name, bets.row, kept)
    for j in np.flatnonzero(kept).tolist():
        row, place = int(bets.row[j]), int(bets.place[j])
        log_r = out.before[j].tobytes(), state["log_r"][row].tobytes()

        def lines(j: int = j, row: int = row, place: int = place) -> tuple[Line, Line, Line]:
            return begun(state, row, out.before[j]), *told(j, row, place)

        dockets.add(name, row, log_r, lines)


def paid(budget: Budget, models: Models, share: str, model: int, part: Part) -> dict[str, Any]:
    """Of what a cell's budget of a tick is a part."""
    rows = models.rows
    return {
        "per_week": budget.per_week,
        "per_model_per_week": budget.per_model_per_week,
        "part": budget.shares[share],
        "weight": part.weight,
        "cells_of_fleet": part.cells,
        "cells_of_model": float(rows["n_cells"][rows["root"][model], SHARES.index(share)]),
    }


def null(state: State, row: int, season: dict[str, Any] | None = None, *, last_week: bool = False) -> Line:
    """What a cell is held to, with the ``season`` that is in it, or the same hour of the ``last_week``."""
    return {
        "is": "null",
        "share": floats(state["reference_share"][row]),
        "events": float(state["null_n"][row]),
        "worth": float(state["worth"][row]),
        "tolerance": float(state["tolerance"][row]),
        "wander": float(state["wander"][row]),
        "season": season,
        "last_week": last_week,
        "low": floats(state["null_low"][row]),
        "high": floats(state["null_high"][row]),
    }


def begun(state: State, row: int, log_r: NDArray[np.float32]) -> Line:
    """What a cell came with; ``scatter`` is what it had once the first step was in."""
    scatter = [float(state[name][row]) for name in ("scatter", "scatter_weight", "scatter_ticks")]
    return {"is": "begun", "log_r": floats(log_r), "scatter": scatter}


def step(bets: Bets, j: int, place: int, values: float, out: Outcome) -> Line:
    """What the ``j``-th of ``bets`` was and gave: its sums, which stand at ``place``, and how many ``values`` came."""
    log_budget = float(bets.log_budget[place])
    return {
        "is": "step",
        "end": bets.end,
        "seconds": float(bets.seconds[place]),
        "s": floats(bets.tick_s[place]),
        "n": float(bets.tick_n[place]),
        "values": values,
        "now_s": floats(bets.now_s[place]),
        "now_n": float(bets.now_n[place]),
        "log_budget": log_budget,
        "eta": float(out.eta[j]),
        "log_r": float(out.evidence[j]) + log_budget,
    }
