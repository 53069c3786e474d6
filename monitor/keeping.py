"""How is what was counted kept? In one write with its offsets, measured, and once more where the disk was full."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

import numpy as np

from monitor.catalog.aside import ROOM_BYTES
from monitor.clock import Clock
from monitor.errors import StoreFullError, StoreWaitsError
from monitor.events.raw import Partition
from monitor.fleet import Fleet
from monitor.incidents.incident import Incident
from monitor.shard import Shard
from monitor.status import Check
from monitor.store.database import Writes
from monitor.tally.closed import ClosedTicks
from monitor.tally.event_time import EventTime
from monitor.telemetry.logs import get_logger
from monitor.telemetry.metrics import Metrics

_ROLL_UP_MODELS = 8
"""Models whose history is rolled up behind one commit."""
_ROOM_SHARE = 0.1
"""Part of the store's own size that is left on the disk below which it is called short, if that is more."""

_log = get_logger("monitor.keeping")


class StoreKeeper:
    """Writes checkpoints, and measures them.

    A partition that is not read now, because no broker has answered yet, keeps the offset that the store has for it:
    only one that is gone for good is forgotten. What a full disk had no room for is kept, and written first.
    ``lasting`` says that what is in the store cannot be lost any more.
    """

    def __init__(self, shard: Shard, metrics: Metrics, clock: Clock, *, lasting: bool = True) -> None:
        self._trail = shard.trail
        self._lasting = lasting
        self._database = shard.database
        self._checkpoint = shard.checkpoint
        self._ageing = shard.ageing
        self._metrics = metrics
        self._clock = clock
        self._known = dict(shard.positions)
        self._unwritten: Writes | None = None
        self._trouble = ""
        self._in_memory = 0
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
    ) -> bool:
        """One atomic write; then the history of a few models is rolled up.

        Raises
        ------
        StoreWaitsError
            There is no room; the same call again writes the same.
        """
        began = self._clock.monotonic()
        if self._unwritten is None:
            self._known.update(positions)
            self._checkpoint.topic_ids.update(self.topic_ids)
            self._unwritten = self._checkpoint.gather(fleet, time, self._known, ticks, incidents)
        try:
            self._database.commit(self._unwritten)
        except StoreFullError as error:
            if not self._trouble:
                _log.error("store_full", error=str(error), detail="nothing is read until there is room")
            self._trouble = str(error)
            raise StoreWaitsError(self._trouble) from error
        if self._trouble:
            _log.info("store_has_room")
        self._unwritten, self._trouble = None, ""
        if self._lasting:
            self._trail.lasts()
        self._count_in_memory()
        self._metrics.store_commit.observe(self._clock.monotonic() - began)
        self._metrics.store_last_commit.set(self._clock.now())
        if len(fleet.models) and np.isfinite(time.watermark):
            self._roll_up(len(fleet.models), time.watermark)
        return True

    def _count_in_memory(self) -> None:
        aside = self._database.aside
        if aside is not None and aside.n_refused > self._in_memory:
            if not self._in_memory:
                _log.warning("nothing_lies_aside", error=aside.refused, detail="more memory is held than need be")
            self._metrics.store_tables_in_memory.inc(aside.n_refused - self._in_memory)
            self._in_memory = aside.n_refused

    def _roll_up(self, n_models: int, watermark: float) -> None:
        try:
            self._database.commit(self._ageing.turn(n_models, _ROLL_UP_MODELS, watermark))
        except StoreFullError as error:  # what was not rolled up is, when these models have their turn again
            _log.warning("not_rolled_up", error=str(error))

    def check(self) -> Check:
        """``failing`` while there is no room and nothing is read, ``degraded`` while there is little."""
        now, free = self._clock.now(), shutil.disk_usage(self._database.path).free
        self._metrics.store_free_bytes.set(free)
        if self._trouble:
            return Check("failing", f"nothing is read until there is room: {self._trouble}", now)
        if free < max(ROOM_BYTES, _ROOM_SHARE * self._database.n_bytes()):
            return Check("degraded", f"{self._database.path}: {free / 1e6:,.0f} MB are left on the disk", now)
        return Check("ok", str(self._database.path), now)
