"""The e-values and the projections beneath them."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from monitor.stats import evidence

Array = NDArray[np.float64]
Project = Callable[..., tuple[Array, Array]]


def bisect_difference(a1: Array, b1: Array, na: Array, nb: Array, eps: Array) -> Array:
    """The projection on ``a - b = eps`` by 200 halvings of the derivative, which is what the cubic's root must be."""
    low, high = np.maximum(eps, 0.0), np.minimum(1.0 + eps, 1.0)
    for _ in range(200):
        x = (low + high) / 2
        y = x - eps
        rising = na * (x - a1) * y * (1 - y) + nb * (y - b1) * x * (1 - x) > 0
        low, high = np.where(rising, low, x), np.where(rising, x, high)
    return (low + high) / 2


def test_cubic_equals_bisection() -> None:
    """The closed form of the difference null is within 1e-9 of bisection, at rates and sizes of any kind."""
    rng = np.random.default_rng(5)
    size = 40_000
    plain, extreme = rng.random((2, size)), 1 / (1 + np.exp(-rng.normal(0, 5, (2, size))))
    a1, b1 = np.concatenate([plain, extreme], axis=1)
    eps = rng.random(2 * size) * 0.5 * rng.integers(-1, 2, 2 * size)
    na, nb = 10 ** rng.uniform(0, 6, (2, 2 * size))
    out = a1 - b1 > eps
    a1, b1, eps, na, nb = (x[out] for x in (a1, b1, eps, na, nb))
    a0, b0 = evidence.project_difference(a1, b1, na, nb, eps)
    error = np.abs(a0 - bisect_difference(a1, b1, na, nb, eps)).max()
    print(f"cubic against bisection: {out.sum()} cases, largest error {error:.1e}")
    assert error < 1e-9
    assert np.all((b0 >= 0) & (b0 <= 1) & (a0 >= 0) & (a0 <= 1))


def test_ratio_projection_is_stationary() -> None:
    """The projection on the ratio null lies on its boundary, at the least divergence of a fine grid."""
    a1, b1, na, nb, tau = 0.4, 0.1, 30.0, 7.0, 0.8
    a0, b0 = evidence.project_ratio(a1, b1, na, nb, tau)
    grid = np.linspace(1e-4, 1 - 1e-4, 100_001)

    def divergence(a: Array, b: Array) -> Array:
        return -na * (a1 * np.log(a) + (1 - a1) * np.log(1 - a)) - nb * (b1 * np.log(b) + (1 - b1) * np.log(1 - b))

    assert b0 == pytest.approx(tau * a0)
    assert divergence(a0, b0) <= divergence(grid, tau * grid).min() + 1e-12


@pytest.mark.parametrize("project", [evidence.project_ratio, evidence.project_difference])
def test_plug_in_inside_null_does_not_bet(project: Project) -> None:
    """An alternative inside the null projects on itself and gives a log e-value of exactly 0."""
    a1, b1 = np.array([0.2, 0.5, 0.0, 1.0]), np.array([0.6, 0.5, 0.0, 1.0])
    bound = 0.8 if project is evidence.project_ratio else 0.05
    a0, b0 = project(a1, b1, 10, 20, bound)
    np.testing.assert_array_equal(evidence.log_e_two_sample(3, 10, 19, 20, a1, b1, a0, b0), 0.0)


@pytest.mark.parametrize("project", [evidence.project_ratio, evidence.project_difference])
def test_one_empty_side_is_no_evidence(project: Project) -> None:
    """A batch without events of one of the groups gives 0, whatever the other group did."""
    for na, nb in ((10, 0), (0, 10), (0, 0)):
        a0, b0 = project(0.5, 0.2, na, nb, 0.1)
        log_e = evidence.log_e_two_sample(na * 0.9, na, nb * 0.1, nb, 0.5, 0.2, a0, b0)
        assert log_e == pytest.approx(0.0, abs=1e-12)


def test_degenerate_probabilities_stay_finite() -> None:
    """Rates of exactly 0 and 1 give finite logs and no warning, in every function."""
    ends = np.array(list(itertools.product((0.0, 1e-12, 0.5, 1.0), repeat=2)))
    p0, p1 = ends[:, :1], ends[:, 1:]
    assert np.isfinite(evidence.log_e_one_sample([0, 3, 7], 7, p0, p1)).all()
    for project in (evidence.project_ratio, evidence.project_difference):
        a0, b0 = project(p0, p1, [0, 5, 9], [4, 0, 9], 0.3)
        assert np.isfinite(evidence.log_e_two_sample([0, 5, 3], [0, 5, 9], [4, 0, 9], [4, 0, 9], p0, p1, a0, b0)).all()
    assert np.isfinite(evidence.log_e_calibration([0, 1], [0.0, 1.0], [[-1.0], [1.0]], 0.1)).all()
    assert np.isfinite(evidence.log_e_multinomial([[2, 0, 0], [0, 0, 0]], [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]))


def test_no_events_are_no_evidence() -> None:
    """An empty tick gives 0."""
    assert evidence.log_e_one_sample(0, 0, 0.1, 0.5) == 0.0
    assert evidence.log_e_multinomial(np.zeros((2, 3)), np.full((2, 3), 1 / 3)) == 0.0


def test_one_sample_formula() -> None:
    """The one-sample e-value is the likelihood ratio of the alternative and the edge."""
    expected = 3 * np.log(0.3 / 0.1) + 7 * np.log(0.7 / 0.9)
    assert evidence.log_e_one_sample(3, 10, 0.1, 0.3) == pytest.approx(expected)


def test_clipping_only_widens_the_null() -> None:
    """Against an edge of 0 or 1 no bet wins more than against the true, larger null at the clip."""
    assert evidence.log_e_one_sample(1, 1, 0.0, 0.5) == pytest.approx(np.log(0.5 / 1e-9))
    assert evidence.log_e_one_sample(0, 1, 1.0, 0.5) == pytest.approx(np.log(0.5 / 1e-9))
    assert evidence.log_e_one_sample(1, 1, 1.0, 1.0) == 0.0


def test_two_by_two_multinomial_is_the_equality_null() -> None:
    """Two samples of two categories give the same e-value as the difference null with no tolerance."""
    p1 = np.array([[0.3, 0.7], [0.1, 0.9]])
    a0, b0 = evidence.project_difference(0.3, 0.1, 20, 50, 0.0)
    two = evidence.log_e_two_sample(8, 20, 4, 50, 0.3, 0.1, a0, b0)
    assert evidence.log_e_multinomial([[8, 12], [4, 46]], p1) == pytest.approx(float(two), abs=1e-12)


def test_calibration_is_exact_at_the_edge() -> None:
    """At the very edge of the tolerance one event's e-value has the mean 1, on both sides."""
    score, shift = np.linspace(0, 1, 11)[:, None], 0.1
    lam = np.array([-1.0, -0.25, 0.25, 1.0])
    edge = evidence.shift_logit(score, np.sign(lam) * shift)
    one, zero = (np.exp(evidence.log_e_calibration(y, score, lam, shift)) for y in (1, 0))
    np.testing.assert_allclose(edge * one + (1 - edge) * zero, 1.0, rtol=1e-12)


def test_shift_logit_inverts() -> None:
    """A shift and its opposite cancel, and the ends stay where they are."""
    p = np.array([0.0, 1e-6, 0.3, 1.0])
    np.testing.assert_allclose(evidence.shift_logit(evidence.shift_logit(p, 1.2), -1.2), p, rtol=1e-12)
