"""Is all of a store read, copied and put back, and is damage found and named wherever it is?"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from fleets.build import START, event, hourly, new_fleet, write_lines
from unit.pipeline.stage import Stage

from monitor.cli import main
from monitor.config import load
from monitor.errors import StoreError
from monitor.events.raw import Partition
from monitor.store.checkpoint import Checkpoint
from monitor.store.database import Database, Writes
from monitor.store.ticklog import TickLog
from monitor.store.tools import check, copy
from monitor.tally.event_time import EventTime


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that a daemon wrote in several commits, some of it in files."""
    tmp_path = tmp_path_factory.mktemp("written")
    lines = [event(START + i * 30.0, {"x": i % 7 * 1.0, "c": "ab"[i % 2]}, f"m{i % 5}", id=str(i)) for i in range(3000)]
    file = write_lines(tmp_path / "events.jsonl", lines)
    (tmp_path / "config.toml").write_text("")
    for turns in (10, 10, None):
        stage = Stage(load(tmp_path / "config.toml", {}), [file], tmp_path / "store")
        stage.run(turns, commit_every=1)
        stage.pipeline.commit()
        stage.close()
    return tmp_path / "store"


@pytest.fixture
def store(written: Path, tmp_path: Path) -> Path:
    """A copy of it, to be hurt."""
    shutil.copytree(written, tmp_path / "store")
    return tmp_path / "store"


def content(path: Path) -> list[tuple[bytes, bytes]]:
    with Database(path, to_look=True) as database:
        return list(database.scan(b"", b"\xff"))


def test_whole(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A whole store says what it holds, and looking changes nothing, while a daemon has it open or not."""
    before = content(store)
    found = check(store, new_fleet)
    assert (found.models, found.open_incidents, found.remembered) == (5, 0, 3000)
    assert list(found.positions.values()) == [3000]
    assert found.keys["T"] > 100
    with Database(store):
        assert check(store, new_fleet).keys == found.keys
    assert main(["store", "check", str(store)]) == 0
    assert "whole; 5 models, 10 series" in capsys.readouterr().out
    assert content(store) == before


def test_backup_and_restore(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is put back from a backup is what was there, taken while the store was open; nothing is overwritten."""
    with Database(store):
        assert main(["store", "backup", str(store), str(tmp_path / "backup")]) == 0
    assert main(["store", "restore", str(tmp_path / "backup"), str(tmp_path / "again")]) == 0
    assert "5 models, read back whole" in capsys.readouterr().out
    assert content(tmp_path / "again") == content(store)
    assert main(["store", "restore", str(tmp_path / "backup"), str(store)]) == 1
    assert "never overwritten" in capsys.readouterr().err


def test_no_store(tmp_path: Path) -> None:
    """Where there is no store that is said, and none is made."""
    for use in (lambda: check(tmp_path / "none", new_fleet), lambda: copy(tmp_path / "none", tmp_path / "copy")):
        with pytest.raises(StoreError, match="none: there is no store here"):
            use()
    assert list(tmp_path.iterdir()) == []


def loaded(path: Path) -> None:
    with Database(path) as database:
        Checkpoint(database, TickLog(database, float("inf"))).load(new_fleet(), EventTime(0.0))


def test_half_a_copy_is_no_empty_store(store: Path) -> None:
    """A store with data and no head is refused, not taken for a new one."""
    with Database(store) as database:
        writes = Writes()
        writes.delete(b"head")
        database.commit(writes)
    with pytest.raises(StoreError, match="no head"):
        loaded(store)
    with pytest.raises(StoreError, match="no head"):
        check(store, new_fleet)


@pytest.mark.parametrize("part", ["sst", "MANIFEST", "CURRENT"])
def test_flipped_and_truncated_files(store: Path, tmp_path: Path, part: str) -> None:
    """Whatever file is flipped, cut or gone: the check names the store, or what is read is an earlier commit."""
    files = [f for f in store.iterdir() if part in f.name and f.stat().st_size]
    assert files
    for i, file in enumerate(files):
        raw = file.read_bytes()
        flipped = raw[: len(raw) // 2] + bytes([raw[len(raw) // 2] ^ 0x55]) + raw[len(raw) // 2 + 1 :]
        for j, bad in enumerate((flipped, raw[: len(raw) // 2], None)):
            hurt = tmp_path / f"hurt-{i}-{j}"
            shutil.copytree(store, hurt)
            (hurt / file.name).unlink()
            if bad is not None:
                (hurt / file.name).write_bytes(bad)
            with pytest.raises(StoreError):
                check(hurt, new_fleet)


def test_a_cut_log_is_an_earlier_commit(store: Path, tmp_path: Path) -> None:
    """What a power cut leaves of the newest write is nothing of it: sums and offsets are those of the commit before."""
    lines = [event(START + i * 30.0, {"x": 1.0}, id=f"n{i}") for i in range(500)]
    with Database(store) as database:
        log = TickLog(database, float("inf"))
        checkpoint, fleet, time = Checkpoint(database, log), new_fleet(), EventTime(0.0)
        before = checkpoint.load(fleet, time)
        hourly(fleet, lambda i: {"x": 1.0}, range(3), id=lambda i: f"n{i}")
        checkpoint.save(fleet, time, {Partition("t", 0): len(lines)}, [], [])
        shutil.copytree(store, tmp_path / "cut")
    newest = max(f for f in (tmp_path / "cut").iterdir() if f.suffix == ".log" and f.stat().st_size)
    newest.write_bytes(newest.read_bytes()[:-20])
    assert check(tmp_path / "cut", new_fleet).positions == before
