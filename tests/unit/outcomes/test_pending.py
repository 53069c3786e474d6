"""Do cases survive in a store, with little memory, and go when they are over?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monitor.outcomes.case import HAS_PREDICTION, OPEN, blank
from monitor.outcomes.pending import Pending, matured
from monitor.store.cases import TemporaryCases
from monitor.store.database import Database, Writes


def cases(keys: range, due: float):
    made = blank(len(keys))
    made["key"], made["due"], made["stage"], made["has"] = list(keys), due, OPEN, HAS_PREDICTION
    made["score"] = made["key"] / 1000.0
    return made


def saved(pending: Pending, database: Database) -> None:
    writes = Writes()
    pending.save(writes)
    database.commit(writes)


def keys(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.uint64)


def due_keys(pending: Pending, due: float) -> list[int]:
    found = []
    for piece in pending.take(due):
        found += piece["key"].tolist()
        pending.close(piece[matured(piece)], np.full(int(matured(piece).sum()), due + 100.0))
        pending.forget(piece["key"][~matured(piece)])
    return found


def test_what_was_saved_is_there_again(tmp_path: Path) -> None:
    """Another process finds every case as it was, and knows when each is due."""
    with Database(tmp_path) as database:
        first = Pending()
        first.attach(database)
        first.add(cases(range(1, 6), 10.0))
        first.add(cases(range(6, 9), 20.0))
        saved(first, database)
        second = Pending()
        second.attach(database)
        assert second.dues(np.inf).tolist() == [10.0, 20.0]
        rows = second.find(keys(3, 99, 7))
        assert second.cases["score"][rows[[0, 2]]].tolist() == [0.003, 0.007]
        assert rows[1] == -1
        assert due_keys(second, 10.0) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("saves", range(4))
def test_a_case_goes_through_its_life_wherever_it_lies(tmp_path: Path, saves: int) -> None:
    """Open, matured, remembered, gone: the same whether it was written and let go of between any two steps."""
    with Database(tmp_path) as database:
        pending = Pending()
        pending.attach(database)
        pending.buffered_max = 0

        def maybe(step: int) -> None:
            if saves & step:
                saved(pending, database)

        pending.add(cases(range(1, 4), 10.0))
        maybe(1)
        assert due_keys(pending, 10.0) == [1, 2, 3]
        maybe(2)
        rows = pending.find(keys(2))
        assert pending.cases["due"][rows].tolist() == [110.0]
        assert pending.cases["score"][rows][0] != 0.002
        maybe(1)
        assert pending.dues(np.inf).tolist() == [110.0]
        assert due_keys(pending, 110.0) == [1, 2, 3]
        assert pending.find(keys(1, 2, 3)).tolist() == [-1, -1, -1]
        pending.add(cases(range(2, 3), 300.0))
        saved(pending, database)
        saved(pending, database)
        assert (pending.find(keys(1, 2, 3)) >= 0).tolist() == [False, True, False]
        assert len(list(database.scan_prefix(b"C"))) == 1
        assert len(list(database.scan_prefix(b"W"))) == 1


def test_memory_is_let_go(tmp_path: Path) -> None:
    """A crowded buffer asks for a store, and never has room for much more than makes it crowded."""
    pending, temporary = Pending(), TemporaryCases()
    pending.buffered_max = 5000
    for start in range(1, 50_001, 5000):
        pending.add(cases(range(start, start + 5000), float(start)))
        assert pending.crowded
        temporary.relieve(pending)
        assert not pending.crowded
        assert len(pending.cases) <= 2 * pending.buffered_max
    assert (pending.find(keys(1, 25_000, 50_000)) >= 0).all()
    assert len(due_keys(pending, 45_001.0)) == 5000
    temporary.close()
    assert len(pending.cases) <= 2 * pending.buffered_max
