"""When do comparisons of groups begin anew? Where their null is another, and without a stretch of the past."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from monitor.groups.comparing import Comparer, GroupAlarm
from monitor.groups.questions import Kind
from monitor.groups.register import Register
from monitor.groups.sums import TallySums
from monitor.kernels.judge import FIRING

_OF_PREDICTIONS = (Kind.DECISION, Kind.CLASS, Kind.TAG, Kind.WATCHED, Kind.SCORE, Kind.VALUE)
"""What is counted of predictions; cases that matured later are in the hours too, and are not judged again."""
_JUDGED = ("pool", "last", "recent")
_GATHERED = (
    *("firing", "log_r", "carried", "since", "since_within"),
    *("onset", "alarmed", "last_bad", "evidence", "suspicion"),
)
"""What a cell has gathered for or against its null, and nothing else of its state."""

Hour = tuple[float, TallySums]


def judge_again(
    comparer: Comparer, model: int, kept: Iterable[Hour], left_out: Iterable[Hour], now: float
) -> tuple[list[GroupAlarm], list[int]]:
    """Let the comparisons of ``model`` begin anew and bet on the hours ``kept`` alone, oldest first.

    What was counted in the hours ``left_out`` leaves the rates that are shown. Returns the alarms that stand at the end
    and were not there before, told ``now``, and the cells that fired before and do so no more.
    """
    comparer.extend()
    register, state = comparer.register, comparer.state
    outputs, tallies = register.outputs, register.tallies
    own = np.flatnonzero(outputs["model"][: len(outputs)] == model)
    own = own[np.isin(outputs["kind"][own], _OF_PREDICTIONS)]
    cells = np.flatnonzero(np.isin(register.cells["output"][: len(register.cells)], own))
    rows = np.flatnonzero(np.isin(tallies["output"][: len(tallies)], own))
    rows = np.union1d(rows, tallies["base"][rows])
    before = {cell for cell in cells.tolist() if state["firing"][cell]}
    state.reset(cells)
    tallies.reset(rows, _JUDGED)
    kept, left_out = ([(end, _some(end, sums, rows, register)) for end, sums in hours] for hours in (kept, left_out))
    for _, sums in (*kept, *left_out):
        tallies["total"][sums.row] -= np.stack([sums.n, sums.s], axis=1)
    standing: dict[int, GroupAlarm] = {}
    for end, sums in kept:
        compared = comparer.judge(end, sums)
        standing |= {alarm.cell: alarm for alarm in compared.alarms}
        for cell in compared.cleared:
            standing.pop(cell, None)
    new = [replace(alarm, fired_time=now, docket=b"") for cell, alarm in standing.items() if cell not in before]
    return new, sorted(before - standing.keys())


def restart(comparer: Comparer, outputs: NDArray[np.int64]) -> list[int]:
    """Let the cells of ``outputs`` (rows) begin without evidence, since their null is another; those that fired."""
    comparer.extend()
    own = comparer.register.cells["output"][: len(comparer.register.cells)]
    cells = np.flatnonzero(np.isin(own, outputs))
    fired: list[int] = cells[comparer.state["firing"][cells] == FIRING].tolist()
    comparer.state.reset(cells, _GATHERED)
    return fired


def _some(end: float, sums: TallySums, rows: NDArray[np.int64], register: Register) -> TallySums:
    """Those of ``sums`` of an hour that are of tallies ``rows``, and were not of an output before theirs."""
    output = register.tallies["output"][sums.row]
    own = np.isin(sums.row, rows) & ((output < 0) | (register.outputs["born"][output] <= end))
    return TallySums(sums.row[own], sums.n[own], sums.s[own])
