"""The bets on a group against the rest: log e-values of a batch, by direction and alternative (statistics.md, 1.2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.groups.questions import BEYOND, DIRECTIONS, LESS, QUESTIONS, STEPS, Kind
from monitor.stats.evidence import log_e_two_sample, project_difference, project_ratio

Array = NDArray[np.float64]

COMPONENTS = DIRECTIONS * STEPS
OFF = -1e30
"""The log e-value of a bet that is not made: its component never gains."""
_LEVEL = (1e-4, 0.95)
"""The pooled rate that alternatives are built about lies within this."""
_HIGHEST = 0.97


@dataclass(slots=True)
class Sides:
    """Two sides, shapes ``(k,)``: ``na`` cases of the rest with the sum ``sa``, ``nb`` of the group with ``sb``."""

    na: Array
    sa: Array
    nb: Array
    sb: Array

    @classmethod
    def of(cls, sums: NDArray[np.floating]) -> Sides:
        """From arrays of shape ``(k, 4)``."""
        na, sa, nb, sb = sums.astype(np.float64).T
        return cls(na, sa, nb, sb)

    def at(self, where: NDArray[np.int64]) -> Sides:
        """Some of them."""
        return Sides(self.na[where], self.sa[where], self.nb[where], self.sb[where])

    def swapped(self) -> Sides:
        """The group as the rest, the rest as the group."""
        return Sides(self.nb, self.sb, self.na, self.sa)


def log_e(kind: NDArray[np.uint8], tolerance: Array, sides: Sides, before: Sides, lonely: NDArray[np.bool_]) -> Array:
    """Log e-values of a batch, shape ``(k, COMPONENTS)``; :data:`OFF` for directions that are not harm.

    Parameters
    ----------
    kind
        Which question each row asks, shape ``(k,)``.
    tolerance
        Of each row, as :func:`~monitor.groups.questions.edge` gives it.
    sides
        The batch.
    before
        Fading sums of the batches before it: alternatives are built about their rate.
    lonely
        Rows of attributes of two groups, where "less" of one is "more" of the other: it is asked once.
    """
    out = np.full((len(kind), DIRECTIONS, STEPS), OFF)
    level = (before.sa + before.sb + 0.5) / (before.na + before.nb + 1.0)
    level = np.clip(level, *_LEVEL)
    for asked in np.unique(kind).tolist():
        question = QUESTIONS[Kind(asked)]
        for direction in question.directions:
            twice = direction == LESS and len(question.directions) > 1
            rows = np.flatnonzero((kind == asked) & ~(lonely & twice))
            own = sides.at(rows) if direction == LESS else sides.at(rows).swapped()
            if question.gap:
                found = _gap(own, level[rows], tolerance[rows], question.steps)
            else:
                found = _ratio(own, level[rows], tolerance[rows], question.steps)
            out[rows, direction] = found
    return out.reshape(len(kind), COMPONENTS)


def _ratio(sides: Sides, level: Array, tau: Array, steps: tuple[float, ...]) -> Array:
    """Against "the rate of side b is at least ``tau`` times that of side a", shape ``(k, STEPS)``."""
    na, nb = sides.na[:, None], sides.nb[:, None]
    share = nb / np.maximum(na + nb, 1.0)
    ratio = tau[:, None] * np.array(steps)
    a1 = np.minimum(level[:, None] / (1.0 - share + share * ratio), _HIGHEST)
    b1 = ratio * a1
    a0, b0 = project_ratio(a1, b1, na, nb, tau[:, None])
    return log_e_two_sample(sides.sa[:, None], na, sides.sb[:, None], nb, a1, b1, a0, b0)


def _gap(sides: Sides, level: Array, eps: Array, steps: tuple[float, ...]) -> Array:
    """Against "side a's rate is at most ``eps`` above side b's", shape ``(k, STEPS)``."""
    na, nb = sides.na[:, None], sides.nb[:, None]
    share = nb / np.maximum(na + nb, 1.0)
    gap = np.maximum(eps[:, None] + np.array(BEYOND), np.array(steps))
    a1 = np.clip(level[:, None] + share * gap, gap, 1.0 - (1.0 - _HIGHEST) / 2.0)
    b1 = np.maximum(a1 - gap, (1.0 - _HIGHEST) / 2.0)
    a0, b0 = project_difference(a1, b1, na, nb, eps[:, None])
    return log_e_two_sample(sides.sa[:, None], na, sides.sb[:, None], nb, a1, b1, a0, b0)
