"""Are the sums of every model and tick in rows of their own, wherever the arena puts them?"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from monitor.tally.blocks import Blocks

SECONDS = np.array([60.0, 60.0, 3600.0])


def open_at(blocks: Blocks, pairs: list[tuple[int, int]], sizes: list[int]) -> list[int]:
    models, ticks = np.array(pairs).T
    return blocks.bases(models.astype(np.int32), ticks.astype(np.int64), SECONDS, np.array(sizes)).tolist()


def test_rows_do_not_overlap() -> None:
    """Open blocks of many models and ticks share no row, and each is found where it was opened."""
    blocks = Blocks()
    pairs = [(model, tick) for tick in range(40) for model in range(3)]
    bases = open_at(blocks, pairs, [5, 12, 700])
    spans = sorted((block.base, block.base + block.size) for block in blocks.open.values())
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
    assert [(end, [block.model for block in group]) for end, group in due] == [(120.0, [0]), (240.0, [0, 1])]
    for _, group in due:
        for block in group:
            counts, moments = blocks.sums(block)
            counts[:], moments[:] = 7, 7.0
            blocks.close(block)
    assert blocks.due(3599.0) == []
    open_at(blocks, [(0, 100), (1, 100)], [2, 2, 2])
    for key in ((0, 100), (1, 100)):
        counts, moments = blocks.sums(blocks.open[key])
        assert counts.sum() == 0
        assert moments.tolist() == [[0.0, 0.0, np.inf, -np.inf]] * len(counts)


def test_growing_keeps_what_was_counted() -> None:
    """A model that gets series while its ticks are open keeps their sums, and its events find the new place."""
    blocks = Blocks()
    before = open_at(blocks, [(0, 1), (0, 2), (1, 1)], [3, 3, 3])
    for key in blocks.open:
        counts, moments = blocks.sums(blocks.open[key])
        counts[1, 2], moments[2, 3] = 10 + key[1], 5.0
    blocks.ensure(0, 500)
    after = open_at(blocks, [(0, 1), (0, 2), (1, 1)], [500, 3, 3])
    assert after[2] == before[2]
    assert not set(after[:2]) & set(before)
    for key, block in blocks.open.items():
        counts, moments = blocks.sums(block)
        assert counts[1, 2] == 10 + key[1]
        assert moments[2, 3] == 5.0
        assert counts.sum() == 10 + key[1]


def test_restored_as_it_was() -> None:
    """A stored block is opened again with its sums, at its model, tick and end."""
    blocks, again = Blocks(), Blocks()
    open_at(blocks, [(2, 5)], [9, 9, 9])
    block = blocks.open[2, 5]
    counts, moments = blocks.sums(block)
    counts[3], moments[3] = 4, 2.0
    again.restore(2, 5, block.end, counts, moments)
    [(end, [restored])] = again.due(np.inf)
    assert (end, restored.model, restored.tick) == (block.end, 2, 5)
    assert np.array_equal(again.sums(restored)[0][: len(counts)], counts)
    assert np.array_equal(again.sums(restored)[1][: len(counts)], moments)


def test_memory_is_had_again() -> None:
    """A thousand ticks, one after another, hold no more than the two that were open at once."""
    blocks = Blocks()
    for tick in range(1000):
        open_at(blocks, [(0, tick), (1, tick)], [50, 50, 50])
        for _, group in blocks.due((tick + 1) * 60.0):
            for block in group:
                blocks.close(block)
    assert blocks.nbytes() == Blocks().nbytes()
    assert not blocks.open
