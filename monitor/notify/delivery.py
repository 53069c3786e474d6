"""When one Alertmanager is told what: its thread, its batches, and its patience when it fails.

Each Alertmanager has a delivery of its own, so that a dead or slow one never delays another.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from monitor.clock import Clock
from monitor.errors import NotifyError
from monitor.notify.alertmanager import Transport
from monitor.notify.facts import Fact, Sink
from monitor.notify.outbox import Outbox, Parcel
from monitor.notify.payload import Key, document

BATCH_ALERTS = 256
ENDS_AT_FACTOR = 4
"""A firing alert ends by itself after this many resends have failed to arrive."""
UNASSURED_SECONDS = 0.2
BACKOFF_SECONDS_MIN = 1.0
BACKOFF_SECONDS_MAX = 30.0
KEYS_LOGGED_MAX = 10_000

_REFUSALS = frozenset({400, 413, 422})
"""What is wrong is the body, so that sending it again would fail again."""


class _Outcome(Enum):
    SENT = "sent"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Manner:
    """What all deliveries have in common.

    ``resend`` and ``timeout`` in seconds; ``jitter`` gives numbers uniform on [0, 1); nothing is sent while what is
    told is not ``assured`` to be this process's own.
    """

    resend: float
    timeout: float
    external_labels: Mapping[str, str]
    sink: Sink
    jitter: Callable[[], float]
    assured: Callable[[], bool] = lambda: True


@dataclass(slots=True)
class Tally:
    """Alerts by what became of them at one Alertmanager; an alert counts each time it is sent."""

    sent: int = 0
    failed: int = 0
    rejected: int = 0


class Delivery:
    """Tells one Alertmanager what the outbox holds for it.

    All methods but :meth:`start`, :meth:`wake`, :meth:`finish`, :meth:`join` and the attributes belong to its thread.

    Attributes
    ----------
    tally
        What became of the alerts.
    last_success
        When it last took a post, in seconds since the epoch; ``None`` before the first.
    failing_since
        When it stopped answering, in seconds since the epoch; ``None`` while it answers.
    error
        Why the newest post failed or was refused; empty after one that succeeded.
    """

    def __init__(
        self, name: str, reader: int, outbox: Outbox, transport: Transport, clock: Clock, manner: Manner
    ) -> None:
        self.name = name
        self.reader = reader
        self.tally = Tally()
        self.last_success: float | None = None
        self.failing_since: float | None = None
        self.error = ""
        self._outbox = outbox
        self._transport = transport
        self._clock = clock
        self._manner = manner
        self._failures = 0
        self._not_before = 0.0
        self._heartbeat_due = 0.0
        self._logged: dict[Key, None] = {}
        self._deadline: float | None = None
        self._wake = threading.Event()
        # A daemon: a reply that never comes must not hold up the exit of the process.
        self._thread = threading.Thread(target=self._run, name=f"notify {name}", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def wake(self) -> None:
        """There is news in the outbox."""
        self._wake.set()

    def finish(self, deadline: float) -> None:
        """Deliver the news that is left, until the monotonic moment ``deadline`` at the latest, then end."""
        self._deadline = deadline
        self._wake.set()

    def join(self, timeout_seconds: float) -> None:
        """Wait for the end."""
        if self._thread.ident is not None:
            self._thread.join(timeout_seconds)

    def alive(self) -> bool:
        """Whether the thread runs, or has not been started yet."""
        return self._thread.ident is None or self._thread.is_alive()

    def turn(self) -> float:
        """Send what is due, one batch at most; returns the seconds until there may be something to do."""
        now = self._clock.monotonic()
        if now < self._not_before:
            return self._not_before - now
        if not self._manner.assured():
            return UNASSURED_SECONDS
        parcels = self._outbox.take(self.reader, now, BATCH_ALERTS)
        # An empty post when there is nothing to say: whether alerts would arrive must be known before they have to.
        if parcels or now >= self._heartbeat_due:
            self._deliver(parcels)
        return max(self._next_moment() - self._clock.monotonic(), 0.0)

    def drain(self, deadline: float) -> None:
        """Deliver news, not resends, until there is none, a post fails, or ``deadline`` has come."""
        self._deadline = deadline
        while (now := self._clock.monotonic()) < deadline:
            parcels = self._outbox.take(self.reader, now, BATCH_ALERTS, only_news=True)
            if not parcels or not self._manner.assured() or not self._deliver(parcels):
                return

    def _run(self) -> None:
        try:
            while self._deadline is None:
                self._wake.wait(self.turn())
                self._wake.clear()
            self.drain(self._deadline)
        finally:
            self._transport.close()

    def _next_moment(self) -> float:
        return max(min(self._outbox.next_due(self.reader), self._heartbeat_due), self._not_before)

    def _deliver(self, parcels: Sequence[Parcel]) -> bool:
        """Send a batch, one by one where it is refused; whether the Alertmanager answered to all."""
        outcome = self._post(parcels)
        if outcome is not _Outcome.REFUSED:
            return outcome is _Outcome.SENT
        if len(parcels) == 1:
            self._reject(parcels[0])
            return True
        for parcel in parcels:
            single = self._post([parcel])
            if single is _Outcome.FAILED:
                return False
            if single is _Outcome.REFUSED:
                self._reject(parcel)
        return True

    def _post(self, parcels: Sequence[Parcel]) -> _Outcome:
        try:
            reply = self._transport.post(self._body(parcels), self._patience())
        except NotifyError as error:
            return self._failed(parcels, str(error))
        if reply.status // 100 == 2:
            now = self._clock.monotonic()
            self._outbox.delivered(self.reader, parcels, now)
            self.tally.sent += len(parcels)
            self.last_success = self._clock.now()
            self.error = ""
            self._answered(now)
            return _Outcome.SENT
        problem = f"{self.name}: HTTP {reply.status} {reply.text}"
        if reply.status in _REFUSALS:
            self.error = problem
            self._answered(self._clock.monotonic())
            return _Outcome.REFUSED
        return self._failed(parcels, problem)

    def _body(self, parcels: Sequence[Parcel]) -> bytes:
        until = self._clock.now() + ENDS_AT_FACTOR * self._manner.resend
        items = [
            document(
                parcel.alert,
                self._manner.external_labels,
                parcel.starts_at,
                until if parcel.ends_at is None else parcel.ends_at,
            )
            for parcel in parcels
        ]
        return json.dumps(items, separators=(",", ":")).encode()

    def _patience(self) -> float:
        if self._deadline is None:
            return self._manner.timeout
        return max(min(self._manner.timeout, self._deadline - self._clock.monotonic()), 0.01)

    def _answered(self, now: float) -> None:
        if self.failing_since is not None:
            away = self._clock.now() - self.failing_since
            self._manner.sink(Fact("alertmanager_recovered", self.name, f"after {away:.0f} s", 0))
        self.failing_since = None
        self._failures = 0
        self._heartbeat_due = now + self._manner.resend

    def _failed(self, parcels: Sequence[Parcel], error: str) -> _Outcome:
        self.tally.failed += len(parcels)
        self.error = error
        if self.failing_since is None:
            self.failing_since = self._clock.now()
            self._manner.sink(Fact("alertmanager_failing", self.name, error, self._outbox.news(self.reader)))
        ceiling = min(BACKOFF_SECONDS_MIN * 2.0**self._failures, BACKOFF_SECONDS_MAX)
        self._failures = min(self._failures + 1, 16)
        self._not_before = self._clock.monotonic() + ceiling * self._manner.jitter()
        return _Outcome.FAILED

    def _reject(self, parcel: Parcel) -> None:
        self.tally.rejected += 1
        self._outbox.refused(self.reader, [parcel], self._clock.monotonic())
        if parcel.key in self._logged:
            return
        if len(self._logged) >= KEYS_LOGGED_MAX:
            del self._logged[next(iter(self._logged))]
        self._logged[parcel.key] = None
        name = parcel.alert.labels.get("alertname", "")
        self._manner.sink(Fact("alert_rejected", self.name, f"{name}: {self.error}", 1))
