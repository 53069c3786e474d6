"""How does a group fare beside the rest, and how far is that from what is tolerated? Ratios and gaps, within strata."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.groups.questions import ASKED, QUESTIONS, Kind
from monitor.kernels import compare
from monitor.kernels.compare import LESS, Sides
from monitor.stats.decompose import Split, kitagawa

DECAY = 0.995
"""By this the present fades with every batch: its half-life is about 140 batches."""
WEIGHT = 1.0 + DECAY
"""What fades evenly weighs nearly twice as much as its sum says."""

Array = NDArray[np.float64]


def effect(kind: NDArray[np.uint8], within: Array) -> Array:
    """How the group fares against the rest, within strata: the ratio of rates, or by how much it is below; (k,)."""
    return compare.effect(ASKED, kind, within)


def outside(kind: NDArray[np.uint8], tolerance: Array, within: Array) -> Array:
    """By how much each direction lies beyond what is tolerated, in logarithms of ratios or in gaps, ``(k, 2)``."""
    return compare.outside(ASKED, kind, tolerance, within)


def tolerated(kind: int, tolerance: float, direction: int) -> float:
    """The edge of what is tolerated, in the unit of the effect."""
    question = QUESTIONS[Kind(kind)]
    if question.gap:
        return tolerance * question.unit
    return tolerance if direction == LESS else 1.0 / tolerance


def told(kind: int, moved: float, direction: int) -> float:
    """What :func:`effect` gives as people are told: a ratio as it is, a gap positive where it is harm, in its unit."""
    question = QUESTIONS[Kind(kind)]
    return question.told(moved, direction) if question.gap else moved


def affected(kind: int, tolerance: float, direction: int, within: Array, since: Sides) -> int:
    """People of the group who would have been treated otherwise at the edge of what is tolerated."""
    got, due, weight = (float(x) for x in within)
    edge = tolerated(kind, tolerance, direction)
    if QUESTIONS[Kind(kind)].gap:
        short = told(kind, (due - got) / max(weight, 1e-9), direction)
        return round(max(short - edge, 0.0) * float(since.nb[0]))
    nb, sb = float(since.nb[0]), float(since.sb[0])
    expected = edge * (sb * due / got if got > 0.0 else nb * float(since.sa[0]) / max(float(since.na[0]), 1.0))
    return round(max(expected - sb if direction == LESS else sb - expected, 0.0))


def gap_split(kind: Kind, sides: Array) -> Split | None:
    """The gap from the rest to a group, in the unit of the question; ``None`` where one side has no cases.

    ``sides`` (strata, 4) are (n, s) of the rest, then of the group.
    """
    na, sa, nb, sb = sides.T
    split, question = kitagawa(na, sa, nb, sb), QUESTIONS[kind]
    if split is None:
        return None
    unit, origin = question.unit, question.origin
    before, after = (origin + unit * mean for mean in (split.before, split.after))
    return Split(before, after, unit * split.population, unit * split.behaviour)


def noise(kind: NDArray[np.uint8], seen: Sides, *, fades: bool = True) -> Array:
    """The standard error of what :func:`outside` gives, from the present, or from a sum that does not fade."""
    return compare.noise(ASKED, kind, seen, WEIGHT if fades else 1.0)
