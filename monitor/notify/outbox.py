"""What each Alertmanager must still be told: the latest state of every alert, and when it is due.

Alertmanager forgets: an alert that is not sent again ends by itself, and a restart loses them all. So the outbox keeps
the state of an alert rather than a queue of messages, and every reader (one per Alertmanager) is told again and again.
Its size is bounded by the alerts, however long an Alertmanager is away.
"""

from __future__ import annotations

import heapq
import math
import threading
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from monitor.notify.payload import Alert, Key, Links, suppressed_alert

ALERTS_MAX = 10_000
RETENTION_SECONDS = 900.0
"""How long a resolved alert is still told, so that a crash on either side does not lose the news."""
FRESH_SECONDS = 60.0
SLOTS = 12
"""Resends of all alerts are spread over this many moments of the resend interval."""

_ROLL_UP = "roll-up"


class Notice(NamedTuple):
    """The state of one incident as an alert; ``resolved_time`` is ``None`` while it fires. Seconds since the epoch."""

    incident: str
    alert: Alert
    fired_time: float
    resolved_time: float | None


class Parcel(NamedTuple):
    """One alert to be sent; ``ends_at`` is ``None`` while it fires. ``revision`` says which state this was."""

    key: Key
    revision: int
    alert: Alert
    starts_at: float
    ends_at: float | None


@dataclass(slots=True)
class _Entry:
    """The state of one alert. ``due`` (monotonic seconds) and ``told`` (a revision) have one element per reader."""

    alert: Alert
    open: set[str]
    """Incidents that keep it firing: two may have equal labels."""
    starts_at: float
    phase: float
    due: list[float]
    told: list[int]
    revision: int = 0
    ends_at: float | None = None
    expires: float = math.inf


class Outbox:
    """The alerts of the fleet, at most ``alerts_max`` firing and as many resolved ones; safe to use from any thread.

    Beyond the cap firing alerts wait, the oldest first, and one alert says how many do.

    Parameters
    ----------
    readers
        How many Alertmanagers are told.
    resend
        Seconds after which an alert is told again.
    """

    def __init__(self, readers: int, resend: float, base: Links, alerts_max: int = ALERTS_MAX) -> None:
        self._readers = readers
        self._resend = resend
        self._base = base
        self._alerts_max = alerts_max
        self._lock = threading.Lock()
        self._entries: dict[Key, _Entry] = {}
        self._resolved: dict[Key, None] = {}
        self._waiting: dict[Key, _Entry] = {}
        self._roll_up: Key | None = None
        self._firing = 0
        self._revision = 0
        self._dropped = [0] * readers

    def put(self, notices: Sequence[Notice], wall: float, now: float) -> None:
        """Take in what changed, or everything that is open: an unchanged state is not sent before it is due.

        ``wall`` in seconds since the epoch, ``now`` in monotonic seconds, as everywhere here.
        """
        with self._lock:
            for notice in notices:
                if notice.resolved_time is None:
                    self._fire(notice, wall, now)
                else:
                    self._resolve(notice, notice.resolved_time, wall, now)
            self._expire(now)
            self._promote(wall, now)
            self._tell_suppressed(wall, now)

    def forget(self, incidents: frozenset[str]) -> None:
        """Let go of what fires for ``incidents`` alone, and tell nobody."""
        with self._lock:
            for entries in (self._waiting, self._entries):
                for key, entry in list(entries.items()):
                    if entry.ends_at is not None or entry.open.isdisjoint(incidents):
                        continue
                    entry.open -= incidents
                    if not entry.open:
                        del entries[key]
                        self._firing -= entries is self._entries

    def take(self, reader: int, now: float, limit: int, *, only_news: bool = False) -> list[Parcel]:
        """At most ``limit`` alerts that are due, news first; they stay due until they are settled."""
        with self._lock:
            self._expire(now)
            due = [
                (entry.told[reader] == entry.revision, entry.due[reader], entry.revision, key)
                for key, entry in self._entries.items()
                if entry.due[reader] <= now and not (only_news and entry.told[reader] == entry.revision)
            ]
            return [self._parcel(item[3]) for item in heapq.nsmallest(limit, due)]

    def delivered(self, reader: int, parcels: Sequence[Parcel], now: float) -> None:
        """The reader knows these; a state that changed on the way stays due."""
        self._settle(reader, parcels, lambda entry: self._next_slot(entry.phase, now))

    def refused(self, reader: int, parcels: Sequence[Parcel], now: float) -> None:
        """The reader will not have these: they are tried again when they change, or after the retention time."""
        self._settle(reader, parcels, lambda _: now + RETENTION_SECONDS)

    def next_due(self, reader: int) -> float:
        """The monotonic moment at which something is due, infinite where there is nothing."""
        with self._lock:
            return min((entry.due[reader] for entry in self._entries.values()), default=math.inf)

    def news(self, reader: int) -> int:
        """How many alerts have a state that the reader has not been told."""
        with self._lock:
            return sum(entry.told[reader] != entry.revision for entry in self._entries.values())

    def dropped(self, reader: int) -> int:
        """How many alerts the cap has held back, or were forgotten before the reader was told of their end."""
        return self._dropped[reader]

    def active(self) -> int:
        """How many alerts are told as firing, the roll-up apart."""
        return self._firing

    def suppressed(self) -> int:
        """How many firing alerts wait because of the cap."""
        return len(self._waiting)

    def _fire(self, notice: Notice, wall: float, now: float) -> None:
        key = notice.alert.key
        entry = self._waiting.get(key) or self._entries.get(key)
        if entry is not None and entry.ends_at is None:
            entry.open.add(notice.incident)
            entry.alert = notice.alert
            return
        if entry is not None:
            self._forget(key)
        entry = self._new(notice, _starts_at(notice.fired_time, wall))
        if self._firing < self._alerts_max:
            self._firing += 1
            self._show(key, entry, now)
            return
        self._dropped = [count + 1 for count in self._dropped]
        if len(self._waiting) < self._alerts_max:
            self._waiting[key] = entry

    def _resolve(self, notice: Notice, resolved_time: float, wall: float, now: float) -> None:
        key = notice.alert.key
        if (waiting := self._waiting.get(key)) is not None:
            waiting.open.discard(notice.incident)
            if not waiting.open:
                del self._waiting[key]
            return
        entry = self._entries.get(key)
        if entry is None:
            self._recall(notice, resolved_time, wall, now)
            return
        entry.open.discard(notice.incident)
        if entry.open or entry.ends_at is not None:
            return
        entry.alert = notice.alert
        self._firing -= 1
        self._end(key, entry, min(resolved_time, wall), now)

    def _recall(self, notice: Notice, resolved_time: float, wall: float, now: float) -> None:
        """Tell of an end that an earlier process may not have told, unless it is long past."""
        age = max(wall - resolved_time, 0.0)
        if age >= RETENTION_SECONDS:
            return
        key = notice.alert.key
        ends_at = min(resolved_time, wall)
        entry = self._new(notice, min(notice.fired_time, ends_at))
        self._show(key, entry, now)
        self._end(key, entry, ends_at, now, age)

    def _end(self, key: Key, entry: _Entry, ends_at: float, now: float, age: float = 0.0) -> None:
        # An end before the start is refused by Alertmanager; it happens when an old alert was offered late.
        entry.ends_at = max(ends_at, entry.starts_at)
        entry.expires = now + RETENTION_SECONDS - age
        self._resolved[key] = None
        self._changed(entry, now)
        if len(self._resolved) > self._alerts_max:
            self._drop(next(iter(self._resolved)))

    def _expire(self, now: float) -> None:
        for key in [key for key in self._resolved if self._entries[key].expires <= now]:
            self._drop(key)

    def _promote(self, wall: float, now: float) -> None:
        for key in list(islice(self._waiting, max(self._alerts_max - self._firing, 0))):
            entry = self._waiting.pop(key)
            entry.starts_at = wall
            self._firing += 1
            self._show(key, entry, now)

    def _tell_suppressed(self, wall: float, now: float) -> None:
        """Keep the roll-up alert in step; it stands outside the cap that it tells of."""
        count = len(self._waiting)
        if count:
            alert = suppressed_alert(count, self._base)
            entry = self._entries.get(alert.key)
            if entry is not None and entry.ends_at is None:
                entry.alert = alert
                return
            if entry is not None:
                self._forget(alert.key)
            self._roll_up = alert.key
            self._show(alert.key, self._new(Notice(_ROLL_UP, alert, wall, None), wall), now)
        elif self._roll_up is not None:
            self._end(self._roll_up, self._entries[self._roll_up], wall, now)
            self._roll_up = None

    def _new(self, notice: Notice, starts_at: float) -> _Entry:
        # A digest rather than hash(): an alert keeps its moment across processes.
        digest = zlib.crc32(repr(sorted(notice.alert.labels.items())).encode("utf-8", "replace"))
        phase = digest % SLOTS * self._resend / SLOTS
        return _Entry(notice.alert, {notice.incident}, starts_at, phase, [], [0] * self._readers)

    def _show(self, key: Key, entry: _Entry, now: float) -> None:
        self._entries[key] = entry
        self._changed(entry, now)

    def _changed(self, entry: _Entry, now: float) -> None:
        self._revision += 1
        entry.revision = self._revision
        entry.due = [now] * self._readers

    def _forget(self, key: Key) -> _Entry:
        del self._resolved[key]
        return self._entries.pop(key)

    def _drop(self, key: Key) -> None:
        """Forget a resolved alert; for a reader that never heard of its end it is lost."""
        entry = self._forget(key)
        for reader, told in enumerate(entry.told):
            self._dropped[reader] += told != entry.revision

    def _parcel(self, key: Key) -> Parcel:
        entry = self._entries[key]
        return Parcel(key, entry.revision, entry.alert, entry.starts_at, entry.ends_at)

    def _settle(self, reader: int, parcels: Sequence[Parcel], due: Callable[[_Entry], float]) -> None:
        with self._lock:
            for parcel in parcels:
                entry = self._entries.get(parcel.key)
                if entry is not None and entry.revision == parcel.revision:
                    entry.told[reader] = entry.revision
                    entry.due[reader] = due(entry)

    def _next_slot(self, phase: float, now: float) -> float:
        """The next moment of this phase that is at least one slot away."""
        gap = (phase - now) % self._resend
        return now + gap if gap >= self._resend / SLOTS else now + gap + self._resend


def _starts_at(fired_time: float, wall: float) -> float:
    """When the alert began, for Alertmanager: it flushes at once what seems older than its ``group_wait``.

    So an old alarm that is offered only now (after an outage, or at start-up) begins now, or its group would be torn.
    """
    return min(fired_time, wall) if wall - fired_time <= FRESH_SECONDS else wall
