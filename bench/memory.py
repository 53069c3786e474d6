"""How much memory does a model of 20 features and two sensitive attributes take, resident, judged from its first event?

For each size a fresh process feeds events straight into a fleet and commits it to a store, without Kafka and HTTP,
until every model has seen several ticks open and close and an hour turn, and prints what is resident then, once the
store is at rest. The first line is an empty fleet: what imports and the generator cost.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import events as bench_events
import numpy as np
from watching import Watching, watching

from monitor.heap import give_back

SIZES = (0, 1_000, 5_000, 20_000)
_PER_TICK = 2.0
_TICKS = 8
_BATCH = 1_000
_REST_SECONDS, _LITTLE_MB = 3.0, 1.0
_BEFORE_THE_HOUR = 1_560.0
"""Later than the generator's start, so that an hour turns in the middle."""


@contextmanager
def filled(models: int) -> Iterator[Watching]:
    """A fleet that has watched ``models`` models for some ticks, and has just committed."""
    with watching() as watched:
        n = round(models * _PER_TICK * _TICKS)
        shape = bench_events.Shape(max(n, 1), max(models, 1), _PER_TICK, 0, sensitive=True, later=_BEFORE_THE_HOUR)
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


def resident_mb() -> float:
    """What the kernel says that this process holds."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024.0


def measured(models: int) -> float:
    """Resident megabytes of so many models, in a process of its own."""
    return float(subprocess.check_output([sys.executable, __file__, str(models)]))


def main() -> None:
    """Measure every size."""
    if len(sys.argv) > 1:
        with filled(int(sys.argv[1])):
            print(resident_mb())
        return
    print(f"{'models':>8} {'resident MB':>12} {'kB a model':>11}")
    empty = 0.0
    for models in SIZES:
        resident = measured(models)
        empty = empty or resident
        each = f"{(resident - empty) * 1024.0 / models:11.1f}" if models else ""
        print(f"{models:8,} {resident:12.1f} {each}", flush=True)


if __name__ == "__main__":
    main()
