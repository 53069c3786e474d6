"""Records in one piece say what they said one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from monitor.events.records import CONSTANTS, Records

VALUES = st.lists(st.none() | st.binary(max_size=6), max_size=12)


@given(VALUES)
def test_every_record_is_what_it_was(values: list[bytes | None]) -> None:
    """Each can be had by its place, from either end, by a stretch and in turn; an empty one is no tombstone."""
    records = Records.of(values)
    assert list(records) == values
    assert [records[i] for i in range(len(values))] == values
    assert [records[i] for i in range(-len(values), 0)] == values
    assert records[1:-1] == values[1:-1]
    assert records.body == b"".join([*filter(None, values), CONSTANTS])
    assert records.size == sum(map(len, filter(None, values)))
