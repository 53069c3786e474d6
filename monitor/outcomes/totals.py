"""What is shown of outcomes: sums over all matured cases of a model, exact and without judgement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.models import Models
from monitor.catalog.rows import Field, Rows
from monitor.kernels.add import add_rows, count, distinct
from monitor.outcomes.case import HAS_OUTCOME, HAS_PREDICTION
from monitor.outcomes.joining import FATES, Fates
from monitor.outcomes.matured import Matured
from monitor.outcomes.measures import MEASURES, log_loss

SCORE_BINS = 32
"""Bins of the score for the area under the ROC curve."""
CURVE_BINS = 10
"""Bins of the score, of equal width, in which calibration is asked about."""
SUMS = (
    *("wrong", "brier", "log_loss", "error", "squared_error", "cost", "money", "delay"),
    *("ndcg", "tag_overlap", "tag_precision", "tag_recall"),
)
"""What is summed up: each as number, sum, and sum of squares."""
_SUM = {name: i for i, name in enumerate(SUMS)}

FIELDS = {
    "waiting": Field(np.int64),
    "cases": Field(np.int64),
    "labelled": Field(np.int64),
    "fates": Field(np.int64, (len(FATES),), rare=True, aside=True),
    "early": Field(np.int64, (2,)),
    "observed": Field(np.int64, (2, 2), rare=True, aside=True),
    "confusion": Field(np.int64, (2, 2), rare=True, aside=True),
    "sums": Field(np.float64, (len(SUMS), 3), rare=True, aside=True),
    "scores": Field(np.uint32, (2, SCORE_BINS), rare=True, aside=True),
    "measured": Field(np.float64, (len(MEASURES), 2), rare=True, aside=True),
    "curve": Field(np.float64, (CURVE_BINS, 3), rare=True, aside=True),
}
"""``waiting``: cases that have not matured. ``early``: those of them with an outcome, and how many of these are wrong.
``observed``: by favourable decision (no, yes), cases and those of them with an outcome. ``confusion``: by predicted and
actual positive class. ``scores``: by outcome (0, 1) and bin of the score. ``measured``: by measure sum and number of
what performance is judged by; ``curve``: by bin of the score outcomes, positive ones and sum of scores, of what
calibration is. By the days of both cases are judged again."""


LASTING = tuple(name for name in FIELDS if name not in {"waiting", "early"})
"""Those of :data:`FIELDS` that are sums over matured cases, and only grow."""
_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class DaysOver:
    """Days of ``models`` (k,) that are over at ``ends`` (k,), and how their ``sums`` (k rows each) stood then."""

    models: NDArray[np.int64]
    ends: NDArray[np.float64]
    sums: dict[str, NDArray[np.generic]]


class Totals:
    """By model row: the arrays of :data:`FIELDS`."""

    def __init__(self, models: Models) -> None:
        self.rows = Rows(FIELDS)
        self.days: list[DaysOver] | None = None
        """What days left behind, where somebody takes it away, as the store of a daemon does."""
        self._models = models
        self._day: NDArray[np.float64] = np.zeros(0)
        """By model row, the end of the day (UTC) to which the newest of its matured cases belong."""

    def keep_days(self, matured: NDArray[np.float64]) -> None:
        """Keep how models stand when a day is over; all cases whose tick ended by ``matured`` (models,) are in."""
        self.days, self._day = [], np.ceil(matured / _DAY) * _DAY

    def extend(self) -> None:
        """Make room for models that were added since."""
        if len(self._models) > len(self.rows):
            self.rows.add(len(self._models) - len(self.rows))

    def count(self, fates: Fates) -> dict[str, int]:
        """Add up what became of a batch; how often each fate was met."""
        met = {}
        for name in FATES:
            for models in fates.models[name]:
                self.met(name, models)
            met[name] = sum(map(len, fates.models[name]))
        for models in fates.let_in:
            self.wait(models, 1)
        for models, wrong, sign in fates.early:
            self._add("early", models, 0, by=sign)
            self._add("early", models[wrong], 1, by=sign)
        return met

    def met(self, fate: str, models: NDArray[np.int32]) -> None:
        """Note that one case of each of ``models`` met ``fate``."""
        self._add("fates", models, FATES.index(fate))

    def wait(self, models: NDArray[np.int32], change: int) -> None:
        """Note that cases of ``models`` began (1) or ceased (-1) to wait."""
        self._add("waiting", models, by=change)

    def unmeet(self, cases: NDArray[np.void]) -> None:
        """Take waiting ``cases`` with both parts out of the early view: they were removed."""
        met = cases[(cases["has"] & (HAS_PREDICTION | HAS_OUTCOME)) == HAS_PREDICTION | HAS_OUTCOME]
        met = met[(met["predicted"] > 0) & (met["outcome"] > 0)]
        self._add("early", met["model"], 0, by=-1)
        self._add("early", met["model"][met["predicted"] != met["outcome"]], 1, by=-1)

    def sum(self, name: str, model: int) -> tuple[float, float, float]:
        """Number, sum and sum of squares of one of :data:`SUMS`."""
        n, total, squares = self.rows["sums"][model, _SUM[name]].tolist()
        return n, total, squares

    def add(self, cases: Matured) -> None:
        """Add up matured ``cases``."""
        model = cases.model
        if self.days is not None:
            self._end_days(self.days, model, np.ceil(cases.end / _DAY) * _DAY)
        self._count("cases", model)
        self._count("labelled", model[cases.labelled])
        decided = cases.favourable >= 0
        self._count("observed", model[decided], cases.favourable[decided], 0)
        seen = decided & cases.labelled
        self._count("observed", model[seen], cases.favourable[seen], 1)
        both = (cases.predicted_positive >= 0) & (cases.actual_positive >= 0)
        self._count("confusion", model[both], cases.predicted_positive[both], cases.actual_positive[both])
        came = ~np.isnan(cases.delay) & (cases.predicted > 0) & (cases.outcome > 0)
        self._count("early", model[came], 0, by=-1)
        self._count("early", model[came & (cases.predicted != cases.outcome)], 1, by=-1)
        scored = ~np.isnan(cases.y) & ~np.isnan(cases.score)
        bin_ = np.minimum((cases.score[scored] * SCORE_BINS).astype(np.int64), SCORE_BINS - 1)
        self._count("scores", model[scored], cases.y[scored].astype(np.int64), bin_)
        self._add_sums(cases)
        self.rows.touch(distinct(model))

    def judged(self, models: NDArray[np.int64], measured: NDArray[np.float64], curve: NDArray[np.float64]) -> None:
        """Add what cohorts of ``models`` (k,), none twice, were judged by: ``measured`` (k, measures, 2), ``curve``."""
        self.rows["measured"][models] += measured
        self.rows["curve"][models] += curve
        self.rows.touch(models)

    def _end_days(self, over: list[DaysOver], model: NDArray[np.int32], day: NDArray[np.float64]) -> None:
        """Note how models stand of which cases of a later day come now; a model's cases mature in their order."""
        if len(self._day) < len(self.rows):
            new = np.full(len(self.rows) - len(self._day), -np.inf)
            self._day = np.concatenate([self._day, new])
        later = np.flatnonzero(day > self._day[model])
        if len(later):
            turned = np.unique(model[later]).astype(np.int64)
            some = turned[self.rows["cases"][turned] > 0]
            if len(some):
                over.append(DaysOver(some, self._day[some], {name: self.rows[name][some] for name in LASTING}))
            np.maximum.at(self._day, model[later], day[later])

    def _add_sums(self, cases: Matured) -> None:
        columns = {
            "wrong": cases.wrong,
            "brier": (cases.y - cases.score) ** 2,
            "log_loss": log_loss(cases.y, cases.score),
            "error": cases.error,
            "squared_error": cases.error**2,
            "cost": cases.cost,
            "money": cases.money,
            "delay": cases.delay,
            "ndcg": cases.lists.ndcg,
            "tag_overlap": cases.lists.overlap,
            "tag_precision": cases.lists.precision,
            "tag_recall": cases.lists.recall,
        }
        for name, x in columns.items():
            if not np.isnan(x).all():  # of a model that no outcome is told of there are none, tick after tick
                add_rows(self.rows["sums"], cases.model.astype(np.int64) * len(SUMS) + _SUM[name], (1.0, x, x * x))

    def _add(self, name: str, models: NDArray[np.int32], place: int | None = None, by: int = 1) -> None:
        """Add ``by`` for each of ``models`` (n,) to its row, or to the element at ``place`` of it."""
        n = np.bincount(models)
        some = np.flatnonzero(n)
        self.rows[name][some if place is None else (some, place)] += by * n[some]
        self.rows.touch(some)

    def _count(self, name: str, at: NDArray[np.int32], *places: NDArray[np.integer] | int, by: int = 1) -> None:
        """Add ``by`` to one element of the rows ``at`` (n,) of an array each: one of ``places`` on every axis."""
        table, place = self.rows[name], at.astype(np.int64)
        for size, on_axis in zip(table.shape[1:], places, strict=True):
            place = place * size + on_axis
        count(table, place, by)
