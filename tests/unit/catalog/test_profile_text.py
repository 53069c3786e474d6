"""References as people read them: one, and two side by side."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.catalog.profile import Profile, SeriesProfile, category_series, number_series
from monitor.catalog.profile_text import compare, diff, show
from monitor.kernels.tally import BINS


def profile(*series: SeriesProfile, version: str = "7", events: int = 5000) -> Profile:
    return Profile("credit-limit", version, events, "/data/train.csv", list(series))


def numbers(name: str, values: np.ndarray, events: int | None = None) -> SeriesProfile:
    return number_series(name, "feature", values, events or len(values))


def normal(seed: int, n: int = 5000, mean: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1.0, n)


def words(name: str, nulls: int = 0, **counts: int) -> SeriesProfile:
    return category_series(name, "feature", counts, nulls, sum(counts.values()) + nulls)


def test_a_reference_is_a_table() -> None:
    """Each series has a line with its kind, values, missing rate, range or categories, and why it is not judged."""
    shown = show(
        profile(
            numbers("income", np.linspace(10.0, 20.0, 4950), 5000),
            numbers("row", np.arange(5000.0)),
            words("region", north=3000, south=1900, nulls=100),
        ),
        "abc123",
    )
    assert shown.splitlines() == [
        "model    credit-limit",
        "version  7",
        "rows     5000",
        "source   /data/train.csv",
        "digest   abc123",
        "",
        "series          kind      n     missing  values                         not judged for drift",
        "feature.income  number    4950  1 %      10 to 20, median about 14.999",
        "feature.row     number    5000  0 %      0 to 4999, median about 2499   counter",
        "feature.region  category  4900  2 %      north 61.2 %, south 38.8 %",
    ]


def test_a_clock_is_known_beside_the_time() -> None:
    """A number that tells the time is known as such if it is said what time it is."""
    times = profile(numbers("at", 1.7e9 + np.random.default_rng(1).uniform(0.0, 1e6, 5000)))
    assert "timestamp" in show(times, "", now=1.7e9)
    assert "timestamp" not in show(times, "")


def test_nothing_changed_is_nothing() -> None:
    """A reference does not differ from itself, and PSI has what chance adds taken off."""
    a = profile(numbers("x", normal(1)), words("c", a=3000, b=2000))
    for row in compare(a, a):
        assert row.effect == 0.0
        assert -0.02 < row.psi <= 0.0
        assert row.missing == (0.0, 0.0)
        assert not row.approximate
        assert row.note == ""


def test_what_moved_most_comes_first() -> None:
    """What is gone or new leads, then the larger movement of a distribution or a missing rate; counters come last."""
    a = profile(
        numbers("still", normal(1)),
        numbers("moved", normal(2)),
        numbers("sparse", normal(3)),
        numbers("gone", normal(4)),
        numbers("row", np.arange(5000.0)),
    )
    b = profile(
        numbers("still", normal(5)),
        numbers("moved", normal(6, mean=0.5)),
        numbers("sparse", normal(7, n=3000), 5000),
        numbers("fresh", normal(8)),
        numbers("row", np.arange(5000.0) + 5000.0),
    )
    rows = compare(a, b)
    assert [row.name for row in rows] == ["fresh", "gone", "sparse", "moved", "still", "row"]
    assert [row.note for row in rows[:2]] == ["new", "gone"]
    assert rows[2].missing == (0.0, pytest.approx(0.4))
    # Half a standard deviation moves the distribution function of a normal law by .197 at most.
    assert rows[3].effect == pytest.approx(0.197, abs=0.03)
    assert rows[4].effect < 0.04
    assert rows[5].unjudged == "counter"


def test_a_category_that_comes_or_goes_is_named() -> None:
    """Categories that only one side has are named, but not where the other did not tell all of its own apart."""
    a, b = words("c", a=600, b=300, old=100), words("c", a=300, b=300, new=400)
    (row,) = compare(profile(a), profile(b))
    assert row.note == "new: new; gone: old"
    assert row.effect == pytest.approx(0.4)
    many = words("c", **{f"w{i}": 10 for i in range(40)})
    (row,) = compare(profile(many), profile(b))
    assert "new:" not in row.note
    assert "gone: w0, w1, w10 and 27 more" in row.note


def test_another_kind_is_said() -> None:
    """A number that became a category is not compared; that it did is the news."""
    (row,) = compare(profile(numbers("x", normal(1))), profile(words("x", a=10, b=20)))
    assert row.note == "was a number, is a category"
    assert math.isnan(row.effect)


def test_few_values_are_compared_where_they_stand() -> None:
    """Numbers of few distinct values rise at these alone: another set of them is compared without error."""
    a = numbers("n", np.repeat([0.0, 1.0, 2.0, 4.0], [500, 300, 150, 50]))
    b = numbers("n", np.repeat([0.0, 1.0, 3.0], [500, 300, 200]))
    (row,) = compare(profile(a), profile(b))
    assert row.approximate
    assert row.effect == pytest.approx(0.15)


def test_zeros_stay_at_zero() -> None:
    """A mass at the smallest value is not spread over the bin that it is in."""

    def inflated(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return np.where(rng.random(5000) < 0.5, 0.0, rng.lognormal(3.0, 1.0, 5000))

    (row,) = compare(profile(numbers("x", inflated(1))), profile(numbers("x", inflated(2))))
    assert row.approximate
    assert row.effect < 0.04


def test_another_unit_is_the_whole_distribution() -> None:
    """Values that lie beyond all bins of the other side have moved as far as can be."""
    a, b = numbers("x", np.abs(normal(1)) + 1.0), numbers("x", (np.abs(normal(1)) + 1.0) * 1000.0)
    for left, right in ((a, b), (b, a)):
        (row,) = compare(profile(left), profile(right))
        assert row.effect > 0.95


@settings(max_examples=60, deadline=None)
@given(
    mean=st.floats(-3.0, 3.0),
    spread=st.floats(0.2, 5.0),
    law=st.sampled_from(["normal", "exponential", "uniform"]),
    seed=st.integers(0, 100),
)
def test_spreading_errs_by_no_more_than_a_bin(mean: float, spread: float, law: str, seed: int) -> None:
    """Compared on other bins, the effect is within a bin's share (and the tail's) of the one on common bins."""
    rng = np.random.default_rng(seed)
    draw = {
        "normal": lambda: rng.normal(mean, spread, 4000),
        "exponential": lambda: mean + rng.exponential(spread, 4000),
        "uniform": lambda: rng.uniform(mean, mean + spread, 4000),
    }[law]
    before, now = rng.normal(0.0, 1.0, 4000), draw()
    a, b = numbers("x", before), numbers("x", now)
    (row,) = compare(profile(a), profile(b))
    at = np.array(a.edges)
    exact = np.abs((before[:, None] <= at).mean(axis=0) - (now[:, None] <= at).mean(axis=0)).max()
    assert abs(row.effect - exact) <= 1.0 / BINS + 0.001


def test_the_difference_is_a_table() -> None:
    """The table names both references, and says what its figures and marks mean."""
    a = profile(numbers("x", normal(1)), words("c", a=3000, b=2000))
    b = profile(numbers("x", normal(2, mean=1.0)), words("c", a=2000, z=3000), version="8")
    text = diff(a, b)
    assert text.startswith("a  credit-limit version 7, 5000 rows of train.csv\nb  credit-limit version 8, ")
    assert "new: z; gone: b" in text
    assert "feature.x  number    ~0.3" in text
    assert "lie evenly between the edges" in text
    assert "lie evenly between the edges" not in diff(a, a)
