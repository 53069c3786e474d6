"""Where do the first values of a series go, before it has bins?"""

from __future__ import annotations

import numpy as np
import pytest
from fleets.build import START, event, feed, new_fleet, series_named

from monitor.catalog.series import BUFFER, choose_edges
from monitor.kernels.tally import BINS, PRESENT

RNG = np.random.default_rng(3)
VALUES = RNG.normal(50, 10, 2 * BUFFER)


def fed(values, sizes):
    """The fleet, and the sums of its only tick, after ``values`` in batches of ``sizes``."""
    fleet, at = new_fleet(), 0
    while at < len(values):
        feed(fleet, [event(START, {"a": float(v)}) for v in values[at : at + sizes]], until=-np.inf)
        at += sizes
    return fleet, fleet.close(np.inf).ticks[0]


@pytest.mark.parametrize("size", [1, 7, BUFFER - 1, BUFFER, BUFFER + 1, len(VALUES)])
def test_bins_are_chosen_from_the_first_values(size: int) -> None:
    """The first 128 numbers choose the bins and begin the reference; what follows is counted, whatever the batches."""
    fleet, tick = fed(VALUES, size)
    row, rows = series_named(fleet, "a"), fleet.series.rows
    edges = choose_edges(VALUES[:BUFFER])
    assert rows["edges"][row, : rows["n_edges"][row]].tolist() == edges.tolist()
    later = VALUES[BUFFER:]
    assert tick.counts[1, PRESENT] == len(VALUES)
    assert tick.counts[1, :BINS].tolist() == np.bincount(np.searchsorted(edges, later), minlength=BINS).tolist()
    assert tick.moments[1, 2:].tolist() == [later.min(), later.max()]
    assert tick.moments[1, 0] == pytest.approx((later - edges[len(edges) >> 1]).sum())
    counted = rows["reference"][row]
    assert counted[:BINS].sum() == len(VALUES)
    assert counted[PRESENT] == len(VALUES)
    assert (rows["seen_low"][row], rows["seen_high"][row]) == (VALUES.min(), VALUES.max())


def test_buffers_are_had_again() -> None:
    """Series that got their bins give their buffers to those that come."""
    fleet = new_fleet()
    for name in "abcdef":
        feed(fleet, [event(START, {name: float(v)}) for v in VALUES[:BUFFER]])
    assert len(fleet.series.buffers) == 1
    assert fleet.series.rows["n_edges"][:6].min() > 0


@pytest.mark.parametrize(
    ("values", "edges"),
    [
        ([5.0] * 10, [5.0]),
        ([3.0, 1.0, 2.0, 1.0], [1.0, 2.0, 3.0]),
        (list(range(31)), list(range(31))),
    ],
)
def test_few_values_have_a_bin_each(values: list[float], edges: list[float]) -> None:
    """Up to 31 distinct values are edges themselves."""
    assert choose_edges(np.array(values, np.float64)).tolist() == edges


def test_many_values_share_bins_evenly() -> None:
    """More values are split at quantiles into bins of about the same weight."""
    counts = np.bincount(np.searchsorted(choose_edges(VALUES), VALUES), minlength=BINS)
    assert counts.min() >= len(VALUES) // BINS - 1
    assert counts.max() <= len(VALUES) // BINS + 1


def test_heavy_value_has_a_bin_of_its_own() -> None:
    """A value that half of the numbers share takes few edges, and every edge is another number."""
    values = np.concatenate([np.zeros(500), RNG.normal(5, 1, 500)])
    edges = choose_edges(values)
    assert len(np.unique(edges)) == len(edges)
    assert 14 <= len(edges) <= 31
