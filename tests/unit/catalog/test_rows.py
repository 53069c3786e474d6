"""Do parallel arrays keep what was written as they grow, and give back exactly what they stored?"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.catalog.rows import CHUNK, Field, Rows, put
from monitor.errors import StoreError

FIELDS = {"a": Field(np.int32, (), -1), "b": Field(np.float64, (3,), np.nan), "c": Field(np.uint8)}
RARE = {"r": Field(np.float64, (5,), rare=True), "s": Field(np.uint8, rare=True)}


def test_growing_keeps() -> None:
    """New rows hold the fill values, old ones what was written."""
    rows = Rows(FIELDS)
    for i in range(3 * CHUNK):
        assert rows.add() == i
        rows["a"][i] = i
    rows.add(1000)
    assert len(rows) == 3 * CHUNK + 1000
    assert rows["a"][: 3 * CHUNK].tolist() == list(range(3 * CHUNK))
    assert set(rows["a"][3 * CHUNK : len(rows)].tolist()) == {-1}
    assert np.isnan(rows["b"][: len(rows)]).all()


def test_room_is_made_once() -> None:
    """Rows for which room was made are added where they are: nothing is copied, and they hold the fill values."""
    rows = Rows(FIELDS)
    rows.add(CHUNK)
    rows["a"][:CHUNK], seen = 7, []
    rows.make_room(9 * CHUNK, lambda: seen.append([(rows[name][:CHUNK] == 7).all() for name in FIELDS]))
    assert seen == [[True, False, False]] * len(FIELDS), "at any time each array has what was written"
    room = rows["a"]
    for _ in range(8):
        rows.add(CHUNK)
    assert rows["a"] is room
    assert len(rows) == 9 * CHUNK
    assert rows["a"][: len(rows)].tolist() == [7] * CHUNK + [-1] * (8 * CHUNK)
    assert len(list(rows.take_dirty())) == 9


def test_a_chunk_of_fill_values_takes_no_bytes() -> None:
    """Of an array only those chunks are stored in which a row differs from the fill, be it the last one."""
    rows = Rows({"a": Field(np.float64, (), np.nan), "b": Field(np.uint8, (3,), 7)})
    rows.add(2 * CHUNK + 5)
    rows["a"][2 * CHUNK + 4] = 1.0
    rows["b"][CHUNK - 1, 2] = 6
    assert [(chunk, blob[:2], len(blob) - 2) for chunk, blob in rows.take_dirty()] == [
        (0, b"\x00\x01", 3 * CHUNK),
        (1, b"\x00\x00", 0),
        (2, b"\x01\x00", 5 * 8),
    ]


def test_reset_fills() -> None:
    """A row that was reset is like a new one."""
    rows = Rows(FIELDS)
    rows.add(5)
    rows["a"][:5], rows["b"][:5], rows["c"][:5] = 4, 4.0, 4
    rows.reset(np.array([1, 3]))
    assert rows["a"][:5].tolist() == [4, -1, 4, -1, 4]
    assert rows["c"][:5].tolist() == [4, 0, 4, 0, 4]
    assert np.isnan(rows["b"][[1, 3]]).all()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 2 * CHUNK), st.integers(0, 2**31)), min_size=1, max_size=6))
def test_what_changed_is_enough(steps: list[tuple[int, int]]) -> None:
    """Chunks taken after each step, the newest of each kept, are all that a load needs."""
    rows, stored = Rows(FIELDS), {}
    for n, seed in steps:
        rng = np.random.default_rng(seed)
        rows.add(n)
        at = rng.integers(0, len(rows), 5)
        rows["a"][at], rows["b"][at] = rng.integers(0, 99, 5), rng.random((5, 3))
        rows.touch(at)
        stored.update(rows.take_dirty())
        assert list(rows.take_dirty()) == []
    again = Rows(FIELDS)
    again.load(len(rows), stored)
    assert list(again.take_dirty()) == []
    for name in FIELDS:
        assert np.array_equal(again[name][: len(rows)], rows[name][: len(rows)], equal_nan=name == "b")


def test_what_is_as_new_takes_no_room() -> None:
    """Of arrays that hold nothing but fill values a mark is stored, and no row."""
    rows = Rows(FIELDS)
    rows.add(CHUNK)
    assert dict(rows.take_dirty()) == {0: bytes(3)}
    rows["c"][7] = 1
    rows.touch(7)
    assert len(dict(rows.take_dirty())[0]) == 3 + CHUNK


@pytest.mark.parametrize("damage", ["missing", "short", "long"])
def test_damaged_chunk(damage: str) -> None:
    """A chunk that is missing or of another size is an error that names it."""
    rows = Rows(FIELDS)
    rows.add(CHUNK + 3)
    chunks = dict(rows.take_dirty())
    chunks[1] = {"missing": b"", "short": chunks[1][:-1], "long": chunks[1] + b"x"}[damage]
    with pytest.raises(StoreError, match="chunk 1 has"):
        Rows(FIELDS).load(CHUNK + 3, chunks)


def test_what_is_derived_is_not_stored() -> None:
    """A column that follows from others is in no chunk and no signature, and is filled anew where a table is loaded."""
    rows = Rows(FIELDS | {"d": Field(np.float64, (4,), 3.0, derived=True)})
    rows.add(CHUNK)
    rows["a"][:CHUNK], rows["d"][:CHUNK] = 7, 8.0
    stored = dict(rows.take_dirty())
    again = Rows(FIELDS | {"d": Field(np.float64, (4,), 3.0, derived=True)})
    again.load(CHUNK, stored)
    assert again["a"][:CHUNK].tolist() == [7] * CHUNK
    assert (again["d"][:CHUNK] == 3.0).all()
    assert again.signature() == Rows(FIELDS).signature()
    Rows(FIELDS).load(CHUNK, stored)


def test_signature_knows_columns() -> None:
    """Other names, types or shapes are another signature."""
    others = [{"a": Field(np.int64, (), -1)}, {"a": Field(np.int32, (2,))}, {"z": Field(np.int32)}]
    assert len({Rows(FIELDS).signature(), *(Rows({**FIELDS, **other}).signature() for other in others)}) == 4


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 40 * CHUNK), st.integers(0, 2**31)), min_size=1, max_size=5))
def test_rare_arrays_are_as_others(steps: list[tuple[int, int]]) -> None:
    """An array whose zeros take no memory keeps, resets, stores and loads as any other, in pages and below."""
    plain = {name: Field(field.dtype, field.shape) for name, field in RARE.items()}
    rare, others, stored = Rows(RARE), Rows(plain), {}
    for n, seed in steps:
        rng = np.random.default_rng(seed)
        rare.add(n), others.add(n)
        at = np.unique(rng.integers(0, len(rare), 9))
        many, few = rng.integers(0, 2, (len(at), 5)), rng.integers(0, 2, len(at))
        put(rare["r"], at, many), put(rare["s"], at, few)
        others["r"][at], others["s"][at] = many, few
        gone = np.unique(rng.integers(0, len(rare), 3))
        rare.touch(at), others.touch(at), rare.reset(gone), others.reset(gone)
        for name in RARE:
            assert np.array_equal(rare[name][: len(rare)], others[name][: len(rare)])
        stored.update(rare.take_dirty())
    assert stored == dict(_whole(others))
    again = Rows(RARE)
    again.load(len(rare), stored)
    for name in RARE:
        assert np.array_equal(again[name][: len(rare)], rare[name][: len(rare)])


def _whole(rows: Rows) -> dict[int, bytes]:
    rows.touch(np.arange(len(rows)))
    return dict(rows.take_dirty())


def test_zeros_of_rare_arrays_take_no_memory() -> None:
    """Of 40 MB of zeros that grew, were read, reset and written where they were, next to nothing is resident.

    In a process of its own: in memory that was used before, the C library writes zeros itself.
    """
    asked = "from unit.catalog.test_rows import zeros_mb; print(zeros_mb())"
    paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", asked], env=os.environ | paths, capture_output=True, check=True)
    assert float(done.stdout) < 10.0


def zeros_mb() -> float:
    """How much more is resident behind 40 MB of zeros."""
    rows, began = Rows(RARE), _resident_mb()
    for _ in range(4):
        rows.add(1_000 * CHUNK)
        put(rows["r"], np.arange(0, len(rows), 100 * CHUNK), np.zeros((len(rows) // CHUNK // 100, 5)))
        rows.reset(np.arange(len(rows)), ["s"])
        assert not rows["r"].any()
    assert rows["r"].nbytes > 40e6
    return _resident_mb() - began


def _resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6
