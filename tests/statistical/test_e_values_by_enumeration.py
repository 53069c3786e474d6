"""V1: the mean of every e-value under its null is at most 1, added up over all outcomes, not sampled.

The only tolerance is that of float64: 1e-9.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special

from monitor.stats import evidence

pytestmark = pytest.mark.statistical

Array = NDArray[np.float64]
SIZES = (1, 5, 30, 100)
RATES = (0.001, 0.05, 0.3, 0.6, 0.97)


def log_binomial(n: int, p: Array) -> Array:
    """Logs of the probabilities of 0..n successes, (len(p), n + 1)."""
    k = np.arange(n + 1)
    choose = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
    mass: Array = choose + special.xlogy(k, p[:, None]) + special.xlog1py(n - k, -p[:, None])
    return mass


def bernoulli_sum(p: Array) -> Array:
    """Distribution of the number of successes of independent events of means ``p``, by convolution."""
    mass = np.ones(1)
    for rate in p:
        mass = np.convolve(mass, [1 - rate, rate])
    return mass


def joint_e(na: int, nb: int, a1: float, b1: float, a0: Array, b0: Array) -> Array:
    """E-values of all outcomes, (na + 1, nb + 1)."""
    sa, sb = np.arange(na + 1)[:, None], np.arange(nb + 1)[None, :]
    return np.exp(evidence.log_e_two_sample(sa, na, sb, nb, a1, b1, a0, b0))


def ratio_null(tau: float) -> tuple[Array, Array]:
    """Points of "b >= tau a": its boundary and its inside."""
    a = np.linspace(0, 1, 41) * min(1.0, 1 / tau)
    inside = np.array([0.0, 0.02, 0.3, 1.0])
    b = tau * a[:, None] + inside * (1 - tau * a[:, None])
    return np.repeat(a, len(inside)), b.ravel()


def difference_null(eps: float) -> tuple[Array, Array]:
    """Points of "a - b <= eps": its boundary and its inside."""
    a = np.linspace(0, min(1.0, 1.0 + eps), 41)
    inside = np.array([0.0, 0.02, 0.3, 1.0])
    least = np.maximum(a - eps, 0.0)[:, None]
    b = least + inside * (1 - least)
    return np.repeat(a, len(inside)), b.ravel()


@pytest.mark.parametrize("kind", ["ratio", "difference"])
def test_two_sample_mean_is_at_most_one(kind: str) -> None:
    """V1: over a grid of null points, sizes, bounds and alternatives the two-sample e-value's mean is at most 1."""
    project, null, bounds = {
        "ratio": (evidence.project_ratio, ratio_null, (0.5, 0.8, 1.0, 1.25)),
        "difference": (evidence.project_difference, difference_null, (-0.5, -0.1, 0.0, 0.05, 0.2)),
    }[kind]
    worst, tables = 0.0, 0
    for bound in bounds:
        a, b = null(bound)
        mass = {n: (np.exp(log_binomial(n, a)), np.exp(log_binomial(n, b))) for n in SIZES}
        for na, nb, a1, b1 in itertools.product(SIZES, SIZES, RATES, RATES):
            a0, b0 = project(a1, b1, na, nb, bound)
            if a0 == a1 and b0 == b1:
                continue
            means = ((mass[na][0] @ joint_e(na, nb, a1, b1, a0, b0)) * mass[nb][1]).sum(axis=1)
            worst, tables = max(worst, float(means.max())), tables + 1
    print(f"V1 {kind}: {tables} bets x {len(a)} null points, largest E[S] = 1 {worst - 1:+.1e}")
    assert worst <= 1 + 1e-9


def test_one_sample_mean_is_at_most_one() -> None:
    """V1: over a grid of null means, sizes, edges and alternatives, in both directions, the mean is at most 1."""
    worst = 0.0
    for n, edge, bet in itertools.product(SIZES, (0.0, *RATES, 1.0), (0.0, *RATES, 1.0)):
        p = np.linspace(0, edge, 51) if bet > edge else np.linspace(edge, 1, 51)
        log_e = evidence.log_e_one_sample(np.arange(n + 1), n, edge, bet)
        worst = max(worst, float(np.exp(log_binomial(n, p) + log_e).sum(axis=1).max()))
    print(f"V1 one sample: largest E[S] = 1 {worst - 1:+.1e}")
    assert worst <= 1 + 1e-9


def test_multinomial_mean_is_at_most_one() -> None:
    """Three samples of three categories: enumerated over all tables of a few events, equal shares give at most 1."""
    rng = np.random.default_rng(1)
    sizes, worst = (2, 3, 1), 0.0
    triples = [np.array([c for c in itertools.product(range(n + 1), repeat=3) if sum(c) == n]) for n in sizes]
    tables = np.array([np.stack(t) for t in itertools.product(*triples)])
    ways = np.exp(sum(special.gammaln(n + 1) for n in sizes) - special.gammaln(tables + 1).sum(axis=(1, 2)))
    for _ in range(40):
        e = np.exp(evidence.log_e_multinomial(tables, rng.dirichlet(np.full(3, 0.5), size=3)))
        shares = rng.dirichlet(np.ones(3), size=40)
        mass = ways * np.prod(shares[:, None, None, :] ** tables, axis=(2, 3))
        np.testing.assert_allclose(mass.sum(axis=1), 1.0)
        worst = max(worst, float((mass * e).sum(axis=1).max()))
    print(f"V1 multinomial: {len(tables)} tables, largest E[S] = 1 {worst - 1:+.1e}")
    assert worst <= 1 + 1e-9


def test_unlike_events_in_a_batch() -> None:
    """Events of different means, on the null only on average over the batch, keep the mean at most 1."""
    rng = np.random.default_rng(7)
    worst = 0.0
    for _ in range(200):
        na, nb, a1 = int(rng.integers(1, 40)), int(rng.integers(1, 40)), float(rng.uniform(0.05, 0.95))
        spread = rng.beta(0.5, 0.5, na)
        other = np.clip(rng.beta(0.5, 0.5, nb), 1e-3, 1)
        other *= 0.8 * spread.mean() / other.mean()
        if other.max() > 1:
            continue
        b1 = a1 * float(rng.uniform(0.1, 0.75))
        a0, b0 = evidence.project_ratio(a1, b1, na, nb, 0.8)
        mean = bernoulli_sum(spread) @ joint_e(na, nb, a1, b1, a0, b0) @ bernoulli_sum(other)
        worst = max(worst, float(mean))
    print(f"V1 unlike events, average exactly at ratio .8: largest E[S] = {worst:.6f}")
    assert worst <= 1 + 1e-9


def test_fractional_outcomes() -> None:
    """Outcomes between 0 and 1 of the edge's mean keep the mean at most 1: eleven-point outcomes, enumerated."""
    values, worst = np.linspace(0, 1, 11), 0.0
    for tilt in (-4.0, -1.0, 0.0, 2.0):
        mass = np.exp(tilt * values)
        mass /= mass.sum()
        edge = float(mass @ values)
        for bet in RATES:
            one = float(mass @ np.exp(evidence.log_e_one_sample(values, 1, edge, bet)))
            worst = max(worst, one)
    print(f"V1 fractional outcomes, one event: largest E[S] = {worst:.6f}")
    assert worst <= 1 + 1e-9
