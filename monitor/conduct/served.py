"""What was served hour by hour: how many different lists, and how many of their items the day before did not have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.models import Models
from monitor.catalog.rows import Field, Rows
from monitor.events.columns import EventBatch, Space
from monitor.kernels.table import mix
from monitor.stats.distinct import distinct, unseen, with_more

HOUR, DAY = 3600.0, 86400.0
LISTS, ITEMS = 32, 64
"""Hashes that are kept of the lists of an hour, and of the items of an hour or a day."""
_RING = 4
"""Hours of one model that may be open at a time: the one that runs, those before that wait, one that lies ahead."""

FIELDS = {
    "model": Field(np.int32, (), -1, still=True),
    "ranked": Field(np.uint8, still=True),
    "end": Field(np.float64, (_RING,), np.nan),
    "events": Field(np.uint32, (_RING,)),
    "lists": Field(np.uint64, (_RING, LISTS)),
    "items": Field(np.uint64, (_RING, ITEMS)),
    "day": Field(np.float64, (), np.nan, still=True),
    "today": Field(np.uint64, (ITEMS,), still=True),
    "before": Field(np.uint64, (ITEMS,), still=True),
}
"""What is kept of a model that serves lists, 4.2 kB: by hour that is open its end, events, and hashes; and of two days.

``day`` is the end of the day that ``today`` gathers; ``before`` is the last day before it on which anything was served.
"""

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Hour:
    """An hour of ``k`` models that is over; every array has shape ``(k,)``.

    ``lists`` are the different lists among ``events``; of ``asked`` items ``new`` were not served on the day before.
    ``seconds`` is the hour's length: of a model with long ticks, as long as one of them.
    """

    end: float
    models: Indices
    seconds: Array
    events: Array
    lists: Array
    asked: Array
    new: Array


class Served:
    """Sketches of what all models serve, a row for each that ever gave a ranking or tags."""

    def __init__(self, models: Models) -> None:
        self.models = models
        self.rows = Rows(FIELDS)
        self._place = np.full(64, -1, np.int64)
        self._free: list[int] = []

    def note(self, batch: EventBatch, model: NDArray[np.int32], base: NDArray[np.int32]) -> None:
        """Take in the lists of the events whose ``base`` is not -1; ``model`` (n,) are their rows.

        What is kept is the same in whatever order events come, as long as none is three hours behind another.
        """
        listed = batch.in_space(Space.RANKED, Space.TAG)
        if not listed.any():
            return
        whole = (base >= 0) & (self.models.rows["root"][model] == model)
        entries = np.flatnonzero(listed & whole[batch.event])
        if not len(entries):
            return
        event, first = np.unique(batch.event[entries], return_index=True)
        items = mix(np.full(len(entries), int(Space.RANKED), np.uint64), batch.name.hash[entries])
        ranked = batch.space[entries] == Space.RANKED
        # The order of tags says nothing; items at other places are another list.
        number = np.where(ranked, batch.number[entries] + 1.0, 0.0).astype(np.uint64)
        lists = mix(np.ones(len(event), np.uint64), np.add.reduceat(mix(number, items), first))
        slots = self._slots(model[event].astype(np.int64))
        self.rows["ranked"][slots[np.logical_or.reduceat(ranked, first)]] = 1
        seconds = self._seconds(slots)
        ends = (np.floor(batch.time[event] / seconds) + 1.0) * seconds
        place = np.round(ends / seconds).astype(np.int64) % _RING
        fits = self._open(slots, place, ends)
        self._keep(slots[fits], place[fits], lists[fits])
        of = np.repeat(np.arange(len(event)), np.diff(np.r_[first, len(entries)]))
        kept = fits[of]
        self._merge("items", slots[of[kept]], place[of[kept]], items[kept])
        self.rows.stir(slots)

    def over(self, end: float) -> Iterator[Hour]:
        """The hours that are over at ``end``, oldest first; their items are the day's from then on."""
        ends = self.rows["end"][: len(self.rows)]
        for moment in np.unique(ends[ends <= end]).tolist():
            slots, place = np.nonzero(ends == moment)
            order = np.argsort(self.rows["model"][slots])
            slots, place = slots[order], place[order]
            yield self._hour(moment, slots, place)
            for name in ("end", "events", "lists", "items"):
                self.rows[name][slots, place] = FIELDS[name].fill

    def ranks(self, model: int) -> bool:
        """Whether the lists of ``model`` are rankings, not tags."""
        slot = self._place[model] if model < len(self._place) else -1
        return bool(slot >= 0 and self.rows["ranked"][slot])

    def end(self, models: Indices) -> None:
        """Forget what ``models`` served."""
        self._extend()
        slots = self._place[models]
        slots = slots[slots >= 0]
        self.rows.reset(slots)
        self._place[models] = -1
        self._free += slots.tolist()

    def restored(self) -> None:
        """Find the models again, after the table was loaded."""
        self._extend()
        of = self.rows["model"][: len(self.rows)]
        held = np.flatnonzero(of >= 0)
        self._place[of[held]] = held
        self._free = np.flatnonzero(of < 0).tolist()

    def _hour(self, end: float, slots: Indices, place: Indices) -> Hour:
        state, seconds = self.rows, self._seconds(slots)
        day = np.maximum(seconds, DAY)
        own = np.ceil(end / day) * day
        turned = ~(own <= state["day"][slots])
        new_day = slots[turned]
        state["before"][new_day], state["today"][new_day], state["day"][new_day] = (
            state["today"][new_day],
            0,
            own[turned],
        )
        items = state["items"][slots, place]
        asked, new = unseen(items, state["before"][slots])
        known = state["before"][slots, 0] > 0
        of, at = np.nonzero(items)
        state["today"][slots] = with_more(state["today"][slots], of, items[of, at])
        state.touch(slots)
        return Hour(
            end=end,
            models=state["model"][slots].astype(np.int64),
            seconds=seconds,
            events=state["events"][slots, place].astype(np.float64),
            lists=distinct(state["lists"][slots, place]),
            asked=np.where(known, asked, 0.0),
            new=np.where(known, new, 0.0),
        )

    def _open(self, slots: Indices, place: Indices, ends: Array) -> Flags:
        """Let the hours that end at ``ends`` be the ones at ``place``; those for which a later one is there do not."""
        held = self.rows["end"]
        newest = np.full((len(self.rows), _RING), -np.inf)
        np.maximum.at(newest, (slots, place), ends)
        newer = np.nonzero(newest > np.nan_to_num(held[: len(self.rows)], nan=-np.inf))
        for name in ("events", "lists", "items"):
            self.rows[name][newer] = FIELDS[name].fill
        held[newer] = newest[newer]
        fits: Flags = ends == held[slots, place]
        return fits

    def _keep(self, slots: Indices, place: Indices, lists: NDArray[np.uint64]) -> None:
        np.add.at(self.rows["events"], (slots, place), 1)
        self._merge("lists", slots, place, lists)

    def _merge(self, name: str, slots: Indices, place: Indices, hashes: NDArray[np.uint64]) -> None:
        sets, group = np.unique(slots * _RING + place, return_inverse=True)
        at = sets // _RING, sets % _RING
        self.rows[name][at] = with_more(self.rows[name][at], group, hashes)

    def _seconds(self, slots: Indices) -> Array:
        """An hour, in whole ticks."""
        tick = self.models.rows["tick"][self.rows["model"][slots]]
        seconds: Array = np.ceil(HOUR / tick) * tick
        return seconds

    def _slots(self, model: Indices) -> Indices:
        """The row of each of ``model`` (n,), made where there is none."""
        self._extend()
        for row in np.unique(model[self._place[model] < 0]).tolist():
            slot = self._free.pop() if self._free else self.rows.add()
            self._place[row] = slot
            self.rows["model"][slot] = row
            self.rows.touch(slot)
        return self._place[model]

    def _extend(self) -> None:
        missing = len(self.models) - len(self._place)
        if missing > 0:
            self._place = np.concatenate([self._place, np.full(max(missing, len(self._place)), -1, np.int64)])
