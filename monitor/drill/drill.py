"""A fire drill of one model: what it needs is copied where the fleet is, the rest happens wherever there is time.

Judging is pure, so a drill costs nothing but time: the sums of the model's past are changed as a fault would have
changed them, and judged in copies of its cells under the budget that the real cells have. The copies begin without
evidence: what is foretold is the time from the fault to the alarm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from monitor.drill.apart import ApartDrill, apart_drill
from monitor.drill.findings import Findings, document, findings, names_of, told
from monitor.drill.past import DAY_SECONDS, PAST_SECONDS, Past, lasted
from monitor.drill.people import GroupDrill, group_drill
from monitor.drill.series import Breathe, SeriesDrill, series_drill
from monitor.fleet import Fleet


@dataclass(slots=True)
class Drill:
    """Everything that a drill needs, copied from the fleet, so that it may run on any thread."""

    name: str
    row: int
    until: float
    series: SeriesDrill
    groups: GroupDrill
    apart: ApartDrill

    def run(self, past: Past, made: float = np.nan, breathe: Breathe = lambda: None) -> Findings:
        """Judge all faults on ``past``; ``made`` is the wall time, ``breathe`` is called every few milliseconds."""
        known = np.isfinite(self.until)
        # The newest tick, and the newest hour, may end somewhat behind the newest event.
        since, until = self.until - PAST_SECONDS, self.until + max(self.series.tick, DAY_SECONDS)
        ticks = past.ticks(self.row, since, until) if known else ()
        breathe()
        hours = past.groups(self.row, since, until) if known else ()
        seen = lasted(ticks, self.series.tick)
        of_series, of_groups = self.series.run(ticks, breathe), self.groups.run(hours, breathe)
        of_apart = self.apart.run(self.series.subjects(ticks), breathe)
        return findings(of_series, self.series.rows, of_groups, of_apart, made=made, until=self.until, lasted=seen)


def prepare(fleet: Fleet, row: int) -> Drill:
    """Copy what a drill of the model in ``row`` needs."""
    return Drill(
        name=fleet.models.items[row].name,
        row=row,
        until=float(fleet.models.rows["last_time"][row]),
        series=series_drill(fleet, row),
        groups=group_drill(fleet, row),
        apart=apart_drill(fleet, row),
    )


def drill_of(fleet: Fleet, model: str, past: Past, now: float = np.nan) -> Callable[[], dict[str, Any]] | None:
    """A drill of ``model``, ready to be run on any thread; ``None`` where there is no such model."""
    row = fleet.find_model(model)
    if row is None:
        return None
    drill, names = prepare(fleet, row), names_of(fleet, row)

    def run() -> dict[str, Any]:
        found = drill.run(past, now)
        return document(model, found, told(names, found))

    return run
