"""Do scores mean the same in each group, and what if they were used otherwise? Reports, by which nothing is judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.policies import Policy
from monitor.groups.visible import Attribute, attributes, visible
from monitor.groups.watch import Groups
from monitor.outcomes.by_group import ByGroup
from monitor.outcomes.calibration import BIN_MIN
from monitor.outcomes.scores_by_group import ScoresByGroup
from monitor.stats.remedies import Outcome, common_thresholds, equal_opportunity, repaired, shift

CASES_MIN = 100.0
"""Cases of a group from which it is asked what if."""
_PARTS = np.linspace(0.1, 0.9, 9)
_Z = 1.959964

Array = NDArray[np.float64]


def calibration_by_group(groups: Groups, by_group: ByGroup, model: int) -> list[dict[str, Any]]:
    """By how many logits likelier what the score speaks of comes in a group than in the rest, at the same score.

    Beside it how far that has moved in the group since its own curve was made, which is judged.
    """
    told, scores = [], by_group.scores
    for of, counts in _by_attribute(groups, scores, model):
        seen = _seen(groups, scores, of)
        whole = counts.sum(axis=0)
        for i in np.flatnonzero(seen).tolist():
            own, rest = counts[i], whole - counts[i]
            moved = shift(own.sum(axis=0), own[1], rest.sum(axis=0), rest[1], BIN_MIN)
            if moved is None or rest.sum() < groups.privacy.smallest_group:
                continue
            d, error = moved
            line = {"attribute": of.name, "group": of.names[i], "n": int(own.sum()), "logit_shift": d}
            state, moved_by = by_group.calibration.state(of.groups[i])
            told.append({**line, "interval": [d - _Z * error, d + _Z * error], "state": state, "moved": moved_by})
    return told


def remedies(groups: Groups, scores: ScoresByGroup, model: int, policy: Policy) -> list[dict[str, Any]]:
    """What other uses of the score would do, by attribute, in JSON types; of models that decide on people."""
    if not (policy.favourable or policy.decision_threshold is not None):
        return []
    told = []
    for of, counts in _by_attribute(groups, scores, model):
        seen = _seen(groups, scores, of) & (counts.sum(axis=(1, 2)) >= CASES_MIN)
        if seen.sum() >= 2:
            names = [name for name, shown in zip(of.names, seen.tolist(), strict=True) if shown]
            told.append(_of_attribute(of.name, names, counts[seen], policy))
    return told


def _by_attribute(groups: Groups, scores: ScoresByGroup, model: int) -> list[tuple[Attribute, Array]]:
    if model not in groups.register.of_model:
        return []
    margins = [of for of in attributes(groups, model) if groups.register.attributes["first"][of.row] < 0]
    found = [(of, scores.counts(of.groups)) for of in margins]
    return [(of, counts) for of, counts in found if counts.any()]


def _seen(groups: Groups, scores: ScoresByGroup, of: Attribute) -> NDArray[np.bool_]:
    """Of which groups enough have the outcome, and enough have not, that either part may be told."""

    def sizes(own: Sequence[int]) -> Array:
        fewest: Array = scores.counts(own).sum(axis=-1).min(axis=-1)
        return groups.people.few(np.array(own, np.int64), fewest)

    return np.array(visible(groups, of.row, of.groups, sizes), bool)


def _of_attribute(name: str, names: list[str], counts: Array, policy: Policy) -> dict[str, Any]:
    """All remedies of one attribute, over the groups that may be told."""
    below = policy.decision_threshold is not None and policy.favourable_when == "below"
    if below:  # the score speaks of what is not good: more of what is left of 1 is better
        counts = counts[:, ::-1, ::-1]
    costs = _costs(policy)

    def threshold(t: float) -> float:
        return round(1.0 - t if below else t, 6)

    def told(found: Outcome) -> dict[str, Any]:
        return {"impact_ratio": round(found.ratio, 6), "cost": round(found.cost, 6)}

    options = [{"threshold": threshold(t), **told(found)} for t, found in common_thresholds(counts, costs)]
    cheapest = min(options, key=lambda option: option["cost"])
    fair = [option for option in options if option["impact_ratio"] >= policy.tolerance.impact_ratio]
    equal, (scores, medians) = equal_opportunity(counts, costs), repaired(counts, _PARTS)
    return {
        "attribute": name,
        "groups": names,
        "n": int(counts.sum()),
        "currency": policy.costs.currency or None,
        "common_threshold": {
            "cheapest": cheapest,
            "cheapest_within_tolerance": min(fair, key=lambda option: option["cost"], default=None),
            "options": options,
        },
        "equal_opportunity": None
        if equal is None
        else {
            "differential_treatment": True,
            "part_of_the_deserving": equal[1],
            "thresholds": [
                {"group": group, "threshold": threshold(t), "favourable_rate": round(rate, 6)}
                for group, t, rate in zip(names, equal[0].tolist(), equal[2].rates.tolist(), strict=True)
            ],
            **told(equal[2]),
        },
        "geometric_repair": {
            "differential_treatment": True,
            "map": [
                {
                    "group": group,
                    "scores": [threshold(t) for t in own],
                    "repaired": [threshold(t) for t in medians.tolist()],
                }
                for group, own in zip(names, scores.tolist(), strict=True)
            ],
        },
    }


def _costs(policy: Policy) -> tuple[float, float]:
    """Of a favour that is not merited, and of the other error; 1 each where nobody said what they cost."""
    costs = policy.costs
    if not costs.false_positive + costs.false_negative > 0.0:
        return 1.0, 1.0
    of_favour = not policy.positive or not set(policy.positive).isdisjoint(policy.favourable_outcomes)
    return (costs.false_positive, costs.false_negative) if of_favour else (costs.false_negative, costs.false_positive)
