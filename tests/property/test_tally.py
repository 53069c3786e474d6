"""Do the compiled loops and their twins count alike, and does counting in parts give the sums of the whole?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from monitor.catalog.series import JUDGED_SPACES
from monitor.events.columns import Space, ValueType
from monitor.kernels import table as table_module
from monitor.kernels.table import Table, mix
from monitor.kernels.tally import (
    BINS,
    COLUMNS,
    EDGES,
    ELSEWHERE,
    KIND_CATEGORY,
    KIND_NUMBER,
    KIND_UNKNOWN,
    PRESENT,
    RECENT,
    TYPE,
    Entries,
    SeriesColumns,
    count_repeats,
    count_repeats_twin,
    order_of,
    series_key,
    series_of,
    starts_of,
    tally,
    tally_twin,
)
from monitor.store.sums import pack, unpack
from monitor.tally.closed import merge

needs_kernels = pytest.mark.skipif(table_module.compiled() is None, reason="the kernels are not built")

SERIES, EVENTS, ROWS = 6, 12, 3
EMPTY = (0.0, 0.0, np.inf, -np.inf)
NUMBERS = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 2.5, np.nan, np.inf, -np.inf, 1e308, -1e-300]),
    st.floats(-5, 5, allow_nan=False),
)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Entries, NDArray[np.int32], SeriesColumns, Table]:
    """Entries of some events, the series they belong to, and the categories that are known."""
    m = draw(st.integers(0, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_edges = rng.integers(0, EDGES + 1, SERIES).astype(np.uint8)
    edges = np.zeros((SERIES, EDGES))
    for row, n in enumerate(n_edges.tolist()):
        edges[row, :n] = np.sort(rng.choice(np.linspace(-4, 4, 65), n, replace=False))
    series = SeriesColumns(
        local=np.arange(1, SERIES + 1, dtype=np.int16),
        kind=rng.choice([KIND_UNKNOWN, KIND_NUMBER, KIND_CATEGORY], SERIES).astype(np.uint8),
        open=rng.integers(0, 2, SERIES).astype(np.uint8),
        n_edges=n_edges,
        edges=edges,
        low=rng.choice([-np.inf, -1.0], SERIES),
        high=rng.choice([np.inf, 1.0], SERIES),
    )
    categories, texts = Table(), np.arange(1, 9, dtype=np.uint64)
    for row in range(SERIES):
        for code, key in enumerate(mix(np.full(4, row, np.uint64), texts[:4]).tolist()):
            categories.insert(key, code)
    entries = Entries(
        event=np.sort(rng.integers(0, EVENTS, m)).astype(np.int32),
        type=rng.integers(0, len(ValueType), m).astype(np.uint8),
        space=rng.integers(0, 2, m).astype(np.uint8),
        series=rng.integers(-1, SERIES, m).astype(np.int32),
        number=np.array(draw(st.lists(NUMBERS, min_size=m, max_size=m)), np.float64),
        text=rng.choice(texts, m),
        name=rng.integers(1, 5, m).astype(np.uint64),
    )
    base = rng.choice([-1, 0, SERIES + 1, 2 * (SERIES + 1)], EVENTS).astype(np.int32)
    return entries, base, series, categories


def part(entries: Entries, first: int, last: int) -> Entries:
    columns = (getattr(entries, name) for name in Entries.__slots__)
    return Entries(*(column[first:last] for column in columns))


def arena() -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
    rows = ROWS * (SERIES + 1)
    return np.zeros((rows, COLUMNS), np.uint32), np.tile(EMPTY, (rows, 1))


@needs_kernels
@settings(max_examples=150, deadline=None)
@given(worlds())
def test_compiled_is_twin(world: tuple) -> None:
    """Counts, moments and what is left to the catalogue are the same, bit for bit."""
    entries, base, series, categories = world
    ours, twins = arena(), arena()
    left, prints = tally(entries, base, series, categories, *ours)
    left_twin, prints_twin = tally_twin(entries, base, series, categories, *twins)
    assert left.tolist() == left_twin.tolist()
    assert prints.tolist() == prints_twin.tolist()
    assert np.array_equal(ours[0], twins[0])
    assert np.array_equal(ours[1], twins[1], equal_nan=True)


@needs_kernels
@settings(max_examples=100, deadline=None)
@given(worlds())
def test_columns_are_those_counted_into(world: tuple) -> None:
    """Compiled and twin note the same column of each entry, and it went up by as many as name it."""
    entries, base, series, categories = world
    counts, moments = arena()
    tally_twin(entries, base, series, categories, *arena())
    of_twin = entries.column
    tally(entries, base, series, categories, counts, moments)
    assert entries.column.tolist() == of_twin.tolist()
    told = np.flatnonzero(entries.column != ELSEWHERE)
    at = base[entries.event[told]] + series.local[entries.series[told]]
    noted = np.zeros_like(counts)
    np.add.at(noted, (at, entries.column[told]), 1)
    columns = [*range(TYPE + 2)]
    assert (noted[:, columns] <= counts[:, columns]).all()
    assert len(told) == 0 or (counts[at, entries.column[told]] > 0).all()


def alike(seed: int, apart: int) -> tuple[Entries, NDArray[np.int32], SeriesColumns, Table]:
    """Events of three models that mostly name the same values as the model's last one did; one names a series twice.

    Rows of series lie so far ``apart``.
    """
    rng, n = np.random.default_rng(seed), 120
    edges = np.sort(rng.choice(np.linspace(-4, 4, 65), (SERIES, EDGES)), axis=1)
    series = SeriesColumns(
        local=np.arange(1, SERIES + 1, dtype=np.int16),
        kind=rng.choice([KIND_UNKNOWN, KIND_NUMBER, KIND_NUMBER, KIND_CATEGORY], SERIES).astype(np.uint8),
        open=rng.integers(0, 2, SERIES).astype(np.uint8),
        n_edges=rng.choice([0, 1, 7, EDGES, EDGES], SERIES).astype(np.uint8),
        edges=edges,
        low=rng.choice([-np.inf, -1.0], SERIES),
        high=rng.choice([np.inf, 1.0], SERIES),
    )
    categories = Table()
    for row in range(SERIES):
        whose = np.full(12, row * apart, np.uint64)
        for code, key in enumerate(mix(whose, np.arange(1, 13, dtype=np.uint64)).tolist()):
            categories.insert(key, code)
    named = [rng.permutation(SERIES), rng.permutation(SERIES), rng.integers(-1, SERIES, SERIES)]
    spaces = rng.integers(0, 2, (3, SERIES)).astype(np.uint8)
    model, parts, like = rng.integers(0, 3, n), [], np.full(n, -1, np.int32)
    for event, of in enumerate(model.tolist()):
        kept = rng.random(SERIES) < rng.choice([0.6, 1.0, 1.0, 1.0, 1.0])
        parts.append((np.full(int(kept.sum()), event), named[of][kept], spaces[of][kept]))
        before = np.flatnonzero(model[:event] == of)
        if len(before) and np.array_equal(parts[before[-1]][1:], parts[-1][1:]):
            like[event] = before[-1]
    event, rows, space = (np.concatenate(column) for column in zip(*parts, strict=True))
    m, usual = len(event), series.kind[rows] == KIND_CATEGORY
    types = np.where(rng.random(m) < 0.8, np.where(usual, ValueType.TEXT, ValueType.NUMBER), rng.integers(0, 5, m))
    entries = Entries(
        event=event.astype(np.int32),
        type=types.astype(np.uint8),
        space=space.astype(np.uint8),
        series=np.where(rows < 0, -1, rows * apart).astype(np.int32),
        number=np.where(rng.random(m) < 0.05, rng.choice([np.nan, np.inf, -0.0, 1e308], m), rng.normal(size=m)),
        text=rng.integers(1, 16, m).astype(np.uint64),
        name=(rows + 100).astype(np.uint64),
        like=like,
    )
    base = np.where(rng.random(n) < 0.05, -1, model * (SERIES + 1)).astype(np.int32)
    columns = (np.repeat(getattr(series, name), apart, axis=0) for name in SeriesColumns.__slots__)
    return entries, base, SeriesColumns(*columns), categories


@needs_kernels
@pytest.mark.parametrize("width", [np.uint16, np.uint32])
@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_events_alike_are_counted_as_each(width: type, seed: int) -> None:
    """Events that name the same, counted together, come to what their twin counts, bit for bit."""
    ways = []
    for count in (tally, tally_twin):
        entries, base, series, categories = alike(seed, apart=1 + seed % 2 * 1023)
        counts, moments = arena()
        counts = counts.astype(width)
        with np.errstate(over="ignore"):
            left, prints = count(entries, base, series, categories, counts, moments)
        ways.append((left, prints, counts, moments, entries.column))
    for ours, twins in zip(*ways, strict=True):
        assert np.array_equal(ours, twins, equal_nan=ours.dtype == np.float64)


@settings(max_examples=100, deadline=None)
@given(worlds(), st.floats(0, 1))
def test_parts_make_the_whole(world: tuple, where: float) -> None:
    """Two parts, counted apart and merged by the store, are the sums of all: sums to rounding, the rest exactly."""
    entries, base, series, categories = world
    cut = int(np.searchsorted(entries.event, int(where * EVENTS)))  # an event is far outside as a whole
    whole, first, second = arena(), arena(), arena()
    with np.errstate(all="ignore"):
        tally(entries, base, series, categories, *whole)
        tally(part(entries, 0, cut), base, series, categories, *first)
        tally(part(entries, cut, len(entries.event)), base, series, categories, *second)
        merged = merge(unpack(pack(*first)), unpack(pack(*second)))
    assert np.array_equal(merged[0], whole[0])
    assert np.array_equal(merged[1][:, 2:], whole[1][:, 2:])
    small = np.abs(whole[1][:, :2]) < 1e100
    assert np.allclose(merged[1][:, :2][small], whole[1][:, :2][small], rtol=1e-12, atol=1e-12)


@settings(max_examples=100, deadline=None)
@given(worlds())
def test_every_entry_has_one_place(world: tuple) -> None:
    """Each entry that counts is present once, and is either in one column besides or left to the catalogue."""
    entries, base, series, categories = world
    counts, moments = arena()
    with np.errstate(all="ignore"):
        left, _ = tally(entries, base, series, categories, counts, moments)
    counts[:: SERIES + 1] = 0  # the first row of a block counts events
    counting = int(((base[entries.event] >= 0) & (entries.series >= 0)).sum())
    assert int(counts[:, PRESENT].sum()) == counting
    assert int(counts[:, :BINS].sum() + counts[:, BINS : TYPE + 2].sum()) + len(left) == counting


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 2**64 - 1), max_size=200), st.lists(st.integers(0, 2**64 - 1), max_size=50))
def test_find_is_twin(inserted: list[int], others: list[int]) -> None:
    """Every key finds the last value that it was given, others find nothing, compiled, in numpy and one by one."""
    table, expected = Table(), {}
    for value, key in enumerate(inserted):
        table.insert(key, value)
        expected[key] = value
    wanted = np.array(inserted + others, np.uint64)
    want = [expected.get(key, -1) for key in wanted.tolist()]
    assert table.find(wanted).tolist() == want
    assert table.find_twin(wanted).tolist() == want
    assert [table.find_one(key) for key in wanted.tolist()] == want
    assert len(table) == len(expected)


@pytest.mark.parametrize("is_compiled", [True, False])
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.integers(1, 40) | st.integers(1, 2**64 - 1), max_size=900), max_size=4))
def test_insert_many_is_insert(is_compiled: bool, monkeypatch: pytest.MonkeyPatch, batches: list[list[int]]) -> None:
    """Keys that come together are found as if they had come one by one, whether the table must grow or not."""
    if not is_compiled:
        monkeypatch.setattr(table_module, "compiled", lambda: None)
    table, expected = Table(), {}
    for batch in batches:
        values = np.arange(len(batch)) + len(expected)
        table.insert_many(np.array(batch, np.uint64), values)
        expected |= zip(batch, values.tolist(), strict=True)
    assert [table.find_one(key) for key in expected] == list(expected.values())
    assert len(table) == len(expected)
    assert 2 * len(table) <= len(table.keys)


def test_table_grows_and_forgets() -> None:
    """Hundreds of keys that share their low bits are found; forgotten ones are not, and their room is had again."""
    table = Table()
    keys = (np.arange(1, 801, dtype=np.uint64) << np.uint64(16)) + np.uint64(7)
    for value, key in enumerate(keys.tolist()):
        table.insert(key, value)
    assert table.find(keys).tolist() == list(range(800))
    table.forget(keys[:700])
    assert table.find(keys[:700]).max() == -1
    assert table.find(keys[700:]).tolist() == list(range(700, 800))
    for key in range(1, 5_001):
        table.insert(key, 1)
        table.forget(np.array([key], np.uint64))
    assert len(table.keys) <= 4096
    assert table.find(keys[700:]).tolist() == list(range(700, 800))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_series_of_is_its_key(seed: int) -> None:
    """A series is found under its event's model, its space and its name; what has none and could is listed."""
    rng = np.random.default_rng(seed)
    models, names = rng.integers(1, 2**63, 4).astype(np.uint64), rng.integers(1, 2**63, 5).astype(np.uint64)
    event = np.sort(rng.integers(0, 4, 30)).astype(np.int32)
    space, name = rng.integers(0, len(Space), 30).astype(np.uint8), rng.choice(names, 30)
    keys = series_key(models[event], space, name)
    table = Table()
    row_keys = np.array(list(dict.fromkeys(keys[:15].tolist())), np.uint64)
    for row, key in enumerate(row_keys.tolist()):
        table.insert(key, row)
    event_row = rng.integers(-1, 2, 4).astype(np.int32)
    series, unknown = series_of(event, models, event_row, space, name, row_keys, table)
    assert series.tolist() == table.find_twin(keys).tolist()
    lacking = (series < 0) & np.isin(space, list(JUDGED_SPACES)) & (event_row[event] >= 0)
    assert unknown.tolist() == np.flatnonzero(lacking).tolist()


@needs_kernels
@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_series_are_those_of_the_event_before(seed: int) -> None:
    """Events of a model that name what its last one did, or nearly so, have the series that the table says."""
    rng = np.random.default_rng(seed)
    models, names = rng.integers(1, 2**63, 3).astype(np.uint64), rng.integers(1, 2**63, 6).astype(np.uint64)
    usual = [(names[rng.permutation(6)], rng.integers(0, len(Space), 6).astype(np.uint8)) for _ in models]
    row, parts = rng.integers(0, 3, 40), []
    for event, model in enumerate(row.tolist()):
        kept = rng.random(6) < rng.choice([0.5, 0.9, 1.0])
        name, space = (column[kept] for column in usual[model])
        parts.append((np.full(len(name), event, np.int32), name, space))
    of, name, space = (np.concatenate(column) for column in zip(*parts, strict=True))
    keys = series_key(models[row[of]], space, name)
    row_keys = np.array([key for key in dict.fromkeys(keys.tolist()) if rng.random() < 0.8], np.uint64)
    table = Table()
    table.insert_many(row_keys, np.arange(len(row_keys)))
    event_row = np.where(rng.random(3) < 0.8, np.arange(3), -1)[row].astype(np.int32)
    like = np.full(40, -1, np.int32)
    series, unknown = series_of(of, models[row], event_row, space, name, row_keys, table, like)
    assert series.tolist() == table.find_twin(keys).tolist()
    for event, before in enumerate(like.tolist()):
        last = [other for other in range(event) if row[other] == row[event] and len(parts[other][1])]
        known = event_row[event] >= 0 and len(last) and len(parts[event][1])
        same = known and all(map(np.array_equal, parts[event][1:], parts[last[-1]][1:]))
        assert before == (last[-1] if same else -1)
    lacking = (series < 0) & np.isin(space, list(JUDGED_SPACES)) & (event_row[of] >= 0)
    assert unknown.tolist() == np.flatnonzero(lacking).tolist()


@needs_kernels
@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 11)), st.lists(st.one_of(st.integers(-1, 9), st.integers(2040, 2**31 - 2))))
def test_starts_and_order(events: list[int], numbers: list[int]) -> None:
    """Where the entries of each event begin, and the order of numbers, those of one as they came: as numpy has them."""
    event, number = np.array(sorted(events), np.int32), np.array(numbers, np.int32)
    assert starts_of(event, 12).tolist() == np.searchsorted(event, np.arange(13)).tolist()
    assert order_of(number).tolist() == np.argsort(number, kind="stable").tolist()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_mix_one_is_mix(a: int, b: int) -> None:
    """The key of two plain integers is that of two arrays."""
    both = np.array([a], np.uint64), np.array([b], np.uint64)
    assert table_module.mix_one(a, b) == int(mix(*both)[0]) == int(table_module.mix_twin(*both)[0])


@needs_kernels
@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 60), st.integers(0, 60))
def test_repeats_are_the_twin_and_know_no_batches(seed: int, n: int, cut: int) -> None:
    """Repeated inputs are counted alike compiled, in numpy, and in two batches instead of one."""
    rng = np.random.default_rng(seed)
    prints = rng.choice(rng.integers(0, 2**64, 12, dtype=np.uint64) & np.uint64(0xFFFFFFFF00000003), n)
    base, model = rng.choice([-1, 0, 1, 2], n).astype(np.int32), rng.integers(0, 3, n).astype(np.int32)
    ways = []
    for count in (count_repeats, count_repeats_twin):
        for parts in ([slice(0, n)], [slice(0, cut), slice(cut, n)]):
            counts, recent = np.zeros((3, COLUMNS), np.uint32), np.zeros((3, RECENT), np.uint32)
            for own in parts:
                count(prints[own].copy(), base[own].copy(), model[own].copy(), recent, counts)
            ways.append((counts, recent))
    for counts, recent in ways[1:]:
        assert np.array_equal(counts, ways[0][0])
        assert np.array_equal(recent, ways[0][1])
