"""What does the buffer of cases that wait hold of memory, and of people, once it is written?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fleets.waiting import cases, due_keys, keys, saved

from monitor.catalog.aside import Aside
from monitor.outcomes.pending import Pending
from monitor.store.database import Database


@pytest.fixture
def place(tmp_path: Path) -> Aside:
    """A folder to lie in, on a disk that keeps what was reserved."""
    made = Aside(tmp_path)
    if made.take(4096) is None:
        pytest.skip(made.refused)
    return made


def resident(array: np.ndarray) -> int:
    """Bytes of memory that this process holds of the mapping in which ``array`` begins."""
    lines = iter(Path("/proc/self/smaps").read_text().splitlines())
    for line in lines:
        first, dash, stop = line.partition(" ")[0].partition("-")
        if dash and int(first, 16) <= array.ctypes.data < int(stop, 16):
            return next(1024 * int(line.split()[1]) for line in lines if line.startswith("Rss:"))
    raise AssertionError("it lies nowhere")


def test_a_buffer_that_was_saved_takes_no_memory(tmp_path: Path, place: Aside) -> None:
    """Once its cases are written it is resident no more, and each is there as it was: also with lists, and grown."""
    with Database(tmp_path / "store") as database:
        pending = Pending()
        pending.attach(database, place)
        pending.add(cases(range(1, 3_000), 10.0))
        assert resident(pending.cases) > 500_000
        saved(pending, database)
        assert resident(pending.cases) == 0
        pending.add(cases(range(3_000, 6_000), 20.0))
        saved(pending, database)
        pending.widen()
        saved(pending, database)
        assert resident(pending.cases) == 0
        assert pending.cases["score"][pending.find(keys(7, 5_999))].tolist() == [0.007, 5.999]
        assert due_keys(pending, 10.0) == list(range(1, 3_000))
        assert place.n_refused == 0


def test_nothing_of_a_removed_case_stays_in_the_buffer(tmp_path: Path) -> None:
    """The buffer lies in a file: what an order removes is overwritten there, and not only let go of."""
    with Database(tmp_path) as database:
        pending = Pending()
        pending.attach(database)
        rows = pending.add(cases(range(1, 5), 10.0))
        pending.erase(keys(2, 3))
        assert pending.cases["key"][rows].tolist() == [1, 0, 0, 4]
        assert np.isnan(pending.cases["score"][rows]).tolist() == [False, True, True, False]
        saved(pending, database)
        assert due_keys(pending, 10.0) == [1, 4]


def test_room_for_lists_takes_no_memory_where_no_case_is(tmp_path: Path, place: Aside) -> None:
    """A buffer that was let go of has lists in its next cases: what is free of it is not touched for that."""
    with Database(tmp_path / "store") as database:
        pending = Pending()
        pending.buffered_max = 0
        pending.attach(database, place)
        pending.add(cases(range(1, 5_000), 10.0))
        saved(pending, database)
        pending.add(cases(range(5_000, 5_010), 20.0))
        pending.widen()
        assert pending.cases.nbytes > 1_700_000
        assert resident(pending.cases) < 100_000
        assert pending.cases["score"][pending.find(keys(7, 5_009))].tolist() == [0.007, 5.009]


def test_no_copy_of_a_removed_person_stays_in_the_buffer(tmp_path: Path, place: Aside) -> None:
    """Nor where a case was read again after the buffer was let go of, nor where it had matured: all lies in a file."""
    with Database(tmp_path / "store") as database:
        pending = Pending()
        pending.attach(database, place)
        made = np.concatenate([cases(range(1, 1_500), 10.0), cases(range(1_500, 3_000), 20.0)])
        made["entity"] = 7 + made["key"] % 2
        pending.add(made)
        assert due_keys(pending, 10.0) == list(range(1, 1_500))
        pending.buffered_max = 0
        saved(pending, database)
        assert (pending.cases["entity"] == 8).any()
        pending.find(keys(2_000, 2_001, 2_003))
        pending.erase(pending.keys_of_entity(np.uint64(8)))
        assert not (pending.cases["entity"] == 8).any()
        assert pending.cases["score"][pending.find(keys(2_000))].tolist() == [2.0]
        saved(pending, database)
        assert due_keys(pending, 20.0) == list(range(1_500, 3_000, 2))
