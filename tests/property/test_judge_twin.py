"""Do the compiled loops of the judge and their twins come to the same?"""

from __future__ import annotations

import numpy as np
import pytest
from fleets.build import HOUR, START, columns, feed, new_fleet

from monitor.detectors import DETECTORS
from monitor.detectors.cell import SeriesView
from monitor.kernels import judge
from monitor.kernels.tally import BINS, COLUMNS, EVENTS, PRESENT

pytestmark = pytest.mark.skipif(judge.compiled() is None, reason="the kernels are not built")


def life(seed: int):
    """A small fleet that learns, drifts, loses values and recovers."""
    rng = np.random.default_rng(seed)
    fleet, incidents = new_fleet({"tick": "1h", "keep_firing": "3h", "hold": "1h"}), []
    names = [f"m{i}" for i in range(8)]
    for hour in range(70):
        n = int(rng.integers(20, 60)) * 8
        values = rng.normal(0, 1, (n, 3))
        values[:, 1] = rng.poisson(2, n)
        if 40 <= hour < 50:
            values[::8, 0] += 2.0
            values[1::8, 2] = np.nan
        batch = columns(START + hour * HOUR + np.arange(n), names * (n // 8), {f"f{j}": values[:, j] for j in range(3)})
        incidents += feed(fleet, batch, until=START + (hour + 1) * HOUR).incidents
    return fleet, incidents


@pytest.mark.parametrize("seed", range(3))
def test_same_life(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same fleet has the same incidents at the same times, and the same cells but for roundings."""
    ours, told = life(seed)
    monkeypatch.setattr(judge, "compiled", lambda: None)
    twins, twins_told = life(seed)
    assert told
    assert [(i.id, i.state, len(i.cells)) for i in told] == [(i.id, i.state, len(i.cells)) for i in twins_told]
    n = len(ours.series.names)
    for detector in DETECTORS:
        a, b = ours.judge.states[detector.name], twins.judge.states[detector.name]
        for name in ("applies", "firing", "alarmed", "last_bad", "onset", "s_prev", "n_prev", "scatter_ticks"):
            assert np.array_equal(a[name][:n], b[name][:n], equal_nan=True), (detector.name, name)
        for name in ("log_r", "evidence", "suspicion", "effect", "scatter", "scatter_weight"):
            x, y = a[name][:n].astype(np.float64), b[name][:n].astype(np.float64)
            assert np.allclose(x, y, rtol=1e-4, atol=1e-3, equal_nan=True), (detector.name, name)


def looked_at(rng: np.random.Generator, k: int) -> tuple[SeriesView, np.ndarray]:
    """Series of every kind, and counts of a tick of theirs."""
    counts = rng.poisson(3, (k, COLUMNS)).astype(np.uint32)
    counts[0], counts[:, [PRESENT, EVENTS]] = 0, rng.integers(0, 60, (k, 2))
    kind, space = rng.integers(0, 2, (2, k)).astype(np.uint8)
    cuts, n_cuts = rng.integers(0, BINS, (k, 9)).astype(np.uint8), rng.integers(0, 10, k).astype(np.uint8)
    return SeriesView(kind, space, n_cuts, cuts, rng.random(k) < 0.5, rng.random(k) < 0.7), counts


@pytest.mark.parametrize("seed", range(5))
def test_shares(seed: int) -> None:
    """What each detector asks of a tick and of the fading present is what it says itself, for all of them."""
    rng = np.random.default_rng(seed)
    k, rows = 40, rng.permutation(100)[:40].astype(np.int64)
    view, counts = looked_at(rng, k)
    recent = 20.0 * rng.random((100, COLUMNS)).astype(np.float32)
    ours, twins = recent.copy(), recent.copy()
    found = judge.shares(rows, counts, ours, 300.0, view)
    both = judge.present(rows, counts, twins, 300.0)
    assert found is not None
    assert np.allclose(ours, twins, rtol=1e-6)
    for detector in DETECTORS:
        for (s, n), seen in zip(found[detector.name], both, strict=True):
            twin = detector.shares(seen, view)
            assert np.allclose(s, twin.s, rtol=1e-12), detector.name
            assert np.allclose(n, twin.n, rtol=1e-12), detector.name


@pytest.mark.parametrize("seed", range(5))
def test_cuts(seed: int) -> None:
    """The shares at cuts are the same."""
    rng = np.random.default_rng(seed)
    tick, k = rng.poisson(3, (40, COLUMNS)).astype(np.float64), 40
    cuts = rng.integers(0, BINS, (k, 9)).astype(np.uint8)
    is_number = rng.random(k) < 0.5
    for got, want in zip(
        judge.cut_shares(tick, is_number, cuts), judge.cut_shares_twin(tick, is_number, cuts), strict=True
    ):
        assert np.array_equal(got, want)
