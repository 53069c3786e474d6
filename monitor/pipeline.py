"""The path of the data, in order: the only loop. Reading :meth:`Pipeline.turn` is reading the daemon."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from monitor.clock import Clock
from monitor.decode.decoder import Decoder
from monitor.events.columns import EventBatch, Part, Reason, ValueType
from monitor.events.raw import Partition, RawBatch
from monitor.fleet import Absorbed, Closed, ClosedTick, Fleet
from monitor.incidents.incident import Incident
from monitor.ingest.source import Source
from monitor.tally.event_time import EventTime
from monitor.telemetry.metrics import EVENT_KINDS, Metrics

BATCH_RECORDS = 1000
"""Records of one turn: larger batches leave the cache, smaller ones pay Python more often."""
POLL_SECONDS = 0.1
"""The longest that a quiet turn waits, and so the longest that a question to the loop does."""

_FLUSH_SECONDS = 1.0
"""The longest that a commit waits for dead letters before it is put off."""

_KIND_PARTS = (Part.PREDICTION, Part.OUTCOME, Part.FEATURES, Part.METRICS, Part.SENSITIVE, Part.LIFECYCLE)


class DeadLetterBox(Protocol):
    """Where records go that cannot be read."""

    def add(self, batch: RawBatch, indices: Sequence[int], reasons: Sequence[str]) -> None:
        """Take the records ``batch[indices[i]]``, each rejected for ``reasons[i]``."""
        ...

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until everything that was taken is where it belongs; ``False`` if some is still on its way."""
        ...


class Keeper(Protocol):
    """Makes what happened last: the store, or nothing at all in a replay."""

    def save(
        self,
        fleet: Fleet,
        time: EventTime,
        positions: Mapping[Partition, int],
        ticks: list[ClosedTick],
        incidents: list[Incident],
    ) -> None:
        """Write everything that changed in one piece."""
        ...


class Pipeline:
    """Takes events from a source to incidents. One thread calls it and owns everything in it.

    Incidents are told only once they are stored, so that nobody hears of what a crash undoes: ``told`` is called with
    them behind the commit. ``decoders`` are by topic, with a default under ``""``. ``future`` is how far beyond now an
    event may be dated, in seconds, infinite where event time has nothing to do with the clock.
    """

    def __init__(
        self,
        source: Source,
        decoder_of: Callable[[str], Decoder],
        fleet: Fleet,
        event_time: EventTime,
        *,
        clock: Clock,
        metrics: Metrics,
        dead_letters: DeadLetterBox,
        keeper: Keeper,
        told: Callable[[list[Incident]], None],
        idle_seconds: float = math.inf,
        commit_seconds: float = math.inf,
        future: float = math.inf,
        batch_records: int = BATCH_RECORDS,
    ) -> None:
        self.source = source
        self.fleet = fleet
        self.event_time = event_time
        self.totals = Absorbed()
        self.rejected = 0
        self.ticks_closed = 0
        self._decoder_of = decoder_of
        self._clock = clock
        self._metrics = metrics
        self._dead_letters = dead_letters
        self._keeper = keeper
        self._told = told
        self._idle_seconds = idle_seconds
        self._commit_seconds = commit_seconds
        self._future = future
        self._batch_records = batch_records
        self._ticks: list[ClosedTick] = []
        self._incidents: list[Incident] = []
        self._committed_at = clock.monotonic()
        self._heard: dict[Partition, float] = {}

    def turn(self) -> int:
        """Do one turn of the loop; returns the number of records read."""
        with self._stage("poll"):
            raw = self.source.poll(self._batch_records, POLL_SECONDS)
        for part in _by_decoder(raw, self._decoder_of) if len(raw) else ():
            self._absorb(*part)
        self._let_time_run(raw)
        if self._due():
            self.commit()
        return len(raw)

    def finish(self, horizon_seconds: float) -> None:
        """At the end of an input: event time runs on, so that ticks close and cohorts mature."""
        self._keep(self.fleet.close(self.event_time.run_on(horizon_seconds)))
        self.commit(whatever=True)

    def commit(self, *, whatever: bool = False) -> None:
        """Store everything that changed with the offsets it covers, then tell the incidents among it.

        Offsets may not pass a record whose dead letter is still on its way: then the commit waits for a later turn,
        unless it must be ``whatever``.
        """
        with self._stage("commit"):
            if not self._dead_letters.flush(_FLUSH_SECONDS) and not whatever:
                return
            positions = dict(self.source.positions())
            self._keeper.save(self.fleet, self.event_time, positions, self._ticks, self._incidents)
            self.source.committed(positions)
        incidents, self._ticks, self._incidents = self._incidents, [], []
        self._committed_at = self._clock.monotonic()
        if incidents:
            with self._stage("notify"):
                self._told(incidents)

    def _absorb(self, raw: RawBatch, decoder: Decoder) -> None:
        with self._stage("decode"):
            batch = decoder.decode(raw.values, raw.timestamps, self._clock.now() + self._future)
            self._count(raw, batch)
        if len(batch.rejected):
            self.rejected += len(batch.rejected)
            self._dead_letters.add(raw, batch.rejected.tolist(), [Reason(r).name.lower() for r in batch.reasons])
        if not len(batch):
            return
        before = self.event_time.watermark
        marks = self.event_time.after_each(batch.time, raw.source[batch.record], raw.partitions)
        ends = self.fleet.tick_ends(batch)
        previous = np.concatenate([[before], marks[:-1]])
        for first, last in _stretches(marks, previous, ends, self.fleet.blocks.ends()):
            with self._stage("tally"):
                late = ends[first:last] <= previous[first:last]
                absorbed = self.fleet.absorb(batch.part(first, last), late)
                self._count_absorbed(absorbed)
            self._close(float(marks[last - 1]))

    def _close(self, watermark: float) -> None:
        with self._stage("judge"):
            self._keep(self.fleet.close(watermark))

    def _keep(self, closed: Closed) -> None:
        self.ticks_closed += len(closed.ticks)
        self._metrics.ticks_closed.inc(len(closed.ticks))
        self._metrics.judged_cells.inc(closed.n_cells)
        self._ticks += closed.ticks
        self._incidents += closed.incidents

    def _let_time_run(self, raw: RawBatch) -> None:
        """A partition at its end that stays silent no longer holds event time up; when all are, time runs by itself."""
        now = self._clock.monotonic()
        for p in np.unique(raw.source).tolist():
            self._heard[raw.partitions[p]] = now
        if math.isinf(self._idle_seconds) or not self._heard:
            return
        silent = {p for p, at in self._heard.items() if now - at >= self._idle_seconds and self.source.exhausted(p)}
        if len(silent) == len(self._heard):
            self._close(self.event_time.run_on(now - max(self._heard.values()) - self.event_time.lateness))
        elif silent - self.event_time.idle:
            self._close(self.event_time.settle(silent))

    def _due(self) -> bool:
        waited = self._clock.monotonic() - self._committed_at
        return waited >= self._commit_seconds or (bool(self._incidents) and math.isfinite(self._commit_seconds))

    def _count(self, raw: RawBatch, batch: EventBatch) -> None:
        """Count a decoded batch: events by topic and kind, dead letters by reason."""
        metrics = self._metrics
        topics = np.array([partition.topic for partition in raw.partitions])[raw.source[batch.record]]
        kinds = np.select([(batch.parts & part) > 0 for part in _KIND_PARTS], range(len(_KIND_PARTS)), -1)
        for topic in dict.fromkeys(partition.topic for partition in raw.partitions):
            counts = np.bincount(kinds[(topics == topic) & (kinds >= 0)], minlength=len(_KIND_PARTS))
            for i in np.flatnonzero(counts).tolist():
                metrics.events.labels(topic, EVENT_KINDS[i]).inc(int(counts[i]))
        for reason, n in zip(*np.unique(batch.reasons, return_counts=True), strict=True):
            metrics.dead_letters.labels(Reason(int(reason)).name.lower()).inc(int(n))
        metrics.unknown_fields.inc(batch.unknown_fields)
        metrics.dropped_values.inc(int(np.count_nonzero(batch.type == ValueType.DROPPED)))
        if math.isfinite(self._future) and len(batch):
            metrics.event_delay.observe_many(self._clock.now() - batch.time)

    def _count_absorbed(self, absorbed: Absorbed) -> None:
        self.totals.add(absorbed)
        self._metrics.late_events.inc(absorbed.late)
        self._metrics.limits_turned_away.labels("models").inc(absorbed.models_turned_away)
        self._metrics.limits_turned_away.labels("features").inc(absorbed.values_turned_away)

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        began = self._clock.monotonic()
        try:
            yield
        finally:
            self._metrics.loop_seconds.labels(name).inc(self._clock.monotonic() - began)


def _stretches(
    marks: NDArray[np.float64], previous: NDArray[np.float64], ends: NDArray[np.float64], open_ends: NDArray[np.float64]
) -> Iterator[tuple[int, int]]:
    """Cut a batch behind each event with which a tick may close, so that batches of any size judge alike."""
    candidates = np.unique(np.concatenate([ends, open_ends]))
    passed = np.searchsorted(candidates, marks, side="right") > np.searchsorted(candidates, previous, side="right")
    stops = np.flatnonzero(passed) + 1
    first = 0
    for last in [*stops.tolist(), len(marks)]:
        if last > first:
            yield first, last
        first = last


def _by_decoder(raw: RawBatch, decoder_of: Callable[[str], Decoder]) -> Iterator[tuple[RawBatch, Decoder]]:
    """The batch by the format of its topics; almost always that is one."""
    decoders = [decoder_of(partition.topic) for partition in raw.partitions]
    distinct = list(dict.fromkeys(decoders))
    if len(distinct) == 1:
        yield raw, distinct[0]
        return
    for decoder in distinct:
        own = np.array([d is decoder for d in decoders])[raw.source]
        at = np.flatnonzero(own).tolist()
        if at:
            yield (
                RawBatch(
                    [raw.values[i] for i in at],
                    raw.timestamps[own],
                    raw.partitions,
                    raw.source[own],
                    raw.offsets[own],
                    [raw.keys[i] for i in at] if raw.keys else (),
                ),
                decoder,
            )


