"""Does an intersection say more than its two groups say already? If not, the alarm of the group stands for it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.groups.questions import QUESTIONS, Kind
from monitor.groups.register import Register

SURELY_MORE = 2.0
"""Standard errors by which an intersection must lie further out besides: what it seems to say more may be chance."""
Array = NDArray[np.float64]
Rows64 = NDArray[np.int64]


def margins_of(register: Register, cells: Rows64) -> tuple[Rows64, Rows64]:
    """The cells of the two groups that intersections among ``cells`` (k,) are of: their rows, and whose they are.

    Both (m,), ``whose`` as places in ``cells``; a group that is not compared has none.
    """
    group, output = (register.cells[name][cells].astype(np.int64) for name in ("group", "output"))
    whose = np.flatnonzero(register.crossed(group))
    found = [
        (register.cell(int(register.groups[name][group[i]]), int(output[i])), i)
        for i in whose.tolist()
        for name in ("first", "second")
    ]
    rows, of = np.array([each for each in found if each[0] >= 0], np.int64).reshape(-1, 2).T
    return rows, of


def slack(kind: NDArray[np.uint8], tolerance: Array) -> Array:
    """By how much more than its groups an intersection must lie beyond what is tolerated, to be told beside them.

    Shapes ``(k,)``, in logarithms of ratios or in gaps: as much as is tolerated of anybody.
    """
    gap = np.isin(kind, [k for k in Kind if QUESTIONS[k].gap])
    more: Array = np.where(gap, tolerance, -np.log(np.maximum(tolerance, 1e-9)))
    return more


def accounted_for(whose: Rows64, beyond: Array, of_margins: Array, more: Array) -> NDArray[np.bool_]:
    """Which of cells that lie ``beyond`` (k,) are so because of the groups they are of.

    ``of_margins`` (m,) is how far the groups of the cells ``whose`` (m,) lie beyond, in the same direction; ``more``
    (k,) is the :func:`slack`.
    """
    held = np.zeros(len(beyond), bool)
    np.logical_or.at(held, whose, (of_margins > 0.0) & (beyond[whose] <= of_margins + more[whose]))
    return held
