"""The sums of ticks that closed, as facts: of many models at once, and of one."""

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
    """The sums of one model's tick, as the log keeps them: ``counts`` (series + 1, 40), ``moments`` (series + 1, 4)."""

    model: int
    end: float
    counts: NDArray[np.uint32]
    moments: NDArray[np.float64]
