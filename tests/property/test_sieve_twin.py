"""Does a sieve never deny a key that it was given, and are its compiled loops and their twins one and the same?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.kernels import sieve as kernel
from monitor.kernels.sieve import KEY_BITS, Sieve

KEY = st.one_of(st.integers(0, 300), st.integers(0, 2**64 - 1), st.integers(1, 9).map(lambda i: i << 60))
BATCH = st.lists(KEY, max_size=200)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 500), st.lists(BATCH, max_size=4), BATCH)
@pytest.mark.skipif(kernel._compiled() is None, reason="the kernels are not built")
def test_kernel_and_twin_agree(expected: int, batches: list[list[int]], others: list[int]) -> None:
    """Both set the same bits and give the same answers; what was entered may be there, whatever there was room for."""
    ours, twin = Sieve(expected), Sieve(expected)
    for batch in batches:
        keys = np.array(batch, np.uint64)
        ours.enter(keys)
        twin.enter_twin(keys)
        assert ours.may_hold(keys).all()
        assert twin.may_hold_twin(keys).all()
    assert np.array_equal(ours.words, twin.words)
    asked = np.array(others, np.uint64)
    assert np.array_equal(ours.may_hold(asked), twin.may_hold_twin(asked))


@pytest.mark.parametrize("in_a_row", [False, True])
def test_few_others_pass(in_a_row: bool) -> None:
    """With as many keys as it is for, one other in thirty passes at most, whatever they look like; of none, none."""
    n, rng = 50_000, np.random.default_rng(1)
    keys = np.arange(2 * n, dtype=np.uint64) if in_a_row else rng.integers(0, 2**64, 2 * n, np.uint64)
    sieve = Sieve(n)
    assert not sieve.may_hold(keys).any()
    sieve.enter(keys[:n])
    assert sieve.room == 0
    assert sieve.may_hold(keys[n:]).mean() < 1 / 30
    assert sieve.words.nbytes * 8 < n * KEY_BITS * 1.02
