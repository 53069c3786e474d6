"""V13, dispersion, the planner and the displayed band: what the figures do on samples whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from monitor.stats import bounds, distances, evidence, power
from monitor.stats.accumulate import accumulate, empty_state
from monitor.stats.dispersion import dispersion, successive_difference

pytestmark = pytest.mark.statistical


def test_v13_psi_null_is_chi_squared() -> None:
    """V13: mean and 95 % point of PSI of two samples of one law are (1/n + 1/m) chi-squared's, to 2 and 3 %.

    1 % for the terms in 1/n that the limit leaves out, and three standard errors of 20,000 rows: .33 % of the mean
    and .7 % of the 95 % point.
    """
    rng = np.random.default_rng(13)
    n, bins, rows = 1_000, 10, 20_000
    reference, current = rng.multinomial(n, np.full(bins, 1 / bins), size=(2, rows))
    found = distances.psi(reference, current)
    mean, q95 = (bins - 1) * 2 / n, float(special.chdtri(bins - 1, 0.05)) * 2 / n
    print(f"V13 PSI null: mean {found.mean():.4f} ({mean:.4f}), 95 % {np.quantile(found, 0.95):.4f} ({q95:.4f})")
    assert found.mean() == pytest.approx(mean, rel=0.02)
    assert np.quantile(found, 0.95) == pytest.approx(q95, rel=0.03)


def test_psi_thresholds_by_folklore() -> None:
    """With 100 events on each side PSI passes .1 mostly by chance; debiased, its mean is near 0 at any size."""
    rng = np.random.default_rng(14)
    for n, bins in ((100, 10), (100, 30), (1_000, 30), (10_000, 10)):
        reference, current = rng.multinomial(n, np.full(bins, 1 / bins), size=(2, 4_000))
        found, chance = distances.psi(reference, current), (bins - 1) * 2 / n
        left = distances.debiased_psi(reference, current).mean()
        print(f"PSI, {bins} bins, n = m = {n}: above .1 in {(found > 0.1).mean():.0%}, mean {found.mean():.4f}, "
              f"debiased {left:.4f}")  # fmt: skip
        assert abs(left) < 0.25 * chance


@pytest.mark.parametrize("n", [1, 3, 10, 50])
def test_dispersion_of_independent_events_is_one(n: int) -> None:
    """At any number of events a tick and any rate, independent events have a dispersion of about 1.

    Over 500 cells of 400 ticks the relative standard error is about sqrt(3 / 200,000), larger for rare outcomes; the
    tolerance is five times what the scatter over the cells says.
    """
    rng = np.random.default_rng(n)
    for rate in (0.02, 0.1, 0.5):
        s = rng.binomial(n, rate, (400, 500, 1)).astype(float)
        numerator, weight = successive_difference(s[:-1], np.full((399, 500), n), s[1:], np.full((399, 500), n))
        whole = float(numerator.sum() / weight.sum())
        each = dispersion(numerator.sum(axis=0), weight.sum(axis=0), 399)
        print(f"dispersion, {n} a tick, rate {rate}: {whole:.3f} over all, cells {each.mean():.3f} +- {each.std():.3f}")
        spread = (numerator.sum(axis=0) - weight.sum(axis=0)).std() / weight.sum(axis=0).mean()
        assert whole == pytest.approx(1.0, abs=1e-9 + 5 * spread / np.sqrt(500))


@pytest.mark.parametrize("distinct", [1, 3, 10, 50])
def test_dispersion_sees_duplicates(distinct: int) -> None:
    """Each event counted twice has a dispersion of 2 or, in ticks of few events, more."""
    rng = np.random.default_rng(distinct)
    n = 2 * distinct
    s = 2.0 * rng.binomial(distinct, 0.1, (400, 500, 1))
    numerator, weight = successive_difference(s[:-1], np.full((399, 500), n), s[1:], np.full((399, 500), n))
    found = float(numerator.sum() / weight.sum())
    print(f"dispersion, {distinct} distinct events counted twice: {found:.2f}")
    assert 1.95 < found < 3.05


def test_dispersion_ignores_a_change_of_level() -> None:
    """A rate that jumps from .1 to .5 leaves successive differences near 1, while scatter about the mean explodes."""
    rng = np.random.default_rng(6)
    s = rng.binomial(50, np.repeat([0.1, 0.5], 100)[:, None], (200, 300))[..., None].astype(float)
    numerator, weight = successive_difference(s[:-1], np.full((199, 300), 50), s[1:], np.full((199, 300), 50))
    found = float(numerator.sum() / weight.sum())
    naive = float((s / 50).var(axis=0).mean() / (0.3 * 0.7 / 50))
    print(f"dispersion across a jump from .1 to .5: {found:.2f}; about the overall mean it would be {naive:.1f}")
    assert found < 1.35
    assert naive > 5


def test_planner_foretells_the_delay() -> None:
    """Rates beyond the edge are found in what the planner said, give or take the price of three alternatives.

    The plan leaves out overshoot and mixture; the mean delay of 400 cells must lie within 0.9 and 1.6 of the plan.
    """
    rng = np.random.default_rng(31)
    edge, n, budget, cells = 0.12, 20, 1e-6, 400
    bets = evidence.shift_logit(edge, np.array([0.25, 0.6, 1.2]))
    for rate in (0.16, 0.2, 0.3):
        state, first = empty_state(cells, 3), np.full(cells, np.inf)
        for t in range(2_000):
            log_e = evidence.log_e_one_sample(rng.binomial(n, rate, cells)[:, None], n, edge, bets)
            step = accumulate(state, log_e.astype(np.float32), np.log(budget))
            state = step.log_r
            first[step.alarm & np.isinf(first)] = t + 1
            if np.isfinite(first).all():
                break
        plan = float(power.ticks_to_alarm_one_sample(n, rate, 0.0, edge, np.log(budget)))
        print(f"planner, rate {rate} against {edge}, 20 a tick, budget 1e-6: plan {plan:.1f}, found {first.mean():.1f}")
        assert 0.9 < first.mean() / plan < 1.6


def test_band_holds_at_all_times() -> None:
    """The displayed band of error .05 is left at some time up to 4,000 events by fewer than .05 of 400 samples."""
    rng = np.random.default_rng(19)
    cuts, runs, size = np.arange(1, 20) / 20, 400, 4_000
    n = np.arange(1, size + 1)
    left = 0
    for _ in range(runs):
        below = (rng.random((size, 1)) <= cuts).cumsum(axis=0) / n[:, None]
        left += bool((np.abs(below - cuts).max(axis=1) > bounds.cdf_band(n)).any())
    print(f"band of error .05: left by {left} of {runs} samples at any of 4,000 sizes")
    assert left / runs <= 0.05
