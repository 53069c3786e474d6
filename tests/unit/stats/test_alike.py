"""Are rows that say the same found to be of one kind, and no others?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.stats import alike as module
from monitor.stats.alike import alike


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0, 1 << 52, 3 << 62, (1 << 64) - 1])), max_size=60))
def test_rows_of_a_kind_are_the_same(rows: list[tuple[int, int]]) -> None:
    """Each row is that in which its kind first stands; there are as many kinds as different rows, in their order."""
    words = np.array(rows, np.uint64).reshape(-1, 2)
    first, kind = alike(words)
    assert np.array_equal(words[first][kind], words)
    assert [rows[i] for i in first.tolist()] == list(dict.fromkeys(rows))
    assert first.tolist() == sorted(first.tolist())


def test_two_kinds_with_one_hash_stay_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where hashes meet that are of different rows, the rows themselves are compared."""
    monkeypatch.setattr(module, "_hashes", lambda words: words[:, 0])
    first, kind = alike(np.array([[1, 2], [1, 3], [1, 2], [4, 2]], np.uint64))
    assert (first.tolist(), kind.tolist()) == ([0, 1, 3], [0, 1, 0, 2])
