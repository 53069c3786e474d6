"""Do ticks come to comparisons, and evidence to alarms, alike by the compiled loops and by their twins?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.catalog.rows import Rows
from monitor.groups.comparing import STATE
from monitor.groups.questions import ASKED, QUESTIONS, Kind
from monitor.groups.tables import CELLS, GROUPS, OUTPUTS, TALLIES
from monitor.kernels import pool as pooling
from monitor.kernels import settle as settling
from monitor.kernels.compare import Moved
from monitor.kernels.judge import FIRING, IDLE, PENDING
from monitor.kernels.pool import Laid, Room, Tables, Terms, pool, pool_twin
from monitor.kernels.settle import Bets, settle, settle_twin

pytestmark = pytest.mark.skipif(
    pooling.compiled() is None or settling.compiled() is None, reason="the kernels are not built"
)

N_TALLIES, N_BLOCKS, N_CELLS, N_GROUPS, N_OUTPUTS, N_MODELS, N_ATTRIBUTES = 60, 9, 20, 8, 12, 4, 3
KINDS = np.array(list(Kind), np.uint8)


def filled(fields: dict[str, Any], n: int, **columns: np.ndarray) -> Rows:
    """A table of ``n`` rows that hold ``columns``."""
    rows = Rows(fields)
    rows.add(n)
    for name, column in columns.items():
        rows[name][:n] = column
    return rows


def world(rng: np.random.Generator) -> tuple[Tables, Laid]:
    """Tables and a layout of some of their tallies; both twins are given one made of the same draws."""
    of = {
        "group": rng.integers(0, N_GROUPS, N_CELLS),
        "output": rng.integers(0, N_OUTPUTS, N_CELLS),
    }
    tables = Tables(
        filled(TALLIES, N_TALLIES, block=rng.integers(0, N_BLOCKS, N_TALLIES)),
        filled(CELLS, N_CELLS, **of),
        filled(
            GROUPS,
            N_GROUPS,
            attribute=rng.integers(0, N_ATTRIBUTES, N_GROUPS),
            first=rng.choice([-1, 3], N_GROUPS),
        ),
        filled(
            OUTPUTS,
            N_OUTPUTS,
            model=rng.integers(0, N_MODELS, N_OUTPUTS),
            kind=rng.choice(KINDS, N_OUTPUTS),
            born=rng.choice([-np.inf, 30.0, 60.0], N_OUTPUTS),
            tolerance=rng.random(N_OUTPUTS),
        ),
    )
    block = tables.tallies["block"]
    bases = rng.permutation(N_TALLIES)[: N_TALLIES // 3].astype(np.int32)
    outputs = rng.permutation(N_TALLIES)[: N_TALLIES // 2].astype(np.int32)
    cells = np.sort(rng.permutation(N_CELLS)[: N_CELLS // 2])
    row = rng.permutation(outputs)[: 2 * len(cells)]
    cut = np.sort(rng.integers(0, len(row) + 1, len(cells) - 1))
    return tables, Laid(
        bases=bases,
        of_bases=block[bases].astype(np.int32),
        outputs=outputs,
        of_outputs=rng.integers(0, 7, len(outputs)).astype(np.int32),
        n_outputs=7,
        waiting=rng.permutation(bases)[:5],
        row=row,
        base=rng.choice(bases, len(row)),
        block=block[row].astype(np.int32),
        of_row=rng.integers(0, 7, len(row)).astype(np.int32),
        first=np.concatenate([[0], cut, [len(row)]]).astype(np.int32),
        cell=cells,
        margins=np.full((len(cells), 2), -1, np.int32),
    )


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_what_ticks_pool(seed: int) -> None:
    """Over some ticks both pool the same to the bit, pay the same cells, and let the same ones bet."""
    (ours, laid), (twins, same) = (world(np.random.default_rng(seed)) for _ in range(2))
    rng, room, twin_room = np.random.default_rng([seed, 1]), Room(), Room()
    carried, twin_carried = np.zeros((2, N_CELLS))
    listed = np.isin(KINDS, [Kind.WATCHED, Kind.ROLLED])
    for turn in range(8):
        some = np.sort(rng.permutation(N_TALLIES)[: rng.integers(0, N_TALLIES)])
        n = rng.integers(0, 9, len(some)).astype(np.float64)
        sums = some, n, n * rng.random(len(some))
        groups_of = rng.integers(1, 5, N_ATTRIBUTES).astype(np.int32)
        terms = Terms(20.0 * turn, rng.random(N_MODELS), rng.random(len(KINDS)), 0.25, listed, groups_of, 20.0)
        for each in (room, twin_room):
            each.make(N_TALLIES, N_BLOCKS)
        found = pool(sums, laid, ours, terms, carried, room)
        twin = pool_twin(sums, same, twins, terms, twin_carried, twin_room)
        for name, a, b in zip(found._fields, found, twin, strict=True):
            assert np.array_equal(a, b), name
        for name in ("pool", "total"):
            assert np.array_equal(ours.tallies[name][:N_TALLIES], twins.tallies[name][:N_TALLIES])
        assert np.array_equal(carried, twin_carried)
        assert not any(each.any() for each in (room.n, room.s, room.n_all, room.touched))
        ours.tallies["pool"][found.row] = twins.tallies["pool"][found.row] = 0.0


def seen(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """What ``n`` cells have seen in the present and since suspicion began, of one stratum."""
    found = {}
    for name in ("recent", "since"):
        cases = rng.choice([0.0, 1.0, 30.0, 900.0], (n, 2)) * rng.integers(0, 9, (n, 2))
        na, nb, sa, sb = *cases.T, *(cases * rng.random((n, 2))).T
        found[name] = np.stack([na, sa, nb, sb], axis=1)
        found[f"{name}_within"] = np.stack([sb * na, sa * nb, na * nb], axis=1) / np.maximum(na + nb, 1.0)[:, None]
    return found


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_what_evidence_and_effect_come_to(seed: int) -> None:
    """Both say the same of every cell and leave the same state: alone, beside groups that are told of, or are not."""
    rng, n, end = np.random.default_rng(seed), 60, 600.0
    columns = seen(n, rng) | {
        "firing": rng.choice([IDLE, PENDING, FIRING], n),
        "carried": rng.random(n),
        "log_r": rng.normal(size=(n, 8)),
        "onset": rng.choice([np.nan, 60.0], n),
        "alarmed": rng.choice([0.0, 590.0], n),
        "last_bad": rng.choice([0.0, 590.0], n),
        "suspicion": rng.random(n),
    }
    ours, twins = (filled(STATE, n, **columns) for _ in range(2))
    cells = np.sort(rng.permutation(n)[:40]).astype(np.int64)
    kind = rng.choice(KINDS, len(cells)).astype(np.uint8)
    gap = np.array([QUESTIONS[Kind(each)].gap for each in kind.tolist()])
    bets = Bets(
        end=end,
        cell=cells,
        margins=np.where(rng.random((len(cells), 2)) < 0.6, rng.integers(0, n, (len(cells), 2)), -1).astype(np.int32),
        kind=kind,
        tolerance=np.where(gap, rng.uniform(0.0, 0.3, len(cells)), rng.uniform(0.5, 0.95, len(cells))),
        log_total=rng.choice([-14.0, -8.0, -2.0, 3.0], len(cells)),
        log_budget=rng.uniform(-16.0, -0.5, len(cells)),
        seconds=np.full(len(cells), 60.0),
        hold=rng.choice([0.0, 300.0], len(cells)),
        keep_firing=rng.choice([0.0, 300.0], len(cells)),
    )
    moved = Moved(
        rng.integers(0, 2, len(cells)), rng.choice([-np.inf, -0.1, 0.1], len(cells)), rng.random(len(cells)) < 0.5
    )
    found, twin = settle(ASKED, ours, bets, moved, 1.995), settle_twin(ASKED, twins, bets, moved, 1.995)
    assert np.array_equal(found, twin)
    for name in STATE:
        assert np.array_equal(ours[name][:n], twins[name][:n], equal_nan=True), name
    assert len(set(found.tolist())) > 3
