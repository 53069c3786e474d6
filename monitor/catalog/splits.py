"""Which models are watched per value of a segment? Those whose policy says ``split_by``: each value is a model within.

A model within has series, references, cells and ticks of its own, as any model has; its incidents, and what it may
spend of the budget, are those of the model that it is within. Events come to it as copies of nothing but their
features, predictions and metrics. Of one segment so many values are told apart as a limit says; all others are one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.models import Models, Split
from monitor.catalog.policies import Policy
from monitor.events.columns import EventBatch, Part, Space, Strings, ValueType
from monitor.kernels.hashing import hash64
from monitor.kernels.table import Table, mix, mix_one

VALUES_MAX = 32
"""Values of one segment that are told apart, if nothing else is said."""
REST = "(others)"
"""Stands for all values beyond the limit."""
_KEPT_PARTS = np.uint16(Part.FEATURES | Part.PREDICTION | Part.METRICS)

Keys = NDArray[np.uint64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Copies:
    """Events ``at`` (by index in their batch) as events of models within, and how many of them have no value apart."""

    at: Indices
    batch: EventBatch
    in_rest: int


class Splits:
    """Finds the models within, and lets in those of values that were never met."""

    def __init__(self, models: Models) -> None:
        self.values_max = VALUES_MAX
        self._models = models
        self._asked = Table()
        """By model and name of a segment, whether it is split by it."""
        self._read: dict[int, Policy] = {}

    def copies(self, batch: EventBatch, model: NDArray[np.int32]) -> Iterator[Copies]:
        """The events of ``batch`` once more, for each segment by which theirs is split; ``model`` is -1 for none."""
        rows = self._models.rows["splits"][np.maximum(model, 0)]
        if not (split := (model >= 0) & (rows > 0)).any():
            return
        for row in np.unique(model[split]).tolist():
            self._read_policy(row)
        entries = np.flatnonzero(batch.in_space(Space.SEGMENT) & split[batch.event] & batch.of_type(ValueType.TEXT))
        hashes = np.maximum(batch.model.hash, np.uint64(1))
        asked = mix(hashes[batch.event[entries]], batch.name.hash[entries])
        known = self._asked.find(asked) >= 0
        entries, asked = entries[known], asked[known]
        if not len(entries):
            return
        keys, in_rest = self._found(batch, model, entries, asked)
        rank = _rank(batch.event[entries])
        for turn in range(int(rank.max()) + 1):
            own = (rank == turn) & (self._models.index.find(keys) >= 0)
            at = batch.event[entries[own]].astype(np.int64)
            yield Copies(at, _within(batch.chosen(at), keys[own]), int(in_rest[rank == turn].sum()))

    def restored(self) -> None:
        """After loading, or when policies changed: what is split is looked up anew."""
        self._asked = Table()
        self._read.clear()

    def _found(
        self, batch: EventBatch, model: NDArray[np.int32], entries: Indices, asked: Keys
    ) -> tuple[Keys, NDArray[np.bool_]]:
        """The key of the model within that each entry names, and whether that is the rest; lets in what is new.

        In the order of the entries, whatever segment they are of: rows are the same for batches of any size.
        """
        keys = mix(asked, batch.text.hash[entries])
        unknown = np.flatnonzero(self._models.index.find(keys) < 0)
        for i in unknown[np.sort(np.unique(keys[unknown], return_index=True)[1])].tolist():
            self._let_in(batch, model, int(entries[i]), int(asked[i]), int(keys[i]))
        beyond = self._models.index.find(keys) < 0
        keys[beyond] = mix(asked[beyond], np.full(int(beyond.sum()), hash64(REST.encode()), np.uint64))
        return keys, beyond

    def _let_in(self, batch: EventBatch, model: NDArray[np.int32], entry: int, asked: int, key: int) -> None:
        """A value that was never met: a model of its own, or one with all others where there are too many."""
        event = int(batch.event[entry])
        parent, time = int(model[event]), float(batch.time[event])
        segment = batch.string(batch.name, entry)
        value = batch.string(batch.text, entry)
        splits = (self._models.items[row].split for row in self._models.within.get(parent, ()))
        met = [split.value for split in splits if split is not None and split.segment == segment]
        if len(met) - (REST in met) >= self.values_max:
            value, key = REST, mix_one(asked, hash64(REST.encode()))
        if self._models.full or self._models.index.find_one(key) >= 0:
            return
        self._models.add_within(Split(parent, segment, value, key), time)

    def _read_policy(self, row: int) -> None:
        known = self._models.items[row]
        if self._read.get(row) is known.policy:
            return
        self._read[row] = known.policy
        for name in known.policy.split_by:
            self._asked.insert(mix_one(known.name_hash or 1, hash64(name.encode())), 0)


def _rank(events: NDArray[np.int32]) -> Indices:
    """The how-manieth of its event each entry is; ``events`` rise."""
    starts = np.flatnonzero(np.concatenate([[True], events[1:] != events[:-1]]))
    sizes = np.diff(np.concatenate([starts, [len(events)]]))
    rank: Indices = np.arange(len(events)) - np.repeat(starts, sizes)
    return rank


def _within(batch: EventBatch, keys: Keys) -> EventBatch:
    """``batch`` as events of the models within that ``keys`` find."""
    kept = np.flatnonzero(batch.space <= Space.METRIC)
    return replace(
        batch,
        model=Strings(keys, batch.model.start, batch.model.length),
        parts=batch.parts & _KEPT_PARTS,
        lifecycle=np.zeros(len(batch), np.uint8),
        event=batch.event[kept],
        space=batch.space[kept],
        type=batch.type[kept],
        name=batch.name.chosen(kept),
        text=batch.text.chosen(kept),
        number=batch.number[kept],
    )
