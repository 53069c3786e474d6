"""How many events a second does the daemon take from Kafka on one core, beside a bare loop that only parses them?

A real broker on core 0 serves a topic that is filled once. Then, in turn and each in a fresh process on core 1: the
*parse line* (``consume()`` and ``orjson.loads`` of each value, nothing else) and the daemon with everything on (store,
HTTP, judging, incidents). A run lasts from its first record until the last one is processed and committed; starting,
importing and the first connection are outside it. What lies behind its first third is told beside it (``met``): in the
first ticks the daemon meets its models and installs their references, which happens once. Both run without the garbage
collector, as the daemon always does.

Judging and storing are done by the tick, so what they cost an event depends on how many share one. Whoever needs this
rate has many: 60,000 events a second of 1,000 models are 3,600 in each 60-s tick. 600 are measured by default;
``--per-tick 60`` is a fleet whose whole traffic is a hundredth of what a core takes.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from monitor import alone, app
from monitor.clock import SystemClock
from monitor.config import load
from monitor.events.raw import Partition, RawBatch
from monitor.incidents.incident import Incident
from monitor.ingest.kafka import KafkaSource
from monitor.ingest.kafka_client import consumer_settings

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "tests"), str(Path(__file__).parent)]

import events as bench_events  # noqa: E402 -- the tests' servers and the generator are found by path
from servers.kafka import KafkaServer  # noqa: E402

BROKER_CORE, MEASURED_CORE = 0, 1
TOPIC, PARTITIONS = "ml.predictions", 4
_CONSUME = 1000
_NAMED = len(b'{"model":"')

_CONFIG = """
[kafka]
bootstrap_servers = "{bootstrap}"
topics = [{{ name = "{topic}" }}]
[store]
path = "{directory}/store"
[http]
listen = "127.0.0.1:0"
[alertmanager]
urls = []
[log]
level = "warning"
[[models]]
match = "*"
reference = "{reference}"
outcome_horizon = "{horizon}"
"""


class Watch:
    """Times a run by its records."""

    def __init__(self, events: int) -> None:
        self.events = events
        self.records = 0
        self._began = self._met = 0.0
        self._records_met = 0
        self._before = resource.getrusage(resource.RUSAGE_SELF)

    @property
    def complete(self) -> bool:
        """Whether all records were read."""
        return self.records >= self.events

    def count(self, records: int) -> None:
        """Note that so many more were read."""
        if not self.records and records:
            self._began, self._before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
        self.records += records
        if not self._met and self.records >= self.events // 3:
            self._met, self._records_met = time.monotonic(), self.records

    def result(self) -> dict[str, Any]:
        """What a run prints."""
        used, now = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
        cpu = used.ru_utime + used.ru_stime - self._before.ru_utime - self._before.ru_stime
        return {
            "events": self.events,
            "events_per_second": self.events / (now - self._began),
            "met_events_per_second": (self.events - self._records_met) / (now - self._met),
            "cpu_us_per_event": cpu / self.events * 1e6,
            "max_rss_mb": most_resident_mb(),
        }


def most_resident_mb() -> float:
    """The most that was resident of this program; ``ru_maxrss`` would begin with what its parent had at the start."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024.0


def parse_line(bootstrap: str, events: int) -> dict[str, Any]:
    """A bare loop of ``consume()`` and ``orjson.loads``."""
    import orjson  # noqa: PLC0415 -- only this process needs it

    settings = consumer_settings(bootstrap, f"parse-{os.getpid()}", {})
    consumer = Consumer({**settings, "enable.partition.eof": False})
    consumer.assign([TopicPartition(TOPIC, number, 0) for number in range(PARTITIONS)])
    gc.collect()
    gc.freeze()
    gc.disable()
    watch = Watch(events)
    while not watch.complete:
        messages = consumer.consume(_CONSUME, 0.1)
        watch.count(len(messages))
        for message in messages:
            orjson.loads(message.value())
    found = watch.result()
    consumer.close()
    return found


def daemon(config_path: str, events: int) -> dict[str, Any]:
    """The daemon as ``modelwatch run`` starts it, until it has committed the last record."""
    watch, result = Watch(events), {}

    class Watched(KafkaSource):
        """The daemon's source; notes when records come, and ends the daemon behind the last one."""

        def poll(self, records_max: int, timeout_seconds: float) -> RawBatch:
            batch = super().poll(records_max, timeout_seconds)
            watch.count(len(batch))
            if watch.complete:
                running.stop()
            return batch

        def committed(self, positions: Mapping[Partition, int]) -> None:
            super().committed(positions)
            assert watch.records != events or sum(positions.values()) == events
            if watch.complete:
                result.update(watch.result())

    alone.KafkaSource = Watched
    running = app.Daemon(load(Path(config_path), {}), SystemClock(), lambda: load(Path(config_path), {}))
    running.run()
    fleet, metrics = running.work.shards[0].fleet, running.metrics
    return result | {
        "models": len(fleet.models),
        "counted": int(fleet.models.rows["events"][: len(fleet.models)].sum()),
        "judged_cells": int(metrics.judged_cells._value.get()),  # noqa: SLF001 -- the client has no other way
        "ticks": int(metrics.ticks_closed._value.get()),  # noqa: SLF001
        "late": int(metrics.late_events._value.get()),  # noqa: SLF001
        "incidents": sorted({name for held in fleet.book.open.values() for name in _struck(held.incident)}),
        "stages": _values(metrics.loop_seconds, "stage"),
        "outcomes": _values(metrics.outcomes, "fate"),
    }


def _struck(incident: Incident) -> tuple[str, ...]:
    """The models that an incident is about: of one that they share the cause of, all of them."""
    return incident.models or (incident.model,)


def _values(metric: Any, label: str) -> dict[str, float]:
    return {
        s.labels[label]: s.value for m in metric.collect() for s in m.samples if s.name.endswith("_total") and s.value
    }


def placed(value: bytes, keys: str) -> tuple[bytes | None, int]:
    """A record's key and partition; an outcome goes where its prediction went, as it does where both have one key."""
    if keys == "model":
        name = value[_NAMED : value.index(b'"', _NAMED)]
        return name, int(name.rpartition(b"-")[2]) % PARTITIONS
    number = value[bench_events.NUMBERED]
    return number if keys == "random" else None, int(number) % PARTITIONS


def fill(server: KafkaServer, shape: bench_events.Shape, compression: str, keys: str) -> float:
    """Write the events to the topic; returns their mean size in bytes."""
    server.create_topic(TOPIC, PARTITIONS)
    producer = Producer(
        {
            "bootstrap.servers": server.bootstrap,
            "compression.type": compression,
            "linger.ms": 50,
            "queue.buffering.max.messages": 500_000,
        }
    )
    size = 0
    for value in bench_events.events(shape):
        size += len(value)
        key, partition = placed(value, keys)
        while True:
            try:
                producer.produce(TOPIC, value, key, partition)
                break
            except BufferError:
                producer.poll(0.05)
    assert producer.flush(60) == 0
    return size / shape.events


def run_child(*arguments: str) -> dict[str, Any]:
    """One measurement in a fresh process on the measured core; its threads, librdkafka's among them, share the core."""
    command = ["taskset", "-c", str(MEASURED_CORE), sys.executable, __file__, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def summary(parsed: list[dict[str, Any]], watched: list[dict[str, Any]], facts: dict[str, Any]) -> dict[str, Any]:
    """The medians over the pairs, and the spread of the ratio."""

    def median(runs: list[dict[str, Any]], key: str) -> float:
        return statistics.median(run[key] for run in runs)

    found: dict[str, Any] = {}
    for begin in ("", "met_"):
        key = f"{begin}events_per_second"
        ratios = [w[key] / p[key] for p, w in zip(parsed, watched, strict=True)]
        found |= {
            f"{begin}parse_line": round(median(parsed, key)),
            f"{begin}daemon": round(median(watched, key)),
            f"{begin}ratio": round(statistics.median(ratios), 4),
            f"{begin}ratio_low": round(min(ratios), 4),
            f"{begin}ratio_high": round(max(ratios), 4),
        }
    return found | {
        "cpu_us_per_event": {
            "parse_line": round(median(parsed, "cpu_us_per_event"), 3),
            "daemon": round(median(watched, "cpu_us_per_event"), 3),
        },
        "daemon_max_rss_mb": round(median(watched, "max_rss_mb"), 1),
        "stages_seconds": {stage: round(value, 3) for stage, value in watched[-1]["stages"].items()},
        "judged_cells": watched[-1]["judged_cells"],
        "ticks": watched[-1]["ticks"],
        "fates": watched[-1]["outcomes"],
        **facts,
    }


def check(run: dict[str, Any], shape: bench_events.Shape) -> None:
    """A fast daemon that lost events or saw nothing would be no daemon."""
    faulty = [f"model-{i:04d}" for i in range(shape.models - shape.faulty, shape.models)]
    assert run["counted"] + run["late"] == shape.events, run
    assert run["late"] == 0, run
    if shape.events >= max(2_400.0, 8.0 * shape.per_tick) * shape.models:  # a fault is there from the middle on
        assert run["incidents"] == faulty, run["incidents"]


def benchmark(shape: bench_events.Shape, pairs: int, compression: str, keys: str) -> dict[str, Any]:
    """Fill a topic, then measure in turn."""
    with tempfile.TemporaryDirectory(prefix="modelwatch-bench-") as scratch:
        directory = Path(scratch)
        bench_events.reference(directory / "all.mwref", shape.numbers)
        with KafkaServer(directory / "kafka") as server:
            command = ["taskset", "-a", "-c", "-p", str(BROKER_CORE), str(server.process.pid)]
            subprocess.run(command, check=True, capture_output=True)
            size = fill(server, shape, compression, keys)
            parsed, watched = [], []
            for i in range(pairs):
                parsed.append(run_child("--parse-line", server.bootstrap, "--events", str(shape.events)))
                config = directory / f"config-{i}.toml"
                own = directory / f"run-{i}"
                reference = f"file:{directory}/all.mwref"
                config.write_text(
                    _CONFIG.format(
                        bootstrap=server.bootstrap,
                        topic=TOPIC,
                        directory=own,
                        reference=reference,
                        horizon=bench_events.HORIZON if shape.outcomes else "0s",
                    )
                )
                watched.append(run_child("--daemon", str(config), "--events", str(shape.events)))
                check(watched[-1], shape)
                pair = (
                    f"{name} {run['events_per_second']:,.0f} ({run['met_events_per_second']:,.0f})/s"
                    for name, run in (("parse line", parsed[-1]), ("daemon", watched[-1]))
                )
                print(f"pair {i + 1} of {pairs}: {', '.join(pair)}", file=sys.stderr)
    facts = {
        "events": shape.events,
        "models": shape.models,
        "bytes_per_event": round(size, 1),
        "compression": compression,
        "keys": keys,
        "numbers": shape.numbers,
        "outcomes": shape.events - shape.predictions,
        "sensitive_attributes": 2 if shape.sensitive else 0,
        "per_tick": shape.per_tick,
        "pairs": pairs,
        "python": platform.python_version(),
    }
    return summary(parsed, watched, facts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=6_000_000)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--per-tick", type=float, default=600.0, help="events of a model in a 60-s tick, in the mean")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--compression", default="none")
    parser.add_argument("--keys", choices=("none", "random", "model"), default="none", help="what a record's key is")
    parser.add_argument("--numbers", type=int, default=bench_events.NUMBERS, help="beside four categories")
    parser.add_argument("--without-groups", action="store_true", help="events say nothing of the people they are about")
    parser.add_argument("--joined", action="store_true", help="let an outcome follow on every prediction")
    parser.add_argument("--json", action="store_true", help="one object, last")
    parser.add_argument("--parse-line", metavar="BOOTSTRAP", help=argparse.SUPPRESS)
    parser.add_argument("--daemon", metavar="CONFIG", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    logging.getLogger("librdkafka").setLevel(logging.CRITICAL)
    if arguments.parse_line:
        print(json.dumps(parse_line(arguments.parse_line, arguments.events)))
    elif arguments.daemon:
        print(json.dumps(daemon(arguments.daemon, arguments.events)))
    else:
        shape = bench_events.Shape(
            arguments.events,
            arguments.models,
            arguments.per_tick,
            sensitive=not arguments.without_groups,
            numbers=arguments.numbers,
            outcomes=arguments.joined,
        )
        found = benchmark(shape, arguments.pairs, arguments.compression, arguments.keys)
        if not arguments.json:
            print(
                "the daemon takes {daemon:,} events/s, the parse line {parse_line:,}: ratio {ratio}; "
                "with all models met {met_daemon:,} and {met_parse_line:,}: {met_ratio}".format(**found)
            )
        print(json.dumps(found))


if __name__ == "__main__":
    main()
