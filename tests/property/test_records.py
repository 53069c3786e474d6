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


@given(VALUES)
def test_a_body_that_was_filled_in_place_holds_the_same(values: list[bytes | None]) -> None:
    """Values are bytes, that can be kept and compared, of a body of either kind."""
    records = Records.of(values)
    filled = Records(bytearray(records.body), records.lengths)
    assert list(filled) == [filled[i] for i in range(len(values))] == values
    assert all(value is None or isinstance(value, bytes) for value in [*filled, *filled[:]])
    assert filled.size == records.size
