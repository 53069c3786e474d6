"""Is a store put together from its log what it was, whoever held it and whatever else was written there?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.errors import StoreError
from monitor.store import changes
from monitor.store.changes import SEGMENTS_MAX, ChangeLog, Restored, pointer_of
from monitor.store.database import Database, Writes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEYS = st.integers(0, 30).map(lambda i: b"k%02d" % i)
CHANGE = st.one_of(
    st.tuples(st.just("put"), KEYS, st.binary(max_size=40)),
    st.tuples(st.just("delete"), KEYS, st.just(b"")),
    st.tuples(st.just("range"), KEYS, KEYS),
)


class Log:
    """A partition that anybody may write to."""

    def __init__(self) -> None:
        self.records: list[bytes] = []

    def send(self, blob: bytes, placed: Callable[[int], None]) -> None:
        placed(len(self.records))
        self.records.append(blob)


def content(database: Database) -> dict[bytes, bytes]:
    return dict(database.scan(b"", b"\xff"))


def restored(path: Path, log: Log, pointer: str) -> Database:
    database = Database(path, passing=True)
    putting = Restored(database)
    for segment in pointer_of(pointer).segments:
        take = putting.segment(segment)
        for offset in range(segment.start, segment.end):
            take(offset, log.records[offset])
        putting.done()
    database.watch()
    return database


def write(database: Database, said: list[tuple[str, bytes, bytes]]) -> None:
    writes = Writes()
    for what, first, second in said:
        if what == "put":
            writes.put(first, second)
        elif what == "delete":
            writes.delete(first)
        elif first < second:
            writes.delete_range(first, second)
    database.commit(writes)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.lists(st.lists(CHANGE, max_size=6), max_size=8), st.booleans()), min_size=1, max_size=5))
def test_whoever_held_it(
    tmp_path_factory: pytest.TempPathFactory, tenures: list[tuple[list[list[tuple[str, bytes, bytes]]], bool]]
) -> None:
    """Owner after owner, some of whom write on when they are no longer asked: the pointer names what was committed."""
    directory, log, pointer, expected = tmp_path_factory.mktemp("log"), Log(), "", dict[bytes, bytes]()
    zombies: list[tuple[Database, ChangeLog]] = []
    for number, (commits, dies) in enumerate(tenures):
        database = restored(directory / str(number), log, pointer)
        assert content(database) == expected
        own = ChangeLog(database, pointer_of(pointer), log.send)
        for said in commits:
            for old, writing in zombies:
                write(old, [("put", b"k00", b"of the dead")])
                writing.write(old.take_changes())
            write(database, said)
            own.write(database.take_changes())
            pointer, expected = own.pointer(), content(database)
        if dies:
            write(database, [("put", b"k01", b"not committed")])
            own.write(database.take_changes())
        zombies.append((database, own))
    with restored(directory / "last", log, pointer) as database:
        assert content(database) == expected
    for database, _ in zombies:
        database.close()


def test_old_records_are_not_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a whole pass over the store nothing older is read: the log may be cut off there, again and again."""
    monkeypatch.setattr(changes, "COPIED_LEAST", 300)
    monkeypatch.setattr(changes, "PASS_REST", 2000)
    log, database = Log(), Database(tmp_path / "a", passing=True)
    database.watch()
    own, cuts = ChangeLog(database, pointer_of(""), log.send), set[int]()
    for i in range(400):
        write(database, [("put", b"k%03d" % (i % 50), b"%04d" % i * 5)])
        own.write(database.take_changes())
        cuts.add(own.needed_from)
        if i % 40 == 0:
            cut = Log()
            cut.records = [b"cut off"] * own.needed_from + log.records[own.needed_from :]
            with restored(tmp_path / f"at{i}", cut, own.pointer()) as again:
                assert content(again) == content(database)
    database.close()
    assert len(cuts) >= 5
    assert len(log.records) - own.needed_from < 150


def test_many_owners_fit_a_commit(tmp_path: Path) -> None:
    """However often a shard changes hands before its store was copied, what names its state fits beside an offset."""
    log, pointer, longest = Log(), "", 0
    for number in range(3 * SEGMENTS_MAX):
        with restored(tmp_path / str(number), log, pointer) as database:
            write(database, [("put", b"big%d" % i, bytes(30_000)) for i in range(8)] if number == 0 else [])
            own = ChangeLog(database, pointer_of(pointer), log.send)
            own.write(database.take_changes())
            pointer = own.pointer()
            longest = max(longest, len(pointer))
    assert longest < 4096 / 2
    assert len(pointer_of(pointer).segments) <= SEGMENTS_MAX + 1


def test_a_record_that_is_missing_is_told(tmp_path: Path) -> None:
    """A log with a hole is not taken for a store."""
    log, database = Log(), Database(tmp_path / "a", passing=True)
    database.watch()
    own = ChangeLog(database, pointer_of(""), log.send)
    for i in range(3):
        write(database, [("put", b"k%d" % i, b"")])
        own.write(database.take_changes())
    database.close()
    log.records[1] = log.records[0]
    with pytest.raises(StoreError, match="record 1 is missing"):
        restored(tmp_path / "b", log, own.pointer())


@pytest.mark.parametrize("text", ["?", '["1"]', "[9,[]]"])
def test_a_pointer_of_somebody_else(text: str) -> None:
    """What names no state, or that of another version, is refused."""
    with pytest.raises(StoreError):
        pointer_of(text)
