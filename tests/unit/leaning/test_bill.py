"""Does a bill lay a change to what caused it, and does a model that lost its inputs show it?"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from monitor.kernels.lean import STRATA
from monitor.leaning.bill import bill, follows, lean, own_movement

MEANS = np.linspace(0.1, 0.9, STRATA)


def sums(n: NDArray[np.float64] | float, means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums of 0 and 1 by stratum."""
    cases = np.broadcast_to(np.asarray(n, float), means.shape)
    return np.stack([cases, cases * means, cases * means], axis=-1)


def test_the_feature_that_moved_is_named() -> None:
    """More people where answers are high: the feature by which they moved takes all of the change."""
    moved = np.stack([sums(100, MEANS), sums(np.arange(1, 10) * 20.0, MEANS)])
    rate = moved[1, :, 1].sum() / moved[1, :, 0].sum()
    other = np.stack([sums(100, np.full(STRATA, 0.5)), sums(100, np.full(STRATA, rate))])
    made = bill(np.stack([other, moved]))
    assert made is not None
    assert made.feature == 1
    assert made.split.explained == pytest.approx(made.split.change)
    assert made.parts[0] == pytest.approx(0.0)
    assert (made.n_before, made.n) == (900.0, 900.0)


def test_a_model_that_answers_otherwise_pays_itself() -> None:
    """The same people, other answers: nothing of the bill is population."""
    made = bill(np.stack([sums(100, MEANS), sums(50, MEANS - 0.05)])[None])
    assert made is not None
    assert made.split.change == pytest.approx(-0.05)
    assert made.split.explained == pytest.approx(0.0)


def test_few_cases_make_no_bill() -> None:
    """With fewer than thirty cases on a side nothing is said."""
    assert bill(np.stack([sums(100, MEANS), sums(3, MEANS)])[None]) is None
    assert bill(np.zeros((0, 2, STRATA, 3))) is None


def test_lean_is_the_share_of_variance() -> None:
    """A feature that decides all has 1, one that decides nothing 0, and one without cases is not known."""
    decides = sums(100, np.array([0.0] * 5 + [1.0] * 4))
    found = lean(np.stack([decides, sums(100, np.full(STRATA, 0.4)), np.zeros((STRATA, 3))]))
    assert found[0] == pytest.approx(1.0, abs=0.02)
    assert found[1] == 0.0
    assert np.isnan(found[2])


@pytest.mark.parametrize(("since", "share"), [(MEANS, 1.0), (MEANS * 0.5 + 0.3, 0.5), (np.full(STRATA, 0.5), 0.0)])
def test_follows_is_the_slope(since: NDArray[np.float64], share: float) -> None:
    """Answers that follow the strongest feature half as much say so; a shift of all of them says nothing."""
    weak = np.stack([sums(100, np.full(STRATA, 0.5)), sums(100, np.full(STRATA, 0.2))])
    found = follows(np.stack([weak, np.stack([sums(100, MEANS), sums(60, since)])]))
    assert found == pytest.approx(share)


def test_what_never_leaned_cannot_stop() -> None:
    """Without a feature that answers followed nothing is said."""
    flat = np.stack([sums(100, np.full(STRATA, 0.5)), sums(100, MEANS)])[None]
    assert follows(flat) is None
    assert follows(np.zeros((0, 2, STRATA, 3))) is None


def test_own_movement_is_what_inputs_do_not_explain() -> None:
    """Answers higher by 0.2 at the same inputs are that many standard deviations; other people, or chance, are none."""
    sd = np.sqrt(0.25)
    moved = np.stack([sums(1000, np.full(STRATA, 0.5)), sums(500, np.full(STRATA, 0.7))])[None]
    assert own_movement(moved) == pytest.approx(0.2 / sd)
    people = np.stack([sums(1000, MEANS), sums(np.arange(1, 10) * 20.0, MEANS)])[None]
    assert own_movement(people) == 0.0
    assert own_movement(np.stack([sums(1000, MEANS), sums(20, MEANS + 0.01)])[None]) == 0.0
    assert own_movement(np.zeros((1, 2, STRATA, 3))) is None
