"""When did evidence gather against each series? The steps of a past range, judged again by copies of its cells.

What cells gathered is not kept by time. So they are copied as they are (references, nulls, how events clump, seasons),
without evidence, and the steps of the range are what they are asked about, one behind the other. What is told is what
would have been seen if judging had begun with the range, by today's reference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.series import JUDGED
from monitor.drill.series import copied
from monitor.fleet import Fleet
from monitor.judging import Judge
from monitor.kernels.tally import EVENTS
from monitor.tally.closed import TickSums

SERIES_MAX = 150
"""Series that are judged again, those furthest from their references: a page shows no more."""


@dataclass(frozen=True, slots=True)
class Again:
    """Copies of the cells of some series: row ``i`` of ``judge`` is the series at ``places[i]`` in a tick."""

    judge: Judge
    places: NDArray[np.int64]

    def ratios(self, counts: NDArray[np.int64], since: float, seconds: float) -> dict[int, list[float | None]]:
        """By place: the evidence behind each step, over what an alarm takes (logarithms); at most once.

        ``counts`` (steps, series, 40), a step of ``seconds`` each, the first from ``since`` on. From 1 on a cell fires,
        and begins anew; ``None`` where the step has nothing of the series.
        """
        found: dict[int, list[float | None]] = {int(place): [] for place in self.places}
        known = np.flatnonzero(self.places < counts.shape[1])
        rows, length = known.astype(np.int64), np.full(len(known), seconds)
        for step, sums in enumerate(counts):
            own = np.minimum(sums[self.places[known]], np.iinfo(np.uint32).max).astype(np.uint32)
            judged = self.judge.judge(TickSums(rows, own, since + (step + 1) * seconds, length))
            gathered = np.zeros(len(self.places))
            for state in self.judge.tables.values():
                np.maximum(gathered, np.nan_to_num(state["suspicion"][: len(gathered)], neginf=0.0), out=gathered)
            for alarm in judged.alarms:
                gathered[alarm.row] = max(gathered[alarm.row], 1.0)
            some = np.zeros(len(self.places), bool)
            some[known] = own[:, EVENTS] > 0
            for place, value, said in zip(self.places.tolist(), gathered.tolist(), some.tolist(), strict=True):
                found[place].append(float(f"{value:.4g}") if said else None)
        return found


def again(fleet: Fleet, row: int) -> Again:
    """Copies of the judged series of the model in ``row``."""
    own = np.array(fleet.models.items[row].series, np.int64)
    places = np.flatnonzero(fleet.series.rows["judging"][own] == JUDGED)
    furthest = np.zeros(len(places))
    for state in fleet.judge.states.values():
        ratio = state["effect"][own[places]] / np.maximum(state["tolerance"][own[places]], 1e-9)
        furthest = np.fmax(furthest, np.where(state["applies"][own[places]] > 0, ratio, 0.0))
    places = np.sort(places[np.argsort(-furthest, kind="stable")[:SERIES_MAX]])
    return Again(copied(fleet.judge, row, own[places]), places)
