"""Replicas of one cluster under faults: killed, stopped until they are given up, ended, and started again."""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException
from servers.daemon import Daemon

from monitor.clock import SystemClock
from monitor.compose import make_fleet
from monitor.config import load
from monitor.events.raw import Partition
from monitor.ingest.kafka_internal import RangeReader
from monitor.store.changes import Restored, pointer_of
from monitor.store.checkpoint import Checkpoint
from monitor.store.database import Database
from monitor.store.ticklog import TickLog
from monitor.tally.event_time import EventTime

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from servers.kafka import KafkaServer

    from monitor.fleet import Fleet

SHARDS = 4
SESSION_SECONDS = 3.0
CONFIG = f"""
[cluster]
enabled = true
shards = {SHARDS}
replication = 1
[kafka.librdkafka]
"session.timeout.ms" = {SESSION_SECONDS * 1000:.0f}
"heartbeat.interval.ms" = 300
"""


@dataclass(slots=True)
class Replicas:
    """``n`` daemons of one group; ``group`` is its name."""

    kafka: KafkaServer
    group: str
    daemons: list[Daemon]
    faults: dict[str, int] = field(default_factory=dict)

    def start(self, stack: ExitStack) -> None:
        for daemon in self.daemons:
            stack.enter_context(daemon)

    def disturb(self, rng: random.Random) -> bool:
        """Do something bad to one of them, or seldom to their broker; whether one of them was killed."""
        daemon = rng.choice(self.daemons)
        what = rng.choices(("kill", "stop", "pause", "broker"), (16, 2, 2, 1))[0]
        self.faults[what] = self.faults.get(what, 0) + 1
        if what == "broker":
            self.kafka.kill()
            self.kafka.start()
            return False
        if what == "pause":
            # Longer than the session: the group gives it up, and it comes back from the dead.
            daemon.signal(signal.SIGSTOP)
            time.sleep(SESSION_SECONDS * rng.uniform(0.5, 1.8))
            daemon.signal(signal.SIGCONT)
            return False
        if what == "stop":
            daemon.stop()
        else:
            daemon.kill()
        time.sleep(rng.choice((0.0, 0.0, SESSION_SECONDS * 1.5)))
        daemon.start()
        return what == "kill"

    def read_all(self, topic: str, partitions: int) -> bool:
        """Whether everything was sent on, and everything that was sent was judged."""
        deadline = time.monotonic() + 30.0
        while behind := self.behind(topic, partitions):
            if "unsent" in behind or time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def behind(self, topic: str, partitions: int) -> dict[str, dict[int, int]]:
        """How many records wait to be sent on, by partition, or where none do to be judged, by shard; empty: none."""
        try:
            sent = self.kafka.committed(self.group)
            unsent = {p: self.kafka.end_offset(topic, p) - sent.get((topic, p), 0) for p in range(partitions)}
            if any(unsent.values()):
                return {"unsent": unsent}
            judged = _committed(self.kafka, f"{self.group}.judges")
            ends = {p: self.kafka.end_offset(f"{self.group}.events", p) for p in range(SHARDS)}
            unjudged = {p: end - judged.get(p, (0, ""))[0] for p, end in ends.items()}
            return {"unjudged": unjudged} if any(n > 0 for n in unjudged.values()) else {}
        except (KafkaException, TimeoutError):  # the broker may be among what is killed
            self.kafka.renew_clients()
            return {"unsent": {}}

    def fleets(self) -> Iterator[tuple[Fleet, TickLog]]:
        """Every shard as the internal topics have it: what is there if all replicas are gone."""
        config = load(self.daemons[0].config, {})
        assert config.kafka is not None
        ranges = RangeReader(config.kafka, SystemClock())
        for number, (_, metadata) in sorted(_committed(self.kafka, f"{self.group}.judges").items()):
            with TemporaryDirectory() as directory, Database(Path(directory), passing=True) as database:
                restored = Restored(database)
                state = Partition(f"{self.group}.state", number)
                for segment in pointer_of(metadata).segments:
                    ranges.read(state, segment.start, segment.end, restored.segment(segment))
                    restored.done()
                fleet, log = make_fleet(config, SHARDS), TickLog(database, float("inf"))
                Checkpoint(database, log).load(fleet, EventTime(0.0))
                yield fleet, log
        ranges.close()


def _committed(kafka: KafkaServer, group: str) -> dict[int, tuple[int, str]]:
    """What the judges' group has committed, by shard: the offset and what stands beside it."""
    result = kafka.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(20)
    return {each.partition: (each.offset, each.metadata or "") for each in result.topic_partitions}
