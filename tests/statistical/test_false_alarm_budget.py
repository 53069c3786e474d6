"""V2, V3, V4, V12: the number of false alarms against the budget that was spent.

Tolerances. The theorem bounds the mean number of alarms by the budget B. Alarms of F independent fleets are at most
as scattered as a Poisson number of clumps of size c, so their average is below B + 4 sqrt(c B / F) but once in 30,000
runs; c is 1, or the fleet's size where its cells are copies of one another. The seeds are fixed.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from monitor.stats import evidence
from monitor.stats.accumulate import accumulate, empty_state
from monitor.stats.dispersion import successive_difference, tempering

pytestmark = pytest.mark.statistical

Array = NDArray[np.float64]
EDGE = 0.12
BETS = evidence.shift_logit(EDGE, np.array([0.25, 0.6, 1.2]))


def boundary_alarms(rng: np.random.Generator, cells: int, ticks: int, log_budgets: list[float]) -> list[int]:
    """False alarms of cells whose rate is exactly the edge of the null, 20 events a tick, one count a budget."""
    states = [empty_state(cells, len(BETS)) for _ in log_budgets]
    alarms = [0] * len(log_budgets)
    for _ in range(ticks):
        s = rng.binomial(20, EDGE, cells)
        log_e = evidence.log_e_one_sample(s[:, None], 20, EDGE, BETS).astype(np.float32)
        for i, log_budget in enumerate(log_budgets):
            step = accumulate(states[i], log_e, log_budget)
            states[i] = step.log_r
            alarms[i] += int(step.alarm.sum())
    return alarms


def allowed(budget: float, fleets: int, clump: int = 1) -> float:
    """The budget and four standard errors of the average over the fleets."""
    return budget + 4 * float(np.sqrt(clump * budget / fleets))


def test_v2_restarting_cells_at_the_boundary() -> None:
    """V2: fleets of 50 cells at the worst point of the null, restarted at alarms, stay within budgets of .5, 2, 8."""
    fleets, cells, ticks, budgets = 400, 50, 500, (0.5, 2.0, 8.0)
    log_budgets = [float(np.log(b / cells / ticks)) for b in budgets]
    means = [n / fleets for n in boundary_alarms(np.random.default_rng(20), fleets * cells, ticks, log_budgets)]
    print(f"V2 budgets {budgets}: mean false alarms {means}")
    assert all(m <= allowed(b, fleets) for m, b in zip(means, budgets, strict=True))
    assert means[-1] > 0.5, "a bound that is never approached would hide a detector that never fires"


def test_v3_cells_that_are_copies() -> None:
    """V3: the same with all 50 cells of a fleet seeing the same events: the mean stays within the budget."""
    fleets, cells, ticks, budgets = 4_000, 50, 500, (0.5, 2.0, 8.0)
    log_budgets = [float(np.log(b / cells / ticks)) for b in budgets]
    means = [n * cells / fleets for n in boundary_alarms(np.random.default_rng(21), fleets, ticks, log_budgets)]
    print(f"V3 budgets {budgets}, identical cells: mean false alarms {means}")
    assert all(m <= allowed(b, fleets, clump=cells) for m, b in zip(means, budgets, strict=True))


def test_v4_ratio_null_with_learned_alternatives() -> None:
    """V4: two groups at exactly the tolerated ratio, sizes at random, bets learned: within 10, 100 and 1,000."""
    rng = np.random.default_rng(22)
    cells, ticks, budgets, tau = 1_000, 1_000, (10.0, 100.0, 1_000.0), 0.8
    ratios = np.array([0.65, 0.45, 0.25])
    rate = rng.uniform(0.1, 0.9, cells)
    states, alarms = [empty_state(cells, 3) for _ in budgets], [0, 0, 0]
    seen = np.zeros((2, cells))
    for _ in range(ticks):
        na, nb = rng.poisson(rng.gamma(2.0, 10.0, cells)), rng.poisson(rng.gamma(1.0, 5.0, cells))
        sa, sb = rng.binomial(na, rate), rng.binomial(nb, tau * rate)
        pool = np.clip((seen[0] + 0.5) / (seen[1] + 1), 1e-3, 0.95)[:, None]
        share = (nb / np.maximum(na + nb, 1))[:, None]
        a1 = np.minimum(pool / (1 - share + share * ratios), 0.97)
        b1 = ratios * a1
        sizes = na[:, None], nb[:, None]
        a0, b0 = evidence.project_ratio(a1, b1, *sizes, tau)
        log_e = evidence.log_e_two_sample(sa[:, None], sizes[0], sb[:, None], sizes[1], a1, b1, a0, b0)
        for i, budget in enumerate(budgets):
            log_budget = np.where((na > 0) & (nb > 0), np.log(budget / cells / ticks), -np.inf)
            step = accumulate(states[i], log_e.astype(np.float32), log_budget)
            states[i] = step.log_r
            alarms[i] += int(step.alarm.sum())
        seen = 0.995 * seen + np.stack([sa + sb, na + nb])
    print(f"V4 ratio exactly .8, budgets {budgets}: false alarms {alarms}")
    assert all(n <= allowed(b, 1) for n, b in zip(alarms, budgets, strict=True))


def clumped_alarms(rng: np.random.Generator, copies: int, temper: bool) -> tuple[int, float]:
    """False alarms of 2,000 cells at the edge, events counted ``copies`` times, budget 20; and the mean exponent."""
    cells, ticks, n = 2_000, 1_000, 10 * copies
    log_budget = float(np.log(20 / cells / ticks))
    state, alarms, eta = empty_state(cells, 3), 0, np.ones(cells)
    sums, previous = np.zeros((2, cells)), np.zeros(cells)
    for t in range(ticks):
        s = copies * rng.binomial(10, EDGE, cells).astype(np.float64)
        if temper:
            eta = tempering(sums[0], sums[1], max(t - 1, 0))
        log_e = eta[:, None] * evidence.log_e_one_sample(s[:, None], n, EDGE, BETS)
        step = accumulate(state, log_e.astype(np.float32), log_budget)
        state = step.log_r
        alarms += int(step.alarm.sum())
        if t:
            sums += successive_difference(previous[:, None], np.full(cells, n), s[:, None], np.full(cells, n))
        previous = s
    return alarms, float(eta.mean())


@pytest.mark.parametrize("copies", [1, 2, 5])
def test_v12_tempering_restores_the_budget(copies: int) -> None:
    """V12: events counted two and five times break the budget of 20 by far; tempered, they keep it."""
    plain, _ = clumped_alarms(np.random.default_rng(23), copies, temper=False)
    tempered, eta = clumped_alarms(np.random.default_rng(23), copies, temper=True)
    print(f"V12 events x{copies}, budget 20: {plain} false alarms, tempered {tempered} (mean exponent {eta:.2f})")
    assert tempered <= allowed(20, 1)
    assert copies == 1 or plain > 10 * 20
