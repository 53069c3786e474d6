"""How often were incidents right, as far as people said? By team and detector, with what is not known beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from monitor.incidents.incident import REASONS, Incident
from monitor.stats.bounds import wilson

FALSE = "false"
VERDICTS = tuple(reason for reason in REASONS if reason != "silenced")
"""What people say of an incident when they acknowledge it. A silence in Alertmanager says nothing of the kind."""


@dataclass(frozen=True, slots=True)
class Precision:
    """Of the incidents of a ``team`` and a ``detector``, ``None`` for all of the team's: how many were ``told``.

    ``said`` counts what people said of them, by :data:`VERDICTS`.
    """

    team: str
    detector: str | None
    told: int
    said: dict[str, int]

    @property
    def false(self) -> int:
        """Of which nothing was true."""
        return self.said[FALSE]

    @property
    def confirmed(self) -> int:
        """What had really changed: its cause was mended, or it was expected, or nothing was to be done about it."""
        return sum(self.said.values()) - self.false

    @property
    def not_judged(self) -> int:
        """Of which nobody said anything."""
        return self.told - self.confirmed - self.false

    @property
    def precision(self) -> float | None:
        """The part of those judged that were confirmed; ``None`` where none was judged."""
        judged = self.confirmed + self.false
        return self.confirmed / judged if judged else None

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's, 95 %: as if those that were judged were drawn from all at random."""
        low, high = wilson(self.confirmed, self.confirmed + self.false)
        return float(low), float(high)


def precision(incidents: Iterable[Incident]) -> list[Precision]:
    """What was said of ``incidents``, by team and by team and detector, in their order.

    One that was taken into a shared cause was told as that, and counts as that.
    """
    said: dict[tuple[str, str], Counter[str]] = {}
    for incident in incidents:
        if incident.merged_into is None:
            team = incident.labels.get("team", "")
            for detector in ("", incident.detector):
                said.setdefault((team, detector), Counter())[incident.verdict] += 1
    return [
        Precision(team, detector or None, counts.total(), {verdict: counts[verdict] for verdict in VERDICTS})
        for (team, detector), counts in sorted(said.items())
    ]
