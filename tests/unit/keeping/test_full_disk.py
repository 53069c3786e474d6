"""Does a full disk lose nothing, count nothing twice, and let the daemon go on where it was?"""

from __future__ import annotations

import errno
import math
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from fleets.build import START, event, write_lines
from structlog.testing import capture_logs
from unit.pipeline.stage import Stage

from monitor.config import load
from monitor.errors import StoreError, StoreWaitsError
from monitor.keeping import StoreKeeper
from monitor.store.ageing import Ageing
from monitor.store.audit import Trail
from monitor.store.checkpoint import Checkpoint

if TYPE_CHECKING:
    from monitor.shard import Shard

EVENTS = 1000


class Disk:
    """A small disk of its own, which can be filled and emptied."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._filler = directory / "filler"

    def fill(self) -> None:
        left = shutil.disk_usage(self.directory).free
        with self._filler.open("wb") as filler:
            os.posix_fallocate(filler.fileno(), 0, left)
        assert shutil.disk_usage(self.directory).free == 0

    def empty(self) -> None:
        self._filler.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Skips where nobody may mount one."""
    directory = tmp_path / "disk"
    directory.mkdir()
    mount, command = shutil.which("mount"), ["-t", "tmpfs", "-o", "size=96m", "modelwatch-test", str(directory)]
    if mount is None or subprocess.run([mount, *command], capture_output=True, check=False).returncode:
        pytest.skip("a disk of one's own takes the right to mount one")
    try:
        yield Disk(directory)
    finally:
        subprocess.run(["umount", "-l", str(directory)], check=True)


class Kept(Stage):
    """A stage whose keeper is the daemon's."""

    def __init__(self, disk: Disk | None, file: Path, store: Path | None = None) -> None:
        config = file.with_name("config.toml")
        config.write_text('[[models]]\nmatch = "*"\ntick = "60s"\n')
        directory = file.parent if disk is None else disk.directory
        super().__init__(load(config, {}), [file], store or directory / "store")
        trail = Trail(self.clock)
        checkpoint = Checkpoint(self.database, self.log, math.inf, trail)
        aged = Ageing((self.log,))
        shard = SimpleNamespace(database=self.database, checkpoint=checkpoint, ageing=aged, positions={}, trail=trail)
        self.keeper = StoreKeeper(cast("Shard", shard), self.metrics, self.clock)
        self.save = self.keeper.save  # type: ignore[method-assign]

    def until_there_is_room(self) -> None:
        """RocksDB looks every five seconds, by the machine's clock, whether there is room for one of its buffers."""
        deadline = time.monotonic() + 60.0
        while self.pipeline.stuck and time.monotonic() < deadline:
            time.sleep(0.1)
            self.pipeline.turn()
        assert not self.pipeline.stuck


@pytest.fixture
def file(tmp_path: Path) -> Path:
    lines = [event(START + i, {"x": float(i % 7)}, model=f"m{i % 5}", id=f"{i}") for i in range(EVENTS)]
    return write_lines(tmp_path / "events.jsonl", lines)


def test_tables_without_room_are_held_in_memory(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no room can be reserved for what lies aside all goes on; tables are counted, and it is told once."""

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    stage = Kept(None, file)
    with capture_logs() as logs:
        for _ in range(2):
            stage.run(3)
            stage.pipeline.commit()
    aside = stage.database.aside
    assert aside is not None
    assert 0 < aside.n_refused == counted(stage)
    assert [line["event"] for line in logs].count("nothing_lies_aside") == 1
    stage.run(EVENTS)
    assert int(stage.fleet.models.rows["events"][: len(stage.fleet.models)].sum()) == EVENTS


def counted(stage: Stage) -> float:
    (family,) = stage.metrics.store_tables_in_memory.collect()
    return next(sample.value for sample in family.samples if sample.name.endswith("_total"))


def test_what_had_no_room_is_written_later(disk: Disk, file: Path) -> None:
    """While there is no room nothing more is read and that is failing; then all goes on, and each event counts once."""
    stage = Kept(disk, file)
    stage.run(3)
    stage.pipeline.commit()
    assert stage.keeper.check().status == "degraded", "there never was much room"
    stage.run(2)
    disk.fill()
    stage.pipeline.commit()
    assert stage.pipeline.stuck
    check = stage.keeper.check()
    assert (check.status, "No space left" in check.detail) == ("failing", True)
    with pytest.raises(StoreWaitsError, match="cannot be written"):
        stage.keeper.save(stage.fleet, stage.pipeline.event_time, {}, [], [])
    at = stage.source.positions()
    assert [stage.pipeline.turn() for _ in range(3)] == [0, 0, 0]
    assert stage.source.positions() == at
    disk.empty()
    stage.until_there_is_room()
    assert stage.keeper.check().status == "degraded"
    stage.run()
    stage.pipeline.finish(0.0)
    counted = sum(int(t.counts[0, 0]) for m in range(5) for t in stage.log.read(m, -math.inf, math.inf))
    assert counted == EVENTS
    stage.close()


def test_killed_while_the_disk_is_full(disk: Disk, file: Path) -> None:
    """Who starts again reads again what had no room, and counts it as if for the first time."""
    stage = Kept(disk, file)
    stage.run(3)
    stage.pipeline.commit()
    stage.run(2)
    disk.fill()
    stage.pipeline.commit()
    assert stage.pipeline.stuck
    left = shutil.copytree(disk.directory / "store", file.with_name("left"), ignore=shutil.ignore_patterns("LOCK"))
    with pytest.raises(StoreError, match="cannot be closed"):
        stage.close()
    again = Kept(disk, file, left)
    assert int(again.fleet.models.rows["events"].sum()) == 300
    again.run()
    again.pipeline.commit()
    assert int(again.fleet.models.rows["events"].sum()) == EVENTS
    again.close()
