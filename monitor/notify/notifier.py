"""What the loop hands its incidents to: one outbox, and a delivery for each Alertmanager."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from monitor.clock import Clock
from monitor.incidents.attention import Telling, ranked, telling
from monitor.incidents.incident import Incident
from monitor.notify.alertmanager import Alertmanager, Transport, endpoint
from monitor.notify.delivery import Delivery, Manner
from monitor.notify.facts import Fact, Sink, ignore
from monitor.notify.outbox import ALERTS_MAX, Notice, Outbox
from monitor.notify.payload import DIGEST, WATCHDOG, alert_of, digest_alert, links, watchdog_alert
from monitor.notify.settings import AlertmanagerSettings

RESULTS = ("sent", "failed", "dropped", "rejected")


@dataclass(frozen=True, slots=True)
class Reach:
    """How one Alertmanager does. Times in seconds since the epoch; ``waiting`` alerts it has not been told yet."""

    alertmanager: str
    waiting: int
    last_success: float | None
    failing_since: float | None
    error: str
    alive: bool


class Notifications:
    """Tells every Alertmanager of the incidents.

    ``offer`` and ``restore`` belong to the loop and never wait for the network; the readings may be taken from any
    thread. Nothing is sent before :meth:`start`.

    Parameters
    ----------
    external_url
        What links in alerts begin with; without a valid one there are none.
    sink
        Is told what goes wrong, from the threads of the deliveries.
    runbook_base
        What links to runbooks begin with, by default ``external_url`` and ``/runbooks``.
    connect
        Makes the transport to one URL.
    jitter
        Gives numbers uniform on [0, 1), for the backoff.
    assured
        Whether what is to be told is this process's to tell; asked before each post.
    replica
        A name for what each replica of a cluster says of its own part: its digests.
    """

    def __init__(  # noqa: PLR0913 -- the world around it, each part with a default
        self,
        settings: AlertmanagerSettings,
        clock: Clock,
        external_url: str = "",
        sink: Sink = ignore,
        *,
        runbook_base: str = "",
        alerts_max: int = ALERTS_MAX,
        connect: Callable[[str, AlertmanagerSettings], Transport] = Alertmanager,
        jitter: Callable[[], float] | None = None,
        assured: Callable[[], bool] = lambda: True,
        replica: str = "",
    ) -> None:
        self._replica = replica
        self._clock = clock
        self._sink = sink
        self._links = links(external_url, runbook_base)
        names = reader_names(settings.urls)
        self._outbox = Outbox(len(names), settings.resend, self._links, alerts_max)
        self._watchdog = settings.watchdog
        self._suppressed = False
        self._stopped = False
        self._digests: dict[str, float] = {}
        manner = Manner(
            settings.resend,
            settings.timeout,
            settings.external_labels,
            sink,
            jitter or random.SystemRandom().random,
            assured,
        )
        self._deliveries = [
            Delivery(name, reader, self._outbox, connect(url, settings), clock, manner)
            for reader, (name, url) in enumerate(names.items())
        ]

    def start(self) -> None:
        """Begin to deliver, one thread for each Alertmanager; the watchdog, if there is one, goes first."""
        if self._watchdog:
            wall = self._clock.now()
            self._outbox.put([Notice(WATCHDOG, watchdog_alert(self._links), wall, None)], wall, self._clock.monotonic())
        for delivery in self._deliveries:
            delivery.start()

    def offer(self, incidents: Sequence[Incident]) -> None:
        """Take in incidents that have changed; those that have not may come along and do no harm.

        What waits for a page is no alert, and what a person acknowledged is over (incidents/attention.py).
        """
        if self._stopped or not incidents or not self._deliveries:
            return
        notices = [notice for incident in incidents if (notice := self._notice(incident)) is not None]
        self._outbox.put(notices, self._clock.now(), self._clock.monotonic())
        self._tell_suppressed()
        for delivery in self._deliveries:
            delivery.wake()

    def offer_digest(self, waiting: Sequence[Incident]) -> None:
        """Say in one alert a team, for information, what waits because the team was called often enough."""
        if self._stopped or not self._deliveries:
            return
        now, by_team = self._clock.now(), dict[str, list[Incident]]()
        for incident in ranked(waiting):
            by_team.setdefault(incident.labels.get("team", ""), []).append(incident)
        notices = [
            Notice(f"{DIGEST}/{team}", digest_alert(team, of, self._links, self._replica), now, None)
            for team, of in by_team.items()
        ]
        ended = {team: since for team, since in self._digests.items() if team not in by_team}
        notices += [
            Notice(f"{DIGEST}/{team}", digest_alert(team, [], self._links, self._replica), since, now)
            for team, since in ended.items()
        ]
        self._digests = {team: self._digests.get(team, now) for team in by_team}
        if notices:
            self._outbox.put(notices, now, self._clock.monotonic())
            for delivery in self._deliveries:
                delivery.wake()

    def forget(self, identities: Collection[str]) -> None:
        """Another process tells of these incidents from now on: say nothing more of them, not even that they ended."""
        self._outbox.forget(frozenset(identities))

    def restore(self, incidents: Sequence[Incident]) -> None:
        """Take in what the store knows, at start-up: the open incidents, and those resolved of late.

        Firing ones are told at once, since an Alertmanager may have lost them; those whose end is longer ago than a
        resolved alert is told are left out.
        """
        self.offer(incidents)

    def stop(self, deadline_seconds: float = 5.0) -> int:
        """Tell what is still untold, for ``deadline_seconds`` at most, then end; returns how many stay untold.

        Active alerts are not resolved: whoever comes next goes on with them.
        """
        self._stopped = True
        deadline = self._clock.monotonic() + deadline_seconds
        for delivery in self._deliveries:
            delivery.finish(deadline)
        for delivery in self._deliveries:
            delivery.join(max(deadline - self._clock.monotonic(), 0.0))
        return sum(self._outbox.news(delivery.reader) for delivery in self._deliveries)

    def counts(self) -> dict[tuple[str, str], int]:
        """Alerts by (Alertmanager, result) since the start; every result of :data:`RESULTS` is there.

        ``sent`` and ``failed`` count an alert each time it is sent, ``rejected`` each time Alertmanager would not have
        it; ``dropped`` are those that the cap held back, or that were forgotten before their end could be told.
        """
        counts: dict[tuple[str, str], int] = {}
        for delivery in self._deliveries:
            tally = delivery.tally
            dropped = self._outbox.dropped(delivery.reader)
            values = (tally.sent, tally.failed, dropped, tally.rejected)
            counts.update({(delivery.name, result): n for result, n in zip(RESULTS, values, strict=True)})
        return counts

    def reach(self) -> list[Reach]:
        """How each Alertmanager does."""
        return [
            Reach(
                delivery.name,
                self._outbox.news(delivery.reader),
                delivery.last_success,
                delivery.failing_since,
                delivery.error,
                delivery.alive() or self._stopped,
            )
            for delivery in self._deliveries
        ]

    def active(self) -> int:
        """How many alerts are told as firing."""
        return self._outbox.active()

    def suppressed(self) -> int:
        """How many firing alerts the cap holds back now."""
        return self._outbox.suppressed()

    def check(self) -> list[tuple[str, str, str]]:
        """One check for each Alertmanager: name, ``ok``, ``degraded`` or ``failing``, and a detail for people."""
        now = self._clock.now()
        return [(f"alertmanager {reach.alertmanager}", *_judge(reach, now)) for reach in self.reach()]

    def _notice(self, incident: Incident) -> Notice | None:
        """What the outside is told of an incident; ``None`` for nothing."""
        told = telling(incident)
        if told is Telling.NOTHING or incident.state not in ("firing", "resolved"):
            return None
        over = self._over_time(incident) if told is Telling.OVER else None
        return Notice(incident.id, alert_of(incident, self._links), incident.paged_time or incident.fired_time, over)

    def _over_time(self, incident: Incident) -> float:
        if incident.state == "firing" and incident.acknowledged is not None:
            return incident.acknowledged.since
        return self._clock.now() if incident.resolved_time is None else incident.resolved_time

    def _tell_suppressed(self) -> None:
        count = self._outbox.suppressed()
        if count and not self._suppressed:
            self._sink(Fact("alerts_suppressed", "", "more alerts are firing than are sent", count))
        self._suppressed = count > 0


def reader_names(urls: Sequence[str]) -> dict[str, str]:
    """The URLs by name: ``host:port``, and the path too where two would have the same."""
    names: dict[str, str] = {}
    for url in urls:
        place = endpoint(url)
        names[place.name if place.name not in names else f"{place.name}{place.path}"] = url
    return names


def _judge(reach: Reach, now: float) -> tuple[str, str]:
    if not reach.alive:
        return "failing", "its thread has ended"
    if reach.failing_since is not None:
        return "degraded", f"for {now - reach.failing_since:.0f} s: {reach.error}; {reach.waiting} alerts wait"
    if reach.error:
        return "degraded", f"refused: {reach.error}"
    if reach.last_success is None:
        return "ok", "not reached yet"
    return "ok", f"reached {max(now - reach.last_success, 0.0):.0f} s ago"
