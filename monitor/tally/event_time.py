"""How far event time has come: the watermark, by partition, in the order that records came."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from monitor.events.raw import Partition


class EventTime:
    """The watermark: what the slowest partition that is not idle has reached, less the lateness. It never goes back.

    ``reached`` holds the newest event time of each partition. A partition in ``idle`` does not hold the watermark up;
    one in ``awaited`` does from the start, though it was not heard of yet: what it is about to say must not be late.
    """

    def __init__(self, lateness: float) -> None:
        self.lateness = lateness
        self.watermark = -np.inf
        self.reached: dict[Partition, float] = {}
        self.idle: set[Partition] = set()
        self.awaited: set[Partition] = set()

    def after_each(
        self, times: NDArray[np.float64], source: NDArray[np.int32], partitions: Sequence[Partition]
    ) -> NDArray[np.float64]:
        """The watermark after each record of a batch, shape ``(n,)``; remembers what the batch reached.

        ``times`` are event times in the order of arrival, ``source`` indexes ``partitions``.
        """
        present = {partitions[p]: p for p in np.unique(source).tolist()}
        self.idle -= present.keys()
        slowest = np.full(len(times), self._slowest(present.keys()))
        for partition, p in present.items():
            known = self.reached.get(partition, -np.inf)
            reached = np.maximum(np.maximum.accumulate(np.where(source == p, times, known)), known)
            self.reached[partition] = float(reached[-1])
            # Until its first record a partition that nobody waits for is as good as not there.
            counts = reached if partition in self.awaited else np.where(np.isinf(reached), np.inf, reached)
            slowest = np.minimum(slowest, counts)
        self.awaited -= present.keys()
        marks = np.where(np.isinf(slowest), -np.inf, slowest - self.lateness)
        marks = np.maximum.accumulate(np.maximum(marks, self.watermark))
        if len(marks):
            self.watermark = float(marks[-1])
        return marks

    def _slowest(self, without: Collection[Partition]) -> float:
        """What the slowest of the other partitions has reached; infinite where there is none."""
        if any(p not in self.idle and p not in without for p in self.awaited):
            return -np.inf
        return min((t for p, t in self.reached.items() if p not in without and p not in self.idle), default=np.inf)

    def settle(self, idle: set[Partition]) -> float:
        """Take note of which partitions are idle now; returns the watermark, which may have gone on."""
        self.idle = set(idle)
        slowest = self._slowest(())
        reached = max(self.reached.values(), default=-np.inf) if slowest == np.inf else slowest
        self.watermark = max(self.watermark, reached - self.lateness)
        return self.watermark

    def run_on(self, seconds: float) -> float:
        """Let event time run on to ``seconds`` beyond the newest event, as at the end of an input."""
        newest = max(self.reached.values(), default=-np.inf)
        self.watermark = max(self.watermark, newest + seconds)
        return self.watermark
