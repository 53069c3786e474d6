"""What a replay reads from Kafka: the records of one topic between two times."""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import KafkaException

from monitor.clock import Clock
from monitor.errors import IngestError
from monitor.events.raw import Partition, RawBatch
from monitor.ingest.facts import SourceEvent
from monitor.ingest.kafka_client import admin_settings, consumer_settings, reason_of, unreachable
from monitor.ingest.kafka_cluster import CONNECT_SECONDS, Cluster, take_up
from monitor.ingest.kafka_reader import Reader
from monitor.ingest.schema_gate import gate_of
from monitor.ingest.settings import KafkaSettings

PATIENCE_SECONDS = 60.0
"""A replay has someone waiting for it: a broker that stays away longer than this ends it."""


class KafkaRange:
    """The records of ``topic`` with a time from ``since`` on and before ``until`` (seconds since the epoch).

    In each partition reading begins at the first record of ``since`` or later and ends before the first record of
    ``until`` or later, as the broker's index of times has it, but never behind what was there at the start; ``None``
    leaves a side open. A stored position in ``positions`` goes before ``since``. Nothing is committed.

    Raises
    ------
    IngestError
        No broker answers, or the topic does not exist.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topic: str,
        since: float | None,
        until: float | None,
        positions: Mapping[Partition, int],
        clock: Clock,
    ) -> None:
        client = settings.client()
        servers = settings.bootstrap_servers
        self._clock = clock
        self._heard_at = clock.monotonic()
        self._events: list[SourceEvent] = []
        self._done: dict[Partition, int] = {}
        self._cluster = Cluster(admin_settings(servers, client), clock)
        consumer = consumer_settings(servers, settings.group_id, client)
        self._reader = Reader(consumer, clock, settings.reads_headers, gate_of(settings), settings.is_native)
        try:
            self._begin(topic, since, until, positions)
        except (KafkaException, IngestError) as error:
            self._reader.close()
            raise IngestError(f"{topic}: {unreachable(servers, error)}") from error

    @property
    def merged(self) -> bool:
        """No: each partition is at a time of its own."""
        return False

    def poll(self, records_max: int, timeout_seconds: float) -> RawBatch:
        """As :class:`~monitor.ingest.source.Source` says; raises when nobody it waits for answers in a minute."""
        batch = self._reader.read(records_max, timeout_seconds)
        if self._reader.lost:
            self._mend()
        self._finish_partitions()
        now = self._clock.monotonic()
        if len(batch) or not (self._reader.away or self._reader.waits):
            self._heard_at = now
        elif now - self._heard_at > PATIENCE_SECONDS:
            why = self._reader.waits or f"Kafka does not answer: {self._reader.trouble}"
            raise IngestError(f"nothing came for {PATIENCE_SECONDS:.0f} s: {why}")
        return batch

    def positions(self) -> Mapping[Partition, int]:
        """As :class:`~monitor.ingest.source.Source` says, with the partitions that are done."""
        return {**self._done, **self._reader.cursors.positions()}

    def exhausted(self, partition: Partition) -> bool:
        """Whether ``partition`` is done; its end was settled at the start."""
        return partition in self._done

    def finished(self) -> bool:
        """Whether all partitions are done."""
        return not self._reader.cursors.reading.any()

    def lag(self) -> Mapping[Partition, int]:
        """Offsets between each position and the end of its range."""
        cursors = self._reader.cursors
        left = {each: int(cursors.end[slot] - cursors.next[slot]) for slot, each in enumerate(cursors.partitions)}
        return {each: 0 if each in self._done else left[each] for each in self.positions()}

    def committed(self, positions: Mapping[Partition, int]) -> None:
        """Nothing: what a replay read is nobody's business."""

    def drain_events(self) -> list[SourceEvent]:
        """What happened to partitions since the last call."""
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        """Let go of everything."""
        self._reader.close()

    def _begin(self, topic: str, since: float | None, until: float | None, positions: Mapping[Partition, int]) -> None:
        partitions = self._cluster.topic(topic, CONNECT_SECONDS)
        if not partitions:
            raise IngestError("no such topic")
        bounds = self._cluster.bounds(partitions)
        ends = dict(self._cluster.ends(partitions))
        if len(bounds) < len(partitions) or len(ends) < len(partitions):
            raise IngestError(f"{len(partitions) - len(bounds)} of {len(partitions)} partitions have no leader")
        starts = {each: bounds[each].low for each in partitions}
        if since is not None:
            found = self._cluster.at(partitions, since)
            starts = {each: found[each] if found[each] >= 0 else ends[each] for each in partitions}
        if until is not None:
            found = self._cluster.at(partitions, until)
            ends = {each: min(ends[each], found[each]) if found[each] >= 0 else ends[each] for each in partitions}
        for partition in partitions:
            if partition in positions:
                starts[partition], event = take_up(partition, positions[partition], bounds[partition], "earliest")
                self._events.extend([event] if event is not None else [])
        self._done = {each: starts[each] for each in partitions if starts[each] >= ends[each]}
        self._reader.place({each: starts[each] for each in partitions if each not in self._done}, ends)

    def _mend(self) -> None:
        """Go on where retention has overtaken us."""
        positions, ends = self._reader.cursors.positions(), self._reader.cursors.ends()
        try:
            bounds = self._cluster.bounds(self._reader.lost)
        except KafkaException as error:
            raise IngestError(f"Kafka: {reason_of(error)}") from error
        starts = {}
        for partition in bounds:
            starts[partition], event = take_up(partition, positions[partition], bounds[partition], "earliest")
            self._events.extend([event] if event is not None else [])
        self._reader.place(starts, {each: ends[each] for each in starts})

    def _finish_partitions(self) -> None:
        # The end was the end of the log or before: where the log is at its end, so are we.
        cursors = self._reader.cursors
        over = cursors.reading & ((cursors.next >= cursors.end) | cursors.at_end)
        if over.any():
            finished = [cursors.partitions[slot] for slot in over.nonzero()[0]]
            positions = cursors.positions()
            self._done.update({each: positions[each] for each in finished})
            self._reader.drop(finished)
