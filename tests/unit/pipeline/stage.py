"""A daemon without its outside: files, a pipeline and a store, which can be stopped dead and taken up again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from monitor.clock import ManualClock
from monitor.compose import make_decoders, make_fleet
from monitor.config import Config
from monitor.events.raw import Partition, RawBatch
from monitor.fleet import Fleet
from monitor.incidents.incident import Incident
from monitor.ingest.files import FilesSource
from monitor.pipeline import Pace, Pipeline, Surroundings
from monitor.store.checkpoint import Checkpoint
from monitor.store.database import Database
from monitor.store.ticklog import TickLog
from monitor.tally.closed import ClosedTicks
from monitor.tally.event_time import EventTime
from monitor.telemetry.metrics import Metrics


@dataclass
class Box:
    """Keeps dead letters; ``stuck`` ones never arrive."""

    letters: list[tuple[int, str]] = field(default_factory=list)
    stuck: bool = False

    def add(self, batch: RawBatch, indices: Sequence[int], reasons: Sequence[str]) -> None:
        self.letters += [(int(batch.offsets[i]), reason) for i, reason in zip(indices, reasons, strict=True)]

    def flush(self, timeout_seconds: float) -> bool:
        return not self.stuck


class Stage:
    """A pipeline over ``files`` with a store in ``directory``."""

    def __init__(
        self,
        config: Config,
        files: Sequence[Path],
        directory: Path,
        *,
        batch_records: int | None = 100,
        now: float = 1_767_225_600.0,
        future: float = math.inf,
        commit: float = math.inf,
    ) -> None:
        self.clock = ManualClock(now)
        self.metrics = Metrics()
        self.box = Box()
        self.told: list[Incident] = []
        self.saved: list[Mapping[Partition, int]] = []
        self.database = Database(directory)
        self.log = TickLog(self.database, math.inf)
        self._checkpoint = Checkpoint(self.database, self.log)
        self.fleet = make_fleet(config)
        time = EventTime(config.clock.lateness, config.clock.leap)
        positions = self._checkpoint.load(self.fleet, time)
        self.source = FilesSource([str(file) for file in files], positions)
        self.pipeline = Pipeline(
            self.source,
            make_decoders(config),
            self.fleet,
            time,
            Surroundings(self.clock, self.metrics, self.box, self, self.told.extend),
            Pace(batch_records=batch_records, future=future, commit=commit),
        )

    def save(
        self,
        fleet: Fleet,
        time: EventTime,
        positions: Mapping[Partition, int],
        ticks: list[ClosedTicks],
        incidents: list[Incident],
    ) -> bool:
        self._checkpoint.save(fleet, time, positions, ticks, incidents)
        self.saved.append(dict(positions))
        return True

    def run(self, turns: int | None = None, commit_every: int = 0) -> bool:
        """Turn until the files end, or ``turns`` times; whether the end was reached."""
        done = 0
        while not self.source.finished():
            if turns is not None and done >= turns:
                return False
            self.pipeline.turn()
            done += 1
            if commit_every and done % commit_every == 0:
                self.pipeline.commit()
        return True

    def close(self) -> None:
        """Let go of the files and of the directory, without a commit: what a kill leaves behind."""
        self.source.close()
        self.database.close()
