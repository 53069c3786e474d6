"""What a model answers, and how far it errs, by stratum of each feature: as long as nothing moved, and since it has.

Events are sampled by their ids, so that a busy fleet pays little; a quiet model has all of its events in. Nothing here
is judged: it explains what others found.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from itertools import compress, pairwise

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.models import Models
from monitor.catalog.rows import Field, Rows, aside
from monitor.catalog.series import Series
from monitor.events.columns import EventBatch
from monitor.judging import Judge
from monitor.kernels.add import add_rows
from monitor.kernels.lean import NO_PLACES, NOWHERE, SLOTS, STRATA, Asking, lean, let_in, unfold
from monitor.kernels.table import mix
from monitor.kernels.tally import Entries
from monitor.outcomes.matured import Matured
from monitor.outcomes.outcomes import Outcomes

FLEET_EVENTS = 2048
"""Events a tick from which a fleet is thinned: so many, about, are looked at."""
MODEL_EVENTS = 4
"""Events a tick that every model has looked at, however large the fleet."""
SHORT_SECONDS, LONG = 60.0, 8.0
"""Ticks that are longer have as many times more looked at, up to ``LONG``: fewer would be few a day. More might be more
in one tick than counts of 16 bits hold (:mod:`monitor.leaning.features_by_group`)."""
FOLD_EVENTS = 64.0
"""Sampled events after which a model that is under no suspicion lets them into what was before."""
MEMORY = np.float32(10_000.0)
"""Sampled events after which what was before has faded by a factor e."""
BEFORE, SINCE = range(2)
"""What was while nothing was suspicious, and what has come since then."""
MEASURES = ("answer", "loss", "cost")
"""What is summed up: answers of events, losses and costs of matured cases."""

FIELDS = {"thin": Field(np.uint8), "fresh": Field(np.float64)}
"""By model row: one event in ``2 ** thin`` is looked at; events looked at since the last fold."""
SERIES_FIELDS = {"sums": Field(np.float32, (2, STRATA, 3))}
"""By series row: before and since, by stratum, how many, their sum, and that of their squares."""

Floats = NDArray[np.float64]
Words = NDArray[np.uint64]


class Leaning:
    """Sums of all models: ``rows`` by row of the model, ``sums`` by measure and by row of the series."""

    def __init__(self, models: Models, series: Series, judge: Judge, outcomes: Outcomes) -> None:
        self.rows = Rows(FIELDS)
        self.sums = {measure: Rows(aside(SERIES_FIELDS)) for measure in MEASURES}
        self.places: Words = np.zeros((0, 2), np.uint64)
        """Where the features of the events lie that were counted last."""
        self._models, self._judge, self._outcomes = models, judge, outcomes
        self.series = series
        self._noted = np.zeros(0, bool)
        """Models whose series have new sums since they were last stored."""
        self._slots = np.full((0, SLOTS), -1, np.int32)
        self._slotted = 0
        """Series whose places are in ``_slots``."""
        outcomes.takers.append(self.take)

    def tables(self) -> Mapping[str, Rows]:
        """What must be stored, by name."""
        self._extend()
        series = np.flatnonzero(self._noted[self.series.rows["model"][: len(self.series.rows)]])
        for table in self.sums.values():
            table.touch(series[series < len(table)])
        self._noted[:] = False
        return {"leaning": self.rows, **{f"leaning.{measure}": table for measure, table in self.sums.items()}}

    def note(self, batch: EventBatch, entries: Entries, model: NDArray[np.int32]) -> Words:
        """Add up what events answered; ``model`` is by event, -1 to pass over.

        Returns where the features of each event lie, ``(n, 2)``, as its case keeps it.
        """
        self._extend()
        asked = self._outcomes.asked
        nameless = batch.id.length == 0
        key = mix(batch.model.hash, np.where(nameless, batch.time.view(np.uint64), batch.id.hash))
        asking = Asking(self._early(model, key), key, self.rows["thin"], asked.table, asked.rows["answered"])
        series = self.series
        answers, places = lean(entries, asking, series.columns(), series.codes, self.sums["answer"]["sums"])
        met = model[~np.isnan(answers)]
        if len(met):
            np.add.at(self.rows["fresh"], met, 1.0)
            self.rows.touch(met)
            self._noted[met] = True
        return places

    def take(self, cases: Matured) -> None:
        """Add up how far matured cases erred, those of them that know where their features lay."""
        first, second = cases.places.T
        cases = cases.chosen((first != NO_PLACES) | (second != NO_PLACES))
        cases = cases.chosen(~np.isnan(cases.loss))
        if not len(cases):
            return
        self._extend()
        strata = unfold(cases.places)
        case, slot = np.nonzero(strata != NOWHERE)
        rows = self._slots[cases.model[case], slot].astype(np.int64)
        case, slot, rows = (each[rows >= 0] for each in (case, slot, rows))
        at = (2 * rows + SINCE) * STRATA + strata[case, slot]
        for measure, x in (("loss", cases.loss[case]), ("cost", cases.cost[case])):
            if not np.isnan(x).all():
                add_rows(self._room(measure)["sums"], at, (1.0, x, x * x))
        self._noted[cases.model] = True

    def close(
        self,
        models: NDArray[np.int64],
        events: NDArray[np.integer],
        series_rows: Callable[[int], NDArray[np.int64]],
        told_of: Collection[str],
    ) -> None:
        """At the end of a tick of ``models`` (k,) with so many ``events``: fold those that nobody suspects.

        ``series_rows`` gives the series of a model, ``told_of`` names those that have an open incident.
        """
        self._extend()
        self._thin(models, events.astype(np.int64))
        due = models[self.rows["fresh"][models] >= FOLD_EVENTS]
        due = due[np.array([self._models.items[model].name not in told_of for model in due.tolist()], bool)]
        due = due[~self._outcomes.doubted(due)]
        if not len(due):
            return
        rows = [series_rows(model) for model in due.tolist()]
        suspicious = self._judge.suspicious(np.concatenate(rows))
        starts = np.cumsum([0, *map(len, rows)]).tolist()
        calm = [not suspicious[first:last].any() for first, last in pairwise(starts)]
        if any(calm):
            self._fold(due[calm], np.concatenate(list(compress(rows, calm))))

    def of(self, measure: str, rows: NDArray[np.int64]) -> Floats:
        """The sums of a measure of series ``rows`` (k,): (k, 2, STRATA, 3); zeros where there is nothing yet."""
        table = self.sums[measure]
        found = np.zeros((len(rows), 2, STRATA, 3))
        known = rows < len(table)
        found[known] = table["sums"][rows[known]]
        return found

    def one_in(self, model: int) -> int:
        """Of how many events one is looked at; before a tick of the model has closed, of how many of the next ones."""
        rows, new = self._models.rows, self._new()
        if new[model]:
            tick = rows["tick"][model : model + 1]
            own, of_fleet = rows["events"][model : model + 1] + 1, self._came_of(new) + 1
            return 1 << int(thinned(in_short_tick(own, tick), in_short_tick(of_fleet, tick))[0])
        return 1 << int(self.rows["thin"][model]) if model < len(self.rows) else 1

    def _fold(self, models: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        """Let what came since into what was before, of ``models`` that nobody suspects; ``rows`` are their series."""
        for table in self.sums.values():
            own = rows[rows < len(table)]
            sums = table["sums"]
            since = sums[own, SINCE]
            fade = np.exp(-since[:, :, 0].sum(axis=1) / MEMORY)
            sums[own, BEFORE] = sums[own, BEFORE] * fade[:, None, None] + since
            sums[own, SINCE] = 0.0
        self.rows["fresh"][models] = 0.0
        self.rows.touch(models)
        self._noted[models] = True

    def _early(self, model: NDArray[np.int32], key: Words) -> NDArray[np.int32]:
        """``model`` (n,) with -1 for events that are passed over before a tick of theirs said how many came.

        An event is thinned by how many came up to it in the ticks that are open: of its model, and of all models of
        which none has closed.
        """
        rows, n, new = self._models.rows, len(self._models), self._new()
        at = np.flatnonzero(new[model] & (model >= 0)) if new.any() else np.zeros(0, np.int64)
        if not len(at):
            return model
        of, events, tick = model[at], rows["events"][:n], rows["tick"][:n]
        before = events - np.bincount(of, minlength=n)
        of_fleet = self._came_of(new) - len(at)
        least = thinned(in_short_tick(before + 1, tick), in_short_tick(of_fleet + 1, tick))
        most = thinned(in_short_tick(events, tick), in_short_tick(of_fleet + len(at), tick))
        thin, grows = least[of], np.flatnonzero((least < most)[of])  # seldom: it takes twice as many events
        own, tick = before[of[grows]] + _ordinals(of[grows]), tick[of[grows]]
        thin[grows] = thinned(in_short_tick(own, tick), in_short_tick(of_fleet + 1 + grows, tick))
        looked_at = model.copy()
        looked_at[at[~let_in(key[at], thin)]] = -1
        return looked_at

    def _new(self) -> NDArray[np.bool_]:
        """By model: whether none of its ticks has closed."""
        new: NDArray[np.bool_] = np.isnan(self._models.rows["closed_until"][: len(self._models)])
        return new

    def _came_of(self, new: NDArray[np.bool_]) -> int:
        """How many events came of the whole models that are ``new``."""
        rows, n = self._models.rows, len(new)
        return int(rows["events"][:n][new & (rows["root"][:n] == np.arange(n))].sum())

    def _thin(self, models: NDArray[np.int64], events: NDArray[np.int64]) -> None:
        """Choose how many of the next events are looked at, from those of a tick that closed."""
        short = in_short_tick(events, self._models.rows["tick"][models])
        thin = thinned(short, float(short.sum()))
        changed = self.rows["thin"][models] != thin
        self.rows["thin"][models[changed]] = thin[changed]
        self.rows.touch(models[changed])

    def _room(self, measure: str) -> Rows:
        """The table of a measure, with room for every series."""
        table = self.sums[measure]
        if len(self.series.rows) > len(table):
            table.add(len(self.series.rows) - len(table))
        return table

    def _extend(self) -> None:
        self._outcomes.asked.extend()
        if len(self._models) > len(self.rows):
            self.rows.add(len(self._models) - len(self.rows))
        self._room("answer")
        if len(self._models) > len(self._slots):
            more = max(len(self._models) - len(self._slots), len(self._slots))
            self._slots = np.concatenate([self._slots, np.full((more, SLOTS), -1, np.int32)])
            self._noted = np.concatenate([self._noted, np.zeros(more, bool)])
        rows = self.series.rows
        if len(rows) > self._slotted:
            new = np.arange(self._slotted, len(rows))
            new = new[rows["local"][new] < SLOTS]
            self._slots[rows["model"][new], rows["local"][new]] = new
            self._slotted = len(rows)


def in_short_tick(events: NDArray[np.int64] | Floats | int, tick: Floats | float) -> Floats:
    """As how many ``events`` (k,) count that came in a ``tick`` of so many seconds: in a longer one it may be more."""
    short: Floats = events / np.clip(np.asarray(tick) / SHORT_SECONDS, 1.0, LONG)
    return short


def thinned(events: Floats, fleet: Floats | float) -> NDArray[np.uint8]:
    """To which power of two models with so many ``events`` (k,) are thinned in a fleet with ``fleet``.

    Both are :func:`in_short_tick`.
    """
    wanted = np.log2(np.maximum(fleet / FLEET_EVENTS, 1.0))
    most = np.log2(np.maximum(events / MODEL_EVENTS, 1.0))
    thin: NDArray[np.uint8] = np.floor(np.minimum(np.ceil(wanted), most)).astype(np.uint8)
    return thin


def _ordinals(models: NDArray[np.int32]) -> NDArray[np.int64]:
    """The how-manieth of its model each of ``models`` (k,) is, from 1."""
    order = np.argsort(models, kind="stable")
    starts = np.flatnonzero(np.diff(models[order], prepend=-1))
    ordinals = np.empty(len(models), np.int64)
    ordinals[order] = np.arange(1, len(models) + 1) - np.repeat(starts, np.diff(starts, append=len(models)))
    return ordinals
