"""How much of a change is other people, and how much is the same people judged otherwise? Exactly, by stratum.

Kitagawa's decomposition of a difference between two rates (J. Am. Stat. Assoc. 50, 1955), with both populations and
both rates weighted alike, so that it does not matter which side is called the first:

    R1 - R0 = sum_k (p1_k - p0_k) ((r0_k + r1_k) / 2 - (R0 + R1) / 2)  +  sum_k (r1_k - r0_k) (p0_k + p1_k) / 2

with shares ``p_k`` and means ``r_k`` by stratum, and overall means ``R``. The first sum is the change of population,
the second that of behaviour. Subtracting the overall mean changes no sum, for shares add up to 1; it lets each term say
what its stratum did: more people where means are high raise the whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Split:
    """A change of a mean in two parts, each by stratum, shape ``(k,)``, in the unit of the mean.

    ``before`` and ``after`` are the means; ``population.sum() + behaviour.sum() == after - before`` but for rounding.
    """

    before: float
    after: float
    population: Array
    behaviour: Array

    @property
    def change(self) -> float:
        """What is split."""
        return self.after - self.before

    @property
    def explained(self) -> float:
        """The part of the change that is population."""
        return float(self.population.sum())


def kitagawa(n0: ArrayLike, s0: ArrayLike, n1: ArrayLike, s1: ArrayLike) -> Split | None:
    """Split the change of a mean from one side to the other; ``None`` where a side is empty.

    Parameters
    ----------
    n0, s0, n1, s1
        By stratum, shape ``(k,)``: cases, and the sum over them, of both sides. ``n`` is not negative. A stratum that
        is empty on one side has the mean of the other there: what it adds is population.
    """
    n0, s0, n1, s1 = (np.asarray(each, np.float64) for each in (n0, s0, n1, s1))
    total0, total1 = n0.sum(), n1.sum()
    if total0 <= 0.0 or total1 <= 0.0:
        return None
    before, after = float(s0.sum() / total0), float(s1.sum() / total1)
    own0, own1 = _means(n0, s0), _means(n1, s1)
    r0 = np.where(np.isnan(own0), np.where(np.isnan(own1), 0.0, own1), own0)
    r1 = np.where(np.isnan(own1), r0, own1)
    p0, p1 = n0 / total0, n1 / total1
    population = (p1 - p0) * ((r0 + r1) / 2.0 - (before + after) / 2.0)
    return Split(before, after, population, (r1 - r0) * (p0 + p1) / 2.0)


def between(n: ArrayLike, s: ArrayLike, scatter: float) -> float:
    """The variance between the means of strata, without what chance alone puts there; not below 0.

    ``n`` and ``s`` are cases and sums by stratum, ``scatter`` is the variance of one case within a stratum: of k
    strata, means that are all alike vary by ``(k - 1) scatter / sum(n)`` about their own mean.
    """
    n, s = np.asarray(n, np.float64), np.asarray(s, np.float64)
    total = float(n.sum())
    if total <= 0.0:
        return 0.0
    means = np.nan_to_num(_means(n, s))
    raw = float((n * (means - s.sum() / total) ** 2).sum() / total)
    return max(raw - scatter * max(int((n > 0).sum()) - 1, 0) / total, 0.0)


def _means(n: Array, s: Array) -> Array:
    means: Array = np.where(n > 0.0, s / np.where(n > 0.0, n, 1.0), np.nan)
    return means
