"""A drill of how features lie in groups: copies of each cell in which a feature of one group moves, and of nobody else.

What comes is drawn: so many events a day as the last day had of either side, that lie as those of the present do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from monitor.apart.bets import GROUP
from monitor.apart.cells import DAY_SECONDS, Batch, Cells
from monitor.drill.faults import FAULTS, Fault, Subject
from monitor.drill.past import HORIZON_SECONDS
from monitor.fleet import Fleet
from monitor.kernels.lean import LAST, MISSING, STRATA
from monitor.kernels.tally import BINS, KIND_NUMBER, NULLS

CELLS_MAX = 128
"""Cells of one model that are drilled, those with the most people first."""
APART_FAULTS = tuple(
    replace(fault, name=f"group_{fault.name}")
    for fault in FAULTS
    if fault.name in {"shift_0.5", "shift_1", "missing_0.2", "swapped_0.5"}
)
"""What befalls the feature of one group: what befalls a feature as a whole, but of that group alone."""
_SEED = 20_029
_NOTHING = -1
"""The fault of the copy that nothing befalls."""

Array = NDArray[np.float64]
Rows64 = NDArray[np.int64]
Breathe = Callable[[], None]


@dataclass(slots=True)
class ApartFindings:
    """By fault of a cell, ``(k,)`` each: its group, its series' row, the fault's place in ``APART_FAULTS``, and when.

    ``days`` is NaN where nobody would see it within thirty days, or tell it from what the cell does by itself.
    """

    group: Rows64
    series: Rows64
    fault: Rows64
    days: Array


@dataclass(slots=True)
class ApartDrill:
    """Cells of a model, taken from the fleet, so that any thread may drill on them: ``cells`` (k,) as records.

    Each spends ``allowance`` in a day; ``until`` is the newest event time.
    """

    cells: NDArray[np.void]
    allowance: float
    until: float

    def run(self, subjects: Mapping[int, Subject], breathe: Breathe = lambda: None) -> ApartFindings:
        """Judge every fault of every cell; ``subjects`` are their features, by row of the series."""
        whole = np.array([row in subjects for row in self.cells["series"].tolist()], bool)
        of, fault, matrices = [], [], []
        for i in np.flatnonzero(whole).tolist():
            cell = self.cells[i]
            subject, number = subjects[int(cell["series"])], bool(cell["number"])
            own = [place for place, each in enumerate(APART_FAULTS) if (each.kind == KIND_NUMBER) == number]
            of += [i] * (1 + len(own))
            fault += [_NOTHING, *own]
            matrices += [np.eye(STRATA), *(in_strata(APART_FAULTS[place], subject, number=number) for place in own)]
            breathe()
        if not of:
            none = np.zeros(0, np.int64)
            return ApartFindings(none, none, none, np.zeros(0))
        origin, which = np.array(of), np.array(fault)
        days = self._through(origin, np.stack(matrices), breathe)
        struck = np.flatnonzero(which != _NOTHING)
        alone = np.full(len(self.cells), np.nan)
        alone[origin[which == _NOTHING]] = days[which == _NOTHING]
        seen = np.where(days[struck] >= alone[origin[struck]], np.nan, days[struck])
        cells = self.cells[origin[struck]]
        return ApartFindings(cells["group"].astype(np.int64), cells["series"].astype(np.int64), which[struck], seen)

    def _through(self, origin: Rows64, matrices: Array, breathe: Breathe) -> Array:
        """Judge a copy of each of ``origin`` (c,) for thirty days; after how many each is seen, (c,)."""
        copies, n = _copied(self.cells[origin]), len(origin)
        events = copies.rows["last"].sum(axis=-1).astype(np.int64)
        shares = copies.rows["recent"].astype(np.float64)
        shares /= np.maximum(shares.sum(axis=-1, keepdims=True), 1.0)
        shares[:, GROUP] = np.einsum("ki,kij->kj", shares[:, GROUP], matrices)
        shares /= np.maximum(shares.sum(axis=-1, keepdims=True), 1e-9)
        rng, days, log_budget = np.random.default_rng(_SEED), np.full(n, np.nan), np.log(max(self.allowance, 1e-300))
        for day in range(1, int(HORIZON_SECONDS / DAY_SECONDS) + 1):
            breathe()
            open_ = np.flatnonzero(np.isnan(days))
            if not len(open_):
                break
            drawn = rng.multinomial(events[open_], shares[open_]).astype(np.float64)
            batch = Batch(open_, drawn, self.until + day * DAY_SECONDS)
            days[open_[copies.bet(batch, np.full(len(open_), log_budget)).alarm]] = day
        return days


def apart_drill(fleet: Fleet, row: int) -> ApartDrill:
    """Copy what a drill of the model in ``row`` needs of its groups' features."""
    cells = fleet.apart.cells(row).rows
    judged = cells[cells["judged"]]
    some = judged[fleet.apart.told(judged)] if len(judged) else judged
    largest = np.argsort(-some["recent"][:, GROUP].sum(axis=-1), kind="stable")[:CELLS_MAX]
    return ApartDrill(
        cells=some[largest],
        allowance=fleet.apart.allowance(row, max(len(judged), 1)),
        until=float(fleet.models.rows["last_time"][row]),
    )


def in_strata(fault: Fault, subject: Subject, *, number: bool) -> Array:
    """Where a fault leads from stratum to stratum, (STRATA, STRATA); within one, values lie as those of the whole."""
    bins = np.arange(BINS)
    place = bins * MISSING // (len(subject.edges) + 1) if number else bins
    place = np.minimum(place, LAST)
    leads = fault.matrix(subject)
    matrix = np.zeros((STRATA, STRATA))
    for stratum in range(MISSING):
        own = np.flatnonzero(place == stratum)
        weight = subject.reference[own]
        weight = weight / weight.sum() if weight.sum() > 0 else np.full(len(own), 1.0 / max(len(own), 1))
        to = weight @ leads[own]
        np.add.at(matrix[stratum], place, to[:BINS])
        matrix[stratum, MISSING] = to[NULLS]
    matrix[MISSING, MISSING] = 1.0
    return matrix


def _copied(rows: NDArray[np.void]) -> Cells:
    """Copies of cells without evidence, each a group of its own."""
    rows = rows.copy()
    rows["group"], rows["slot"] = np.arange(len(rows)), 0
    copies = Cells(rows.tobytes())
    copies.restart(np.arange(len(rows)))
    return copies
