"""Matured cases as columns: what was predicted, what came of it, and what that is to their models."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.kernels import mature
from monitor.outcomes.asked import FALSE, FAVOURABLE, MERITS, POSITIVE, SCORED, Asked
from monitor.outcomes.case import HAS_OUTCOME, TOLD_WITH, Cases
from monitor.outcomes.lists import Graded, graded

Floats = NDArray[np.float64]
Answer = NDArray[np.int8]
"""1 yes, 0 no, -1 not known."""


@dataclass(frozen=True, slots=True)
class Matured:
    """``n`` cases whose horizon has passed, ordered by key; arrays of shape ``(n,)``.

    ``key`` is what model and id come to, ``model`` are rows, ``end`` is the end of the tick in which the case was
    predicted (its cohort), ``due`` when the cohort matured. ``time`` is the prediction's, ``delay`` from it to the
    outcome (NaN without one). ``predicted`` and ``outcome`` are hashes of classes (0: none), ``entity`` that of whom
    was judged. ``labelled``: the outcome is known, or its absence means one. ``wrong`` is 1 for a wrong class, 0 for a
    right one; ``score`` the probability that ``y`` is 1; ``error`` the absolute error of a regression; ``cost`` what
    the decision cost; all NaN where they do not apply. ``favourable`` decision, outcome that ``merits`` it, and
    predicted and actual ``positive`` are answers.
    ``names``, ``texts`` and ``kinds``, shape ``(n, SLOTS)``, are the attributes: hashes of name and value; of a number
    (``kinds`` is ``ValueType.NUMBER``) the bits of the float64. ``apart`` are those that came in a record of their own.
    ``places``, shape ``(n, 2)``, are the strata of its features. ``lists`` is how right its list was.
    """

    key: NDArray[np.uint64]
    model: NDArray[np.int32]
    end: Floats
    due: float
    time: Floats
    delay: Floats
    predicted: NDArray[np.uint64]
    outcome: NDArray[np.uint64]
    value: Floats
    outcome_number: Floats
    entity: NDArray[np.uint64]
    money: Floats
    labelled: NDArray[np.bool_]
    wrong: Floats
    score: Floats
    y: Floats
    error: Floats
    cost: Floats
    favourable: Answer
    merits: Answer
    predicted_positive: Answer
    actual_positive: Answer
    names: NDArray[np.uint64]
    texts: NDArray[np.uint64]
    kinds: NDArray[np.uint8]
    apart: NDArray[np.bool_]
    places: NDArray[np.uint64]
    lists: Graded

    def __len__(self) -> int:
        return len(self.model)

    @property
    def list_loss(self) -> Floats:
        """How far each list was wrong: what a ranking falls short of an nDCG of 1, tags of a full overlap."""
        return 1.0 - np.where(np.isnan(self.lists.ndcg), self.lists.overlap, self.lists.ndcg)

    @property
    def loss(self) -> Floats:
        """How far each case was wrong: its list, its class or decision, else its error, else its Brier score."""
        rest = np.where(np.isnan(self.error), (self.y - self.score) ** 2, self.error)
        rest = np.where(np.isnan(self.wrong), rest, self.wrong)
        return np.where(np.isnan(self.list_loss), rest, self.list_loss)

    def chosen(self, which: NDArray[np.bool_]) -> Matured:
        """Some of the cases: those with True in ``which``, shape ``(n,)``."""
        if which.all():
            return self
        at = np.flatnonzero(which)
        names = (name for name in Matured.__dataclass_fields__ if name not in {"due", "lists"})
        lists = Graded(*(getattr(self.lists, name)[at] for name in Graded.__dataclass_fields__))
        return replace(self, lists=lists, **{name: getattr(self, name)[at] for name in names})


def cohorts(end: Floats) -> list[float]:
    """The cohorts to which cases belong whose ticks ended at ``end`` (n,), in order: mostly there is one."""
    ends: list[float] = end[:1].tolist() if (end == end[:1]).all() else np.unique(end).tolist()
    return ends


def read(cases: Cases, due: float, tick: Floats, asked: Asked) -> Matured:
    """What ``cases`` are to their models; ``tick`` (seconds) is by model row."""
    lists, made = graded(cases), _told(cases, tick, asked)
    made["wrong"] = np.where(np.isnan(lists.wrong), made["wrong"], lists.wrong)
    kept = {name: cases[name] for name in ("names", "texts", "kinds")}
    return Matured(due=due, lists=lists, **kept, **made)


def _told(cases: Cases, tick: Floats, asked: Asked) -> dict[str, NDArray[Any]]:
    """What each case is but for its list, by the names of :class:`Matured`. Compiled in ``mature.c``."""
    if mature.compiled() is None:
        return told_twin(cases, tick, asked)
    by_model = {name: asked.rows[name] for name in mature.OF_ASKED}
    return mature.told(cases, {"tick": tick, **by_model}, asked.table)


def told_twin(cases: Cases, tick: Floats, asked: Asked) -> dict[str, NDArray[Any]]:
    """What the compiled pass does, in numpy."""
    model, rows = cases["model"], asked.rows
    came = (cases["has"] & HAS_OUTCOME) > 0
    # A list is no class, and is compared by its items.
    came_as_class = np.where(cases["n_shown"] > 0, np.uint64(0), cases["outcome"])
    outcome = np.where(came, came_as_class, rows["missing"][model])
    known = came | (outcome > 0)
    decided = asked.classes(model, cases["predicted"])
    turned_out = asked.classes(model, outcome)
    number = np.where(came, cases["outcome_number"], np.nan)
    score, value, threshold = _scores(cases, (outcome > 0) & np.isnan(number), asked)
    number_said = np.where(np.isnan(cases["score"]), cases["value"], cases["score"])
    favourable = _favourable(decided, cases["predicted"], number_said, threshold, asked, model)
    y = _scored(turned_out, outcome, known, asked, model)
    of_value = np.where(np.isnan(value), np.nan, number)
    merits = _merits(turned_out, known & (outcome > 0), y, of_value, asked, model)
    chosen = rows["says_positive"][model]
    named = _positive(decided, cases["predicted"] > 0, chosen)
    # Where outcomes have words of their own, a decision stands for the outcome that it expects.
    expects = chosen & rows["own_words"][model] & (favourable >= 0)
    bad = np.where(expects, (favourable == 1) == rows["positive_merits"][model], named).astype(np.int8)
    worse = _positive(turned_out, outcome > 0, chosen)
    return {
        **{name: cases[name] for name in ("key", "model", "time", "predicted", "entity", "money", "places")},
        "end": (np.floor(cases["time"] / tick[model]) + 1) * tick[model],
        "delay": np.where(came, cases["outcome_time"] - cases["time"], np.nan),
        "outcome": outcome,
        "value": value,
        "outcome_number": number,
        "labelled": known,
        "wrong": _wrong(cases["predicted"], outcome, favourable, merits, rows["own_words"][model]),
        "score": score,
        "y": y,
        "error": np.abs(value - number),
        "cost": _cost(favourable, merits, bad, worse, asked, model),
        "favourable": favourable,
        "merits": merits,
        "predicted_positive": bad,
        "actual_positive": worse,
        "apart": (cases["names"] > 0) & ((cases["has"][:, None] & TOLD_WITH) == 0),
    }


def _scores(cases: Cases, named: NDArray[np.bool_], asked: Asked) -> tuple[Floats, Floats, Floats]:
    """Scores within [0, 1], values of regressions, and the threshold of each.

    A bare number is a score where there is a threshold, where its outcome is a class that is ``named``, and where the
    policy's task is binary; of a regression never.
    """
    rows, model, bare = asked.rows, cases["model"], cases["value"]
    threshold = rows["threshold"][model]
    scores = ~np.isnan(threshold) | named | rows["numbers_score"][model]
    is_score = scores & ~rows["numbers_measure"][model] & (bare >= 0.0) & (bare <= 1.0)
    score = np.where(np.isnan(cases["score"]) & is_score, bare, cases["score"])
    score = np.where((score >= 0.0) & (score <= 1.0), score, np.nan)
    value = np.where(np.isfinite(bare) & ~is_score & (cases["predicted"] == 0), bare, np.nan)
    return score, value, threshold


def _side(x: Floats, threshold: Floats, above: NDArray[np.bool_]) -> Answer:
    """Whether ``x`` lies on the favourable side of its threshold."""
    good = np.where(above, x >= threshold, x <= threshold)
    return np.where(np.isnan(x) | np.isnan(threshold), -1, good).astype(np.int8)


def _favourable(
    decided: NDArray[np.int32],
    predicted: NDArray[np.uint64],
    number: Floats,
    threshold: Floats,
    asked: Asked,
    model: NDArray[np.int32],
) -> Answer:
    """Whether the decision is favourable, by its class or by a number on any scale, such as a score of 300 to 850."""
    named = asked.rows["says_favourable"][model] & (predicted > 0)
    by_number = _side(number, threshold, asked.rows["above"][model])
    return np.where(named, (decided & FAVOURABLE) > 0, by_number).astype(np.int8)


def _scored(
    turned_out: NDArray[np.int32],
    outcome: NDArray[np.uint64],
    known: NDArray[np.bool_],
    asked: Asked,
    model: NDArray[np.int32],
) -> Floats:
    """Whether the outcome is the class that the score speaks of; where nobody named one, 1 of a pair of 0 and 1."""
    rows = asked.rows
    y = ((turned_out & SCORED) > 0).astype(np.float64)
    says = rows["says_scored"][model] | ((turned_out & (SCORED | FALSE)) > 0)
    y[~(known & (outcome > 0) & says)] = np.nan
    # A threshold below which a score is favourable: the score speaks of what is not.
    turned = ~np.isnan(rows["threshold"][model]) & ~rows["above"][model] & rows["says_merits"][model]
    return np.where(turned, 1.0 - y, y)


def _merits(
    turned_out: NDArray[np.int32],
    told: NDArray[np.bool_],
    y: Floats,
    number: Floats,
    asked: Asked,
    model: NDArray[np.int32],
) -> Answer:
    """Whether the outcome (``told``: it is a class; ``number``: of a regression) merits the favourable decision."""
    rows = asked.rows
    threshold = rows["threshold"][model]
    named = rows["says_merits"][model] & told
    by_number = _side(number, threshold, rows["above"][model])
    pair = np.where(rows["above"][model], y, 1.0 - y)
    by_pair = np.where(np.isnan(y) | np.isnan(threshold), -1.0, pair)
    rest = np.where(by_number >= 0, by_number, by_pair)
    return np.where(named, (turned_out & MERITS) > 0, rest).astype(np.int8)


def _positive(bits: NDArray[np.int32], there: NDArray[np.bool_], says: NDArray[np.bool_]) -> Answer:
    return np.where(says & there, (bits & POSITIVE) > 0, -1).astype(np.int8)


def _wrong(
    predicted: NDArray[np.uint64],
    outcome: NDArray[np.uint64],
    favourable: Answer,
    merits: Answer,
    own_words: NDArray[np.bool_],
) -> Floats:
    """Of classes, whether they differ; of a decision, whether it was not merited or withheld.

    A decision is what a threshold makes, and a class where outcomes are called otherwise (``own_words``).
    """
    judgeable = (favourable >= 0) & (merits >= 0)
    classes = (predicted > 0) & (outcome > 0) & ~own_words
    decisions = judgeable & ((predicted == 0) | own_words)
    wrong = np.where(classes, predicted != outcome, favourable != merits)
    return np.where(classes | decisions, wrong.astype(np.float64), np.nan)


def _cost(
    favourable: Answer, merits: Answer, predicted: Answer, actual: Answer, asked: Asked, model: NDArray[np.int32]
) -> Floats:
    """What wrong decisions cost: of the positive class where one is named, else of the favourable decision."""
    says = asked.rows["says_positive"][model]
    given, due = np.where(says, predicted, favourable), np.where(says, actual, merits)
    false_positive, false_negative = asked.rows["false_positive"][model], asked.rows["false_negative"][model]
    cost = np.where((given == 1) & (due == 0), false_positive, 0.0)
    cost = np.where((given == 0) & (due == 1), false_negative, cost)
    unknown = (given < 0) | (due < 0) | (false_positive + false_negative == 0.0)
    return np.where(unknown, np.nan, cost)
