"""What moved a model's answers, errors or costs: other people, or the same people judged otherwise? By one feature.

Every feature splits the same change exactly. The bill is drawn by the feature whose change of population goes furthest
the way that the figure went: what it leaves to behaviour is what no single feature's movement explains.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.kernels.lean import STRATA
from monitor.leaning.sums import BEFORE, SINCE
from monitor.stats.decompose import Split, between, kitagawa

CASES_MIN = 30.0
"""Cases on each side that a bill needs."""
STRATUM_MIN = 5.0
"""Cases on each side from which a stratum says something of how answers follow a feature."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bill:
    """A change and its parts by the strata of one feature.

    ``feature`` indexes the features given, ``parts`` are the population's part by each of them (NaN: it has too few
    cases), ``n_before`` and ``n`` are the cases of the sides.
    """

    feature: int
    split: Split
    parts: Floats
    n_before: float
    n: float


def bill(sums: Floats) -> Bill | None:
    """The bill of sums (features, 2, STRATA, 3), before and since; ``None`` where neither side has enough cases."""
    n = sums[:, :, :, 0].sum(axis=2)
    usable = np.flatnonzero((n >= CASES_MIN).all(axis=1))
    splits = {}
    for i in usable.tolist():
        before, since = sums[i, BEFORE], sums[i, SINCE]
        splits[i] = kitagawa(before[:, 0], before[:, 1], since[:, 0], since[:, 1])
    found = {i: split for i, split in splits.items() if split is not None}
    if not found:
        return None
    parts = np.full(len(sums), np.nan)
    for i, split in found.items():
        parts[i] = split.explained
    best = max(found, key=lambda i: (found[i].explained * np.sign(found[i].change), -i))
    return Bill(best, found[best], parts, float(n[best, BEFORE]), float(n[best, SINCE]))


def own_movement(sums: Floats) -> float | None:
    """By how many of its standard deviations a model answers otherwise where its inputs lie as they did; 0: by chance.

    ``sums`` (features, 2, STRATA, 3) of answers. It is the behaviour that the bill leaves, if it is beyond four
    standard errors. ``None`` where there is no bill.
    """
    made = bill(sums)
    if made is None:
        return None
    n, total, squares = sums[made.feature, BEFORE].sum(axis=0)
    variance = max(float(squares / n - (total / n) ** 2), 0.0)
    behaviour = abs(float(made.split.behaviour.sum()))
    error = float(np.sqrt(variance * (1.0 / made.n_before + 1.0 / made.n)))
    return behaviour / float(np.sqrt(variance)) if behaviour > _ERRORS * error > 0.0 else 0.0


_ERRORS = 4.0


def lean(sums: Floats) -> Floats:
    """How much of the variance of one side is between the strata of each feature: (features,) in [0, 1], NaN unknown.

    ``sums`` (features, STRATA, 3). What chance alone puts between strata is taken off.
    """
    shares = np.full(len(sums), np.nan)
    for i, of in enumerate(sums):
        n = of[:, 0].sum()
        if n < CASES_MIN:
            continue
        total = max(of[:, 2].sum() / n - (of[:, 1].sum() / n) ** 2, 0.0)
        if total > 0.0:
            shares[i] = min(between(of[:, 0], of[:, 1], total) / total, 1.0)
    return shares


def follows(sums: Floats) -> float | None:
    """How much of what it followed of its strongest feature a model still follows: 1 as before, 0 not at all.

    ``sums`` (features, 2, STRATA, 3). ``None`` where no feature has shown a lean, or too little has come since. The
    strata have the weights that they had before, so that other people alone change nothing.
    """
    assert sums.shape[1:] == (2, STRATA, 3)
    before = lean(sums[:, BEFORE])
    if not len(before) or np.isnan(before).all():
        return None
    best = int(np.nanargmax(before))
    both = (sums[best, :, :, 0] >= STRATUM_MIN).all(axis=0)
    weight, mean, since = sums[best, BEFORE, both, 0], *(_means(sums[best, side][both]) for side in (BEFORE, SINCE))
    if before[best] < _LEAN_MIN or both.sum() < _STRATA_MIN:
        return None
    reach = weight * (mean - np.average(mean, weights=weight))
    return float((reach * since).sum() / (reach * mean).sum())


_LEAN_MIN = 0.05
"""The share of variance from which a model leans on a feature."""
_STRATA_MIN = 3


def _means(sums: Floats) -> Floats:
    means: Floats = sums[:, 1] / sums[:, 0]
    return means
