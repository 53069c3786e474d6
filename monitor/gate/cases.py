"""Is the candidate right as often as what runs now? Each measure of the daemon, case by case where both judged it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.policies import Policy
from monitor.fleet import Fleet
from monitor.gate.finding import Finding
from monitor.gate.side import Side
from monitor.outcomes.measures import LOG_LOSS, MEASURES, scales, values
from monitor.stats.fixed import mean_bounds, mean_reach

_LARGE = 0.9
"""The part of the errors before that count as not large, where no contract says what is."""

Floats = NDArray[np.float64]
_NONE = np.zeros(0)


@dataclass(frozen=True, slots=True)
class Measured:
    """One side: keys of cases, and how wrong each was, ``(measures, n)`` in [0, 1] or NaN."""

    key: NDArray[np.uint64]
    x: Floats


def errors_of(side: Side, row: int) -> Floats:
    """Absolute errors of a regression, of all cases that have one."""
    found = [cases.error[~np.isnan(cases.error)] for cases in side.cases_of(row)]
    return np.concatenate(found) if found else _NONE


def large_error(before: Floats) -> float:
    """What counts as a large error: what nine of ten stayed below before; NaN where there are none."""
    return float(np.quantile(before, _LARGE)) if len(before) else math.nan


def measured(side: Side, row: int, large: float) -> Measured:
    """How wrong the model in ``row`` was in each of its cases."""
    fleet = side.fleet
    regression = np.zeros(len(fleet.models), bool)
    regression[row] = len(errors_of(side, row)) > 0
    scale = scales(fleet.outcomes.asked, regression)
    thresholds = np.full(len(fleet.models), large)
    parts = [(cases, values(cases, scale, thresholds)) for cases in side.cases_of(row) if len(cases)]
    if not parts:
        return Measured(np.zeros(0, np.uint64), np.zeros((len(MEASURES), 0)))
    return Measured(np.concatenate([cases.key for cases, _ in parts]), np.concatenate([x for _, x in parts], axis=1))


def performance_findings(fleet: Fleet, row: int, before: Measured | None, now: Measured) -> Iterator[Finding]:
    """Each measure of the candidate against what was before, and against its contract; ``None``: nothing is known."""
    policy = fleet.models.items[row].policy
    for measure in range(len(MEASURES)):
        x = now.x[measure][~np.isnan(now.x[measure])]
        unit = fleet.outcomes.performance.unit(measure, row)
        limit = fleet.outcomes.performance.limit(measure, row)
        if not math.isnan(limit) and len(x):
            yield _contract(measure, x, limit, unit)
        y = before.x[measure][~np.isnan(before.x[measure])] if before else _NONE
        if len(x) or len(y):
            yield _against(measure, before, now, (y, x), policy, unit)


def _contract(measure: int, x: Floats, limit: float, unit: float) -> Finding:
    """The candidate alone, against what its policy allows."""

    def least(error: float) -> float:
        return _low(x, error) * unit

    rate = float(x.mean()) * unit
    told = MEASURES[measure]
    return Finding(
        part="performance",
        detector="performance",
        subject=f"{told.name} (contract)",
        effect=told.name,
        value=rate,
        tolerance=limit * unit,
        before=math.nan,
        now=rate,
        sizes=(0, len(x)),
        words=f"{told.words} is {rate:.4g}, the contract allows {limit * unit:.4g}",
        beyond=lambda error: rate > limit * unit and least(error) > limit * unit,
        bound=least,
    )


def _against(
    measure: int,
    before: Measured | None,
    now: Measured,
    sides: tuple[Floats, Floats],
    policy: Policy,
    unit: float,
) -> Finding:
    y, x = sides
    told, shown = MEASURES[measure], unit if measure == LOG_LOSS else 1.0
    paired = _paired(before, now, measure)
    unseen = not len(x) or not len(y)
    rates = [float(each.mean()) * shown if len(each) else math.nan for each in sides]
    rise = math.nan if unseen else float((paired[1] - paired[0]).mean()) * shown if paired else rates[1] - rates[0]

    def least(error: float) -> float:
        return (_paired_rise(*paired, error) if paired else _low(x, error / 2.0) - _high(y, error / 2.0)) * shown

    tolerance = policy.tolerance.performance
    same = f" over the {len(paired[0])} cases that both judged" if paired else ""
    words = f"{told.words} went from {rates[0]:.4g} to {rates[1]:.4g}{same}"
    if unseen:
        missing = "the candidate" if len(y) else "what it is compared with"
        words = f"{told.words} cannot be compared: {missing} has no outcomes"
    return Finding(
        part="performance",
        detector="performance",
        subject=told.name,
        effect=told.effect,
        value=rise,
        tolerance=tolerance,
        before=rates[0],
        now=rates[1],
        sizes=(len(y), len(x)),
        words=words,
        verdict="unseen" if unseen else "pass",
        beyond=lambda error: rise > tolerance and least(error) > tolerance,
        bound=least,
    )


def _paired(before: Measured | None, now: Measured, measure: int) -> tuple[Floats, Floats] | None:
    """Both sides' values of the cases that both have, where these are all that the candidate has."""
    if before is None or not len(now.key):
        return None
    common, at, of = np.intersect1d(before.key, now.key, return_indices=True)
    y, x = before.x[measure][at], now.x[measure][of]
    known = ~np.isnan(x) & ~np.isnan(y)
    whole = len(common) == len(now.key) and known.sum() == (~np.isnan(now.x[measure])).sum()
    return (y[known], x[known]) if whole and known.any() else None


def _paired_rise(y: Floats, x: Floats, error: float) -> float:
    """How much worse the same cases went at least."""
    if _counts(x) and _counts(y):
        worse, better = float((x > y).sum()), float((x < y).sum())
        return float(mean_bounds(worse, len(x), error / 2.0)[0] - mean_bounds(better, len(x), error / 2.0)[1])
    return float((x - y).mean()) - mean_reach(x - y, error, width=2.0)


def _low(x: Floats, error: float) -> float:
    if _counts(x):
        return float(mean_bounds(float(x.sum()), len(x), error)[0])
    return max(float(x.mean()) - mean_reach(x, error), 0.0)


def _high(x: Floats, error: float) -> float:
    if _counts(x):
        return float(mean_bounds(float(x.sum()), len(x), error)[1])
    return min(float(x.mean()) + mean_reach(x, error), 1.0)


def _counts(x: Floats) -> bool:
    """Whether there is nothing but right and wrong."""
    return bool(((x == 0.0) | (x == 1.0)).all())
