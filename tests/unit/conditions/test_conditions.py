"""Does the daemon notice what is wrong with itself, say it for as long as it matters, and no longer?"""

from __future__ import annotations

import math

import pytest

from monitor import conditions
from monitor.clock import ManualClock, SystemClock
from monitor.conditions import RECENT_SECONDS, Conditions, memory_limit, resident_bytes
from monitor.status import Check
from monitor.telemetry.metrics import Metrics

NOW = 1_767_225_600.0
QUIET = (NOW - 60.0, 30.0)


class SetClock(ManualClock):
    """A clock that can be set while time goes on."""

    def __init__(self) -> None:
        super().__init__(NOW)
        self.off = 0.0

    def wall(self) -> float:
        return super().now() + self.off


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def watched(metrics: Metrics, clock: SetClock) -> Conditions:
    watched = Conditions(metrics, clock, 10 * resident_bytes())
    assert {check.status for check in watched.look(*QUIET).values()} == {"ok"}
    return watched


def bad(checks: dict[str, Check]) -> dict[str, str]:
    return {name: check.detail for name, check in checks.items() if check.status != "ok"}


def test_memory_is_short_until_there_is_some(
    monkeypatch: pytest.MonkeyPatch, metrics: Metrics, clock: SetClock
) -> None:
    """At nine tenths of the limit memory is short, and stays so until a good part of it is free again."""
    held = iter([500, 910, 870, 840])
    monkeypatch.setattr(conditions, "resident_bytes", lambda: next(held))
    watched = Conditions(metrics, clock, 1000)
    short = []
    for _ in range(4):
        check = watched.look(*QUIET)["memory"]
        assert watched.memory_is_short == (check.status == "degraded")
        short.append(watched.memory_is_short)
    assert short == [False, True, True, False]


def test_the_limit_is_the_machines_at_most() -> None:
    """The limit lies between what this process holds and what any machine has."""
    assert resident_bytes() < memory_limit() < 1 << 50


def test_a_clock_that_was_set(watched: Conditions, metrics: Metrics, clock: SetClock) -> None:
    """A step is counted once and told for ten minutes; a clock that drifts is not one that was set."""
    for _ in range(20):
        clock.advance(1.0)
        clock.off += 0.0005
        assert not bad(watched.look(*QUIET))
    clock.off += 3600.0
    assert "+3,600 s" in bad(watched.look(*QUIET))["clock"]
    clock.advance(RECENT_SECONDS - 1.0)
    assert "clock" in bad(watched.look(*QUIET))
    clock.advance(2.0)
    assert "clock" not in bad(watched.look(*QUIET))
    assert metrics.clock_steps.collect()[0].samples[0].value == 1


def test_a_clock_that_was_set_back_is_told_until_it_agrees(metrics: Metrics) -> None:
    """As long as time is held to be later than the machine says, that is degraded."""
    at = {"wall": NOW, "monotonic": 5.0}
    watched = Conditions(metrics, SystemClock(lambda: at["wall"], lambda: at["monotonic"]), 10 * resident_bytes())
    at["wall"] -= 100.0
    assert "100 s later" in bad(watched.look(*QUIET))["clock"]
    for _ in range(1001):
        at = {name: value + 1.0 for name, value in at.items()}
        last = bad(watched.look(*QUIET))
    assert "clock" not in last


@pytest.mark.parametrize(("behind", "waiting", "told"), [(200, 9, False), (900, 0, False), (900, 9, True)])
def test_far_behind(
    watched: Conditions, metrics: Metrics, clock: SetClock, behind: float, waiting: int, told: bool
) -> None:
    """Behind is who has records to read and event time that is old, not who reads old records to the end."""
    metrics.consumer_lag.show({("t", "0"): waiting})
    assert ("lag" in bad(watched.look(clock.now() - behind - 30.0, 30.0))) == told


def test_behind_says_until_when(watched: Conditions, metrics: Metrics, clock: SetClock) -> None:
    """What waits, by how much event time is behind, and when it will have caught up at this rate."""
    for waiting in (6_000, 5_500, 5_000):
        metrics.consumer_lag.show({("t", "0"): waiting, ("t", "1"): waiting})
        detail = watched.look(clock.now() - 1230.0, 30.0)["lag"].detail
        clock.advance(10.0)
    assert detail == "10,000 records wait, event time is 20 min behind; caught up in 2 min"
    metrics.consumer_lag.show({("t", "0"): 20_000})
    assert "not catching up" in watched.look(clock.now() - 1230.0, 30.0)["lag"].detail
    assert "lag" not in bad(watched.look(-math.inf, 30.0)), "before the first event nothing is late"


@pytest.mark.parametrize("limit", ["models", "features", "open_ticks", "memory"])
def test_a_flood(watched: Conditions, metrics: Metrics, clock: SetClock, limit: str) -> None:
    """What a limit turned away is named with its number for ten minutes."""
    metrics.limits_turned_away.labels(limit).inc(1234)
    clock.advance(10.0)
    assert bad(watched.look(*QUIET)) == {"limits": f"turned away within 10 min: {limit} 1,234"}
    for _ in range(70):
        clock.advance(10.0)
        last = bad(watched.look(*QUIET))
    assert not last


def test_bad_records(watched: Conditions, metrics: Metrics, clock: SetClock) -> None:
    """Dead letters and late events are told from a hundredth of the records on, lost ones always."""
    metrics.events.labels("t", "prediction").inc(10_000)
    metrics.dead_letters.labels("json").inc(50)
    metrics.late_events.inc(300)
    clock.advance(1.0)
    assert bad(watched.look(*QUIET)) == {"records": "within 10 min: late 300"}
    metrics.lost_records.inc(7)
    metrics.dead_letters.labels("json").inc(500)
    assert bad(watched.look(*QUIET)) == {"records": "within 10 min: dead letters (json) 550, late 300, lost 7"}
