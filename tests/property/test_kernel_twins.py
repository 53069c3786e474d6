"""Do bets, packed ticks and counted events come out of the compiled loops as they do of their twins?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.catalog.rows import Rows
from monitor.cells import cell_fields, question
from monitor.detectors import DETECTORS
from monitor.detectors.cell import Detector
from monitor.kernels import judge
from monitor.kernels.judge import HELD, PENDING, SUSPICIOUS, Bets, bet, bet_twin
from monitor.kernels.tally import ModelTotals, count_events, count_events_twin
from monitor.store.sums import pack, pack_all

pytestmark = pytest.mark.skipif(judge.compiled() is None, reason="the kernels are not built")

SEEDS = st.integers(0, 2**32 - 1)
NATS = 1e-3
"""Roundings of float32 over some ticks: a score of evidence is many nats."""


def cells(detector: Detector, n: int, rng: np.random.Generator) -> Rows:
    """The state of ``n`` cells, some of whose bets cannot be made."""
    state = Rows(cell_fields(question(detector)))
    state.add(n)
    middle = rng.uniform(0.05, 0.95, state["null_low"][:n].shape)
    state["null_low"][:n], state["null_high"][:n] = np.maximum(middle - 0.04, 0.0), np.minimum(middle + 0.04, 1.0)
    state["reference_share"][:n] = middle
    state["cost"][:n] = rng.uniform(0.01, 0.7, state["cost"][:n].shape)
    state["cost"][:n][rng.random(state["cost"][:n].shape) < 0.1] = judge.OFF
    return state


def ticks(detector: Detector, n: int, rng: np.random.Generator, end: float) -> Bets:
    """A tick in which most of ``n`` cells bet, a third of them on a share that left its null."""
    events = rng.integers(1, 60, n).astype(np.float64)
    share = np.where(rng.random(n) < 0.3, 0.97, rng.random(n))[:, None]
    s = np.floor(rng.random((n, detector.cuts)) * share * (events[:, None] + 1))
    place = np.flatnonzero(rng.random(n) < 0.8)
    each = {name: np.full(n, value) for name, value in (("seconds", 60.0), ("hold", 120.0), ("keep_firing", 180.0))}
    log_budget = np.log(rng.uniform(1e-9, 1e-3, n))
    return Bets(end, place, place, s, events, 3.0 * s, 3.0 * events, log_budget, **each)


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda d: d.name)
@settings(max_examples=15, deadline=None)
@given(seed=SEEDS)
def test_bets(detector: Detector, seed: int) -> None:
    """Over some ticks both give the same flags and the same state, but for roundings."""
    rng, n = np.random.default_rng(seed), 37
    ours = cells(detector, n, rng)
    twin = Rows(cell_fields(question(detector)))
    twin.add(n)
    for name in cell_fields(question(detector)):
        twin[name][:] = ours[name]
    for tick in range(8):
        bets = ticks(detector, n, rng, 60.0 * (tick + 1))
        flags, evidence, eta, before = bet(question(detector), ours, bets)
        twin_flags, twin_evidence, twin_eta, twin_before = bet_twin(question(detector), twin, bets)
        near = np.abs(evidence - twin_evidence) < NATS * np.maximum(1.0, np.abs(twin_evidence))
        assert near.all()
        assert np.array_equal(flags, twin_flags)
        assert np.allclose(eta, twin_eta, rtol=1e-5)
        # What a cell came with is told where it matters alone.
        told = (ours["suspicion"][bets.row] > np.float32(SUSPICIOUS)) | (flags & HELD > 0)
        told |= ours["firing"][bets.row] == PENDING
        assert np.allclose(np.exp(before[told]), np.exp(twin_before[told]), rtol=1e-3, atol=1e-7)
        for name in ("firing", "onset", "alarmed", "last_bad", "scatter_ticks", "s_prev", "n_prev"):
            assert np.array_equal(ours[name], twin[name], equal_nan=name in {"onset", "alarmed", "last_bad"})
        for name in ("effect", "suspicion", "scatter", "scatter_weight", "evidence"):
            assert np.allclose(ours[name], twin[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda d: d.name)
def test_all_or_none(detector: Detector) -> None:
    """Ticks in which every event was a success, or none, do not scatter: exactly, whatever their numbers of events."""
    first, second = (each.ravel().astype(np.float64) for each in np.meshgrid(np.arange(1, 101), np.arange(1, 101)))
    n = len(first)
    states = [cells(detector, n, np.random.default_rng(1)) for _ in range(2)]
    each = {name: np.full(n, value) for name, value in (("seconds", 60.0), ("hold", 120.0), ("keep_firing", 180.0))}
    whose, log_budget = np.arange(n), np.full(n, -10.0)
    for state, step in zip(states, (bet, bet_twin), strict=True):
        state["null_low"][:n], state["null_high"][:n] = np.float32(1.0 - 2.0**-24), 1.0
        for end, events in ((60.0, first), (120.0, second)):
            s = np.repeat(events[:, None], detector.cuts, axis=1)
            s[::2] = 0.0
            found = step(question(detector), state, Bets(end, whose, whose, s, events, s, events, log_budget, **each))
            assert not found.flags.any()
        assert not state["scatter_ticks"][:n].any()
        assert not state["scatter_weight"][:n].any()
    assert np.array_equal(states[0]["last_bad"], states[1]["last_bad"], equal_nan=True)


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_packing(seed: int) -> None:
    """Ticks packed together are byte for byte those packed one by one, at every width of gaps and of values."""
    rng = np.random.default_rng(seed)
    sums = []
    for rows in rng.choice([1, 2, 23, 3000], int(rng.integers(1, 6))).tolist():
        counts = np.zeros((rows, 40), np.uint32)
        some = rng.integers(0, counts.size, int(rng.integers(0, 30)))
        counts.ravel()[some] = rng.integers(1, rng.choice([200, 60_000, 4_000_000_000]), len(some))
        moments = np.tile([0.0, 0.0, np.inf, -np.inf], (rows, 1))
        numbered = rng.random(rows) < 0.3
        moments[numbered] = np.sort(rng.normal(size=(int(numbered.sum()), 4)), axis=1)
        sums.append((counts, moments))
    counts, moments = (np.concatenate(part) for part in zip(*sums, strict=True))
    sizes = np.array([len(part) for part, _ in sums])
    starts = np.cumsum(sizes) - sizes
    assert list(pack_all(counts, moments, starts, sizes)) == [pack(*each) for each in sums]
    assert list(pack_all(counts, moments, starts[:0], sizes[:0])) == []


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_events(seed: int) -> None:
    """Events are counted into the same rows and the same totals."""
    rng, n = np.random.default_rng(seed), 60
    base, model = (8 * rng.integers(0, 5, n)).astype(np.int32), rng.integers(0, 4, n).astype(np.int32)
    parts, time, asked = rng.integers(0, 64, n).astype(np.uint16), rng.random(n), np.array([1, 2, 16], np.uint16)
    found = []
    for count in (count_events, count_events_twin):
        counts = np.zeros((40, 40), np.uint32)
        totals = ModelTotals(np.zeros(4, np.int64), np.full(4, np.nan), np.zeros(4, bool))
        count(base, model, parts, time, asked, counts, totals)
        found.append((counts, totals.events, totals.last_time, totals.touched))
    for mine, other in zip(*found, strict=True):
        assert np.array_equal(mine, other, equal_nan=mine.dtype == np.float64)
