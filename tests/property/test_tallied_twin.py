"""Does the compiled loop find the tallies in which cases count as its twin does?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.kernels import tallied as kernel
from monitor.kernels.tallied import tallied, tallied_twin

MEMBERS, KINDS = 9, 3


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 60]))
@pytest.mark.skipif(kernel.compiled() is None, reason="the kernels are not built")
def test_kernel_and_twin_agree(seed: int, n: int) -> None:
    """The same pairs in the same order, of cases of no group or of many, and the same members without a tally."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, 4, n)
    first = np.concatenate([[0], np.cumsum(sizes)])
    member = rng.integers(0, MEMBERS, int(first[-1]))
    base = rng.integers(-1, 40, (MEMBERS, KINDS)).astype(np.int32)
    event = np.flatnonzero(rng.random(n) < 0.7)
    given_ = (event, rng.random(len(event)), first, member, base, int(rng.integers(KINDS)))
    ours, twin = tallied(*given_), tallied_twin(*given_)
    for name in ("event", "tally", "s", "lacking"):
        assert np.array_equal(getattr(ours, name), getattr(twin, name)), name
    assert len(ours.tally) + len(ours.lacking) == sizes[event].sum()
