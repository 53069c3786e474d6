"""What is remembered of a cell, and in which table? Detectors of which no series has two share one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.rows import Field, Rows, aside
from monitor.detectors import DETECTORS, SHARED_TABLES
from monitor.detectors.cell import Detector
from monitor.kernels.judge import IDLE, OFF, Question

_APPLIES = "applies"


def question(detector: Detector) -> Question:
    """What the cells of ``detector`` bet on."""
    return Question(detector.cuts, detector.two_sided, detector.shifts)


def cell_fields(asked: Question) -> dict[str, Field]:
    """The state of one cell that bets on ``asked``; ``acked_until`` and ``acked_effect`` are what was acknowledged.

    ``alarmed`` and ``last_bad`` say something of cells that fire or are about to, ``acked_until`` where it is above 0.
    ``worth`` is what an event of the reference counted for when its null was made: less than 1 where events clump.
    """
    k, c = asked.components, asked.cuts
    one = c == 1  # a share that is nothing in most rows: nobody's values are missing, invalid or new
    return {
        _APPLIES: Field(np.uint8, still=True),
        "firing": Field(np.uint8, (), IDLE),
        "log_r": Field(np.float32, (k,), -np.inf),
        "cost": Field(np.float32, (k,), float(OFF), still=True),
        "reference_share": Field(np.float32, (c,), still=True, rare=one),
        "null_low": Field(np.float32, (c,), still=True, rare=one),
        "null_high": Field(np.float32, (c,), 1.0, still=True),
        "null_n": Field(np.float64, (), -1.0, still=True),
        "tolerance": Field(np.float64, still=True),
        "worth": Field(np.float32, (), 1.0, still=True),
        "wander": Field(np.float32, still=True, rare=True),
        "s_prev": Field(np.float32, (c,), rare=one),
        "n_prev": Field(np.float32),
        "scatter": Field(np.float32, rare=one),
        "scatter_weight": Field(np.float32, rare=one),
        "scatter_ticks": Field(np.int32, rare=one),
        "onset": Field(np.float64, (), np.nan),
        "alarmed": Field(np.float64, rare=True),
        "last_bad": Field(np.float64, rare=True),
        "effect": Field(np.float32, rare=one),
        "evidence": Field(np.float32, (), -np.inf),
        "suspicion": Field(np.float32),
        "acked_until": Field(np.float64, still=True, rare=True),
        "acked_effect": Field(np.float32, still=True, rare=True),
    }


_RESTING = {"idle_days": Field(np.uint8), "mute": Field(np.uint8, still=True)}
"""Days since a cell had anything to bet on, and whether its null leaves it a bet: what ``resting.py`` keeps of each."""


class Cells:
    """The cells of one detector, a row for each series: a table that others use for series which this one leaves out.

    ``applies`` is its own; whatever else stands in a row that it does not apply to is another detector's.
    """

    def __init__(self, detector: str, table: Rows, names: Iterable[str]) -> None:
        self._applies = f"{_APPLIES}.{detector}"
        self._table = table
        self._names = [self._applies, *(name for name in names if name != _APPLIES)]

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._table[self._applies if name == _APPLIES else name]

    def touch(self, rows: NDArray[np.integer[Any]]) -> None:
        """Note that ``rows`` changed and must be stored."""
        self._table.touch(rows)

    def stir(self, rows: NDArray[np.integer[Any]]) -> None:
        """As :meth:`touch`, where no null changed."""
        self._table.stir(rows)

    def reset(self, rows: NDArray[np.integer[Any]], names: Iterable[str] | None = None) -> None:
        """Let ``rows``, which no other detector of the table applies to, begin anew, in ``names`` or in all."""
        self._table.reset(rows, self._names if names is None else names)


def make_cells() -> tuple[dict[str, Rows], dict[str, Cells]]:
    """The tables of all cells by what they are stored as, and the cells of each detector by its name."""
    tables: dict[str, Rows] = {}
    cells: dict[str, Cells] = {}
    for names in SHARED_TABLES:
        (asked,) = {question(detector) for detector in DETECTORS if detector.name in names}
        fields = cell_fields(asked)
        applies = fields.pop(_APPLIES)
        fields |= _RESTING
        table = Rows(aside({**{f"{_APPLIES}.{name}": applies for name in names}, **fields}))
        tables["+".join(names)] = table
        cells |= {name: Cells(name, table, fields) for name in names}
    return tables, cells
