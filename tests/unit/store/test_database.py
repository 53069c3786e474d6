"""Are writes one, in order, and on the disk?"""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.errors import StoreError
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
