"""Who is drilled next? Every model in its turn, on a thread of its own, beside the loop and never in its way.

The loop copies what a drill needs, and takes in what was found; in between nothing of the fleet is touched. The thread
works a small part of the time, so that counting never waits for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.fleet_settings import DrillSettings
from monitor.catalog.models import Phase
from monitor.clock import Clock
from monitor.drill.drill import Drill, prepare
from monitor.drill.findings import Drilled, Findings
from monitor.drill.past import Past
from monitor.errors import ModelwatchError
from monitor.fleet import Fleet
from monitor.telemetry import logs
from monitor.telemetry.metrics import Metrics

WORK_SECONDS = 0.02
"""How long the thread works at a stretch, about, before it rests."""
RETRY_SECONDS = 3600.0
"""How long a model waits whose drill failed."""

_FAILURES = (ModelwatchError, ArithmeticError, LookupError, ValueError)
"""A drill that ends so is one model's: the others are drilled all the same."""

_log = logs.get_logger("monitor.rounds")


class _StoppedError(Exception):
    """The daemon ends in the middle of a drill."""


class Rounds:
    """Drills one model at a time, those first whose last drill is longest ago."""

    def __init__(
        self,
        settings: DrillSettings,
        past: Past,
        keep: Callable[[int, Findings], None],
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        """``keep`` has what was found of a model's row stored; it is called by the loop."""
        self._settings = settings
        self._past = past
        self._keep = keep
        self._clock = clock
        self._metrics = metrics
        self.drilled = Drilled()
        """What was found lately; belongs to the loop."""
        self._asked: SimpleQueue[Drill | None] = SimpleQueue()
        self._answers: SimpleQueue[tuple[int, Findings | None]] = SimpleQueue()
        self._busy = False
        self._due: NDArray[np.float64] = np.zeros(0)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="drills", daemon=True)
        self._began = 0.0

    def restore(self, found: dict[int, Findings]) -> None:
        """Go on from what was found before the daemon was started."""
        for row, one in found.items():
            self.drilled.add(row, one)
            self._wait(row, one.made + self._settings.every)

    def start(self) -> None:
        """Begin, unless drills are not wanted."""
        if self._settings.every > 0:
            self._thread.start()

    def stop(self) -> None:
        """Leave what is being drilled, and end the thread."""
        self._stopping.set()
        self._asked.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def turn(self, fleet: Fleet) -> None:
        """Take in what was found, and hand out the next model whose time has come; called by the loop."""
        try:
            while True:
                self._take(*self._answers.get_nowait())
        except Empty:
            pass
        if self._busy or self._settings.every <= 0:
            return
        row = self._next(fleet)
        if row is not None:
            self._busy = True
            self._asked.put(prepare(fleet, row))

    def _take(self, row: int, found: Findings | None) -> None:
        self._busy = False
        if found is not None:
            self.drilled.add(row, found)
            self._keep(row, found)
        self._wait(row, self._clock.now() + (self._settings.every if found else RETRY_SECONDS))

    def _wait(self, row: int, until: float) -> None:
        if row >= len(self._due):
            self._due = np.concatenate([self._due, np.full(row + 1 - len(self._due), -np.inf)])
        self._due[row] = until

    def _next(self, fleet: Fleet) -> int | None:
        """The model that has waited longest among those that are judged; ``None`` where nobody's time has come."""
        n = len(fleet.models)
        if n > len(self._due):
            self._wait(n - 1, -np.inf)
        rows = fleet.models.rows
        # What learns has no reference yet; what is within another model has neither a page nor a metric of its own.
        waits = (rows["phase"][:n] == Phase.LEARNING) | (rows["root"][:n] != np.arange(n))
        due = np.where(waits, np.inf, self._due[:n])
        first = int(due.argmin()) if n else 0
        return first if n and due[first] <= self._clock.now() else None

    def _work(self) -> None:
        while (drill := self._asked.get()) is not None:
            found = None
            self._began = self._clock.monotonic()
            try:
                found = drill.run(self._past, self._clock.now(), self._breathe)
                self._metrics.drills.labels("done").inc()
            except _StoppedError:
                return
            except _FAILURES as error:
                self._metrics.drills.labels("failed").inc()
                _log.exception("drill_failed", model=drill.name, error=repr(error))
            self._worked(self._clock.monotonic() - self._began)
            self._answers.put((drill.row, found))

    def _breathe(self) -> None:
        """Rest, once there was work for long enough, so that work is a small part of the time."""
        worked = self._clock.monotonic() - self._began
        if self._stopping.is_set():
            raise _StoppedError
        if worked >= WORK_SECONDS:
            self._worked(worked)
            if self._stopping.wait(worked * (1.0 / self._settings.cpu - 1.0)):
                raise _StoppedError
            self._began = self._clock.monotonic()

    def _worked(self, seconds: float) -> None:
        self._metrics.drill_seconds.inc(max(seconds, 0.0))
