"""What becomes of a closed tick besides evidence? It is learned from, and models move on in life."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from monitor.catalog import references
from monitor.catalog.models import Phase
from monitor.catalog.series import JUDGED, KNOWN, LEARNING, STRANGER
from monitor.incidents.incident import Incident
from monitor.kernels.tally import PRESENT
from monitor.lives import Lives
from monitor.tally.closed import TickSums
from monitor.tally.pieces import pieces

JUDGED_EVENTS_MIN = 1000
"""Events from which drift and quality are judged (contract, section 4)."""
JUDGED_SECONDS_MIN = 86400.0
"""Event time from which they are."""

Indices = NDArray[np.int64]


class Learning:
    """Lets what was judged into the references that are still made, and says when they are enough, and complete."""

    def __init__(self, lives: Lives) -> None:
        self._lives = lives
        self._models = lives.models
        self._series = lives.series
        self._judge = lives.judge

    def learn(self, sums: TickSums, moments: NDArray[np.float64], breathe: Callable[[], None] = lambda: None) -> None:
        """Let the tick into the references that are still made: at once before judging, else when it is no suspect.

        That is done for some whole models at a time; between them the loop may ``breathe``.
        """
        for part in pieces(self._series.rows["model"][sums.rows]):
            self._learn(TickSums(sums.rows[part], sums.counts[part], sums.end, sums.seconds[part]), moments[part])
            breathe()

    def _learn(self, sums: TickSums, moments: NDArray[np.float64]) -> None:
        rows = self._series.rows
        own = rows["judging"][sums.rows] == LEARNING
        learning = sums.rows[own]
        if len(learning):
            references.grow(self._series, learning, sums.counts[own])
            references.compare_with_earlier(self._series, learning, moments[own, 2], moments[own, 3])
            rows["seen_low"][learning] = np.minimum(rows["seen_low"][learning], moments[own, 2])
            rows["seen_high"][learning] = np.maximum(rows["seen_high"][learning], moments[own, 3])
        judged, strange = rows["judging"][sums.rows] == JUDGED, rows["appeared"][sums.rows] == STRANGER
        clear = judged & ~self._judge.suspicious(sums.rows)
        fires = self._judge.firing(sums.rows)
        grows = clear & (self._models.rows["phase"][rows["model"][sums.rows]] == Phase.GROWING)
        growing = sums.rows[grows]
        references.grow(self._series, growing, sums.counts[grows] + self._series.since_suspicion(growing))
        self._judge.renull(growing)
        self._lives.versions.keep(sums.rows, sums.counts, clear, sums.end)
        self._series.release(sums.rows[clear | fires])
        held = (judged | strange) & ~clear & ~fires
        self._series.suspect(sums.rows[held], sums.counts[held])
        rows.stir(sums.rows)

    def advance(self, models: Indices, events: Indices, end: float) -> list[Incident]:
        """Take models on in life: from learning to being judged, and to a reference that no longer changes.

        ``events`` (k,) came to ``models`` (k,) in the tick that ended at ``end``. Returns the incidents that this
        resolved.
        """
        resolved: list[Incident] = []
        rows = self._models.rows
        phase = rows["phase"][models]
        rows["learned"][models] += np.where(phase == Phase.FROZEN, 0, events)
        learned, age = rows["learned"][models], end - rows["learn_since"][models]
        ready = (learned >= JUDGED_EVENTS_MIN) & (age >= JUDGED_SECONDS_MIN)
        for model in models[ready & (phase == Phase.LEARNING)].tolist():
            rows["phase"][model] = Phase.GROWING
            self._models.refer(model, end, "judged from here on", "")
        judged = models[rows["phase"][models] != Phase.LEARNING]
        if len(judged):
            resolved = self._begin_series(judged, end)
        grown = (learned >= rows["learn_events"][models]) & (age >= rows["learn_for"][models])
        for model in models[grown & (rows["phase"][models] == Phase.GROWING)].tolist():
            rows["phase"][model] = Phase.FROZEN
            self._models.refer(model, end, "reference complete", "")
        rows.touch(models)
        return resolved

    def succeed(self, models: Indices, end: float) -> list[Incident]:
        """Let versions that began in this tick be judged by what those before them showed; what that resolved."""
        resolved: list[Incident] = []
        rows = self._models.rows
        for model in self._lives.versions.due(models, end):
            if rows["phase"][model] == Phase.LEARNING and rows["learned"][model] >= JUDGED_EVENTS_MIN:
                rows["phase"][model] = Phase.FROZEN
                resolved += self._begin_series(np.array([model]), end)
            self._lives.versions.succeed(model, self._lives.series_rows(model), end)
        return resolved

    def _begin_series(self, models: Indices, end: float) -> list[Incident]:
        """Begin to judge the series of ``models`` that have a reference by now, and those that appeared late."""
        series = np.concatenate([self._lives.series_rows(model) for model in models.tolist()])
        rows = self._series.rows
        waiting = series[rows["judging"][series] == LEARNING]
        if not len(waiting):
            return []
        late = rows["appeared"][waiting] != KNOWN
        old = (rows["reference"][waiting, PRESENT] >= JUDGED_EVENTS_MIN) & (
            end - rows["first_time"][waiting] >= JUDGED_SECONDS_MIN
        )
        met = rows["reference"][waiting, PRESENT] >= references.VALUES_MIN
        references.begin_judging(self._series, waiting[np.where(late, old, met)])
        strangers = waiting[(rows["appeared"][waiting] == STRANGER) & ~old]
        begun = waiting[rows["judging"][waiting] == JUDGED]
        self._judge.extend()
        unknown = strangers[self._judge.states["schema"]["applies"][strangers] == 0]
        resolved = self._join(begun[rows["appeared"][begun] != KNOWN], end)
        self._judge.begin(np.concatenate([begun, unknown]))
        return resolved

    def _join(self, series: Indices, end: float) -> list[Incident]:
        """A feature that appeared has now a reference of its own: its being new is no incident any more."""
        self._series.rows["appeared"][series] = KNOWN
        return self._lives.end_cells(series, end, "joined the reference")
