"""Does the fire drill foretell what really happens? The same faults in the sums and in the stream."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fleets.build import DAY, HOUR, START, event, feed, new_fleet

from monitor.drill.drill import Drill, drill_of, prepare
from monitor.drill.findings import document, names_of, told
from monitor.drill.past import Past
from monitor.fleet import Fleet
from monitor.tally.closed import ClosedTick

PER_HOUR, LEARNED_HOURS, AFTER_HOURS = 60, 24 * 6, 24 * 5
POLICY = {"tick": "30m", "learn": {"events": 2000, "for": "2d"}}
COMMON = ["a"] * 5 + ["b"] * 3 + ["c"] * 2


def features(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "x": float(rng.normal(100, 15)),
        "u": float(rng.uniform()),
        "c": COMMON[int(rng.integers(10))],
    }


def part(name: str, p: float, value: Any) -> Callable[[dict[str, Any], np.random.Generator], None]:
    """A part of a feature's values is another one; ``None`` stands for null."""

    def strike(f: dict[str, Any], rng: np.random.Generator) -> None:
        if rng.uniform() < p:
            f[name] = value

    return strike


def shifted(size: float) -> Callable[[dict[str, Any], np.random.Generator], None]:
    def strike(f: dict[str, Any], _rng: np.random.Generator) -> None:
        f["x"] += size * 15

    return strike


def spread(f: dict[str, Any], _rng: np.random.Generator) -> None:
    f["x"] = 100 + 1.5 * (f["x"] - 100)


def swapped(f: dict[str, Any], rng: np.random.Generator) -> None:
    if f["c"] == "a" and rng.uniform() < 0.5:
        f["c"] = "b"


PLANTED: dict[tuple[str, str], Callable[[dict[str, Any], np.random.Generator], None]] = {
    ("x", "shift_0.5"): shifted(0.5),
    ("x", "shift_1"): shifted(1.0),
    ("x", "spread_1.5"): spread,
    ("x", "missing_0.2"): part("x", 0.2, None),
    ("u", "out_of_range_0.05"): part("u", 0.05, -9.0),
    ("u", "type_0.05"): part("u", 0.05, "text"),
    ("c", "swapped_0.5"): swapped,
    ("c", "unseen_0.05"): part("c", 0.05, "zzz"),
    ("c", "missing_0.2"): part("c", 0.2, None),
    ("u", "missing_0.05"): part("u", 0.05, None),
}


def stream(fleet: Fleet, hours: range, strike: Any, ticks: list[ClosedTick]) -> float | None:
    """Feed an hour at a time; the moment at which an incident fires, or ``None``."""
    for hour in hours:
        rng = np.random.default_rng([7, hour])
        events = []
        for i in range(PER_HOUR):
            one = features(rng)
            if strike is not None:
                strike(one, rng)
            events.append(event(START + hour * HOUR + (i + 0.5) * HOUR / PER_HOUR, one))
        closed = feed(fleet, events, until=START + (hour + 1) * HOUR)
        ticks += [ClosedTick(0, tick.end, tick.counts, tick.moments) for tick in closed.ticks]
        if strike is not None and closed.incidents:
            return min(incident.fired_time for incident in closed.incidents)
    return None


def past(ticks: list[ClosedTick]) -> Past:
    return Past(lambda _row, since, until: [tick for tick in ticks if since < tick.end <= until])


def learned() -> tuple[Fleet, list[ClosedTick]]:
    fleet, ticks = new_fleet(POLICY, per_week=5.0, per_model=5.0), list[ClosedTick]()
    assert stream(fleet, range(LEARNED_HOURS), None, ticks) is None
    return fleet, ticks


@pytest.fixture(scope="module")
def drilled() -> tuple[Drill, dict[tuple[str, str], float | None]]:
    fleet, ticks = learned()
    drill = prepare(fleet, 0)
    found = told(names_of(fleet, 0), drill.run(past(ticks)))
    return drill, {(fault["feature"], fault["fault"]): fault["days"] for fault in found}


@pytest.mark.parametrize("fault", PLANTED, ids="-".join)
def test_foretold_and_measured(drilled: Any, fault: tuple[str, str]) -> None:
    """The time that the drill foretells and the time in the stream agree as far as chance lets them.

    Evidence walks up to L = log(1 / budget of a tick) nats with drift m and a variance of about 2 m an event (the
    Wald approximation), so either time has a relative standard deviation of sqrt(2 / L). Both are random: the log of
    their ratio has sqrt(4 / L), of which three are allowed, and a tick of the drill's and one of the stream's besides.
    """
    drill, foretold = drilled
    cells = max(drill.series.judge.n_cells.values())
    budget = 5.0 * 0.1 / cells * 1800.0 / (7 * DAY)
    spread = 3.0 * math.sqrt(4.0 / -math.log(budget))
    fleet, _ = learned()
    began = START + LEARNED_HOURS * HOUR
    fired = stream(fleet, range(LEARNED_HOURS, LEARNED_HOURS + AFTER_HOURS), PLANTED[fault], [])
    days = foretold[fault]
    assert days is not None
    assert fired is not None
    measured, tick = (fired - began) / DAY, HOUR / DAY
    assert measured <= days * math.exp(spread) + tick, f"foretold {days:.3f} d, measured {measured:.3f} d"
    assert days <= measured * math.exp(spread) + tick, f"foretold {days:.3f} d, measured {measured:.3f} d"


def test_more_is_seen_sooner(drilled: Any) -> None:
    """A larger fault is never slower, and one within the tolerance is a blind spot."""
    _, foretold = drilled
    assert foretold["x", "shift_1"] <= foretold["x", "shift_0.5"] <= (foretold["x", "shift_0.25"] or math.inf)
    assert foretold["x", "missing_0.2"] <= foretold["x", "missing_0.05"]


def test_a_drill_changes_nothing(drilled: Any) -> None:
    """The real cells, sums and books are the same before and after; the same drill says the same."""
    fleet, ticks = learned()
    before = [len(list(table.take_dirty())) for table in fleet.judge.tables.values()]
    recent, spent = fleet.series.rows["recent"].copy(), dict(fleet.judge.budget.spent)
    run = drill_of(fleet, "m", past(ticks))
    assert run is not None
    first = run()
    assert sum(before) > 0
    assert [len(list(table.take_dirty())) for table in fleet.judge.tables.values()] == [0] * len(before)
    assert np.array_equal(recent, fleet.series.rows["recent"])
    assert spent == fleet.judge.budget.spent
    again = drill_of(fleet, "m", past(ticks))
    assert again is not None
    assert again() == first
    assert first["blind_spots"] == [fault for fault in first["faults"] if fault["days"] is None]
    assert drill_of(fleet, "absent", past(ticks)) is None


def test_without_traffic_everything_is_a_blind_spot() -> None:
    """A model whose log is empty would show nothing."""
    fleet, _ = learned()
    found = prepare(fleet, 0).run(past([]))
    said = document("m", found, told(names_of(fleet, 0), found))
    assert said["faults"] == said["blind_spots"] != []
