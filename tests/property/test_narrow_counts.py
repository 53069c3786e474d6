"""Do counts of 16 bits come to what those of 32 bits do, wherever open ticks are counted, taken and packed?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.kernels import gather
from monitor.kernels.gather import Due, Taken, gather_twin
from monitor.kernels.table import Table
from monitor.kernels.tally import (
    COLUMNS,
    RECENT,
    Counts,
    Entries,
    ModelTotals,
    SeriesColumns,
    count_events,
    count_events_twin,
    count_repeats,
    count_repeats_twin,
    tally,
    tally_twin,
)
from monitor.store.sums import pack, pack_all

pytestmark = pytest.mark.skipif(gather.compiled() is None, reason="the kernels are not built")

EVENTS, SERIES = 12, 5
SEEDS = st.integers(0, 2**32 - 1)


def near_full(rng: np.random.Generator) -> tuple[Counts, Counts]:
    """The same counts in both widths, some so large that nothing but another bit is missing."""
    narrow = rng.choice([0, 1, 255, 256, 65_535 - EVENTS * SERIES], (2 * (SERIES + 1), COLUMNS)).astype(np.uint16)
    return narrow, narrow.astype(np.uint32)


def entries_of(rng: np.random.Generator) -> tuple[Entries, SeriesColumns]:
    m = EVENTS * SERIES
    entries = Entries(
        event=np.repeat(np.arange(EVENTS, dtype=np.int32), SERIES),
        type=rng.integers(0, 5, m).astype(np.uint8),
        space=rng.integers(0, 2, m).astype(np.uint8),
        series=rng.integers(-1, SERIES, m).astype(np.int32),
        number=rng.normal(size=m),
        text=rng.integers(1, 5, m).astype(np.uint64),
        name=rng.integers(1, 5, m).astype(np.uint64),
    )
    series = SeriesColumns(
        local=np.arange(1, SERIES + 1, dtype=np.int16),
        kind=rng.integers(0, 3, SERIES).astype(np.uint8),
        open=rng.integers(0, 2, SERIES).astype(np.uint8),
        n_edges=np.where(rng.random(SERIES) < 0.8, 31, 0).astype(np.uint8),
        edges=np.sort(rng.normal(size=(SERIES, 31)), axis=1),
        low=np.full(SERIES, -0.5),
        high=np.full(SERIES, 0.5),
    )
    return entries, series


@settings(max_examples=100, deadline=None)
@given(seed=SEEDS)
def test_counting(seed: int) -> None:
    """Values, events and repeated inputs: the same counts, compiled and in numpy."""
    for count, repeats, events in (
        (tally, count_repeats, count_events),
        (tally_twin, count_repeats_twin, count_events_twin),
    ):
        rng = np.random.default_rng(seed)
        both, recent = near_full(rng), np.zeros((2, 2, RECENT), np.uint32)
        entries, series = entries_of(rng)
        model = rng.integers(0, 2, EVENTS).astype(np.int32)
        base, parts = model * np.int32(SERIES + 1), rng.integers(0, 9, EVENTS).astype(np.uint16)
        prints = rng.integers(0, 3, EVENTS).astype(np.uint64)
        for counts, marks in zip(both, recent, strict=True):
            totals = ModelTotals(np.zeros(2, np.int64), np.zeros(2), np.zeros(2, bool))
            events(base, model, parts, rng.random(EVENTS), np.array([1, 6], np.uint16), counts, totals)
            count(entries, base, series, Table(), counts, np.zeros((len(counts), 4)))
            repeats(prints, base, model, marks, counts)
        assert np.array_equal(*both)


@settings(max_examples=50, deadline=None)
@given(seed=SEEDS)
def test_taking_and_packing(seed: int) -> None:
    """What a tick that closes is judged and stored by, and what is stored of one that is open."""
    rng = np.random.default_rng(seed)
    both, moments = near_full(rng), rng.normal(size=(2 * (SERIES + 1), 4))
    base, size = np.array([SERIES + 1, 0]), np.array([SERIES + 1, SERIES - 1])
    k = int(size.sum()) - 2
    denominator, number = rng.integers(0, 6, k), rng.random(k) < 0.5
    for take in (gather.gather, gather_twin):
        taken = [nothing(2, k), nothing(2, k)]
        for counts, out in zip(both, taken, strict=True):
            take(Due(base, size, counts, moments, denominator, number), out)
        for name in ("facts", "heads", "of_series"):
            assert np.array_equal(*(getattr(out, name) for out in taken)), name
    narrow, wide = (list(pack_all(counts, moments, base, size)) for counts in both)
    assert narrow == wide == [pack(both[0][b : b + n], moments[b : b + n]) for b, n in zip(base, size, strict=True)]


def nothing(m: int, k: int) -> Taken:
    """Room for the sums of ``m`` blocks with ``k`` series."""
    counts = (np.zeros((n, COLUMNS), np.uint32) for n in (m + k, m, k))
    return Taken(*counts, np.zeros((m + k, 4)), np.zeros((k, 4)))
