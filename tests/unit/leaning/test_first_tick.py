"""Does a fleet that starts look at few of its events already, the same ones whatever the batches are?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fleets.build import START, decoded, event, new_fleet

from monitor.fleet import Fleet
from monitor.leaning.sums import FLEET_EVENTS, MODEL_EVENTS
from monitor.store.checkpoint import Checkpoint
from monitor.store.database import Database
from monitor.store.ticklog import TickLog
from monitor.tally.event_time import EventTime

EVENTS, MODELS = 12_000, 5


def busy(batch: int, tick: str = "1m", again: Callable[[Fleet], Fleet] = lambda fleet: fleet) -> Fleet:
    """A fleet in its first tick, which has its events ``batch`` at a time; the last model has one in a thousand.

    Before each batch it is had ``again``.
    """
    fleet = new_fleet({"tick": tick})
    names = ["rare" if i % 1000 == 0 else f"m{i % (MODELS - 1)}" for i in range(EVENTS)]
    events = [
        event(START + i / 300, {"x": i % 7, "y": "abc"[i % 3]}, model=name, id=str(i), prediction=i % 11)
        for i, name in enumerate(names)
    ]
    for first in range(0, EVENTS, batch):
        fleet = again(fleet)
        fleet.absorb(decoded(some := events[first : first + batch]), np.zeros(len(some), bool))
    return fleet


def reopened(fleet: Fleet, folder: Path) -> Fleet:
    """The fleet as it is after it was stored and read back."""
    with Database(folder) as database:
        Checkpoint(database, TickLog(database, np.inf)).save(fleet, EventTime(0.0), {}, [], [])
        other = new_fleet({"tick": "1m"})
        Checkpoint(database, TickLog(database, np.inf)).load(other, EventTime(0.0))
    return other


def looked_at(fleet: Fleet) -> np.ndarray:
    """By model, how many of its events were looked at."""
    return fleet.leaning.rows["fresh"][: len(fleet.models)].copy()


def test_a_first_tick_is_thinned() -> None:
    """As many as a fleet is always asked of, then of each twice as many the half of them; of a quiet model enough."""
    fleet = busy(EVENTS)
    seen = looked_at(fleet)
    doublings = np.log2(EVENTS / FLEET_EVENTS)
    assert seen.sum() == pytest.approx(FLEET_EVENTS * (1 + doublings / 2), rel=0.1)
    rare = fleet.find_model("rare")
    assert rare is not None
    assert seen[rare] >= MODEL_EVENTS
    assert [fleet.leaning.one_in(row) for row in (0, 1, rare)] == [2, 8, 2]


def test_a_longer_tick_has_more_looked_at() -> None:
    """Ticks of eight minutes have eight times as many of them looked at, which here are all."""
    assert looked_at(busy(EVENTS, "8m")).sum() == EVENTS


@pytest.mark.parametrize("batch", [13, 1000])
def test_batches_do_not_matter(batch: int) -> None:
    """The same events are looked at in batches of any size."""
    whole, parts = busy(EVENTS), busy(batch)
    assert (looked_at(parts) == looked_at(whole)).all()
    n = len(whole.series.rows)
    assert (parts.leaning.sums["answer"]["sums"][:n] == whole.leaning.sums["answer"]["sums"][:n]).all()


def test_restarts_do_not_matter(tmp_path: Path) -> None:
    """The same events are looked at by a fleet that was stored and read back in the midst of its first tick."""
    whole, restarted = busy(EVENTS), busy(5000, again=lambda fleet: reopened(fleet, tmp_path / "store"))
    assert (looked_at(restarted) == looked_at(whole)).all()
    n = len(whole.series.rows)
    assert (restarted.leaning.sums["answer"]["sums"][:n] == whole.leaning.sums["answer"]["sums"][:n]).all()


def test_afterwards_the_tick_says_it() -> None:
    """Once a tick of a model has closed, so many of its next events are looked at as that tick asks for."""
    fleet = busy(EVENTS)
    fleet.close(START + 60.0)
    before = looked_at(fleet)
    model = fleet.find_model("m1")
    assert model is not None
    events = [event(START + 60.0 + i / 100, {"x": 1}, model="m1", id=f"b{i}", prediction=1) for i in range(4000)]
    fleet.absorb(decoded(events), np.zeros(len(events), bool))
    assert fleet.leaning.one_in(model) == 8
    assert looked_at(fleet)[model] - before[model] == pytest.approx(500, rel=0.15)
