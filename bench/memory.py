"""How much memory does a fleet of 20 features a model take, resident, judged from its first event?

For each size a fresh process feeds events straight into the fleet, without Kafka and store, until every model has seen
several ticks open and close, and prints what is resident then. The first line is an empty fleet: what imports cost.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import events as bench_events

from monitor.compose import make_decoders, make_fleet
from monitor.config import load
from monitor.events.raw import Partition
from monitor.tally.event_time import EventTime

SIZES = (0, 1_000, 10_000)
_PER_TICK = 2.0
_TICKS = 8
_BATCH = 1_000


def fill(models: int) -> float:
    """Watch ``models`` models for some ticks; returns the resident megabytes."""
    with tempfile.TemporaryDirectory() as folder:
        reference = Path(folder) / "all.mwref"
        bench_events.reference(reference)
        file = Path(folder) / "config.toml"
        file.write_text(f'[[models]]\nmatch = "*"\nreference = "file:{reference}"\n')
        config = load(file, {})
        fleet, decoder = make_fleet(config), make_decoders(config)("")
        time, partition = EventTime(config.clock.lateness), Partition("bench", 0)
        n = round(models * _PER_TICK * _TICKS)
        stream = bench_events.events(bench_events.Shape(n, max(models, 1), _PER_TICK, 0)) if n else iter(())
        while values := list(islice(stream, _BATCH)):
            batch = decoder.decode(values, np.full(len(values), np.nan))
            time.after_each(batch.time, np.zeros(len(batch), np.int32), (partition,))
            fleet.absorb(batch, np.zeros(len(batch), bool))
            fleet.close(time.watermark)
        return _resident_mb()


def _resident_mb() -> float:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024.0


def main() -> None:
    """Measure every size in a process of its own."""
    if len(sys.argv) > 1:
        print(fill(int(sys.argv[1])))
        return
    empty = 0.0
    print(f"{'models':>8} {'resident MB':>12} {'kB a model':>11}")
    for models in SIZES:
        ran = subprocess.run([sys.executable, __file__, str(models)], capture_output=True, text=True, check=True)
        resident = float(ran.stdout)
        empty = empty or resident
        each = f"{(resident - empty) * 1024.0 / models:11.1f}" if models else f"{'':>11}"
        print(f"{models:8,} {resident:12.1f} {each}")


if __name__ == "__main__":
    main()
