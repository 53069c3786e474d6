"""Does an intersection say more than its two groups say already? If not, the alarm of the group stands for it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.rows import Rows
from monitor.groups.effects import noise, outside
from monitor.groups.questions import ASKED
from monitor.groups.register import Register
from monitor.kernels.compare import Sides
from monitor.kernels.judge import FIRING, SUSPICIOUS

SURELY_MORE = 2.0
"""Standard errors by which an intersection must lie further out besides: what it seems to say more may be chance."""
Array = NDArray[np.float64]
Rows64 = NDArray[np.int64]
Flags = NDArray[np.bool_]


class Beside(NamedTuple):
    """What is said of cells beside their groups, ``(k,)`` each: all False of what is no intersection.

    ``of_told``: a group of theirs is told of, or about to be. ``held``: they lie no further out than a group of theirs
    accounts for. ``explained``: than one that is told of does, and they do not fire themselves.
    """

    of_told: Flags
    held: Flags
    explained: Flags


def by_margins(register: Register, state: Rows, cells: Rows64, direction: Rows64) -> Beside:
    """What is said of ``cells`` (k,), furthest out in ``direction`` (k,), beside their groups.

    What a group that is told of does is seen whole since suspicion began, as its present fades slowly; so is what the
    intersection does, which is at least as far out as it surely is by one of the two.
    """
    told, held, explained = (np.zeros(len(cells), bool) for _ in range(3))
    rows, whose = margins_of(register, cells)
    if not len(rows):
        return Beside(told, held, explained)
    tells = (state["firing"][rows] == FIRING) | (state["suspicion"][rows] > SUSPICIOUS)
    told[whose[tells]] = True
    now, since = (_beyond(register, state[name][rows], rows, direction[whose]) for name in _WITHIN)
    own, at = np.unique(whose, return_inverse=True)
    kind, _ = _asked(register, cells[own])
    surely = np.full(len(own), -np.inf)
    for seen, within, fades in zip(("recent", "since"), _WITHIN, (True, False), strict=True):
        beyond = _beyond(register, state[within][cells[own]], cells[own], direction[own])
        error = noise(kind, Sides.of(state[seen][cells[own]]), fades=fades)
        surely = np.maximum(surely, beyond - SURELY_MORE * error)
    of_margins = np.where(tells, np.maximum(now, since), now)
    more = slack(*_asked(register, cells[own]))
    held[own] = accounted_for(at, surely, of_margins, more)
    explained[own] = accounted_for(at, surely, np.where(tells, of_margins, -np.inf), more)
    return Beside(told, held, explained & (state["firing"][cells] != FIRING))


def margins_of(register: Register, cells: Rows64) -> tuple[Rows64, Rows64]:
    """The cells of the two groups that intersections among ``cells`` (k,) are of: their rows, and whose they are.

    Both (m,), ``whose`` as places in ``cells``; a group that is not compared has none.
    """
    group, output = (register.cells[name][cells] for name in ("group", "output"))
    crossed = np.flatnonzero(register.crossed(group))
    either = np.concatenate([register.groups[name][group[crossed]] for name in ("first", "second")])
    whose = np.tile(crossed, 2)
    rows = register.cells_of(either, output[whose])
    return rows[rows >= 0], whose[rows >= 0]


def slack(kind: NDArray[np.uint8], tolerance: Array) -> Array:
    """By how much more than its groups an intersection must lie beyond what is tolerated, to be told beside them.

    Shapes ``(k,)``, in logarithms of ratios or in gaps: as much as is tolerated of anybody.
    """
    more: Array = np.where(ASKED.gap[kind] > 0, tolerance, -np.log(np.maximum(tolerance, 1e-9)))
    return more


def accounted_for(whose: Rows64, beyond: Array, of_margins: Array, more: Array) -> Flags:
    """Which of cells that surely lie ``beyond`` (k,) are so because of the groups they are of.

    ``of_margins`` (m,) is how far the groups of the cells ``whose`` (m,) lie beyond, in the same direction; ``more``
    (k,) is the :func:`slack`.
    """
    held = np.zeros(len(beyond), bool)
    np.logical_or.at(held, whose, (of_margins > 0.0) & (beyond[whose] <= of_margins + more[whose]))
    return held


_WITHIN = ("recent_within", "since_within")


def _asked(register: Register, cells: Rows64) -> tuple[NDArray[np.uint8], Array]:
    """The kind and the tolerance of each cell."""
    output = register.cells["output"][cells]
    return register.outputs["kind"][output], register.outputs["tolerance"][output]


def _beyond(register: Register, within: Array, cells: Rows64, direction: Rows64) -> Array:
    """How far each of ``cells`` (k,) lies beyond in its direction, by the sums ``within`` (k, 3)."""
    beyond: Array = outside(*_asked(register, cells), within)[np.arange(len(cells)), direction]
    return beyond
