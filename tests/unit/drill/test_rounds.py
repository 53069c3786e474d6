"""Is every model drilled in its turn, beside the loop, and is what was found kept and shown?"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from fleets.build import DAY, HOUR, START, event, feed, new_fleet

from monitor.catalog.fleet_settings import DrillSettings
from monitor.cli import main
from monitor.clock import ManualClock, SystemClock
from monitor.compose import make_fleet
from monitor.config import load
from monitor.drill.drill import prepare
from monitor.drill.findings import (
    HORIZON_DAYS,
    SIGNATURE,
    STANDARD,
    Drilled,
    Findings,
    n_blind,
    names_of,
    slowest,
    told,
)
from monitor.drill.past import Past
from monitor.errors import StoreError
from monitor.fleet import Fleet
from monitor.groups.sums import TallySums
from monitor.portrait import model_document
from monitor.publish import Painter
from monitor.rounds import Rounds
from monitor.store.checkpoint import Checkpoint
from monitor.store.database import Database, Writes
from monitor.store.drills import DrillLog
from monitor.store.grouplog import GroupLog
from monitor.store.ticklog import TickLog
from monitor.tally.closed import ClosedTick
from monitor.tally.event_time import EventTime
from monitor.telemetry.metrics import Metrics
from monitor.web.fleet_metrics import FleetMetrics, Selection

POLICY = {
    "tick": "6h",
    "learn": {"events": 2000, "for": "2d"},
    "sensitive": ("sex",),
    "favourable": ("approve",),
}
HOURS = 24 * 3


def grown() -> tuple[Fleet, list[ClosedTick], list[tuple[float, TallySums]]]:
    """Three days of 40 events an hour, in which half of everybody is approved."""
    fleet = new_fleet(POLICY)
    fleet.groups.hours.wanted = True
    ticks: list[ClosedTick] = []
    hours: list[tuple[float, TallySums]] = []
    for hour in range(HOURS):
        rng, end = np.random.default_rng([5, hour]), START + (hour + 1) * HOUR
        events = [
            event(
                end - HOUR + (i + 0.5) * HOUR / 40,
                {"x": float(rng.normal())},
                sensitive={"sex": "FM"[int(rng.integers(2))]},
                prediction={"label": ("approve", "deny")[int(rng.integers(2))]},
            )
            for i in range(40)
        ]
        ticks += [ClosedTick(0, t.end, t.counts, t.moments) for t in feed(fleet, events, until=end).ticks]
        hours += fleet.groups.hours.take(end)
    return fleet, ticks, hours


def of(ticks: Sequence[ClosedTick], hours: Sequence[tuple[float, TallySums]]) -> Past:
    return Past(
        lambda _row, since, until: [tick for tick in ticks if since < tick.end <= until],
        lambda _row, since, until: [hour for hour in hours if since < hour[0] <= until],
    )


@pytest.fixture(scope="module")
def known() -> tuple[Fleet, Past, Findings]:
    fleet, ticks, hours = grown()
    past = of(ticks, hours)
    return fleet, past, prepare(fleet, 0).run(past, made=START + HOURS * HOUR)


def test_groups_are_drilled_as_features_are(known: Any) -> None:
    """It says when a fallen rate of a group would be seen, by its code; a larger fall is seen no later."""
    fleet, _, found = known
    said = [fault for fault in told(names_of(fleet, 0), found) if fault["group"] and not fault["feature"]]
    assert {fault["fault"] for fault in said} == {"group_0.75", "group_0.5"}
    assert {fault["attribute"] for fault in said} == {"sex"}
    assert len({fault["group"] for fault in said}) == 2
    days = {(f["group"], f["fault"]): HORIZON_DAYS if f["days"] is None else f["days"] for f in said}
    for group in {fault["group"] for fault in said}:
        assert days[group, "group_0.5"] <= days[group, "group_0.75"]
        assert days[group, "group_0.5"] < HORIZON_DAYS
    assert all("measured on your traffic of the last 3 days" in fault["words"] for fault in said)
    assert not any(word in fault["words"] for fault in said for word in (" F ", " M "))


def test_features_of_groups_are_drilled(known: Any) -> None:
    """Of each group and each feature it says when it would be known that it moved in that group alone."""
    fleet, _, found = known
    said = [fault for fault in told(names_of(fleet, 0), found) if fault["group"] and fault["feature"]]
    assert {fault["fault"] for fault in said} == {"group_shift_0.5", "group_shift_1", "group_missing_0.2"}
    assert {(fault["feature"], fault["attribute"], fault["asked"]) for fault in said} == {("x", "sex", "group_drift")}
    assert len({fault["group"] for fault in said}) == 2
    assert any(fault["days"] is not None for fault in said)
    for fault in said:
        assert fault["detector"] == (None if fault["days"] is None else "group_drift")
        assert f" for group {fault['group']} of sex and nobody else, " in fault["words"]


def test_the_document_tells_what_was_found(known: Any) -> None:
    """What nobody would see is among the blind spots, each with why; the drill stands beside them."""
    fleet, _, found = known
    document = model_document(fleet, 0, 1, found)
    unseen = [fault for fault in document["drill"]["faults"] if fault["days"] is None]
    assert unseen
    assert [spot for spot in document["blind_spots"] if spot.get("fault")] == unseen
    assert all("why" in spot for spot in document["blind_spots"])
    assert n_blind(found) == len(unseen)
    assert model_document(fleet, 0, 1)["drill"] is None


def test_the_slowest_is_what_is_exported(known: Any, tmp_path: Path) -> None:
    """Of each standard fault the longest time, at most the horizon; a scrape has a series of each."""
    fleet, _, found = known
    worst = slowest(found)
    assert worst.keys() <= set(STANDARD)
    assert all(0.0 < days <= HORIZON_DAYS for days in worst.values())
    settings = tmp_path / "config.toml"
    settings.write_text("")
    painter = Painter(fleet, load(settings, {}), "run", ManualClock(START))
    assert painter.status().drilled == ()
    painter.drilled.add(0, found)
    status = painter.status()
    assert painter.status().drilled is status.drilled
    text = FleetMetrics().render(status, Selection()).decode()
    assert text.count("\nmodelwatch_model_drill_seconds{") == len(worst)
    assert f'modelwatch_model_drill_blind_spots{{model="m"}} {n_blind(found)}\n' in text
    assert "modelwatch_model_drill_seconds{" not in FleetMetrics().render(status, Selection(model="x*")).decode()


def test_what_another_program_found_is_not_told(known: Any) -> None:
    """Numbers of faults that have another meaning now say nothing."""
    fleet, _, found = known
    other = Findings("another", found.made, found.until, found.lasted, found.series, found.groups, found.apart)
    assert told(names_of(fleet, 0), other) == []
    assert (slowest(other), n_blind(other)) == ({}, 0)


class _Turns:
    """Rounds that a test turns until something was found."""

    def __init__(self, fleet: Fleet, past: Past, every: float, clock: ManualClock) -> None:
        self.kept: dict[int, Findings] = {}
        self.metrics = Metrics()
        settings = DrillSettings.model_validate({"every": f"{every:.0f}s", "cpu": 1.0})
        self.rounds = Rounds(settings, past, self.kept.__setitem__, clock, self.metrics)
        self.fleet = fleet

    def until(self, n: int, seconds: float = 60.0) -> None:
        clock, since = SystemClock(), time.monotonic()
        while self.rounds.drilled.n < n and time.monotonic() - since < seconds:
            self.rounds.turn(self.fleet)
            clock.sleep(0.01)


def test_a_model_is_drilled_when_its_time_has_come(known: Any) -> None:
    """Once at first, and again no sooner than asked for; what was found says the same as a drill by hand."""
    fleet, past, found = known
    clock = ManualClock(START + HOURS * HOUR)
    turns = _Turns(fleet, past, DAY, clock)
    turns.rounds.start()
    try:
        turns.until(1)
        assert turns.kept[0].series == found.series
        assert turns.kept[0].groups == found.groups
        clock.advance(DAY / 2)
        turns.rounds.turn(fleet)
        assert turns.rounds._next(fleet) is None
        clock.advance(DAY)
        root = fleet.models.rows["root"]
        root[0] = 1  # a part of another model has no drill of its own
        assert turns.rounds._next(fleet) is None
        root[0] = 0
        turns.until(2)
        assert turns.rounds.drilled.n == 2
    finally:
        turns.rounds.stop()
    assert turns.metrics.registry.get_sample_value("modelwatch_drills_total", {"result": "done"}) == 2.0


def test_a_restart_goes_on_where_it_was(known: Any, tmp_path: Path) -> None:
    """What was kept is shown again, and its model is not drilled before its time; never, if that is asked for."""
    fleet, past, found = known
    with Database(tmp_path / "store") as database:
        log, writes = DrillLog(database), Writes()
        log.keep(0, found)
        log.save(writes)
        database.commit(writes)
        database.commit(_put(b"F\0\0\0\1", _encoded(found, "another")))
        again = DrillLog(database).load()
        assert list(again) == [0]
        assert again[0].series == found.series
        turns = _Turns(fleet, past, DAY, ManualClock(found.made + DAY / 2))
        turns.rounds.restore(again)
        assert turns.rounds._next(fleet) is None
        assert turns.rounds.drilled.of(0) is again[0]
        database.commit(_put(b"F\0\0\0\2", b"\xc1"))
        with pytest.raises(StoreError):
            DrillLog(database).load()
    never = _Turns(fleet, past, 0.0, ManualClock(found.made + 9 * DAY))
    never.rounds.start()
    never.rounds.turn(fleet)
    never.rounds.stop()
    assert never.kept == {}


def test_a_drill_that_fails_is_counted_and_stops_nobody(known: Any) -> None:
    """The next round goes on; the model waits an hour."""
    fleet, _, _ = known

    def broken(_row: int, _since: float, _until: float) -> list[ClosedTick]:
        raise StoreError("a block is damaged")

    clock = ManualClock(START)
    turns = _Turns(fleet, Past(broken), DAY, clock)
    turns.rounds.start()
    try:
        turns.rounds.turn(fleet)
        since = time.monotonic()
        while turns.rounds._busy and time.monotonic() - since < 30.0:
            turns.rounds.turn(fleet)
    finally:
        turns.rounds.stop()
    assert turns.metrics.registry.get_sample_value("modelwatch_drills_total", {"result": "failed"}) == 1.0
    assert turns.rounds._next(fleet) is None
    clock.advance(2 * HOUR)
    assert turns.rounds._next(fleet) == 0


def test_a_store_takes_the_hours_of_its_fleet(tmp_path: Path) -> None:
    """A fleet with a store has its groups' hours in it, once they are over."""
    with Database(tmp_path / "store") as database:
        fleet, log, passed = new_fleet(POLICY | {"tick": "1h"}), TickLog(database, np.inf), EventTime(0.0)
        checkpoint = Checkpoint(database, log)
        checkpoint.load(fleet, passed)
        events = [
            event(START + i, sensitive={"sex": "FM"[i % 2]}, prediction={"label": "approve"}, id=str(i))
            for i in range(40)
        ]
        closed = feed(fleet, events, until=START + HOUR)
        passed.run_on(0.0)
        passed.watermark = START + HOUR
        checkpoint.save(fleet, passed, {}, closed.ticks, closed.incidents)
        ((end, sums),) = GroupLog(database).read(0, START, START + DAY)
        assert end == START + HOUR
        assert sums.n.tolist() == [20.0, 20.0]
        assert Drilled().of(0) is None


def test_what_was_found_lasts_with_what_it_speaks_of(known: Any, tmp_path: Path) -> None:
    """A kill that undoes a model undoes what was found of it: both are stored by the same commit."""
    _, _, found = known
    with Database(tmp_path / "store") as database:
        drills, passed, fleet = DrillLog(database), EventTime(0.0), new_fleet(POLICY)
        checkpoint = Checkpoint(database, TickLog(database, np.inf), drills=drills)
        checkpoint.load(fleet, passed)
        closed = feed(fleet, [event(START, sensitive={"sex": "F"}, prediction={"label": "approve"})])
        drills.keep(0, found)
        assert DrillLog(database).load() == {}
        checkpoint.save(fleet, passed, {}, closed.ticks, closed.incidents)
        assert list(DrillLog(database).load()) == [0]
        Checkpoint(database, TickLog(database, np.inf)).load(again := new_fleet(POLICY), EventTime(0.0))
        assert len(again.models) == 1


def test_a_store_can_be_drilled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command finds groups and features in a store of a daemon that does not run, and says sentences."""
    settings = tmp_path / "config.toml"
    said = 'tick = "6h"\nsensitive = ["sex"]\nfavourable = ["approve"]\nlearn = { events = 1000, for = "1d" }\n'
    settings.write_text(f'[[models]]\nmatch = "*"\n{said}')
    with Database(tmp_path / "store") as database:
        fleet, passed = make_fleet(load(settings, {})), EventTime(0.0)
        checkpoint = Checkpoint(database, TickLog(database, np.inf))
        checkpoint.load(fleet, passed)
        for hour in range(0, HOURS, 6):
            end, rng = START + (hour + 6) * HOUR, np.random.default_rng(hour)
            people = [("FM"[int(rng.integers(2))], "xy"[int(rng.integers(2))]) for _ in range(200)]
            events = [
                event(end - (i + 1) * 100, {"c": c}, sensitive={"sex": sex}, prediction={"label": "approve"})
                for i, (sex, c) in enumerate(people)
            ]
            closed, passed.watermark = feed(fleet, events, until=end), end
            checkpoint.save(fleet, passed, {}, closed.ticks, closed.incidents)
    order = ["drill", "--model", "m", "--store", str(tmp_path / "store"), "--config", str(settings)]
    assert main([*order, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["measured_days"] > 2.0
    of_groups = {fault["fault"] for fault in document["faults"] if fault["group"] and not fault["feature"]}
    assert of_groups == {"group_0.75", "group_0.5"}
    assert any(fault["feature"] == "c" and fault["days"] is not None for fault in document["faults"])


def _put(key: bytes, value: bytes) -> Writes:
    writes = Writes()
    writes.put(key, value)
    return writes


def _encoded(found: Findings, signature: str) -> bytes:
    assert found.signature == SIGNATURE
    return msgspec.msgpack.encode(msgspec.structs.replace(found, signature=signature))
