"""Does an outage of six hours end in the incidents that there would have been without it, each told once?"""

from __future__ import annotations

import math
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fleets.build import HOUR, START, event
from unit.pipeline.stage import Box

from monitor.catalog.profile import Profile, category_series, number_series, save
from monitor.clock import ManualClock, rfc3339
from monitor.compose import make_decoders, make_fleet
from monitor.config import Config, load
from monitor.events.raw import Partition, RawBatch
from monitor.incidents.document import incident_document
from monitor.pipeline import Pace, Pipeline, Surroundings
from monitor.replay import replay
from monitor.store.checkpoint import Checkpoint
from monitor.store.database import Database
from monitor.store.ticklog import TickLog
from monitor.tally.event_time import EventTime
from monitor.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from monitor.incidents.incident import Incident

MODELS = ("steady", "drifts", "empties")
PARTITIONS = tuple(Partition("t", number) for number in range(3))
HOURS, EVERY, STEP = 10.0, 20.0, 60.0
"""Hours of traffic, seconds between two events of a model, and between two turns of the loop."""
AWAY = (2.0, 8.0)
"""The hours between which nothing can be read."""
DRIFTS, EMPTIES = (2.5, 2.8), (6.5, 8.7)
"""The hours of the faults: one is over when reading goes on, one is not."""

Records = list[list[tuple[float, bytes]]]


def traffic() -> Records:
    """By partition, when each record arrives and what it is; a model's events lie in all of them."""
    rng, records = np.random.default_rng(31), [[] for _ in PARTITIONS]
    for i, at in enumerate(np.arange(START, START + HOURS * HOUR, EVERY).tolist()):
        hour = (at - START) / HOUR
        for m, model in enumerate(MODELS):
            moved = model == "drifts" and DRIFTS[0] < hour < DRIFTS[1]
            empty = model == "empties" and EMPTIES[0] < hour < EMPTIES[1]
            features = {
                "x": float(rng.normal(1.5 if moved else 0.0)),
                "c": None if empty else "ab"[int(rng.integers(2))],
            }
            arrives = at + float(rng.uniform(0.0, 40.0))
            line = event(round(at + m, 3), features, model=model, id=f"{i}")
            records[int(rng.integers(len(PARTITIONS)))].append((arrives, line))
    return [sorted(part) for part in records]


class Topic:
    """A source whose records arrive by the clock, and cannot be had while its broker is away, as a Kafka topic's."""

    merged = False

    def __init__(self, records: Records, clock: ManualClock, positions: Mapping[Partition, int]) -> None:
        self._records = records
        self._clock = clock
        self._next = {partition: positions.get(partition, 0) for partition in PARTITIONS}
        self.away = False

    def poll(self, records_max: int, _timeout_seconds: float) -> RawBatch:
        """One partition after the other, each as far as it can: as uneven as catching up may be."""
        found: list[tuple[int, int, float, bytes]] = []
        for number, partition in enumerate(PARTITIONS):
            while not self.exhausted(partition) and not self.away and len(found) < records_max:
                offset = self._next[partition]
                found.append((number, offset, *self._records[number][offset]))
                self._next[partition] += 1
        source, offsets, times, values = zip(*found, strict=True) if found else ((), (), (), ())
        return RawBatch(
            values, np.array(times, float), PARTITIONS, np.array(source, np.int32), np.array(offsets, np.int64)
        )

    def positions(self) -> Mapping[Partition, int]:
        return dict(self._next)

    def exhausted(self, partition: Partition) -> bool:
        records, offset = self._records[partition.number], self._next[partition]
        return not self.away and (offset >= len(records) or records[offset][0] > self._clock.now())

    def finished(self) -> bool:
        return False

    def lag(self) -> Mapping[Partition, int]:
        return {}

    def committed(self, positions: Mapping[Partition, int]) -> None:
        """Nobody wants to know."""

    def close(self) -> None:
        """There is nothing."""


class _Keeper:
    """Writes at once, as the daemon's keeper does on a disk that has room."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint

    def save(self, *what: Any) -> bool:
        """As the pipeline asks."""
        self._checkpoint.save(*what)
        return True


class Daemon:
    """A live loop over a topic with a store, whose clock stands where it is told to."""

    def __init__(self, config: Config, records: Records, store: Path, now: float = START) -> None:
        self.clock = ManualClock(now)
        self.told: list[Incident] = []
        self._database = Database(store)
        checkpoint, self.fleet = Checkpoint(self._database, TickLog(self._database, math.inf)), make_fleet(config)
        time = EventTime(config.clock.lateness, config.clock.leap)
        self.topic = Topic(records, self.clock, checkpoint.load(self.fleet, time))
        pace = Pace(live=True, idle=config.clock.idle, commit=60.0, future=config.clock.future, batch_records=500)
        around = Surroundings(self.clock, Metrics(), Box(), _Keeper(checkpoint), self.told.extend)
        self.pipeline = Pipeline(self.topic, make_decoders(config), self.fleet, time, around, pace)

    def run(self, until: float) -> None:
        """Turn until ``until`` hours, a step of the clock at a time, and read to the end of what has arrived."""
        while self.clock.now() < START + until * HOUR:
            self.clock.advance(STEP)
            while self.pipeline.turn():
                pass

    def stop(self) -> None:
        self.pipeline.commit()
        self._database.close()

    def known(self) -> list[dict[str, Any]]:
        """All incidents as their documents say them; their rank is by the traffic of the moment they were told."""
        book = self.fleet.book
        known = [*(held.incident for held in book.open.values()), *book.resolved]
        said = [incident_document(each) | {"harm": None} for each in known]
        return sorted(said, key=lambda each: str(each["id"]))


@pytest.fixture(scope="module")
def records() -> Records:
    return traffic()


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    directory, rng = tmp_path_factory.mktemp("outage"), np.random.default_rng(32)
    for model in MODELS:
        numbers = number_series("x", "feature", rng.normal(size=20_000), 20_000)
        letters = category_series("c", "feature", {"a": 10_000, "b": 10_000}, 0, 20_000)
        save(Profile(model, "", 20_000, "training", [numbers, letters]), directory / f"{model}.mwref")
    file = directory / "config.toml"
    file.write_text(f"""
[clock]
idle = "10m"
[[models]]
match = "*"
keep_firing = "30m"
reference = "file:{directory}/{{model}}.mwref"
""")
    return load(file, {})


@pytest.fixture(scope="module")
def live(config: Config, records: Records, tmp_path_factory: pytest.TempPathFactory) -> Daemon:
    """What never was away."""
    daemon = Daemon(config, records, tmp_path_factory.mktemp("live") / "store")
    daemon.run(HOURS)
    return daemon


def states(told: Sequence[Incident]) -> dict[str, list[tuple[str, float]]]:
    """What an Alertmanager would see of each incident: its states and when it began, one after the other."""
    seen: dict[str, list[tuple[str, float]]] = {}
    for incident in told:
        seen.setdefault(incident.id, []).append((incident.state, incident.fired_time))
    return {name: [each for each, _ in groupby(of)] for name, of in seen.items()}


def test_the_faults_are_found(live: Daemon) -> None:
    """What the other tests compare: an incident that was over within the outage, and one that was not."""
    drift, empty = sorted(live.known(), key=lambda each: str(each["model"]))
    assert (drift["model"], drift["state"], empty["model"], empty["state"]) == (
        "drifts",
        "resolved",
        "empties",
        "firing",
    )
    assert drift["resolved_time"] < rfc3339(START + AWAY[1] * HOUR)
    assert sorted(len(of) for of in states(live.told).values()) == [1, 2]


@pytest.mark.parametrize("down", [False, True], ids=["broker away", "daemon down"])
def test_catching_up(config: Config, records: Records, live: Daemon, tmp_path: Path, down: bool) -> None:
    """Where Kafka is away, or the daemon is, for six hours: the same incidents to the last digit, each told once."""
    daemon = Daemon(config, records, tmp_path / "store")
    daemon.run(AWAY[0])
    told = daemon.told
    if down:
        daemon.stop()
        daemon = Daemon(config, records, tmp_path / "store", START + AWAY[1] * HOUR)
    else:
        mark = daemon.pipeline.event_time.watermark
        daemon.topic.away = True
        daemon.run(AWAY[1])
        assert daemon.pipeline.event_time.watermark == mark, "while a broker is away event time stands"
        daemon.topic.away = False
    daemon.run(HOURS)
    assert daemon.known() == live.known()
    seen = states([*told, *daemon.told] if down else daemon.told)
    for name, of in states(live.told).items():
        # What began and ended within the outage may be told as over at once; nothing is told twice, or begins anew.
        assert seen[name] in (of, of[-1:]), name
    assert seen.keys() == states(live.told).keys()
    daemon.stop()


class Range(Topic):
    """A source of what is there, as of a topic that is replayed."""

    def finished(self) -> bool:
        return all(map(self.exhausted, PARTITIONS))


@pytest.mark.parametrize("records_max", [300, 1_500, 100_000])
def test_a_replay_makes_nothing_late(config: Config, records: Records, live: Daemon, records_max: int) -> None:
    """Partitions read to their ends one after the other, also in one batch, give what a daemon saw as it happened."""
    clock = ManualClock(START + (HOURS + 1.0) * HOUR)
    replayed = replay(config, Range(records, clock, {}), clock, batch_records=records_max)
    assert (replayed.late, replayed.events) == (0, sum(map(len, records)))
    assert {incident.id for incident in replayed.incidents} == states(live.told).keys()
