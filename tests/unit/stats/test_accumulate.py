"""The budgeted accumulation of evidence."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from monitor.stats.accumulate import accumulate, empty_state, restarted

Array = NDArray[np.float64]


def linear_step(r: Array, e: Array, budget: Array) -> Array:
    """The recursion as the theorem writes it, without logarithms."""
    return (r + budget[:, None] / r.shape[1]) * e


def test_equals_the_recursion_in_the_theorem() -> None:
    """The log form gives what (R + b) S gives, component by component."""
    rng = np.random.default_rng(2)
    r = rng.random((50, 4)) * 0.01
    budget = 10 ** rng.uniform(-9, -3, 50)
    log_e = rng.normal(0, 1, (50, 4))
    expected = linear_step(r, np.exp(log_e), budget)
    got = accumulate(np.log(r), log_e, np.log(budget))
    np.testing.assert_allclose(got.log_r, np.log(expected), atol=1e-12)
    np.testing.assert_allclose(got.log_total, np.log(expected.sum(axis=1)), atol=1e-12)


def test_alarm_resets_its_row_only() -> None:
    """A cell that reaches 1 alarms, keeps its evidence for the report and begins again at 0."""
    log_r = np.log(np.array([[0.3, 0.3], [0.1, 0.1]]))
    got = accumulate(log_r, np.full((2, 2), np.log(2.0)), np.log(1e-6))
    assert got.alarm.tolist() == [True, False]
    assert np.isneginf(got.log_r[0]).all()
    assert got.log_total[0] == pytest.approx(np.log(1.2), abs=1e-5)
    assert np.isfinite(got.log_r[1]).all()


def test_without_budget_nothing_is_bet() -> None:
    """A cell whose budget is 0 keeps its state, whatever its log e-value says."""
    log_r = np.log(np.array([[0.3, 0.3], [0.1, 0.1]]))
    got = accumulate(log_r, np.array([[50.0, np.nan], [0.0, 0.0]]), np.array([-np.inf, np.log(1e-6)]))
    np.testing.assert_array_equal(got.log_r[0], log_r[0])
    assert not got.alarm.any()


def test_arguments_are_left_alone() -> None:
    """The function is pure: state, evidence and budget are unchanged by it."""
    log_r, log_e = empty_state(3, 2), np.full((3, 2), 100.0, dtype=np.float32)
    accumulate(log_r, log_e, np.log(1e-6))
    assert np.isneginf(log_r).all()
    assert (log_e == 100.0).all()


def test_extreme_evidence() -> None:
    """Evidence far beyond the range of exp alarms with a finite total; crushing doubt leaves nothing."""
    log_e = np.array([[5_000.0, -5_000.0], [-np.inf, -np.inf]])
    got = accumulate(empty_state(2, 2).astype(np.float64), log_e, np.log([1e-6, 1e-6]))
    assert got.alarm.tolist() == [True, False]
    assert got.log_total[0] == pytest.approx(5_000 + np.log(5e-7))
    assert np.isneginf(got.log_total[1])


def test_weights_share_the_budget() -> None:
    """Unequal weights divide the same budget."""
    got = accumulate(empty_state(1, 2), np.zeros((1, 2)), np.log(0.01), np.log([0.9, 0.1]))
    np.testing.assert_allclose(np.exp(got.log_r), [[0.009, 0.001]], rtol=1e-5)


def test_float32_equals_float64() -> None:
    """A float32 state stays within 1e-4 nats of a float64 one over 1,000 ticks, and alarms on the same ticks."""
    rng = np.random.default_rng(4)
    single, double = empty_state(200, 6), empty_state(200, 6).astype(np.float64)
    worst, alarms = 0.0, 0
    for _ in range(1_000):
        log_e = rng.normal(-0.05, 0.5, (200, 6))
        a, b = accumulate(single, log_e.astype(np.float32), -12.0), accumulate(double, log_e, -12.0)
        assert a.log_r.dtype == np.float32
        np.testing.assert_array_equal(a.alarm, b.alarm)
        worst = max(worst, float(np.abs(a.log_total - b.log_total).max()))
        alarms += int(b.alarm.sum())
        single, double = a.log_r, b.log_r
    print(f"float32 against float64: {worst:.1e} nats at most over 1,000 ticks, {alarms} alarms, all at the same ticks")
    assert worst < 1e-4
    assert alarms > 100


def test_restarted_names_the_onset() -> None:
    """A cell counts as restarted while its evidence is what the tick's budget alone explains, and no longer after."""
    budget = np.log(1e-6)
    first = accumulate(empty_state(1, 2), np.full((1, 2), -0.5), budget)
    assert restarted(first.log_total, budget).all()
    later = accumulate(first.log_r, np.full((1, 2), 5.0), budget)
    assert not restarted(later.log_total, budget).any()
    assert restarted(np.array([-np.inf]), -np.inf).all()
