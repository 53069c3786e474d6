"""How far event time has come: the watermark, by partition, in the order that records came."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monitor.events.raw import Partition


class EventTime:
    """The watermark: what the slowest partition that is not idle has reached, less the lateness.

    It never goes back. A partition without records does not hold it up (``idle``), nor does one that was never heard
    of.
    """

    def __init__(self, lateness: float) -> None:
        self.lateness = lateness
        self.watermark = -np.inf
        self.reached: dict[Partition, float] = {}
        self.idle: set[Partition] = set()

    def after_each(
        self, times: NDArray[np.float64], source: NDArray[np.int32], partitions: Sequence[Partition]
    ) -> NDArray[np.float64]:
        """The watermark after each record of a batch, shape ``(n,)``; remembers what the batch reached.

        ``times`` are event times in the order of arrival, ``source`` indexes ``partitions``.
        """
        present = set(np.unique(source).tolist())
        self.idle -= {partitions[p] for p in present}
        absent = {p: t for p, t in self.reached.items() if p not in {partitions[i] for i in present}}
        slowest = np.full(len(times), min((t for p, t in absent.items() if p not in self.idle), default=np.inf))
        for p in present:
            known = self.reached.get(partitions[p], -np.inf)
            reached = np.maximum.accumulate(np.where(source == p, times, known))
            reached = np.maximum(reached, known)
            slowest = np.minimum(slowest, np.where(np.isinf(reached), np.inf, reached))
            self.reached[partitions[p]] = float(reached[-1])
        marks = np.where(np.isinf(slowest), -np.inf, slowest - self.lateness)
        marks = np.maximum.accumulate(np.maximum(marks, self.watermark))
        if len(marks):
            self.watermark = float(marks[-1])
        return marks

    def settle(self, idle: set[Partition]) -> float:
        """Take note of which partitions are idle now; returns the watermark, which may have gone on."""
        self.idle = set(idle)
        active = [t for p, t in self.reached.items() if p not in self.idle]
        reached = min(active) if active else max(self.reached.values(), default=-np.inf)
        self.watermark = max(self.watermark, reached - self.lateness)
        return self.watermark

    def run_on(self, seconds: float) -> float:
        """Let event time run on to ``seconds`` beyond the newest event, as at the end of an input."""
        newest = max(self.reached.values(), default=-np.inf)
        self.watermark = max(self.watermark, newest + seconds)
        return self.watermark
