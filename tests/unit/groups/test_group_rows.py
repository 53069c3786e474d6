"""Has each group one row, however and whenever it is asked for?"""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor.catalog.rows import Field
from monitor.groups.group_rows import GroupRows

FIELDS = {"group": Field(np.int32, (), -1, still=True), "n": Field(np.int64), "held": Field(np.uint32)}
Batches = st.lists(st.lists(st.integers(0, 40), max_size=12), max_size=8)


@given(Batches, st.lists(st.integers(0, 60), max_size=20))
def test_rows_are_as_a_dictionary_has_them(batches: list[list[int]], asked: list[int]) -> None:
    """New groups of a batch get rows in their order, known ones keep theirs, others have none; cases are counted."""
    table, rows, n = GroupRows(FIELDS), dict[int, int](), dict[int, int]()
    for batch in batches:
        for group in sorted(set(batch)):
            rows.setdefault(group, len(rows))
        for group in batch:
            n[group] = n.get(group, 0) + 1
        found = table.count(np.array(batch, np.int64), "n", "held")
        assert found.tolist() == [rows[group] for group in batch]
    assert table.of(np.array(asked, np.int64)).tolist() == [rows.get(group, -1) for group in asked]
    for name in ("n", "held"):
        assert table[name][: len(table)].tolist() == [n[group] for group in rows]
    assert table.take_counted().tolist() == sorted(rows.values())
    assert table.take_counted().tolist() == []


def test_rows_are_found_again_after_a_start() -> None:
    """What was stored leads to the same rows."""
    table, again = GroupRows(FIELDS), GroupRows(FIELDS)
    table.enter(np.array([700, 3, 700, 12]))
    again.load(len(table), dict(table.take_dirty()))
    again.restored()
    assert again.of(np.array([3, 12, 700, 4, 9999])).tolist() == [0, 1, 2, -1, -1]
    assert again.enter(np.array([5, 3])).tolist() == [3, 0]
