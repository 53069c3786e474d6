"""Is the estimate without outcomes right while scores mean what they meant, and hidden where they may not?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fleets.build import HOUR, START
from fleets.cohorts import fleet_of, judged, matured
from numpy.typing import NDArray

from monitor.fleet import Fleet
from monitor.outcomes.asked import class_hash
from monitor.outcomes.case import HAS_OUTCOME, HAS_PREDICTION, blank
from monitor.outcomes.estimate import HIDDEN, says_yes
from monitor.outcomes.matured import read

YES, NO = np.uint64(class_hash("1")), np.uint64(class_hash("0"))
Floats = NDArray[np.float64]


def drawn(rng: np.random.Generator, n: int, mean: float, shift: float = 0.0) -> tuple[Floats, Floats]:
    """Scores about a mean logit, and outcomes that come as they say, but for a shift of logits."""
    logit = rng.normal(mean, 1.5, n)
    return 1.0 / (1.0 + np.exp(-logit)), (rng.random(n) < 1.0 / (1.0 + np.exp(-logit - shift))).astype(float)


def taught(rng: np.random.Generator, shift: float = 0.0) -> Fleet:
    """A fleet with one model whose curve was learned from scores whose outcomes come oftener by ``shift`` logits."""
    fleet = fleet_of(1)
    for tick in range(40):
        score, y = drawn(rng, 100, -0.5, shift)
        judged(fleet, matured(np.zeros(100), tick, score=score, y=y))
    return fleet


def predict(fleet: Fleet, score: Floats) -> dict[str, Any]:
    """Let the model predict by a half, close the tick, and see what is said."""
    estimate, n = fleet.outcomes.estimate, len(score)
    fleet.outcomes._extend()
    estimate.add(np.zeros(n, np.int32), np.where(score > 0.5, YES, NO), score, np.full(n, np.nan))
    estimate.close(np.array([0]))
    shown = estimate.document(0)
    assert shown is not None
    assert shown["estimate"] is True
    return shown


@pytest.mark.parametrize("mean", [-0.5, 1.5])
def test_other_inputs_are_foreseen(mean: float) -> None:
    """Where inputs alone moved, the estimate lies within four standard errors of what outcomes say later.

    10,000 cases: of a rate p, sqrt(p (1 - p) / 10,000) for the cases, and as much again for 4,000 of the curve.
    """
    rng = np.random.default_rng(3)
    fleet = taught(rng)
    score, y = drawn(rng, 10_000, mean)
    shown, yes = predict(fleet, score), score > 0.5
    truth = {"error_rate": (yes != y).mean(), "precision": y[yes].mean(), "recall": yes[y > 0].mean()}
    for name, value in truth.items():
        assert shown[name]["value"] == pytest.approx(value, abs=4 * np.sqrt(0.25 * (1 / 10_000 + 1 / 4000)))
    low, high = shown["error_rate"]["interval"]
    assert low <= truth["error_rate"] <= high
    assert shown["brier"]["value"] == pytest.approx(((score - y) ** 2).mean(), abs=0.02)


def test_it_reads_scores_off_the_curve() -> None:
    """Scores that are wrong by a logit, and were so from the beginning, are read as what they come to."""
    rng = np.random.default_rng(4)
    score, y = drawn(rng, 10_000, -0.5, 1.0)
    shown = predict(taught(rng, 1.0), score)
    assert shown["error_rate"]["value"] == pytest.approx(((score > 0.5) != y).mean(), abs=0.04)


def test_it_is_hidden_where_calibration_is_in_doubt() -> None:
    """Once the same scores come true more often, no figure is shown, whether or not the cell fires yet."""
    rng = np.random.default_rng(5)
    fleet = taught(rng)
    assert "why" not in predict(fleet, drawn(rng, 100, -0.5)[0])
    for tick in range(40, 60):
        score, y = drawn(rng, 100, -0.5, 2.0)
        judged(fleet, matured(np.zeros(100), tick, score=score, y=y))
        if fleet.outcomes.calibration.doubt(np.array([0]))[0][0]:
            break
    assert predict(fleet, score) == {"estimate": True, "why": HIDDEN}
    assert not any(firing for firing in fleet.outcomes.performance.states[0]["firing"][:1])


def test_what_fades_and_what_is_not_known() -> None:
    """Without a curve nothing is said; of 5,000 predictions about 1,000 are remembered; before a tick closed none."""
    rng = np.random.default_rng(6)
    fleet = fleet_of(1)
    fleet.outcomes.estimate.add(np.zeros(1, np.int32), np.array([YES]), np.array([0.5]), np.array([np.nan]))
    assert fleet.outcomes.estimate.document(0) is None
    fleet = taught(rng)
    for _ in range(50):
        shown = predict(fleet, drawn(rng, 100, -0.5)[0])
    assert 900 < shown["error_rate"]["n"] < 1100


WORDS: dict[str, dict[str, Any]] = {
    "classes": {},
    "positive": {"positive": ("1",)},
    "own words": {"favourable": ("approve",), "favourable_outcomes": ("repaid",)},
    "own words, positive": {"favourable": ("approve",), "favourable_outcomes": ("repaid",), "positive": ("default",)},
    "threshold": {"decision_threshold": 0.4, "favourable_outcomes": ("1",)},
    "threshold below": {"decision_threshold": 0.4, "favourable_when": "below", "favourable_outcomes": ("0",)},
}


@pytest.mark.parametrize("policy", WORDS.values(), ids=WORDS)
def test_what_a_prediction_expects_is_what_it_is_judged_by(policy: dict[str, Any]) -> None:
    """Of every case with a class and a score, it expected another outcome exactly where it is found wrong."""
    fleet = fleet_of(1, **policy)
    asked, rng, n = fleet.outcomes.asked, np.random.default_rng(7), 200
    fleet.outcomes._extend()
    own = "favourable" in policy
    decisions, truths = (("approve", "refuse"), ("repaid", "default")) if own else (("1", "0"), ("1", "0"))
    cases = blank(n)
    cases["model"], cases["time"], cases["has"] = 0, START + HOUR, HAS_PREDICTION | HAS_OUTCOME
    cases["score"] = rng.random(n)
    cases["outcome"] = [class_hash(word) for word in rng.choice(truths, n)]
    if "decision_threshold" not in policy:
        cases["predicted"] = [class_hash(word) for word in rng.choice(decisions, n)]
    seen = read(cases, START + 2 * HOUR, fleet.models.rows["tick"], asked)
    says = says_yes(asked, cases["model"], cases["predicted"], cases["score"])
    assert not np.isnan(seen.wrong).any()
    assert ((says != seen.y) == (seen.wrong == 1.0)).all()
