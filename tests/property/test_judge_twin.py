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


@pytest.mark.parametrize(
    ("cuts", "two_sided", "shifts"),
    [
        *((9, True, (0.1, 0.4, 1.2)), (1, False, (0.7, 1.5, 3.0)), (1, True, (0.5, 1.0))),
        *(
            (5, True, (0.3, 0.9)),
            (3, False, (0.1, 0.3, 0.5, 0.9, 1.7)),
            (10, False, (0.8,)),
            (4, True, (0.2, 0.4, 0.8, 1.6)),
        ),
    ],
)
def test_same_bets_of_every_shape(cuts: int, two_sided: bool, shifts: tuple[float, ...]) -> None:
    """Whatever a detector asks, cells that fire, that reach their budget and that cannot bet on all move alike."""
    rng, question = np.random.default_rng(cuts), judge.Question(cuts, two_sided, shifts)
    state, bets = cells_that_bet(rng, question, 300)
    ours, twins = ({name: array.copy() for name, array in state.items()} for _ in range(2))
    a, b = judge.bet(question, ours, bets), judge.bet_twin(question, twins, bets)
    assert len(set(a.flags.tolist())) > 1
    assert np.isinf(ours["log_r"]).all(axis=1).any()
    assert np.array_equal(a.flags, b.flags)
    for x, y in [(a.evidence, b.evidence), (a.eta, b.eta), *((ours[name], twins[name]) for name in state)]:
        assert np.allclose(x, y, rtol=1e-4, atol=1e-3, equal_nan=True)
    told = (ours["suspicion"][bets.row] > judge.SUSPICIOUS) | (ours["firing"][bets.row] == judge.PENDING)
    assert np.array_equal(a.before[told], b.before[told])


def cells_that_bet(
    rng: np.random.Generator, question: judge.Question, k: int
) -> tuple[dict[str, np.ndarray], judge.Bets]:
    """``k`` cells of all kinds of pasts, in any order, and what they bet on."""
    n, cuts = rng.integers(1, 60, k).astype(np.float64), question.cuts
    share = rng.random((k, cuts))
    low, high = 0.6 * share, np.minimum(1.2 * share, 1.0)
    low[::5], high[::3] = 0.0, 1.0  # nothing lies beyond: nobody bets on it
    cost = judge.costs(question, low, high).reshape(k, -1)
    state = {
        "log_r": rng.uniform(-20, -0.1, cost.shape),
        "cost": cost,
        "reference_share": share,
        "null_low": low,
        "null_high": high,
        "s_prev": share * n[:, None],
        "n_prev": n,
        **{name: rng.random(k) for name in ("scatter", "scatter_weight", "wander", "effect", "evidence", "suspicion")},
    }
    state = {name: array.astype(np.float32) for name, array in state.items()}
    state["log_r"][::7] = -np.inf
    state |= {"scatter_ticks": rng.integers(0, 40, k).astype(np.int32)}
    state |= {name: np.where(rng.random(k) < 0.5, np.nan, 900.0) for name in ("onset", "alarmed", "last_bad")}
    state |= {"firing": rng.integers(0, 3, k).astype(np.uint8)}
    place = rng.permutation(k)
    tick_s, now_s = (np.floor(rng.random((k, cuts)) * n[:, None]) for _ in range(2))
    now_s[::2] = (share * n[:, None])[rng.permutation(k)][::2]
    log_budget, seconds = rng.uniform(-14, -6, k), np.full(k, 60.0)
    bets = judge.Bets(1000.0, place, rng.permutation(k), tick_s, n, now_s, n, log_budget, seconds, seconds, seconds)
    return state, bets
