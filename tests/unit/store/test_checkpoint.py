"""Is the fleet that is read back the one that was written?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from fleets.build import DAY, HOUR, START, decoded, event, feed, hourly, new_fleet, series_named

from monitor.catalog.profile import Profile, number_series, save
from monitor.catalog.series import RETIRED
from monitor.errors import StoreError
from monitor.events.raw import Partition
from monitor.fleet import Fleet
from monitor.incidents.book import RESOLVED_KEPT
from monitor.incidents.incident import Incident
from monitor.portrait import model_document
from monitor.store.checkpoint import FORMAT, Checkpoint, Head
from monitor.store.database import Database, Writes
from monitor.store.ticklog import TickLog
from monitor.tally.event_time import CONFIRMED_BY, EventTime

NORMAL = np.random.default_rng(101).normal(0, 1, 20_000)
AT = {Partition("t", 0): 17, Partition("t", 1): 4}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "store") as opened:
        yield opened


def written(
    database: Database, fleet: Fleet, time: EventTime | None = None, incidents: list[Incident] | None = None
) -> None:
    checkpoint = Checkpoint(database, TickLog(database, np.inf))
    checkpoint.save(fleet, time or EventTime(0.0), AT, [], incidents or [])


def read(database: Database, fleet: Fleet) -> tuple[Fleet, EventTime, dict[Partition, int]]:
    time = EventTime(0.0)
    positions = Checkpoint(database, TickLog(database, np.inf)).load(fleet, time)
    return fleet, time, positions


def test_empty_store(database: Database) -> None:
    """From an empty store everything begins at the beginning."""
    fleet, time, positions = read(database, new_fleet())
    assert (len(fleet.models), time.watermark, positions) == (0, -np.inf, {})


def test_event_time_and_positions(database: Database) -> None:
    """The offsets are those that the rest covers; event time goes on where it was, even where it had run on."""
    time = EventTime(0.0)
    times, last = np.repeat([START, START + 60], CONFIRMED_BY), [START + DAY]
    source = np.array([*[0] * CONFIRMED_BY, *[1] * CONFIRMED_BY, 0], np.int32)
    time.after_each(np.concatenate([times, last]), source, list(AT))
    time.run_on(HOUR)
    written(database, new_fleet(), time)
    _, again, positions = read(database, new_fleet())
    assert positions == AT
    assert (again.watermark, again.reached) == (START + 60 + HOUR, time.reached)
    assert again.ahead == time.ahead == {next(iter(AT)): last}


def test_documents_are_the_same(database: Database) -> None:
    """All that is known of models comes back: names, versions, facts, categories, references, cells, open ticks."""
    policy = {"tick": "1h"}
    fleet = new_fleet(policy)
    hourly(fleet, lambda i: {"x": float(NORMAL[i]), "c": "abc"[i % 3], "ö": i % 2 == 0}, range(30), version="7")
    feed(fleet, [event(START + 30 * HOUR, {"x": 1.0, "new": 2.0}, model="n/ä")], until=-np.inf)
    written(database, fleet)
    again, _, _ = read(database, new_fleet(policy))
    assert [model_document(again, row, 1) for row in (0, 1)] == [model_document(fleet, row, 1) for row in (0, 1)]
    assert again.judge.n_cells == fleet.judge.n_cells
    assert again.judge.budget.spent == fleet.judge.budget.spent
    more = [
        event(START + 30 * HOUR + i, {"x": 0.5, "c": "b", "ö": True}, model=m) for i in range(5) for m in ("m", "n/ä")
    ]
    ours, theirs = feed(fleet, more), feed(again, more)
    assert [(t.models.tolist(), t.end) for t in ours.ticks] == [(t.models.tolist(), t.end) for t in theirs.ticks]
    for a, b in zip(ours.ticks, theirs.ticks, strict=True):
        assert np.array_equal(a.counts, b.counts)
        assert np.array_equal(a.moments, b.moments)


def test_new_models_whose_ticks_end_first_are_judged(database: Database) -> None:
    """Behind a commit thousands of series come, those of the last models with the first tick that ends: it is closed.

    Tables have a row for each series from the tick on in which that is judged first: here they end far before.
    """
    fleet, names = new_fleet(), [f"f{j}" for j in range(40)]
    read(database, fleet)

    def come(models: range, at: float) -> list[bytes]:
        return [event(at, dict.fromkeys(names, 1.0), model=f"m{k}") for k in models]

    feed(fleet, come(range(2), START))
    written(database, fleet)
    closed = feed(fleet, come(range(2, 200), START + 2 * HOUR) + come(range(200, 300), START + HOUR))
    assert [len(facts.models) for facts in closed.ticks] == [100, 198]


def test_dropped_feature_stays_dropped(database: Database, tmp_path: Path) -> None:
    """A feature whose reference was retired is a stranger behind a restart too."""
    for version, names in (("1", "xy"), ("2", "x")):
        parts = [number_series(name, "feature", NORMAL[:500], 500) for name in names]
        save(Profile("m", version, 500, "training", parts), tmp_path / f"{version}.mwref")
    policy = {"reference": f"file:{tmp_path}/{{version}}.mwref"}
    fleet = new_fleet(policy)
    for version in "12":
        feed(fleet, [event(START, {"x": 0.0}, version=version)])
    written(database, fleet)
    again, _, _ = read(database, new_fleet(policy))
    feed(again, [event(START + 60, {"x": 0.0, "y": 0.0}, version="2")])
    assert again.models.items[0].retired == 2
    assert [again.series.rows["judging"][series_named(again, name)] != RETIRED for name in "xy"] == [True, True]
    assert len(again.series.names) == 4


def shifted(fleet: Fleet) -> list[Incident]:
    """Two cells of one incident fire."""
    hourly(fleet, lambda i: {"x": float(NORMAL[i]), "y": float(NORMAL[-i - 1])}, range(30))
    return hourly(fleet, lambda i: {"x": float(NORMAL[i]) + 2, "y": float(NORMAL[-i - 1]) + 2}, range(30, 36))


def test_partly_cleared_incident(database: Database) -> None:
    """An incident that lost one cell before the restart is resolved when it loses the other."""
    policy = {"tick": "1h", "keep_firing": "2h"}
    fleet = new_fleet(policy)
    checkpoint = Checkpoint(database, TickLog(database, np.inf))
    checkpoint.save(fleet, EventTime(0.0), AT, [], shifted(fleet))
    assert len(fleet.book.open) == 1
    calm = hourly(fleet, lambda i: {"x": float(NORMAL[i]), "y": float(NORMAL[-i - 1]) + 2}, range(36, 80))
    checkpoint.save(fleet, EventTime(0.0), AT, [], calm)
    again, _, _ = read(database, new_fleet(policy))
    [held] = again.book.open.values()
    assert len(held.firing) == 1
    [done] = hourly(again, lambda i: {"x": float(NORMAL[i]), "y": float(NORMAL[-i - 1])}, range(80, 130))
    assert done.state == "resolved"


def test_resolved_incidents(database: Database) -> None:
    """Resolved incidents come back, the newest at hand; those beyond the retention are forgotten."""
    fleet = new_fleet()
    one = msgspec.structs.replace(shifted(new_fleet({"tick": "1h"}))[0], state="resolved")
    many = [
        msgspec.structs.replace(one, id=f"inc-{i:04}", resolved_time=START + i * DAY) for i in range(RESOLVED_KEPT + 50)
    ]
    time = EventTime(0.0)
    time.watermark = START + (RESOLVED_KEPT + 50) * DAY
    written(database, fleet, time, many)
    again, _, _ = read(database, new_fleet())
    assert [incident.id for incident in again.book.resolved] == [i.id for i in many[-RESOLVED_KEPT:]]
    short = Checkpoint(database, TickLog(database, np.inf), 100 * DAY)
    another = new_fleet()
    short.load(another, EventTime(0.0))
    assert len(another.book.resolved) == 100
    assert len(list(database.scan_prefix(b"J"))) == 100


def damaged(database: Database, key: bytes, value: bytes | None) -> None:
    writes = Writes()
    if value is None:
        writes.delete(key)
    else:
        writes.put(key, value)
    database.commit(writes)


def complaint(database: Database) -> str:
    """What is said of the store; any other error than the store's own is not caught."""
    try:
        read(database, new_fleet({"tick": "1h"}))
    except StoreError as error:
        return str(error)
    return ""


def test_any_damage_is_an_error_of_the_store(database: Database) -> None:
    """Each key cut short or taken away is an error that says what is wrong, or changes nothing that is needed."""
    fleet = new_fleet({"tick": "1h"})
    hourly(fleet, lambda i: {"x": float(NORMAL[i])}, range(3))
    feed(fleet, [event(START + 3 * HOUR, {"x": 1.0})], until=-np.inf)
    waits = decoded([event(START + 3 * HOUR, id="a", prediction="yes")])
    fleet.join(waits, fleet.case_dues(waits, fleet.tick_ends(waits)), np.array([-np.inf]))
    written(database, fleet)
    refused = 0
    for key, value in list(database.scan(b"", b"\xff")):
        for cut in (None, b"", value[:5], value[: len(value) // 2]):
            damaged(database, key, cut)
            refused += bool(complaint(database))
        damaged(database, key, value)
    assert refused >= 12
    read(database, new_fleet({"tick": "1h"}))


def test_other_format(database: Database) -> None:
    """A store of another format is refused, and both formats are named, whatever else it says or does not."""
    written(database, new_fleet())
    head = msgspec.msgpack.decode(database.get(b"head"), type=Head)
    damaged(database, b"W", b"cases that are due, otherwise")
    damaged(database, b"head", msgspec.msgpack.encode(msgspec.structs.replace(head, format=FORMAT + 1)))
    with pytest.raises(StoreError, match=f"format {FORMAT + 1}, this program reads {FORMAT}"):
        read(database, new_fleet())
    damaged(database, b"head", msgspec.msgpack.encode({"format": 1, "lengths": "otherwise"}))
    with pytest.raises(StoreError, match=f"format 1, this program reads {FORMAT}"):
        read(database, new_fleet())


def test_only_what_changed_is_written(database: Database) -> None:
    """A commit of a quiet fleet writes little, however large the fleet is."""
    fleet = new_fleet(models_max=2000)
    feed(fleet, [event(START, {"x": 1.0, "y": "a"}, model=f"m{i}") for i in range(2000)])
    checkpoint = Checkpoint(database, TickLog(database, np.inf))
    checkpoint.save(fleet, EventTime(0.0), AT, [], [])
    assert list(fleet.series.rows.take_dirty()) == []
    feed(fleet, [event(START + HOUR, {"x": 1.0}, model="m7")], until=-np.inf)
    assert len(list(fleet.models.rows.take_dirty())) == 1
    assert fleet.take_changed_models() == []
