"""How does a group fare beside the rest, and how far is that from what is tolerated? Ratios and gaps, within strata."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.groups.questions import ASKED, QUESTIONS, Kind
from monitor.kernels.compare import DIRECTIONS, LESS, MORE, Sides
from monitor.stats.decompose import Split, kitagawa

DECAY = 0.995
"""By this the present fades with every batch: its half-life is about 140 batches."""

Array = NDArray[np.float64]


def effect(kind: NDArray[np.uint8], within: Array) -> Array:
    """How the group fares against the rest, within strata: the ratio of rates, or by how much it is below; (k,)."""
    got, due, weight = within.T
    ratio = np.where(due > 0.0, got / np.where(due > 0.0, due, 1.0), np.where(got > 0.0, np.inf, 1.0))
    gap = (due - got) / np.maximum(weight, 1e-9)
    return np.where(_is_gap(kind), gap, ratio)


def outside(kind: NDArray[np.uint8], tolerance: Array, within: Array) -> Array:
    """By how much each direction lies beyond what is tolerated, in logarithms of ratios or in gaps, ``(k, 2)``."""
    moved = effect(kind, within)
    with np.errstate(divide="ignore"):
        log_ratio = np.clip(np.log(np.where(_is_gap(kind), 1.0, moved)), -50.0, 50.0)
    edge = np.log(np.maximum(tolerance, 1e-9))
    beyond = np.full((len(kind), DIRECTIONS), -np.inf)
    beyond[:, LESS] = np.where(_is_gap(kind), moved - tolerance, edge - log_ratio)
    beyond[:, MORE] = np.where(_is_gap(kind), -moved - tolerance, edge + log_ratio)
    harm = ASKED.directions[kind][:, None] >> np.array([LESS, MORE], np.uint8) & 1
    beyond[harm == 0] = -np.inf
    return beyond


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
    # What fades evenly weighs nearly twice as much as its sum says.
    weight = 1.0 + DECAY * fades
    na, nb = np.maximum(weight * seen.na, 1.0), np.maximum(weight * seen.nb, 1.0)
    sa, sb = np.minimum(weight * seen.sa + 0.5, na), np.minimum(weight * seen.sb + 0.5, nb)
    log_ratio = np.sqrt(np.maximum(1.0 / sa - 1.0 / na + 1.0 / sb - 1.0 / nb, 1e-9))
    gap = np.sqrt(sa / na * (1.0 - sa / na) / na + sb / nb * (1.0 - sb / nb) / nb)
    return np.where(_is_gap(kind), gap, log_ratio)


def _is_gap(kind: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return ASKED.gap[kind] > 0
