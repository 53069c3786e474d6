"""How often is a model wrong, before anybody knows? An estimate from calibrated scores that is shown and never judged.

Confidence-based performance estimation: a score, read off the model's own reliability curve, is the chance of its
outcome; so of each prediction it is known how likely it is right, and four sums give error rate, precision and recall.
It holds while scores mean what they meant. Where calibration is in doubt nothing is shown: there it would be wrong, and
look well.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.models import Models
from monitor.catalog.rows import Field, Rows
from monitor.kernels.add import add_rows, distinct
from monitor.outcomes.asked import FALSE, FAVOURABLE, SCORED, Asked
from monitor.outcomes.calibration import Calibration

RECENT = 1000.0
"""Predictions fade from the estimate by a factor e with every so many that follow."""
HIDDEN = "hidden: the score may no longer mean what it did"
_Z = 1.959964

Floats = NDArray[np.float64]
Answer = NDArray[np.int8]

N, YES, HITS, MISSES, BRIER, SCATTER, LOW, HIGH = range(8)
FIELDS = {"recent": Field(np.float64, (8,)), "fresh": Field(np.float64, (8,))}
"""Predictions, those that say yes, expected true positives, false negatives, squared error of the score, the variance
of what is wrong, and what is wrong at the least and at the most that the curve's bounds leave. ``fresh`` are those of
ticks that have not closed."""


class Estimate:
    """Sums by model row."""

    def __init__(self, models: Models, asked: Asked, calibration: Calibration) -> None:
        self.rows = Rows(FIELDS)
        self._models, self._asked, self._calibration = models, asked, calibration

    def extend(self) -> None:
        """Make room for models that were added since."""
        if len(self._models) > len(self.rows):
            self.rows.add(len(self._models) - len(self.rows))

    def add(self, model: NDArray[np.int32], predicted: NDArray[np.uint64], score: Floats, value: Floats) -> None:
        """Let in predictions (n,): hashes of classes, scores, and bare numbers, which are scores where they can be."""
        if not self._calibration.rows["judged"].any():
            return
        score = np.where(np.isnan(score), value, score)
        says = says_yes(self._asked, model, predicted, score)
        some = np.flatnonzero((says >= 0) & (score >= 0.0) & (score <= 1.0))
        model, score, yes = model[some], score[some], says[some] == 1
        chances, known = self._calibration.chances(model, score)
        model, score, yes, c = model[known], score[known], yes[known], chances[known]
        if not len(model):
            return
        low, middle, high = c.T
        of_low, wrong, of_high = (np.where(yes, 1.0 - chance, chance) for chance in (low, middle, high))
        sums: dict[int, Floats | float] = {
            N: 1.0,
            YES: yes.astype(np.float64),
            HITS: np.where(yes, middle, 0.0),
            MISSES: np.where(yes, 0.0, middle),
            BRIER: middle * (1.0 - middle) + (middle - score) ** 2,
            SCATTER: wrong * (1.0 - wrong),
            LOW: np.minimum(np.minimum(of_low, wrong), of_high),
            HIGH: np.maximum(np.maximum(of_low, wrong), of_high),
        }
        add_rows(self.rows["fresh"], model, [sums[i] for i in range(len(sums))])
        self.rows.touch(distinct(model))

    def close(self, models: NDArray[np.int64]) -> None:
        """At the end of a tick of ``models``: what came in it is the present now."""
        fresh = self.rows["fresh"]
        models = models[fresh[models, N] > 0.0]
        recent = self.rows["recent"]
        recent[models] = recent[models] * np.exp(-fresh[models, N] / RECENT)[:, None] + fresh[models]
        fresh[models] = 0.0
        self.rows.touch(models)

    def document(self, row: int) -> dict[str, Any] | None:
        """What is shown: every figure with its number and interval, marked as an estimate; ``None`` without any."""
        if row >= len(self.rows) or self.rows["recent"][row, N] < 1.0:
            return None
        if self._calibration.doubt(np.array([row]))[0][0]:
            return {"estimate": True, "why": HIDDEN}
        n, yes, hits, misses, brier, scatter, low, high = self.rows["recent"][row].tolist()
        reach = _Z * math.sqrt(scatter) / n
        wrong = (yes - hits + misses) / n
        return {
            "estimate": True,
            "error_rate": _figure(wrong, n, (low / n - reach, high / n + reach)),
            "precision": _share(hits, yes),
            "recall": _share(hits, hits + misses),
            "brier": {"value": round(brier / n, 6), "n": round(n), "interval": None},
        }


def says_yes(asked: Asked, model: NDArray[np.int32], predicted: NDArray[np.uint64], score: Floats) -> Answer:
    """Whether a prediction expects the outcome that its score is the chance of: 1, 0, -1 where that is not known."""
    rows = asked.rows
    bits = asked.classes(model, predicted)
    by_score = np.where(np.isnan(rows["threshold"][model]) | np.isnan(score), -1, score >= rows["threshold"][model])
    # Where decisions have words of their own, the favourable one expects the outcome that merits it.
    given = (bits & FAVOURABLE) > 0
    by_words = np.where(rows["says_merits"][model], given, given == rows["positive_merits"][model])
    named = rows["says_scored"][model] | ((bits & (SCORED | FALSE)) > 0)
    by_class = np.where(rows["own_words"][model], by_words, np.where(named, (bits & SCORED) > 0, -1))
    answers: Answer = np.where(predicted > 0, by_class, by_score).astype(np.int8)
    return answers


def _figure(value: float, n: float, ends: tuple[float, float]) -> dict[str, Any]:
    low, high = (round(min(max(end, 0.0), 1.0), 6) for end in ends)
    return {"value": round(value, 6), "n": round(n), "interval": [low, high]}


def _share(k: float, n: float) -> dict[str, Any]:
    """An expected share; its interval is that of as many cases whose outcomes are drawn by these chances."""
    if n < 1.0:
        return {"value": None, "n": 0, "interval": None}
    share = k / n
    reach = _Z * math.sqrt(max(share * (1.0 - share), 0.0) / n)
    return _figure(share, n, (share - reach, share + reach))
