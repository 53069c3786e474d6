"""Dispersion and tempering."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.stats.dispersion import PRIOR, dispersion, successive_difference, successive_gap, tempering


def test_terms_by_hand() -> None:
    """One cell, one cut: 2 of 10, then 5 of 10."""
    numerator, weight = successive_difference([[2]], [10], [[5]], [10])
    assert numerator == pytest.approx(0.09 * 5)
    assert weight == pytest.approx(0.35 * 0.65 * 20 / 19)


def test_empty_ticks_add_nothing() -> None:
    """A pair with an empty side adds 0 to both sums, without a warning."""
    for n_prev, n in ((0, 5), (5, 0), (0, 0)):
        numerator, weight = successive_difference([[0.0]], [n_prev], [[0.0]], [n])
        assert (numerator[0], weight[0]) == (0.0, 0.0)


def test_cuts_are_averaged() -> None:
    """Cells by cuts give one number a cell: the average over its cuts."""
    one = [successive_difference([[a]], [10], [[b]], [10]) for a, b in ((2, 5), (7, 7), (9, 1))]
    both = successive_difference([[2, 7, 9]], [10], [[5, 7, 1]], [10])
    for part in (0, 1):
        assert both[part] == pytest.approx(np.mean([x[part] for x in one]))


def test_single_events_say_nothing() -> None:
    """Ticks of one event each always have the dispersion 1: clumps inside a tick cannot be seen in them."""
    rng = np.random.default_rng(0)
    s = rng.integers(0, 2, (500, 1, 1))
    terms = [successive_difference(s[t - 1], [1], s[t], [1]) for t in range(1, 500)]
    assert sum(t[0] for t in terms) == pytest.approx(sum(t[1] for t in terms))


def test_tempering_needs_ten_ticks_to_believe() -> None:
    """Until ten differences a cell is taken to be twice as dispersed as a coin; more, if it shows more."""
    np.testing.assert_allclose(
        tempering([0, 5, 5, 50], [0, 5, 5, 10], [0, 9, 10, 9]), [1 / 2.3, 1 / 2.3, 1 / 1.15, 1 / 5.75]
    )


def test_tempering_never_exceeds_one() -> None:
    """A cell that scatters less than a coin is not trusted more than one; one that never varied keeps the prior."""
    assert tempering(0.0, 10.0, 100) == 1.0
    assert tempering(0.0, 0.0, 100) == pytest.approx(1 / (1.15 * PRIOR))
    assert dispersion(0.0, 0.0, 100) == PRIOR


def test_a_gap_scatters_as_independent_events_do() -> None:
    """Of two samples with rates that move together from batch to batch the ratio of both terms is 1; of clumps 3."""
    rng = np.random.default_rng(9)
    batches, n = 20_000, np.array([60.0, 200.0])
    rates = np.stack([0.3 + 0.1 * np.sin(np.arange(batches)), 0.5 + 0.1 * np.sin(np.arange(batches))], axis=1)
    for clump in (1, 3):
        s = (clump * rng.binomial((n // clump).astype(int), rates))[:, :, None].astype(float)
        size = np.tile(n // clump * clump, (batches - 1, 1))
        numerator, weight = successive_gap(s[:-1], size, s[1:], size)
        assert numerator.sum() / weight.sum() == pytest.approx(clump, rel=0.04)


def test_a_gap_of_nothing_says_nothing() -> None:
    """Where one of the four samples is empty both terms are 0."""
    s, full = np.ones((1, 2, 1)), np.full((1, 2), 5.0)
    for empty in ([[0.0, 5.0]], [[5.0, 0.0]]):
        assert [term.tolist() for term in successive_gap(s, empty, s, full)] == [[0.0], [0.0]]
        assert [term.tolist() for term in successive_gap(s, full, s, empty)] == [[0.0], [0.0]]
