"""The sums of ticks that closed, as facts: of many models at once, of one, and of several ticks together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ClosedTicks:
    """The sums of ``k`` models whose ticks ended together at ``end``, as facts.

    Those of ``models[i]`` are rows ``[starts[i], starts[i] + sizes[i])`` of ``counts`` (rows, 40) and ``moments``
    (rows, 4): first the model's own, then its series by their places.
    """

    end: float
    models: NDArray[np.int64]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    counts: NDArray[np.uint32]
    moments: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.models)


@dataclass(frozen=True, slots=True)
class ClosedTick:
    """The sums of one model's tick, as the log keeps them: ``counts`` (series + 1, 40), ``moments`` (series + 1, 4).

    ``seconds`` is the length of what ticks were rolled up to; 0 of a tick as it was.
    """

    model: int
    end: float
    counts: NDArray[np.uint32]
    moments: NDArray[np.float64]
    seconds: float = 0.0


@dataclass(slots=True)
class TickSums:
    """What closed: ``k`` series with their counts of one tick, ``EVENTS`` filled in.

    ``rows`` (int64) are series rows, none twice; ``counts`` has shape ``(k, 40)``; ``end`` is the end of the tick in
    seconds since the epoch, ``seconds`` (k,) its length.
    """

    rows: NDArray[np.int64]
    counts: NDArray[np.uint32]
    end: float
    seconds: NDArray[np.float64]


def merge(
    a: tuple[NDArray[np.uint32], NDArray[np.float64]], b: tuple[NDArray[np.uint32], NDArray[np.float64]]
) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
    """The sums of the union: counts and sums add, extremes compare. A row that one side lacks is empty there."""
    if len(a[0]) < len(b[0]):
        a, b = b, a
    counts, moments = a[0].copy(), a[1].copy()
    n = len(b[0])
    counts[:n] += b[0]
    moments[:n, :2] += b[1][:, :2]
    moments[:n, 2] = np.minimum(moments[:n, 2], b[1][:, 2])
    moments[:n, 3] = np.maximum(moments[:n, 3], b[1][:, 3])
    return counts, moments
