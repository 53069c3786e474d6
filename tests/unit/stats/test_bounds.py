"""Bounds on rates."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special

from monitor.stats import bounds

Array = NDArray[np.float64]


def binomial(n: int, p: Array) -> Array:
    """Probabilities of 0..n successes, (len(p), n + 1)."""
    k = np.arange(n + 1)
    choose = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
    return np.exp(choose + special.xlogy(k, p[:, None]) + special.xlog1py(n - k, -p[:, None]))


@pytest.mark.parametrize("error", [1e-4, 0.05])
def test_clopper_pearson_covers(error: float) -> None:
    """Enumerated over all counts, neither bound misses the true rate with more than the error asked for."""
    p = np.concatenate([np.linspace(0, 1, 201), [1e-4, 1e-3, 1 - 1e-3]])
    worst = 0.0
    for n in (1, 5, 30, 200, 1_000):
        k = np.arange(n + 1)
        mass = binomial(n, p)
        above = (mass * (bounds.clopper_pearson_lower(k, n, error) > p[:, None])).sum(axis=1)
        below = (mass * (bounds.clopper_pearson_upper(k, n, error) < p[:, None])).sum(axis=1)
        worst = max(worst, float(above.max()), float(below.max()))
    print(f"Clopper-Pearson at error {error:g}: misses with probability {worst:.3g} at most")
    assert worst <= error * (1 + 1e-9)


def test_bounds_at_the_ends() -> None:
    """No success has the lower bound 0, all successes the upper bound 1, no trials say nothing."""
    assert bounds.clopper_pearson_lower(0, 10, 0.05) == 0.0
    assert bounds.clopper_pearson_upper(10, 10, 0.05) == 1.0
    assert bounds.clopper_pearson_upper(0, 10, 0.05) == pytest.approx(1 - 0.05**0.1)
    low, high = bounds.null_edge(0, 0, 0.02)
    assert (low, high) == (0.0, 1.0)


def test_null_edge_holds_bound_and_tolerance() -> None:
    """The edges are the bounds moved outwards by the tolerance, inside [0, 1], and close in with the reference."""
    low, high = bounds.null_edge([50, 500, 5_000], [100, 1_000, 10_000], 0.02)
    assert np.all(np.diff(high) < 0)
    assert np.all(np.diff(low) > 0)
    assert high[2] == pytest.approx(bounds.clopper_pearson_upper(5_000, 10_000, 1e-4) + 0.02)
    print(f"edge above a rate of .5 with tolerance .02: {', '.join(f'{h:.3f}' for h in high)} (n = 100, 1,000, 10,000)")
    assert bounds.null_edge(10, 10, 0.5)[1] == 1.0


def test_wilson_known_value() -> None:
    """Ten of a hundred have the 95 % score interval .055 to .174; no trials give (0, 1)."""
    low, high = bounds.wilson([10, 0], [100, 0])
    assert (low[0], high[0]) == (pytest.approx(0.0552, abs=5e-5), pytest.approx(0.1744, abs=5e-5))
    assert (low[1], high[1]) == (0.0, 1.0)


def test_cdf_band_shrinks_and_is_capped() -> None:
    """The band is 1 before its first size, at most 1 after, and near .028 at 10,000 events."""
    radius = bounds.cdf_band([0, 1, 99, 10_000, 1_000_000])
    assert radius[:2].tolist() == [1.0, 1.0]
    assert np.all(np.diff(radius) <= 0)
    assert radius[3] == pytest.approx(0.0277, abs=5e-5)
    assert bounds.cdf_band(50, n_min=100) == 1.0


def test_an_edge_of_a_difference_holds_the_true_one() -> None:
    """Of 40,000 pasts of two samples each, the true difference lies beyond an edge in about 1 % on either side."""
    rng = np.random.default_rng(8)
    size, error = 40_000, 0.01
    for (a, na), (b, nb) in (((0.3, 200), (0.2, 900)), ((0.05, 400), (0.04, 300)), ((0.9, 150), (0.5, 150))):
        ka, kb = rng.binomial(na, a, size), rng.binomial(nb, b, size)
        low, high = bounds.gap_edge(ka, na, kb, nb, 0.0, error)
        for missed in (low > a - b, high < a - b):
            assert missed.mean() < 1.5 * error
    low, high = bounds.gap_edge([50, 0, 3], [100, 0, 3], [20, 5, 0], [100, 5, 3], 0.1)
    assert (low[1], high[1], high[2]) == (-1.0, 1.0, 1.0)
    wider = bounds.gap_edge(50, 100, 20, 100, 0.0)
    assert (low[0], high[0]) == (pytest.approx(wider[0] - 0.1), pytest.approx(wider[1] + 0.1))
