"""What is judged of a reference: its cuts, its range, its categories; and from when."""

from __future__ import annotations

import numpy as np
import pytest
from fleets.build import HOUR, LEARNED, START, event, feed, hourly, new_fleet, series_named

from monitor.catalog import references
from monitor.catalog.models import Phase
from monitor.catalog.series import JUDGED, LEARNING, Series
from monitor.kernels.tally import BINS, KIND_CATEGORY, KIND_NUMBER, OTHER_BIN, PRESENT

NORMAL = np.random.default_rng(5).normal(0, 1, 20_000)


def series_with(bins: list[int], kind: int) -> Series:
    """One series whose reference has these counts; a number has an edge behind each bin but the last."""
    series = Series()
    row = series.add(0, 1, 0, "x", 1, START)
    series.rows["kind"][row] = kind
    series.rows["reference"][row, : len(bins)] = bins
    if kind == KIND_NUMBER:
        references.set_edges(series, row, np.arange(len(bins) - 1.0))
        series.rows["seen_high"][row] = len(bins)
    else:
        for i in range(min(len(bins), OTHER_BIN)):
            series.add_category(row, f"v{i}", i + 1)
    references.choose_cuts(series, np.array([row]))
    return series


def cuts(series: Series) -> list[int]:
    return sorted(series.rows["cuts"][0, : series.rows["n_cuts"][0]].tolist())


def test_cuts_at_the_deciles() -> None:
    """Of 32 even bins those are cut behind which nearly 10, 20, ... 90 % lie."""
    assert cuts(series_with([10] * BINS, KIND_NUMBER)) == [2, 5, 9, 12, 15, 18, 21, 25, 28]


def test_cuts_of_few_values() -> None:
    """Three values have two cuts; one has none."""
    assert cuts(series_with([50, 30, 20], KIND_NUMBER)) == [0, 1]
    assert cuts(series_with([100, 0], KIND_NUMBER)) == []


def test_no_cut_in_a_thin_tail() -> None:
    """A cut with less than half a percent on one side shows nothing that the tolerance would let through."""
    assert cuts(series_with([4, 996, 500, 500, 3], KIND_NUMBER)) == [1, 2]


def test_a_number_that_is_seldom_another_has_a_cut() -> None:
    """What is one value but for a few is judged by the share of that value, since there is no better cut."""
    assert cuts(series_with([998, 2, 0], KIND_NUMBER)) == [0]
    assert cuts(series_with([2, 998, 0], KIND_NUMBER)) == [0]
    assert cuts(series_with([2, 996, 2, 0], KIND_NUMBER)) == [0, 1]


def test_cuts_of_categories() -> None:
    """The nine commonest categories are judged, never the sum of the others, nor one without events."""
    assert cuts(series_with([5, 100, 0, 7, 1], KIND_CATEGORY)) == [0, 1, 3, 4]
    assert cuts(series_with([*range(1, 31), 500], KIND_CATEGORY)) == list(range(21, 30))


def test_judged_after_a_thousand_events_and_a_day() -> None:
    """A model is judged from 1,000 events and one day on, not before either."""
    few, short = new_fleet({"tick": "1h"}), new_fleet({"tick": "1h"})
    hourly(few, lambda i: {"a": float(NORMAL[i])}, range(30), per_hour=30)
    hourly(short, lambda i: {"a": float(NORMAL[i])}, range(23), per_hour=60)
    assert few.models.rows["phase"][0] == short.models.rows["phase"][0] == Phase.LEARNING
    hourly(few, lambda i: {"a": float(NORMAL[i])}, range(30, 34), per_hour=30)
    hourly(short, lambda i: {"a": float(NORMAL[i])}, range(23, 25), per_hour=60)
    assert few.models.rows["phase"][0] == short.models.rows["phase"][0] == Phase.GROWING
    assert few.series.rows["judging"][0] == JUDGED


def test_range_is_a_tenth_wider() -> None:
    """A number is out of range beyond a tenth of the span, on each side of what the reference has seen."""
    fleet = new_fleet({"tick": "1h"})
    hourly(fleet, lambda i: {"a": float(i % 101)}, range(LEARNED))
    assert (fleet.series.rows["low"][0], fleet.series.rows["high"][0]) == (-10.0, 110.0)


def test_complete_after_events_and_time() -> None:
    """The reference is complete when it has both the events and the time that the policy asks for."""
    fleet = new_fleet({"tick": "1h", "learn": {"events": 2000, "for": "36h"}})
    hourly(fleet, lambda i: {"a": float(NORMAL[i])}, range(39))
    assert fleet.models.rows["phase"][0] == Phase.GROWING
    hourly(fleet, lambda i: {"a": float(NORMAL[i])}, range(39, 41))
    assert fleet.models.rows["phase"][0] == Phase.FROZEN
    complete = fleet.series.rows["reference"][0, PRESENT]
    hourly(fleet, lambda i: {"a": float(NORMAL[i])}, range(41, 45))
    assert fleet.series.rows["reference"][0, PRESENT] == complete
    assert [fact.what for fact in fleet.models.items[0].facts] == ["judged from here on", "reference complete"]


def test_rare_feature_waits_for_its_values() -> None:
    """A feature that few events have is learned until there are 200 values of it, and is judged for drift then."""
    fleet = new_fleet({"tick": "1h"})

    def features(i: int) -> dict[str, float]:
        return {"a": 1.0, **({"rare": float(NORMAL[i])} if i % 10 == 0 else {})}

    hourly(fleet, features, range(LEARNED + 10))
    row = series_named(fleet, "rare")
    assert fleet.series.rows["judging"][row] == LEARNING
    hourly(fleet, features, range(LEARNED + 10, LEARNED + 20))
    assert fleet.series.rows["judging"][row] == JUDGED
    assert fleet.series.rows["n_cuts"][row] == 9
    assert fleet.judge.states["drift"]["applies"][row]


def test_growing_reference_takes_clean_ticks() -> None:
    """While nothing is suspicious every tick enters a growing reference."""
    fleet = new_fleet({"tick": "1h"})
    hourly(fleet, lambda i: {"a": float(NORMAL[i])}, range(40))
    assert fleet.series.rows["reference"][0, PRESENT] == 40 * 50
    assert fleet.series.rows["reference"][0, :BINS].sum() == 40 * 50


@pytest.mark.parametrize("start", [0.0, -3e8, 1e9, 6e9])
def test_any_century(start: float) -> None:
    """Event times before 1970 and far ahead are as good as others."""
    fleet = new_fleet({"tick": "1h"})
    for hour in range(30):
        times = start + hour * HOUR + np.arange(50) * 60.0
        feed(fleet, [event(t, {"a": float(NORMAL[i])}) for i, t in enumerate(times)], until=start + (hour + 1) * HOUR)
    assert fleet.models.rows["phase"][0] == Phase.GROWING
