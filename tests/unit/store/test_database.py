"""Are writes one, in order, and on the disk?"""

from __future__ import annotations

import errno
import mmap
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rocksdict import AccessType, Options, Rdict

from monitor.errors import StoreError, StoreFullError
from monitor.outcomes.sheaves import CASES
from monitor.store import bulk
from monitor.store import database as module
from monitor.store.database import Database, Writes


def test_all_writes_together(tmp_path: Path) -> None:
    """What was committed is there when the store is opened again, in the order of its keys."""
    with Database(tmp_path / "a" / "store") as database:
        writes = Writes()
        for key in (b"Tb", b"Ta", b"U", b"T\xff", b"S"):
            writes.put(key, key * 2)
        database.commit(writes)
        never = Writes()
        never.put(b"Tz", b"")
    with Database(tmp_path / "a" / "store") as database:
        assert list(database.scan_prefix(b"T")) == [(b"a", b"TaTa"), (b"b", b"TbTb"), (b"\xff", b"T\xffT\xff")]
        assert database.get(b"U") == b"UU"
        assert database.get(b"V") is None


def test_removed(tmp_path: Path) -> None:
    """Keys and ranges of keys can be removed; what is put behind a removal in one write stays."""
    with Database(tmp_path) as database:
        writes = Writes()
        for key in b"abcdef":
            writes.put(bytes([key]), b"1")
        database.commit(writes)
        writes = Writes()
        writes.delete_range(b"b", b"e")
        writes.put(b"c", b"2")
        writes.delete(b"a")
        writes.delete(b"zz")
        database.commit(writes)
        assert list(database.scan(b"", b"z")) == [(b"c", b"2"), (b"e", b"1"), (b"f", b"1")]


def test_second_opening(tmp_path: Path) -> None:
    """A store that is open is not opened again; the error names it."""
    with Database(tmp_path / "store"), pytest.raises(StoreError, match=r"store.*cannot be opened"):
        Database(tmp_path / "store")


def test_unusable_place(tmp_path: Path) -> None:
    """A file where the directory should be is an error that names it."""
    (tmp_path / "store").write_text("not a directory")
    with pytest.raises(StoreError, match="store: the store cannot be opened"):
        Database(tmp_path / "store")


def test_a_damaged_block_is_no_missing_key(tmp_path: Path) -> None:
    """Keys of a block that does not fit its checksum are an error of the store, by whatever way they are read."""
    keys = [b"C%08d" % i for i in range(20_000)]
    for part in range(2):  # a file is written when the store is opened with what only its log holds
        with Database(tmp_path / "store") as database:
            writes = Writes()
            writes.put_many(keys, [b"%d of %d" % (part, i) for i in range(len(keys))])
            database.commit(writes)
    for file in (tmp_path / "store").glob("*.sst"):
        raw = bytearray(file.read_bytes())
        raw[2_000:3_000] = bytes(1_000)
        file.write_bytes(raw)
    with Database(tmp_path / "store", to_look=True) as database:
        with pytest.raises(StoreError, match="store cannot be read"):
            database.get_many(keys)
        with pytest.raises(StoreError, match="store cannot be read"):
            list(database.scan_prefix(b"C"))


LARGE = bytes(range(256)) * (5 << 12)
"""5 MB: two of it are too much for memory."""


def same(large: Database, small: Database, writes: Writes) -> None:
    """Do in ``small`` what was done in ``large``: both hold the same then."""
    small.commit(writes)
    assert list(large.scan(b"", b"z")) == list(small.scan(b"", b"z"))


@pytest.mark.parametrize("seed", range(6))
def test_what_is_large_is_written_as_what_is_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Whatever is set, removed and set again within one write and over many: a large one leaves what small ones do."""
    rng = np.random.default_rng(seed)
    with Database(tmp_path / "a") as large, Database(tmp_path / "b") as small:
        for turn in range(12):
            writes = Writes()
            for what, first, second in rng.integers(0, [4, 99, 99], (60, 3)).tolist():
                key, other = b"%02d" % min(first, second), b"%02d" % max(first, second)
                if what == 3 and second - first < 30:
                    writes.delete_range(key, other)
                elif what == 2:
                    writes.delete(key)
                else:
                    writes.put(key, b"%d" % turn)
            monkeypatch.setattr(module, "_BUFFER_BYTES", rng.choice([0, 1 << 20]))
            large.commit(writes)
            monkeypatch.setattr(module, "_BUFFER_BYTES", 1 << 20)
            same(large, small, writes)


def test_what_is_large_outlives_a_kill(tmp_path: Path) -> None:
    """Behind a commit all of it is on the disk, with what was small before; of one that never ended nothing is."""
    with Database(tmp_path / "store") as database:
        for key in (b"a", b"b"):
            writes = Writes()
            writes.put(key, b"small")
            database.commit(writes)
            writes = Writes()
            writes.put(key + b"1", LARGE)
            writes.put(key + b"2", LARGE)
            writes.delete_range(b"a", b"a2")
            database.commit(writes)
        (tmp_path / "store" / "coming").write_bytes(LARGE)  # it was killed at the third
        shutil.copytree(tmp_path / "store", tmp_path / "left")
    (tmp_path / "left" / "LOCK").unlink()
    with Database(tmp_path / "left") as database:
        assert [(key, len(value)) for key, value in database.scan(b"", b"z")] == [
            (b"a2", len(LARGE)),
            (b"b", 5),
            (b"b1", len(LARGE)),
            (b"b2", len(LARGE)),
        ]
        assert not (tmp_path / "left" / "coming").exists()


def test_what_is_large_and_refused_leaves_nothing(tmp_path: Path) -> None:
    """A file that cannot be written is an error, changes nothing, and is in nobody's way when it is tried again."""
    with Database(tmp_path) as database:
        writes = Writes()
        writes.put(b"a", LARGE)
        writes.put(b"b", LARGE)
        (tmp_path / "coming").symlink_to(tmp_path / "nowhere" / "coming")
        with pytest.raises(StoreError, match="cannot be written"):
            database.commit(writes)
        assert not list(database.scan(b"", b"z"))
        database.commit(writes)
        assert [key for key, _ in database.scan(b"", b"z")] == [b"a", b"b"]
        assert sorted(each.name for each in tmp_path.iterdir() if each.name == "coming") == []


def write_two(database: Database) -> None:
    """A write that becomes a file."""
    writes = Writes()
    writes.put(b"a", LARGE)
    writes.put(b"b", LARGE)
    database.commit(writes)


def test_a_file_system_that_maps_no_files_takes_large_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What only makes it faster is not needed for it: some network file systems refuse to map what is written."""

    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr(mmap, "mmap", refused)
    with Database(tmp_path) as database:
        write_two(database)
        assert database.get(b"b") == LARGE


@pytest.mark.parametrize("links", [True, False])
def test_a_file_system_without_links_takes_large_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, links: bool
) -> None:
    """Where a file has one name, as on FAT and in some mounts of users, it is copied: what is written is the same."""
    written = []

    def refused(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    def noted(_: bulk.Bulk, __: bytes) -> None:
        written.append((tmp_path / "coming").stat().st_ino)

    if not links:
        monkeypatch.setattr(Path, "hardlink_to", refused)
    monkeypatch.setattr(bulk.Bulk, "_nudge", noted)
    with Database(tmp_path) as database:
        write_two(database)
        assert database.get(b"b") == LARGE
        assert ([each.stat().st_ino for each in tmp_path.glob("*.sst")] == written) == links
        assert not list(tmp_path.glob("coming*"))


def test_a_disk_that_was_full_is_not_filled_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What had no room is laid out again once there is some: others write to that disk, too."""
    lay_out, tried, room = bulk.Bulk._lay_out, [], [0]

    def laid_out(self: bulk.Bulk, left: dict[bytes, bytes | None]) -> None:
        tried.append(room[0])
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        lay_out(self, left)

    monkeypatch.setattr(bulk.Bulk, "_lay_out", laid_out)
    monkeypatch.setattr(bulk.shutil, "disk_usage", lambda _: SimpleNamespace(free=room[0]))
    with Database(tmp_path) as database:
        writes = Writes()
        writes.put(b"a", LARGE)
        writes.put(b"b", LARGE)
        writes.delete(b"c")
        for room[0] in (0, 0, len(LARGE)):
            with pytest.raises(StoreFullError, match="No space left"):
                database.commit(writes)
        room[0] = 3 * len(LARGE)
        database.commit(writes)
        assert database.get(b"b") == LARGE
        room[0] = 1  # a disk that tells no truth of itself is believed only where it was full
        database.commit(writes)
    assert tried == [0, 3 * len(LARGE), 1]


@pytest.mark.parametrize("fails", [True, False])
def test_who_looks_sees_one_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, fails: bool) -> None:
    """What goes into files while a store is opened is not missing beside what came behind it: it is opened again."""
    opened, real = [], module.Rdict
    with Database(tmp_path) as database:

        def write(value: bytes) -> None:
            writes = Writes()
            writes.put(b"a", value)
            database.commit(writes)

        def slow(path: str, options: Options, **access: AccessType) -> Rdict:
            opened.append(real(path, options, **access))
            if len(opened) < 3:
                write(b"%d" % len(opened) * (10 << 20))
                if fails:
                    opened[-1].close()
                    raise OSError("a file is gone")
            return opened[-1]

        write(b"small")
        monkeypatch.setattr(module, "Rdict", slow)
        with Database(tmp_path, to_look=True) as looked:
            assert (looked.get(b"a") or b"")[:1] == b"2"
        assert len(opened) == 3

        def never(path: str, options: Options, **access: AccessType) -> Rdict:
            write(b"x" * (9 << 20))
            return real(path, options, **access)

        monkeypatch.setattr(module, "_LOOKS", 3)
        monkeypatch.setattr(module, "Rdict", never)
        with pytest.raises(StoreError, match="cannot be opened: what writes to it is too fast"):
            Database(tmp_path, to_look=True)


def test_large_writes_are_merged_many_at_once(tmp_path: Path) -> None:
    """Each lies on top of what was there before, whatever that was: it is not merged with each that comes."""
    with Database(tmp_path) as database:
        for turn in range(1, 6):
            writes = Writes()
            writes.put(b"a", LARGE)
            writes.put(b"z", LARGE)
            database.commit(writes)
            assert database._db.property_int_value("rocksdb.num-files-at-level0") == 2 * turn


def files_at(database: Database, level: int) -> int:
    return int(database._db.property_value(f"rocksdb.num-files-at-level{level}") or 0)


CASE = CASES + b"%08d"


def test_cases_are_merged_with_nothing_while_they_wait(tmp_path: Path) -> None:
    """What a large write has of new cases lies at the bottom from the beginning, and stays as it is until it is over.

    What is removed of older ones, and all else, goes on top: merging it touches none that wait.
    """
    with Database(tmp_path) as database:
        for turn in range(5):
            writes = Writes()
            writes.put(b"a", LARGE)
            for number in (2 * turn, 2 * turn + 1):
                writes.put(CASE % number, LARGE)
            if turn > 1:
                writes.delete(CASE % (2 * turn - 4))
                writes.delete(CASE % (2 * turn - 3))
            database.commit(writes)
            assert (files_at(database, 0), files_at(database, 6)) == (2 * (turn + 1), turn + 1)
        waiting = {each["name"]: each["size"] for each in database._db.live_files() if each["level"] == 6}
        database._db.compact_range(None, CASE % 5)
        still = {each["name"]: each["size"] for each in database._db.live_files() if each["level"] == 6}
        assert len(still.items() & waiting.items()) == 2
        assert [key for key, _ in database.scan(b"", b"z")] == [b"a", *(CASE % number for number in range(6, 10))]


def test_cases_that_are_written_over_draw_no_others_along(tmp_path: Path) -> None:
    """An order to remove someone writes older sheaves anew: what is new beside them still lies at the bottom, alone."""
    with Database(tmp_path) as database:
        for turn in range(3):
            writes = Writes()
            writes.put(b"a", LARGE)
            for number in (2 * turn, 2 * turn + 1):
                writes.put(CASE % number, LARGE)
            if turn == 2:
                writes.put(CASE % 1, b"")
            database.commit(writes)
            assert files_at(database, 6) == turn + 1
        assert [(key, len(value)) for key, value in database.scan(CASES, b"x")] == [
            (CASE % number, len(LARGE) if number != 1 else 0) for number in range(6)
        ]


@pytest.mark.parametrize("seed", range(4))
def test_what_lies_apart_is_one_write_with_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """New cases, others written over and removed in any order, behind and before them: as what small writes leave."""
    monkeypatch.setattr(bulk, "APART_BYTES", 0)
    rng = np.random.default_rng(seed)
    with Database(tmp_path / "a") as large, Database(tmp_path / "b") as small:
        for turn in range(12):
            writes = Writes()
            for what, number in rng.integers(0, [4, 30], (rng.integers(1, 9), 2)).tolist():
                key = rng.choice([b"a%d" % number, CASE % number, CASE % (100 * turn + number)])
                if what == 3:
                    writes.delete(key)
                else:
                    writes.put(key, b"%d" % turn)
            monkeypatch.setattr(module, "_BUFFER_BYTES", rng.choice([0, 1 << 20]))
            large.commit(writes)
            monkeypatch.setattr(module, "_BUFFER_BYTES", 1 << 20)
            same(large, small, writes)
