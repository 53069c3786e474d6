"""Do groups compared by the compiled loop and by its twin come to the same?"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from monitor.catalog.rows import Rows
from monitor.groups.comparing import STATE
from monitor.groups.questions import ASKED, QUESTIONS, Kind
from monitor.groups.tables import TALLIES
from monitor.kernels import compare
from monitor.kernels.compare import Batch, Least, moved, moved_twin, step, step_twin

pytestmark = pytest.mark.skipif(compare.compiled() is None, reason="the kernels are not built")

CELLS, STRATA = 40, 3
SAME = ("scatter", "scatter_weight", "recent", "recent_within", "since", "since_within", "scatter_ticks", "carried")


def tables() -> tuple[Rows, Rows]:
    """Tallies and cells of nobody yet."""
    tallies, state = Rows(TALLIES), Rows(STATE)
    tallies.add(CELLS * STRATA)
    state.add(CELLS)
    return tallies, state


def pooled(n: int, rng: np.random.Generator) -> np.ndarray:
    """What ``n`` tallies pooled: whole cases on both sides; sums that are whole, fractions, nothing or all."""
    cases = rng.integers(1, 200, (n, 2)).astype(np.float64)
    sums = cases * rng.choice([0.0, 0.05, 0.3, 0.7, 1.0], (n, 2)) * rng.random((n, 2))
    sums = np.where(rng.random((n, 2)) < 0.3, cases, np.where(rng.random((n, 2)) < 0.7, np.floor(sums), sums))
    return np.stack([cases[:, 0], sums[:, 0], cases[:, 1], sums[:, 1]], axis=1)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_comparisons(seed: int) -> None:
    """Over some batches both give the same evidence and leave the same tallies and cells, but for roundings."""
    rng = np.random.default_rng(seed)
    (ours, state), (twins, twin_state) = tables(), tables()
    kind = rng.choice(np.array(list(Kind)), CELLS).astype(np.uint8)
    gap = np.array([QUESTIONS[Kind(each)].gap for each in kind.tolist()])
    tolerance = np.where(gap, rng.uniform(0.0, 0.3, CELLS), rng.uniform(0.5, 0.95, CELLS))
    lonely = rng.random(CELLS) < 0.5
    for _ in range(12):
        cells = np.flatnonzero(rng.random(CELLS) < 0.8)
        sizes = rng.integers(1, STRATA + 1, len(cells))
        first = np.concatenate([[0], np.cumsum(sizes)])
        strata = [rng.permutation(STRATA)[:n] for n in sizes]
        row = np.repeat(cells, sizes) * STRATA + np.concatenate(strata)
        waited = pooled(len(row), rng)
        ours["pool"][row] = twins["pool"][row] = waited
        log_budget = np.log(rng.uniform(1e-12, 1e-2, len(cells)))
        decay = np.full(len(cells), 0.995)
        batch = Batch(row, first, cells, kind[cells], tolerance[cells], lonely[cells], decay, log_budget)
        found, twin = step(ASKED, ours, state, batch), step_twin(ASKED, twins, twin_state, batch)
        assume((np.abs(twin.log_total) > 1e-3).all())  # an alarm more or less by a rounding is another life
        assert np.array_equal(found.pooled, waited)
        assert np.allclose(found.log_total, twin.log_total, rtol=1e-4, atol=1e-3)
        for a, b in zip(found[1:], twin[1:], strict=True):
            assert np.allclose(a, b, rtol=1e-4, atol=1e-3)
        for name in SAME:
            assert np.allclose(state[name], twin_state[name], rtol=1e-9)
        for name in TALLIES:
            assert np.allclose(ours[name], twins[name], rtol=1e-9)
        sure = (state["log_r"] > -80.0) | (twin_state["log_r"] > -80.0)
        assert np.allclose(state["log_r"][sure], twin_state["log_r"][sure], rtol=1e-4, atol=1e-3)
    assert (state["scatter_ticks"] > 5).any()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_how_far_cells_moved(seed: int) -> None:
    """Both find the same direction, distance and certainty: of all kinds, of nobody, of few, of those beyond all."""
    rng = np.random.default_rng(seed)
    state, cells = tables()[1], rng.permutation(CELLS)[:30].astype(np.int64)
    for name in ("recent", "since"):
        seen = pooled(CELLS, rng) * rng.choice([0.0, 0.1, 10.0], (CELLS, 1))
        size = np.maximum(seen[:, 0] + seen[:, 2], 1.0)
        state[name][:CELLS] = seen
        within = [seen[:, 3] * seen[:, 0], seen[:, 1] * seen[:, 2], seen[:, 0] * seen[:, 2]]
        state[f"{name}_within"][:CELLS] = np.stack(within, axis=1) / size[:, None]
    kind = rng.choice(np.array(list(Kind)), len(cells)).astype(np.uint8)
    gap = np.array([QUESTIONS[Kind(each)].gap for each in kind.tolist()])
    tolerance = np.where(gap, rng.uniform(0.0, 0.3, len(cells)), rng.uniform(0.5, 0.95, len(cells)))
    people = [state[name][cells, 2] * rng.choice([0.5, 1.0], len(cells)) for name in ("recent", "since")]
    asked = (ASKED, state, cells, kind, tolerance, people, Least(20, 1.995, 1.5))
    ours, twin = moved(*asked), moved_twin(*asked)
    assert np.allclose(ours.furthest, twin.furthest, rtol=1e-9, atol=1e-12)
    told = np.isfinite(twin.furthest)
    assert np.array_equal(ours.direction[told], twin.direction[told])
    assert np.array_equal(ours.clear, twin.clear)
