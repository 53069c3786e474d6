"""Are the customary figures those that everybody else computes?"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from monitor.stats.customary import fisher_exact, ratio_to_highest, two_proportion_z


@pytest.mark.parametrize("seed", range(40))
def test_fisher_is_fisher(seed: int) -> None:
    """The two-sided p-value is that of scipy, at any size and however extreme."""
    rng = np.random.default_rng(seed)
    n_a, n_b = rng.integers(1, 5000, 2).tolist()
    rate = rng.random()
    k_a, k_b = rng.binomial(n_a, rate), rng.binomial(n_b, min(rate * rng.uniform(0.5, 1.5), 1.0))
    known = stats.fisher_exact([[k_a, n_a - k_a], [k_b, n_b - k_b]]).pvalue
    assert fisher_exact(int(k_a), n_a, int(k_b), n_b) == pytest.approx(known, rel=1e-7, abs=1e-14)


def test_fisher_of_nothing() -> None:
    """Where one side is empty, or all are alike, nothing speaks against chance; the tea that Fisher was poured does."""
    assert fisher_exact(0, 0, 3, 5) == 1.0
    assert fisher_exact(4, 4, 5, 5) == 1.0
    assert fisher_exact(3, 4, 1, 4) == pytest.approx(34 / 70)


def test_z_is_the_root_of_chi_square() -> None:
    """Squared it is Pearson's statistic without correction, and its sign says who has less."""
    z = two_proportion_z(30, 100, 60, 120)
    table = [[30, 70], [60, 60]]
    assert z**2 == pytest.approx(stats.chi2_contingency(table, correction=False).statistic)
    assert z < 0.0
    assert math.isnan(two_proportion_z(0, 10, 0, 10))
    assert math.isnan(two_proportion_z(1, 1, 0, 0))


def test_ratios_to_the_highest() -> None:
    """The highest has 1; without any there is none."""
    assert ratio_to_highest(np.array([0.2, 0.5])).tolist() == [0.4, 1.0]
    assert np.isnan(ratio_to_highest(np.zeros(2))).all()
