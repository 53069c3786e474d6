"""What the daemon reads from Kafka: every partition of its topics, from the offsets that its own store holds."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from confluent_kafka import KafkaException

from monitor.clock import Clock
from monitor.events.raw import Partition, RawBatch
from monitor.ingest.facts import SourceChange, SourceEvent
from monitor.ingest.kafka_client import admin_settings, consumer_settings, reason_of
from monitor.ingest.kafka_cluster import Bounds, Cluster, begin_anew, take_up
from monitor.ingest.kafka_membership import Membership
from monitor.ingest.kafka_reader import METADATA_SECONDS, Reader
from monitor.ingest.schema_gate import gate_of
from monitor.ingest.settings import KafkaSettings
from monitor.status import Check

REFRESH_SECONDS = 60.0
RETRY_SECONDS = 2.0
ABSENT_SECONDS = 5.0
"""How often a topic that should be there and is not is looked for."""
_SOON = 1.0
_SEAT_SECONDS = 0.2
"""How soon it is asked again whether this daemon is alone: a seat is had within a moment."""


class KafkaSource:
    """All partitions of the configured topics; their group is not joined, so the assignment is ours.

    ``topic_ids`` are those that ``positions`` belong to. With an ``owner``, the name of the store, no record is read
    while another daemon of the group lives.

    Kafka's committed offsets are written for lag tools alone and never read. Topics and partitions that appear later
    are found within ``refresh_seconds`` and read from their beginning. A broker that is away is waited for.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        positions: Mapping[Partition, int],
        clock: Clock,
        refresh_seconds: float = REFRESH_SECONDS,
        topic_ids: Mapping[str, str] = MappingProxyType({}),
        owner: str = "",
    ) -> None:
        client = settings.client()
        servers = settings.bootstrap_servers
        self._settings = settings
        self._stored = dict(positions)
        self._clock = clock
        self._refresh_seconds = refresh_seconds
        self._refresh_at = clock.monotonic()
        self._cluster = Cluster(admin_settings(servers, client), clock)
        consumer = consumer_settings(servers, settings.group_id, client)
        self._reader = Reader(consumer, clock, settings.reads_headers, gate_of(settings), settings.is_native)
        self.topic_ids = dict(topic_ids)
        """By name, of every topic that was seen since the store began."""
        asking = admin_settings(servers, client)
        self._membership = Membership(settings.group_id, owner, asking, clock) if owner else None
        self._topics_stored = frozenset(partition.topic for partition in positions)
        self._looked = False
        self._unplaced: dict[Partition, str | float] = {}
        self._missed: set[Partition] = set()
        self._events: list[SourceEvent] = []
        self._trouble = "no broker has answered yet"
        self._reported: dict[Partition, int] = {}

    @property
    def merged(self) -> bool:
        """No: each partition is at a time of its own."""
        return False

    def poll(self, records_max: int, timeout_seconds: float) -> RawBatch:
        """As :class:`~monitor.ingest.source.Source` says; a look for new partitions may take a moment longer."""
        if self._clock.monotonic() >= self._refresh_at and not (self._looked and self._reader.away):
            self._refresh()
        batch = self._reader.read(records_max, timeout_seconds)
        if self._membership is not None:
            self._membership.beat()
        if self._reader.lost:
            self._refresh_at = min(self._refresh_at, self._clock.monotonic() + _SOON)
        return batch

    def positions(self) -> Mapping[Partition, int]:
        """As :class:`~monitor.ingest.source.Source` says."""
        return self._reader.cursors.positions()

    def exhausted(self, partition: Partition) -> bool:
        """As :class:`~monitor.ingest.source.Source` says; never while the partition's broker is away.

        Otherwise event time would run on through an outage, and all that was written during it would be late.
        """
        slot = self._reader.cursors.slot(partition)
        if slot is None:
            return self._reader.cursors.dropped(partition)
        return bool(self._reader.cursors.at_end[slot]) and self._reader.alive(slot)

    def finished(self) -> bool:
        """Never: there may always be another record."""
        return False

    def lag(self) -> Mapping[Partition, int]:
        """Records waiting in each partition, as of librdkafka's statistics of the last five seconds."""
        cursors = self._reader.cursors
        waiting = np.maximum(cursors.high - cursors.next, 0)
        return {cursors.partitions[i]: int(waiting[i]) for i in np.flatnonzero(cursors.reading & (cursors.high >= 0))}

    def committed(self, positions: Mapping[Partition, int]) -> None:
        """As :class:`~monitor.ingest.source.Source` says; failures are counted in :attr:`commits_failed`."""
        moved = {each: offset for each, offset in positions.items() if self._reported.get(each) != offset}
        if moved:
            self._reader.commit(moved)
            self._reported.update(moved)

    @property
    def commits_failed(self) -> int:
        """Commits that Kafka did not take; they matter to lag tools only."""
        return self._reader.commits_failed

    @property
    def held(self) -> int:
        """How many partitions stand still until a schema is known."""
        return len(self._reader.held)

    def drain_events(self) -> list[SourceEvent]:
        """What happened to partitions since the last call."""
        events, self._events = self._events, []
        return events

    def check(self) -> Check:
        """``ok``, or ``degraded`` with the last error while a broker, a topic or a partition is not to be had."""
        trouble = self._trouble
        if self._reader.away or self._reader.trouble:
            trouble = self._reader.trouble or "a broker does not answer"
        elif not trouble:
            trouble = self._reader.waits or self._absent()
        n_partitions = int(self._reader.cursors.reading.sum())
        detail = trouble or f"reading {n_partitions} partitions"
        return Check("degraded" if trouble else "ok", detail, self._clock.now())

    def close(self) -> None:
        """Let go of everything; waits at most some seconds for a commit on its way."""
        if self._membership is not None:
            self._membership.close()
        self._reader.close()

    def _absent(self) -> str:
        read = {partition.topic for partition in self._reader.cursors.positions()}
        names = [topic.name for topic in self._settings.topics if not topic.name.startswith("^")]
        missing = sorted(set(names) - read)
        if missing:
            return f"no such topic yet: {', '.join(missing)}"
        if self._unplaced:
            return f"{len(self._unplaced)} partitions have no leader"
        return "" if read else "no topic matches"

    def _refresh(self) -> None:
        """Look which partitions exist now; begin, mend and end reading accordingly."""
        self._refresh_at = self._clock.monotonic() + RETRY_SECONDS
        try:
            existing = self._cluster.partitions(self._settings, METADATA_SECONDS)
            names = [topic.name for topic in self._settings.topics]
            if self._membership is not None and not self._membership.alone(names):
                self._trouble = f"another daemon of group {self._settings.group_id} is there, or was a moment ago"
                self._refresh_at = self._clock.monotonic() + _SEAT_SECONDS
                return
            self._note_new(existing)
            self._note_remade(existing)
            self._place()
            self._mend()
        except KafkaException as error:
            self._trouble = reason_of(error)
            return
        self._drop_gone(existing)
        self._trouble = ""
        if self._absent():
            self._refresh_at = self._clock.monotonic() + ABSENT_SECONDS
        elif not self._unplaced and not self._reader.lost:
            self._refresh_at = self._clock.monotonic() + self._refresh_seconds

    def _note_new(self, existing: frozenset[Partition]) -> None:
        read = self._reader.cursors.positions().keys()
        for partition in existing - read - self._unplaced.keys():
            # A partition that joined a topic which is already being read holds what came after: all of it is wanted.
            joined = self._looked or partition.topic in self._topics_stored
            self._unplaced[partition] = "earliest" if joined else self._settings.start_from
        for partition in self._unplaced.keys() - existing:
            del self._unplaced[partition]
        self._looked = True

    def _note_remade(self, existing: frozenset[Partition]) -> None:
        """Begin anew where a topic is another one than before, though it has the same name."""
        found = self._cluster.topic_ids(partition.topic for partition in existing)
        remade = {name for name, each in found.items() if self.topic_ids.get(name, each) != each}
        old = {**self._stored, **self._reader.cursors.positions()}
        affected = [partition for partition in existing if partition.topic in remade and partition in old]
        bounds = self._cluster.bounds(affected)
        if len(bounds) < len(affected):
            return  # no leader yet: looked at again before anything of it is read
        for partition in affected:
            offset, event = begin_anew(partition, old[partition], bounds[partition], self._settings.lost_offsets)
            self._stored[partition] = offset
            if self._reader.cursors.slot(partition) is not None:
                self._reader.place({partition: offset})
            self._events.append(event)
        self.topic_ids.update(found)

    def _place(self) -> None:
        """Begin to read what is not being read and has a leader."""
        bounds = self._cluster.bounds(self._unplaced)
        starts = {each: self._stored[each] for each in bounds if each in self._stored}
        for partition, stored in starts.items():
            starts[partition] = self._taken_up(partition, stored, bounds[partition])
        fresh = {each: self._unplaced[each] for each in bounds if each not in self._stored}
        starts.update(self._first_offsets(fresh, bounds))
        if starts:
            self._reader.place(starts)
        for partition, offset in starts.items():
            self._events.append(SourceEvent(SourceChange.FOUND, partition, offset, offset))
            del self._unplaced[partition]

    def _first_offsets(
        self, fresh: Mapping[Partition, str | float], bounds: Mapping[Partition, Bounds]
    ) -> Mapping[Partition, int]:
        starts = {each: bounds[each].high if start == "latest" else bounds[each].low for each, start in fresh.items()}
        by_time = [each for each, start in fresh.items() if not isinstance(start, str)]
        if by_time:
            assert not isinstance(self._settings.start_from, str)
            for partition, offset in self._cluster.at(by_time, self._settings.start_from).items():
                starts[partition] = offset if offset >= 0 else bounds[partition].high
        return starts

    def _mend(self) -> None:
        """Place anew what the broker refused to go on with."""
        lost = [each for each in self._reader.lost if self._reader.cursors.slot(each) is not None]
        positions = self._reader.cursors.positions()
        bounds = self._cluster.bounds(lost)
        self._reader.place({each: self._taken_up(each, positions[each], bounds[each]) for each in bounds})

    def _taken_up(self, partition: Partition, stored: int, bounds: Bounds) -> int:
        offset, event = take_up(partition, stored, bounds, self._settings.lost_offsets)
        if event is not None:
            self._events.append(event)
        return offset

    def _drop_gone(self, existing: frozenset[Partition]) -> None:
        """End reading what was not there twice; one absence may be a broker that has just begun to learn."""
        positions = self._reader.cursors.positions()
        absent = positions.keys() - existing
        gone = absent & self._missed
        self._missed = set(absent - gone)
        self._reader.drop(gone)
        for partition in gone:
            self._stored.pop(partition, None)  # should it be made anew, it begins anew
        self._events.extend(SourceEvent(SourceChange.GONE, each, positions[each], positions[each]) for each in gone)
