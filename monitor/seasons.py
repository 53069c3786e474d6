"""What each judged distribution does within a day and a longer cycle, learned from its first cycles.

A series that begins to be judged keeps a *diary* (:mod:`monitor.diaries`): its shares by hour of the day and by slot of
the cycle. When a cycle is over the diary is read (:mod:`monitor.stats.seasons`), when a second one is over it is read
again and given back. What stays of it are two numbers, and a *profile* where there is a season.

A series that is compared with the same hour of the week before keeps that week too (:mod:`monitor.weeks`): for it what
is usual at an hour is what was counted then, and not what a season says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.policies import WEEK_SECONDS
from monitor.catalog.rows import Field, Rows, aside
from monitor.catalog.series import CUTS
from monitor.diaries import CYCLES, Diaries, DiaryStore, DiaryWrites
from monitor.shapes import Shapes, ShapeStore, ShapeWrites
from monitor.stats.bounds import wilson
from monitor.stats.seasons import HOURS, SLOTS, Season, Sums, fit, wandering
from monitor.weeks import Weeks, WeekStore, WeekWrites

DAY_SECONDS = 86400.0
HOUR_SECONDS = DAY_SECONDS / HOURS
UNSEEN_DISPERSION = 4.0
"""By what factor events count for less before a day has shown how a share wanders."""
_EVENTS_MIN = 200
"""Values in a diary that are enough to be read."""
_SPREADS = 2.0
"""An automatic tolerance lets daily means go as far as this many of their standard deviations."""
_STEPS = 127.0
_BOUND_Z_ERROR = 2e-4
"""Error of both sides of a bound together: as that of a reference without a season."""
_STEEP_NATS = 1.0
"""Evidence that an hour's traffic may gather from what happens within the hour, before it is let pass."""
_SLOTS_MIN = 4
"""Slots that show how a share wanders within a cycle."""
_FIT_AT_ONCE = 2048
RECENT_EVENTS = 300.0
"""What the present is: events fade from it by a factor e with every so many that follow."""

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

UNSEEN, ONCE, LEARNED = range(3)
"""How many whole cycles of a series have been read; after the second nothing more is learned."""

LINKS = {
    "stage": Field(np.uint8, still=True),
    "diary": Field(np.int32, (), -1, still=True),
    "profile": Field(np.int32, (), -1, still=True),
    "week": Field(np.int32, (), -1, still=True),
    "dispersion": Field(np.float32, still=True),
    "spread": Field(np.float32, still=True),
}
PROFILE = {
    "series": Field(np.int32, (), -1, still=True),
    "cycle": Field(np.float64, (), WEEK_SECONDS, still=True),
    "step": Field(np.float32, still=True),
    "variance": Field(np.float32, still=True),
    "per_hour": Field(np.float32, still=True),
    "place": Field(np.int64, (), -1),
    "usual": Field(np.float32, (CUTS,), np.nan),
}


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of ``k`` series beside their values, (k,) each.

    ``model`` is the row of their model; ``clean`` marks a tick that nothing speaks against, ``daily`` series of which
    the wandering is asked anew after each day of their first cycle.
    """

    model: NDArray[np.int32]
    clean: NDArray[np.bool_]
    daily: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual of ``k`` series at a moment: ``add`` (k, 9) to the mean share, and how well that is known.

    ``variance`` (k,) is that of ``add`` in units of ``p (1 - p)``; ``slack`` (k, 9) what a share moves within the hour.
    """

    add: Array
    variance: Array
    slack: Array


class Store(DiaryStore, ShapeStore, WeekStore, Protocol):
    """Holds diaries, shapes and weeks."""


class Writes(DiaryWrites, ShapeWrites, WeekWrites, Protocol):
    """Takes what must be written together."""


class Seasons:
    """The diaries and profiles of all series. ``links`` has a row for each series, the other tables for some."""

    def __init__(self) -> None:
        self.links = Rows(aside(LINKS))
        self.diaries = Diaries()
        self.profiles = Rows(aside(PROFILE))
        self.shapes = Shapes()
        self.weeks = Weeks()
        self._free: dict[str, list[int]] = {"diary": [], "profile": [], "week": []}

    def extend(self, n_series: int) -> None:
        """Make room for series that were added since."""
        if n_series > len(self.links):
            self.links.add(n_series - len(self.links))

    def attach(self, store: Store) -> None:
        """Read diaries, shapes and weeks on from ``store``, which holds what :meth:`save` wrote."""
        self.diaries.attach(store)
        self.shapes.attach(store)
        self.weeks.attach(store)

    def save(self, writes: Writes) -> None:
        """Write what was added to diaries, shapes and weeks since; the tables are the caller's."""
        self.diaries.save(writes)
        self.shapes.save(writes)
        self.weeks.save(writes)

    def restored(self) -> None:
        """After loading: note which diaries, profiles and weeks are free."""
        for kind in self._free:
            table = self._table(kind)
            self._free[kind] = np.flatnonzero(table["series"][: len(table)] < 0).tolist()

    def begin(self, rows: Indices, cycle: Array, unseen: NDArray[np.bool_]) -> None:
        """Open the diaries of ``rows``; ``cycle`` (k,) is the length of each one's longer cycle in seconds.

        ``unseen`` (k,) marks those of which the reference is too short to tell a season from a drift: until a day of
        theirs has been seen they are taken to wander much.
        """
        self.end(rows)
        if len(rows):
            slots = self._take("diary", rows)
            self.diaries.rows["cycle"][slots] = cycle
            self.links["dispersion"][rows] = np.where(unseen, UNSEEN_DISPERSION, 0.0)

    def pair(self, rows: Indices, wanted: NDArray[np.bool_]) -> Indices:
        """Keep the weeks of those of ``rows`` that are ``wanted`` (k,), and no other's; returns who gave one back."""
        held = self.links["week"][rows] >= 0
        if (wanted & ~held).any():
            self._take("week", rows[wanted & ~held])
        ended: Indices = rows[held & ~wanted]
        self._give("week", ended)
        return ended

    def end(self, rows: Indices) -> None:
        """Forget what is known of ``rows``."""
        for kind in self._free:
            self._give(kind, rows)
        self.links.reset(rows)

    def take_over(self, other: Seasons, rows: Indices) -> None:
        """Know of row ``i`` what ``other`` knows of ``rows[i]``, its diary apart: for copies that never learn."""
        self.extend(len(rows))
        for name in ("stage", "dispersion", "spread"):
            self.links[name][: len(rows)] = other.links[name][rows]
        known = other.links["profile"][rows].astype(np.int64)
        has = np.flatnonzero(known >= 0)
        if len(has):
            slots = self._take("profile", has)
            for name in PROFILE.keys() - {"series"}:
                self.profiles[name][slots] = other.profiles[name][known[has]]
            self.shapes.write(slots, *other.shapes.read(known[has]))

    def collect(
        self,
        rows: Indices,
        s: Array,
        n: Array,
        middle: Array,
        told: Told,
    ) -> Indices:
        """Let a tick into the diaries of ``rows``, all of which have one.

        ``s`` (k, 9) of ``n`` (k,) values came about the time ``middle`` (k,). What is not clean is kept out. Returns
        those of ``rows`` whose diary was read, because a cycle was over, or a day of the first: that is done for those
        that are daily only, since what such a day takes for wandering may be the drift that is sought.
        """
        slots, diary = self.links["diary"][rows].astype(np.int64), self.diaries.rows
        hour = np.floor(middle / HOUR_SECONDS).astype(np.int64)
        fresh = np.isnan(diary["since"][slots])
        diary["since"][slots[fresh]] = hour[fresh] * HOUR_SECONDS
        diary["hour"][slots[fresh]] = hour[fresh]
        diary.touch(slots[fresh])
        turned = diary["hour"][slots] != hour
        dawned = hour // HOURS > diary["hour"][slots] // HOURS if turned.any() else turned
        self._turn(slots[turned])
        diary["hour"][slots[turned]] = hour[turned]
        diary["s"][slots] += s if told.clean.all() else s * told.clean[:, None]
        diary["n"][slots] += n * told.clean
        diary.stir(slots)
        if not turned.any():
            return rows[:0]
        cycles = np.floor((middle - diary["since"][slots]) / diary["cycle"][slots])
        due = turned & (cycles > self.links["stage"][rows])
        due &= diary["seen"][slots] >= _EVENTS_MIN
        self._read(slots[due], np.minimum(cycles[due], CYCLES).astype(np.uint8), told.model[due])
        guessed = dawned & told.daily & (self.links["stage"][rows] == UNSEEN)
        self._guess(slots[guessed])
        read: Indices = rows[due | guessed]
        return read

    def turned(self, rows: Indices, middle: Array) -> NDArray[np.bool_]:
        """Which of ``rows`` have a profile or a week, and stand at another hour, at ``middle`` (k,), than before."""
        weeks = self.links["week"][rows].astype(np.int64)
        turned = weeks >= 0
        if turned.any():
            turned[turned] = self.weeks.turn(weeks[turned], np.floor(middle[turned] / HOUR_SECONDS).astype(np.int64))
        slots = self.links["profile"][rows].astype(np.int64)
        has = slots >= 0
        place = np.floor(middle[has] / HOUR_SECONDS).astype(np.int64)
        moved = self.profiles["place"][slots[has]] != place
        self.profiles["place"][slots[has]] = place
        self.profiles.stir(slots[has][moved])
        has[has] = moved
        return has | turned

    def remember(self, rows: Indices, s: Array, n: Array, clean: NDArray[np.bool_]) -> None:
        """Count a tick, ``s`` (k, 9) of ``n`` (k,) values, into the weeks of ``rows``, all of which keep one."""
        self.weeks.add(self.links["week"][rows].astype(np.int64), s, n, clean)

    def last_week(self, rows: Indices) -> tuple[NDArray[np.bool_], Array, Array]:
        """Which of ``rows`` know what the hour that runs held a week before; ``s`` (m, 9) and ``n`` (m,) of those."""
        slots = self.links["week"][rows].astype(np.int64)
        known = slots >= 0
        known[known] = self.weeks.rows["last_n"][slots[known]] > 0
        own = slots[known]
        return known, self.weeks.rows["last_s"][own].astype(np.float64), self.weeks.rows["last_n"][own].astype(float)

    def wander(self, rows: Indices) -> NDArray[np.float32]:
        """By what factor events of ``rows`` count for less: how shares wander, or how far weeks lie apart, (k,)."""
        wander: NDArray[np.float32] = self.links["dispersion"][rows]
        paired = self.paired(rows)
        wander[paired] = self.weeks.rows["gap"][self.links["week"][rows[paired]]]
        return wander

    def paired(self, rows: Indices) -> NDArray[np.bool_]:
        """Which of ``rows`` are judged by what the hour that runs held a week before."""
        return self.last_week(rows)[0]

    def move(self, rows: Indices, by: Array) -> None:
        """The references of ``rows`` moved ``by`` (k, 9): no wandering, so what diaries hold moves with them.

        Their presents begin anew: so does what was usual of them.
        """
        slots = self.links["diary"][rows].astype(np.int64)
        self.diaries.shift(slots[slots >= 0], by[slots >= 0])
        slots = self.links["profile"][rows].astype(np.int64)
        slots = slots[slots >= 0]
        self.profiles["usual"][slots] = np.nan
        self.profiles.stir(slots)

    def seasonal(self, rows: Indices) -> NDArray[np.bool_]:
        """Which of ``rows`` are judged by what a profile says is usual."""
        has: NDArray[np.bool_] = (self.links["profile"][rows] >= 0) & ~self.paired(rows)
        return has

    def tolerance(self, rows: Indices) -> Array:
        """The movement of daily means that is normal for each of ``rows``, beyond its season; 0 before it is known."""
        own: Array = _SPREADS * self.links["spread"][rows].astype(np.float64)
        return own

    def usual(self, rows: Indices) -> Usual:
        """What is usual of ``rows``, all of which have a profile, at the place where each stands."""
        profile, slots = self.profiles, self.links["profile"][rows].astype(np.int64)
        hour, cycle = np.maximum(profile["place"][slots], 0), profile["cycle"][slots]
        step = profile["step"][slots].astype(np.float64)[:, None]
        slot = np.floor((hour + 0.5) * HOUR_SECONDS % cycle / cycle * SLOTS).astype(np.int64)
        daily, longer = self.shapes.read(slots)
        at = np.arange(len(slots))
        now = daily[at, hour % HOURS].astype(np.float64)
        add = now + _between(longer, slot, (hour + 0.5) * HOUR_SECONDS, cycle)
        near = [np.abs(now - daily[at, (hour + side) % HOURS]) for side in (-1, 1)]
        slack = np.maximum(*near) * step / 2.0
        steep = 2.0 * profile["per_hour"][slots][:, None] * slack**2 > _STEEP_NATS
        return Usual(add * step, profile["variance"][slots].astype(np.float64), np.where(steep, slack, 0.0))

    def level(self, rows: Indices, s: Array, n: Array, usual: NDArray[np.float32], tick_n: Array) -> None:
        """Take the season out of a fading present: ``s`` (k, 9) of ``n`` (k,), changed in place where there is one.

        ``usual`` (k, 9) are the shares that are usual now, ``tick_n`` (k,) the values that the tick brought.
        """
        slots = self.links["profile"][rows].astype(np.int64)
        has = np.flatnonzero((slots >= 0) & (tick_n > 0))
        if not len(has):
            return
        slots, held = slots[has], self.profiles["usual"]
        kept = np.exp(-tick_n[has] / RECENT_EVENTS)[:, None]
        before = np.where(np.isnan(held[slots]), (n - tick_n)[has, None] * usual[has] / kept, held[slots])
        held[slots] = before * kept + tick_n[has, None] * usual[has]
        self.profiles.stir(slots)
        s[has] = np.clip(s[has] - held[slots] + n[has, None] * usual[has], 0.0, n[has, None])

    def _turn(self, slots: Indices) -> None:
        """An hour is over: what it held goes into its place of the day and of the cycle."""
        diary = self.diaries.rows
        slots = slots[diary["n"][slots] > 0]
        if not len(slots):
            return
        hour, cycle, n = diary["hour"][slots], diary["cycle"][slots], diary["n"][slots]
        time = (hour + 0.5) * HOUR_SECONDS
        which = np.clip((time - diary["since"][slots]) // cycle, 0, CYCLES - 1).astype(np.int64)
        slot = np.floor(time % cycle / cycle * SLOTS).astype(np.int64)
        share = diary["s"][slots].astype(np.float64) / n[:, None]
        self.diaries.write(slots, (hour % HOURS, HOURS + which * SLOTS + slot), share, n)
        diary["s"][slots], diary["n"][slots] = 0.0, 0.0
        diary.touch(slots)

    def _read(self, slots: Indices, cycles: NDArray[np.uint8], model: NDArray[np.int32]) -> None:
        for many in (ONCE, LEARNED):
            chosen = slots[cycles == many]
            rows = self.diaries.rows["series"][chosen].astype(np.int64)
            for start in range(0, len(chosen), _FIT_AT_ONCE):
                self._conclude(chosen[start : start + _FIT_AT_ONCE], many)
            # One in fifty series that wander has a calm cycle by chance; its neighbours tell that it was chance.
            for name in ("dispersion", "spread"):
                self.links[name][rows] = at_least_usual(self.links[name][rows], model[cycles == many])

    def _guess(self, slots: Indices) -> None:
        """Another day was seen of a cycle that is not over: how far the shares have wandered so far."""
        for start in range(0, len(slots), _FIT_AT_ONCE):
            chosen = slots[start : start + _FIT_AT_ONCE]
            share, weight = self.diaries.read(chosen)
            share, weight = share[:, HOURS : HOURS + SLOTS], weight[:, HOURS : HOURS + SLOTS]
            enough = (weight > 0).sum(axis=1) >= _SLOTS_MIN
            rows = self.diaries.rows["series"][chosen[enough]].astype(np.int64)
            if len(rows):
                self.links["dispersion"][rows] = wandering(share[enough, None], weight[enough, None])
                self.links.touch(rows)

    def _conclude(self, slots: Indices, cycles: int) -> None:
        diary, links = self.diaries.rows, self.links
        rows = diary["series"][slots].astype(np.int64)
        share, weight = self.diaries.read(slots)
        stop = HOURS + cycles * SLOTS
        sums = Sums(
            share[:, :HOURS],
            weight[:, :HOURS],
            share[:, HOURS:stop].reshape(len(slots), cycles, SLOTS, CUTS),
            weight[:, HOURS:stop].reshape(len(slots), cycles, SLOTS),
            diary["cycle"][slots] == WEEK_SECONDS,
        )
        season = fit(sums)
        links["dispersion"][rows], links["spread"][rows] = season.dispersion, season.spread
        links["stage"][rows] = cycles
        self._give("profile", rows)
        found = season.terms > 0
        self._keep(rows[found], season, found, weight[:, :HOURS].sum(axis=1), diary["cycle"][slots] * cycles)
        if cycles == LEARNED:
            self._give("diary", rows)
        links.touch(rows)

    def _keep(self, rows: Indices, season: Season, found: NDArray[np.bool_], events: Array, seconds: Array) -> None:
        """Write down the seasons of ``rows``, in 8 bits."""
        if not len(rows):
            return
        cycle = self.diaries.rows["cycle"][self.links["diary"][rows]]
        slots, profile = self._take("profile", rows), self.profiles
        daily, longer = season.daily[found], season.longer[found]
        most = np.maximum(np.abs(daily).max(axis=(1, 2)), np.abs(longer).max(axis=(1, 2)))
        step = np.maximum(most / _STEPS, 1e-9)[:, None, None]
        profile["cycle"][slots] = cycle
        self.shapes.write(slots, np.round(daily / step).astype(np.int8), np.round(longer / step).astype(np.int8))
        profile["step"][slots] = step[:, 0, 0]
        profile["variance"][slots] = season.dispersion[found] * season.terms[found] / events[found]
        profile["per_hour"][slots] = events[found] / seconds[found] * HOUR_SECONDS
        profile.touch(slots)

    def _table(self, kind: str) -> Rows:
        return {"diary": self.diaries.rows, "profile": self.profiles, "week": self.weeks.rows}[kind]

    def _take(self, kind: str, rows: Indices) -> Indices:
        """A free row of the table for each of ``rows``, the lowest first."""
        table, free = self._table(kind), self._free[kind]
        free.sort(reverse=True)
        taken = [free.pop() for _ in range(min(len(free), len(rows)))]
        more = len(rows) - len(taken)
        if more:
            first = table.add(more)
            taken += range(first, first + more)
        slots = np.array(taken, np.int64)
        table["series"][slots] = rows
        table.touch(slots)
        self.links[kind][rows] = slots
        self.links.touch(rows)
        return slots

    def _give(self, kind: str, rows: Indices) -> None:
        slots = self.links[kind][rows].astype(np.int64)
        held = slots >= 0
        if held.any():
            if kind == "diary":
                self.diaries.erase(slots[held])
            elif kind == "week":
                self.weeks.erase(slots[held])
            else:
                self.profiles.reset(slots[held])
            self._free[kind] += slots[held].tolist()
            self.links[kind][rows] = -1
            self.links.touch(rows)


def _between(longer: NDArray[np.int8], slot: Indices, time: Array, cycle: Array) -> Array:
    """What the longer cycle adds: its slot in a week; where slots are many days, what lies between two of them."""
    at = np.arange(len(longer))
    own = longer[at, slot].astype(np.float64)
    place = time % cycle / cycle * SLOTS - slot - 0.5
    other = longer[at, (slot + np.where(place < 0, -1, 1)) % SLOTS].astype(np.float64)
    between = np.where(cycle > WEEK_SECONDS, np.abs(place), 0.0)[:, None]
    added: Array = own * (1.0 - between) + other * between
    return added


def at_least_usual(value: NDArray[np.float32], model: NDArray[np.int32]) -> NDArray[np.float32]:
    """Each ``value`` (k,), and at least the lower median of those of its ``model`` (k,)."""
    order = np.lexsort((value, model))
    _, first, own, n = np.unique(model[order], return_index=True, return_inverse=True, return_counts=True)
    raised = np.empty_like(value)
    raised[order] = np.maximum(value[order], value[order][first + (n - 1) // 2][own])
    return raised


def usual_edges(share: Array, variance: Array, slack: Array) -> tuple[Array, Array]:
    """The edges of the null about shares that a season tells: Wilson's bounds at 1e-4 a side, and ``slack`` beyond.

    ``variance`` is that of each share in units of ``p (1 - p)``. Clopper and Pearson's bounds, which ask for whole
    events, are what a reference without a season gets; half an event more on each side makes these no narrower.
    """
    n = 1.0 / np.maximum(variance, 1e-12)
    low = wilson(np.maximum(share * n - 0.5, 0.0), n, _BOUND_Z_ERROR)[0]
    high = wilson(np.minimum(share * n + 0.5, n), n, _BOUND_Z_ERROR)[1]
    return np.maximum(low - slack, 0.0), np.minimum(high + slack, 1.0)
