"""Is a change split into population and behaviour exactly, and each part laid to what caused it?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.stats.decompose import between, kitagawa

COUNTS = st.lists(st.tuples(*[st.integers(0, 10_000)] * 2, *[st.floats(0.0, 1.0)] * 2), min_size=1, max_size=9)


@given(COUNTS)
def test_terms_sum_to_the_change(strata: list[tuple[int, int, float, float]]) -> None:
    """Whatever is in the strata, empty ones among them, both parts add up to the change of the mean."""
    n0, n1, r0, r1 = (np.array(column, float) for column in zip(*strata, strict=True))
    split = kitagawa(n0, n0 * r0, n1, n1 * r1)
    if not (n0.sum() and n1.sum()):
        assert split is None
        return
    assert split is not None
    change = (n1 * r1).sum() / n1.sum() - (n0 * r0).sum() / n0.sum()
    assert split.population.sum() + split.behaviour.sum() == pytest.approx(change, abs=1e-12)
    assert split.change == pytest.approx(change, abs=1e-12)


@given(COUNTS)
def test_either_side_may_be_the_first(strata: list[tuple[int, int, float, float]]) -> None:
    """Told the other way round, every term has the other sign."""
    n0, n1, r0, r1 = (np.array(column, float) for column in zip(*strata, strict=True))
    there, back = kitagawa(n0, n0 * r0, n1, n1 * r1), kitagawa(n1, n1 * r1, n0, n0 * r0)
    if there is None or back is None:
        return
    assert np.allclose(there.population, -back.population, atol=1e-12)
    assert np.allclose(there.behaviour, -back.behaviour, atol=1e-12)


def test_other_people_alone_are_population() -> None:
    """Shares move, rates stay: all of the change is population, by hand .5 * .1 + .5 * .3 to .2 * .1 + .8 * .3."""
    split = kitagawa([50, 50], [5, 15], [20, 80], [2, 24])
    assert split is not None
    assert split.change == pytest.approx(0.06)
    assert split.explained == pytest.approx(0.06)
    assert np.allclose(split.behaviour, 0.0)
    assert np.allclose(split.population, [0.03 * 1.3, 0.03 * 0.7])


def test_other_rates_alone_are_behaviour() -> None:
    """Rates move, shares stay: nothing of the change is population."""
    split = kitagawa([50, 50], [5, 15], [500, 500], [100, 150])
    assert split is not None
    assert np.allclose(split.population, 0.0)
    assert np.allclose(split.behaviour, [0.05, 0.0])


def test_berkeley_by_department() -> None:
    """Of the gap between men and women at Berkeley in 1973 departments explain more than all there is."""
    men = np.array([[825, 512], [560, 353], [325, 120], [417, 138], [191, 53], [373, 22]], float)
    women = np.array([[108, 89], [25, 17], [593, 202], [375, 131], [393, 94], [341, 24]], float)
    split = kitagawa(men[:, 0], men[:, 1], women[:, 0], women[:, 1])
    assert split is not None
    assert split.change == pytest.approx(557 / 1835 - 1198 / 2691)
    assert split.explained < split.change < 0.0


def test_chance_puts_nothing_between_strata() -> None:
    """Strata of one coin vary by chance as much as is taken off; what is left is what was cut off at 0."""
    rng = np.random.default_rng(1)
    n = np.full(8, 50.0)
    left = [between(n, rng.binomial(50, 0.3, 8), 0.21) for _ in range(400)]
    # (k - 1) v / N is taken off; E[max(X - 7, 0)] of a chi-square of 7 is 0.21 of 7, four standard errors are 0.06.
    assert np.mean(left) == pytest.approx(0.21 * 7 * 0.21 / 400, rel=0.3)
    assert between(n, n * np.arange(8) / 10, 0.1) > 0.04
    assert between([0, 0], [0, 0], 0.1) == 0.0
