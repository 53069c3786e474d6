"""Are the compiled sets of keys, their twin and a plain set one and the same?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.events.columns import EventBatch, Part, Space, Strings
from monitor.kernels import remember as kernel
from monitor.kernels.remember import KeySet, enter, enter_twin, remember, remember_twin
from monitor.tally.duplicates import keys_of, keys_of_twin

KEY = st.one_of(st.integers(0, 12), st.integers(0, 2**64 - 1), st.integers(1, 9).map(lambda i: i << 60))
BATCH = st.lists(KEY, max_size=50)


@settings(max_examples=150, deadline=None)
@given(BATCH, BATCH, st.lists(st.tuples(BATCH, st.integers(0, 20)), max_size=5))
def test_twins_and_a_plain_set(oldest: list[int], older: list[int], batches: list[tuple[list[int], int]]) -> None:
    """Both say of each key what a set says of it, stop at the same one, and leave the same table behind."""
    if kernel._compiled() is None:
        pytest.skip("the kernels are not built")
    before = []
    for batch in (oldest, older):
        each = KeySet()
        each.restore(np.array(sorted({key for key in batch if key}), np.uint64))
        before.append(each)
    known = {key for key in (*oldest, *older) if key}
    a, b = KeySet(), KeySet()
    for batch, room in batches:
        keys = np.array(batch, np.uint64)
        b.make_room(min(len(keys), room))
        got, twin = remember(keys, *before, a, room), remember_twin(keys, *before, b, room)
        expected: list[bool] = []
        entered = 0
        for key in batch:
            new = key != 0 and key not in known
            if new and entered == room:
                break
            expected.append(key in known)
            known |= {key} if key else set()
            entered += new
        assert got.tolist() == twin.tolist() == expected
        assert a.slots.tolist() == b.slots.tolist()
        assert len(a) == len(b)


@settings(max_examples=50, deadline=None)
@given(st.lists(KEY, max_size=200))
def test_growing_loses_nothing(batch: list[int]) -> None:
    """A set that grew holds what went in, and entering again changes nothing."""
    keys = np.unique(np.array(batch, np.uint64))
    keys = keys[keys != 0]
    one = KeySet()
    one.restore(keys)
    one.make_room(5000)
    assert len(one.slots) >= 8192
    assert sorted(one.slots[one.slots != 0].tolist()) == keys.tolist()
    slots = one.slots.copy()
    enter(keys, one.slots)
    enter_twin(keys, slots)
    assert slots.tolist() == one.slots.tolist()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_keys_of_events(n: int, seed: int) -> None:
    """Whatever parts events have, whether they have an id, and whatever outcomes they tell: their keys are the same."""
    if kernel._compiled() is None:
        pytest.skip("the kernels are not built")
    rng = np.random.default_rng(seed)
    event = np.sort(rng.integers(0, max(n, 1), 3 * n)).astype(np.int32)
    batch = events(n, event, rng)
    assert keys_of(batch).tolist() == keys_of_twin(batch).tolist()


def events(n: int, event: np.ndarray, rng: np.random.Generator) -> EventBatch:
    """Events of anything, with entries in any space."""
    m, none = len(event), np.zeros(0, np.int32)

    def strings(k: int) -> Strings:
        hashes = rng.integers(0, 2**64, k, dtype=np.uint64) * (rng.random(k) < 0.9)
        return Strings(hashes.astype(np.uint64), np.zeros(k, np.int32), rng.integers(0, 3, k).astype(np.int32))

    return EventBatch(
        buffer=b"",
        record=np.arange(n, dtype=np.int32),
        model=strings(n),
        version=strings(n),
        id=strings(n),
        entity=strings(n),
        time=rng.random(n),
        parts=rng.integers(0, 2 * max(Part), n).astype(np.uint16),
        value=rng.random(n),
        lifecycle=np.zeros(n, np.uint8),
        event=event,
        space=rng.integers(0, max(Space) + 1, m).astype(np.uint8),
        type=np.zeros(m, np.uint8),
        name=strings(m),
        text=strings(m),
        number=rng.random(m),
        rejected=none,
        reasons=none.astype(np.uint8),
        unknown_fields=0,
    )
