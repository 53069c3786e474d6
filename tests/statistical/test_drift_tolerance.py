"""V9 and the learned reference: drift of a distribution, judged at the reference's nine deciles.

Tolerances. Inside the null the expected number of alarms is at most cells x ticks x budget a tick; so many alarms or
fewer are asked for, plus four Poisson standard errors. Shares found are given one per cell, with four binomial ones.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special

from monitor.stats import bounds, evidence
from monitor.stats.accumulate import accumulate, empty_state

pytestmark = pytest.mark.statistical

Array = NDArray[np.float64]
DECILES = special.ndtri(np.arange(1, 10) / 10)
TOLERANCE = 0.02
FINE, COARSE = (0.1, 0.5), (0.25, 0.6)
"""Alternatives, in logits beyond the edge of the null."""


def cdf_of_shift(gap: float) -> Array:
    """Distribution function at the deciles of a normal moved so far that the largest gap anywhere is ``gap``."""
    moved: Array = special.ndtr(DECILES - 2 * special.ndtri((1 + gap) / 2))
    return moved


def counts_below(rng: np.random.Generator, n: int, cdf: Array, cells: int) -> Array:
    """Events up to each cut, (cells, cuts)."""
    bins = np.diff(np.concatenate([[0.0], cdf, [1.0]]))
    counts: Array = rng.multinomial(n, bins, size=cells)[:, :-1].cumsum(axis=1).astype(np.float64)
    return counts


def drift_log_e(s: Array, n: int, low: Array, high: Array, shifts: tuple[float, float] = FINE) -> NDArray[np.float32]:
    """Both sides of every cut, two alternatives each: (cells, 36)."""
    edges = np.stack([low, high], axis=-1)[..., None]
    bets = evidence.shift_logit(edges, np.array([[-1.0], [1.0]]) * np.array(shifts))
    log_e = evidence.log_e_one_sample(s[..., None, None], n, edges, bets)
    return log_e.reshape(len(s), -1).astype(np.float32)


def first_alarms(
    rng: np.random.Generator, n: int, gap: float, cells: int = 500, shifts: tuple[float, float] = FINE
) -> Array:
    """Tick of each cell's first alarm, inf for none in 1,000 ticks, at a budget of 1e-5 a tick."""
    cuts = np.arange(1, 10) / 10
    low, high = cuts - TOLERANCE, cuts + TOLERANCE
    cdf, state, first = cdf_of_shift(gap), empty_state(cells, 36), np.full(cells, np.inf)
    for t in range(1_000):
        log_e = drift_log_e(counts_below(rng, n, cdf, cells), n, low, high, shifts)
        step = accumulate(state, log_e, np.log(1e-5))
        state = step.log_r
        first[step.alarm & np.isinf(first)] = t + 1
        if np.isfinite(first).all():
            break
    return first


@pytest.mark.parametrize("n", [50, 500, 5_000])
def test_v9_no_alarm_inside_the_tolerance(n: int) -> None:
    """V9: however many events a tick, a distribution that moved by less than the tolerance does not alarm."""
    for gap in (0.0, 0.008, 0.0199):
        found = int(np.isfinite(first_alarms(np.random.default_rng(n), n, gap)).sum())
        print(f"V9 gap {gap}, {n} events a tick: {found} of 500 cells alarm in 1,000 ticks (budget 5)")
        assert found <= 5 + 4 * np.sqrt(5)
        assert gap == 0.0199 or found == 0


@pytest.mark.parametrize("n", [50, 500, 5_000])
def test_v9_beyond_the_tolerance_is_found(n: int) -> None:
    """V9: a distribution that moved by more than the tolerance is found, sooner the further and the more events."""
    medians = []
    for gap in (0.04, 0.079, 0.197):
        first = first_alarms(np.random.default_rng(n + 1), n, gap, cells=200)
        medians.append(float(np.median(first)))
        print(f"V9 gap {gap}, {n} events a tick: {np.isfinite(first).mean():.0%} found, median {medians[-1]:g} ticks")
        assert np.isfinite(first).mean() > (0.9 if gap == 0.04 else 0.999)
    assert medians == sorted(medians, reverse=True)


def test_a_bet_on_too_much_loses() -> None:
    """A gap of .04 is at once found by alternatives of .1 logits, and hardly ever by .25: they bet on more than is so.

    A bet on a shift grows where the truth is beyond about half of it. The gap is .08 logits beyond the edge.
    """
    medians = {}
    for shifts in (FINE, COARSE):
        first = first_alarms(np.random.default_rng(9), 5_000, 0.04, cells=200, shifts=shifts)
        medians[shifts] = float(np.median(first))
        print(f"gap .04, 5,000 a tick, alternatives {shifts} logits: {np.isfinite(first).mean():.0%} found, "
              f"median {medians[shifts]:g} ticks")  # fmt: skip
    assert medians[COARSE] > 20 * medians[FINE]


@pytest.mark.parametrize("size", [200, 1_000])
def test_learned_reference_needs_its_bound(size: int) -> None:
    """References of few events taken for the truth alarm falsely in many cells; with their bound at 1e-4 none does.

    Were the null true, .01 alarms would be expected, and two or more would have a probability of 5e-5.
    """
    rng = np.random.default_rng(size)
    cells, ticks, n = 200, 2_016, 50
    truth, log_budget = cdf_of_shift(0.0), float(np.log(5 / 10_080 / 20_000))
    seen = counts_below(rng, size, truth, cells)
    edges = [(seen / size - TOLERANCE, seen / size + TOLERANCE), bounds.null_edge(seen, size, TOLERANCE)]
    states, alarmed = [empty_state(cells, 36) for _ in edges], [np.zeros(cells, dtype=bool) for _ in edges]
    for _ in range(ticks):
        s = counts_below(rng, n, truth, cells)
        for i, (low, high) in enumerate(edges):
            step = accumulate(states[i], drift_log_e(s, n, np.maximum(low, 0.0), np.minimum(high, 1.0)), log_budget)
            states[i] = step.log_r
            alarmed[i] |= step.alarm
    plain, bound = (int(a.sum()) for a in alarmed)
    print(f"reference of {size}: taken for the truth {plain} of {cells} cells alarm falsely, with its bound {bound}")
    assert bound == 0
    assert plain >= 2
