"""Are the sums of blocks taken by the compiled loop as its twin takes them?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.kernels import gather
from monitor.kernels.gather import Due, Taken, gather_twin
from monitor.kernels.tally import COLUMNS

pytestmark = pytest.mark.skipif(gather.compiled() is None, reason="the kernels are not built")


def nothing(m: int, k: int) -> Taken:
    """Room for the sums of ``m`` blocks with ``k`` series."""
    counts = (np.zeros((n, COLUMNS), np.uint32) for n in (m + k, m, k))
    return Taken(*counts, np.full((m + k, 4), np.nan), np.full((k, 4), np.nan))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_blocks(seed: int) -> None:
    """Blocks of any size, from anywhere in an arena, some without series: the same facts and the same sums."""
    rng = np.random.default_rng(seed)
    size = rng.integers(1, 7, rng.integers(1, 12))
    m, k = len(size), int(size.sum()) - len(size)
    base = 8 * rng.permutation(20)[:m].astype(np.int64)
    counts = rng.integers(0, 2**32, (200, COLUMNS)).astype(np.uint32)
    denominator, number = rng.integers(0, 6, k), rng.random(k) < 0.5
    due = Due(base, size, counts, rng.normal(size=(200, 4)), denominator, number)
    ours, twins = nothing(m, k), nothing(m, k)
    gather.gather(due, ours)
    gather_twin(due, twins)
    for name in ("facts", "heads", "of_series", "facts_moments", "series_moments"):
        assert np.array_equal(getattr(ours, name), getattr(twins, name)), name
