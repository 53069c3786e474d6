"""Do the sums of a tick survive being bytes, and is every damage to the bytes an error or harmless?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from monitor.errors import StoreError
from monitor.kernels.tally import COLUMNS
from monitor.store.sums import pack, unpack, unpack_slowly
from monitor.tally.closed import merge

Sums = tuple[NDArray[np.uint32], NDArray[np.float64]]
EMPTY = (0.0, 0.0, np.inf, -np.inf)


@st.composite
def sums(draw: st.DrawFn) -> Sums:
    """Sums of up to 3,000 rows, from empty to dense, with counts of every width."""
    rows = draw(st.sampled_from([0, 1, 2, 5, 40, 3000]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    counts = np.zeros((rows, COLUMNS), np.uint32)
    filled = rng.random((rows, COLUMNS)) < draw(st.sampled_from([0.0, 0.001, 0.1, 1.0]))
    counts[filled] = rng.integers(0, draw(st.sampled_from([2, 256, 65536, 2**32])), int(filled.sum()))
    moments = np.tile(EMPTY, (rows, 1))
    numbered = rng.random(rows) < 0.5
    values = np.sort(rng.normal(0, 100, (int(numbered.sum()), 4)), axis=1)
    moments[numbered] = values[:, [1, 2, 0, 3]]
    return counts, moments


def same(a: Sums, b: Sums) -> bool:
    return np.array_equal(a[0], b[0]) and np.array_equal(a[1], b[1])


@settings(max_examples=100, deadline=None)
@given(sums())
def test_round_trip(given_sums: Sums) -> None:
    """What is unpacked is what was packed, exactly."""
    assert same(unpack(pack(*given_sums)), given_sums)


@settings(max_examples=100, deadline=None)
@given(sums(), sums())
def test_merge_commutes(a: Sums, b: Sums) -> None:
    """It does not matter which part is merged into which, nor are the parts written to."""
    kept = a[0].copy(), a[1].copy()
    with np.errstate(over="ignore"):
        assert same(merge(a, b), merge(b, a))
    assert same(a, kept)


@settings(max_examples=200, deadline=None)
@given(sums(), st.data())
def test_cut_off(given_sums: Sums, data: st.DataObject) -> None:
    """A blob that was cut short anywhere is an error."""
    blob = pack(*given_sums)
    with pytest.raises(StoreError):
        unpack(blob[: data.draw(st.integers(0, len(blob) - 1))])


@settings(max_examples=400, deadline=None)
@given(sums(), st.lists(st.tuples(st.integers(0, 2**31), st.integers(0, 255)), min_size=1, max_size=4), st.booleans())
def test_damaged(given_sums: Sums, flips: list[tuple[int, int]], in_head: bool) -> None:
    """Changed bytes give an error that the store knows, or arrays of the right shape; never another error."""
    blob = bytearray(pack(*given_sums))
    for where, byte in flips:
        blob[where % (13 if in_head else len(blob))] = byte
    try:
        counts, moments = unpack(bytes(blob))
    except StoreError:
        return
    assert counts.shape[1:] == (COLUMNS,)
    assert moments.shape == (len(counts), 4)


@settings(max_examples=200, deadline=None)
@given(sums(), st.lists(st.tuples(st.integers(0, 2**31), st.integers(0, 255)), max_size=3), st.integers(0, 3))
def test_reading_has_a_twin(given_sums: Sums, flips: list[tuple[int, int]], cut: int) -> None:
    """The kernel and its twin read the same, and refuse the same."""
    blob = bytearray(pack(*given_sums))
    for where, byte in flips:
        blob[where % len(blob)] = byte
    read: list[Sums | None] = []
    for way in (unpack, unpack_slowly):
        try:
            read.append(way(bytes(blob[: len(blob) - cut])))
        except StoreError:
            read.append(None)
    fast, slow = read
    assert (fast is None) == (slow is None)
    if fast is not None and slow is not None:
        assert np.array_equal(fast[0], slow[0])
        assert fast[1].tobytes() == slow[1].tobytes()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes(blob: bytes) -> None:
    """Bytes that never were sums are an error, or by chance are some."""
    try:
        counts, _ = unpack(blob)
    except StoreError:
        return
    assert counts.shape[1:] == (COLUMNS,)
