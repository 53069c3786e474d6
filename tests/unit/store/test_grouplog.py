"""What is kept of groups as it ages: every case once, by hours, then by days, over a kill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fleets.build import DAY, HOUR, START, event, feed, new_fleet

from monitor.groups.hours import Hours
from monitor.groups.sums import TallySums
from monitor.store.ageing import Ageing
from monitor.store.database import Database, Writes
from monitor.store.figures import FigureLog
from monitor.store.grouplog import GroupLog

OWNER = np.array([0, 1, 0], np.int32)
ONE = TallySums(np.array([0, 1, 2]), np.array([5.0, 7.0, 1.0]), np.array([2.0, 3.0, 1.0]))
LATE = TallySums(np.array([2]), np.array([4.0]), np.array([4.0]))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "store") as opened:
        yield opened


def put(database: Database, log: GroupLog, *hours: tuple[float, TallySums]) -> None:
    for one in hours:
        writes = Writes()
        log.append([one], OWNER, writes)
        database.commit(writes)


def age(database: Database, log: GroupLog, watermark: float) -> None:
    database.commit(Ageing((log,)).turn(2, 2, watermark))


def test_hours_become_days(database: Database) -> None:
    """By model; what became known late is merged; after eight days hours are days, each case in one of them alone."""
    log = GroupLog(database)
    put(database, log, (START + HOUR, ONE), (START + HOUR, LATE), (START + 5 * HOUR, ONE), (START + 12 * DAY, ONE))
    ((end, hour),) = log.read(0, START, START + HOUR)
    assert (end, hour.row.tolist(), hour.n.tolist(), hour.s.tolist()) == (START + HOUR, [0, 2], [5.0, 5.0], [2.0, 5.0])
    for watermark in (START + DAY, START + 12 * DAY, START + 13 * DAY):
        age(database, log, watermark)
        days = log.days(0, START, START + 12 * DAY)
        assert [end for end, _ in days] == [START + DAY, START + 12 * DAY]
        assert (days[0][1].n.tolist(), days[0][1].s.tolist()) == ([10.0, 6.0], [4.0, 6.0])
        assert [sums.n.tolist() for _, sums in log.days(1, START, START + DAY)] == [[14.0]]
    assert [end for end, _ in log.read(0, -np.inf, np.inf)] == [START + 12 * DAY], "the rest has no hours any more"
    put(database, log, (START + 7 * HOUR, LATE))
    assert log.days(0, START, START + DAY)[0][1].n.tolist() == [10.0, 10.0], "later than that it comes to its day"
    age(database, log, START + 13 * DAY)
    assert log.days(0, START, START + DAY)[0][1].n.tolist() == [10.0, 10.0]
    assert log.days(0, START + DAY, START + 11 * DAY) == []


def test_months_are_forgotten_whole(database: Database) -> None:
    """With the first day that is older than the retention all of its month goes, and nothing of the next."""
    log = GroupLog(database, 60 * DAY)
    put(database, log, *((START + (i + 1) * DAY, ONE) for i in range(40)))
    age(database, log, START + 59 * DAY)
    assert len(log.days(0, -np.inf, np.inf)) == 40
    age(database, log, START + 60.5 * DAY)
    assert [end for end, _ in log.days(0, -np.inf, np.inf)] == [START + (i + 1) * DAY for i in range(31, 40)]


def test_a_kill_loses_no_part_of_an_hour(database: Database) -> None:
    """What closed in an hour that runs is stored with the commit, taken up again, and stored once when it is over."""
    hours, log = Hours(), GroupLog(database)
    hours.wanted = True
    for i, sums in enumerate((ONE, LATE)):
        hours.add(START + 60.0 * (i + 1), sums)
        hours.add(START - 9 * DAY, LATE, known=START + 60.0 * (i + 1))
        writes = Writes()
        log.save(hours, OWNER, START + 60.0 * (i + 1), writes)
        database.commit(writes)
    assert log.read(0, -np.inf, np.inf) == []
    again, log = Hours(), GroupLog(database)
    again.wanted = True
    log.load(again)
    again.add(START + 1800.0, LATE)
    for _ in range(2):
        writes = Writes()
        log.save(again, OWNER, START + HOUR, writes)
        database.commit(writes)
    told = [(end, sums.row.tolist(), sums.n.tolist()) for end, sums in log.read(0, -np.inf, np.inf)]
    assert told == [(START - 9 * DAY, [2], [8.0]), (START + HOUR, [0, 2], [5.0, 9.0])]
    assert list(database.scan_prefix(b"U")) == []
    last = Hours()
    GroupLog(database).load(last)
    assert last.take(np.inf) == []


def test_nobody_keeps_what_nobody_takes() -> None:
    """A fleet without a store, as in a replay, has neither hours of groups nor days of performance."""
    fleet = new_fleet({"sensitive": ("sex",), "favourable": ("approve",)})
    feed(fleet, [event(START, sensitive={"sex": "F"}, prediction={"label": "approve"})])
    assert fleet.groups.hours.take(np.inf) == []
    assert fleet.groups.hours.take_fresh() == []
    assert fleet.outcomes.totals.days is None


def test_days_of_performance_are_forgotten(database: Database) -> None:
    """How a model stood goes with the ticks of then; what it stands for now needs none of it."""
    fleet = new_fleet({})
    totals, log = fleet.outcomes.totals, FigureLog(database, 10 * DAY)
    totals.rows.add()
    totals.keep_days(np.array([START]))
    assert totals.days is not None
    for day in range(20):
        totals.rows["cases"][0] = day + 1
        totals._end_days(totals.days, np.zeros(1, np.int32), np.array([START + (day + 1) * DAY]))
    writes = Writes()
    log.save(totals, writes)
    database.commit(writes)
    assert totals.days == []
    before, after = log.read(0, START + 3 * DAY, START + 12.5 * DAY)
    assert before is not None
    assert after is not None
    assert (before.reached, before.sums["cases"]) == (START + 3 * DAY, 4)
    assert (after.reached, after.sums["cases"]) == (START + 12 * DAY, 13)
    database.commit(Ageing((log,)).turn(1, 1, START + 19 * DAY))
    before, after = log.read(0, START + 3 * DAY, START + 12.5 * DAY)
    assert before is None
    assert after is not None
