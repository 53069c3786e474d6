"""The path of the data, in order: the only loop. Reading :meth:`Pipeline.turn` is reading the daemon."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.policies import Policy
from monitor.clock import Clock
from monitor.decode.decoder import Decoder
from monitor.decode.parts import by_decoder
from monitor.errors import StoreWaitsError
from monitor.events.columns import EventBatch, Part, Reason, ValueType
from monitor.events.raw import Partition, RawBatch
from monitor.fleet import Absorbed, Closed, Fleet
from monitor.incidents.incident import Incident
from monitor.ingest.source import Source
from monitor.tally.closed import ClosedTicks
from monitor.tally.duplicates import keys_of
from monitor.tally.event_time import EventTime
from monitor.telemetry.metrics import EVENT_KINDS, Metrics

BATCH_RECORDS, BATCH_RECORDS_MAX, OF_EACH_MODEL = 16_000, 64_000, 16
"""Records of one turn; in a large fleet so many of each model, as far as memory goes: the more of a model are counted
behind one another, the less often its counts and edges come from memory."""
_DECODING_SECONDS = 1.0
"""The longest that so many may take to decode: else it is fewer, for what Python reads would hold up all else."""
POLL_SECONDS = 0.1
"""The longest that a quiet turn waits, and so the longest that a question to the loop does."""

_MERGED = Partition("", 0)
"""Stands for all partitions of a source that brings them in one order."""
_COMMIT_REST, _TELLING_REST = 20.0, 9.0
"""Time between two commits, in what one takes: a twentieth of the loop at most, a tenth with news to tell."""
_TICKS_WAITING = 20_000
"""Closed ticks that may wait for a commit: what holds them is bounded by this, not by time."""
_FULL_REST = 0.5
"""How long a full store is left alone before it is tried again."""
_FLUSH_SECONDS = 1.0
"""The longest that a commit waits for dead letters before it is put off."""

_KIND_PARTS = (Part.PREDICTION, Part.OUTCOME, Part.FEATURES, Part.METRICS, Part.SENSITIVE, Part.LIFECYCLE)
_KIND_OF_PARTS = np.argmax(np.arange(2 * max(Part))[:, None] & np.array((*_KIND_PARTS, -1)) > 0, axis=1)
_KIND_OF_PARTS[0] = len(_KIND_PARTS)
"""The first of :data:`_KIND_PARTS` that an event has, by its parts; their number where it has none."""


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
        ticks: list[ClosedTicks],
        incidents: list[Incident],
    ) -> bool:
        """Write everything that changed in one piece; ``False`` to be asked again later, with the same and more.

        Raises
        ------
        StoreWaitsError
            There is no room. Nothing may change until the same call has succeeded.
        """
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The world around the path. ``told`` is called with incidents once they are stored.

    ``breathe`` is called between two pieces of a tick that closes, for what must not wait until all are judged: it may
    look at the fleet and may neither change nor store it, nor read on.
    """

    clock: Clock
    metrics: Metrics
    dead_letters: DeadLetterBox
    keeper: Keeper
    told: Callable[[list[Incident]], None]
    breathe: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class Pace:
    """How the loop goes, in seconds.

    ``idle`` is after how long a silent partition lets event time run on, ``commit`` the longest between two commits,
    ``future`` how far beyond now an event may be dated. ``live`` says that events tell of now, so that event time runs
    on with the clock when none come; in a replay it does not. ``batch_records`` are those of one turn, else they are as
    many as the fleet is large.
    """

    live: bool = False
    idle: float = 0.0
    commit: float = math.inf
    future: float = math.inf
    batch_records: int | None = None


class Pipeline:
    """Takes events from a source to incidents. One thread calls it and owns everything in it.

    Incidents are told only once they are stored, so that nobody hears of what a crash undoes.
    """

    def __init__(
        self,
        source: Source,
        decoder_of: Callable[[str], Decoder],
        fleet: Fleet,
        event_time: EventTime,
        around: Surroundings,
        pace: Pace,
    ) -> None:
        self.source = source
        self.fleet = fleet
        self.event_time = event_time
        self.totals = Absorbed()
        self.rejected: Counter[str] = Counter()
        """Records that became no event, by the reasons of docs/events.md."""
        self.unknown_fields = 0
        self.dropped_values = 0
        self.duplicates = 0
        self.ignored = 0
        self.ticks_closed = 0
        self._decoder_of = decoder_of
        self._clock = around.clock
        self._metrics = around.metrics
        self._dead_letters = around.dead_letters
        self._keeper = around.keeper
        self._told = around.told
        self._breathe_out = around.breathe
        fleet.breathe = self._breathe
        self._pace = pace
        self._ticks: list[ClosedTicks] = []
        self._ticks_waiting = 0
        self._incidents: list[Incident] = []
        self.stuck = False
        """Whether the store has no room for what was counted, so that nothing more is read or changed."""
        self._committed_at = around.clock.monotonic()
        self._commit_took = 0.0
        self._heard: dict[Partition, float] = {}
        self._stood_since = -math.inf
        self._asleep = False
        self._closed = -math.inf
        self._gave_way = -math.inf
        self._decoding = 0.0
        """What it took to decode a record of the last turn, in seconds."""

    def turn(self) -> int:
        """Do one turn of the loop; returns the number of records read."""
        if self.stuck:
            self._clock.sleep(_FULL_REST)
            self.commit()
            return 0
        with self._stage("poll"):
            raw = self.source.poll(self._pace.batch_records or self._records(), POLL_SECONDS)
        silent = self._listen(raw)
        if len(raw):
            self._decoding = 0.0
        for part in by_decoder(raw, self._decoder_of) if len(raw) else ():
            self._absorb(*part)
        if raw.passed:
            self._close(self.event_time.told(raw.passed))
        self._let_time_run(silent)
        if self._due():
            self.commit()
        return len(raw)

    def take(self, incidents: Sequence[Incident]) -> None:
        """Store and tell ``incidents``, which somebody's order changed, without waiting for the next commit's time."""
        self._incidents += incidents
        self.commit()

    def finish(self, horizon_seconds: float) -> None:
        """At the end of an input: event time runs on, so that ticks close and cohorts mature; its end is no silence."""
        self.event_time.end()
        self._close(self.event_time.run_on(horizon_seconds), silence=False)
        left = self.fleet.blocks.ends()
        if len(left):  # of events dated further ahead than was believed
            self._close(float(left.max()), silence=False)
        self.commit(whatever=True)

    def reload(self, policy_of: Callable[[str], Policy]) -> int:
        """Judge by other policies from here on; returns how many models have another one than before."""
        changed = self.fleet.reload_policies(policy_of)
        self._close(self._closed)
        return len(changed)

    def commit(self, *, whatever: bool = False) -> None:
        """Store everything that changed with the offsets it covers, then tell the incidents among it.

        Offsets may not pass a record whose dead letter is still on its way: then the commit waits for a later turn,
        unless it must be ``whatever``.
        """
        with self._stage("commit"):
            if not self._dead_letters.flush(_FLUSH_SECONDS) and not whatever:
                return
            positions = dict(self.source.positions())
            began = self._clock.monotonic()
            try:
                saved = self._keeper.save(self.fleet, self.event_time, positions, self._ticks, self._incidents)
            except StoreWaitsError:
                self.stuck = True
                return
            self.stuck = False
            self._committed_at = self._clock.monotonic()
            self._commit_took = self._committed_at - began
            if not saved:
                return
            self.source.committed(positions)
        incidents, self._ticks, self._incidents, self._ticks_waiting = self._incidents, [], [], 0
        if incidents:
            with self._stage("notify"):
                self._told(incidents)

    def _records(self) -> int:
        """How many to read in one turn."""
        many = min(max(BATCH_RECORDS, OF_EACH_MODEL * len(self.fleet.models)), BATCH_RECORDS_MAX)
        return many if many * self._decoding <= _DECODING_SECONDS else BATCH_RECORDS

    def _absorb(self, raw: RawBatch, decoder: Decoder) -> None:
        with self._stage("decode"):
            future_limit, began = self._clock.now() + self._pace.future, self._clock.monotonic()
            batch = decoder.decode(raw.values, raw.timestamps, future_limit, raw.keys, raw.headers)
            self._decoding = max(self._decoding, (self._clock.monotonic() - began) / len(raw))
            self._count(raw, batch)
        if len(batch.rejected):
            reasons = [Reason(r).name.lower() for r in batch.reasons]
            self.rejected.update(reasons)
            self._dead_letters.add(raw, batch.rejected.tolist(), reasons)
        if not len(batch):
            return
        before = self.event_time.watermark
        source, partitions = raw.source[batch.record], raw.partitions
        if self.source.merged:
            source, partitions = np.zeros(len(batch), np.int32), (_MERGED,)
        told = None if raw.reached is None else raw.reached[batch.record]
        marks = self.event_time.after_each(batch.time, source, partitions, told)
        previous = np.concatenate([[before], marks[:-1]])
        for counts in (self._wanted, self._fresh):
            kept = counts(batch, marks)
            if len(kept) < len(batch):
                batch, marks, previous = batch.chosen(kept), marks[kept], previous[kept]
        if len(batch):
            self._tally(batch, marks, previous)

    def _wanted(self, batch: EventBatch, _marks: NDArray[np.float64]) -> NDArray[np.int64]:
        """Indices of the events that no policy ignores; the others are counted as ignored and nowhere else."""
        with self._stage("tally"):
            wanted = np.flatnonzero(~self.fleet.ignoring.ignored(batch))
        self.ignored += len(batch) - len(wanted)
        self._metrics.ignored_events.inc(len(batch) - len(wanted))
        return wanted

    def _fresh(self, batch: EventBatch, marks: NDArray[np.float64]) -> NDArray[np.int64]:
        """Indices of the events that were not met before; the others are counted as duplicates and nowhere else."""
        with self._stage("duplicates"):
            keys, memory = keys_of(batch), self.fleet.duplicates
            fresh = np.flatnonzero(~memory.find(keys, marks))
        n = len(batch) - len(fresh)
        self.duplicates += n
        self._metrics.duplicate_events.inc(n)
        self._metrics.events_without_id.inc(int(np.count_nonzero(keys == 0)))
        self._metrics.keys_forgotten_early.inc(memory.take_forgotten_early())
        return fresh

    def _tally(self, batch: EventBatch, marks: NDArray[np.float64], previous: NDArray[np.float64]) -> None:
        """Count events into their ticks; ``marks`` are the watermarks behind each record, ``previous`` those before."""
        ends = self.fleet.tick_ends(batch)
        # What a duplicate moved the watermark on to closes ticks behind the event that follows it.
        closed = np.concatenate([[self._closed], marks[:-1]])
        turns = self.fleet.discovery.turns(batch)
        dues = self.fleet.case_dues(batch, ends)
        for start, stop in _stretches(marks, closed, ends, self._open_ends(dues, ends, float(marks[-1])), turns):
            first = start
            while first < stop:
                # So many at a time as cannot open more ticks than there may be.
                last = min(stop, first + (self.fleet.blocks.room or len(batch)))
                with self._stage("tally"):
                    stretch, passed = batch.part(first, last), np.maximum(previous[first:last], self._gave_way)
                    self._count_absorbed(self.fleet.absorb(stretch, ends[first:last] <= passed))
                with self._stage("outcomes"):
                    self._count_fates(self.fleet.join(stretch, dues[first:last], passed))
                self._close(float(marks[last - 1]))
                self._give_way()
                first = last

    def _give_way(self) -> None:
        """Too many ticks are open: the oldest close, though a slow partition may have more for them.

        Where not even the fastest partition has come so far, what is open lies ahead, and further ticks are not opened.
        """
        while not self.fleet.blocks.room:
            oldest = float(self.fleet.blocks.ends().min())
            if not self.event_time.give_way(oldest):
                return
            self._gave_way = oldest
            self._metrics.ticks_closed_early.inc()
            self._close(oldest)

    def _open_ends(self, dues: NDArray[np.float64], ends: NDArray[np.float64], until: float) -> NDArray[np.float64]:
        """When, up to ``until``, ticks may close and cases mature, those that the batch itself opens among them.

        A case is remembered for as long again as it took to mature.
        """
        new = np.concatenate([dues, np.round(2.0 * dues - ends, 3)])
        return np.concatenate([self.fleet.blocks.ends(), self.fleet.outcomes.pending.dues(until), new[new <= until]])

    def _close(self, watermark: float, *, silence: bool = True) -> None:
        self._closed = max(self._closed, watermark)
        with self._stage("judge"):
            self._stood_since = self._clock.monotonic()
            closed = self.fleet.close(watermark, silence=silence)
            if closed.ticks:
                self._metrics.closing_pause.observe(self._clock.monotonic() - self._stood_since)
            self._keep(closed)

    def _breathe(self) -> None:
        """Between two pieces of what closes. What was read is not all counted yet, so nothing is committed or read."""
        self._metrics.closing_pause.observe(self._clock.monotonic() - self._stood_since)
        self._breathe_out()
        self._stood_since = self._clock.monotonic()

    def _keep(self, closed: Closed) -> None:
        n_ticks = sum(map(len, closed.ticks))
        self.ticks_closed += n_ticks
        self._ticks_waiting += n_ticks
        self._metrics.ticks_closed.inc(n_ticks)
        self._metrics.judged_cells.inc(closed.n_cells)
        self._ticks += closed.ticks
        self._incidents += closed.incidents

    def _listen(self, raw: RawBatch) -> set[Partition]:
        """Which partitions have stood at their end for so long that they no longer hold event time up.

        Looked at before a batch is counted: what it says must not make late what another partition is about to say,
        whether that was just found, or all of them slept.
        """
        source, time = self.source, self.event_time
        if source.merged:
            return set()
        now, assigned = self._clock.monotonic(), source.positions().keys()
        known = assigned | time.reached.keys()
        # What is not assigned is gone, unless nothing is: then no broker has answered yet.
        ended = {p for p in known if (source.exhausted(p) if p in assigned else assigned)}
        heard = {raw.partitions[p] for p in np.flatnonzero(np.bincount(raw.source)).tolist()}
        awake = known if heard and self._asleep else heard | (known - ended)
        self._heard.update(dict.fromkeys(awake | (known - self._heard.keys()), now))
        # One whose last records this batch brings is not silent yet: those must be counted first.
        silent = {p for p in ended - heard if now - self._heard[p] >= self._pace.idle}
        self._asleep = silent >= known
        time.awaited = {p for p in assigned - silent if p not in time.reached}
        time.idle &= silent
        return silent

    def _let_time_run(self, silent: set[Partition]) -> None:
        """Silent partitions no longer hold event time up; when all of them are silent, time runs by itself."""
        time = self.event_time
        if silent - time.idle:
            self._close(time.settle(silent))
        if self._pace.live and time.reached and self._asleep:
            heard = max(self._heard[p] for p in time.reached)
            self._close(time.run_on(self._clock.monotonic() - heard - time.lateness))

    def _due(self) -> bool:
        if self.fleet.outcomes.pending.crowded:
            return True
        if math.isinf(self._pace.commit):
            return False
        waited, took = self._clock.monotonic() - self._committed_at, self._commit_took
        return (
            waited >= max(self._pace.commit, _COMMIT_REST * took)
            or (bool(self._incidents) and waited >= _TELLING_REST * took)
            or self._ticks_waiting >= _TICKS_WAITING
        )

    def _count(self, raw: RawBatch, batch: EventBatch) -> None:
        """Count a decoded batch: events by topic and kind, dead letters by reason."""
        metrics = self._metrics
        topics = list(dict.fromkeys(partition.topic for partition in raw.partitions))
        places, kinds = _KIND_OF_PARTS[batch.parts], len(_KIND_PARTS) + 1
        if len(topics) > 1:
            topic_of = np.array([topics.index(partition.topic) for partition in raw.partitions], np.int64)
            places = places + topic_of[raw.source[batch.record]] * kinds
        counts = np.bincount(places)
        for place in np.flatnonzero(counts).tolist():
            topic, kind = divmod(place, kinds)
            if kind < len(_KIND_PARTS):
                metrics.events.labels(topics[topic], EVENT_KINDS[kind]).inc(int(counts[place]))
        for reason, n in zip(*np.unique(batch.reasons, return_counts=True), strict=True):
            metrics.dead_letters.labels(Reason(int(reason)).name.lower()).inc(int(n))
        dropped = int(np.count_nonzero(batch.of_type(ValueType.DROPPED)))
        self.unknown_fields += batch.unknown_fields
        self.dropped_values += dropped
        metrics.unknown_fields.inc(batch.unknown_fields)
        metrics.dropped_values.inc(dropped)
        if self._pace.live and len(batch):
            metrics.event_delay.observe_many(self._clock.now() - batch.time)

    def _count_absorbed(self, absorbed: Absorbed) -> None:
        self.totals.add(absorbed)
        self._metrics.late_events.inc(absorbed.late)
        shut = self.fleet.discovery.shut
        self._count_strangers(absorbed.models_turned_away, "memory" if shut else "models")
        self._metrics.limits_turned_away.labels("memory" if shut else "features").inc(absorbed.values_turned_away)
        self._metrics.limits_turned_away.labels("open_ticks").inc(absorbed.ticks_turned_away)
        self._metrics.limits_turned_away.labels("categories").inc(absorbed.categories_turned_away)
        self._metrics.limits_turned_away.labels("groups").inc(absorbed.groups_turned_away)
        self._metrics.limits_turned_away.labels("segment_values").inc(absorbed.segments_turned_away)

    def _count_strangers(self, n: int, limit: str) -> None:
        """Count events of models that a limit kept out: dead letters, but not sent on, for they may be a flood."""
        if n:
            reason = Reason.TOO_MANY_MODELS.name.lower()
            self.rejected[reason] += n
            self._metrics.dead_letters.labels(reason).inc(n)
            self._metrics.limits_turned_away.labels(limit).inc(n)

    def _count_fates(self, fates: Mapping[str, int]) -> None:
        for fate, n in fates.items():
            if n:
                self._metrics.outcomes.labels(fate).inc(n)
        self._metrics.limits_turned_away.labels("pending_predictions").inc(fates["no_room"])

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        began = self._clock.monotonic()
        try:
            yield
        finally:
            self._metrics.loop_seconds.labels(name).inc(self._clock.monotonic() - began)


def _stretches(
    marks: NDArray[np.float64],
    previous: NDArray[np.float64],
    ends: NDArray[np.float64],
    open_ends: NDArray[np.float64],
    turns: NDArray[np.bool_],
) -> Iterator[tuple[int, int]]:
    """Cut a batch behind each event with which a tick may close and before each turn: all sizes judge alike."""
    candidates = np.concatenate([ends, open_ends])
    # Nearly all lie ahead, and sorting them would cost more than everything else here.
    candidates = np.unique(candidates[(candidates > previous.min()) & (candidates <= marks.max())])
    stops = np.flatnonzero(turns)
    if len(candidates):
        passed = np.searchsorted(candidates, marks, side="right") > np.searchsorted(candidates, previous, side="right")
        stops = np.union1d(np.flatnonzero(passed) + 1, stops)
    first = 0
    for last in [*stops.tolist(), len(marks)]:
        if last > first:
            yield first, last
        first = last
