"""A part of the fleet with all that belongs to it alone: its store, its path, its drills, its picture.

One daemon alone holds the whole fleet as one shard. Replicas of a cluster hold several each, and shards move.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

from monitor.clock import Clock
from monitor.compose import make_fleet, program_facts, program_version
from monitor.config import Config, describe
from monitor.drill.drill import drill_of
from monitor.drill.past import Past
from monitor.history.history import history_of
from monitor.incidents.incident import Incident
from monitor.incidents.order import Order, Outcome
from monitor.orders import carry_out, together
from monitor.pipeline import Pipeline
from monitor.publish import Painter
from monitor.rounds import Rounds
from monitor.status import History, Status
from monitor.store import exhibits
from monitor.store.ageing import Ageing
from monitor.store.audit import Trail
from monitor.store.checkpoint import Checkpoint
from monitor.store.database import Database
from monitor.store.drills import DrillLog
from monitor.store.figures import FigureLog
from monitor.store.grouplog import GroupLog
from monitor.store.past import records_of
from monitor.store.ticklog import TickLog
from monitor.tally.event_time import EventTime
from monitor.telemetry.metrics import Metrics

RESOLVED_RESENT_SECONDS = 15 * 60.0
"""How long after its end an incident is told as resolved again, in case the first telling was lost."""


class Shard:
    """One fleet over one store, of which there are ``parts`` that share the budget of false alarms.

    The store is read when it is made; :attr:`pipeline` is set by whoever knows where its events come from.
    """

    pipeline: Pipeline
    name: str = ""
    """Under which its audit trail is anchored: its store's own."""

    def __init__(self, config: Config, database: Database, clock: Clock, metrics: Metrics, parts: int = 1) -> None:
        self._clock = clock
        self._metrics = metrics
        self._cleanups = ExitStack()
        self.database = database
        self._cleanups.callback(database.close)
        self.fleet = make_fleet(config, parts)
        self.event_time = EventTime(config.clock.lateness, config.clock.leap)
        kept = config.privacy.retention.ticks
        self.log, group_log = TickLog(database, kept), GroupLog(database, kept)
        figures = FigureLog(database, kept)
        self.ageing = Ageing((self.log, group_log, figures))
        self.trail = Trail(clock)
        drills = DrillLog(database)
        self.checkpoint = Checkpoint(database, self.log, config.privacy.retention.incidents, self.trail, drills)
        self.positions = self.checkpoint.load(self.fleet, self.event_time)
        """Where each partition is to be read from, as the store has it."""
        self.trail.enter("program", program_version(), program_facts())
        self.enter_configuration(config)
        self._painter = Painter(self.fleet, config, "run", clock)
        self._past = Past(self.log.read, group_log.read, figures.standings)
        self._records = records_of(database, self.log)
        settings = config.drill.model_copy(update={"cpu": config.drill.cpu / parts})
        self._rounds = Rounds(settings, self._past, drills.keep, clock, metrics)
        self._rounds.restore(drills.load())
        self._painter.drilled = self._rounds.drilled
        self._rounds.start()
        self._cleanups.callback(self._rounds.stop)

    def beside(self) -> None:
        """What is done once a second, between batches."""
        self._rounds.turn(self.fleet)

    def status(self) -> Status:
        """The picture of this part of the fleet as it is now."""
        return self._painter.status(self.event_time.watermark)

    def detail(self, model: str) -> dict[str, Any] | None:
        """The document of one of its models."""
        return self._painter.detail(model)

    def group_codes(self, model: str) -> dict[str, Any] | None:
        """What is behind the codes of the groups of one of its models."""
        return self._painter.group_codes(model)

    def drill(self, model: str) -> Callable[[], dict[str, Any]] | None:
        """A fire drill of one of its models, to be run on any thread."""
        return drill_of(self.fleet, model, self._past, self._clock.now())

    def history(self, model: str, segment: str) -> Callable[[float, float], History] | None:
        """The past of one of its models, or of one value of a segment of it, to be read on any thread."""
        return history_of(self.fleet, model, self._records, segment)

    def exhibit(self, digest: str) -> bytes | None:
        """The policy or the reference that an incident of its models names."""
        return self.fleet.exhibits.fresh.get(digest) or exhibits.find(self.database, digest)

    def enter_configuration(self, config: Config) -> None:
        """Enter into the audit trail what is judged by from here on."""
        self.trail.enter("configuration", config.digest, {"text": describe(config)})

    def order(self, order: Order) -> Outcome:
        """Do what somebody asks for; what it changed is stored and told by :meth:`Pipeline.take`."""
        return carry_out(self.fleet, order, self._past)

    def said(self) -> list[Incident]:
        """What every notifier is told at the start: what is open, and what was resolved of late."""
        recent = self._clock.now() - RESOLVED_RESENT_SECONDS
        return [
            *(held.incident for held in self.fleet.book.open.values()),
            *(i for i in self.fleet.book.resolved if (i.resolved_time or 0.0) >= recent),
        ]

    def close(self) -> None:
        """Let go of everything."""
        self._cleanups.close()


class Audience(Protocol):
    """Who hears of incidents."""

    def joined(self, shard: Shard) -> None:
        """``shard`` is judged here from now on: what is open in it goes on."""
        ...

    def left(self, shard: Shard) -> None:
        """``shard`` is judged elsewhere from now on, and told of by whoever has it."""
        ...

    def told(self, incidents: list[Incident]) -> None:
        """These changed, and are stored."""
        ...

    def breathe(self) -> None:
        """A tick closes that takes a while: look after what must not wait, and change nothing."""
        ...


def carried_out(shards: Sequence[Shard], asked: Sequence[Order]) -> list[Outcome]:
    """Have each order done by the shard that knows its subject, store what it changed, and tell it."""
    changed: dict[Shard, list[Incident]] = {}
    outcomes = []
    for order in asked:
        if order.verb == "forget":  # of a person any shard may know something
            done = [(shard, shard.order(order)) for shard in shards]
            changed |= {shard: changed.get(shard, []) for shard, outcome in done if outcome.found}
            outcomes.append(together([outcome for _, outcome in done]))
            continue
        outcome = Outcome(found=False)
        for shard in shards:
            outcome = shard.order(order)
            if outcome.found:
                changed.setdefault(shard, []).extend(outcome.incidents)
                break
        outcomes.append(outcome)
    for shard, incidents in changed.items():
        shard.pipeline.take(incidents)
    return outcomes
