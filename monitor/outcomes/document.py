"""What is known of a model's performance, as the document says it: every figure with its number and an interval."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.models import Models
from monitor.kernels.judge import FIRING
from monitor.outcomes.calibration import BIN_MIN, BINS, CELL, Calibration
from monitor.outcomes.joining import FATES
from monitor.outcomes.measures import MEASURES
from monitor.outcomes.outcomes import Outcomes
from monitor.outcomes.performance import Performance, cell_name, firing
from monitor.outcomes.selective import NOT_IDENTIFIED, declared, detected
from monitor.outcomes.totals import SCORE_BINS, Totals
from monitor.stats.bounds import wilson

_Z = 1.959964
_LN10 = math.log(10.0)


def performance_document(outcomes: Outcomes, models: Models, row: int) -> dict[str, Any] | None:
    """The ``performance`` of a model, ``None`` where no case has matured and none waits for anything."""
    totals = outcomes.totals
    if row >= len(totals.rows):
        return None
    fates, cases = totals.rows["fates"][row], int(totals.rows["cases"][row])
    if not cases and not fates.any():
        return None
    selective = selective_labels(outcomes, row)
    observed = selective["declared"] or selective["detected"]
    labelled = int(totals.rows["labelled"][row])
    return {
        "waiting": int(totals.rows["waiting"][row]),
        "cases": cases,
        "outcomes": labelled,
        "coverage": rate(labelled, cases),
        "mean_delay_seconds": _mean(*totals.sum("delay", row))["value"],
        "fates": dict(zip(FATES, fates.tolist(), strict=True)),
        "unmatched_share": rate(int(fates[FATES.index("without_prediction")]), _told(fates)),
        "selective_labels": selective,
        "figures": figures(totals, row, selective=observed),
        "cells": [
            *_cells(outcomes.performance, row),
            *_calibration_cells(outcomes.calibration, models, row),
        ],
        "reliability": _reliability(outcomes.calibration, row),
        "early": None if outcomes.asked.rows["own_words"][row] else _early(totals, row),
        "estimate": outcomes.estimate.document(row),
        "currency": models.items[row].policy.costs.currency or None,
    }


def selective_labels(outcomes: Outcomes, row: int) -> dict[str, Any]:
    """Whether only those who got the favourable decision have outcomes: declared, or seen in the matured cases."""
    (unfavourable, known), (favourable, good) = outcomes.totals.rows["observed"][row].tolist()
    at = np.array([row], np.int32)
    return {
        "declared": bool(declared(outcomes.asked, at)[0]),
        "detected": bool(detected(outcomes.totals, at)[0]),
        "unfavourable": rate(known, unfavourable),
        "favourable": rate(good, favourable),
    }


def figures(totals: Totals, row: int, *, selective: bool) -> dict[str, Any]:
    """Every figure that there is a case for, over all matured cases."""
    (_, fn), (fp, tp) = totals.rows["confusion"][row].tolist()
    n, wrong, _ = totals.sum("wrong", row)
    figures = {
        "error_rate": rate(int(wrong), int(n)),
        "precision": rate(tp, tp + fp),
        "recall": {"value": None, "why": NOT_IDENTIFIED} if selective else rate(tp, tp + fn),
        "brier": _mean(*totals.sum("brier", row)),
        "log_loss": _mean(*totals.sum("log_loss", row)),
        "auc": _auc(totals.rows["scores"][row]),
        "mae": _mean(*totals.sum("error", row)),
        "rmse": _root(_mean(*totals.sum("squared_error", row))),
        "ndcg": _mean(*totals.sum("ndcg", row)),
        **{name: _mean(*totals.sum(name, row)) for name in ("tag_overlap", "tag_precision", "tag_recall")},
        "cost": _mean(*totals.sum("cost", row)),
        "value": _mean(*totals.sum("money", row)),
    }
    shown = {name: figure for name, figure in figures.items() if figure.get("n") or figure.get("why")}
    if selective:
        for figure in shown.values():
            figure.setdefault("among", "favourable decisions")
    return shown


def _cells(performance: Performance, row: int) -> list[dict[str, Any]]:
    cells = []
    for i, measure in enumerate(MEASURES):
        if not performance.rows["reference"][row, i, 1] and not performance.rows["pending"][row, i, 1]:
            continue
        state, unit, limit = performance.states[i], performance.unit(i, row), performance.limit(i, row)
        s, n = performance.rows["recent"][row, i].tolist()
        reference, size = performance.rows["reference"][row, i].tolist()
        judged = bool(performance.rows["judged"][row, i])
        cells.append(
            {
                "cell": cell_name(i),
                "detector": "performance",
                "measure": measure.name,
                "state": "firing" if firing(performance, i, row) else "watching" if judged else "learning",
                "contract": None if math.isnan(limit) else limit * unit,
                "reference": reference / size * unit if size else None,
                "reference_cases": round(size),
                "present": s / n * unit if n else None,
                "edge": float(state["null_high"][row, 0]) * unit if judged else None,
                "evidence_log10": _finite(float(state["evidence"][row]) / _LN10) if judged else None,
            }
        )
    return cells


def _calibration_cells(calibration: Calibration, models: Models, row: int) -> list[dict[str, Any]]:
    rows = calibration.rows
    size = rows["reference"][row, :, 0].sum()
    if not size:
        return []
    judged = bool(rows["judged"][row])
    return [
        {
            "cell": CELL,
            "detector": "calibration",
            "measure": "logit_shift",
            "state": "firing" if rows["firing"][row] == FIRING else "watching" if judged else "learning",
            "tolerance": float(models.rows["tolerance_calibration"][row]),
            "reference_cases": round(float(size)),
            "present": _finite(calibration.shift(row)),
            "evidence_log10": _finite(float(rows["evidence"][row]) / _LN10) if judged else None,
        }
    ]


def _reliability(calibration: Calibration, row: int) -> list[dict[str, Any]]:
    """The reference's curve: outcomes by bin of the score, where there are enough of them."""
    curve = []
    for i, (n, y, c) in enumerate(calibration.rows["reference"][row].tolist()):
        if n >= BIN_MIN:
            curve.append({"from": i / BINS, "to": (i + 1) / BINS, "mean_score": c / n, **rate(round(y), round(n))})
    return curve


def _early(totals: Totals, row: int) -> dict[str, Any] | None:
    """Outcomes of cases that have not matured: an estimate, for what comes early is not like what comes late.

    Not of models whose outcomes have other words than their decisions: the two are compared as they stand.
    """
    n, wrong = totals.rows["early"][row].tolist()
    return {"estimate": True, "error_rate": rate(wrong, n)} if n > 0 else None


def _told(fates: NDArray[np.int64]) -> int:
    """Outcomes that came for the first time and were not too late to be anybody's."""
    return int(sum(fates[FATES.index(name)] for name in ("joined", "without_prediction")))


def rate(k: int, n: int) -> dict[str, Any]:
    """A share with Wilson's interval."""
    if n <= 0:
        return {"value": None, "n": 0, "interval": None}
    low, high = wilson(k, n)
    return {"value": k / n, "n": n, "interval": [float(low), float(high)]}


def _mean(n: float, total: float, squares: float) -> dict[str, Any]:
    """A mean with the normal interval of its standard error."""
    if n < 1:
        return {"value": None, "n": 0, "interval": None}
    mean = total / n
    if n < 2:
        return {"value": mean, "n": round(n), "interval": None}
    error = _Z * math.sqrt(max(squares / n - mean * mean, 0.0) / (n - 1.0))
    return {"value": mean, "n": round(n), "interval": [mean - error, mean + error]}


def _root(figure: dict[str, Any]) -> dict[str, Any]:
    """The root of a mean of squares, and of the ends of its interval."""
    if figure["value"] is None:
        return figure
    ends = figure["interval"]
    root = [math.sqrt(max(end, 0.0)) for end in ends] if ends else None
    return {"value": math.sqrt(figure["value"]), "n": figure["n"], "interval": root}


def _auc(scores: NDArray[np.uint32]) -> dict[str, Any]:
    """Area under the ROC curve from binned scores, ties counting half; interval of Hanley and McNeil (1982)."""
    no, yes = scores.astype(np.float64)
    n0, n1 = float(no.sum()), float(yes.sum())
    if not n0 or not n1:
        return {"value": None, "n": 0, "interval": None}
    assert len(no) == SCORE_BINS
    below = np.concatenate([[0.0], np.cumsum(no)[:-1]])
    auc = float((yes * (below + 0.5 * no)).sum() / (n0 * n1))
    q1, q2 = auc / (2.0 - auc), 2.0 * auc * auc / (1.0 + auc)
    variance = auc * (1.0 - auc) + (n1 - 1.0) * (q1 - auc * auc) + (n0 - 1.0) * (q2 - auc * auc)
    error = _Z * math.sqrt(max(variance, 0.0) / (n0 * n1))
    return {"value": auc, "n": round(n0 + n1), "interval": [max(auc - error, 0.0), min(auc + error, 1.0)]}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
