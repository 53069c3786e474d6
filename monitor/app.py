"""The daemon: put together from a configuration, started, kept turning, and stopped in the reverse order."""

from __future__ import annotations

import gc
import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from types import FrameType
from typing import Any

import msgspec
import numpy as np

from monitor.alone import Alone, Work
from monitor.catalog.outputs import with_outputs
from monitor.clock import Clock
from monitor.cluster.replica import Replica
from monitor.compose import program_version
from monitor.conditions import Conditions
from monitor.config import Config
from monitor.errors import ConfigError, ModelwatchError
from monitor.heap import give_back, hold
from monitor.incidents.incident import Incident
from monitor.incidents.order import Order, Outcome
from monitor.ingest.anchors import Anchors
from monitor.notify.log import IncidentLog, log_facts
from monitor.notify.notifier import Notifications
from monitor.notify.silences import Silence, SilenceWatch, orders
from monitor.publish import Gallery, LoopDesk
from monitor.shard import Shard, carried_out
from monitor.status import Check, History
from monitor.telemetry import logs
from monitor.telemetry.metrics import Metrics
from monitor.telemetry.systemd import ServiceManager
from monitor.web.server import WebServer

PUBLISH_SECONDS = 1.0
_GC_SECONDS = 300.0
"""Full collections happen this often and between batches; the hot path makes no cycles."""

_log = logs.get_logger("monitor.app")


class Daemon:
    """``modelwatch run``: everything it holds is named in the order it is made, and let go of in reverse."""

    def __init__(self, config: Config, clock: Clock, read_config: Callable[[], Config]) -> None:
        self._config = config
        self._read_config = read_config
        self._clock = clock
        self._stop = threading.Event()
        self._published_at = self._breathed_at = -np.inf
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
        self._conditions = Conditions(self.metrics, clock, config.limits.memory_bytes)
        self._gallery = Gallery(config, "run", clock)
        self.desk = LoopDesk(self._gallery.merged(()), self._exhibit)

    def run(self) -> None:
        """Run until :meth:`stop`; raises what cannot be lived with, with everything let go of."""
        with self._cleanups:
            self._start()
            self._settle_collector()
            hold()
            self._manager.ready()
            while not self._stop.is_set():
                self.work.turn()
                self._beside()
            self._ready = False
            self._manager.stopping()
            self._publish()
            self.work.commit()
            self._anchor(now=True)

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

    def _start(self) -> None:
        config, clock = self._config, self._clock
        kafka = config.require_kafka()
        make = Replica if config.cluster.enabled else Alone
        self.work: Work = make(config, clock, self.metrics, self)
        self._cleanups.callback(self.work.close)
        web = WebServer(config.http, self.desk, self.metrics, clock)
        web.start()
        self._cleanups.callback(web.stop)
        self.port = web.port
        self._notifications = self._start_notifications()
        self._anchors = Anchors(kafka, clock)
        self._cleanups.callback(self._anchors.close)
        self.work.start()
        self.metrics.read_status(self.desk.status)
        self.metrics.expect_topics(topic.name for topic in kafka.topics if not topic.name.startswith("^"))
        self.metrics.config_last_reload_successful.set(1)
        self.metrics.config_last_reload_success.set(clock.now())
        models = sum(len(shard.fleet.models) for shard in self.work.shards)
        _log.info("started", listen=f"port {web.port}", models=models, version=program_version())

    def _start_notifications(self) -> Notifications:
        config = self._config
        sink = log_facts(logs.get_logger("monitor.notify"))
        notifications = Notifications(
            config.alertmanager,
            self._clock,
            config.http.external_url,
            sink,
            assured=lambda: self.work.assured,
            replica=socket.gethostname() if config.cluster.enabled else "",
        )
        self._silences = SilenceWatch(config.alertmanager, sink)
        self._silences.start()
        self._cleanups.callback(self._silences.stop)
        self._incident_log = IncidentLog(logs.get_logger("monitor.incidents"))
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

    def joined(self, shard: Shard) -> None:
        """As :class:`~monitor.shard.Audience` says."""
        said = shard.said()
        self._incident_log.restore(said)
        self._notifications.restore(said)
        self._tell_digest()

    def left(self, shard: Shard) -> None:
        """As :class:`~monitor.shard.Audience` says."""
        self._notifications.forget([held.incident.id for held in shard.fleet.book.open.values()])
        self._tell_digest(without=shard)
        self._collected_at = -np.inf  # its tables are wanted back, in memory and on the disk, and not in minutes

    def told(self, incidents: list[Incident]) -> None:
        """As :class:`~monitor.shard.Audience` says."""
        self._news = True
        self._notifications.offer(incidents)
        self._tell_digest()
        self._incident_log.offer(incidents)

    def breathe(self) -> None:
        """As :class:`~monitor.shard.Audience` says. The picture stays the one before, of a whole tick."""
        self.desk.answer(self._detail, self._drill, self._group_codes, self._history)
        if self._clock.monotonic() - self._breathed_at >= PUBLISH_SECONDS:
            self._breathed_at = self._clock.monotonic()
            self.desk.publish(replace(self.desk.status(), loop_turned_at=self._clock.now()))
            self._manager.turning("judging a tick")

    def _tell_digest(self, without: Shard | None = None) -> None:
        shards = [shard for shard in self.work.shards if shard is not without]
        self._notifications.offer_digest([each for shard in shards for each in shard.fleet.book.digest()])

    def _beside(self) -> None:
        """What is done between batches: answer, publish, count what the source says, collect garbage."""
        self.desk.answer(self._detail, self._drill, self._group_codes, self._history)
        stuck = any(shard.pipeline.stuck for shard in self.work.shards)
        if not stuck:  # what changes now would be told and not be stored
            self.desk.take_orders(self._carry_out)
            if self._hung_up:
                self._hung_up = False
                self._reload()
        now = self._clock.monotonic()
        if now - self._published_at >= PUBLISH_SECONDS:
            self._ready = self.work.watch() or self._ready
            if not stuck:
                self._heed_silences()
                for shard in self.work.shards:
                    shard.beside()
            self._measure()
            self._anchor()
            self._publish()
            self._published_at = now
        if now - self._collected_at >= _GC_SECONDS:
            give_back()
            self._collected_at = now

    def _detail(self, model: str) -> dict[str, Any] | None:
        return next((found for shard in self.work.shards if (found := shard.detail(model)) is not None), None)

    def _drill(self, model: str) -> Callable[[], dict[str, Any]] | None:
        return next((found for shard in self.work.shards if (found := shard.drill(model)) is not None), None)

    def _group_codes(self, model: str) -> dict[str, Any] | None:
        return next((found for shard in self.work.shards if (found := shard.group_codes(model)) is not None), None)

    def _history(self, model: str, segment: str) -> Callable[[float, float], History] | None:
        shards = self.work.shards
        return next((found for shard in shards if (found := shard.history(model, segment)) is not None), None)

    def _exhibit(self, digest: str) -> bytes | None:
        """Called by threads of the web: what is stored is only read."""
        return next((found for shard in self.work.shards if (found := shard.exhibit(digest)) is not None), None)

    def _carry_out(self, asked: Sequence[Order]) -> list[Outcome]:
        """Do what people ask for, store it, and show it, before anybody is told that it was done."""
        outcomes = [self._with_topics(outcome) for outcome in carried_out(self.work.shards, asked)]
        self._publish()
        for order, outcome in zip(asked, outcomes, strict=True):
            done = outcome.found and not outcome.refused
            _log.info("order", verb=order.verb, subject=order.subject, by=order.by, done=done)
        return outcomes

    def _with_topics(self, outcome: Outcome) -> Outcome:
        """What was forgotten, with the topics that may hold it still."""
        if outcome.forgotten is None:
            return outcome
        kafka = self._config.require_kafka()
        topics = tuple(topic.name for topic in kafka.topics) + (
            (kafka.dead_letter_topic,) * bool(kafka.dead_letter_topic)
        )
        return msgspec.structs.replace(outcome, forgotten=msgspec.structs.replace(outcome.forgotten, topics=topics))

    def _heed_silences(self) -> None:
        """Acknowledge what an Alertmanager silences, and open again what it no longer does."""
        silences = self._silences.active()
        if silences == self._heeded and not self._news:
            return
        self._heeded, self._news = silences, False
        incidents = [held.incident for shard in self.work.shards for held in shard.fleet.book.open.values()]
        asked = orders(silences, incidents, self._config.alertmanager.external_labels, self._clock.now())
        if asked:
            self._carry_out(asked)

    def _reload(self) -> None:
        """Take up the policies of the configuration as it is now; one with a fault changes nothing."""
        try:
            config = self._read_config()
            policies = with_outputs(config.policies)
        except ConfigError as error:
            self.metrics.config_last_reload_successful.set(0)
            _log.error("not_reloaded", error=str(error), detail="the configuration before stays in use")
            return
        changed = self.work.reload(policies)
        for shard in self.work.shards:
            shard.enter_configuration(config)
        self.metrics.config_last_reload_successful.set(1)
        self.metrics.config_last_reload_success.set(self._clock.now())
        _log.info("reloaded", models_changed=changed, digest=config.digest)
        if waiting := self._config.differs(config):
            _log.warning("restart_needed", tables=", ".join(waiting), detail="read at the start alone")

    def _measure(self) -> None:
        """Bring up to date what is a sum over the shards that are here now."""
        metrics, shards = self.metrics, self.work.shards
        metrics.limits_turned_away.labels("open_incidents").inc(sum(s.fleet.book.take_turned_away() for s in shards))
        metrics.limits_turned_away.labels("dockets").inc(sum(s.fleet.take_dockets_turned_away() for s in shards))
        metrics.keys_remembered.set(sum(len(shard.fleet.duplicates) for shard in shards))
        metrics.duplicates_false_ratio.set(max((s.fleet.duplicates.false_ratio() for s in shards), default=0.0))
        metrics.store_bytes.set(sum(shard.database.n_bytes() for shard in shards))
        watermark = min((shard.event_time.watermark for shard in shards), default=-np.inf)
        if np.isfinite(watermark):
            metrics.watermark.set(watermark)
        n_open = sum(len(shard.fleet.book.open) for shard in shards)
        self._manager.turning(f"{sum(len(s.fleet.models) for s in shards)} models, {n_open} open incidents")

    def _anchor(self, *, now: bool = False) -> None:
        """Publish how far the audit trails go that cannot be lost any more."""
        for shard in self.work.shards:
            stored = shard.trail.stored
            self._anchors.publish(shard.name, stored.number, stored.digest, now=now)
        self.metrics.audit_entries.set(sum(shard.trail.stored.number for shard in self.work.shards))
        self.metrics.audit_anchors_failed.inc(self._anchors.take_failed())

    def _publish(self) -> None:
        pictures = [shard.status() for shard in self.work.shards]
        self.desk.publish(
            self._gallery.merged(
                pictures, ready=self._ready, checks=self._checks(self._clock.now()), cluster=self.work.view()
            )
        )

    def _checks(self, now: float) -> dict[str, Check]:
        checks = dict(self.work.checks())
        for name, status, detail in self._notifications.check():
            checks[name] = Check(status, detail, now)
        shards = self.work.shards
        watermark = min((shard.event_time.watermark for shard in shards), default=-np.inf)
        checks |= self._conditions.look(watermark, self._config.clock.lateness)
        for shard in shards:
            shard.fleet.discovery.shut = self._conditions.memory_is_short
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
