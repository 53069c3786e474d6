"""Where the sums of open ticks stand: one arena, a block of rows for each model and tick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from monitor.heap import untouched
from monitor.kernels.gather import EMPTY_MOMENTS
from monitor.kernels.tally import COLUMNS, Counts

EVENTS_IN, WITH_FEATURES, WITH_PREDICTION, WITH_METRICS, WITH_OUTCOME, WITH_SEGMENT = range(6)
"""Columns of a block's first row, which belongs to the model itself."""
WITH_OUTPUTS, OUTSIDE_OUTPUTS = range(9, 11)
"""Further ones, behind those of its inputs in ``kernels/tally.py``: of models whose outputs are listed."""
OPEN_MAX = 200_000
"""Blocks that may be open at a time, if nothing else is said."""
_STEP = 4
"""Rows by which blocks differ in size, so that what one gave back fits another."""
_RING = 32
"""Open ticks of one model that are found without Python."""
_NARROW_MAX = np.iinfo(np.uint16).max
"""The largest count of 16 bits."""
_LARGE = 4 << 20
_NO_TICK = np.iinfo(np.int64).min

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class OpenBlocks:
    """Some open blocks: rows ``[base, base + size)`` of the arena are the sums of ``model`` in its ``tick``.

    ``tick`` is a number: ticks of one length, counted from the epoch. ``end`` is where the tick ends, in seconds since
    the epoch. All arrays have shape ``(k,)``.
    """

    slot: Ints
    model: Ints
    tick: Ints
    end: NDArray[np.float64]
    base: Ints
    size: Ints

    def __len__(self) -> int:
        return len(self.slot)


class Blocks:
    """The arena and the blocks in it.

    ``counts`` has shape ``(rows, 40)``, ``moments`` ``(rows, 4)``. Within a block row 0 counts events and row
    ``local`` the values of the model's series of that place. Counts are of 16 bits until one could be too large for
    that, and of 32 from then on: of most fleets no model has so many events in a tick.
    """

    def __init__(self, open_max: int = OPEN_MAX) -> None:
        self.open_max = open_max
        self.counts: Counts = np.zeros((1024, COLUMNS), np.uint16)
        self._reached = 0
        """No count is larger, as long as they are narrow."""
        self.moments: NDArray[np.float64] = np.empty((1024, len(EMPTY_MOMENTS)))
        self._end = 0
        self._free: dict[int, list[int]] = {}
        self._table: dict[str, NDArray[Any]] = {
            "model": np.full(256, -1, np.int64),
            "tick": np.zeros(256, np.int64),
            "end": np.zeros(256),
            "base": np.zeros(256, np.int64),
            "size": np.zeros(256, np.int64),
        }
        self._slots: dict[tuple[int, int], int] = {}
        self._free_slots = list(range(255, -1, -1))
        self._due: dict[float, list[Ints]] = {}
        self._ring_tick: Ints = np.full((64, _RING), _NO_TICK)
        self._ring_base: NDArray[np.int32] = np.zeros((64, _RING), np.int32)

    def __len__(self) -> int:
        return len(self._slots)

    def bases(
        self, models: NDArray[np.int32], ticks: Ints, seconds: NDArray[np.float64], sizes: Ints
    ) -> NDArray[np.int32]:
        """The first row of each event's block, opening blocks where there is none; shapes ``(n,)``.

        It is -1 where a block would be one more than may be open.

        ``seconds`` (tick length) and ``sizes`` (series) are by *model* row. ``models`` has no -1.
        """
        if len(models) == 0:
            return np.empty(0, np.int32)
        self._widen_ring(int(models.max()) + 1)
        place = models * np.int64(_RING) + (ticks & (_RING - 1))  # as % does, and in a tenth of the time
        missed = np.flatnonzero(self._ring_tick.reshape(-1)[place] != ticks)
        if not len(missed):
            return self._ring_base.reshape(-1)[place]
        # A dictionary keeps the first of each pair, in their order.
        pairs = list(dict.fromkeys(zip(models[missed].tolist(), ticks[missed].tolist(), strict=True)))
        new = np.array([pair for pair in pairs if pair not in self._slots][: self.room], np.int64).reshape(-1, 2)
        if len(new):
            model, tick = new[:, 0], new[:, 1]
            self._open(model, tick, (tick + 1) * seconds[model], sizes[model] + 1)
        self._remember(np.array([self._slots[pair] for pair in pairs if pair in self._slots], np.int64))
        found = self._ring_base.reshape(-1)[place]
        for i in np.flatnonzero(self._ring_tick.reshape(-1)[place] != ticks).tolist():
            slot = self._slots.get((int(models[i]), int(ticks[i])), -1)
            found[i] = -1 if slot < 0 else self._table["base"][slot]
        return found

    @property
    def room(self) -> int:
        """How many further blocks may be opened."""
        return max(self.open_max - len(self._slots), 0)

    def widen_for(self, more: int) -> None:
        """Let every count grow by ``more`` without harm."""
        if self.counts.dtype == np.uint32:
            return
        if self._reached + more > _NARROW_MAX:
            self._reached = int(self.counts[: self._end].max(initial=0))
        self._reached += more
        if self._reached > _NARROW_MAX:
            self._renew(len(self.counts), self._end, np.uint32)

    def ensure(self, sizes: dict[int, int]) -> None:
        """Move the open blocks of some models to where they have at least so many rows, by model."""
        table = self._table
        least = np.zeros(max(sizes, default=-1) + 2, np.int64)
        least[list(sizes)] = list(sizes.values())
        wanted = least[np.minimum(table["model"], len(least) - 1)]  # the last one is nobody's, and a free slot's -1
        moved = np.flatnonzero(table["size"] < wanted)
        if not len(moved):
            return
        old, old_size = table["base"][moved], table["size"][moved]
        table["size"][moved] = _rounded(wanted[moved])
        table["base"][moved] = self._take(table["size"][moved])
        kept, grown = _rows_of(old, old_size), _rows_of(table["base"][moved], old_size)
        self.counts[grown], self.moments[grown] = self.counts[kept], self.moments[kept]
        self._give(old, old_size)
        self._forget(moved)

    def due(self, watermark: float) -> list[tuple[float, OpenBlocks]]:
        """Ticks that ended at ``watermark`` or before, oldest first, each with its blocks ordered by model.

        The caller takes their sums and then closes every one of them.
        """
        ends = sorted(end for end in self._due if end <= watermark)
        return [(end, self._chosen(np.concatenate(self._due.pop(end)))) for end in ends]

    def ends(self) -> NDArray[np.float64]:
        """Ends of all open ticks, in no order."""
        return np.fromiter(self._due, np.float64, len(self._due))

    def opened(self) -> OpenBlocks:
        """All open blocks, ordered by model and tick."""
        return self._chosen(np.fromiter(self._slots.values(), np.int64, len(self._slots)))

    def close(self, blocks: OpenBlocks) -> None:
        """Give the rows of due ``blocks`` back; their sums must have been taken before."""
        self._give(blocks.base, blocks.size)
        self._forget(blocks.slot)
        self._table["model"][blocks.slot] = -1
        self._table["size"][blocks.slot] = 0
        self._free_slots += blocks.slot.tolist()
        for pair in zip(blocks.model.tolist(), blocks.tick.tolist(), strict=True):
            del self._slots[pair]

    def restore(self, model: int, tick: int, end: float, counts: Counts, moments: NDArray[np.float64]) -> None:
        """Open a block with sums that were stored."""
        self._open(np.array([model]), np.array([tick]), np.array([end]), np.array([len(counts)]))
        self.widen_for(int(counts.max(initial=0)))
        base = int(self._table["base"][self._slots[model, tick]])
        self.counts[base : base + len(counts)] = counts
        self.moments[base : base + len(counts)] = moments

    def nbytes(self) -> int:
        """Bytes that the arena holds."""
        return self.counts.nbytes + self.moments.nbytes

    def _chosen(self, slots: Ints) -> OpenBlocks:
        slots = slots[np.lexsort((self._table["tick"][slots], self._table["model"][slots]))]
        return OpenBlocks(slots, *(self._table[name][slots] for name in ("model", "tick", "end", "base", "size")))

    def _open(self, model: Ints, tick: Ints, end: NDArray[np.float64], size: Ints) -> None:
        while len(self._free_slots) < len(model):
            self._more_slots()
        slots = np.array(self._free_slots[-len(model) :], np.int64)
        del self._free_slots[-len(model) :]
        size = _rounded(size)
        for name, values in (("model", model), ("tick", tick), ("end", end), ("size", size)):
            self._table[name][slots] = values
        self._table["base"][slots] = self._take(size)
        self._slots.update(zip(zip(model.tolist(), tick.tolist(), strict=True), slots.tolist(), strict=True))
        order = np.argsort(end, kind="stable")
        ends, starts = np.unique(end[order], return_index=True)
        for one, own in zip(ends.tolist(), np.split(slots[order], starts[1:]), strict=True):
            self._due.setdefault(one, []).append(own)

    def _more_slots(self) -> None:
        held = len(self._table["model"])
        self._free_slots = [*range(2 * held - 1, held - 1, -1), *self._free_slots]
        self._table = {name: np.concatenate([old, np.zeros_like(old)]) for name, old in self._table.items()}
        self._table["model"][held:] = -1

    def _take(self, sizes: Ints) -> Ints:
        """Rows for blocks of ``sizes``: those that were given back, else new ones."""
        bases, end = np.empty(len(sizes), np.int64), self._end
        for size in np.unique(sizes).tolist():
            wanting = np.flatnonzero(sizes == size)
            free = self._free.setdefault(size, [])
            had = min(len(free), len(wanting))
            bases[wanting[:had]] = free[len(free) - had :]
            del free[len(free) - had :]
            bases[wanting[had:]] = self._end + size * np.arange(len(wanting) - had)
            self._end += size * (len(wanting) - had)
        if self._end > len(self.counts):
            self._grow(end)
        self.moments[end : self._end] = EMPTY_MOMENTS
        return bases

    def _give(self, bases: Ints, sizes: Ints) -> None:
        at = _rows_of(bases, sizes)
        self.counts[at] = 0
        self.moments[at] = EMPTY_MOMENTS
        for size in np.unique(sizes).tolist():
            self._free.setdefault(size, []).extend(bases[sizes == size].tolist())

    def _grow(self, used: int) -> None:
        """Have room for all rows, of which so many were ``used``, and for more: these take no memory until they are."""
        rows = max(self._end, len(self.counts) + len(self.counts) // 2)
        moments = _rows((rows, len(EMPTY_MOMENTS)), np.float64)
        moments[:used] = self.moments[:used]
        self.moments = moments
        self._renew(rows, used, self.counts.dtype)

    def _renew(self, rows: int, used: int, dtype: DTypeLike) -> None:
        """Let another array hold the counts, of which so many are ``used``: the spare ones are not touched."""
        counts: Counts = _rows((rows, COLUMNS), dtype)
        counts[:used] = self.counts[:used]
        self.counts = counts

    def _remember(self, slots: Ints) -> None:
        """Let the ring find these blocks; of those that share a place in it, one."""
        model, tick = self._table["model"][slots], self._table["tick"][slots]
        self._ring_tick[model, tick % _RING] = tick
        # Which of several wins is numpy's to say: the base is taken from the tick that is there.
        won = self._ring_tick[model, tick % _RING] == tick
        self._ring_base[model[won], tick[won] % _RING] = self._table["base"][slots[won]]

    def _forget(self, slots: Ints) -> None:
        model, tick = self._table["model"][slots], self._table["tick"][slots]
        known = model < len(self._ring_tick)
        model, tick = model[known], tick[known]
        held = self._ring_tick[model, tick % _RING] == tick
        self._ring_tick[model[held], tick[held] % _RING] = _NO_TICK

    def _widen_ring(self, models: int) -> None:
        if models <= len(self._ring_tick):
            return
        more = max(models, 2 * len(self._ring_tick)) - len(self._ring_tick)
        ticks = np.full((more, _RING), _NO_TICK)
        self._ring_tick = np.concatenate([self._ring_tick, ticks])
        self._ring_base = np.concatenate([self._ring_base, np.zeros((more, _RING), np.int32)])


def _rows(shape: tuple[int, int], dtype: DTypeLike) -> NDArray[Any]:
    """Zeros that take no memory before they are written; in large pages from so much on as numpy asks for them."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer(untouched(size, large=size >= _LARGE), dtype).reshape(shape)


def _rounded(sizes: Ints) -> Ints:
    return -(-sizes // _STEP) * _STEP


def _rows_of(bases: Ints, sizes: Ints) -> Ints:
    """Indices of the rows of blocks, one block behind the other."""
    stops = np.cumsum(sizes)
    return np.arange(stops[-1] if len(stops) else 0) + np.repeat(bases - stops + sizes, sizes)
