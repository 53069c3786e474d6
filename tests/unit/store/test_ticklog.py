"""Does rolled-up history say the same in fewer words?"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from fleets.build import DAY, HOUR, START

from monitor.kernels.tally import COLUMNS
from monitor.store.ageing import Ageing
from monitor.store.database import Database, Writes
from monitor.store.ticklog import LEVELS, TickLog
from monitor.tally.closed import ClosedTick, ClosedTicks

RNG = np.random.default_rng(41)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "store") as opened:
        yield opened


def tick(model: int, end: float, rows: int = 3) -> ClosedTick:
    counts = RNG.integers(0, 5, (rows, COLUMNS)).astype(np.uint32)
    low = RNG.integers(-9, 9, rows).astype(np.float64)
    sums = RNG.integers(-50, 50, (rows, 2)).astype(np.float64)
    return ClosedTick(model, end, counts, np.column_stack([sums, low, low + 1]))


def closed(tick: ClosedTick) -> ClosedTicks:
    sizes = np.array([len(tick.counts)])
    return ClosedTicks(tick.end, np.array([tick.model]), np.zeros(1, np.int64), sizes, tick.counts, tick.moments)


def append(database: Database, log: TickLog, ticks: list[ClosedTick]) -> None:
    writes = Writes()
    log.append([closed(tick) for tick in ticks], writes)
    database.commit(writes)


def totals(ticks: list[ClosedTick]) -> tuple[list, ...]:
    rows = max(len(t.counts) for t in ticks)
    counts, sums = np.zeros((rows, COLUMNS), np.int64), np.zeros((rows, 2))
    low, high = np.full(rows, np.inf), np.full(rows, -np.inf)
    for t in ticks:
        n = len(t.counts)
        counts[:n] += t.counts
        sums[:n] += t.moments[:, :2]
        low[:n], high[:n] = np.minimum(low[:n], t.moments[:, 2]), np.maximum(high[:n], t.moments[:, 3])
    return counts.tolist(), sums.tolist(), low.tolist(), high.tolist()


def all_of(log: TickLog, model: int = 0) -> list[ClosedTick]:
    return list(log.read(model, -np.inf, START + 1000 * DAY))


def roll(database: Database, log: TickLog, watermark: float, models: int = 1) -> None:
    database.commit(Ageing((log,)).turn(models, models, watermark))


def hours_of(days: float, step: float = HOUR / 4) -> list[ClosedTick]:
    """Ticks of quarters of an hour, with series that come along the way."""
    n = int(days * DAY / step)
    return [tick(0, START + (i + 1) * step, rows=2 + 3 * i // n) for i in range(n)]


def test_read_as_written(database: Database) -> None:
    """Fresh ticks are read as they were, in order, by model and by time."""
    log = TickLog(database, np.inf)
    ticks = [tick(model, START + 60.0 * i) for i in range(1, 6) for model in range(2)]
    append(database, log, ticks)
    assert [t.end for t in all_of(log)] == [START + 60.0 * i for i in range(1, 6)]
    assert totals(all_of(log, 1)) == totals([t for t in ticks if t.model == 1])
    assert [t.end for t in log.read(0, -np.inf, np.inf)] == [t.end for t in all_of(log)], "times without an end"
    part = list(log.read(0, START + 60.0, START + 180.0))
    assert [t.end - START for t in part] == [120.0, 180.0], "behind the first time, up to the second"


@pytest.mark.parametrize("age", [0.0, 2.5, 3.7, 34.2, 36.9, 100.0])
def test_rolled_up_totals(database: Database, age: float) -> None:
    """At any age the log's totals are exactly those of its ticks, in ever fewer entries, and stay when rolled again."""
    log = TickLog(database, np.inf)
    ticks = hours_of(2.0)
    append(database, log, ticks)
    for _ in range(3):
        roll(database, log, START + (2.0 + age) * DAY)
        assert totals(all_of(log)) == totals(ticks)
    kept = len(all_of(log))
    assert kept == {0.0: 192, 2.5: 48, 3.7: 48, 34.2: 25, 36.9: 2, 100.0: 2}[age]


def test_finest_level_is_kept_for_two_days(database: Database) -> None:
    """Behind the watermark ticks stay as they were for two days; older ones are whole hours."""
    log = TickLog(database, np.inf)
    append(database, log, hours_of(4.0))
    roll(database, log, START + 4.0 * DAY + 600)
    steps = np.diff([t.end for t in all_of(log)])
    assert set(steps[:47].tolist()) == {HOUR}
    assert set(steps[48:].tolist()) == {HOUR / 4}


def test_catching_up(database: Database) -> None:
    """Where months pass between two visits, what became old at once loses nothing, however many it takes."""
    log = TickLog(database, np.inf)
    early, late = hours_of(1.3), [tick(0, START + 1.3 * DAY + i * 900.0) for i in range(1, 40)]
    append(database, log, early)
    roll(database, log, START + 4 * DAY)
    append(database, log, late)
    for visit in range(4):
        roll(database, log, START + (90 + visit) * DAY)
        assert totals(all_of(log)) == totals(early + late)
    assert [t.end for t in all_of(log)] == [START + DAY, START + 2 * DAY]


def test_visits_go_round(database: Database) -> None:
    """A few models at a time are rolled up, all of them in turn."""
    log = TickLog(database, np.inf)
    append(database, log, [tick(model, START + i * 60.0) for model in range(5) for i in range(1, 11)])
    ageing = Ageing((log,))
    for _ in range(3):
        database.commit(ageing.turn(5, 2, START + 3 * DAY))
    assert [len(all_of(log, model)) for model in range(5)] == [1] * 5


def test_forgotten_after_the_retention(database: Database) -> None:
    """What is older than the retention goes, day by day; the rest stays."""
    log = TickLog(database, 10 * DAY)
    append(database, log, [tick(0, START + i * HOUR) for i in range(1, 24 * 50)])
    for _ in range(3):
        roll(database, log, START + 50 * DAY)
    assert all(t.end >= START + 10 * DAY for t in all_of(log))
    assert max(t.end for t in all_of(log)) == START + 50 * DAY - HOUR


@pytest.mark.parametrize("start", [0.0, 1e6, -2e9])
def test_clocks_that_begin_at_nothing(tmp_path: Path, start: float) -> None:
    """Events dated near 1970, or before, are kept, read and rolled up like others, whatever the retention."""
    with Database(tmp_path / "store") as database:
        log = TickLog(database, 400 * DAY)
        ticks = [tick(0, start + i * 60.0) for i in range(1, 100)]
        append(database, log, ticks)
        for age in (0.0, 5 * DAY, 50 * DAY, 60 * DAY):
            roll(database, log, start + 6000.0 + age)
            assert totals(all_of(log)) == totals(ticks)


def test_levels_are_ordered() -> None:
    """Each level is coarser than the one before, divides into the next, and is kept longer."""
    for fine, coarse in pairwise(LEVELS):
        assert fine.seconds < coarse.seconds
        assert coarse.seconds % max(fine.seconds, 1.0) == 0
        assert fine.kept < coarse.kept
