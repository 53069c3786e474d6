"""Kills a daemon at random instants under load, with a real Kafka and Alertmanager, and holds it against a ledger.

``python -m faults.harness --kills 200`` from ``tests`` (``make soak``) runs it long and prints what came of it;
``--replicas 3`` does the same to the replicas of a cluster.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from faults.ledger import FLUSH, LATENESS, MEND, PARTITIONS, Ledger, Place, difference, write_references
from faults.replicas import CONFIG, Replicas
from servers.alertmanager import TO_WEBHOOK, AlertmanagerServer
from servers.daemon import PROGRAM, Daemon
from servers.kafka import KafkaServer
from servers.webhook import WebhookReceiver

from monitor.clock import rfc3339
from monitor.compose import make_fleet
from monitor.config import load
from monitor.fleet import Fleet
from monitor.kernels.tally import NULLS
from monitor.store.checkpoint import Checkpoint
from monitor.store.database import Database
from monitor.store.ticklog import TickLog
from monitor.tally.event_time import EventTime

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from concurrent.futures import Future

BROKEN = (sys.executable, str(Path(__file__).with_name("broken_daemon.py")))
UNFENCED = (sys.executable, str(Path(__file__).with_name("unfenced_replica.py")))
_BLOCK = 200
RESEND = "60s"
"""An alert ends by itself after four times this: longer than starting a process takes on a machine that is busy."""


@dataclass(slots=True)
class Outcome:
    """What a run gave: ``told`` counts notifications by state and alert, ``incidents`` are those of the store."""

    kills: int
    events: int
    lost: int
    doubled: int
    incidents: dict[str, tuple[Any, ...]]
    told: Counter[tuple[str, ...]] = field(default_factory=Counter)
    counters: dict[str, float] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        told = sorted(self.told.values())
        return (
            f"{self.kills} kills, {self.events} events, {self.lost} lost, {self.doubled} doubled, "
            f"{len(self.incidents)} incidents, {len(told)} notifications, {sum(n > 1 for n in told)} told twice"
        )


@dataclass(frozen=True, slots=True)
class Run:
    """One daemon, or ``replicas`` of a cluster: how often it is killed, when, and which program it is."""

    kills: int
    seed: int = 0
    program: tuple[str, ...] = PROGRAM
    replicas: int = 0


class Rig:
    """A topic with a ledger, and daemons that read it while it is written; each has a store of its own."""

    def __init__(self, kafka: KafkaServer, directory: Path, ledger: Ledger, references: Path) -> None:
        self.kafka = kafka
        self.ledger = ledger
        self.topic = kafka.new_topic(PARTITIONS)
        self._written = threading.Event()
        self._resting = threading.Event()
        """While it is set nothing is disturbed."""
        self._failed = threading.Event()
        self._reading = threading.Semaphore(0)
        self._behind: dict[str, Callable[[], Mapping[str, object]]] = {}
        """Of each run, what it has not read of what is written; empty where that is nothing."""
        self._directory = directory
        self._references = references

    def run_all(self, seconds: float, runs: Mapping[str, Run]) -> dict[str, Outcome]:
        """Write all records evenly over ``seconds``, while daemons read them; what came of each by its name."""
        with ThreadPoolExecutor(len(runs)) as pool:
            futures = {name: pool.submit(self._run, name, run) for name, run in runs.items()}
            try:
                for _ in runs:
                    assert self._reading.acquire(timeout=300)
                self._write(seconds, futures.values())
            except BaseException:
                self._failed.set()
                # A broker ends with the thread that started it, so that a run that failed fails the writing too.
                for future in futures.values():
                    if future.done():
                        future.result()
                raise
            finally:
                self._written.set()  # whatever went wrong, nobody waits for more
            return {name: future.result() for name, future in futures.items()}

    def _write(self, seconds: float, runs: Collection[Future[Outcome]]) -> None:
        began, block, half = time.monotonic(), [], False
        for n, record in enumerate(self.ledger.records()):
            block.append(record)
            if len(block) == _BLOCK:
                self.kafka.produce(self.topic, block)
                block = []
                if not half and n >= self.ledger.events // 2:
                    half, paused = True, time.monotonic()
                    self._wait_for_all(runs)
                    began += time.monotonic() - paused
                time.sleep(max(0.0, seconds * n / self.ledger.events - (time.monotonic() - began)))
        self.kafka.produce(self.topic, block)
        self.kafka.produce(self.topic, self.ledger.flush())

    def _wait_for_all(self, runs: Collection[Future[Outcome]]) -> None:
        """What is late in the second half must be so for all, however far behind one of them is: nobody is.

        They are let rest until then: that they get on while they are killed is not what is asked here.
        """
        self._resting.set()
        deadline = time.monotonic() + 300
        while behind := {name: rest for name, what in self._behind.items() if (rest := what())}:
            assert time.monotonic() < deadline, f"left alone they get nowhere: {behind}"
            assert not any(run.done() for run in runs), "a run is over before everything is written"
            time.sleep(0.2)
        self._resting.clear()

    def _next_disturbance(self, rng: random.Random) -> None:
        """Wait for the moment to do something bad."""
        time.sleep(rng.expovariate(1.0))
        while self._resting.is_set() and not self._failed.is_set():
            time.sleep(0.1)

    def _run(self, name: str, run: Run) -> Outcome:
        return self._run_replicas(name, run) if run.replicas else self._run_alone(name, run)

    def _run_replicas(self, name: str, run: Run) -> Outcome:
        """Let replicas read everything together, disturbed on the way."""
        directory, rng, kills = self._directory / name, random.Random(run.seed), 0
        with ExitStack() as stack:
            webhook = stack.enter_context(WebhookReceiver())
            routes = TO_WEBHOOK.format(url=webhook.url)
            alertmanager = stack.enter_context(AlertmanagerServer(directory / "alertmanager", routes))
            config = self._config(name, alertmanager) + CONFIG
            daemons = [
                Daemon(directory / f"r{i}", config, commit="200ms", program=run.program) for i in range(run.replicas)
            ]
            replicas = Replicas(self.kafka, f"{name}-{self.topic}", daemons)
            replicas.start(stack)
            self._behind[name] = lambda: replicas.behind(self.topic, PARTITIONS)
            self._reading.release()
            while kills < run.kills and not self._failed.is_set():
                self._next_disturbance(rng)
                kills += replicas.disturb(rng)
            assert self._written.wait(3600)
            daemons[0].until(lambda: replicas.read_all(self.topic, PARTITIONS), 180)
            counters = {
                each: sum(sum(daemon.metric(f"modelwatch_{each}_total").values()) for daemon in daemons)
                for each in _COUNTERS
            }
            daemons[0].until(lambda: _all_told(daemons, webhook.bodies), 60)
            for daemon in daemons:
                daemon.stop()
            told = _told(webhook.bodies)
            found: Counter[Place] = Counter()
            incidents: dict[str, tuple[Any, ...]] = {}
            for fleet, log in replicas.fleets():
                found.update(self._places(fleet, log))
                incidents.update(_incidents(fleet))
        lost, doubled = difference(self.ledger.counted, found)
        sent = self.ledger.sent["events"]
        return Outcome(kills, sent, lost, doubled, incidents, told, counters, replicas.faults)

    def _run_alone(self, name: str, run: Run) -> Outcome:
        """Let a daemon read everything, killed on the way."""
        directory, rng, kills = self._directory / name, random.Random(run.seed), 0
        with ExitStack() as stack:
            webhook = stack.enter_context(WebhookReceiver())
            routes = TO_WEBHOOK.format(url=webhook.url)
            alertmanager = stack.enter_context(AlertmanagerServer(directory / "alertmanager", routes))
            daemon = Daemon(directory, self._config(name, alertmanager), commit="200ms", program=run.program)
            stack.enter_context(daemon)
            self._behind[name] = lambda: self._unread(daemon)
            self._reading.release()
            while kills < run.kills and not self._failed.is_set():
                self._next_disturbance(rng)
                daemon.kill()
                daemon.start()
                kills += 1
            assert self._written.wait(3600)
            daemon.until(lambda: not self._unread(daemon), 120)
            counters = {each: sum(daemon.metric(f"modelwatch_{each}_total").values()) for each in _COUNTERS}
            # What it shows is painted once a second: what was resolved last must be in the picture that is asked.
            daemon.until(lambda: (daemon.status()["watermark"] or "") > rfc3339(self.ledger.end), 60)
            daemon.until(lambda: _all_told([daemon], webhook.bodies), 60)
            daemon.stop()
            told = _told(webhook.bodies)
        found, incidents = self._stored(daemon)
        lost, doubled = difference(self.ledger.counted, found)
        return Outcome(kills, self.ledger.sent["events"], lost, doubled, incidents, told, counters)

    def _config(self, name: str, alertmanager: AlertmanagerServer) -> str:
        return f"""
[clock]
lateness = "{LATENESS:g}s"
[kafka]
bootstrap_servers = "{self.kafka.bootstrap}"
group_id = "{name}-{self.topic}"
topics = [{{ name = "{self.topic}" }}]
[alertmanager]
urls = ["{alertmanager.url}"]
resend = "{RESEND}"
[[models]]
match = "m*"
keep_firing = "2m"
reference = "file:{self._references}/{{model}}.mwref"
"""

    def _unread(self, daemon: Daemon) -> dict[str, int]:
        """Records that are not counted in the store yet, by partition, where there are any."""
        committed = self.kafka.committed(f"{daemon.store.parent.name}-{self.topic}")
        ends = {p: self.kafka.end_offset(self.topic, p) for p in range(PARTITIONS)}
        unread = {str(p): end - committed.get((self.topic, p), 0) for p, end in ends.items()}
        return {p: n for p, n in unread.items() if n}

    def _stored(self, daemon: Daemon) -> tuple[Counter[Place], dict[str, tuple[Any, ...]]]:
        """What stands in the tick log by place, and all incidents."""
        fleet = make_fleet(load(daemon.config, {}))
        with Database(daemon.store, to_look=True) as database:
            log = TickLog(database, float("inf"))
            Checkpoint(database, log).load(fleet, EventTime(0.0))
            found = self._places(fleet, log)
        return found, _incidents(fleet)

    def _places(self, fleet: Fleet, log: TickLog) -> Counter[Place]:
        found: Counter[Place] = Counter()
        watched = [(row, model) for row, model in enumerate(fleet.models.items) if not model.name.startswith(FLUSH)]
        for row, model in watched:
            ticks = log.read(row, -1e12, self.ledger.end + 900.0)
            for local, series in enumerate(model.series, 1):
                sums = np.sum([tick.counts[local] for tick in ticks if local < len(tick.counts)], axis=0)
                bins = fleet.series.categories.get(series) or range(len(self.ledger.edges) + 1)
                name = fleet.series.names[series]
                found.update({(model.name, name, str(each)): int(sums[i]) for i, each in enumerate(bins)})
                found[model.name, name, "null"] += int(sums[NULLS])
        return +found


_COUNTERS = ("duplicate_events", "late_events", "dead_letters", "events")


def _told(bodies: list[Any]) -> Counter[tuple[str, ...]]:
    """How often each alert was told in each state."""
    alerts = [alert for body in bodies for alert in body["alerts"]]
    return Counter((a["status"], a["labels"]["alertname"], a["labels"]["model"]) for a in alerts)


def _incidents(fleet: Fleet) -> dict[str, tuple[Any, ...]]:
    everything = [*(held.incident for held in fleet.book.open.values()), *fleet.book.resolved]
    cells = {i.id: sorted((c.detector, c.feature or "", c.fired_time) for c in i.cells) for i in everything}
    return {i.id: (i.alertname, i.model, i.state, i.resolved_time, cells[i.id]) for i in everything}


def _all_told(daemons: list[Daemon], bodies: list[Any]) -> bool:
    states = Counter(incident["state"] for daemon in daemons for incident in daemon.incidents())
    told = Counter(status for status, *_ in _told(bodies))
    return told["resolved"] >= states["resolved"] and told["firing"] >= states.total()


def prepared(kafka: KafkaServer, directory: Path, events: int, seed: int = 1, mend: float = MEND) -> Rig:
    """A rig with ``events`` to come, whose event time ends about now."""
    references = directory / "references"
    edges = write_references(references)
    start = time.time() // 60 * 60 - events * 0.25 - 3600.0
    return Rig(kafka, directory, Ledger(start, events, edges, seed=seed, mend=mend), references)


def _main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--replicas", type=int, default=0, help="of a cluster; 0: one daemon alone")
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--seconds", type=float, default=900.0, help="over which the events are written")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    with tempfile.TemporaryDirectory() as directory, KafkaServer(Path(directory) / "kafka") as kafka:
        rig = prepared(kafka, Path(directory), asked.events, asked.seed)
        killed_run = Run(asked.kills, asked.seed, replicas=asked.replicas)
        outcomes = rig.run_all(asked.seconds, {"killed": killed_run, "calm": Run(0, replicas=min(asked.replicas, 1))})
        killed, calm = outcomes["killed"], outcomes["calm"]
        print(f"killed:      {killed}; {killed.faults}; counted {killed.counters}")
        print(f"undisturbed: {calm}; sent {dict(rig.ledger.sent)}, counted {calm.counters}")
    same = killed.incidents == calm.incidents
    print("incidents are the same" if same else "INCIDENTS DIFFER")
    twice = any(n > 1 for n in (*killed.told.values(), *calm.told.values()))
    return int(killed.lost + killed.doubled + calm.lost + calm.doubled > 0 or not same or twice)


if __name__ == "__main__":
    sys.exit(_main())
