"""How far event time has come: the watermark, by partition, in the order that records came."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from monitor.events.raw import Partition

LEAP = 3600.0
CONFIRMED_BY = 10
"""Records in a row that must be dated ahead before a partition's time leaps there."""


class EventTime:
    """The watermark: what the slowest partition that is not idle has reached, less the lateness. It never goes back.

    ``reached`` holds the newest event time of each partition. It goes on by more than ``leap`` seconds at once, and
    begins, only where ``CONFIRMED_BY`` records in a row say so: one record with a wrong date cannot make late what
    comes behind it. ``ahead`` holds the times of the records that said so last and are not enough yet. A partition in
    ``idle`` does not hold the watermark up; one in ``awaited`` does from the start, though it was not heard of yet:
    what it is about to say must not be late.
    """

    def __init__(self, lateness: float, leap: float = LEAP) -> None:
        self.lateness = lateness
        self.leap = leap
        self.watermark = -np.inf
        self.reached: dict[Partition, float] = {}
        self.ahead: dict[Partition, list[float]] = {}
        self.idle: set[Partition] = set()
        self.awaited: set[Partition] = set()

    def after_each(
        self,
        times: NDArray[np.float64],
        source: NDArray[np.int32],
        partitions: Sequence[Partition],
        told: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        """The watermark after each record of a batch, shape ``(n,)``; remembers what the batch reached.

        ``times`` are event times in the order of arrival, ``source`` indexes ``partitions``. Where records come from
        somebody who read all of a partition, of which this is a part, ``told`` is what it had reached behind each.
        """
        present = {partitions[p]: p for p in np.flatnonzero(np.bincount(source)).tolist()}
        self.idle -= present.keys()
        slowest = np.full(len(times), self._slowest(present.keys()))
        for partition, p in present.items():
            own, known = np.flatnonzero(source == p), self.reached.get(partition, -np.inf)
            if told is None:
                reached = self._reaching(partition, times[own])
            else:
                reached = np.maximum(np.maximum.accumulate(told[own]), known)
            if reached[-1] > -np.inf:
                self.reached[partition] = float(reached[-1])
            steps = np.concatenate([[known], reached])
            if known == -np.inf and partition not in self.awaited:
                # Until its time begins a partition that nobody waits for is as good as not there.
                steps[steps == -np.inf] = np.inf
            holds = np.diff(own, prepend=0, append=len(times))  # how many records each of its own speaks for
            np.minimum(slowest, np.repeat(steps, holds), out=slowest)
        self.awaited -= present.keys() & self.reached.keys()
        marks = np.where(np.isinf(slowest), -np.inf, slowest - self.lateness)
        marks = np.maximum.accumulate(np.maximum(marks, self.watermark))
        if len(marks):
            self.watermark = float(marks[-1])
        return marks

    def reach(self, partition: Partition, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """What one partition has reached behind each of its next records, shape ``(n,)``; remembered."""
        reached = self._reaching(partition, times)
        if len(reached) and reached[-1] > -np.inf:
            self.reached[partition] = float(reached[-1])
        return reached

    def told(self, reached: Mapping[Partition, float]) -> float:
        """Take over how far partitions are, from somebody who reads them; returns the watermark."""
        for partition, time in reached.items():
            if time > self.reached.get(partition, -np.inf):
                self.reached[partition] = time
        self.awaited -= self.reached.keys()
        slowest = self._slowest(())
        if np.isfinite(slowest):
            self.watermark = max(self.watermark, slowest - self.lateness)
        return self.watermark

    def _reaching(self, partition: Partition, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """What ``partition`` has reached behind each of its next records, shape ``(n,)``."""
        known = self.reached.get(partition, -np.inf)
        reached = np.maximum(np.maximum.accumulate(times), known)
        if partition not in self.ahead and not self._leaps(known, reached):
            return reached
        ahead = self.ahead.pop(partition, [])
        for i, time in enumerate(times.tolist()):
            known, ahead = self._step(known, ahead, time)
            reached[i] = known
        if ahead:
            self.ahead[partition] = ahead
        return np.maximum.accumulate(reached)

    def _leaps(self, known: float, reached: NDArray[np.float64]) -> bool:
        """Whether a partition's time would go on by more than ``leap`` at once, or begin."""
        if known == -np.inf or not len(reached):
            return known == -np.inf
        # All steps together are seldom one that is too long.
        return bool(reached[-1] - known > self.leap and np.diff(reached, prepend=known).max() > self.leap)

    def _step(self, known: float, ahead: list[float], time: float) -> tuple[float, list[float]]:
        """One record of a partition that is, or may be, about to leap: what it has reached, and what is ahead."""
        if time <= known + self.leap:
            return max(known, time), []
        ahead = [*ahead, time]
        return (known, ahead) if len(ahead) < CONFIRMED_BY else (self._landing(ahead), [])

    def _landing(self, ahead: list[float]) -> float:
        """Where a leap ends that ``ahead`` says: no further than all of them, but for a leap that needs no saying."""
        least = min(ahead)
        return max(time for time in ahead if time <= least + self.leap)

    def believe(self, partitions: Collection[Partition]) -> None:
        """Nothing more is to come from ``partitions`` for now: what they said last is all there is to go by."""
        for partition in [each for each in self.ahead if each in partitions]:
            landing = self._landing(self.ahead.pop(partition))
            self.reached[partition] = max(self.reached.get(partition, -np.inf), landing)

    def _slowest(self, without: Collection[Partition]) -> float:
        """What the slowest of the other partitions has reached; infinite where there is none."""
        if any(p not in self.idle and p not in without for p in self.awaited):
            return -np.inf
        return min((t for p, t in self.reached.items() if p not in without and p not in self.idle), default=np.inf)

    def settle(self, idle: set[Partition]) -> float:
        """Take note of which partitions are idle now; returns the watermark, which may have gone on."""
        self.idle = set(idle)
        self.believe(self.idle)
        slowest = self._slowest(())
        reached = max(self.reached.values(), default=-np.inf) if slowest == np.inf else slowest
        self.watermark = max(self.watermark, reached - self.lateness)
        return self.watermark

    def end(self) -> None:
        """The input has ended: what was said last is believed."""
        self.believe(self.ahead.keys())

    def give_way(self, end: float) -> bool:
        """Let event time run on to ``end``, whoever is slow; ``False`` where no partition has reached that far."""
        if end > max(self.reached.values(), default=-np.inf) - self.lateness:
            return False
        self.watermark = max(self.watermark, end)
        return True

    def run_on(self, seconds: float) -> float:
        """Let event time run on to ``seconds`` beyond the newest event, as at the end of an input."""
        newest = max(self.reached.values(), default=-np.inf)
        self.watermark = max(self.watermark, newest + seconds)
        return self.watermark
