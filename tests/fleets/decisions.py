"""People who are decided on, and what comes of them: fleets that are told both, hour by hour."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from fleets.build import DAY, HOUR, START, decoded, event, new_fleet

from monitor.fleet import Fleet
from monitor.incidents.incident import Incident

POLICY: dict[str, Any] = {
    "tick": "1h",
    "outcome_horizon": "1d",
    "favourable": ("yes",),
    "favourable_outcomes": ("repaid",),
    "include_group_values": True,
}


class Town:
    """A fleet of one model, told of ``per_hour`` people an hour, half of them of each group; time goes on by hours."""

    def __init__(self, per_hour: int = 40, seed: int = 5, per_week: float = 5.0, **policy: Any) -> None:
        self.fleet: Fleet = new_fleet(POLICY | policy, per_week=per_week)
        self.rng = np.random.default_rng(seed)
        self.per_hour, self.hour, self.reached = per_hour, 0, -np.inf
        self.incidents: dict[str, Incident] = {}
        self._later: dict[int, list[bytes]] = {}

    def live(self, hours: int, person: Callable[[np.random.Generator, str], dict[str, Any]]) -> None:
        """Let ``hours`` pass; ``person`` says of one of a group (A, B) ``event``, ``outcome`` and hours of ``delay``.

        ``outcome`` may be ``None``; ``sensitive_after`` (hours) has the attribute come in a record of its own.
        """
        for _ in range(hours):
            told = []
            for i in range(self.per_hour):
                group, time = "AB"[i % 2], START + HOUR * (self.hour + (i + 0.5) / self.per_hour)
                who, name = person(self.rng, group), f"p{self.hour}-{i}"
                sensitive = {"sensitive": {"race": group}}
                own = who.get("sensitive_after")
                told.append(event(time, id=name, **who["event"], **({} if own else sensitive)))
                if own:
                    self._at(own, event(time + own * HOUR, id=name, **sensitive))
                if who["outcome"] is not None:
                    delay = who.get("delay", 1)
                    self._at(int(delay), event(time + delay * HOUR, id=name, outcome=who["outcome"]))
            self.tell([*told, *self._later.pop(self.hour, [])])
            self.hour += 1
            self.until(START + HOUR * self.hour)

    def end(self) -> None:
        """Let time run on until all has matured."""
        for hour in sorted(self._later):
            self.tell(self._later[hour])
        self.until(START + HOUR * (self.hour + 1) + 4 * DAY)

    def tell(self, events: list[bytes]) -> None:
        batch = decoded(events)
        if not len(batch):
            return
        ends, passed = self.fleet.tick_ends(batch), np.full(len(batch), self.reached)
        self.fleet.absorb(batch, ends <= passed)
        self.fleet.join(batch, self.fleet.case_dues(batch, ends), passed)

    def until(self, time: float) -> None:
        self.reached = time
        for incident in self.fleet.close(time).incidents:
            self.incidents[incident.id] = incident

    def named(self, alertname: str) -> list[Incident]:
        """The incidents of one name, in the order of their firing."""
        return sorted((i for i in self.incidents.values() if i.alertname == alertname), key=lambda i: i.fired_time)

    def _at(self, hours: int, told: bytes) -> None:
        self._later.setdefault(self.hour + hours, []).append(told)


def decision(favourable: bool, **rest: Any) -> dict[str, Any]:
    """The event's prediction, with ``score`` where there is one, and other fields."""
    score = {"score": rest.pop("score")} if "score" in rest else {}
    return {"prediction": {"label": "yes" if favourable else "no", **score}, **rest}


def came(merits: bool) -> str:
    return "repaid" if merits else "default"


def detectors(incidents: Iterable[Incident]) -> set[tuple[str, str | None]]:
    """Detector and group of every cell."""
    return {(cell.detector, cell.group) for incident in incidents for cell in incident.cells}
