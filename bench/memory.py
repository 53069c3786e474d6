"""How much memory does a model of 20 features and two sensitive attributes take, resident, judged from its first event?

For each size a fresh process feeds events straight into a fleet and commits it to a store, without Kafka and HTTP,
until every model has seen several ticks open and close and an hour turn, and prints what is resident then, once the
store is at rest and what lies aside was let go of, as at each commit. Its heap is set up as the daemon's is. Beside it
stands the most that was resident while it ran, and the most that was in no file: what is in one the system takes back
when it is short of memory. The first line is an empty fleet: what imports and the generator cost. The second is one
model with the events of a thousand: what any fleet takes that has something to do.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Self

sys.path.insert(0, str(Path(__file__).parent))

import events as bench_events
import numpy as np
from watching import Watching, watching

from monitor.heap import give_back, hold, share

SIZES = (0, 1, 1_000, 5_000, 20_000)
_PER_TICK, _OF_ONE = 2.0, 2_000.0
_TICKS = 8
_BATCH = 1_000
_REST_SECONDS, _LITTLE_MB = 3.0, 1.0
_LOOK_SECONDS = 0.03
_BEFORE_THE_HOUR = 1_560.0
"""Later than the generator's start, so that an hour turns in the middle."""


@contextmanager
def filled(models: int) -> Iterator[Watching]:
    """A fleet that has watched ``models`` models for some ticks, and has just committed."""
    with watching() as watched:
        per_tick = _OF_ONE if models == 1 else _PER_TICK
        n = round(models * per_tick * _TICKS)
        shape = bench_events.Shape(max(n, 1), max(models, 1), per_tick, 0, sensitive=True, later=_BEFORE_THE_HOUR)
        stream = bench_events.events(shape)
        next(stream)
        while values := list(islice(stream, _BATCH)):
            watched.take(values)
        watched.commit()
        del stream, values
        _rest()
        yield watched


def _rest() -> None:
    """Give back what is free, as the daemon does every five minutes, until nothing more becomes free.

    What RocksDB collected goes to a file beside the last commit, and was some 70 MB of 5,000 models when all of them
    had just been written.
    """
    before = np.inf
    while (now := resident_mb()) < before - _LITTLE_MB:
        before = now
        time.sleep(_REST_SECONDS)
        give_back()


def resident_mb(name: str = "VmRSS") -> float:
    """What the kernel says that this process holds, or under another ``name`` of /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024.0


class Highest:
    """Looks every few hundredths of a second at how much is resident, and how much of it in no file."""

    def __init__(self) -> None:
        self.resident = self.in_no_file = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            self.resident = max(self.resident, resident_mb())
            self.in_no_file = max(self.in_no_file, resident_mb("RssAnon"))


def measured(models: int) -> tuple[float, float, float]:
    """Megabytes of so many models, in a process of its own: resident at rest, at most, and of that in no file."""
    at_rest, highest, in_no_file = subprocess.check_output([sys.executable, __file__, str(models)]).split()
    return float(at_rest), float(highest), float(in_no_file)


def main() -> None:
    """Measure every size."""
    if len(sys.argv) > 1:
        share()
        hold()
        with Highest() as highest, filled(int(sys.argv[1])):
            print(resident_mb(), highest.resident, highest.in_no_file)
        return
    print(
        f"{'models':>8} {'resident MB':>12} {'kB a model':>11} {'above one':>10} {'at most MB':>11} {'in no file':>10}"
    )
    found: list[float] = []
    for models in SIZES:
        resident, highest, in_no_file = measured(models)
        found.append(resident)
        above = [f"{(resident - less) * 1024.0 / models:10.1f}" if models > 1 else " " * 10 for less in found[:2]]
        print(f"{models:8,} {resident:12.1f}  {above[0]} {above[-1]} {highest:11.1f} {in_no_file:10.1f}", flush=True)


if __name__ == "__main__":
    main()
