"""What is shown of what a model leans on: answers, losses and costs by stratum of each feature, and what moved them."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.series import RETIRED, Series
from monitor.catalog.strata import strata_labels
from monitor.events.columns import Space
from monitor.kernels.lean import STRATA
from monitor.leaning.bill import Bill, bill, follows, lean
from monitor.leaning.sums import BEFORE, MEASURES, SINCE, Leaning

FEATURES_SHOWN = 20
_Z = 1.959964

Floats = NDArray[np.float64]


def leaning_document(
    leaning: Leaning, series: Series, row: int, rows: NDArray[np.int64], hidden: Collection[str], currency: str
) -> dict[str, Any] | None:
    """The ``leaning`` of the model in ``row``, whose series are ``rows``; ``None`` where it answered nothing yet.

    Features in ``hidden`` are protected: what is known of them by value belongs to groups, and is not shown here.
    """
    own = rows[(series.rows["space"][rows] == Space.FEATURE) & (series.rows["judging"][rows] != RETIRED)]
    own = own[np.array([series.names[each] not in hidden for each in own.tolist()], bool)]
    sums = {measure: leaning.of(measure, own) for measure in MEASURES}
    if not sums["answer"].any():
        return None
    everything = sums["answer"].sum(axis=1)
    importance = lean(everything)
    order = np.argsort(-np.nan_to_num(importance, nan=-1.0), kind="stable")
    return {
        "sampled_one_in": leaning.one_in(row),
        "follows": _finite(follows(sums["answer"])),
        "features": [
            _feature(series, int(own[i]), {name: of[i] for name, of in sums.items()}, float(importance[i]))
            for i in order[:FEATURES_SHOWN].tolist()
        ],
        "bill": {
            measure: _bill(made, series, own, sums[measure], leaning.one_in(row), currency if measure == "cost" else "")
            for measure in MEASURES
            if (made := bill(sums[measure])) is not None
        },
    }


def _feature(series: Series, row: int, sums: dict[str, Floats], importance: float) -> dict[str, Any]:
    labels = strata_labels(series, row)
    losses = sums["loss"].sum(axis=0)
    return {
        "feature": series.names[row],
        "lean": _finite(importance),
        "loss_lean": _finite(float(lean(losses[None])[0])),
        "strata": [
            {
                "stratum": labels[k],
                "answer": _mean(sums["answer"][BEFORE, k]),
                "answer_since": _mean(sums["answer"][SINCE, k]),
                "loss": _mean(losses[k]),
                "cost": _mean(sums["cost"].sum(axis=0)[k]),
            }
            for k in range(STRATA)
            if sums["answer"][:, k, 0].sum() > 0
        ],
    }


def _bill(
    made: Bill, series: Series, own: NDArray[np.int64], sums: Floats, one_in: int, currency: str
) -> dict[str, Any]:
    """A bill in people and money: what all cases since then come to, those that were not looked at too."""
    split, (before, since) = made.split, sums[made.feature]
    labels = strata_labels(series, int(own[made.feature]))
    cases = made.n * one_in
    shares = before[:, 0] / before[:, 0].sum(), since[:, 0] / since[:, 0].sum()
    return {
        "before": split.before,
        "after": split.after,
        "change": split.change,
        "n_before": round(made.n_before),
        "n": round(made.n),
        "by": series.names[int(own[made.feature])],
        "population": split.explained,
        "behaviour": split.change - split.explained,
        "cases": round(cases),
        "total": split.change * cases,
        "of_population": split.explained * cases,
        "of_behaviour": (split.change - split.explained) * cases,
        "currency": currency or None,
        "strata": [
            {
                "stratum": labels[k],
                "share_before": float(shares[0][k]),
                "share": float(shares[1][k]),
                "mean_before": _mean(before[k])["value"],
                "mean": _mean(since[k])["value"],
                "population": float(split.population[k]),
                "behaviour": float(split.behaviour[k]),
            }
            for k in range(STRATA)
            if before[k, 0] + since[k, 0] > 0
        ],
        "features": [
            {"feature": series.names[int(own[i])], "population": float(made.parts[i])}
            for i in np.argsort(-np.abs(np.nan_to_num(made.parts)), kind="stable")[:FEATURES_SHOWN].tolist()
            if not math.isnan(made.parts[i])
        ],
    }


def _mean(sums: Floats) -> dict[str, Any]:
    """A mean with the normal interval of its standard error, from how many, their sum and that of their squares."""
    n, total, squares = sums.tolist()
    if n < 1.0:
        return {"value": None, "n": 0, "interval": None}
    mean = total / n
    if n < 2.0:
        return {"value": mean, "n": 1, "interval": None}
    error = _Z * math.sqrt(max(squares / n - mean * mean, 0.0) / (n - 1.0))
    return {"value": mean, "n": round(n), "interval": [mean - error, mean + error]}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
