"""Does every detector of the table keep what a detector promises?"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import monitor.detectors
from monitor.catalog.models import SHARES, TOLERANCES
from monitor.cells import question
from monitor.detectors import DETECTORS, SHARED_TABLES
from monitor.detectors.cell import Detector, SeriesView
from monitor.events.columns import Space
from monitor.kernels.tally import (
    BINS,
    COLUMNS,
    DROPPED,
    EVENTS,
    INVALID,
    KIND_CATEGORY,
    KIND_NUMBER,
    NULLS,
    PRESENT,
    TYPE,
)
from monitor.stats.bounds import null_edge
from monitor.telemetry.metrics import ALERTNAMES

DOCS = Path(__file__).parents[2] / "docs"
K = 60

each = pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: detector.name)


def series(seed: int = 0) -> tuple[NDArray[np.float64], SeriesView]:
    """Counts of ``K`` series of every kind, as they may come from a tick, and what detectors may know of them."""
    rng = np.random.default_rng(seed)
    counts = np.zeros((K, COLUMNS))
    counts[:, :BINS] = rng.poisson(rng.choice([0.0, 0.5, 8.0], (K, 1)), (K, BINS))
    for column in (NULLS, INVALID, TYPE, DROPPED):
        counts[:, column] = rng.poisson(rng.choice([0, 3], K))
    counts[:, PRESENT] = counts[:, : DROPPED + 1].sum(axis=1)
    values = counts[:, :BINS].sum(axis=1)
    counts[:, DROPPED + 1] = rng.binomial(values.astype(int), 0.1)
    counts[:, EVENTS] = counts[:, PRESENT] + rng.poisson(2, K)
    counts[0] = 0.0
    n_cuts = rng.integers(0, 10, K).astype(np.uint8)
    cuts = np.array([rng.choice(BINS - 2, 9, replace=False) for _ in range(K)]).astype(np.uint8)
    cuts[np.arange(9) >= n_cuts[:, None]] = 0
    view = SeriesView(
        kind=rng.choice([KIND_NUMBER, KIND_CATEGORY], K).astype(np.uint8),
        space=rng.integers(0, 3, K).astype(np.uint8),
        n_cuts=n_cuts,
        cuts=cuts,
        overflowed=rng.random(K) < 0.2,
        in_reference=rng.random(K) < 0.9,
    )
    return counts, view


def taken(view: SeriesView, order: NDArray[np.int64]) -> SeriesView:
    return replace(view, **{field.name: getattr(view, field.name)[order] for field in fields(view)})


def test_names_are_unique() -> None:
    """A name is what is stored of a detector: none comes twice, and all are words for labels."""
    names = [detector.name for detector in DETECTORS]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() and name.islower() for name in names)


def test_every_file_is_in_the_table() -> None:
    """Each file beside the table is a detector of that name, and the table has no other."""
    directory = Path(monitor.detectors.__file__).parent
    files = {file.stem for file in directory.glob("*.py")} - {"__init__", "cell"}
    assert files == {detector.name for detector in DETECTORS}


@each
def test_words_that_others_know(detector: Detector) -> None:
    """Its share of the budget, its tolerance and its alerts are those that the rest of the program has."""
    assert detector.share in SHARES
    assert detector.tolerance in TOLERANCES
    for space in (Space.FEATURE, Space.PREDICTION, Space.METRIC):
        assert detector.alertname(space) in ALERTNAMES
    assert detector.effect
    assert detector.cuts >= 1
    assert all(0 < shift < 10 for shift in detector.shifts)
    assert list(detector.shifts) == sorted(set(detector.shifts))


@each
def test_has_a_page(detector: Detector) -> None:
    """Each has a page under its name, and its docstring leads there."""
    page = f"docs/detectors/{detector.name}.md"
    assert (DOCS.parent / page).is_file()
    assert page in (type(detector).__doc__ or "")


@each
@pytest.mark.parametrize("seed", range(5))
def test_shares_are_shares(detector: Detector, seed: int) -> None:
    """Shapes are as promised, and no share is negative or more than its whole."""
    counts, view = series(seed)
    shares = detector.shares(counts, view)
    applies = detector.applies(view)
    assert applies.shape == shares.n.shape == (K,)
    assert applies.dtype == bool
    assert shares.s.shape == (K, detector.cuts)
    assert (shares.n >= 0).all()
    assert (shares.s >= 0).all()
    assert (shares.s <= shares.n[:, None])[applies].all()


@each
def test_nothing_is_written_to(detector: Detector) -> None:
    """What it is given may be read only."""
    counts, view = series()
    for array in (counts, *(getattr(view, field.name) for field in fields(view))):
        array.flags.writeable = False
    detector.applies(view)
    detector.shares(counts, view)


@each
@pytest.mark.parametrize("seed", range(5))
def test_each_series_by_itself(detector: Detector, seed: int) -> None:
    """A series' answer depends neither on the others nor on their order."""
    counts, view = series(seed)
    shares, applies = detector.shares(counts, view), detector.applies(view)
    for order in (np.random.default_rng(seed).permutation(K), np.array([7]), np.array([], np.int64)):
        some = detector.shares(np.ascontiguousarray(counts[order]), taken(view, order))
        assert np.array_equal(some.s, shares.s[order])
        assert np.array_equal(some.n, shares.n[order])
        assert np.array_equal(detector.applies(taken(view, order)), applies[order])


@each
def test_additive(detector: Detector) -> None:
    """The shares of two ticks together are the sums of their shares."""
    (a, view), (b, _) = series(1), series(2)
    one, two, both = detector.shares(a, view), detector.shares(b, view), detector.shares(a + b, view)
    where = detector.applies(view)
    assert np.allclose((one.s + two.s)[where], both.s[where])
    assert np.allclose(one.n + two.n, both.n)


@each
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("tolerance", [0.0, 0.02])
def test_same_counts_are_no_change(detector: Detector, seed: int, tolerance: float) -> None:
    """What looks exactly like the reference, of any size, lies inside its null: the effect is nothing."""
    counts, view = series(seed)
    reference = detector.shares(counts, view)
    low, high = null_edge(np.minimum(reference.s, reference.n[:, None]), reference.n[:, None], tolerance)
    for times in (1, 1000):
        now = detector.shares(counts * times, view)
        some = (now.n > 0) & detector.applies(view)
        rate = now.s[some] / now.n[some, None]
        assert (rate <= high[some] + 1e-12).all()
        assert (rate >= low[some] - 1e-12).all() or not detector.two_sided


@each
def test_no_data_is_no_data(detector: Detector) -> None:
    """Without events there is nothing to bet on: n is 0, so that nobody mistakes it for health or for an alarm."""
    _, view = series()
    shares = detector.shares(np.zeros((K, COLUMNS)), view)
    assert (shares.n == 0).all()
    assert (shares.s == 0).all()


@each
def test_words(detector: Detector) -> None:
    """What it says goes behind the series' name: numbers in it, no end of a sentence, one line."""
    for before, now in ((0.0, 0.25), (0.123456, 1.0), (0.5, 0.0)):
        words = detector.words(before, now, "<= 3")
        assert any(digit in words for digit in "0123456789")
        assert not words.endswith(".")
        assert "\n" not in words
        assert words[0].islower()


@pytest.mark.parametrize("names", SHARED_TABLES, ids="+".join)
def test_one_of_a_table(names: tuple[str, ...]) -> None:
    """Of detectors whose cells share a table at most one applies to any series, and all bet alike; each has a table."""
    sharing = [detector for detector in DETECTORS if detector.name in names]
    view = replace(series()[1], space=np.resize([Space.FEATURE, Space.SEGMENT], K).astype(np.uint8))
    applies = np.stack([detector.applies(view) for detector in sharing])
    assert applies.any(axis=1).all()
    assert applies.sum(axis=0).max() == 1
    assert len({question(detector) for detector in sharing}) == 1
    assert sorted(name for table in SHARED_TABLES for name in table) == sorted(d.name for d in DETECTORS)
