"""How did a model do in the past? The sums over its matured cases as they stood at the end of each day."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.rows import Rows
from monitor.errors import StoreError
from monitor.outcomes.totals import FIELDS, LASTING, Totals
from monitor.store.database import Database, Writes

PREFIX = b"Q"
_KEY = struct.Struct(">IQ")
_EPOCH = 1 << 62
"""Added to times, so that those before 1970 are in order too."""
_FIRST, _LAST = -1e12, 1e12


@dataclass(frozen=True, slots=True)
class Standing:
    """The sums over all cases whose tick ended by the end of a day, ``reached`` (seconds)."""

    reached: float
    sums: dict[str, NDArray[np.generic]]


class FigureLog:
    """Appends how models stood when a day was over, and reads it back."""

    def __init__(self, database: Database, retention_seconds: float = math.inf) -> None:
        self._database = database
        self._retention = retention_seconds

    def save(self, totals: Totals, writes: Writes) -> None:
        """Add to ``writes`` what days left behind since the last time."""
        if not totals.days:
            return
        for over in totals.days:
            parts = [
                np.ascontiguousarray(over.sums[name]).view(np.uint8).reshape(len(over.ends), -1) for name in LASTING
            ]
            for model, end, blob in zip(over.models.tolist(), over.ends.tolist(), np.hstack(parts), strict=True):
                writes.put(_key(model, end), blob.tobytes())
        totals.days.clear()

    def read(self, model: int, since: float, until: float) -> tuple[Standing | None, Standing | None]:
        """How ``model`` stood at the end of the last day by ``since``, and by ``until``, on which it had cases.

        ``None`` where it had none by then, or they are forgotten.
        """
        found: list[Standing | None] = [None, None]
        for key, value in self._database.scan(_key(model, _FIRST), _key(model, until + 0.001)):
            end = (_KEY.unpack(key[len(PREFIX) :])[1] - _EPOCH) / 1000.0
            standing = Standing(end, _unpacked(value))
            found = [standing if end <= since else found[0], standing]
        return found[0], found[1]

    def standings(self, model: int) -> list[Standing]:
        """How ``model`` stood at the end of each day on which it had cases, oldest first; what was forgotten is not."""
        last = _key(model, math.inf) + b"\0"
        return [
            Standing((_KEY.unpack(key[len(PREFIX) :])[1] - _EPOCH) / 1000.0, _unpacked(value))
            for key, value in self._database.scan(_key(model, _FIRST), last)
        ]

    def roll_up(self, model: int, watermark: float, writes: Writes) -> None:
        """Forget what is older than the retention."""
        if math.isfinite(self._retention):
            writes.delete_range(_key(model, _FIRST), _key(model, watermark - self._retention))


def _key(model: int, day: float) -> bytes:
    return PREFIX + _KEY.pack(model, round(min(max(day, _FIRST), _LAST) * 1000.0) + _EPOCH)


def _unpacked(blob: bytes) -> dict[str, NDArray[np.generic]]:
    like = Rows({name: FIELDS[name] for name in LASTING})
    sums, at = {}, 0
    for name in LASTING:
        row = like[name][0]
        if len(blob) < at + row.nbytes:
            raise StoreError(f"the figures of a day have {len(blob)} bytes")
        sums[name] = np.frombuffer(blob, row.dtype, row.size, at).reshape(row.shape)
        at += row.nbytes
    return sums
