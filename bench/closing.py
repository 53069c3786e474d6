"""What does closing a tick take that all models end at once, and how long does the loop stand meanwhile?

Events come from memory into the whole path but Kafka, as in stages.py; processor time of the loop alone is measured.
A stand is what lies between two moments at which the loop looks after what must not wait.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import events as bench_events
import stages

from monitor.config import load
from monitor.fleet import Closed, Fleet
from monitor.store.database import Database
from monitor.telemetry.metrics import Metrics

CASES = {"without groups": False, "two attributes": True}


class _Watched:
    """Stands in for :meth:`Fleet.close`, and notes of every close of most models what it took, and its stands."""

    def __init__(self, fleet: Fleet, models: int) -> None:
        self._close, self._models = fleet.close, models
        self._breathed = 0.0
        self._stands: list[float] = []
        self.seconds: list[float] = []
        self.longest: list[float] = []
        self.stands: list[list[float]] = []
        self.cells: list[int] = []

    def breathe(self) -> None:
        """The loop looks after everything else."""
        now = time.thread_time()
        self._stands.append(now - self._breathed)
        self._breathed = now

    def __call__(self, watermark: float, **how: Any) -> Closed:
        began = self._breathed = time.thread_time()
        self._stands = []
        closed = self._close(watermark, **how)
        self.breathe()
        if sum(map(len, closed.ticks)) > self._models // 2:
            self.seconds.append(self._breathed - began)
            self.longest.append(max(self._stands))
            self.stands.append(self._stands)
            self.cells.append(closed.n_cells)
        return closed


def measured(models: int, ticks: int, per_tick: int, *, sensitive: bool) -> dict[str, Any]:
    """Seconds by tick, the first one apart, in which models are met."""
    n = models * per_tick * (ticks + 1)
    # In the middle an hour ends, with which more is judged and learned.
    later = 1800.0 - 60.0 * (ticks // 2 + 1)
    shape = bench_events.Shape(n, models, float(per_tick), faulty=0, sensitive=sensitive, later=later)
    with tempfile.TemporaryDirectory(prefix="modelwatch-closing-") as name:
        folder = Path(name)
        bench_events.reference(folder / "all.mwref", shape.numbers)
        (folder / "config.toml").write_text(stages.CONFIG.format(folder=folder, horizon="0s"))
        source, database = stages.arranged(shape, keyed=False), Database(folder / "store")
        pipeline = stages.made(load(folder / "config.toml", {}), database, source, Metrics())
        watched = _Watched(pipeline.fleet, models)
        pipeline.fleet.close, pipeline.fleet.breathe = watched, watched.breathe  # type: ignore[method-assign]
        gc.collect()
        gc.freeze()
        gc.disable()
        while not source.finished():
            pipeline.turn()
        database.close()
    return {
        "close_s": round(statistics.median(watched.seconds[1:]), 4),
        "longest_close_s": round(max(watched.seconds[1:]), 4),
        "longest_stand_s": round(max(watched.longest[1:]), 4),
        "median_stand_s": round(statistics.median(watched.longest[1:]), 4),
        "cells": int(statistics.median(watched.cells[1:])),
        "ticks": len(watched.seconds) - 1,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--models", type=int, default=10_000)
    parser.add_argument("--ticks", type=int, default=6, help="that all models close together")
    parser.add_argument("--per-tick", type=int, default=20, help="events a model and tick")
    arguments = parser.parse_args()
    size = (arguments.models, arguments.ticks, arguments.per_tick)
    if arguments.one:
        print(json.dumps(measured(*size, sensitive=CASES[arguments.one])))
        return
    for case in CASES:
        asked = ["--models", str(size[0]), "--ticks", str(size[1]), "--per-tick", str(size[2])]
        done = subprocess.run([sys.executable, __file__, "--one", case, *asked], check=True, stdout=subprocess.PIPE)
        print(json.dumps({case: json.loads(done.stdout)}))


if __name__ == "__main__":
    main()
