"""What the hours of the week bring, and how events that are expected add up over time."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.traffic import expectation
from monitor.traffic.expectation import HOUR, MONDAY, SLOTS


def week(rate: float = 10.0) -> np.ndarray:
    """An office: traffic from 8 to 18 on working days, in slots from Thursday on."""
    hours = np.arange(SLOTS)
    working = ~np.isin(hours // 24, (2, 3)) & (hours % 24 >= 8) & (hours % 24 < 18)
    return np.where(working, rate, 0.0)


def test_a_week_that_was_seen_is_expected() -> None:
    """After four weeks the expectation is the mean of each hour, but for the weight of five events."""
    expected = expectation.rates(week(1000.0)[None], np.full((1, SLOTS), 4, np.uint8))[0]
    assert np.abs(expected[week() > 0] / 1000.0 - 1.0).max() < 0.01
    assert expected[week() == 0].max() < 5.0


def test_hours_that_were_not_seen_lean_on_those_of_their_kind() -> None:
    """One day seen: the other working days are expected to be like it, and are wide; a weekend is wider."""
    observed, seen = np.zeros((1, SLOTS)), np.zeros((1, SLOTS), np.uint8)
    observed[0, :24], seen[0, :24] = np.arange(24) * 100.0, 1
    expected, wide = expectation.rates(observed, seen)[0], expectation.widths(seen)[0]
    assert np.allclose(expected[MONDAY + 6 : MONDAY + 24], observed[0, 6:24], rtol=0.05)
    assert (wide[:24] == 1.0).all()
    assert (wide[MONDAY : MONDAY + 24] == expectation.SAME_KIND).all()
    assert (wide[48:96] == expectation.OTHER_KIND).all()


def test_who_sleeps_at_night_may_rest_at_the_weekend() -> None:
    """Of a model that keeps the hours of people nothing is sure on days of a kind that was never seen."""
    seen = np.where(np.arange(SLOTS) < 48, 1, 0).astype(np.uint8)[None]
    wide = expectation.widths(seen)
    office, always = week(1000.0)[None], np.full((1, SLOTS), 1000.0)
    assert (expectation.sure_rates(expectation.rates(office, seen), wide)[0, 48:96] == 0.0).all()
    assert (expectation.sure_rates(expectation.rates(always, seen), wide)[0, 48:96] > 900.0).all()


@pytest.mark.parametrize("seed", range(5))
def test_between_adds_up(seed: int) -> None:
    """Events expected over a stretch are the sum over its hours, whole weeks and parts of hours included."""
    rng = np.random.default_rng(seed)
    expected = rng.uniform(0, 10, (20, SLOTS))
    start = rng.uniform(1.7e9, 1.8e9, 20)
    stop = start + rng.choice([30.0, 5000.0, 1e5, 2e6], 20)
    got = expectation.between(expected, start, stop)
    for i in range(20):
        edges = np.unique(
            np.r_[start[i], stop[i], np.arange(np.ceil(start[i] / HOUR), np.floor(stop[i] / HOUR) + 1) * HOUR]
        )
        edges = edges[(edges >= start[i]) & (edges <= stop[i])]
        middle = (edges[1:] + edges[:-1]) / 2
        slots = (middle // HOUR).astype(int) % SLOTS
        assert got[i] == pytest.approx(float((expected[i, slots] * np.diff(edges)).sum() / HOUR), rel=1e-6, abs=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_reached_is_the_inverse(seed: int) -> None:
    """As many events as were asked for are expected by the moment that is named, and it comes for whoever has any."""
    rng = np.random.default_rng(seed)
    expected = np.where(rng.random((50, SLOTS)) < 0.5, 0.0, rng.uniform(0, 10, (50, SLOTS)))
    start, events = rng.uniform(1.7e9, 1.8e9, 50), rng.uniform(0.1, 3000.0, 50)
    at = expectation.reached(expected, start, events)
    assert np.allclose(expectation.between(expected, start, at), events, rtol=1e-4, atol=1e-2)
    assert np.isinf(expectation.reached(np.zeros((1, SLOTS)), start[:1], events[:1])).all()


def test_four_weeks_are_remembered() -> None:
    """A new level is expected after four weeks for the most part, and after eight nearly wholly."""
    observed, seen = np.full((1, SLOTS), 100.0, np.float32), np.full((1, SLOTS), 4, np.uint8)
    row, slot = np.array([0]), np.array([7])
    for _ in range(4):
        expectation.remember(observed, seen, row, slot, np.array([200.0]))
    assert 160.0 < observed[0, 7] < 180.0
    for _ in range(4):
        expectation.remember(observed, seen, row, slot, np.array([200.0]))
    assert observed[0, 7] > 185.0
