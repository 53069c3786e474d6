"""Does memory stand still at full speed, how large is the store, and how long does it take to come back?

A writer fills a topic of a real broker as fast as the daemon empties it, so that the daemon never waits; the broker
keeps the newest records only. Resident memory is looked at every few seconds; its slope is that of a line through the
second half, when everything that is bounded has had time to fill. Then the daemon is killed under load and started
again: recovery is the time until it is ready, catching up the time until its event time is what it was.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from confluent_kafka import Producer

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "tests"), str(Path(__file__).parent)]

import events as bench_events  # noqa: E402 -- the tests' servers and the generator are found by path
from servers.daemon import Daemon  # noqa: E402
from servers.kafka import KafkaServer  # noqa: E402

TOPIC, PARTITIONS = "ml.predictions", 4
_KEPT = {"retention.bytes": str(256 << 20), "segment.bytes": str(64 << 20), "retention.ms": "-1"}
_AHEAD = 200_000
"""Records that the writer may be ahead of the daemon."""
_REMEMBERED = 500_000
"""Ids that are remembered: what is bounded must be full before the second half of the run."""
_EVERY, _BLOCK = 5.0, 120.0
_CONFIG = """
[kafka]
bootstrap_servers = "{bootstrap}"
topics = [{{ name = "{topic}" }}]
[clock]
future = "3650d"
[log]
level = "warning"
[[models]]
match = "*"
reference = "file:{reference}"
outcome_horizon = "10m"
[dedupe]
capacity = {capacity}
"""


def endless(models: int, per_tick: float) -> Iterator[bytes]:
    """Events of a fleet without a fault, for ever, the time a little further with each."""
    rng = np.random.default_rng(3)
    bodies = bench_events.pooled(rng, 0.0, bench_events.Shape(1, models, per_tick, 0))
    step, n = 60.0 / (models * per_tick), 0
    while True:
        chosen, rest = rng.integers(0, models, 100_000).tolist(), rng.integers(0, len(bodies), 100_000).tolist()
        for i in range(100_000):
            at = bench_events.START + n * step
            yield b'{"model":"model-%05d","id":"req-%011d","time":%.3f,%s' % (chosen[i], n, at, bodies[rest[i]])
            n += 1


def write(bootstrap: str, models: int, per_tick: float) -> None:
    """Write until the process is ended; lines on stdin say how many records the daemon has counted so far."""
    how = {"linger.ms": 50, "compression.type": "lz4", "queue.buffering.max.messages": 100_000}
    producer, read = Producer({"bootstrap.servers": bootstrap, **how}), 0
    for written, value in enumerate(endless(models, per_tick)):
        if written % 10_000 == 0:
            while written - read > _AHEAD:
                read = int(sys.stdin.readline() or sys.exit(0))
        while True:
            try:
                producer.produce(TOPIC, value, partition=written % PARTITIONS)
                break
            except BufferError:
                producer.poll(0.05)


class Watch:
    """A daemon that is looked at: resident megabytes by seconds since the start, and events."""

    def __init__(self, daemon: Daemon, writer: subprocess.Popen[str]) -> None:
        self.daemon = daemon
        self._writer = writer
        self._events = 0
        self.seconds: list[float] = []
        self.resident: list[float] = []

    def run(self, seconds: float) -> int:
        """Look for so long; returns the events counted meanwhile."""
        began, told, first = time.monotonic(), 0.0, self.events()
        assert self._writer.stdin is not None
        while (now := time.monotonic() - began) < seconds:
            n = self.events()
            self._writer.stdin.write(f"{n}\n")
            self._writer.stdin.flush()
            if now - told >= _EVERY:
                told = now
                self.seconds.append(now)
                self.resident.append(_resident_mb(self.daemon.pid))
                print(f"{now:7.0f} s {n:12,} events {self.resident[-1]:8.1f} MB", file=sys.stderr, flush=True)
            time.sleep(0.2)
        return self.events() - first

    def events(self) -> int:
        """Events that the process has counted; as before where a busy machine does not let it answer."""
        with suppress(OSError):
            self._events = int(sum(self.daemon.metric("modelwatch_events_total").values()))
        return self._events

    def slope(self) -> tuple[float, float]:
        """Megabytes an hour in the second half, and the standard error of that.

        By means of two minutes: what is resident swings with the ticks, and one look says nearly what the last said.
        """
        x, y = np.array(self.seconds), np.array(self.resident)
        late = x >= x[-1] / 2.0
        _, of = np.unique(x[late] // _BLOCK, return_inverse=True)
        n = np.bincount(of)
        x, y = np.bincount(of, x[late]) / n / 3600.0, np.bincount(of, y[late]) / n
        slope, level = np.polyfit(x, y, 1)
        rest = y - slope * x - level
        return float(slope), float(np.sqrt((rest**2).sum() / max(len(x) - 2, 1) / ((x - x.mean()) ** 2).sum()))


def _resident_mb(pid: int) -> float:
    (line,) = (each for each in Path(f"/proc/{pid}/status").read_text().splitlines() if each.startswith("VmRSS"))
    return int(line.split()[1]) / 1024.0


def _bytes(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())


def soak(models: int, per_tick: float, seconds: float) -> dict[str, Any]:
    """All of it; what is printed."""
    with tempfile.TemporaryDirectory(prefix="modelwatch-soak-") as folder, KafkaServer(Path(folder) / "kafka") as kafka:
        directory, reference = Path(folder), Path(folder) / "all.mwref"
        bench_events.reference(reference)
        kafka.create_topic(TOPIC, PARTITIONS, _KEPT)
        text = _CONFIG.format(bootstrap=kafka.bootstrap, topic=TOPIC, reference=reference, capacity=_REMEMBERED)
        command = [sys.executable, __file__, "--write", kafka.bootstrap]
        command += ["--models", str(models), "--per-tick", str(per_tick)]
        with Daemon(directory, text) as daemon, subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as writer:
            watch = Watch(daemon, writer)
            began = time.monotonic()
            counted = watch.run(seconds)
            rate = counted / (time.monotonic() - began)
            slope, error = watch.slope()
            mark = daemon.status()["watermark"]
            daemon.kill()
            writer.kill()
            size = _bytes(daemon.store)
            ready = daemon.start()
            again = time.monotonic()
            daemon.until(lambda: (daemon.status()["watermark"] or "") >= mark, 600.0)
            caught = time.monotonic() - again
            return {
                "models": models,
                "seconds": round(seconds),
                "events": counted,
                "events_per_second": round(rate),
                "resident_mb": [round(watch.resident[0], 1), round(watch.resident[-1], 1)],
                "slope_mb_per_hour": round(slope, 2),
                "slope_standard_error": round(error, 2),
                "store_mb": round(size / 1e6, 1),
                "recovery_seconds": round(ready, 2),
                "caught_up_seconds": round(caught, 2),
            }


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=1_000)
    parser.add_argument("--per-tick", type=float, default=8.0, help="events of a model in a 60-s tick, in the mean")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--write", metavar="BOOTSTRAP", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.write:
        write(asked.write, asked.models, asked.per_tick)
    else:
        print(json.dumps(soak(asked.models, asked.per_tick, asked.minutes * 60.0)))


if __name__ == "__main__":
    main()
