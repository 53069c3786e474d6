"""What evidence and effect of comparisons come to, beside the groups of an intersection. Compiled in ``settle.c``.

Here is the same in numpy; both differ by roundings alone.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from monitor.kernels.compare import Asked, Columns, Moved, Sides, noise, outside
from monitor.kernels.judge import FIRING, HELD, PENDING, SUSPICIOUS, decide
from monitor.kernels.library import address, taking
from monitor.stats.accumulate import restarted

KEPT, FRESH, UNSEEN = 4, 8, 16
"""What :func:`settle` says of a cell beside what ``decide`` says: it fires from now on, or what it bets on is written
down; what may be coming comes later than now; and it is seen anew from now on."""
SURELY_MORE = 2.0
"""Standard errors by which an intersection must lie further out besides: what it seems to say more may be chance."""

_STATE = ("log_r", "carried", "firing", "onset", "alarmed", "last_bad", "evidence", "suspicion")
_SEEN = ("recent", "recent_within", "since", "since_within")
_BETS = ("cell", "margins", "kind", "tolerance", "log_total", "log_budget", "seconds", "hold", "keep_firing")
_P, _N, _D = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Bets:
    """``k`` cells that have bet in the tick that ended at ``end``, ``(k,)`` each.

    ``margins`` (k, 2) are the cells of the two groups that each is the intersection of, or -1. Of the rest the names
    say what it is: ``log_total`` is what the step gave, ``seconds`` the length of the tick, ``hold`` and
    ``keep_firing`` those of the model.
    """

    end: float
    cell: Indices
    margins: NDArray[np.int32]
    kind: NDArray[np.uint8]
    tolerance: Array
    log_total: Array
    log_budget: Array
    seconds: Array
    hold: Array
    keep_firing: Array


class _SettleCall(ctypes.Structure):
    """``settle_call`` of ``settle.c``."""

    _fields_ = (
        ("cells", _N),
        *((name, _P) for name in (*_BETS, "direction", "furthest", "clear", "gap", "directions")),
        *((name, _D) for name in ("end", "suspicious", "weight", "surely_more")),
        *((f"of_{name}", _P) for name in (*_STATE, *_SEEN)),
        *((name, _P) for name in ("flags", "beside")),
    )


@cache
def compiled() -> ctypes.CDLL | None:
    """The compiled kernel of ``settle.c``; ``None`` where the twin must do."""
    return taking("mw_settle", _SettleCall)


def settle(asked: Asked, state: Columns, bets: Bets, moved: Moved, weight: float) -> NDArray[np.uint8]:
    """Evidence and effect (``moved``) make an alarm: flags (k,), HELD and OVER of ``decide`` and those of this module.

    An intersection that lies no further out than a group of its own accounts for is held; if that group is told of, it
    begins anew and fires no alarm. Cells that are KEPT see anew only by :func:`see_anew`, when they were told of. What
    fades evenly weighs ``weight`` times what its sum says.
    """
    kernel = compiled()
    if kernel is None:
        return settle_twin(asked, state, bets, moved, weight)
    k = len(bets.cell)
    flags, beside = np.empty(k, np.uint8), np.empty(k, np.uint8)
    call = _SettleCall(
        k,
        *(address(getattr(bets, name)) for name in _BETS),
        *(address(each) for each in (*moved, asked.gap, asked.directions)),
        *(bets.end, SUSPICIOUS, weight, SURELY_MORE),
        *(address(state[name]) for name in (*_STATE, *_SEEN)),
        *(address(flags), address(beside)),
    )
    kernel.mw_settle(ctypes.byref(call))
    return flags


def settle_twin(asked: Asked, state: Columns, bets: Bets, moved: Moved, weight: float) -> NDArray[np.uint8]:
    """What :func:`settle` does, in numpy."""
    cells, calm = bets.cell, _note(state, bets)
    told, held, explained = _beside(asked, state, bets, moved.direction, weight)
    alarm = (bets.log_total >= 0.0) & (moved.furthest > 0.0) & ~held
    sustained = (alarm | moved.clear | (state["suspicion"][cells] > SUSPICIOUS)) & ~explained
    flags = decide(state, cells, bets.end, bets.hold, bets.keep_firing, alarm, sustained)
    for name, nothing in (("log_r", -np.inf), ("evidence", 0.0), ("suspicion", 0.0)):
        state[name][cells[explained]] = nothing
    firing = state["firing"][cells]
    kept = (firing != FIRING) & (state["suspicion"][cells] > SUSPICIOUS)
    kept |= (firing == PENDING) | ((flags & HELD) > 0)
    fresh = calm | explained
    flags |= kept * np.uint8(KEPT) | fresh * np.uint8(FRESH) | (fresh & ~told) * np.uint8(UNSEEN)
    see_anew(state, cells[~kept], flags[~kept], bets.end)
    return flags


def see_anew(state: Columns, cells: Indices, flags: NDArray[np.uint8], end: float) -> None:
    """Let ``cells`` (k,) begin at ``end`` to see what may be coming, as their ``flags`` (k,) say."""
    state["onset"][cells[(flags & FRESH) > 0]] = end
    for name in ("since", "since_within"):
        state[name][cells[(flags & UNSEEN) > 0]] = 0.0


def accounted_for(whose: Indices, beyond: Array, of_margins: Array, more: Array) -> Flags:
    """Which of cells that surely lie ``beyond`` (k,) are so because of the groups they are of.

    ``of_margins`` (m,) is how far the groups of the cells ``whose`` (m,) lie beyond, in the same direction; ``more``
    (k,) is by how much more a cell must lie beyond what is tolerated, to be told beside them.
    """
    held = np.zeros(len(beyond), bool)
    np.logical_or.at(held, whose, (of_margins > 0.0) & (beyond[whose] <= of_margins + more[whose]))
    return held


def slack(asked: Asked, kind: NDArray[np.uint8], tolerance: Array) -> Array:
    """By how much more than its groups an intersection must lie beyond what is tolerated, to be told beside them.

    Shapes ``(k,)``, in logarithms of ratios or in gaps: as much as is tolerated of anybody.
    """
    more: Array = np.where(asked.gap[kind] > 0, tolerance, -np.log(np.maximum(tolerance, 1e-9)))
    return more


def _note(state: Columns, bets: Bets) -> Flags:
    """Write down what the step came to; which cells are as calm as if nothing was coming."""
    cells, alarm = bets.cell, bets.log_total >= 0.0
    evidence, needed = bets.log_total - bets.log_budget, np.maximum(-bets.log_budget, 1.0)
    state["carried"][cells] = 0.0
    state["evidence"][cells] = np.where(alarm, 0.0, evidence)
    state["suspicion"][cells] = evidence / needed
    unknown = np.isnan(state["onset"][cells])
    state["onset"][cells[unknown]] = (bets.end - bets.seconds)[unknown]
    return restarted(bets.log_total, bets.log_budget, SUSPICIOUS * needed) & ~alarm


def _beside(asked: Asked, state: Columns, bets: Bets, direction: Indices, weight: float) -> tuple[Flags, Flags, Flags]:
    """Of which cells a group of theirs is told of, who is held beside one, and whom one that is told of explains.

    What a group that is told of does is seen whole since suspicion began, as its present fades slowly; so is what the
    intersection does, which is at least as far out as it surely is by one of the two.
    """
    told, held, explained = (np.zeros(len(bets.cell), bool) for _ in range(3))
    whose, which = np.nonzero(bets.margins >= 0)
    margins = bets.margins[whose, which].astype(np.int64)
    tells = (state["firing"][margins] == FIRING) | (state["suspicion"][margins] > SUSPICIOUS)
    told[whose[tells]] = True

    def beyond(within: str, cells: Indices, of: Indices) -> Array:
        both = outside(asked, bets.kind[of], bets.tolerance[of], state[within][cells])
        furthest: Array = both[np.arange(len(of)), direction[of]]
        return furthest

    now, since = beyond("recent_within", margins, whose), beyond("since_within", margins, whose)
    own, at = np.unique(whose, return_inverse=True)
    surely = np.full(len(own), -np.inf)
    for seen, weighs in (("recent", weight), ("since", 1.0)):
        error = noise(asked, bets.kind[own], Sides.of(state[seen][bets.cell[own]]), weighs)
        surely = np.maximum(surely, beyond(f"{seen}_within", bets.cell[own], own) - SURELY_MORE * error)
    of_margins = np.where(tells, np.maximum(now, since), now)
    more = slack(asked, bets.kind[own], bets.tolerance[own])
    held[own] = accounted_for(at, surely, of_margins, more)
    explained[own] = accounted_for(at, surely, np.where(tells, of_margins, -np.inf), more)
    return told, held, explained & (state["firing"][bets.cell] != FIRING)
