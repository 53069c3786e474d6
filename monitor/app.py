"""The daemon: put together from a configuration, started, kept turning, and stopped in the reverse order."""

from __future__ import annotations

import gc
import os
import signal
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from monitor.catalog.outputs import with_outputs
from monitor.clock import Clock
from monitor.compose import make_decoders, make_fleet, program_version
from monitor.config import Config
from monitor.drill.drill import drill_of
from monitor.drill.past import Past
from monitor.errors import ConfigError, ModelwatchError
from monitor.events.raw import Partition, RawBatch
from monitor.fleet import Fleet
from monitor.incidents.incident import Incident
from monitor.incidents.order import Order, Outcome
from monitor.ingest.dead_letters import DeadLetters
from monitor.ingest.facts import SourceChange
from monitor.ingest.kafka import KafkaSource
from monitor.notify.log import IncidentLog, log_facts
from monitor.notify.notifier import Notifications
from monitor.notify.silences import Silence, SilenceWatch, orders
from monitor.orders import carry_out
from monitor.pipeline import Pace, Pipeline, Surroundings
from monitor.publish import LoopDesk, Painter
from monitor.rounds import Rounds
from monitor.status import Check
from monitor.store.checkpoint import Checkpoint
from monitor.store.database import Database
from monitor.store.drills import DrillLog
from monitor.store.grouplog import GroupLog
from monitor.store.ticklog import TickLog
from monitor.tally.closed import ClosedTicks
from monitor.tally.event_time import EventTime
from monitor.telemetry import logs
from monitor.telemetry.metrics import Metrics
from monitor.telemetry.systemd import ServiceManager
from monitor.web.server import WebServer

PUBLISH_SECONDS = 1.0
RESOLVED_RESENT_SECONDS = 15 * 60.0
"""How long after its end an incident is told as resolved again, in case the first telling was lost."""
_GC_SECONDS = 300.0
"""Full collections happen this often and between batches; the hot path makes no cycles."""
_ROLL_UP_MODELS = 8
"""Models whose history is rolled up behind one commit."""

_log = logs.get_logger("monitor.app")


class _SampledDeadLetters:
    """Hands dead letters on, and shows one of each reason a minute in the log, without what it held."""

    def __init__(self, letters: DeadLetters, clock: Clock) -> None:
        self._letters = letters
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


class _StoreKeeper:
    """Writes checkpoints, and measures them.

    A partition that is not read now, because no broker has answered yet, keeps the offset that the store has for it:
    only one that is gone for good is forgotten.
    """

    def __init__(
        self,
        database: Database,
        checkpoint: Checkpoint,
        log: TickLog,
        metrics: Metrics,
        clock: Clock,
        known: Mapping[Partition, int],
    ) -> None:
        self._database = database
        self._checkpoint = checkpoint
        self._log = log
        self._metrics = metrics
        self._clock = clock
        self._known = dict(known)
        self.topic_ids: Mapping[str, str] = {}

    def forget(self, partition: Partition) -> None:
        """``partition`` no longer exists."""
        self._known.pop(partition, None)

    def save(
        self,
        fleet: Fleet,
        time: EventTime,
        positions: Mapping[Partition, int],
        ticks: list[ClosedTicks],
        incidents: list[Incident],
    ) -> None:
        """One atomic write; then a little of the tick log's history is rolled up."""
        began = self._clock.monotonic()
        self._known.update(positions)
        self._checkpoint.topic_ids.update(self.topic_ids)
        self._checkpoint.save(fleet, time, self._known, ticks, incidents)
        self._metrics.store_commit.observe(self._clock.monotonic() - began)
        self._metrics.store_last_commit.set(self._clock.now())
        self._metrics.store_bytes.set(self._database.n_bytes())
        if len(fleet.models) and np.isfinite(time.watermark):
            self._database.commit(self._log.roll_up(len(fleet.models), _ROLL_UP_MODELS, time.watermark))


class Daemon:
    """``modelwatch run``: everything it holds is named in the order it is made, and let go of in reverse."""

    def __init__(self, config: Config, clock: Clock, read_config: Callable[[], Config]) -> None:
        self._config = config
        self._read_config = read_config
        self._clock = clock
        self._stop = threading.Event()
        self._published_at = -np.inf
        self._collected_at = clock.monotonic()
        self._cleanups = ExitStack()
        self._ready = False
        self._hung_up = False
        self._manager = ServiceManager()
        self._cleanups.callback(self._manager.close)
        self._heeded: tuple[Silence, ...] = ()
        self._news = True
        self.metrics = Metrics(version=program_version(), revision=os.environ.get("SOURCE_REVISION", ""))
        logs.configure(
            clock,
            log_format=config.log.format,
            level=config.log.level,
            count=lambda level: self.metrics.log_messages.labels(level).inc(),
        )
        self.fleet = make_fleet(config)
        self._painter = Painter(self.fleet, config, "run", clock)
        self.desk = LoopDesk(self._painter.status())

    def run(self) -> None:
        """Run until :meth:`stop`; raises what cannot be lived with, with everything let go of."""
        with self._cleanups:
            pipeline = self._start()
            self._settle_collector()
            self._manager.ready()
            while not self._stop.is_set():
                pipeline.turn()
                self._beside(pipeline)
            self._ready = False
            self._manager.stopping()
            self._publish(pipeline)
            pipeline.commit()

    @property
    def stopping(self) -> bool:
        """Whether it was asked to end."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Ask the loop to end behind its turn; safe from a signal handler."""
        self._stop.set()

    def hang_up(self) -> None:
        """Have the loop read the configuration again behind its turn; safe from a signal handler."""
        self._hung_up = True

    def _start(self) -> Pipeline:
        config, clock = self._config, self._clock
        kafka = config.require_kafka()
        database = Database(Path(config.store.path))
        self._cleanups.callback(database.close)
        log = self._log = TickLog(database, config.privacy.retention.ticks)
        checkpoint = Checkpoint(database, log, config.privacy.retention.incidents)
        event_time = EventTime(config.clock.lateness, config.clock.leap)
        positions = checkpoint.load(self.fleet, event_time)
        self._rounds = self._start_rounds(database)
        web = WebServer(config.http, self.desk, self.metrics, clock)
        web.start()
        self._cleanups.callback(web.stop)
        self.port = web.port
        self._notifications = self._start_notifications()
        self._dead_letters = DeadLetters(kafka, clock)
        self._cleanups.callback(self._dead_letters.close)
        self._keeper = _StoreKeeper(database, checkpoint, log, self.metrics, clock, positions)
        owner = "" if config.cluster.enabled else checkpoint.owner(uuid.uuid4().hex)
        self._source = KafkaSource(kafka, positions, clock, topic_ids=checkpoint.topic_ids, owner=owner)
        self._keeper.topic_ids = self._source.topic_ids
        self._cleanups.callback(self._source.close)
        self.metrics.read_status(self.desk.status)
        self.metrics.expect_topics(topic.name for topic in kafka.topics if not topic.name.startswith("^"))
        self.metrics.config_last_reload_successful.set(1)
        self.metrics.config_last_reload_success.set(clock.now())
        _log.info("started", listen=f"port {web.port}", models=len(self.fleet.models), version=program_version())
        return Pipeline(
            self._source,
            make_decoders(config),
            self.fleet,
            event_time,
            Surroundings(
                clock,
                self.metrics,
                _SampledDeadLetters(self._dead_letters, clock),
                self._keeper,
                self._tell,
            ),
            Pace(live=True, idle=config.clock.idle, commit=config.store.commit, future=config.clock.future),
        )

    def _start_rounds(self, database: Database) -> Rounds:
        log = DrillLog(database)
        self._past = Past(self._log.read, GroupLog(database).read)
        rounds = Rounds(self._config.drill, self._past, log.keep, self._clock, self.metrics)
        rounds.restore(log.load())
        self._painter.drilled = rounds.drilled
        rounds.start()
        self._cleanups.callback(rounds.stop)
        return rounds

    def _start_notifications(self) -> Notifications:
        config = self._config
        sink = log_facts(logs.get_logger("monitor.notify"))
        notifications = Notifications(config.alertmanager, self._clock, config.http.external_url, sink)
        self._silences = SilenceWatch(config.alertmanager, sink)
        self._silences.start()
        self._cleanups.callback(self._silences.stop)
        self._incident_log = IncidentLog(logs.get_logger("monitor.incidents"))
        recent = self._clock.now() - RESOLVED_RESENT_SECONDS
        said = [held.incident for held in self.fleet.book.open.values()]
        said += [i for i in self.fleet.book.resolved if (i.resolved_time or 0.0) >= recent]
        notifications.restore(said)
        notifications.offer_digest(self.fleet.book.digest())
        self._incident_log.restore(said)
        notifications.start()
        self._cleanups.callback(notifications.stop)
        metrics = self.metrics
        metrics.alerts_active.read_from(lambda: {(): float(notifications.active())})
        metrics.alertmanager_notifications.read_from(
            lambda: {(name, result): n for (name, result), n in notifications.counts().items()}
        )
        metrics.alertmanager_queue.read_from(lambda: {(r.alertmanager,): r.waiting for r in notifications.reach()})
        metrics.alertmanager_last_success.read_from(
            lambda: {(r.alertmanager,): r.last_success or 0.0 for r in notifications.reach()}
        )
        return notifications

    def _tell(self, incidents: list[Incident]) -> None:
        self._news = True
        self._notifications.offer(incidents)
        self._notifications.offer_digest(self.fleet.book.digest())
        self._incident_log.offer(incidents)

    def _beside(self, pipeline: Pipeline) -> None:
        """What is done between batches: answer, publish, count what the source says, collect garbage."""
        self.desk.answer(self._painter.detail, self._drill)
        self.desk.take_orders(partial(self._carry_out, pipeline))
        if self._hung_up:
            self._hung_up = False
            self._reload(pipeline)
        now = self._clock.monotonic()
        if now - self._published_at >= PUBLISH_SECONDS:
            self._ready = self._ready or bool(self._source.positions())
            self._watch_source(pipeline)
            self._heed_silences(pipeline)
            self._rounds.turn(self.fleet)
            self._publish(pipeline)
            self._manager.turning(f"{len(self.fleet.models)} models, {len(self.fleet.book.open)} open incidents")
            self._published_at = now
        if now - self._collected_at >= _GC_SECONDS:
            gc.collect()
            self._collected_at = now

    def _carry_out(self, pipeline: Pipeline, asked: Sequence[Order]) -> list[Outcome]:
        """Do what people ask for, store it, and show it, before anybody is told that it was done."""
        outcomes = [carry_out(self.fleet, order, self._log.read) for order in asked]
        pipeline.take([incident for outcome in outcomes for incident in outcome.incidents])
        self._publish(pipeline)
        for order, outcome in zip(asked, outcomes, strict=True):
            done = outcome.found and not outcome.refused
            _log.info("order", verb=order.verb, subject=order.subject, by=order.by, done=done)
        return outcomes

    def _drill(self, model: str) -> Callable[[], dict[str, Any]] | None:
        return drill_of(self.fleet, model, self._past, self._clock.now())

    def _heed_silences(self, pipeline: Pipeline) -> None:
        """Acknowledge what an Alertmanager silences, and open again what it no longer does."""
        silences = self._silences.active()
        if silences == self._heeded and not self._news:
            return
        self._heeded, self._news = silences, False
        incidents = [held.incident for held in self.fleet.book.open.values()]
        asked = orders(silences, incidents, self._config.alertmanager.external_labels, self._clock.now())
        if asked:
            self._carry_out(pipeline, asked)

    def _reload(self, pipeline: Pipeline) -> None:
        """Take up the policies of the configuration as it is now; one with a fault changes nothing."""
        try:
            config = self._read_config()
            policies = with_outputs(config.policies)
        except ConfigError as error:
            self.metrics.config_last_reload_successful.set(0)
            _log.error("not_reloaded", error=str(error), detail="the configuration before stays in use")
            return
        changed = pipeline.reload(policies.resolve)
        self.metrics.config_last_reload_successful.set(1)
        self.metrics.config_last_reload_success.set(self._clock.now())
        _log.info("reloaded", models_changed=changed, digest=config.digest)
        if waiting := self._config.differs(config):
            _log.warning("restart_needed", tables=", ".join(waiting), detail="read at the start alone")

    def _watch_source(self, pipeline: Pipeline) -> None:
        metrics = self.metrics
        for event in self._source.drain_events():
            write = _log.info if event.change is SourceChange.FOUND else _log.warning
            write("partition", change=event.change, detail=str(event))
            if event.change is SourceChange.LOST:
                metrics.lost_records.inc(max(event.to_offset - event.from_offset, 0))
            if event.change is SourceChange.GONE:
                self._keeper.forget(event.partition)
        metrics.limits_turned_away.labels("open_incidents").inc(self.fleet.book.take_turned_away())
        letters = self._dead_letters.drain()
        metrics.dead_letters_dropped.inc(letters.capped + letters.overflow + letters.failed)
        metrics.partitions_assigned.set(len(self._source.positions()))
        metrics.consumer_lag.show({(p.topic, str(p.number)): float(n) for p, n in self._source.lag().items()})
        if np.isfinite(pipeline.event_time.watermark):
            metrics.watermark.set(pipeline.event_time.watermark)

    def _publish(self, pipeline: Pipeline) -> None:
        checks = self._checks(self._clock.now())
        self.desk.publish(self._painter.status(pipeline.event_time.watermark, ready=self._ready, checks=checks))

    def _checks(self, now: float) -> dict[str, Check]:
        checks = {"kafka": self._source.check(), "store": Check("ok", self._config.store.path, now)}
        for name, status, detail in self._notifications.check():
            checks[name] = Check(status, detail, now)
        return checks

    def _settle_collector(self) -> None:
        """What exists now stays: the collector need not look at it again, nor run in the middle of a batch."""
        gc.collect()
        gc.freeze()
        gc.disable()
        self._cleanups.callback(gc.enable)


def run(config: Config, clock: Clock, read_config: Callable[[], Config]) -> None:
    """Run the daemon until SIGTERM or SIGINT; a second signal ends it at once. SIGHUP reads the policies again.

    Raises
    ------
    ModelwatchError
        What the daemon cannot live with, logged before.
    """
    daemon = Daemon(config, clock, read_config)

    def asked(number: int, _frame: FrameType | None) -> None:
        if daemon.stopping:
            os._exit(128 + number)
        daemon.stop()

    def hung_up(_number: int, _frame: FrameType | None) -> None:
        daemon.hang_up()

    signal.signal(signal.SIGHUP, hung_up)
    signal.signal(signal.SIGTERM, asked)
    signal.signal(signal.SIGINT, asked)
    try:
        daemon.run()
    except ModelwatchError as error:
        _log.error("stopped", error=str(error))
        raise
