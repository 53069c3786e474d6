"""Where is kept what a season looks like? In the store, read when an hour begins; 256 of them are a volume."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.rows import CHUNK
from monitor.catalog.series import CUTS
from monitor.stats.seasons import HOURS, SLOTS

PREFIX = b"S"

Indices = NDArray[np.int64]
Shape = NDArray[np.int8]


class ShapeStore(Protocol):
    """What was written, read back."""

    def get(self, key: bytes) -> bytes | None:
        """The value of ``key``, or ``None``."""
        ...


class ShapeWrites(Protocol):
    """Takes what must be written together."""

    def put(self, key: bytes, value: bytes) -> None:
        """Set ``key``."""
        ...


class Shapes:
    """What each hour of the day and each slot of the longer cycle add to the shares of a season, in 8 bits, by slot.

    What changed is in memory until :meth:`save`, and always where no store is attached.
    """

    def __init__(self) -> None:
        self._store: ShapeStore | None = None
        self._changed: dict[int, bytes] = {}

    def attach(self, store: ShapeStore) -> None:
        """Read on from ``store``, which holds what :meth:`save` wrote."""
        self._store = store

    def write(self, slots: Indices, daily: Shape, longer: Shape) -> None:
        """Let the shapes of ``slots`` (k,), none twice, be ``daily`` (k, 24, 9) and ``longer`` (k, 28, 9)."""
        of = slots // CHUNK
        for volume in np.unique(of).tolist():
            own, shapes = of == volume, self._open(volume).copy()
            shapes[slots[own] % CHUNK] = np.concatenate([daily[own], longer[own]], axis=1)
            self._changed[volume] = shapes.tobytes()

    def read(self, slots: Indices) -> tuple[Shape, Shape]:
        """What was written of ``slots`` (k,): daily (k, 24, 9) and longer (k, 28, 9)."""
        of, read = slots // CHUNK, np.empty((len(slots), HOURS + SLOTS, CUTS), np.int8)
        for volume in np.unique(of).tolist():
            own = of == volume
            read[own] = self._open(volume)[slots[own] % CHUNK]
        return read[:, :HOURS], read[:, HOURS:]

    def save(self, writes: ShapeWrites) -> None:
        """Write what changed since; from here on the store has it."""
        for volume, blob in self._changed.items():
            writes.put(_key(volume), blob)
        self._changed.clear()

    def _open(self, volume: int) -> Shape:
        blob = self._changed.get(volume)
        if blob is None and self._store is not None:
            blob = self._store.get(_key(volume))
        shape = (CHUNK, HOURS + SLOTS, CUTS)
        return np.zeros(shape, np.int8) if blob is None else np.frombuffer(blob, np.int8).reshape(shape)


def _key(volume: int) -> bytes:
    return PREFIX + volume.to_bytes(4, "big")
