"""By what is a model's new version judged? By what the one before it answered, where nothing spoke against that.

Of models whose policy says ``reference = "previous-version"`` each judged series *holds* what its version showed: all
ticks in which no cell of it fired or was under suspicion. When another version comes, what is held becomes the
reference, which does not grow while that version is judged by it (ADR 0020).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.models import Models, Phase
from monitor.catalog.rows import Field, Rows
from monitor.catalog.series import JUDGED, Series
from monitor.judging import Judge
from monitor.kernels.tally import COLUMNS, EVENTS, PRESENT

HELD_MIN = 1000
"""Values of a version that are a reference by themselves (contract, section 4); fewer join the one there is."""
_DAY_SECONDS = 86400.0

Indices = NDArray[np.int64]

HELD = {
    "series": Field(np.int32, (), -1, still=True),
    "since": Field(np.float64, (), np.nan, still=True),
    "counts": Field(np.uint32, (COLUMNS,)),
}


class Versions:
    """What the present versions of some models showed; ``held`` has a row for each of their judged series."""

    def __init__(self, models: Models, series: Series, judge: Judge) -> None:
        self.held = Rows(HELD)
        self._models = models
        self._series = series
        self._judge = judge
        self._by_series: tuple[Indices, Indices] | None = None
        """Series that hold something, in order, and their rows in ``held``; looked up anew when there are others."""

    def came(self, model: int, time: float, before: str) -> None:
        """Another version of ``model``, or the same one trained anew, came at ``time``; it succeeds ``before``."""
        rows = self._models.rows
        if not rows["follows"][model] or not before or not np.isnan(rows["succession"][model]):
            return
        rows["succession"][model] = time
        rows.touch(model)
        self._models.items[model].awaited_version = before
        self._models.changed.add(model)

    def due(self, models: Indices, end: float) -> list[int]:
        """Which of ``models`` have a new version since before ``end``."""
        due: list[int] = models[self._models.rows["succession"][models] < end].tolist()
        return due

    def succeed(self, model: int, own: Indices, end: float) -> None:
        """Judge the new version of ``model`` by the one before, from the tick on that ends at ``end``.

        ``own`` are its series. A model that still learns is judged from here on if it has learned enough for that, by
        the caller, before.
        """
        known, rows, series = self._models.items[model], self._models.rows, self._series.rows
        before, known.awaited_version = known.awaited_version, ""
        rows["version_since"][model], rows["succession"][model] = rows["succession"][model], np.nan
        rows.touch(model)
        if rows["phase"][model] == Phase.LEARNING:
            self._models.note(model, end, "too little seen to judge a version by", before)
            return
        judged = own[series["judging"][own] == JUDGED]
        shares = self._judge.reference_shares(judged)
        self._hand_down(judged, end)
        rows["phase"][model] = Phase.FROZEN
        self._series.release(judged)
        series["recent"][judged] = 0.0
        series.touch(judged)
        self._judge.seasons.move(judged, self._judge.reference_shares(judged) - shares)
        self._judge.anew(judged)
        known.reference_version = before
        self._models.refer(model, end, "reference from the version", before)

    def keep(self, rows: Indices, counts: NDArray[np.uint32], clear: NDArray[np.bool_], end: float) -> None:
        """Hold what those of ``rows`` (k,) that are ``clear`` of suspicion showed since they were last.

        ``counts`` (k, 40) are those of the tick; what was held under suspicion is still there.
        """
        series, models = self._series.rows, self._models.rows
        model = series["model"][rows]
        own = clear & (models["follows"][model] > 0) & (models["phase"][model] == Phase.FROZEN)
        rows, counts = rows[own], counts[own]
        if not len(rows):
            return
        slots, held = self._slots(rows, end), self.held
        held["counts"][slots] += counts + self._series.since_suspicion(rows)
        held.stir(slots)
        self._fade(slots, series["model"][rows], end)

    def let_go(self, rows: Indices) -> None:
        """Forget what ``rows`` hold."""
        _, slots = self._held_by(rows)
        if len(slots):
            self.held.reset(slots)
            self._by_series = None

    def restored(self) -> None:
        """After loading."""
        self._by_series = None

    def _hand_down(self, rows: Indices, end: float) -> None:
        """What ``rows`` hold becomes their reference, or joins it where that is too little or of too short a time."""
        has, slots = self._held_by(rows)
        rows, held, series = rows[has], self.held, self._series.rows
        counts = held["counts"][slots]
        enough = (counts[:, PRESENT] >= HELD_MIN) & (end - held["since"][slots] >= _DAY_SECONDS)
        series["reference"][rows[enough]] = counts[enough]
        series["reference"][rows[~enough]] += counts[~enough]
        series.touch(rows)
        self.let_go(rows)

    def _fade(self, slots: Indices, model: NDArray[np.int32], end: float) -> None:
        """What is held is recent: at twice as much as is learned, in events and in time, it is halved."""
        held, models = self.held, self._models.rows
        age = end - held["since"][slots]
        long = (held["counts"][slots, EVENTS] >= 2 * models["learn_events"][model]) & (
            age >= 2 * models["learn_for"][model]
        )
        old = slots[long]
        held["counts"][old] //= 2
        held["since"][old] = end - age[long] / 2.0
        held.touch(old)

    def _slots(self, rows: Indices, end: float) -> Indices:
        """Where ``rows`` hold what they show; those that hold nothing yet get a place."""
        has, _ = self._held_by(rows)
        new = rows[~has]
        if len(new):
            free = np.flatnonzero(self.held["series"][: len(self.held)] < 0)[: len(new)]
            more = len(new) - len(free)
            if more:
                first = self.held.add(more)
                free = np.concatenate([free, np.arange(first, first + more)])
            self.held["series"][free], self.held["since"][free] = new, end
            self.held.touch(free)
            self._by_series = None
        return self._held_by(rows)[1]

    def _held_by(self, rows: Indices) -> tuple[NDArray[np.bool_], Indices]:
        """Which of ``rows`` hold something, and where those that do."""
        if self._by_series is None:
            series = self.held["series"][: len(self.held)].astype(np.int64)
            order = np.argsort(series, kind="stable")
            order = order[series[order] >= 0]
            self._by_series = series[order], order
        known, slots = self._by_series
        at = np.searchsorted(known, rows)
        has = np.zeros(len(rows), bool)
        inside = at < len(known)
        has[inside] = known[at[inside]] == rows[inside]
        return has, slots[at[has]]
