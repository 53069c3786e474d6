"""Which events were counted before: keys of (model, id, kind), remembered for a horizon within a capacity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monitor.events.columns import EventBatch, Part, Space
from monitor.kernels import remember
from monitor.kernels.hashing import mix
from monitor.kernels.remember import Keys, KeySet

HORIZON = 86400.0
CAPACITY = 5_000_000
GENERATIONS = 3
"""The newest one is being filled; the two before it cover the horizon."""
KEY_BITS = 64

_KINDS = (Part.PREDICTION, Part.OUTCOME, Part.FEATURES, Part.METRICS, Part.SENSITIVE, Part.LIFECYCLE)
"""An event is of the kind of the first of these that it has."""
_KIND_OF: Keys = np.zeros(512, np.uint64)
for _number, _part in reversed(list(enumerate(_KINDS, 1))):
    _KIND_OF[(np.arange(512) & _part) > 0] = _number


def keys_of(batch: EventBatch) -> Keys:
    """A 64-bit key of each event's model, id and kind, shape ``(n,)``; 0 where it has no id.

    Another outcome for the same id is no duplicate: what becomes of it is for those to say who join outcomes. Compiled
    in ``remember.c``.
    """
    keys = remember.keys_of(batch, _KIND_OF)
    return keys_of_twin(batch) if keys is None else keys


def keys_of_twin(batch: EventBatch) -> Keys:
    """What :func:`keys_of` does, in numpy."""
    keys = mix(mix(batch.model.hash, batch.id.hash), _KIND_OF[batch.parts])
    told = np.flatnonzero(batch.in_space(Space.OUTCOME))
    at = batch.event[told]
    keys[at] = mix(keys[at], batch.text.hash[told])
    np.maximum(keys, np.uint64(1), out=keys)
    keys[batch.id.length == 0] = 0
    return keys


def keys_of_id(models: Keys, name: np.uint64, outcome: np.uint64) -> Keys:
    """The keys that events of one id may have, of each of ``models``; ``name`` and ``outcome`` (0: none) are hashes."""
    kinds = np.arange(1, len(_KINDS) + 1, dtype=np.uint64)
    keys = mix(np.repeat(mix(models, np.full(len(models), name)), len(kinds)), np.tile(kinds, len(models)))
    if outcome:
        keys = mix(keys, np.full(len(keys), outcome))
    return np.maximum(keys, np.uint64(1))


@dataclass(slots=True)
class Generation:
    """Keys met from the watermark ``began`` on, until the next generation began; ``fresh`` are not stored yet."""

    number: int
    began: float
    keys: KeySet
    fresh: list[Keys] = field(default_factory=list)


class Duplicates:
    """Remembers the events of at least the last ``horizon`` seconds of event time, ``capacity`` of them at most.

    Keys stand in three generations of exact sets; a generation is let go whole, when half the horizon has passed since
    the next but one began, or early, when the newest has its third of the capacity. So an event is recognised where its
    key was met within the horizon, and nothing but the order of events and the watermark behind each decides it.

    A key is 64 bits of hashes: of two different events one is taken for the other with a chance of 2^-64, an event for
    any of those remembered with that of :meth:`false_ratio`.
    """

    def __init__(self, horizon: float = HORIZON, capacity: int = CAPACITY) -> None:
        self._span = horizon / (GENERATIONS - 1)
        self._room = max(capacity // GENERATIONS, 1)
        self.generations = [Generation(0, -np.inf, KeySet())]
        self._forgotten_early = 0
        self._dropped: list[int] = []
        self._rewritten: dict[int, Keys] = {}
        self._none = KeySet()

    def __len__(self) -> int:
        return sum(len(each.keys) for each in self.generations)

    def false_ratio(self) -> float:
        """The chance that an event that was never met is taken for one that was: keys remembered over 2^64."""
        return len(self) / 2.0**KEY_BITS

    def find(self, keys: Keys, marks: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each event was met before, and remember all of them; shapes ``(n,)``.

        ``marks`` are the watermarks behind each event, which never fall.
        """
        found = np.zeros(len(keys), np.bool_)
        first = 0
        while first < len(keys):
            newest = self.generations[-1]
            if np.isinf(newest.began):
                newest.began = float(marks[first])
            timeless = np.isinf(newest.began)
            until = newest.began if timeless else newest.began + self._span
            last = int(np.searchsorted(marks, until, side="right" if timeless else "left"))
            met = self._remember(keys[first:last])
            found[first : first + len(met)] = met
            first += len(met)
            full = first < last
            if full or (first < len(keys) and not timeless):
                self._begin(float(marks[first]), early=full)
        return found

    def take_fresh(self) -> list[tuple[int, Keys]]:
        """Keys that were met since this was last asked, by the number of their generation."""
        fresh = [(each.number, np.concatenate(each.fresh)) for each in self.generations if each.fresh]
        for each in self.generations:
            each.fresh.clear()
        return fresh

    def take_forgotten_early(self) -> int:
        """Keys that the capacity made forget before the horizon had passed, since this was last asked."""
        n, self._forgotten_early = self._forgotten_early, 0
        return n

    def forget(self, keys: Keys) -> int:
        """Remove ``keys``; how many were there. Events that have them would be counted again."""
        n = 0
        for each in self.generations:
            held = each.keys.keys()
            gone = np.isin(held, keys)
            if gone.any():
                n += int(gone.sum())
                each.keys = KeySet()
                each.keys.restore(held[~gone])
                each.fresh.clear()
                self._rewritten[each.number] = held[~gone]
        return n

    def take_rewritten(self) -> dict[int, Keys]:
        """All keys of the generations from which some were removed since this was last asked, by their number."""
        rewritten, self._rewritten = self._rewritten, {}
        return rewritten

    def take_dropped(self) -> list[int]:
        """Numbers of the generations that were let go since this was last asked."""
        dropped, self._dropped = self._dropped, []
        return dropped

    def restore(self, generations: Sequence[tuple[int, float, Keys]]) -> None:
        """Fill an empty memory with generations, oldest first: their numbers, when they began, and their keys."""
        self.generations = []
        for number, began, keys in generations:
            kept = KeySet()
            kept.restore(keys)
            self.generations.append(Generation(number, began, kept))

    def _remember(self, keys: Keys) -> NDArray[np.bool_]:
        newest = self.generations[-1]
        older = [each.keys for each in self.generations[-2::-1]]
        older += [self._none] * (GENERATIONS - 1 - len(older))
        met = remember.remember(keys, older[1], older[0], newest.keys, self._room - len(newest.keys))
        own = keys[: len(met)]
        fresh = own[~met & (own != 0)]
        if len(fresh):
            newest.fresh.append(fresh)
        return met

    def _begin(self, mark: float, *, early: bool) -> None:
        """Begin a generation at the watermark ``mark``, and let the oldest go."""
        newest = self.generations[-1]
        self.generations.append(Generation(newest.number + 1, mark, KeySet(len(newest.keys))))
        if len(self.generations) > GENERATIONS:
            oldest = self.generations.pop(0)
            self._dropped.append(oldest.number)
            self._forgotten_early += len(oldest.keys) * early
