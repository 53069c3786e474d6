"""The planner of detection times."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.stats import power
from monitor.stats.evidence import project_ratio


def test_divergence() -> None:
    """The divergence is 0 from itself, known elsewhere, and inf where the null excludes what happens."""
    assert power.kl_bernoulli(0.3, 0.3) == 0.0
    assert power.kl_bernoulli(0.5, 0.25) == pytest.approx(0.5 * np.log(2) + 0.5 * np.log(2 / 3))
    assert np.isinf(power.kl_bernoulli(0.5, 0.0))
    assert power.kl_bernoulli(1.0, 1.0) == 0.0


def test_inside_the_null_is_never_found() -> None:
    """A rate between the edges takes forever; so do two rates whose projection is themselves."""
    assert np.isinf(power.ticks_to_alarm_one_sample(10, 0.11, 0.08, 0.12, -15.0))
    a0, b0 = project_ratio(0.3, 0.29, 10, 10, 0.8)
    assert np.isinf(power.ticks_to_alarm_two_sample(10, 10, 0.3, 0.29, a0, b0, -15.0))


def test_both_edges_are_watched() -> None:
    """A rate below the low edge is found as one above the high edge is."""
    below, above = power.ticks_to_alarm_one_sample(10, [0.3, 0.7], 0.4, 0.6, -15.0)
    assert below == pytest.approx(above)


def test_more_data_and_less_tempering_are_faster() -> None:
    """Time goes down with the events a tick and with the exponent, and never below a tick."""
    ticks = power.ticks_to_alarm_one_sample([1, 10, 1e6], 0.2, 0.0, 0.12, np.log(1e-6))
    assert ticks[0] == pytest.approx(10 * ticks[1])
    assert ticks[2] == 1.0
    half = power.ticks_to_alarm_one_sample(1, 0.2, 0.0, 0.12, np.log(1e-6), eta=0.5)
    assert half == pytest.approx(2 * ticks[0])


def test_impact_ratio_of_six_tenths() -> None:
    """A favourable rate of .18 against .3 with one minority event in 20: months or minutes, by the traffic."""
    found = []
    for scale in (1, 50):
        a0, b0 = project_ratio(0.3, 0.18, 19 * scale, scale, 0.8)
        budgets = -np.log([2e3, 2e6, 2e9])
        found.append(power.ticks_to_alarm_two_sample(19 * scale, scale, 0.3, 0.18, a0, b0, budgets))
    print("ratio .6, 1 and 50 minority events a tick:", [np.round(x).astype(int).tolist() for x in found])
    np.testing.assert_allclose(found[0], [748, 1429, 2109], atol=1)
    np.testing.assert_allclose(found[1], found[0] / 50)
