"""When did it begin? The onset that an alarm names, from the evidence's own restart, beside ADWIN over tick means.

Streams of a standard normal number are judged by the program's own judge against a reference of 10,000 events, in ticks
of 2, 20 and 200 events; after 400 ticks the mean moves. When a cell alarms, its onset is compared with the truth. ADWIN
(Bifet and Gavalda 2007: an exponential histogram of tick means, every split of its window tested with a bound that uses
the variance) is shown the same ticks up to the alarm: its window then is what it holds for the present, and so where
the change began. ``delta`` is its confidence, river's default .002 and a laxer one, since at an alarm that there was a
change is known. Errors are in ticks, the onset less the truth; late is positive.

    python bench/onset.py --streams 100
"""

from __future__ import annotations

import argparse

import numpy as np
from delay import Ours

from monitor.budget import WEEK_SECONDS
from monitor.judging import TickSums
from monitor.kernels.tally import BINS, COLUMNS, EVENTS, PRESENT

SIZES = (0.25, 0.5, 1.0)
PER_TICK = (2, 20, 200)
DELTAS = (0.002, 0.2)
BEFORE, LONGEST = 400, 4000
_SECONDS = 300.0
_START = 1_767_225_600.0
_ROW = 5
"""Buckets of one size; a sixth merges the two oldest."""


class Adwin:
    """A window over a stream of numbers that drops its older part where the two parts differ, in river's units."""

    def __init__(self, delta: float) -> None:
        self.delta = delta
        self.buckets: list[list[tuple[float, float]]] = [[]]
        """By size 1, 2, 4, ...: sum and sum of squares, oldest first."""
        self.cuts = 0

    @property
    def width(self) -> int:
        """Values that the window holds."""
        return sum(len(row) << i for i, row in enumerate(self.buckets))

    def add(self, x: float) -> None:
        """Let a value in, merge what is too many, and drop what differs from the rest."""
        self.buckets[0].append((x, x * x))
        for i, row in enumerate(self.buckets):
            if len(row) <= _ROW:
                break
            (a, b), (c, d) = row.pop(0), row.pop(0)
            if i + 1 == len(self.buckets):
                self.buckets.append([])
            self.buckets[i + 1].append((a + c, b + d))
        while self._differs():
            top = max(i for i, row in enumerate(self.buckets) if row)
            self.buckets[top].pop(0)
            self.cuts += 1

    def _differs(self) -> bool:
        """Whether any split of the window shows two means that differ by more than the bound."""
        parts = [(1 << i, s, q) for i in reversed(range(len(self.buckets))) for s, q in self.buckets[i]]
        size, total, squares = np.array(parts).T
        n, s = np.cumsum(size)[:-1], np.cumsum(total)[:-1]
        whole = size.sum()
        if whole < 2:
            return False
        variance = max(squares.sum() / whole - (total.sum() / whole) ** 2, 0.0)
        harmonic = 1.0 / (1.0 / n + 1.0 / (whole - n))
        confidence = np.log(2.0 * np.log(whole) / self.delta)
        bound = np.sqrt(2.0 / harmonic * variance * confidence) + 2.0 / (3.0 * harmonic) * confidence
        return bool((np.abs(s / n - (total.sum() - s) / (whole - n)) > bound).any())


class Streams(Ours):
    """Streams of a number whose ticks are kept, as counts and as means."""

    def __init__(self, streams: int, per_tick: int, rng: np.random.Generator) -> None:
        super().__init__("number", streams, 1000, 0.02, rng)
        self._per_tick = per_tick

    def onsets(self, size: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of each stream the tick of its alarm and its onset, in ticks from the truth, NaN; and all tick means."""
        alarm, onset = np.full(self._streams, np.nan), np.full(self._streams, np.nan)
        means = []
        for tick in range(BEFORE + LONGEST):
            values = self._rng.standard_normal((self._streams, self._per_tick)) + size * (tick >= BEFORE)
            means.append(values.mean(axis=1))
            end = _START + (tick + 1) * _SECONDS
            sums = TickSums(np.arange(self._streams), self._counts(values), end, np.full(self._streams, _SECONDS))
            for cell in self.judge.judge(sums).alarms:
                if np.isnan(alarm[cell.row]):
                    alarm[cell.row] = tick + 1 - BEFORE
                    onset[cell.row] = (cell.onset_time - _START) / _SECONDS - BEFORE
            if not np.isnan(alarm).any():
                break
        early = alarm <= 0
        alarm[early] = onset[early] = np.nan
        return alarm, onset, np.stack(means, axis=1)

    def _counts(self, values: np.ndarray) -> np.ndarray:
        counts = np.zeros((self._streams, COLUMNS), np.uint32)
        counts[:, [PRESENT, EVENTS]] = self._per_tick
        bins = (values[:, :, None] > self._edges[:, None, :]).sum(axis=2)
        np.add.at(counts, (np.arange(self._streams)[:, None], np.minimum(bins, BINS - 1)), 1)
        return counts


def by_adwin(alarm: np.ndarray, means: np.ndarray, delta: float) -> np.ndarray:
    """Onsets in ticks from the truth, NaN where nothing was cut before the alarm."""
    found = np.full(len(alarm), np.nan)
    for i in np.flatnonzero(~np.isnan(alarm)).tolist():
        window, last = Adwin(delta), BEFORE + int(alarm[i])
        for x in means[i, :last].tolist():
            window.add(x)
        if window.cuts:
            found[i] = last - window.width - BEFORE
    return found


def _told(error: np.ndarray, n: int) -> str:
    known = error[~np.isnan(error)]
    if not len(known):
        return "none"
    low, middle, high = np.quantile(known, [0.05, 0.5, 0.95])
    missing = f", {100 * (1 - len(known) / n):.0f} % without" if len(known) < n else ""
    return f"{np.sqrt((known**2).mean()):.0f} ({low:.0f} to {high:.0f}, median {middle:.0f}){missing}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--save")
    given = parser.parse_args()
    head = " | ".join(f"ADWIN, delta {delta:g}" for delta in DELTAS)
    print(f"A week is {WEEK_SECONDS / _SECONDS:.0f} ticks. Root mean square error in ticks (5 to 95 %).\n")
    print(f"| shift | a tick | alarm after | restart | {head} |\n|---|---|---|---|{'---|' * len(DELTAS)}", flush=True)
    kept = []
    for per_tick in PER_TICK:
        for size in SIZES:
            streams = Streams(given.streams, per_tick, np.random.default_rng([per_tick, round(100 * size)]))
            alarm, onset, means = streams.onsets(size)
            seen = ~np.isnan(alarm)
            others = [_told(by_adwin(alarm, means, delta)[seen], int(seen.sum())) for delta in DELTAS]
            cells = [_told(onset[seen], int(seen.sum())), *others]
            print(f"| {size:g} sd | {per_tick} | {np.nanmedian(alarm):.0f} | {' | '.join(cells)} |", flush=True)
            kept.append(np.stack([np.full(seen.sum(), per_tick), np.full(seen.sum(), size), alarm[seen], onset[seen]]))
    if given.save:
        np.save(given.save, np.concatenate(kept, axis=1))


if __name__ == "__main__":
    main()
