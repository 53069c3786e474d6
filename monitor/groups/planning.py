"""How soon would a gap be seen of a group as large as it is? What is foretold, and which intersections are compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.groups.questions import BEYOND, NEXT, QUESTIONS, Kind
from monitor.groups.register import Register
from monitor.kernels.compare import MORE
from monitor.kernels.pool import Laid
from monitor.stats.evidence import project_difference, project_ratio
from monitor.stats.power import ticks_to_alarm_two_sample

SEEN_SECONDS = 30 * 86400.0
"""What would take longer to be seen is a blind spot, and as an intersection not compared."""

AGE_SECONDS = 86400.0
"""What came within less is taken for what comes in a day: a burst says nothing of what goes on to come."""

Array = NDArray[np.float64]
Rows64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Cases:
    """What was counted of comparisons, shapes ``(k,)``: people of the ``rest``, ``own`` of the group, the ``rate``."""

    rest: Array
    own: Array
    rate: Array


def counted(register: Register, group: Rows64, output: Rows64) -> Cases:
    """The cases of groups by outputs (rows, (k,)), over all strata, since the first event."""
    tallies, attribute, n = register.tallies, register.groups["attribute"], len(register.tallies)
    of, outputs = register.members["group"][tallies["member"][:n]], np.int64(len(register.outputs))
    # Of cases of any output, -1, nothing is asked: the last mark stays unset.
    asked = _marked(len(register.outputs) + 1, output)[tallies["output"][:n]]
    some = np.flatnonzero(asked & _marked(len(attribute), attribute[group])[attribute[of]])
    of, asked = of[some], tallies["output"][some].astype(np.int64)
    cases, got = tallies["total"][tallies["base"][some], 0], tallies["total"][some, 1]
    keys, place = np.unique(attribute[of] * outputs + asked, return_inverse=True)
    whole = np.searchsorted(keys, attribute[group] * outputs + output)
    size = np.asarray(np.bincount(place, weights=cases)[whole], np.float64)
    rate = np.bincount(place, weights=got)[whole] / np.maximum(size, 1.0)
    theirs = np.flatnonzero(_marked(len(attribute), group)[of])
    keys, place = np.unique(of[theirs] * outputs + asked[theirs], return_inverse=True)
    summed = np.bincount(place, weights=cases[theirs])[np.searchsorted(keys, group * outputs + output)]
    own = np.asarray(summed, np.float64)
    return Cases(size - own, own, rate)


def ticks_to_see(
    kind: NDArray[np.uint8], tolerance: Array, cases: Cases, ticks: Array, log_budget: Array, eta: Array
) -> Array:
    """Ticks until the alternative that plans speak of would be seen, shape ``(k,)``; inf where it never would.

    ``cases`` came in so many ``ticks``; ``log_budget`` is of one tick, ``eta`` tempers the evidence.
    """
    found = np.full(len(kind), np.inf)
    for asked in np.unique(kind).tolist():
        own = np.flatnonzero((kind == asked) & (cases.own > 0.0) & (cases.rest > 0.0))
        na, nb = cases.rest[own] / ticks[own], cases.own[own] / ticks[own]
        bets = _nearest(Kind(asked), tolerance[own], cases.rate[own], na, nb)
        found[own] = ticks_to_alarm_two_sample(na, nb, *bets, log_budget[own], eta[own])
    return found


def change(kind: Kind, tolerance: float) -> str:
    """The alternative that plans speak of, in words."""
    question = QUESTIONS[kind]
    if question.gap:
        return f"a gap of {max(tolerance + BEYOND[NEXT], question.steps[NEXT]) * question.unit:.2g}"
    return f"a ratio of {tolerance * question.steps[NEXT]:.2g}"


def crossings(register: Register, laid: Laid, grown: Rows64) -> tuple[Rows64, Rows64]:
    """Intersections not compared so far of which it is time to ask whether the data can see them: group and output.

    It is asked when their cases pass the smallest group, and whenever they doubled: those whose bases have ``grown``.
    """
    if not len(grown):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    tallies, asked = register.tallies, np.zeros(len(register.tallies), bool)
    asked[grown] = True
    rows = laid.outputs[asked[tallies["base"][laid.outputs]]]
    rows = rows[tallies["cell"][rows] < 0]
    group = register.members["group"][tallies["member"][rows]].astype(np.int64)
    pairs = np.unique(group << 32 | tallies["output"][rows])
    return pairs >> 32, pairs & 0xFFFFFFFF


def _nearest(kind: Kind, tolerance: Array, level: Array, na: Array, nb: Array) -> tuple[Array, Array, Array, Array]:
    """Rates of the alternative that plans speak of, about ``level``, and their projections on the null."""
    question, share = QUESTIONS[kind], nb / (na + nb)
    level = np.clip(level, 1e-4, 0.95)
    if question.gap:
        gap = np.maximum(tolerance + BEYOND[NEXT], question.steps[NEXT])
        if MORE in question.directions:
            na, nb, share = nb, na, 1.0 - share
        a1 = np.minimum(np.maximum(level + share * gap, gap), 0.985)
        b1 = np.maximum(a1 - gap, 0.015)
        a0, b0 = project_difference(a1, b1, na, nb, tolerance)
        return (a1, b1, a0, b0) if MORE not in question.directions else (b1, a1, b0, a0)
    ratio = tolerance * question.steps[NEXT]
    a1 = np.minimum(level / (1.0 - share + share * ratio), 0.97)
    a0, b0 = project_ratio(a1, ratio * a1, na, nb, tolerance)
    return a1, ratio * a1, a0, b0


def _marked(n: int, rows: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Which of ``n`` rows are among ``rows`` (k,)."""
    marks = np.zeros(n, bool)
    marks[rows] = True
    return marks
