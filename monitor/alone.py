"""What one daemon alone does: the whole fleet as one shard, read from every partition, in one store."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from monitor.catalog.policies import Policies
from monitor.clock import Clock
from monitor.compose import make_decoders
from monitor.config import Config
from monitor.events.raw import RawBatch
from monitor.ingest.dead_letters import DeadLetters
from monitor.ingest.facts import SourceChange, SourceEvent
from monitor.ingest.kafka import KafkaSource
from monitor.ingest.settings import KafkaSettings
from monitor.keeping import StoreKeeper
from monitor.pipeline import Pace, Pipeline, Surroundings
from monitor.schemas.registry import shared
from monitor.shard import Audience, Shard
from monitor.status import Check, ClusterView
from monitor.store.database import Database
from monitor.telemetry import logs
from monitor.telemetry.metrics import Metrics

_log = logs.get_logger("monitor.app")


class Work(Protocol):
    """What the daemon keeps turning: a source, and the shards that it feeds."""

    @property
    def shards(self) -> Sequence[Shard]:
        """Those that are judged here now."""
        ...

    @property
    def assured(self) -> bool:
        """Whether nobody else can have those shards by now."""
        ...

    def start(self) -> None:
        """Begin to read."""
        ...

    def turn(self) -> None:
        """Do one turn of the loop, waiting a moment at most for records."""
        ...

    def watch(self) -> bool:
        """Count and log what happened beside records, once a second; whether something is being read."""
        ...

    def checks(self) -> Mapping[str, Check]:
        """What must hold for this to go on."""
        ...

    def view(self) -> ClusterView | None:
        """What is known of the cluster; ``None`` for who is alone."""
        ...

    def reload(self, policies: Policies) -> int:
        """Judge by other policies from here on; returns how many models have another one than before."""
        ...

    def commit(self) -> None:
        """Store everything, at the end."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class SampledDeadLetters:
    """Hands dead letters on, and shows one of each reason a minute in the log, without what it held."""

    def __init__(self, letters: DeadLetters, clock: Clock, metrics: Metrics) -> None:
        self._letters = letters
        self._metrics = metrics
        self._sample = logs.SampledLogger(_log, clock)

    def add(self, batch: RawBatch, indices: Sequence[int], reasons: Sequence[str]) -> None:
        """As the pipeline asks."""
        for index, reason in {reason: (i, reason) for i, reason in zip(indices, reasons, strict=True)}.values():
            topic, number = batch.partitions[batch.source[index]]
            offset = int(batch.offsets[index])
            self._sample.warning("dead_letter", key=reason, reason=reason, topic=topic, partition=number, offset=offset)
        self._letters.add(batch, indices, reasons)

    def flush(self, timeout_seconds: float) -> bool:
        """As the pipeline asks."""
        return self._letters.flush(timeout_seconds)

    def watch(self) -> None:
        """Count what became of them."""
        letters = self._letters.drain()
        self._metrics.dead_letters_dropped.inc(letters.capped + letters.overflow + letters.failed)


class Alone:
    """One daemon that shares its fleet with nobody, and sees to it that it is the only one."""

    def __init__(self, config: Config, clock: Clock, metrics: Metrics, audience: Audience) -> None:
        self._config = config
        self._clock = clock
        self._metrics = metrics
        self._audience = audience
        self._cleanups = ExitStack()
        self._shard = Shard(config, Database(Path(config.store.path)), clock, metrics)
        self._cleanups.callback(self._shard.close)

    @property
    def shards(self) -> Sequence[Shard]:
        """The one there is."""
        return (self._shard,)

    @property
    def assured(self) -> bool:
        """Always: the store is locked, and a second daemon of the group is refused."""
        return True

    def start(self) -> None:
        """As :class:`Work` says."""
        config, clock, shard = self._config, self._clock, self._shard
        kafka = config.require_kafka()
        letters = DeadLetters(kafka, clock)
        self._cleanups.callback(letters.close)
        self._letters = SampledDeadLetters(letters, clock, self._metrics)
        self._keeper = StoreKeeper(shard, self._metrics, clock)
        owner, ids = shard.checkpoint.owner(uuid.uuid4().hex), shard.checkpoint.topic_ids
        shard.name = owner
        audience = self._audience
        self._source = KafkaSource(kafka, shard.positions, clock, topic_ids=ids, owner=owner)
        self._keeper.topic_ids = self._source.topic_ids
        self._cleanups.callback(self._source.close)
        shard.pipeline = Pipeline(
            self._source,
            make_decoders(config),
            shard.fleet,
            shard.event_time,
            Surroundings(clock, self._metrics, self._letters, self._keeper, audience.told, audience.breathe),
            Pace(live=True, idle=config.clock.idle, commit=config.store.commit, future=config.clock.future),
        )
        self._audience.joined(shard)

    def turn(self) -> None:
        """As :class:`Work` says."""
        self._shard.pipeline.turn()

    def watch(self) -> bool:
        """As :class:`Work` says."""
        for event in self._source.drain_events():
            note_change(event, self._metrics)
            if event.change is SourceChange.GONE:
                self._keeper.forget(event.partition)
        self._letters.watch()
        self._metrics.partitions_assigned.set(len(self._source.positions()))
        note_schemas(self._config.require_kafka(), self._source.held, self._metrics)
        self._metrics.consumer_lag.show({(p.topic, str(p.number)): float(n) for p, n in self._source.lag().items()})
        return bool(self._source.positions())

    def checks(self) -> Mapping[str, Check]:
        """As :class:`Work` says."""
        return {"kafka": self._source.check(), "store": self._keeper.check()}

    def view(self) -> ClusterView | None:
        """As :class:`Work` says."""
        return None

    def reload(self, policies: Policies) -> int:
        """As :class:`Work` says."""
        return self._shard.pipeline.reload(policies.resolve)

    def commit(self) -> None:
        """As :class:`Work` says."""
        self._shard.pipeline.commit()

    def close(self) -> None:
        """As :class:`Work` says."""
        self._cleanups.close()


def note_schemas(kafka: KafkaSettings, held: int, metrics: Metrics) -> None:
    """Count what was asked of the schema registry, and how many partitions wait for its answers."""
    metrics.partitions_held.set(held)
    if kafka.schema_registry.urls:
        counts, faults = shared(kafka.schema_registry).drain()
        for result, n in counts.items():
            metrics.schema_requests.labels(result).inc(n)
        for number, detail in faults.items():
            _log.warning("schema_unreadable", schema=number, detail=detail)


def note_change(event: SourceEvent, metrics: Metrics) -> None:
    """Log what happened to a partition, and count what was lost of it."""
    write = _log.info if event.change is SourceChange.FOUND else _log.warning
    write("partition", change=event.change, detail=str(event))
    if event.change is SourceChange.LOST:
        metrics.lost_records.inc(max(event.to_offset - event.from_offset, 0))
