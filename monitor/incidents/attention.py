"""Who is called, and what waits? At most so many pages a team and day; the rest is a ranked digest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from monitor.incidents.incident import Incident
from monitor.incidents.ranking import harm

DAY_SECONDS = 86400.0


class Telling(Enum):
    """What the outside should be told of an incident as it stands."""

    FIRING = "firing"
    OVER = "over"
    NOTHING = "nothing"


def pages(incident: Incident) -> bool:
    """Whether an incident calls people at all: what is for information, or judged in the shadow, does not."""
    return incident.severity != "info" and incident.labels.get("mode") != "shadow"


def waits(incident: Incident) -> bool:
    """Whether an incident stands in the digest: it would call people, and has not yet."""
    open_ = incident.state == "firing" and incident.acknowledged is None
    return open_ and pages(incident) and incident.paged_time is None


def telling(incident: Incident) -> Telling:
    """Whether its alert fires, is over, or was never there.

    What waits for a page is not told as an alert of its own: a label cannot change later. What a person acknowledged
    is taken back; what an Alertmanager silenced goes on firing there, so that its own pages show it.
    """
    if pages(incident) and incident.paged_time is None:
        return Telling.NOTHING
    known = incident.acknowledged
    if incident.state != "firing" or (known is not None and not known.silence):
        return Telling.OVER
    return Telling.FIRING


@dataclass(slots=True)
class Attention:
    """How often each team was called within a day; event time, so that a replay calls as the daemon would have.

    ``per_day`` is the most pages of a team within any 24 hours; ``gather`` is for how long, seconds, an incident waits
    for others that begin to show the same. ``called`` holds the times of pages by team (empty where nobody was named).
    """

    per_day: int = 10
    gather: float = 300.0
    called: dict[str, list[float]] = field(default_factory=dict)

    def call(self, waiting: Iterable[Incident], now: float) -> list[Incident]:
        """Which of ``waiting`` call their teams at ``now``: watch lists always, the others by harm while there is room.

        Incidents of one harm go in the order of their ids. ``now`` in seconds since the epoch.
        """
        for team in list(self.called):
            self.called[team] = [time for time in self.called[team] if time > now - DAY_SECONDS]
            if not self.called[team]:
                del self.called[team]
        chosen = []
        for incident in ranked(waiting):
            times = self.called.setdefault(incident.labels.get("team", ""), [])
            if incident.watched or len(times) < self.per_day:
                times.append(now)
                chosen.append(incident)
        return chosen

    def has_room(self, team: str, now: float) -> bool:
        """Whether ``team`` may be called at ``now``."""
        return sum(time > now - DAY_SECONDS for time in self.called.get(team, ())) < self.per_day


def ranked(incidents: Iterable[Incident]) -> list[Incident]:
    """The most harmful first."""
    return sorted(incidents, key=lambda incident: (not incident.watched, -harm(incident), incident.id))
