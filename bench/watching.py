"""A fleet that takes events in as the daemon does, without Kafka and HTTP: decoded, counted, joined, judged, stored."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import events as bench_events
import numpy as np

from monitor.compose import make_decoders, make_fleet
from monitor.config import load
from monitor.events.raw import Partition
from monitor.store.checkpoint import Checkpoint
from monitor.store.database import Database
from monitor.store.ticklog import TickLog
from monitor.tally.closed import ClosedTicks
from monitor.tally.event_time import EventTime

_COMMIT_SECONDS = 5.0
_KEPT_SECONDS = 400 * 86400.0
_POLICY = """
[[models]]
match = "*"
reference = "file:{reference}"
favourable = ["approve"]
outcome_horizon = "{horizon}"
"""


class Watching:
    """A fleet, its clock and its store in ``folder``; each model is judged from its first event, by one reference."""

    def __init__(self, folder: Path, database: Database, horizon: str) -> None:
        reference, file = folder / "all.mwref", folder / "config.toml"
        bench_events.reference(reference)
        file.write_text(_POLICY.format(reference=reference, horizon=horizon))
        config = load(file, {})
        self.folder = folder
        self.fleet = make_fleet(config)
        self._decoder = make_decoders(config)("")
        self._time = EventTime(config.clock.lateness)
        self._checkpoint = Checkpoint(database, TickLog(database, _KEPT_SECONDS))
        self._checkpoint.load(self.fleet, self._time)
        self._committed = -np.inf
        self._ticks: list[ClosedTicks] = []

    def take(self, values: list[bytes]) -> None:
        """Let a batch of events in; it is committed when that is due in event time."""
        batch, time = self._decoder.decode(values, np.full(len(values), np.nan)), self._time
        ends = self.fleet.tick_ends(batch)
        time.after_each(batch.time, np.zeros(len(batch), np.int32), (Partition("bench", 0),))
        self.fleet.absorb(batch, np.zeros(len(batch), bool))
        self.fleet.join(batch, self.fleet.case_dues(batch, ends), np.full(len(batch), time.watermark))
        self._ticks += self.fleet.close(time.watermark).ticks
        if time.watermark >= self._committed + _COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Store everything."""
        self._checkpoint.save(self.fleet, self._time, {}, self._ticks, [])
        self._committed, self._ticks = self._time.watermark, []


@contextmanager
def watching(horizon: str = "1d") -> Iterator[Watching]:
    """An empty fleet before an empty store, which is gone afterwards; ``horizon`` is how long cases wait."""
    with (
        tempfile.TemporaryDirectory(prefix="modelwatch-bench-") as folder,
        Database(Path(folder) / "store") as database,
    ):
        yield Watching(Path(folder), database, horizon)
