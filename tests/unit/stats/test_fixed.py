"""Bounds for one look at two samples.

The error of an exact bound is computed from the binomial distribution, not simulated. Simulated rates are compared
with ``p + 4 sqrt(p (1 - p) / runs)``, which chance passes once in 30,000.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

from monitor.stats.fixed import holm, least_gap, least_rise, mean_bounds, mean_reach, p_value


@pytest.mark.parametrize("n", [1, 7, 60])
@pytest.mark.parametrize("rate", [0.01, 0.3, 0.5])
def test_bounds_of_a_rate_err_no_more_than_they_say(n: int, rate: float) -> None:
    """Whatever the rate and the size, each end is beyond the truth with at most the probability that was asked for."""
    k = np.arange(n + 1)
    chance = special.comb(n, k) * rate**k * (1 - rate) ** (n - k)
    low, high = mean_bounds(k, n, 0.05)
    assert chance[low > rate].sum() <= 0.05
    assert chance[high < rate].sum() <= 0.05


def test_bounds_of_a_mean_that_does_not_count() -> None:
    """Values between 0 and 1 get Chernoff's bound, which holds, and is wider than that of a rate."""
    rng, runs = np.random.default_rng(1), 2000
    sums = rng.beta(2.0, 5.0, size=(runs, 50)).sum(axis=1)
    low, high = mean_bounds(sums, 50, 0.05)
    slack = 4 * math.sqrt(0.05 * 0.95 / runs)
    assert (low > 2 / 7).mean() <= 0.05 + slack
    assert (high < 2 / 7).mean() <= 0.05 + slack
    assert mean_bounds(20.5, 50, 0.05)[0] < mean_bounds(20.0, 50, 0.05)[0]


def test_no_cases_bound_nothing() -> None:
    """Of nothing nothing is known."""
    assert [float(end) for end in mean_bounds(0, 0, 0.01)] == [0.0, 1.0]
    assert mean_reach(np.zeros(1), 0.01) == math.inf


def test_reach_of_a_mean_holds_and_adapts() -> None:
    """The mean lies within its reach, and the reach is small where values vary little."""
    rng, runs = np.random.default_rng(2), 1000
    samples = rng.beta(1.0, 30.0, size=(runs, 400))
    outside = sum(sample.mean() - mean_reach(sample, 0.05) > 1 / 31 for sample in samples)
    assert outside / runs <= 0.05 + 4 * math.sqrt(0.05 * 0.95 / runs)
    assert mean_reach(samples[0], 0.05) < mean_reach(rng.integers(0, 2, 400).astype(float), 0.05)


def test_a_rise_that_is_certain() -> None:
    """What is certain of a rise is less than what was seen, and approaches it with the size."""
    small, large = (float(least_rise(0.2 * n, n, 0.5 * n, n, 0.01)) for n in (100, 100_000))
    assert small < large < 0.3
    assert large == pytest.approx(0.3, abs=0.02)
    assert float(least_gap(50_000, 100_000, 20_000, 100_000, 0.01)) == pytest.approx(0.3, abs=0.02)


def test_many_questions_at_the_edge_of_what_is_tolerated() -> None:
    """Of questions that all lie at the edge of the tolerance one is refused in one family of a hundred at most."""
    rng, families, questions, n, level = np.random.default_rng(3), 100, 20, 400, 0.01
    refused = 0
    for _ in range(families):
        k, now = rng.binomial(n, 0.3, questions), rng.binomial(n, 0.35, questions)

        def p(i: int, k: np.ndarray = k, now: np.ndarray = now) -> float:
            return p_value(lambda error: float(least_gap(k[i], n, now[i], n, error)) > 0.05)

        refused += bool(holm(np.array([p(i) for i in range(questions)]), level).any())
    assert refused / families <= level + 4 * math.sqrt(level * (1 - level) / families)


def test_holm_steps_down() -> None:
    """The second smallest is held against less than the smallest is; behind one that fails to pass none does."""
    assert holm(np.array([0.04, 0.002, 0.012]), 0.025).tolist() == [False, True, True]
    assert holm(np.array([0.009, 0.02, 0.0001]), 0.02).tolist() == [True, True, True]
    assert holm(np.array([0.5, 0.011]), 0.02).tolist() == [False, False]
    assert holm(np.zeros(0), 0.01).tolist() == []
