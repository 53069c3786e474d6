"""How much more do replicas of a cluster judge than one, and how long does taking over from a killed one take?

A topic is filled once. Then one replica, and several, judge all of it in groups of their own; what is measured is the
rate between the first and the last fifth of the events, when all of them work. Afterwards one of those that hold shards
is killed, and the time until the others hold all of them is taken: the group's session time, the rebalance, and the
shards put together. Everything shares the machine, the broker too.

    python bench/replicas.py --events 400000 --replicas 1 3
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import events as bench_events
from throughput import fill

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "tests")]

from servers.daemon import Daemon  # noqa: E402 -- the tests' servers are found by path
from servers.kafka import KafkaServer  # noqa: E402

_CONFIG = """
[kafka]
bootstrap_servers = "{bootstrap}"
group_id = "replicas-{replicas}"
topics = [{{ name = "ml.predictions" }}]
[cluster]
enabled = {clustered}
shards = {shards}
replication = 1
[log]
level = "warning"
[[models]]
match = "*"
reference = "{reference}"
outcome_horizon = "0s"
"""


def summed(daemons: list[Daemon], name: str) -> float:
    """A metric over all of them; one that is too busy to answer is asked again."""
    total = 0.0
    for daemon in daemons:
        while True:
            try:
                total += sum(daemon.metric(name).values())
                break
            except OSError:
                time.sleep(0.1)
    return total


def counted(daemons: list[Daemon]) -> float:
    """Events that all of them have judged together."""
    return summed(daemons, "modelwatch_events_total")


def held(daemons: list[Daemon]) -> float:
    """Shards that they hold together."""
    return summed(daemons, "modelwatch_cluster_shards")


def rate(daemons: list[Daemon], n_events: int) -> float:
    """Events a second between the first and the last fifth."""
    first = last = (0.0, 0.0)
    while last[1] < 0.8 * n_events:
        last = (time.monotonic(), counted(daemons))
        if last[1] < 0.2 * n_events or not first[1]:
            first = last
        time.sleep(0.2)
    if last == first:
        raise SystemExit("too few events: most were judged before the first look")
    return (last[1] - first[1]) / (last[0] - first[0])


def take_over(daemons: list[Daemon], shards: int) -> float:
    """Kill the last one; seconds until the others hold everything."""
    began = time.monotonic()
    daemons[-1].kill()
    while held(daemons[:-1]) < shards:
        time.sleep(0.1)
    return time.monotonic() - began


def run(replicas: int, config: str, directory: Path, asked: argparse.Namespace) -> dict[str, float]:
    """One measurement; ``replicas`` 0 is a daemon alone."""
    daemons = [Daemon(directory / f"{replicas}-{i}", config, commit="5s") for i in range(max(replicas, 1))]
    with ExitStack() as stack:
        # A process ends with the thread that started it: these live until all is measured.
        pool = stack.enter_context(ThreadPoolExecutor(len(daemons)))
        stack.enter_context(daemons[0])
        started = [pool.submit(stack.enter_context, daemon) for daemon in daemons[1:]]
        found = {"replicas": replicas, "events_per_second": round(rate(daemons, asked.events))}
        for each in started:
            each.result()
        if replicas > 1:
            daemons[0].until(lambda: counted(daemons) >= asked.events and held(daemons) == asked.shards, 600)
            found["take_over_seconds"] = round(take_over(daemons, asked.shards), 1)
            found["putting_together_seconds"] = max(
                summed([daemon], "modelwatch_cluster_take_over_seconds") for daemon in daemons[:-1]
            )
        return found


def main() -> None:
    """Measure, and print one object last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--models", type=int, default=400)
    parser.add_argument("--shards", type=int, default=6)
    parser.add_argument("--replicas", type=int, nargs="+", default=[0, 1, 3], help="0: one daemon without a cluster")
    asked = parser.parse_args()
    shape = bench_events.Shape(asked.events, asked.models, 60.0)
    with tempfile.TemporaryDirectory() as name, KafkaServer(Path(name) / "kafka") as kafka:
        reference = Path(name) / "reference.mwref"
        bench_events.reference(reference)
        fill(kafka, shape, "lz4")
        runs = []
        for replicas in asked.replicas:
            config = _CONFIG.format(
                bootstrap=kafka.bootstrap,
                replicas=replicas,
                clustered=str(replicas > 0).lower(),
                shards=asked.shards,
                reference=f"file:{reference}",
            )
            runs.append(run(replicas, config, Path(name), asked))
            print(runs[-1], flush=True)
    print(json.dumps(runs))


if __name__ == "__main__":
    main()
