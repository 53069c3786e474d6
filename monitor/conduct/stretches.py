"""Does a value stand still? How long a series gives one value, against the longest such stretch that it ever had.

A series that tells the time is asked instead whether it is stale: docs/detectors/stuck.md and stale.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.budget import Budget, Crowd
from monitor.catalog.models import SHARES, Models
from monitor.catalog.rows import Field, Rows, aside
from monitor.catalog.series import JUDGED, UNJUDGED, Series
from monitor.conduct.alarm import ConductAlarm, Conducted
from monitor.conduct.evidence import NATS_MAX, go_on
from monitor.events.columns import Space
from monitor.kernels.judge import FIRING, HELD, IDLE, OVER
from monitor.kernels.tally import DROPPED, INVALID, KIND_CATEGORY, NULLS, OTHER_BIN, PRESENT, TYPE

SHARE, SEVERITY = "quality", "warning"
STUCK, STALE = "stuck", "stale"
CHANGES_MIN = 30
"""Ticks in which the value was another than before, from which the longest stretch is known."""
EVENTS_MIN = 1000
"""Values from which a cell bets (contract, section 4)."""
SECONDS_MIN = 86400.0
"""Event time from which it does."""
UNSEEN_TICKS = 0.5
"""Mean length, in ticks, of stretches of which none outlasts two ticks: the longest of 50 is four times as long."""
STALE_TIMES, STALE_TIMES_EARLY = 1.5, 4.0
"""How many times the largest age may be exceeded; and before the model was seen through a whole cycle."""
STALE_RATE = 0.1
"""In what part of the ticks, whatever came before, a clock may be older than that."""
_RANGE_EVENTS = 1000.0
"""Events of which the longest run is as if each value were drawn for itself, at least."""
_LEARNED_TIMES = 4.0
"""Stretches so many times as long as the longest are not taken for usual, once they are judged."""
_EPOCH_UNITS = np.array((1.0, 1e3, 1e6, 1e9))
_LN10 = math.log(10.0)
_CONSTANT, _TIMESTAMP = UNJUDGED.index("constant"), UNJUDGED.index("timestamp")

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.int64]

FIELDS = {
    "applies": Field(np.uint8, still=True),
    "firing": Field(np.uint8, (), IDLE),
    "first": Field(np.float64, (), np.nan),
    "seen": Field(np.float64, (), np.nan),
    "value": Field(np.float64, (), np.nan),
    "run_events": Field(np.float32),
    "run_seconds": Field(np.float32),
    "longest_events": Field(np.float32, still=True),
    "longest_seconds": Field(np.float32, still=True),
    "events": Field(np.int32),
    "changes": Field(np.int32),
    "log_r": Field(np.float32, (1,), -np.inf),
    "evidence": Field(np.float32, (), -np.inf),
    "onset": Field(np.float64, (), np.nan),
    "alarmed": Field(np.float64, rare=True),
    "last_bad": Field(np.float64, rare=True),
}
"""One cell of a series, 92 bytes: ``value`` is the one that all of its last tick had, NaN where they differed.

``run_*`` measure the stretch with it, ``longest_*`` the longest of the reference; of a clock ``longest_seconds`` is the
largest age and ``run_seconds`` the present one. ``first`` and ``seen`` are ends of ticks, the first and the last with a
value. ``changes`` counts ticks with another value than before, ``events`` values until there are enough.
"""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What there is to show of one cell: how long its value stands, or how old it is, beside what is usual at most."""

    detector: str
    firing: bool
    seconds: float
    limit: float
    evidence: float


class Stretches:
    """The cells ``stuck`` and ``stale`` of all series: one each, by its row."""

    def __init__(self, models: Models, series: Series, budget: Budget, cells: dict[str, float]) -> None:
        """``cells`` counts the cells of each share in the fleet; those of stretches are added to it."""
        self.models = models
        self.series = series
        self.rows = Rows(aside(FIELDS))
        self._budget = budget
        self._weight = budget.weight(SEVERITY)
        self._cells = cells
        self._paid: list[tuple[Array, NDArray[np.int32]]] = []
        """What cells were given of a tick that is being judged, and whose they are."""

    def end(self, rows: Indices) -> list[tuple[int, str]]:
        """Forget the cells of ``rows``; returns those that may have fired."""
        self._extend()
        self._count(rows[self.rows["applies"][rows] > 0], -1)
        fired = rows[self.rows["firing"][rows] != IDLE]
        self.rows.reset(rows)
        return [(row, name) for row in fired.tolist() for name in (STUCK, STALE)]

    def known(self, row: int) -> Stretch | None:
        """What there is to show of the cell of a series; ``None`` where it is not judged."""
        state, one = self.rows, np.array([row])
        if row >= len(self.rows) or not state["applies"][row]:
            return None
        is_clock = bool(self._clocks(one)[0])
        tick = self.models.rows["tick"][self.series.rows["model"][one]]
        limit = self.limit(one, float(state["seen"][row])) if is_clock else self._longest(one, tick)[1]
        return Stretch(
            STALE if is_clock else STUCK,
            bool(state["firing"][row] == FIRING),
            float(state["run_seconds"][row]),
            float(limit[0]),
            float(state["evidence"][row]),
        )

    def restored(self) -> None:
        """Count the cells, after the tables were loaded and all others were counted."""
        self._extend()
        self._count(np.flatnonzero(self.rows["applies"][: len(self.rows)]), 1)

    def count(self, rows: Indices, counts: NDArray[np.uint32], moments: Array, end: float, seconds: Array) -> Conducted:
        """Take the tick that ended at ``end`` of series ``rows``: ``counts`` (k, 40), ``moments`` (k, 4).

        ``seconds`` (k,) is the length of the tick.
        """
        self._extend()
        n = counts[:, PRESENT].astype(np.int64)
        for absent in (NULLS, INVALID, TYPE, DROPPED):
            n -= counts[:, absent]
        asked = (n > 0) & (moments[:, 2] <= moments[:, 3]) & (self.series.rows["space"][rows] != Space.SEGMENT)
        rows, n, low, high = rows[asked], n[asked].astype(np.float64), moments[asked, 2], moments[asked, 3]
        seconds = seconds[asked]
        if not len(rows):
            return Conducted()
        is_clock = self._clocks(rows)
        nats = self._stuck(rows, n, np.where(low == high, low, np.nan), end, seconds, is_clock)
        clocks = np.flatnonzero(is_clock)
        if len(clocks):
            nats[clocks] = self._stale(rows[clocks], high[clocks], end)
        state = self.rows
        state["events"][rows] = np.minimum(state["events"][rows] + n, EVENTS_MIN)
        fresh = rows[np.isnan(state["first"][rows])]
        state["first"][fresh] = end
        state["seen"][rows] = end
        state.stir(rows)
        return self._bet(rows, nats, end, seconds)

    def settle(self) -> None:
        """Write down what the cells of a tick were given: in one sum, which does not depend on how it was cut."""
        if self._paid:
            allowance, model = (np.concatenate(each) for each in zip(*self._paid, strict=True))
            crowd = Crowd.of(SHARE, self._cells[SHARE], self.models)
            self._budget.spend(SHARE, SEVERITY, allowance, crowd, model)
        self._paid.clear()

    def _stuck(self, rows: Indices, n: Array, value: Array, end: float, seconds: Array, is_clock: Flags) -> Array:
        """Follow the stretches of ``rows`` and learn from them; returns the log e-values of the tick, ``(k,)``."""
        state = self.rows
        same = value == state["value"][rows]
        waited = np.where(np.isnan(state["seen"][rows]), seconds, end - state["seen"][rows])
        self._learn(rows[~same & ~is_clock], end)
        run = np.where(same, state["run_events"][rows] + n, np.where(np.isnan(value), 0.0, n))
        lasted = np.where(same, state["run_seconds"][rows] + waited, 0.0)
        state["value"][rows], state["run_events"][rows] = value, run
        state["run_seconds"][rows] = np.where(is_clock, state["run_seconds"][rows], lasted)
        state["changes"][rows] += ~same
        longest_events, longest_seconds = self._longest(rows, seconds)
        nats = np.minimum(n / longest_events, waited / longest_seconds)
        return np.where(same, np.minimum(nats, NATS_MAX), -np.inf)

    def _longest(self, rows: Indices, seconds: Array) -> tuple[Array, Array]:
        """The stretches that are usual at most, in events and in seconds; shapes ``(k,)``."""
        events = np.maximum(self.rows["longest_events"][rows].astype(np.float64), 1.0)
        lasting = np.maximum(self.rows["longest_seconds"][rows].astype(np.float64), UNSEEN_TICKS * seconds)
        return events, lasting

    def _learn(self, rows: Indices, end: float) -> None:
        """The stretches of ``rows`` end, and are usual ones: while a reference is made, unless they were suspicious."""
        state = self.rows
        model = self.series.rows["model"][rows]
        young = ~(end - state["first"][rows] > np.maximum(self.models.rows["learn_for"][model], SECONDS_MIN))
        rows = rows[young | (state["applies"][rows] == 0)]
        rows = rows[(state["firing"][rows] == IDLE) & (state["run_events"][rows] > 0)]
        if not len(rows):
            return
        tick = self.models.rows["tick"][self.series.rows["model"][rows]]
        events, lasting = self._longest(rows, tick)
        times = np.minimum(state["run_events"][rows] / events, state["run_seconds"][rows] / lasting)
        rows = rows[(state["applies"][rows] == 0) | (times <= _LEARNED_TIMES)]
        for unit in ("events", "seconds"):
            longest = state[f"longest_{unit}"]
            longest[rows] = np.maximum(longest[rows], state[f"run_{unit}"][rows])
        state.touch(rows)

    def _stale(self, rows: Indices, newest: Array, end: float) -> Array:
        """The ages of clocks ``rows`` whose newest values are ``newest``; returns the log e-values of the tick."""
        state = self.rows
        times = newest[:, None] / _EPOCH_UNITS
        nearest = np.abs(times - end).argmin(axis=1)
        age = np.maximum(end - times[np.arange(len(rows)), nearest], 0.0)
        before, limit = state["run_seconds"][rows].astype(np.float64), self.limit(rows, end)
        applies = state["applies"][rows] > 0
        stale = applies & (age > limit)
        # An age that goes on growing says nothing of how old is usual: the peak that it comes down from does.
        young = end - state["first"][rows] <= self.models.rows["learn_for"][self.series.rows["model"][rows]]
        learning = ~applies | (young & (age < before) & (before <= limit) & (state["firing"][rows] == IDLE))
        own = rows[learning]
        peak = np.where(applies, before, np.maximum(before, age))[learning]
        state["longest_seconds"][own] = np.maximum(state["longest_seconds"][own], peak)
        state["run_seconds"][rows] = age
        state.touch(own)
        return np.where(stale, -math.log(STALE_RATE), -np.inf)

    def limit(self, rows: Indices, end: float) -> Array:
        """The age from which clocks ``rows`` are stale, in seconds, shape ``(k,)``."""
        model = self.series.rows["model"][rows]
        early = end - self.rows["first"][rows] < self.models.rows["cycle"][model]
        times = np.where(early, STALE_TIMES_EARLY, STALE_TIMES)
        limit: Array = times * self.rows["longest_seconds"][rows] + self.models.rows["tick"][model]
        return limit

    def begin(self, rows: Indices, end: float) -> None:
        """Begin to judge those of ``rows`` whose reference is known by now, from the next tick on."""
        state, series = self.rows, self.series.rows
        rows = rows[(state["applies"][rows] == 0) & (state["events"][rows] >= EVENTS_MIN)]
        rows = rows[(series["judging"][rows] == JUDGED) & (series["unjudged"][rows] != _CONSTANT)]
        varied = (state["changes"][rows] >= CHANGES_MIN) | self._clocks(rows)
        rows = rows[varied & (end - state["first"][rows] >= SECONDS_MIN)]
        if not len(rows):
            return
        state["applies"][rows] = 1
        not_clock = rows[~self._clocks(rows)]
        state["longest_events"][not_clock] = np.maximum(state["longest_events"][not_clock], self._by_chance(not_clock))
        state.touch(rows)
        self._count(rows, 1)

    def _by_chance(self, rows: Indices) -> Array:
        """The longest run that the commonest value would have in the reference if values did not depend on another."""
        bins = self.series.rows["reference"][rows, : OTHER_BIN + 2].astype(np.float64)
        n = np.maximum(bins.sum(axis=1), 1.0)
        bins[self.series.rows["kind"][rows] == KIND_CATEGORY, OTHER_BIN:] = 0.0
        commonest = np.clip(bins.max(axis=1) / n, 1e-3, 1.0 - 1.0 / n)
        longest: Array = np.log(np.maximum(n, _RANGE_EVENTS)) / -np.log(commonest)
        return longest

    def _bet(self, rows: Indices, nats: Array, end: float, seconds: Array) -> Conducted:
        """Let the cells that apply bet; evidence of a stretch that ended is gone with it."""
        state, policy = self.rows, self.models.rows
        own = state["applies"][rows] > 0
        rows, nats, seconds = rows[own], nats[own], seconds[own]
        out = Conducted(n_cells=len(rows))
        if not len(rows):
            return out
        model = self.series.rows["model"][rows]
        crowd = Crowd.of(SHARE, self._cells[SHARE], self.models)
        allowance = self._weight * self._budget.allowance(SHARE, crowd, model, seconds)
        self._paid.append((allowance, model))
        state["onset"][rows[np.isneginf(nats)]] = end
        flags, evidence = go_on(state, rows, nats, allowance, end, policy["hold"][model], policy["keep_firing"][model])
        for j in np.flatnonzero(flags & HELD).tolist():
            out.alarms.append(self._alarm(int(rows[j]), float(evidence[j]) / _LN10, end, float(seconds[j])))
        clocks = self._clocks(rows)
        for j in np.flatnonzero(flags & OVER).tolist():
            out.cleared.append((int(rows[j]), STALE if clocks[j] else STUCK))
        return out

    def _alarm(self, row: int, log10: float, end: float, tick: float) -> ConductAlarm:
        state, one = self.rows, np.array([row])
        is_clock = bool(self._clocks(one)[0])
        now = float(state["run_seconds"][row])
        calm = float(state["onset"][row])
        before = float(state["longest_seconds"][row])
        if is_clock:
            most, onset = float(self.limit(one, end)[0]), calm
        else:
            most, onset = float(self._longest(one, np.array([tick]))[1][0]), end - now - tick
        return ConductAlarm(
            model=int(self.series.rows["model"][row]),
            series=row,
            detector=STALE if is_clock else STUCK,
            before=before,
            now=now,
            effect=now,
            tolerance=most,
            evidence_log10=log10,
            onset_time=onset if math.isfinite(onset) else end,
            fired_time=end,
            events=float(state["run_events"][row]),
        )

    def _clocks(self, rows: Indices) -> Flags:
        """Which of ``rows`` have an age. Times in words have none, since hashes are all that is kept of texts."""
        series = self.series.rows
        clocks: Flags = (series["unjudged"][rows] == _TIMESTAMP) & (series["kind"][rows] != KIND_CATEGORY)
        return clocks

    def _extend(self) -> None:
        missing = len(self.series.rows) - len(self.rows)
        if missing > 0:
            self.rows.add(missing)

    def _count(self, rows: Indices, sign: int) -> None:
        self._cells[SHARE] += sign * self._weight * len(rows)
        place = SHARES.index(SHARE)
        np.add.at(self.models.rows["n_cells"][:, place], self.series.rows["model"][rows], sign * self._weight)
