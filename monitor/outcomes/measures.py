"""How wrong was the model? Each measure as numbers in [0, 1], so that one bet fits all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.outcomes.asked import Asked
from monitor.outcomes.matured import Matured

Floats = NDArray[np.float64]

LOG_LOSS_MAX = float(np.log(1000.0))
"""Nats at which the loss of a case is cut off: a probability of 1 in 1,000 for what happened."""
LOSS_LIMITS = 10.0
"""A regression's error counts up to so many times its contract."""

ERROR_RATE, ABSOLUTE_ERROR, BRIER, LOG_LOSS, COST, RANKING_LOSS, TAG_LOSS = range(7)


@dataclass(frozen=True, slots=True)
class Measure:
    """One way to be wrong. ``effect`` names what an alarm tells, ``words`` what rose."""

    name: str
    effect: str
    words: str


MEASURES = (
    Measure("error_rate", "error_rate_rise", "error rate"),
    Measure("absolute_error", "large_error_rise", "share of large errors"),
    Measure("brier", "brier_rise", "Brier score"),
    Measure("log_loss", "log_loss_rise", "log loss"),
    Measure("cost", "cost_rise", "cost of a case"),
    Measure("ranking_loss", "ranking_loss_rise", "what rankings fall short of the order shown"),
    Measure("tag_loss", "tag_loss_rise", "what tags fall short of those of the outcome"),
)


@dataclass(frozen=True, slots=True)
class Scale:
    """By measure and model, shape ``(measures, models)``: what 1 stands for, and the contract in these units or NaN."""

    unit: Floats
    limit: Floats


def scales(asked: Asked, regression: NDArray[np.bool_]) -> Scale:
    """The units of all models; ``regression`` says which of them are judged by the size of their errors."""
    rows, n = asked.rows, len(asked.rows)
    unit, limit = np.ones((len(MEASURES), n)), np.full((len(MEASURES), n), np.nan)
    loss, cost = rows["limit_loss"][:n], np.maximum(rows["false_positive"][:n], rows["false_negative"][:n])
    unit[LOG_LOSS] = LOG_LOSS_MAX
    unit[COST] = np.where(cost > 0.0, cost, 1.0)
    contract = regression & (loss > 0.0)
    unit[ABSOLUTE_ERROR, contract] = LOSS_LIMITS * loss[contract]
    limit[ERROR_RATE] = rows["limit_error_rate"][:n]
    limit[LOG_LOSS] = np.where(regression, np.nan, loss)
    limit[ABSOLUTE_ERROR] = np.where(contract, loss, np.nan)
    limit[COST] = rows["limit_cost"][:n]
    limit[RANKING_LOSS] = limit[TAG_LOSS] = np.where(regression, np.nan, loss)
    return Scale(unit, np.minimum(limit / unit, 1.0))


def values(cases: Matured, scale: Scale, large: Floats) -> Floats:
    """Each measure of each case in [0, 1], shape ``(measures, n)``; NaN where it does not apply.

    ``large`` is by model the error that counts as large, NaN while that is not known.
    """
    x = np.full((len(MEASURES), len(cases)), np.nan)
    model, score, y = cases.model, cases.score, cases.y
    x[ERROR_RATE] = cases.wrong
    exceeds = np.where(np.isnan(large[model]), np.nan, (cases.error > large[model]).astype(np.float64))
    contract = ~np.isnan(scale.limit[ABSOLUTE_ERROR, model])
    mean = np.minimum(cases.error / scale.unit[ABSOLUTE_ERROR, model], 1.0)
    x[ABSOLUTE_ERROR] = np.where(np.isnan(cases.error), np.nan, np.where(contract, mean, exceeds))
    x[BRIER] = (y - score) ** 2
    x[LOG_LOSS] = np.minimum(log_loss(y, score) / LOG_LOSS_MAX, 1.0)
    x[COST] = cases.cost / scale.unit[COST, model]
    x[RANKING_LOSS], x[TAG_LOSS] = 1.0 - cases.lists.ndcg, 1.0 - cases.lists.overlap
    return x


def log_loss(y: Floats, score: Floats) -> Floats:
    """Nats, at most :data:`LOG_LOSS_MAX`; NaN where either is."""
    given = np.where(y > 0.5, score, 1.0 - score)
    loss: Floats = np.minimum(-np.log(np.maximum(given, 1e-12)), LOG_LOSS_MAX)
    loss[np.isnan(y) | np.isnan(score)] = np.nan
    return loss
