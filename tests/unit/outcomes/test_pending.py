"""Do cases survive in a store, with little memory, and go when they are over?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fleets.cohorts import fleet_of
from fleets.waiting import cases, due_keys, keys, saved

from monitor.errors import StoreError
from monitor.outcomes import pending as room
from monitor.outcomes import sheaves
from monitor.outcomes.case import OPEN
from monitor.outcomes.pending import Pending
from monitor.store.cases import TemporaryCases
from monitor.store.database import Database, Writes


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
        assert len(list(database.scan_prefix(b"w"))) == 1
        assert len(list(database.scan_prefix(b"W"))) == 1


class Asked:
    """A store that counts for how many keys it was asked."""

    def __init__(self, database: Database) -> None:
        self.n = 0
        self.scan_prefix, self._get_many = database.scan_prefix, database.get_many

    def get_many(self, wanted: list[bytes]) -> list[bytes | None]:
        self.n += len(wanted)
        return self._get_many(wanted)


def test_the_store_is_asked_for_what_it_has_by_the_sheaf(tmp_path: Path) -> None:
    """Of new keys none costs a look into the store; cases that came together are read together, after a restart too."""
    with Database(tmp_path) as database:
        store, pending = Asked(database), Pending()
        pending.attach(store)
        for start in range(1, 6401, 640):
            pending.add(cases(range(start, start + 640), 10.0))
            saved(pending, database)
        for restarted in (False, True):
            if restarted:
                store, pending = Asked(database), Pending()
                pending.attach(store)
            else:
                pending._empty()
            assert (pending.find(np.arange(50_001, 80_001, dtype=np.uint64)) < 0).all()
            assert store.n == 0
            assert (pending.find(np.arange(65, 129, dtype=np.uint64)) >= 0).all()
            assert store.n == 1
            assert (pending.find(np.arange(1, 6401, dtype=np.uint64)) >= 0).all()
            assert store.n == 1 + 99


def test_an_index_has_room_for_cases_not_for_how_often_they_were_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that starts reads the keys of older sheaves too, and takes no more memory for them than before."""
    monkeypatch.setattr(room, "CHUNK", 4096)
    with Database(tmp_path) as database:
        pending = Pending()
        pending.attach(database)
        rows = pending.add(cases(range(1, 30_001), 10.0))
        saved(pending, database)
        for part in range(5):
            pending.touch(rows[part::6])
            saved(pending, database)
        again = Pending()
        again.attach(database)
        assert len(list(database.scan_prefix(b"W"))) > 1.8 * 30_000 / sheaves.SIZE
        assert len(again._index.keys) == len(pending._index.keys)
        assert again.find(keys(1, 2, 30_000)).min() >= 0


def test_sheaves_go_when_their_cases_are_in_later_ones(tmp_path: Path) -> None:
    """Cases are written again and again, for as long as one likes: a store does not grow by that."""
    with Database(tmp_path) as database:
        pending = Pending()
        pending.attach(database)
        rows = pending.add(cases(range(1, 201), 10.0))
        for _ in range(5):
            pending.touch(rows)
            saved(pending, database)
        assert len(list(database.scan_prefix(b"w"))) == len(list(database.scan_prefix(b"W"))) == 4
        pending.touch(rows[:70])
        saved(pending, database)
        assert len(list(database.scan_prefix(b"w"))) == 5
        assert due_keys(pending, 10.0) == list(range(1, 201))


@pytest.mark.parametrize("restarts", [False, True])
def test_a_case_that_is_due_earlier_than_it_was_does_not_come_back(tmp_path: Path, restarts: bool) -> None:
    """What lies in the store of a case under a later moment says nothing any more, after a restart either."""
    with Database(tmp_path) as database:
        pending = Pending()
        pending.attach(database)
        pending.add(cases(range(1, 4), 50.0))
        saved(pending, database)
        rows = pending.find(keys(2))
        pending.cases["due"][rows] = 20.0
        pending.list(rows)
        pending.touch(rows)
        if restarts:
            saved(pending, database)
            pending = Pending()
            pending.attach(database)
        for piece in pending.take(20.0):
            assert piece["key"].tolist() == [2]
            pending.forget(piece["key"])
        saved(pending, database)
        again = Pending()
        again.attach(database)
        for each in (pending, again):
            assert (each.find(keys(1, 2, 3)) >= 0).tolist() == [True, False, True]
            assert due_keys(each, 50.0) == [1, 3]


def test_nothing_stays_of_a_case_that_moved(tmp_path: Path) -> None:
    """The record of where a case is due no more goes with that moment, after a restart too."""
    with Database(tmp_path) as database:
        pending = Pending()
        pending.attach(database)
        rows = pending.add(cases(range(1, 2), 50.0))
        saved(pending, database)
        pending.cases["due"][rows] = 20.0
        pending.list(rows)
        pending.touch(rows)
        saved(pending, database)
        assert sorted(value[:1] for _, value in database.scan_prefix(b"W")) == [b"\0", b"\1"]
        pending = Pending()
        pending.attach(database)
        for piece in pending.take(20.0):
            pending.forget(piece["key"])
        assert pending.dues(np.inf).tolist() == [50.0]
        assert due_keys(pending, 50.0) == []
        saved(pending, database)
        assert not list(database.scan_prefix(b"W"))


@pytest.mark.parametrize("written", [2, 1, 0])
def test_what_is_removed_is_in_no_sheaf(tmp_path: Path, written: int) -> None:
    """An order removes a case from every sheaf that ever held it, written or not; those beside it stay."""
    with Database(tmp_path) as database:
        pending = Pending()
        pending.attach(database)
        made = cases(range(1, 5), 10.0)
        made["entity"] = [7, 8, 8, 9]
        pending.add(made)
        if written > 0:
            saved(pending, database)
        pending._fold()
        rows = pending.find(keys(1, 2, 3, 4))
        pending.cases["due"][rows[1:3]] = 20.0
        pending.list(rows[1:3])
        pending.touch(rows[1:3])
        if written > 1:
            saved(pending, database)
        pending._fold()
        eight = np.uint64(8)
        assert pending.keys_of_entity(eight).tolist() == [2, 3]
        pending.erase(pending.keys_of_entity(eight))
        saved(pending, database)
        held = b"".join(value for prefix in (b"w", b"W") for _, value in database.scan_prefix(prefix))
        said = [np.float64(0.001), np.float64(0.004), np.uint64(1), np.uint64(7)]
        assert [each.tobytes() in held for each in said] == [True] * 4
        for gone in (np.float64(0.002), np.float64(0.003), np.uint64(2), np.uint64(3), eight):
            assert gone.tobytes() not in held
        again = Pending()
        again.attach(database)
        for each in (pending, again):
            assert (each.find(keys(1, 2, 3, 4)) >= 0).tolist() == [True, False, False, True]
            assert due_keys(each, 10.0) == [1, 4]


def test_what_is_over_is_removed_from_where_it_was_due_first(tmp_path: Path) -> None:
    """A case that moved, matured and was forgotten still lies in the sheaf of its first moment: an order removes it."""
    with Database(tmp_path) as database:
        outcomes = fleet_of(1).outcomes
        pending = outcomes.pending
        pending.attach(database)
        made = cases(range(1, 3), 50.0)
        made["entity"] = [7, 8]
        rows = pending.add(made)
        saved(pending, database)
        pending.cases["due"][rows[:1]] = 20.0
        pending.list(rows[:1])
        pending.touch(rows[:1])
        for piece in pending.take(20.0):
            pending.forget(piece["key"])
        saved(pending, database)
        seven = np.uint64(7)
        assert outcomes.forget(pending.keys_of_entity(seven)) == (0, 0, [])
        saved(pending, database)
        held = b"".join(value for prefix in (b"w", b"W") for _, value in database.scan_prefix(prefix))
        assert seven.tobytes() not in held
        assert np.uint64(8).tobytes() in held
        assert (pending.find(keys(1, 2)) >= 0).tolist() == [False, True]


def test_little_is_stored_of_what_is_over(tmp_path: Path) -> None:
    """A case that has matured is its key, wherever it lay before; removed by an order, it is not even that."""
    with Database(tmp_path) as database:
        pending = Pending()
        pending.attach(database)
        for first in (1, 4):
            pending.add(cases(range(first, first + 3), 10.0))
            saved(pending, database)
            pending._empty()
        rows = pending.find(keys(1, 5))
        pending.touch(rows[:1])
        assert due_keys(pending, 10.0) == [1, 2, 3, 4, 5, 6]
        saved(pending, database)
        assert not list(database.scan_prefix(b"w"))
        ((_, value),) = database.scan_prefix(b"W")
        assert value == b"\2" + keys(1, 2, 3, 4, 5, 6).tobytes()
        again = Pending()
        again.attach(database)
        for each in (pending, again):
            each.erase(keys(2))
            found = each.cases[each.find(keys(1, 6))]
            assert (found["stage"] != OPEN).all()
            assert each.find(keys(2)).tolist() == [-1]
            assert due_keys(each, 110.0) == [1, 3, 4, 5, 6]
        saved(again, database)
        assert not list(database.scan_prefix(b"W"))


@pytest.mark.parametrize(
    "value",
    [
        b"\3" + keys(1, 2).tobytes(),  # of no kind
        b"\0" + keys(*range(1, 66)).tobytes(),  # more than a sheaf takes: they would lie in the next one
        b"\2" + bytes(8 * 65),
        b"\2" + bytes(12),
        b"\0" + bytes(12),
        b"",
    ],
)
def test_keys_that_are_damaged_are_refused(tmp_path: Path, value: bytes) -> None:
    """What no sheaf begins with, or what has other bytes than its cases take, is not read as some sheaf."""
    with Database(tmp_path) as database:
        writes = Writes()
        writes.put(b"W" + bytes(8) + (10_000 + (1 << 62)).to_bytes(8, "big"), value)
        database.commit(writes)
        with pytest.raises(StoreError, match="waiting cases ha"):
            Pending().attach(database)


@pytest.mark.parametrize("value", [b"\2" + bytes(8), b"\2" + bytes(24), b"\0" + bytes(24), b"\2" + bytes(15)])
def test_a_sheaf_of_what_is_over_is_read_as_it_was_begun(tmp_path: Path, value: bytes) -> None:
    """Where its record changed meanwhile, that is said when its moment has come, and nothing else forgotten."""
    with Database(tmp_path) as database:
        pending = Pending()
        pending.attach(database)
        pending.add(cases(range(1, 3), 10.0))
        assert due_keys(pending, 10.0) == [1, 2]
        saved(pending, database)
        ((under, _),) = database.scan_prefix(b"W")
        writes = Writes()
        writes.put(b"W" + under, value)
        database.commit(writes)
        with pytest.raises(StoreError, match="cases"):
            due_keys(pending, 110.0)


@pytest.mark.parametrize("held", [0, 100])
def test_more_may_be_due_than_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: int) -> None:
    """All that is due at one moment comes in the order of its keys, in pieces, wherever it lies."""
    monkeypatch.setattr(sheaves, "_HELD_MAX", held)
    monkeypatch.setattr(room, "CHUNK", 32)
    monkeypatch.setattr(room, "_MANY", 2)
    with Database(tmp_path) as database:
        pending = Pending()
        pending.attach(database)
        some = np.random.default_rng(1).permutation(500) + 1
        for start in range(0, 500, 100):
            made = cases(range(100), 10.0)
            made["key"] = some[start : start + 100]
            pending.add(made)
            if start < 400:
                saved(pending, database)
                pending._empty()
        assert due_keys(pending, 10.0) == list(range(1, 501))
        assert due_keys(pending, 110.0) == list(range(1, 501))


class Life:
    """Cases that come and go by chance, and beside them a plain dictionary of when each is due."""

    def __init__(self, database: Database, seed: int) -> None:
        self.rng, self.now, self.known = np.random.default_rng(seed), 0.0, dict[int, float]()
        self.database, self.written = database, (0.0, dict[int, float]())
        self.start()

    def start(self) -> None:
        self.pending = Pending()
        self.pending.attach(self.database)

    def find(self) -> tuple[np.ndarray, np.ndarray]:
        """Some keys and their rows, which are those that the dictionary says."""
        some = np.unique(self.rng.integers(1, 400, self.rng.integers(1, 20)).astype(np.uint64))
        rows = self.pending.find(some)
        assert (rows >= 0).tolist() == [int(key) in self.known for key in some]
        assert self.pending.cases["due"][rows[rows >= 0]].tolist() == [self.known[int(k)] for k in some[rows >= 0]]
        return some, rows

    def come(self) -> None:
        some, rows = self.find()
        new = cases(range(int((rows < 0).sum())), self.now + int(self.rng.integers(1, 5)))
        new["key"] = some[rows < 0]
        self.pending.add(new)
        self.known |= dict(zip(new["key"].tolist(), new["due"].tolist(), strict=True))

    def move(self) -> None:
        rows = self.find()[1]
        rows = rows[rows >= 0]
        rows = rows[self.pending.cases["stage"][rows] == OPEN]
        due = self.pending.cases["due"]
        due[rows] = np.maximum(due[rows] + self.rng.integers(-2, 3), self.now + 1.0)
        self.pending.list(rows)
        self.pending.touch(rows)
        self.known |= dict(zip(self.pending.cases["key"][rows].tolist(), due[rows].tolist(), strict=True))

    def remove(self) -> None:
        rows = self.find()[1]
        held = self.pending.cases[rows[rows >= 0]]
        self.pending.erase(held["key"])
        for key in held["key"].tolist():
            del self.known[key]

    def mature(self) -> None:
        self.now += 1.0
        for due in self.pending.dues(self.now).tolist():
            here, found = sorted(key for key, at in self.known.items() if at == due), []
            for piece in self.pending.take(due):
                found += piece["key"].tolist()
                stays = self.rng.random(len(piece)) < 0.5
                self.pending.close(piece["key"][stays], np.full(int(stays.sum()), due + 3.0))
                self.pending.forget(piece["key"][~stays])
                self.known |= dict.fromkeys(piece["key"][stays].tolist(), due + 3.0)
                self.known = {key: at for key, at in self.known.items() if key not in piece["key"][~stays]}
            assert found == here

    def save(self) -> None:
        self.pending.buffered_max = int(self.rng.choice([0, 4, 10_000]))
        saved(self.pending, self.database)
        self.written = (self.now, dict(self.known))

    def fold(self) -> None:
        """The buffer was full."""
        self.pending._fold()

    def restart(self) -> None:
        self.save()
        self.start()

    def kill(self) -> None:
        """What happened since it was saved never did."""
        self.now, self.known = self.written[0], dict(self.written[1])
        self.start()


def live(path: Path, seed: int) -> None:
    """A hundred and twenty steps of a life, at each of which exactly what is there is found."""
    with Database(path) as database:
        life = Life(database, seed)
        steps = [
            life.come,
            life.come,
            life.come,
            life.move,
            life.remove,
            life.mature,
            life.save,
            life.save,
            life.fold,
            life.restart,
            life.kill,
        ]
        for step in life.rng.integers(0, len(steps), 120).tolist():
            steps[step]()
            life.find()


@pytest.mark.parametrize("seed", range(9))
def test_no_case_is_lost_in_a_life_of_chances(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Cases come, are written, let go of, moved, removed, mature and are remembered; the process ends, or is killed.

    At every step exactly those are found that are there, whether they mature in one piece or in many.
    """
    if seed % 3:
        monkeypatch.setattr(room, "CHUNK", 3)
        monkeypatch.setattr(room, "_MANY", 2)
        monkeypatch.setattr(sheaves, "_HELD_MAX", [0, 3, 10_000][seed % 3])
    live(tmp_path, seed)


@pytest.mark.parametrize("seed", range(9, 15))
def test_no_case_is_lost_where_thin_sheaves_are_drawn_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """The same where what lies in sheaves of few is written anew all the time, while a moment matures too."""
    monkeypatch.setattr(sheaves, "FEW", 2 + seed % 3)
    monkeypatch.setattr(room, "CHUNK", 3)
    live(tmp_path, seed)


def test_outcomes_in_an_order_of_their_own_leave_few_sheaves(tmp_path: Path) -> None:
    """A commit writes one case of each moment: without more, each would cost a sheaf until its moment came."""
    with Database(tmp_path, passing=True) as database:
        pending = Pending()
        pending.attach(database)
        for moment in range(5):
            pending.add(cases(range(1 + 200 * moment, 201 + 200 * moment), float(moment)))
        saved(pending, database)
        pending._empty()
        for each in range(1, 201):
            rows = pending.find(keys(*range(each, 1001, 200)))
            pending.cases["outcome"][rows] = each
            pending.touch(rows)
            saved(pending, database)
            pending._empty()
        again = Pending()
        again.attach(database)
        for one in (pending, again):
            assert 5 * 200 // sheaves.SIZE <= sum(map(len, one._sheaves._of.values())) <= 5 * 50
            rows = one.find(np.arange(1, 1001, dtype=np.uint64))
            assert (one.cases["outcome"][rows] == np.tile(np.arange(1, 201), 5)).all()
            assert due_keys(one, 3.0) == list(range(601, 801))
        assert len(list(database.scan_prefix(b"W"))) <= 5 * 50


def test_a_sheaf_that_goes_before_it_is_written_never_is(tmp_path: Path) -> None:
    """What came, was written over and matured between two commits leaves nothing in the store, and no bytes waiting."""
    with Database(tmp_path) as database:
        pending = Pending()
        pending.attach(database)
        pending.buffered_max = 100
        for turn in range(5):
            pending.add(cases(range(1 + 1000 * turn, 1001 + 1000 * turn), float(turn)))
            pending._relieve()
            assert pending._sheaves.unwritten_bytes > 0
            rows = pending.find(np.arange(1 + 1000 * turn, 1001 + 1000 * turn, dtype=np.uint64))
            pending.touch(rows)
            pending._relieve()
            for piece in pending.take(float(turn)):
                pending.forget(piece["key"])
        assert pending._sheaves.unwritten_bytes == 0
        saved(pending, database)
        assert not list(database.scan_prefix(b"w")) + list(database.scan_prefix(b"W"))


def test_nothing_is_noted_for_a_store_that_is_not_there() -> None:
    """A replay whose cases all have room in memory never writes one: what went by leaves nothing behind."""
    pending = Pending()
    for moment in range(1, 41):
        pending.add(cases(range(2 * moment, 2 * moment + 2), float(moment)))
        for piece in pending.take(float(moment)):
            pending.forget(piece["key"][:1])
            pending.forget(piece["key"][1:])
    held = [*vars(pending).values(), *vars(pending._sheaves).values()]
    assert sum(len(each) for each in held if isinstance(each, list | dict)) == 0


def test_bytes_that_wait_ask_for_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is folded and not written is bounded by its bytes."""
    monkeypatch.setattr(room, "UNWRITTEN_MAX", 50_000)
    with Database(tmp_path) as database:
        pending = Pending()
        pending.attach(database)
        pending.buffered_max = 100
        pending.add(cases(range(1, 501), 10.0))
        assert pending.crowded
        pending._relieve()
        assert not pending.crowded
        pending.add(cases(range(501, 2001), 10.0))
        pending._relieve()
        assert pending.crowded
        saved(pending, database)
        assert not pending.crowded


def test_what_was_over_before_there_is_a_store_goes_into_it(tmp_path: Path) -> None:
    """Of a replay that outgrows its memory late nothing is written over, nor taken for what came first."""
    with Database(tmp_path) as database:
        pending = Pending()
        for first in (1, 11):
            pending.add(cases(range(first, first + 2), 10.0 + first))
            assert due_keys(pending, 10.0 + first) == [first, first + 1]
        pending.attach(database)
        pending.buffered_max = 0
        pending.add(cases(range(21, 23), 111.0))
        pending.add(cases(range(31, 33), 121.0))
        saved(pending, database)
        again = Pending()
        again.attach(database)
        for each in (pending, again):
            assert (each.cases["stage"][each.find(keys(1, 11, 21, 31))] == OPEN).tolist() == [False, False, True, True]
            assert due_keys(each, 111.0) == [1, 2, 21, 22]
            assert due_keys(each, 121.0) == [11, 12, 31, 32]


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
