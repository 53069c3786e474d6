"""Distances of histograms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from monitor.stats import distances

Distance = Callable[..., NDArray[np.float64]]

ALL: list[Distance] = [
    distances.psi,
    distances.debiased_psi,
    distances.cdf_gap,
    distances.share_gap,
    distances.jensen_shannon,
    distances.hellinger,
    lambda a, b: distances.wasserstein(a, b, np.arange(3.0)),
]


@pytest.mark.parametrize("distance", ALL)
def test_empty_rows_are_nan(distance: Distance) -> None:
    """A row without events on either side is nan, without a warning, and leaves its neighbours alone."""
    reference = np.array([[1, 2, 3], [0, 0, 0], [1, 2, 3], [0, 0, 0]])
    current = np.array([[3, 2, 1], [3, 2, 1], [0, 0, 0], [0, 0, 0]])
    result = distance(reference, current)
    assert result.shape == (4,)
    assert np.isnan(result).tolist() == [False, True, True, True]


@pytest.mark.parametrize("distance", [f for f in ALL if f is not distances.debiased_psi])
def test_equal_shares_have_no_distance(distance: Distance) -> None:
    """Histograms of equal shares are at distance 0, whatever their sizes."""
    np.testing.assert_allclose(distance([[10, 20, 70]], [[1, 2, 7]]), 0.0, atol=1e-8)


def test_known_values() -> None:
    """By hand: shares (.5, .5) against (.25, .75)."""
    reference, current = [[50, 50]], [[25, 75]]
    assert distances.psi(reference, current) == pytest.approx(0.25 * np.log(3))
    assert distances.debiased_psi(reference, current) == pytest.approx(0.25 * np.log(3) - 0.02)
    assert distances.cdf_gap(reference, current) == pytest.approx(0.25)
    assert distances.share_gap(reference, current) == pytest.approx(0.25)
    assert distances.wasserstein(reference, current, [0.0, 10.0]) == pytest.approx(2.5 / 5.0)
    assert distances.hellinger(reference, current) ** 2 == pytest.approx(1 - np.sqrt(0.125) - np.sqrt(0.375))


def test_disjoint_histograms() -> None:
    """Histograms that share no bin are at the largest distance there is, and PSI stays finite."""
    reference, current = [[10, 0]], [[0, 10]]
    assert distances.hellinger(reference, current) == pytest.approx(1.0)
    assert distances.jensen_shannon(reference, current) == pytest.approx(np.log(2))
    assert distances.share_gap(reference, current) == pytest.approx(1.0)
    assert np.isfinite(distances.psi(reference, current)).all()


def test_bins_empty_on_both_sides_do_not_count() -> None:
    """Bins that nobody ever fell into change nothing."""
    padded = distances.debiased_psi([[50, 0, 50, 0]], [[25, 0, 75, 0]])
    assert padded == pytest.approx(distances.debiased_psi([[50, 50]], [[25, 75]]))


def test_one_statistic_in_four_costumes() -> None:
    """Where histograms are close, PSI, chi-squared, 8 JS and 8 Hellinger squared agree to 1 %."""
    rng = np.random.default_rng(3)
    p = rng.dirichlet(np.full(10, 20.0))
    q = p * (1 + 0.03 * rng.choice([-1, 1], 10))
    p, q = p[None] * 1e6, q[None] / q.sum() * 1e6
    chi2 = (((p - q) ** 2) / p).sum() / 1e6
    found = [
        distances.psi(p, q)[0],
        chi2,
        8 * distances.jensen_shannon(p, q)[0],
        8 * distances.hellinger(p, q)[0] ** 2,
    ]
    print("PSI, chi2, 8 JS, 8 H2:", ", ".join(f"{x:.4e}" for x in found))
    np.testing.assert_allclose(found, found[0], rtol=0.01)


def test_wasserstein_of_a_constant_reference_is_nan() -> None:
    """A reference that never varied has no unit to measure in."""
    assert np.isnan(distances.wasserstein([[10, 0]], [[5, 5]], [0.0, 1.0])).all()


def test_reference_broadcasts() -> None:
    """One reference serves many rows."""
    current = np.array([[1, 2, 7], [7, 2, 1]])
    assert distances.psi([[10, 20, 70]], current).shape == (2,)
