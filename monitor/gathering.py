"""What closed in a tick? The sums of all models whose ticks ended together, taken out of the arena."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.series import Series
from monitor.conduct.watch import Ticks
from monitor.events.columns import Space
from monitor.kernels.gather import Due, Taken, gather
from monitor.kernels.tally import COLUMNS, KIND_NUMBER
from monitor.tally.blocks import (
    WITH_FEATURES,
    WITH_METRICS,
    WITH_PREDICTION,
    WITH_SEGMENT,
    Blocks,
    OpenBlocks,
)
from monitor.tally.closed import ClosedTicks
from monitor.tally.pieces import parts

_DENOMINATOR = np.zeros(256, np.int64)
_DENOMINATOR[[Space.FEATURE, Space.PREDICTION, Space.METRIC, Space.SEGMENT]] = (
    *(WITH_FEATURES, WITH_PREDICTION),
    *(WITH_METRICS, WITH_SEGMENT),
)


class Gathering:
    """Takes the sums of blocks that are due out of the arena ``blocks``, which has their rows back then."""

    def __init__(self, series: Series, blocks: Blocks, series_rows: Callable[[int], NDArray[np.int64]]) -> None:
        """``series_rows`` gives the series of a model, in the order of their places in its blocks."""
        self._series, self._blocks, self._series_rows = series, blocks, series_rows

    def take(
        self, end: float, due: OpenBlocks, seconds: NDArray[np.float64], breathe: Callable[[], None]
    ) -> tuple[ClosedTicks, Ticks]:
        """The sums of ``due``, which ended at ``end``: each block's first row and all series, and what is judged.

        ``seconds`` (m,) is how long the tick of each was. Some models are taken at a time; between them the loop may
        ``breathe``.
        """
        own = [self._series_rows(model) for model in due.model.tolist()]
        sizes = np.array([len(each) + 1 for each in own], np.int64)
        starts, rows = np.cumsum(sizes) - sizes, np.concatenate(own)
        n = len(rows) + len(own)
        facts = ClosedTicks(end, due.model, starts, sizes, np.empty((n, COLUMNS), np.uint32), np.empty((n, 4)))
        heads = np.empty((len(own), COLUMNS), np.uint32)
        counts, moments = np.empty((len(rows), COLUMNS), np.uint32), np.empty((len(rows), 4))
        ticks = Ticks(end, due.model, heads, rows, counts, moments, np.repeat(seconds, sizes - 1))
        for part in parts(sizes):
            blocks = OpenBlocks(*(getattr(due, field.name)[part] for field in fields(due)))
            self._fill(facts, ticks, blocks, part)
            self._blocks.close(blocks)
            breathe()
        return facts, ticks

    def _fill(self, facts: ClosedTicks, ticks: Ticks, blocks: OpenBlocks, part: slice) -> None:
        """Let in the sums of ``blocks``, which are ``part`` of all."""
        first = int(facts.starts[part.start])
        last = first + int(facts.sizes[part].sum())
        own = slice(first - part.start, last - part.stop)
        rows, series = self._series.rows, ticks.rows[own]
        taken = Taken(
            facts.counts[first:last],
            ticks.heads[part],
            ticks.counts[own],
            facts.moments[first:last],
            ticks.moments[own],
        )
        arena = (self._blocks.counts, self._blocks.moments)
        number = rows["kind"][series] == KIND_NUMBER
        gather(Due(blocks.base, facts.sizes[part], *arena, _DENOMINATOR[rows["space"][series]], number), taken)
