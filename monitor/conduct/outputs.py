"""Which outputs of a batch are outside the lists that policies allow? Classes, tags and items of rankings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.models import Models
from monitor.events.columns import EventBatch, Space, ValueType
from monitor.kernels.hashing import hash64
from monitor.kernels.tally import Counts, add
from monitor.tally.blocks import OUTSIDE_OUTPUTS, WITH_OUTPUTS

NAMED_MAX = 20
"""Outputs that are not allowed that a model is said to have given by name; of further ones the number alone counts."""
_LABEL = np.uint64(hash64(b"label"))


def note_outputs(
    models: Models, batch: EventBatch, model: NDArray[np.int32], base: NDArray[np.int32], counts: Counts
) -> None:
    """Count events with outputs, and those with one that is not allowed, into the rows ``base`` (n,) of ``counts``.

    ``model`` (n,) are rows; events that are not counted have -1 in ``base``. What is not allowed is noted by name.
    """
    listed = (base >= 0) & (models.rows["catalogued"][model] > 0)
    if not listed.any():
        return
    labels = batch.in_space(Space.PREDICTION) & (batch.name.hash == _LABEL)
    labels &= batch.of_type(ValueType.TEXT, ValueType.BOOL)
    named = batch.in_space(Space.TAG, Space.RANKED)
    entries = np.flatnonzero((labels | named) & listed[batch.event])
    event, hashes = batch.event[entries], np.where(named[entries], batch.name.hash[entries], batch.text.hash[entries])
    allowed = np.ones(len(entries), bool)
    of = model[event]
    for row in np.unique(of).tolist():
        outputs = models.items[row].policy.outputs
        assert outputs is not None
        own = of == row
        allowed[own] = outputs.has(hashes[own])
    add(counts, base[np.unique(event)], WITH_OUTPUTS)
    outside = np.flatnonzero(~allowed)
    add(counts, base[np.unique(event[outside])], OUTSIDE_OUTPUTS)
    for i in outside[_first_of_each(of[outside], hashes[outside])].tolist():
        text = batch.name if named[entries[i]] else batch.text
        times = int(((of == of[i]) & (hashes == hashes[i])).sum())
        _name(models, int(of[i]), batch.string(text, int(entries[i])), times)


def _first_of_each(model: NDArray[np.int32], hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Where each distinct output of each model stands first, in the order they came."""
    pairs = np.stack([model.astype(np.uint64), hashes], axis=1)
    return np.sort(np.unique(pairs, axis=0, return_index=True)[1])


def _name(models: Models, row: int, output: str, times: int) -> None:
    outside = models.items[row].outside
    if output in outside or len(outside) < NAMED_MAX:
        outside[output] = outside.get(output, 0) + times
        models.changed.add(row)
