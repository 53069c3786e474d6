"""Which traffic never counts? Events for which one entry of their model's ``ignore`` holds: shadow arms, heartbeats."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.models import Models
from monitor.catalog.policies import Ignore, Policy
from monitor.events.columns import EventBatch, Space, Strings
from monitor.kernels.hashing import hash64

Marks = NDArray[np.bool_]


class Ignoring:
    """Finds the events of a batch that nobody wants counted. ``policy_of`` gives the policy of a model by its name."""

    def __init__(self, models: Models, policy_of: Callable[[str], Policy]) -> None:
        self._models = models
        self.policy_of = policy_of

    def ignored(self, batch: EventBatch) -> Marks:
        """Which events are not to be counted, shape ``(n,)``; a model of nothing else is never met."""
        hashes = np.maximum(batch.model.hash, np.uint64(1))
        row = self._models.index.find(hashes)
        asked = np.flatnonzero((self._models.rows["ignores"][row] > 0) | (row < 0))
        out = np.zeros(len(batch), bool)
        if not len(asked):
            return out
        first, inverse = np.unique(hashes[asked], return_index=True, return_inverse=True)[1:]
        for place, i in enumerate(asked[first].tolist()):
            ignore = self.policy_of(batch.string(batch.model, i)).ignore
            own = asked[inverse == place] if ignore else asked[:0]
            for entry in ignore:
                out[own] |= _holds(entry, batch)[own]
        return out


def _holds(entry: Ignore, batch: EventBatch) -> Marks:
    """For which events all holds that ``entry`` says."""
    holds = np.ones(len(batch), bool)
    for name, value in entry.segment.items():
        said = batch.in_space(Space.SEGMENT) & (batch.name.hash == np.uint64(hash64(name.encode())))
        said &= batch.text.hash == np.uint64(hash64(value.encode()))
        holds &= np.isin(np.arange(len(batch)), batch.event[said])
    if entry.id_prefix:
        holds &= _begins(batch.id, batch.buffer, entry.id_prefix.encode())
    return holds


def _begins(strings: Strings, buffer: bytes | bytearray, prefix: bytes) -> Marks:
    """Which of ``strings`` begin with ``prefix``."""
    begins = strings.length >= len(prefix)
    places = strings.start[begins][:, None] + np.arange(len(prefix))
    begins[begins] = (np.frombuffer(buffer, np.uint8)[places] == np.frombuffer(prefix, np.uint8)).all(axis=1)
    return np.asarray(begins)
