"""Reads partitions of the source topics, and sends each record to the shard of its model.

What a router commits of a partition is where it stands, which every shard has been sent everything up to, and what it
knows of the partition's event time. Whoever reads the partition next goes on from there, and sends again what came
behind it: the shards know what they had (monitor/ingest/routed.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.clock import Clock
from monitor.compose import make_decoders
from monitor.config import Config
from monitor.decode.parts import by_decoder
from monitor.events.columns import EventBatch, Reason
from monitor.events.raw import Partition, RawBatch
from monitor.ingest.bundles import VERSION, Bundle, cut, packed
from monitor.ingest.facts import SourceChange, SourceEvent
from monitor.ingest.kafka_client import admin_settings
from monitor.ingest.kafka_cluster import Bounds, Cluster, begin_anew, take_up
from monitor.ingest.kafka_group import Committed, GroupReader
from monitor.ingest.kafka_internal import Publisher, events_topic
from monitor.ingest.schema_gate import gate_of
from monitor.pipeline import BATCH_RECORDS, DeadLetterBox
from monitor.tally.event_time import EventTime
from monitor.telemetry.metrics import Metrics

_FLUSH_SECONDS = 1.0


class _Noted(msgspec.Struct, array_like=True):
    """What stands beside the committed offset of a partition: see :class:`Bundle` and :class:`EventTime`."""

    version: int
    topic_id: str
    base: int
    reached: float | None
    ahead: list[float]


class Router:
    """The first stage of a replica: whatever partitions the group gives it, read, sorted and sent on."""

    def __init__(
        self, config: Config, publisher: Publisher, dead_letters: DeadLetterBox, clock: Clock, metrics: Metrics
    ) -> None:
        kafka, n_shards, time = config.require_kafka(), config.cluster.shards, config.clock
        self._kafka = kafka
        self._clock = clock
        self._metrics = metrics
        self._decoder_of = make_decoders(config)
        self._publisher = publisher
        self._dead_letters = dead_letters
        self._future, self._idle, self._every = time.future, time.idle, config.store.commit
        self._shards = [Partition(events_topic(kafka), number) for number in range(n_shards)]
        self._cluster = Cluster(admin_settings(kafka.bootstrap_servers, kafka.client()), clock)
        self._time = EventTime(0.0, time.leap)
        self._topic_ids: dict[str, str] = {}
        self._bases: dict[Partition, int] = {}
        self._sent: dict[Partition, NDArray[np.int64]] = {}
        """By partition, up to which offset each shard was sent everything, shape ``(shards,)``."""
        self._committed_at = self._beat_at = clock.monotonic()
        self._routed: dict[Partition, int] = {}
        """By partition, the offset below which all records were sent; what was read and not sorted lies behind."""
        self._ended_at: dict[Partition, float] = {}
        self._events: list[SourceEvent] = []
        self.group = GroupReader(
            kafka, kafka.group_id, self, clock, kafka.reads_headers, gate_of(kafka), kafka.is_native
        )

    @property
    def held(self) -> tuple[Partition, ...]:
        """The partitions that are read here."""
        return tuple(self._bases)

    def turn(self, timeout_seconds: float) -> int:
        """Read, sort and send one batch; returns the number of records."""
        raw = self.group.read(BATCH_RECORDS, timeout_seconds)
        if len(raw):
            for p in np.flatnonzero(np.bincount(raw.source)).tolist():
                self._ended_at.pop(raw.partitions[p], None)
            self._route(raw)
        positions = self.group.reader.cursors.positions()
        self._routed = {each: positions.get(each, at) for each, at in self._routed.items()}
        now = self._clock.monotonic()
        if now - self._beat_at >= self._idle / 6:
            self._beat_at = now
            self._say_ends(now)
        if now - self._committed_at >= self._every:
            self.commit()
        return len(raw)

    def commit(self) -> bool:
        """Commit where each partition stands, once every shard has been sent everything up to there."""
        self._committed_at = self._clock.monotonic()
        for partition, position in self._routed.items():
            for shard in np.flatnonzero(self._sent[partition] < position).tolist():
                self._send(shard, self._stretch(partition, shard, position))
        noted = {each: (at, self._note(each)) for each, at in self._routed.items()}
        if not self._publisher.flush(_FLUSH_SECONDS) or not self._dead_letters.flush(_FLUSH_SECONDS):
            return False
        return not noted or self.group.commit(noted)

    def begin(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        """As :class:`~monitor.ingest.kafka_group.Holder` says."""
        committed = self.group.committed(partitions)
        self._topic_ids.update(self._cluster.topic_ids(each.topic for each in partitions))
        bounds = self._cluster.bounds(partitions)
        starts: dict[Partition, int] = {}
        begun: dict[Partition, tuple[int, _Noted]] = {}
        for partition in bounds:
            if partition.topic not in self._topic_ids:
                continue
            at, noted = self._taken_up(partition, committed.get(partition), bounds[partition])
            if noted is None:
                noted = _Noted(VERSION, self._topic_ids[partition.topic], at, None, [])
                begun[partition] = (at, noted)
            starts[partition] = at
            self._resume(partition, at, noted)
        # Nothing is read before where it was begun is on record: two members can never begin differently.
        if begun and not self.group.commit({each: (at, _written(noted)) for each, (at, noted) in begun.items()}):
            for partition in begun:
                self._forget(partition)
                del starts[partition]
        return starts

    def _taken_up(self, partition: Partition, committed: Committed | None, bounds: Bounds) -> tuple[int, _Noted | None]:
        """Where reading goes on, and what is known of what came before; ``None`` where reading begins anew there."""
        if committed is None:
            at = self._first(partition, bounds)
            self._events.append(SourceEvent(SourceChange.FOUND, partition, at, at))
            return at, None
        noted = _noted(committed)
        if noted is not None and noted.topic_id != self._topic_ids[partition.topic]:
            at, event = begin_anew(partition, committed.offset, bounds, self._kafka.lost_offsets)
            self._events.append(event)
            return at, None
        at, lost = take_up(partition, committed.offset, bounds, self._kafka.lost_offsets)
        if lost is not None:
            self._events.append(lost)
        return at, noted if lost is None else None

    def give_up(self, partitions: Sequence[Partition], *, lost: bool) -> None:
        """As :class:`~monitor.ingest.kafka_group.Holder` says."""
        if not lost:
            self.commit()
        for partition in partitions:
            self._forget(partition)

    def drain_events(self) -> list[SourceEvent]:
        """What happened to partitions since the last call."""
        events, self._events = self._events, []
        return events

    def lag(self) -> Mapping[Partition, int]:
        """Records waiting in each partition that is read here."""
        cursors = self.group.reader.cursors
        waiting = np.maximum(cursors.high - cursors.next, 0)
        return {cursors.partitions[i]: int(waiting[i]) for i in np.flatnonzero(cursors.reading & (cursors.high >= 0))}

    def close(self) -> None:
        """Leave the group."""
        self.group.close()

    def _first(self, partition: Partition, bounds: Bounds) -> int:
        start = self._kafka.start_from
        if isinstance(start, str):
            return bounds.high if start == "latest" else bounds.low
        found = self._cluster.at([partition], start).get(partition, -1)
        return found if found >= 0 else bounds.high

    def _forget(self, partition: Partition) -> None:
        for held in (self._bases, self._sent, self._routed, self._ended_at, self._time.reached, self._time.ahead):
            held.pop(partition, None)

    def _resume(self, partition: Partition, at: int, noted: _Noted) -> None:
        self._forget(partition)
        self._bases[partition], self._routed[partition] = noted.base, at
        self._sent[partition] = np.full(len(self._shards), at)
        if noted.reached is not None:
            self._time.reached[partition] = noted.reached
        if noted.ahead:
            self._time.ahead[partition] = list(noted.ahead)

    def _note(self, partition: Partition) -> str:
        topic_id, base = self._topic_ids[partition.topic], self._bases[partition]
        time = self._time
        return _written(_Noted(VERSION, topic_id, base, time.reached.get(partition), time.ahead.get(partition, [])))

    def _route(self, raw: RawBatch) -> None:
        for part, decoder in by_decoder(raw, self._decoder_of):
            limit = self._clock.now() + self._future
            batch = decoder.decode(part.values, part.timestamps, limit, part.keys, part.headers)
            if len(batch.rejected):
                reasons = [Reason(r).name.lower() for r in batch.reasons]
                for reason in reasons:
                    self._metrics.dead_letters.labels(reason).inc()
                self._dead_letters.add(part, batch.rejected.tolist(), reasons)
            self._sort(part, batch)

    def _sort(self, raw: RawBatch, batch: EventBatch) -> None:
        """Send each record to the shards of its events: a bundle for each partition and shard."""
        n_shards = len(self._shards)
        shard = (batch.model.hash % np.uint64(n_shards)).astype(np.int64)
        marks, last = np.full(len(raw), -np.inf), np.zeros(len(raw.partitions), np.int64)
        np.maximum.at(last, raw.source, raw.offsets + 1)
        of_event = raw.source[batch.record]
        for p in np.flatnonzero(np.bincount(raw.source)).tolist():
            own = np.flatnonzero(of_event == p)
            if raw.partitions[p] in self._bases and len(own):
                marks[batch.record[own]] = self._time.reach(raw.partitions[p], batch.time[own])
        # A record of several cases goes once to each shard that has one of them.
        pairs = np.unique(batch.record.astype(np.int64) * n_shards + shard)
        records, shards = np.divmod(pairs, n_shards)
        bins = raw.source[records].astype(np.int64) * n_shards + shards
        order = np.argsort(bins, kind="stable")
        stops = np.flatnonzero(np.diff(bins[order])) + 1
        for at in np.split(order, stops) if len(order) else ():
            source, to = int(raw.source[records[at[0]]]), int(shards[at[0]])
            if raw.partitions[source] not in self._bases:
                continue
            stretch = self._stretch(raw.partitions[source], to, int(last[source]))
            for bundle in cut(stretch, raw, records[at], marks):
                self._send(to, bundle)

    def _stretch(self, partition: Partition, shard: int, after: int) -> Bundle:
        """What ``shard`` has not been sent of ``partition`` yet, short of ``after``, without records."""
        return Bundle(
            VERSION,
            *partition,
            self._topic_ids[partition.topic],
            self._bases[partition],
            int(self._sent[partition][shard]),
            after,
            at_end=False,
            reached=self._time.reached.get(partition, -np.inf),
        )

    def _send(self, shard: int, bundle: Bundle) -> None:
        self._publisher.send(self._shards[shard], packed(bundle))
        self._sent[bundle.partition][shard] = bundle.after

    def _say_ends(self, now: float) -> None:
        """Tell every shard which partitions are at their end: while nobody says so, they hold event time up."""
        cursors = self.group.reader.cursors
        for partition in self._bases:
            slot = cursors.slot(partition)
            if slot is None or not cursors.at_end[slot] or not self.group.reader.alive(slot):
                self._ended_at.pop(partition, None)
                continue
            if now - self._ended_at.setdefault(partition, now) >= self._idle:
                self._time.believe([partition])
            for shard in range(len(self._shards)):
                said = self._stretch(partition, shard, self._routed[partition])
                self._send(shard, msgspec.structs.replace(said, at_end=True))


def _written(noted: _Noted) -> str:
    return msgspec.json.encode(noted).decode()


def _noted(committed: Committed | None) -> _Noted | None:
    """What stands beside a committed offset; ``None`` where somebody else committed it."""
    if committed is None or not committed.metadata:
        return None
    try:
        return msgspec.json.decode(committed.metadata, type=_Noted)
    except msgspec.MsgspecError:
        return None
