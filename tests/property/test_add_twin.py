"""Does the compiled loop add up by row what its twin does, to the bit?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.kernels import add as kernel
from monitor.kernels.add import add_rows, add_rows_twin, count


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 300]), st.sampled_from([np.float64, np.float32]))
@pytest.mark.skipif(kernel.compiled() is None, reason="the kernels are not built")
def test_kernel_and_twin_agree(seed: int, n: int, dtype: type) -> None:
    """The same sums in the same order of adding: columns of a table, one number for all, gaps, cases of no row."""
    rng = np.random.default_rng(seed)
    rows, width = 7, int(rng.integers(1, 9))
    at = rng.integers(-1, rows * 2, n)
    table = rng.normal(size=(n, width)) * 10.0 ** rng.integers(-8, 8, (n, width))
    table[rng.random((n, width)) < 0.05] = np.nan
    parts = [table[:, k] if rng.random() < 0.7 else np.ascontiguousarray(table[:, k]) for k in range(width - 1)]
    parts.append(1.5)
    ours = rng.normal(size=(rows, 2, width)).astype(dtype)
    twin = ours.copy()
    add_rows(ours, at.astype(np.int32), parts)
    add_rows_twin(twin, at, parts)
    assert np.array_equal(ours, twin)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([np.int64, np.uint32]))
def test_counts(seed: int, dtype: type) -> None:
    """An element counts how often it was named."""
    rng = np.random.default_rng(seed)
    counts, at = np.zeros((3, 4), dtype), rng.integers(0, 12, 50)
    count(counts, at)
    count(counts, at[:20], 2)
    assert counts.ravel().tolist() == (np.bincount(at, minlength=12) + 2 * np.bincount(at[:20], minlength=12)).tolist()
