"""Do answers come out of the compiled loop in the strata in which its twin puts them?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.catalog.rows import Rows
from monitor.catalog.series import FIELDS
from monitor.events.columns import Space, ValueType
from monitor.kernels import lean
from monitor.kernels.hashing import hash64
from monitor.kernels.lean import MISSING, NO_PLACES, NOWHERE, SLOTS, STRATA, Asking, unfold
from monitor.kernels.table import Table, mix_one
from monitor.kernels.tally import COLUMNS, Entries, SeriesColumns, tally

SERIES, MODELS = 90, 3
NAMES = np.array([hash64(name) for name in (b"score", b"value", b"label", b"other")], np.uint64)


def catalogue(rng: np.random.Generator) -> tuple[SeriesColumns, Table]:
    """Series of every kind, some with too few edges to fill eight strata, some beyond the slots of a case."""
    rows = Rows(FIELDS)
    rows.add(SERIES)
    rows["kind"][:SERIES] = rng.integers(0, 3, SERIES)
    rows["local"][:SERIES] = np.arange(SERIES) % 45
    rows["n_edges"][:SERIES] = rng.choice([0, 1, 5, 31], SERIES)
    rows["edges"][:SERIES] = np.sort(rng.normal(size=(SERIES, 31)), axis=1)
    codes = Table()
    for row in range(SERIES):
        for code in range(12):
            codes.insert(mix_one(row, 100 + code), code)
    r = rows
    columns = SeriesColumns(r["local"], r["kind"], r["open"], r["n_edges"], r["edges"], r["low"], r["high"])
    return columns, codes


def batch(rng: np.random.Generator, n: int) -> tuple[Entries, Asking]:
    """Events with any entries, some of models that are passed over or thinned."""
    m = int(rng.integers(0, 12 * n))
    space = rng.choice([Space.FEATURE, Space.FEATURE, Space.PREDICTION, Space.SEGMENT], m).astype(np.uint8)
    number = rng.normal(size=m)
    number[rng.random(m) < 0.1] = np.nan
    event = np.sort(rng.integers(0, n, m)).astype(np.int32)
    series = np.full(m, -1, np.int32)
    for e in range(n):  # an event names a series once
        own = np.flatnonzero(event == e)
        series[own] = rng.permutation(SERIES)[: len(own)] if len(own) <= SERIES else -1
    series[rng.random(m) < 0.05] = -1
    entries = Entries(
        event,
        rng.integers(0, len(ValueType), m).astype(np.uint8),
        space,
        series,
        number,
        rng.integers(100, 115, m).astype(np.uint64),
        rng.choice(NAMES, m),
    )
    classes = Table()
    for model in range(MODELS):
        classes.insert(mix_one(model + 1, 100 + model), 3)
        classes.insert(mix_one(model + 1, 105 + model), 1)
    asking = Asking(
        rng.integers(-1, MODELS, n).astype(np.int32),
        rng.integers(0, 2**63, n).astype(np.uint64),
        np.array([0, 1, 3], np.uint8),
        classes,
        np.array([0, 2, 1], np.uint8),
    )
    return entries, asking


def distinct_slots(entries: Entries, series: SeriesColumns) -> None:
    """Two series of one event with the same place: of one model there are none, so one of them goes."""
    seen = set()
    for i, (event, row) in enumerate(zip(entries.event.tolist(), entries.series.tolist(), strict=True)):
        place = (event, int(series.local[row]))
        if row >= 0 and place in seen:
            entries.series[i] = -1
        seen.add(place)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
@pytest.mark.skipif(lean._compiled() is None, reason="the kernels are not built")
def test_kernel_and_twin_agree(seed: int) -> None:
    """Answers, places and sums are the same."""
    rng = np.random.default_rng(seed)
    series, codes = catalogue(rng)
    entries, asking = batch(rng, 17)
    distinct_slots(entries, series)
    ours, twins = (np.zeros((SERIES, 2, STRATA, 3), np.float32) for _ in range(2))
    answers, places = lean.lean(entries, asking, series, codes, ours)
    twin_answers, twin_places = lean.lean_twin(entries, asking, series, codes, twins)
    assert np.array_equal(answers, twin_answers, equal_nan=True)
    assert np.array_equal(places, twin_places)
    assert np.allclose(ours, twins, atol=1e-4)
    assert not ours[:, 0].any()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
@pytest.mark.skipif(lean._compiled() is None, reason="the kernels are not built")
def test_what_was_counted_lies_where_it_was_counted(seed: int) -> None:
    """Strata taken from the columns of entries that were counted are those looked up anew."""
    rng = np.random.default_rng(seed)
    series, codes = catalogue(rng)
    entries, asking = batch(rng, 17)
    distinct_slots(entries, series)
    ours, anew = (np.zeros((SERIES, 2, STRATA, 3), np.float32) for _ in range(2))
    expected, expected_places = lean.lean(entries, asking, series, codes, anew)
    base = np.where(rng.random(17) < 0.8, 0, -1).astype(np.int32)
    rows = int(series.local.max()) + 1
    tally(entries, base, series, codes, np.zeros((rows, COLUMNS), np.uint32), np.zeros((rows, 4)))
    answers, places = lean.lean(entries, asking, series, codes, ours)
    assert np.array_equal(answers, expected, equal_nan=True)
    assert np.array_equal(places, expected_places)
    assert np.array_equal(ours, anew)


@pytest.mark.parametrize("of", [lean.lean, lean.lean_twin])
def test_an_event_by_hand(of: object) -> None:
    """A score beside a number in the second eighth, a category, a null, and a feature without bins."""
    rows = Rows(FIELDS)
    rows.add(5)
    rows["local"][:5] = (0, 1, 2, 40, 17)
    rows["kind"][:5] = (1, 2, 1, 1, 0)
    rows["n_edges"][:5] = (31, 0, 31, 31, 0)
    rows["edges"][:5] = np.arange(31)
    codes = Table()
    codes.insert(mix_one(1, 777), 2)
    n, text = ValueType.NUMBER, ValueType.TEXT
    entries = Entries(
        np.zeros(6, np.int32),
        np.array([n, text, ValueType.NULL, n, text, n], np.uint8),
        np.array([*[Space.FEATURE] * 5, Space.PREDICTION], np.uint8),
        np.array([0, 1, 2, 3, 4, -1], np.int32),
        np.array([4.5, np.nan, np.nan, 30.5, np.nan, 0.25]),
        np.array([0, 777, 0, 0, 5, 0], np.uint64),
        np.array([1, 2, 3, 4, 5, NAMES[0]], np.uint64),
    )
    asking = Asking(np.zeros(1, np.int32), np.ones(1, np.uint64), np.zeros(1, np.uint8), Table(), np.zeros(1, np.uint8))
    r = rows
    series = SeriesColumns(r["local"], r["kind"], r["open"], r["n_edges"], r["edges"], r["low"], r["high"])
    sums = np.zeros((5, 2, STRATA, 3), np.float32)
    answers, places = of(entries, asking, series, codes, sums)  # type: ignore[operator]
    assert answers.tolist() == [0.25]
    strata = unfold(places)[0]
    assert strata[:3].tolist() == [1, 2, MISSING]
    assert (strata[3:] == NOWHERE).all()
    assert len(strata) == SLOTS
    assert [np.argwhere(sums[row, 1, :, 0]).tolist() for row in range(5)] == [[[1]], [[2]], [[8]], [[7]], []]
    assert sums[0, 1, 1].tolist() == [1.0, 0.25, 0.0625]
    assert unfold(np.full((1, 2), NO_PLACES)).tolist() == [[NOWHERE] * SLOTS]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=40),
    st.lists(
        st.lists(st.sampled_from([*range(STRATA), NOWHERE]), min_size=SLOTS, max_size=SLOTS), min_size=6, max_size=6
    ),
)
def test_laying_is_what_its_twin_does(pairs: list[tuple[int, int]], strata: list[list[int]]) -> None:
    """Where the features of events lie is counted alike by the kernel and in numpy; what is full stays full."""
    nibbles = np.array(strata, np.uint64).reshape(6, 2, 16)
    places = (nibbles << (np.arange(16, dtype=np.uint64) * np.uint64(4))).sum(axis=-1, dtype=np.uint64)
    rows, event = np.array(pairs, np.int64).reshape(-1, 2).T
    ours, twins = (np.full((4, SLOTS, STRATA), 65_530, np.uint16) for _ in range(2))
    ours[1:], twins[1:] = 0, 0
    lean.lay(rows, event, places, ours)
    lean.lay_twin(rows, event, places, twins)
    assert np.array_equal(ours, twins)
    assert (ours[0] >= 65_530).all()
