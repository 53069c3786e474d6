"""Holds the shards that the group gives to this replica: put together from their logs, fed, and let go of.

A shard is what one partition of the internal topic came to: its models live here alone, with their references, cells
and incidents. Where it stands is one commit of the group, an offset with the pointer to the state that belongs to it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from confluent_kafka import KafkaError, KafkaException
from numpy.typing import NDArray

from monitor.clock import Clock
from monitor.compose import make_decoders
from monitor.config import Config
from monitor.decode.decoder import Decoder
from monitor.errors import IngestError
from monitor.events.columns import EventBatch
from monitor.events.raw import Headers, Partition, RawBatch
from monitor.fleet import Fleet
from monitor.incidents.incident import Incident
from monitor.ingest.kafka_client import admin_settings
from monitor.ingest.kafka_cluster import Cluster
from monitor.ingest.kafka_group import Committed, GroupReader
from monitor.ingest.kafka_internal import InternalTopics, Publisher, RangeReader, events_topic, state_topic
from monitor.ingest.routed import RoutedSource
from monitor.ingest.schema_gate import gate_of
from monitor.keeping import StoreKeeper
from monitor.pipeline import Pace, Pipeline, Surroundings
from monitor.shard import Audience, Shard
from monitor.store.changes import ChangeLog, Restored, pointer_of
from monitor.store.database import Database
from monitor.tally.closed import ClosedTicks
from monitor.tally.event_time import EventTime
from monitor.telemetry import logs
from monitor.telemetry.metrics import Metrics

BUNDLES = 200
"""Bundles that are fetched at once, of all shards together."""
TURNS = 8
"""Batches of one shard before the next one has its turn."""
_FLUSH_SECONDS = 5.0
_CUT_OFF_SECONDS = 300.0
"""How long what is no longer needed is left there, for whoever still reads it."""

_log = logs.get_logger("monitor.cluster")


class _NoLetters:
    """Whoever read the records has seen to those that cannot be read."""

    def add(self, batch: RawBatch, indices: Sequence[int], reasons: Sequence[str]) -> None:
        """There are none."""

    def flush(self, timeout_seconds: float) -> bool:
        """There is nothing to wait for."""
        return True


class _OwnEvents:
    """Decodes the records of a shard: of a record with cases of several shards the others are left out."""

    def __init__(self, decoder: Decoder, shard: int, n_shards: int) -> None:
        self._decoder = decoder
        self._shard, self._n_shards = np.uint64(shard), np.uint64(n_shards)

    def decode(
        self,
        values: Sequence[bytes | None],
        timestamps: NDArray[np.float64],
        future_limit: float = np.inf,
        keys: Sequence[bytes | None] = (),
        headers: Sequence[Headers | None] = (),
    ) -> EventBatch:
        """As :class:`~monitor.decode.decoder.Decoder` says, without rejections: those are the router's to count."""
        batch = self._decoder.decode(values, timestamps, future_limit, keys, headers)
        own = np.flatnonzero(batch.model.hash % self._n_shards == self._shard)
        if len(own) < len(batch):
            return replace(batch.chosen(own), unknown_fields=batch.unknown_fields)
        return replace(batch, rejected=batch.rejected[:0], reasons=batch.reasons[:0])


class _ClusterKeeper:
    """Has a shard's state last beyond this machine: written to its log, then named by one commit of the group."""

    def __init__(self, shard: Shard, source: RoutedSource, log: ChangeLog, judges: Judges, own: Partition) -> None:
        self._shard = shard
        self._source = source
        self._log = log
        self._judges = judges
        self._own = own
        self._local = StoreKeeper(shard, judges.metrics, judges.clock, lasting=False)

    def save(
        self,
        fleet: Fleet,
        time: EventTime,
        positions: Mapping[Partition, int],
        ticks: list[ClosedTicks],
        incidents: list[Incident],
    ) -> bool:
        """As the pipeline asks; the commit is refused where the shard may be somebody else's by now."""
        judges, shard = self._judges, self._shard
        had = {each: offset for each, offset in positions.items() if offset >= 0}
        self._local.topic_ids = self._source.topic_ids
        self._local.save(fleet, time, {**had, self._own: self._source.next}, ticks, incidents)
        self._log.write(shard.database.take_changes())
        if not judges.publisher.flush(_FLUSH_SECONDS):
            return False
        if not judges.group.commit({self._own: (self._source.next, self._log.pointer())}):
            return False
        shard.trail.lasts()
        judges.note_needed(self._own, self._source.next, self._log.needed_from)
        return True


@dataclass(slots=True)
class _Held:
    shard: Shard
    source: RoutedSource


class Judges:
    """The second stage of a replica: the shards that it holds, each with a pipeline of its own."""

    def __init__(
        self,
        config: Config,
        clock: Clock,
        metrics: Metrics,
        audience: Audience,
        publisher: Publisher,
        topics: InternalTopics,
    ) -> None:
        kafka = config.require_kafka()
        self.config = config
        self.clock = clock
        self.metrics = metrics
        self.publisher = publisher
        self.existing: frozenset[Partition] = frozenset()
        self.restore_seconds = 0.0
        """How long it took to put together the shard that came last."""
        self._repeated = self._refused = 0
        self._kafka = kafka
        self._audience = audience
        self._topics = topics
        self._events, self._states = events_topic(kafka), state_topic(kafka)
        self._decoder_of = make_decoders(config)
        self._held: dict[Partition, _Held] = {}
        self._directory = Path(config.store.path) / "shards"
        shutil.rmtree(self._directory, ignore_errors=True)  # what lasts is in Kafka
        self._cluster = Cluster(admin_settings(kafka.bootstrap_servers, kafka.client()), clock)
        self._needed: dict[Partition, int] = {}
        self._unneeded: dict[Partition, int] = {}
        self._cut_at = clock.monotonic() + _CUT_OFF_SECONDS
        self._ranges = RangeReader(kafka, clock)
        self.group = GroupReader(kafka, f"{kafka.group_id}.judges", self, clock)

    @property
    def shards(self) -> list[Shard]:
        """Those that are held now."""
        return [held.shard for held in self._held.values()]

    @property
    def numbers(self) -> list[int]:
        """Their numbers."""
        return sorted(partition.number for partition in self._held)

    @property
    def holding(self) -> bool:
        """Whether there are any; may be asked from any thread."""
        return bool(self._held)

    @property
    def repeated(self) -> int:
        """Records that came again, and were not counted again."""
        return self._repeated + sum(source.repeated for source in self.sources)

    @property
    def bundles_refused(self) -> int:
        """Bundles that would have left a gap: whoever sent them lost some before."""
        return self._refused + sum(source.refused for source in self.sources)

    @property
    def sources(self) -> Iterable[RoutedSource]:
        """What they read."""
        return [held.source for held in self._held.values()]

    def turn(self, timeout_seconds: float) -> int:
        """Fetch bundles and let every shard have its turn; returns the number of records."""
        raw = self.group.read(BUNDLES, timeout_seconds)
        for p in np.flatnonzero(np.bincount(raw.source)).tolist():
            own = np.flatnonzero(raw.source == p).tolist()
            held = self._held.get(raw.partitions[p])
            if held is not None:
                held.source.feed((int(raw.offsets[i]), raw.values[i]) for i in own)
        n = 0
        for held in list(self._held.values()):
            held.source.existing = self.existing
            for _ in range(TURNS):
                n += held.shard.pipeline.turn()
                if not len(held.source):
                    break
        self._cut_off()
        return n

    def commit(self) -> None:
        """Have everything last."""
        for held in self._held.values():
            held.shard.pipeline.commit()

    def begin(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        """As :class:`~monitor.ingest.kafka_group.Holder` says; one shard at a time, so that the loop turns between."""
        partition = partitions[0]
        began = self.clock.monotonic()
        committed = self.group.committed([partition]).get(partition)
        bounds = self._cluster.bounds([partition]).get(partition)
        if bounds is None:
            raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))
        start, asked = self._start(partition, committed, bounds.low), self.clock.monotonic()
        path = self._directory / f"{partition.number:03d}"
        shutil.rmtree(path, ignore_errors=True)
        database = Database(path, passing=True)
        try:
            shard = self._restored(partition, committed, database)
        except BaseException:
            database.close()
            raise
        self.restore_seconds = self.clock.monotonic() - began
        _log.info(
            "shard_taken",
            shard=partition.number,
            models=len(shard.fleet.models),
            seconds=round(self.restore_seconds, 3),
            asked_seconds=round(asked - began, 3),
        )
        self._audience.joined(shard)
        return {partition: start}

    def give_up(self, partitions: Sequence[Partition], *, lost: bool) -> None:
        """As :class:`~monitor.ingest.kafka_group.Holder` says."""
        for partition in partitions:
            held = self._held.get(partition)
            if held is None:
                continue
            if not lost:
                held.shard.pipeline.commit()
            self._audience.left(held.shard)
            del self._held[partition]
            self._repeated += held.source.repeated
            self._refused += held.source.refused
            self._needed.pop(partition, None)
            held.shard.close()
            shutil.rmtree(self._directory / f"{partition.number:03d}", ignore_errors=True)
            _log.info("shard_given_up", shard=partition.number, lost=lost)

    def note_needed(self, events: Partition, offset: int, state_offset: int) -> None:
        """Everything of a shard before these offsets was needed before the last commit, and is no longer."""
        self._needed[events] = offset
        self._needed[Partition(self._states, events.number)] = state_offset

    def close(self) -> None:
        """Leave the group."""
        self.group.close()
        self._ranges.close()
        self.give_up(list(self._held), lost=True)

    def _cut_off(self) -> None:
        now = self.clock.monotonic()
        if now >= self._cut_at:
            self._topics.cut_off(self._unneeded)
            self._unneeded, self._cut_at = dict(self._needed), now + _CUT_OFF_SECONDS

    def _start(self, partition: Partition, committed: Committed | None, low: int) -> int:
        place = f"{partition.topic}[{partition.number}]"
        if committed is None and low > 0:
            raise IngestError(
                f"{place}: begins at {low}, and group {self.group.group} has no offset for it: the state of this shard "
                "is lost. Delete the internal topics and both groups to begin anew"
            )
        if committed is not None and committed.offset > 0 and not committed.metadata:
            raise IngestError(f"{place}: its offset in group {self.group.group} was committed by something else")
        if committed is not None and committed.offset < low:
            raise IngestError(f"{place}: begins at {low}, behind the committed offset {committed.offset}")
        return low if committed is None else committed.offset

    def _restored(self, partition: Partition, committed: Committed | None, database: Database) -> Shard:
        """The shard as its log has it, with what it reads."""
        pointer = pointer_of(committed.metadata if committed else "")
        states, restored = Partition(self._states, partition.number), Restored(database)
        for segment in pointer.segments:
            self._ranges.read(states, segment.start, segment.end, restored.segment(segment))
            restored.done()
        database.watch()
        shard = Shard(self.config, database, self.clock, self.metrics, parts=self.config.cluster.shards)
        shard.fleet.book.place = str(partition.number)
        shard.name = f"{self._kafka.group_id}/{partition.number}"
        start = shard.positions.pop(partition, 0)
        if committed is not None and start != committed.offset:
            shard.close()
            raise IngestError(
                f"{partition.topic}[{partition.number}]: state and committed offset are not of one commit"
            )
        log = ChangeLog(database, pointer, lambda blob, placed: self.publisher.send(states, blob, placed))
        clock = self.config.clock
        gate = gate_of(self._kafka)
        source = RoutedSource(shard.positions, shard.checkpoint.topic_ids, start, self.clock, clock.idle / 2, gate)
        keeper = _ClusterKeeper(shard, source, log, self, partition)
        shard.pipeline = Pipeline(
            source,
            self._own_decoders(partition.number),
            shard.fleet,
            shard.event_time,
            Surroundings(self.clock, self.metrics, _NoLetters(), keeper, self._audience.told, self._audience.breathe),
            Pace(live=True, idle=clock.idle, commit=self.config.store.commit),
        )
        self._held[partition] = _Held(shard, source)
        return shard

    def _own_decoders(self, number: int) -> Callable[[str], Decoder]:
        made: dict[Decoder, _OwnEvents] = {}

        def decoder_of(topic: str) -> Decoder:
            decoder = self._decoder_of(topic)
            if decoder not in made:
                made[decoder] = _OwnEvents(decoder, number, self.config.cluster.shards)
            return made[decoder]

        return decoder_of
