"""Are the sums of every model and tick in rows of their own, wherever the arena puts them?"""

from __future__ import annotations

import mmap
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from monitor.tally.blocks import Blocks, OpenBlocks

SECONDS = np.array([60.0, 60.0, 3600.0])


def open_at(blocks: Blocks, pairs: list[tuple[int, int]], sizes: list[int]) -> list[int]:
    models, ticks = np.array(pairs).T
    return blocks.bases(models.astype(np.int32), ticks.astype(np.int64), SECONDS, np.array(sizes)).tolist()


def rows_of(opened: OpenBlocks) -> list[slice]:
    return [slice(b, b + n) for b, n in zip(opened.base.tolist(), opened.size.tolist(), strict=True)]


def test_rows_do_not_overlap() -> None:
    """Open blocks of many models and ticks share no row, and each is found where it was opened."""
    blocks = Blocks()
    pairs = [(model, tick) for tick in range(40) for model in range(3)]
    bases = open_at(blocks, pairs, [5, 12, 700])
    opened = blocks.opened()
    spans = sorted(zip(opened.base.tolist(), (opened.base + opened.size).tolist(), strict=True))
    assert len(spans) == len(pairs)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    assert len(blocks.counts) >= spans[-1][1]
    assert open_at(blocks, pairs, [5, 12, 700]) == bases


def test_more_open_ticks_than_the_ring_holds() -> None:
    """A model whose events lie far apart finds each of its ticks, in any order."""
    blocks = Blocks()
    far = [(0, tick) for tick in (8, 0, 800, 16, -8, 8, 0, 800)]
    bases = open_at(blocks, far, [1, 1, 1])
    assert len(set(bases)) == 5
    assert bases[:3] == bases[5:]


def test_due_in_order_and_rows_come_back_empty() -> None:
    """Ticks come due by their ends, and the rows of a closed one are clean when they are taken again."""
    blocks = Blocks()
    open_at(blocks, [(1, 3), (0, 3), (2, 0), (0, 1)], [2, 2, 2])
    assert sorted(blocks.ends().tolist()) == [120.0, 240.0, 3600.0]
    due = blocks.due(3599.0)
    assert [(end, group.model.tolist()) for end, group in due] == [(120.0, [0]), (240.0, [0, 1])]
    for _, group in due:
        for rows in rows_of(group):
            blocks.counts[rows], blocks.moments[rows] = 7, 7.0
        blocks.close(group)
    assert blocks.due(3599.0) == []
    open_at(blocks, [(0, 100), (1, 100)], [2, 2, 2])
    for rows in rows_of(blocks.opened()):
        assert blocks.counts[rows].sum() == 0
        assert blocks.moments[rows].tolist() == [[0.0, 0.0, np.inf, -np.inf]] * (rows.stop - rows.start)


def test_growing_keeps_what_was_counted() -> None:
    """A model that gets series while its ticks are open keeps their sums, and its events find the new place."""
    blocks = Blocks()
    before = open_at(blocks, [(0, 1), (0, 2), (1, 1)], [3, 3, 3])
    for tick, rows in zip(blocks.opened().tick.tolist(), rows_of(blocks.opened()), strict=True):
        blocks.counts[rows.start + 1, 2], blocks.moments[rows.start + 2, 3] = 10 + tick, 5.0
    blocks.ensure({0: 500})
    after = open_at(blocks, [(0, 1), (0, 2), (1, 1)], [500, 3, 3])
    assert after[2] == before[2]
    assert not set(after[:2]) & set(before)
    for tick, rows in zip(blocks.opened().tick.tolist(), rows_of(blocks.opened()), strict=True):
        counts, moments = blocks.counts[rows], blocks.moments[rows]
        assert counts[1, 2] == 10 + tick
        assert moments[2, 3] == 5.0
        assert counts.sum() == 10 + tick


def test_restored_as_it_was() -> None:
    """A stored block is opened again with its sums, at its model, tick and end."""
    blocks, again = Blocks(), Blocks()
    open_at(blocks, [(2, 5)], [9, 9, 9])
    (rows,) = rows_of(blocks.opened())
    counts, moments = blocks.counts[rows], blocks.moments[rows]
    counts[3], moments[3] = 4, 2.0
    end = float(blocks.opened().end[0])
    again.restore(2, 5, end, counts, moments)
    [(restored_end, restored)] = again.due(np.inf)
    assert (restored_end, restored.model.tolist(), restored.tick.tolist()) == (end, [2], [5])
    (rows,) = rows_of(restored)
    assert np.array_equal(again.counts[rows][: len(counts)], counts)
    assert np.array_equal(again.moments[rows][: len(counts)], moments)


def test_many_at_once() -> None:
    """Thousands of blocks of all sizes open, grow and close, and every one has its own rows throughout."""
    rng = np.random.default_rng(3)
    blocks = Blocks()
    sizes = rng.integers(1, 60, 900)
    seconds = np.full(900, 60.0)
    for tick in range(8):
        models = rng.integers(0, 900, 2000).astype(np.int32)
        bases = blocks.bases(models, np.full(2000, tick), seconds, sizes)
        np.add.at(blocks.counts[:, 0], bases, 1)
        grown = rng.integers(0, 900, 30).tolist()
        sizes[grown] += 40
        blocks.ensure({model: int(sizes[model]) + 1 for model in grown})
        opened = blocks.opened()
        own = np.concatenate([np.arange(rows.start, rows.stop) for rows in rows_of(opened)])
        assert len(np.unique(own)) == len(own)
        assert (opened.size > sizes[opened.model]).all()
        newest = opened.tick == tick
        assert blocks.counts[opened.base[newest], 0].tolist() == np.bincount(models)[np.unique(models)].tolist()
        for _, group in blocks.due((tick - 1) * 60.0):
            blocks.close(group)
    assert len(blocks) == len(blocks.opened())


def test_memory_is_had_again() -> None:
    """A thousand ticks, one after another, hold no more than the two that were open at once."""
    blocks = Blocks()
    for tick in range(1000):
        open_at(blocks, [(0, tick), (1, tick)], [50, 50, 50])
        for _, group in blocks.due((tick + 1) * 60.0):
            blocks.close(group)
    assert blocks.nbytes() == Blocks().nbytes()
    assert not len(blocks)


def test_counts_are_widened_before_one_is_too_large() -> None:
    """Counts of 16 bits are had for as long as none could pass them, and none is lost when they are widened."""
    blocks = Blocks()
    (base,) = open_at(blocks, [(0, 1)], [3, 3, 3])
    for _ in range(65):
        blocks.widen_for(1000)
        blocks.counts[base + 1, 5] += 1000
    for _ in range(10):
        blocks.widen_for(50)  # looks how far counts have come instead of adding up what might have been
    assert blocks.counts.dtype == np.uint16
    blocks.widen_for(600)
    blocks.counts[base + 1, 5] += 600
    assert blocks.counts.dtype == np.uint32
    assert int(blocks.counts.sum()) == int(blocks.counts[base + 1, 5]) == 65_600
    open_at(blocks, [(model, 1) for model in range(3)] * 200, [900, 900, 900])
    assert blocks.counts.dtype == np.uint32


def test_restored_with_counts_of_any_size() -> None:
    """A stored tick with more events than 16 bits tell is opened again as it was, beside others."""
    blocks = Blocks()
    small, large = np.full((2, 40), 7, np.uint32), np.full((2, 40), 70_000, np.uint32)
    for model, counts in enumerate((small, large, small)):
        blocks.restore(model, 1, 120.0, counts, np.zeros((2, 4)))
    for rows, counts in zip(rows_of(blocks.opened()), (small, large, small), strict=True):
        assert np.array_equal(blocks.counts[rows][:2], counts)


def test_new_rows_begin_empty_whenever_the_arena_grows() -> None:
    """However many are opened at once or one by one, new rows hold nothing, and the others theirs."""
    blocks, held = Blocks(), 0
    for n, tick in ((1, 0), (700, 1), (40, 2), (3_000, 3)):
        open_at_once = (np.arange(n, dtype=np.int32), np.full(n, tick), np.full(n, 60.0), np.full(n, 7))
        bases = blocks.bases(*open_at_once)
        for base in bases.tolist():
            assert blocks.counts[base : base + 8].sum() == 0
            assert blocks.moments[base : base + 8].tolist() == [[0.0, 0.0, np.inf, -np.inf]] * 8
        blocks.counts[bases], blocks.moments[bases, 0] = tick + 1, tick + 1.0
        held += n
    opened = blocks.opened()
    assert len(opened) == held
    assert (blocks.counts[opened.base, 0] == opened.tick + 1).all()
    assert (blocks.moments[opened.base, 0] == opened.tick + 1.0).all()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux says what is resident")
def test_spare_rows_take_no_memory_when_counts_widen() -> None:
    """Counts that get 32 bits take the memory of rows that are used: 61 MB for 31, and not 31 for spare ones."""
    blocks = Blocks()
    for model, size in enumerate((400_000, 8)):
        at = np.array([model], np.int32), np.zeros(1, np.int64)
        blocks.bases(*at, np.full(model + 1, 60.0), np.full(model + 1, size))
    blocks.counts[:400_000] = 1
    before = resident_mb()
    blocks.widen_for(70_000)
    assert (blocks.counts.dtype, len(blocks.counts)) == (np.uint32, 600_006)
    assert resident_mb() - before < 45


def resident_mb() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE >> 20
