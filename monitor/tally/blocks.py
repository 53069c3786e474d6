"""Where the sums of open ticks stand: one arena, a block of rows for each model and tick."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.kernels.tally import COLUMNS

EVENTS_IN, WITH_FEATURES, WITH_PREDICTION, WITH_METRICS, WITH_OUTCOME = range(5)
"""Columns of a block's first row, which belongs to the model itself."""
_SLACK = 4
"""Rows that a block has to spare, for series that are met while its tick is open."""
_RING = 32
"""Open ticks of one model that are found without Python."""
_NO_TICK = np.iinfo(np.int64).min
_EMPTY_MOMENTS = (0.0, 0.0, np.inf, -np.inf)


@dataclass(slots=True)
class Block:
    """Rows ``[base, base + size)`` of the arena: the sums of ``model`` in its tick number ``tick``, up to ``end``."""

    model: int
    tick: int
    end: float
    base: int
    size: int


class Blocks:
    """The arena and the blocks in it.

    ``counts`` has shape ``(rows, 40)``, ``moments`` ``(rows, 4)``. Within a block row 0 counts events and row
    ``local`` the values of the model's series of that place.
    """

    def __init__(self) -> None:
        self.counts: NDArray[np.uint32] = np.zeros((1024, COLUMNS), np.uint32)
        self.moments: NDArray[np.float64] = np.tile(_EMPTY_MOMENTS, (1024, 1))
        self.open: dict[tuple[int, int], Block] = {}
        self._end = 0
        self._free: dict[int, list[int]] = {}
        self._by_model: dict[int, list[Block]] = {}
        self._due: dict[float, list[Block]] = {}
        self._ring_tick: NDArray[np.int64] = np.full((64, _RING), _NO_TICK)
        self._ring_base: NDArray[np.int32] = np.zeros((64, _RING), np.int32)

    def bases(
        self,
        models: NDArray[np.int32],
        ticks: NDArray[np.int64],
        seconds: NDArray[np.float64],
        sizes: NDArray[np.int64],
    ) -> NDArray[np.int32]:
        """The first row of each event's block, opening blocks where there is none; shapes ``(n,)``.

        ``seconds`` (tick length) and ``sizes`` (series) are by *model* row. ``models`` has no -1.
        """
        if len(models) == 0:
            return np.empty(0, np.int32)
        self._widen_ring(int(models.max()) + 1)
        slot = ticks % _RING
        missed = np.flatnonzero(self._ring_tick[models, slot] != ticks)
        if not len(missed):
            return self._ring_base[models, slot]
        # A dictionary keeps the first of each pair, in their order.
        for model, tick in dict.fromkeys(zip(models[missed].tolist(), ticks[missed].tolist(), strict=True)):
            block = self.open.get((model, tick)) or self._open(
                model, tick, (tick + 1) * float(seconds[model]), int(sizes[model]) + 1
            )
            self._ring_tick[model, tick % _RING] = tick
            self._ring_base[model, tick % _RING] = block.base
        found = self._ring_base[models, slot]
        crowded = np.flatnonzero(self._ring_tick[models, slot] != ticks)
        for i in crowded.tolist():
            found[i] = self.open[int(models[i]), int(ticks[i])].base
        return found

    def ensure(self, model: int, size: int) -> None:
        """Move the open blocks of ``model`` to where they have at least ``size`` rows."""
        for block in self._by_model.get(model, ()):
            if block.size >= size:
                continue
            old, old_size = block.base, block.size
            block.size = _rounded(size)
            block.base = self._take(block.size)
            self.counts[block.base : block.base + old_size] = self.counts[old : old + old_size]
            self.moments[block.base : block.base + old_size] = self.moments[old : old + old_size]
            self._give(old, old_size)
            self._forget(block)

    def due(self, watermark: float) -> list[tuple[float, list[Block]]]:
        """Ticks that ended at ``watermark`` or before, oldest first, each with its blocks ordered by model.

        The caller takes their sums and then closes every one of them.
        """
        ends = sorted(end for end in self._due if end <= watermark)
        return [(end, sorted(self._due.pop(end), key=lambda block: block.model)) for end in ends]

    def ends(self) -> NDArray[np.float64]:
        """Ends of all open ticks, in no order."""
        return np.fromiter(self._due, np.float64, len(self._due))

    def close(self, *blocks: Block) -> None:
        """Give the rows of due ``blocks`` back; their sums must have been taken before."""
        self._empty(np.array([block.base for block in blocks]), np.array([block.size for block in blocks]))
        for block in blocks:
            del self.open[block.model, block.tick]
            self._by_model[block.model].remove(block)
            self._free.setdefault(block.size, []).append(block.base)
        models = np.array([block.model for block in blocks])
        ticks = np.array([block.tick for block in blocks])
        slots = ticks % _RING
        held = self._ring_tick[models, slots] == ticks
        self._ring_tick[models[held], slots[held]] = _NO_TICK

    def restore(
        self, model: int, tick: int, end: float, counts: NDArray[np.uint32], moments: NDArray[np.float64]
    ) -> None:
        """Open a block with sums that were stored."""
        block = self._open(model, tick, end, len(counts))
        self.counts[block.base : block.base + len(counts)] = counts
        self.moments[block.base : block.base + len(counts)] = moments

    def sums(self, block: Block) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
        """Counts and moments of ``block``, as views."""
        part = slice(block.base, block.base + block.size)
        return self.counts[part], self.moments[part]

    def nbytes(self) -> int:
        """Bytes that the arena holds."""
        return self.counts.nbytes + self.moments.nbytes

    def _open(self, model: int, tick: int, end: float, size: int) -> Block:
        size = _rounded(size)
        block = Block(model, tick, end, self._take(size), size)
        self.open[model, tick] = block
        self._due.setdefault(end, []).append(block)
        self._by_model.setdefault(model, []).append(block)
        return block

    def _take(self, size: int) -> int:
        free = self._free.get(size)
        if free:
            return free.pop()
        base = self._end
        self._end += size
        if self._end > len(self.counts):
            self._grow()
        return base

    def _give(self, base: int, size: int) -> None:
        self._empty(np.array([base]), np.array([size]))
        self._free.setdefault(size, []).append(base)

    def _empty(self, bases: NDArray[np.int64], sizes: NDArray[np.int64]) -> None:
        stops = np.cumsum(sizes)
        at = np.arange(stops[-1]) + np.repeat(bases - stops + sizes, sizes)
        self.counts[at] = 0
        self.moments[at] = _EMPTY_MOMENTS

    def _grow(self) -> None:
        rows = max(self._end, len(self.counts) + len(self.counts) // 2)
        counts = np.zeros((rows, COLUMNS), np.uint32)
        moments = np.tile(_EMPTY_MOMENTS, (rows, 1))
        counts[: len(self.counts)] = self.counts
        moments[: len(self.moments)] = self.moments
        self.counts, self.moments = counts, moments

    def _forget(self, block: Block) -> None:
        slot = block.tick % _RING
        if self._ring_tick[block.model, slot] == block.tick:
            self._ring_tick[block.model, slot] = _NO_TICK

    def _widen_ring(self, models: int) -> None:
        if models <= len(self._ring_tick):
            return
        more = max(models, 2 * len(self._ring_tick)) - len(self._ring_tick)
        ticks = np.full((more, _RING), _NO_TICK)
        self._ring_tick = np.concatenate([self._ring_tick, ticks])
        self._ring_base = np.concatenate([self._ring_base, np.zeros((more, _RING), np.int32)])


def _rounded(size: int) -> int:
    return -(-(size + _SLACK) // 8) * 8
