"""Does a reference wait with what rises above it, and take all of it in once that is known to have been chance?"""

from __future__ import annotations

import numpy as np
import pytest
from fleets.cohorts import fleet_of, judged, matured

from monitor.fleet import Fleet
from monitor.outcomes.measures import ERROR_RATE
from monitor.outcomes.rising import NATS_MAX, risen

TOLERANCE = 0.02


def alternating(n: int, rate: float) -> np.ndarray:
    """``n`` outcomes with exactly that rate, evenly mixed."""
    return np.diff(np.floor(np.arange(n + 1) * rate + 1e-9))


def run(fleet: Fleet, ticks: range, rate: float, n: int = 100) -> None:
    for tick in ticks:
        judged(fleet, matured(np.zeros(n), tick, wrong=alternating(n, rate)))


def reference(fleet: Fleet) -> tuple[float, float]:
    """Its rate and its size."""
    s, n = fleet.outcomes.performance.rows["reference"][0, ERROR_RATE].tolist()
    return s / n, n


def after(rate: float, size: float, seen: float, cohorts: int = 200, tolerance: float = TOLERANCE) -> float:
    """The sum after cohorts of 100 outcomes of rate ``seen``, of a reference of ``size`` outcomes of ``rate``."""
    sums = np.zeros(1)
    for _ in range(cohorts):
        sums = risen(
            sums,
            np.array([[100 * seen, 100.0]]),
            np.array([[rate * size, size]]),
            np.array([tolerance]),
            np.ones(1),
        )
    return float(sums[0])


def test_what_is_within_the_tolerance_does_not_wait() -> None:
    """Errors as before, fewer, or more by the tolerance speak for no rise, however long they last; twice it do."""
    assert after(0.1, 1e6, 0.1) == after(0.1, 1e6, 0.02) == after(0.1, 1e6, 0.12) == 0.0
    assert after(0.1, 1e6, 0.14) > 0.0


def test_two_standard_errors_of_the_reference_do_not_wait() -> None:
    """Of 200 outcomes little is known: what lies within their own chance is let in, though nothing is tolerated."""
    chance = 2.0 * np.sqrt(0.1 * 0.9 / 200.0)
    assert after(0.1, 200.0, 0.1 + chance, tolerance=0.0) == 0.0
    assert after(0.1, 1e6, 0.1 + chance, tolerance=0.0) > 0.0


def test_a_rise_is_soon_over() -> None:
    """The sum is limited: after errors of years half a dozen cohorts as before are enough."""
    long = after(0.1, 1e6, 0.9, cohorts=10_000)
    assert long == NATS_MAX
    calm = np.array([long])
    for _ in range(12):
        calm = risen(calm, np.array([[10.0, 100.0]]), np.array([[1e5, 1e6]]), np.array([TOLERANCE]), np.ones(1))
    assert calm[0] == 0.0


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_references_of_one_kind_alone(rate: float) -> None:
    """A reference without an error, or of nothing else, gives a finite sum."""
    assert 0.0 <= after(rate, 200.0, 1.0) <= NATS_MAX


def test_a_lasting_rise_stays_out() -> None:
    """Errors that rise by three tolerances, too little to be suspicious, leave the reference as it was.

    What the first of them brought before they spoke for a rise is at most a cohort.
    """
    fleet = fleet_of(1)
    run(fleet, range(30), 0.12)
    before, size = reference(fleet)
    assert (before, size) == (pytest.approx(0.12), 3000.0)
    run(fleet, range(30, 70), 0.17)
    rate, now = reference(fleet)
    assert now <= size + 100.0
    assert rate == pytest.approx(before, abs=0.002)
    waits = fleet.outcomes.performance.rows["waiting"][0, ERROR_RATE]
    assert waits[1] + now >= 6900.0


def test_a_rise_that_passes_enters_whole() -> None:
    """A bad day is part of what is usual: when it is over, all of it enters, and nothing is lost."""
    fleet = fleet_of(1)
    run(fleet, range(30), 0.12)
    run(fleet, range(30, 36), 0.17)
    assert reference(fleet)[1] <= 3100.0
    run(fleet, range(36, 66), 0.12)
    rate, size = reference(fleet)
    assert size == 6600.0
    assert rate == pytest.approx((60 * 12 + 6 * 17) / 6600.0)
    assert not fleet.outcomes.performance.rows["waiting"][0].any()


def test_what_waits_ends_with_the_reference_and_with_an_incident() -> None:
    """Behind ``learn.events`` and ``learn.for`` nothing waits; what waited when a cell fires is of the fault."""
    ended = fleet_of(1, learn={"events": 1000, "for": "10h"})
    run(ended, range(10), 0.12)
    run(ended, range(10, 60), 0.17)
    assert not ended.outcomes.performance.rows["waiting"][0].any()
    fired = fleet_of(1)
    run(fired, range(30), 0.12)
    run(fired, range(30, 45), 0.17)
    assert fired.outcomes.performance.rows["waiting"][0, ERROR_RATE, 1] > 0.0
    run(fired, range(45, 50), 0.6)
    assert not fired.outcomes.performance.rows["waiting"][0].any()
    assert reference(fired)[0] == pytest.approx(0.12, abs=0.002)


def test_a_changed_tolerance_lets_go_of_what_waits() -> None:
    """Cells that begin anew because their tolerance changed wait for nothing; cells that are forgotten neither."""
    for again in ("restart", "forget"):
        fleet = fleet_of(1)
        run(fleet, range(30), 0.12)
        run(fleet, range(30, 45), 0.17)
        getattr(fleet.outcomes.performance, again)(0)
        rows = fleet.outcomes.performance.rows
        assert not rows["waiting"][0].any()
        assert not rows["rising"][0].any()


def test_hours_of_a_day_enter() -> None:
    """Errors that are by day half as many again as by night are learned, days and nights alike."""
    fleet = fleet_of(1)
    for tick in range(24 * 7):
        run(fleet, range(tick, tick + 1), 0.15 if tick % 24 >= 12 else 0.1, n=60)
    rate, size = reference(fleet)
    assert size >= 24 * 60 * 6
    assert rate == pytest.approx(0.125, abs=0.005)
