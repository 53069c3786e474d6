"""What if scores were used otherwise? One threshold, thresholds by group, repaired scores, from counts by group.

Counts have the shape (groups, 2, bins): who does not merit the favourable decision, and who does, by bins of equal
width over [0, 1] of a score of which more is better. Within a bin scores are taken to be spread evenly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_NEWTON = 30
TARGETS = np.linspace(0.01, 0.99, 99)
"""Parts of those who merit it that might get the favourable decision."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rule would do.

    ``rates`` of favourable decisions by group, the ``ratio`` of the group that fares worst to its rest, and what errors
    ``cost`` in the mean of all cases.
    """

    rates: Array
    ratio: float
    cost: float


def common_thresholds(counts: Array, costs: tuple[float, float]) -> list[tuple[float, Outcome]]:
    """Each threshold between two bins, with what it would do to all groups alike.

    ``costs`` are of a favourable decision on somebody who does not merit it, and of the other error.
    """
    bins = counts.shape[-1]
    return [(k / bins, outcome(counts, np.full((len(counts), 1), k / bins), costs)) for k in range(1, bins)]


def equal_opportunity(counts: Array, costs: tuple[float, float]) -> tuple[Array, float, Outcome] | None:
    """Thresholds by group at which the same part of those who merit it is favoured, at the least cost.

    Hardt, Price and Srebro (2016): (groups,), the part, and what they would do. ``None`` where a group has nobody who
    merits the decision.
    """
    if not (counts[:, 1].sum(axis=-1) > 0.0).all():
        return None
    best: tuple[Array, float, Outcome] | None = None
    for target in TARGETS.tolist():
        thresholds = np.array([quantile(own, 1.0 - target) for own in counts[:, 1]])
        found = outcome(counts, thresholds[:, None], costs)
        if best is None or found.cost < best[2].cost:
            best = thresholds, target, found
    return best


def repaired(counts: Array, parts: Array) -> tuple[Array, Array]:
    """Scores at ``parts`` (k,) of each group, (groups, k), and the medians over groups that would stand for them, (k,).

    Feldman and others (2015), repair in full: scores keep their order within a group, and no longer tell groups apart.
    """
    whole = counts.sum(axis=1)
    scores = np.array([[quantile(own, part) for part in parts.tolist()] for own in whole])
    return scores, np.median(scores, axis=0)


def outcome(counts: Array, thresholds: Array, costs: tuple[float, float]) -> Outcome:
    """What it would do to favour scores of at least ``thresholds`` (groups, 1)."""
    bins = counts.shape[-1]
    above = np.clip(np.arange(1, bins + 1) - thresholds * bins, 0.0, 1.0)
    favoured = counts * above[:, None, :]
    n, got = counts.sum(axis=(1, 2)), favoured.sum(axis=(1, 2))
    rest_n, rest_got = n.sum() - n, got.sum() - got
    rates, rest = got / np.maximum(n, 1.0), rest_got / np.maximum(rest_n, 1.0)
    ratio = float(np.where(rest > 0.0, rates / np.where(rest > 0.0, rest, 1.0), 1.0).min())
    wrong = float(favoured[:, 0].sum()), float((counts - favoured)[:, 1].sum())
    return Outcome(rates, ratio, (wrong[0] * costs[0] + wrong[1] * costs[1]) / max(float(n.sum()), 1.0))


def quantile(counts: Array, part: float) -> float:
    """The score below which ``part`` of ``counts`` (bins,) lie, at least one of them above 0."""
    cumulated = np.concatenate([[0.0], counts.cumsum()])
    wanted = part * cumulated[-1]
    k = min(int(np.searchsorted(cumulated, wanted, side="right")), len(counts)) - 1
    inside = (wanted - cumulated[k]) / counts[k] if counts[k] > 0.0 else 0.0
    return float((k + min(max(inside, 0.0), 1.0)) / len(counts))


def shift(n: Array, y: Array, n_rest: Array, y_rest: Array, bin_min: float) -> tuple[float, float] | None:
    """By how many logits likelier the outcome is in a group than in the rest at the same score, and the standard error.

    ``n`` cases and ``y`` outcomes by bin of the score, (bins,). Bins in which the rest has fewer than ``bin_min`` cases
    say nothing; ``None`` where no others are left, or all outcomes of the group there are alike.
    """
    known = (n > 0.0) & (n_rest >= bin_min)
    n, y, n_rest, y_rest = (each[known] for each in (n, y, n_rest, y_rest))
    if not 0.0 < y.sum() < n.sum():
        return None
    rate = (y_rest + 0.5) / (n_rest + 1.0)
    logit, moved = np.log(rate / (1.0 - rate)), 0.0
    information = n
    for _ in range(_NEWTON):
        now = 1.0 / (1.0 + np.exp(-(logit + moved)))
        information = n * now * (1.0 - now)
        moved += float(np.clip((y.sum() - (n * now).sum()) / information.sum(), -2.0, 2.0))
    of_rest = information**2 / (n_rest * rate * (1.0 - rate))
    return moved, float(np.sqrt(information.sum() + of_rest.sum()) / information.sum())
