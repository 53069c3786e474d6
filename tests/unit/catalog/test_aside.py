"""Do tables that lie aside hold what others hold, take memory only when looked at, and leave nothing behind?"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.catalog.aside import ROOM_BYTES, Aside
from monitor.catalog.rows import CHUNK, Field, Rows, aside, put

FIELDS = {
    "a": Field(np.int32, (), -1, still=True),
    "b": Field(np.float64, (9,), np.nan),
    "r": Field(np.float32, (5,), rare=True),
    "s": Field(np.uint8, (7,)),
}
MIXED = FIELDS | {"b": Field(np.float64, (9,), np.nan, aside=True), "r": Field(np.float32, (5,), rare=True, aside=True)}
_MB = 1e6


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Aside:
    """A folder to lie in, on a disk that keeps what was reserved."""
    made = Aside(tmp_path_factory.mktemp("store"))
    if made.take(4096) is None:
        pytest.skip(made.refused)
    return made


Steps = list[tuple[str, int, int]]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "write", "reset", "take", "go", "bring"]),
        st.integers(1, 9 * CHUNK),
        st.integers(0, 2**31),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, fields=st.sampled_from([aside(FIELDS), MIXED]))
def test_what_lies_aside_is_as_what_does_not(place: Aside, steps: Steps, fields: dict[str, Field]) -> None:
    """Added to, written, reset, stored, let go of in any order: every array, and all that is stored, is the same."""
    there, here = Rows(fields), Rows(FIELDS)
    there.lie_in(place)
    stored: tuple[dict[int, bytes], dict[int, bytes]] = {}, {}
    for what, n, seed in steps:
        if what == "go":
            there.let_go()
        if what == "bring" and len(there):
            there.bring(np.arange(len(there) // 3, len(there)))
        for rows, kept in zip((there, here), stored, strict=True):
            _do(rows, kept, what, n, seed)
        for name in FIELDS:
            assert np.array_equal(there[name][: len(here)], here[name][: len(here)], equal_nan=name == "b")
    assert stored[0] == stored[1]
    assert place.n_refused == 0
    there.touch(np.arange(len(there)))
    again = Rows(fields)
    again.lie_in(place)
    again.load(len(there), dict(there.take_dirty()))
    again.let_go()
    for name in FIELDS:
        assert np.array_equal(again[name][: len(here)], here[name][: len(here)], equal_nan=name == "b")


def _do(rows: Rows, kept: dict[int, bytes], what: str, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    if what == "add":
        rows.add(n)
    at = np.unique(rng.integers(0, max(len(rows), 1), 9))
    if what == "write" and len(rows):
        rows["a"][at], rows["b"][at], rows["s"][at] = 7, rng.random((len(at), 9)), 3
        put(rows["r"], at, rng.integers(0, 2, (len(at), 5)))
        rows.touch(at)
    if what == "reset" and len(rows):
        rows.reset(at)
    if what == "take":
        kept.update(rows.take_dirty())


def test_without_room_it_is_memory(place: Aside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk a table is held in memory, which is counted; it holds the same, and leaves no file."""

    def full(file: int, start: int, n_bytes: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    rows = Rows(aside(FIELDS))
    narrow = Aside(tmp_path)
    rows.lie_in(narrow)
    rows.add(9 * CHUNK)
    rows["a"][: len(rows)] = np.arange(len(rows))
    monkeypatch.setattr(os, "posix_fallocate", full)
    rows.add(90 * CHUNK)
    rows.let_go()
    assert rows["a"][: 9 * CHUNK].tolist() == list(range(9 * CHUNK))
    assert narrow.n_refused == 1
    assert "No space left" in narrow.refused
    monkeypatch.undo()
    rows.add(900 * CHUNK)
    assert rows["a"][: 9 * CHUNK].tolist() == list(range(9 * CHUNK))
    assert narrow.n_refused == 1
    assert list(tmp_path.iterdir()) == []


def test_the_last_room_is_the_stores(place: Aside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table whose growth would leave the store less than it needs to go on is held in memory, and no other one."""
    disk = SimpleNamespace(free=ROOM_BYTES + 90_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: disk)
    narrow = Aside(tmp_path)
    assert narrow.take(100_000) is None
    assert "less than 256 MB" in narrow.refused
    assert narrow.take(90_000) is not None
    assert narrow.n_refused == 1


def test_other_file_systems_give_no_room(tmp_path: Path) -> None:
    """Where room that was reserved may be gone at a later write, as on file systems of memory, nothing lies aside."""
    proc = Aside(Path("/proc"))
    assert proc.take(4096) is None
    assert proc.n_refused == 1
    assert Aside(tmp_path / "gone").take(4096) is None


def test_who_is_killed_leaves_nothing(place: Aside, tmp_path: Path) -> None:
    """A process that holds a table and is killed leaves an empty folder: its file had no name, and went with it."""
    asked = "from unit.catalog.test_aside import hold; hold(__import__('sys').argv[1])"
    with subprocess.Popen([sys.executable, "-c", asked, tmp_path], env=_env(), stdout=subprocess.PIPE) as held:
        assert held.stdout is not None
        assert held.stdout.readline() == b"held\n"
        maps = Path(f"/proc/{held.pid}/maps").read_text().splitlines()
        assert [line.endswith("(deleted)") for line in maps if str(tmp_path) in line] == [True]
        assert list(tmp_path.iterdir()) == []
        held.send_signal(signal.SIGKILL)
    assert list(tmp_path.iterdir()) == []


def hold(folder: str) -> None:
    """Hold 400 MB aside until somebody ends it."""
    rows = Rows(aside({"x": Field(np.float64, (100,))}))
    rows.lie_in(Aside(Path(folder)))
    rows.add(500_000)
    print("held", flush=True)
    signal.pause()


def test_memory_comes_back(place: Aside, tmp_path: Path) -> None:
    """Of 80 MB that were written next to nothing is resident once they were let go of, and all of it is still there."""
    asked = "from unit.catalog.test_aside import held_mb; print(*held_mb(__import__('sys').argv[1]))"
    done = subprocess.run([sys.executable, "-c", asked, tmp_path], env=_env(), capture_output=True, check=True)
    full, rest, total = map(float, done.stdout.split())
    assert full > 70
    assert rest < 5
    assert total == 100_000 * 100 * 7.0


def held_mb(folder: str) -> tuple[float, float, float]:
    """How much more is resident behind writing 80 MB, and once they were let go of; and the sum of what is there."""
    rows = Rows(aside({"x": Field(np.float64, (100,))}))
    rows.lie_in(Aside(Path(folder)))
    began = _resident_mb()
    rows.add(100_000)
    rows["x"][:100_000] = 7.0
    full = _resident_mb() - began
    rows.let_go()
    rest = _resident_mb() - began
    return full, rest, float(rows["x"][:100_000].sum())


def test_what_a_tick_changes_is_brought_at_once(place: Aside, tmp_path: Path) -> None:
    """Rows that were let go of and brought are resident before they are written; few of many rows are not brought."""
    asked = "from unit.catalog.test_aside import brought_mb; print(*brought_mb(__import__('sys').argv[1]))"
    done = subprocess.run([sys.executable, "-c", asked, tmp_path], env=_env(), capture_output=True, check=True)
    few, half = map(float, done.stdout.split())
    assert few < 5
    assert half == pytest.approx(40, abs=5) or half < 5, "or the kernel is older than 5.14, and brings nothing"


def brought_mb(folder: str) -> tuple[float, float]:
    """Of 80 MB that change and 80 that are still, how much is resident once a few rows, and half, were brought."""
    rows = Rows(aside({"x": Field(np.float64, (100,)), "y": Field(np.float64, (100,), still=True)}))
    rows.lie_in(Aside(Path(folder)))
    rows.add(100_000)
    rows.let_go()
    began = _resident_mb()
    rows.bring(np.arange(0, 100_000, 300))
    few = _resident_mb() - began
    rows.bring(np.arange(50_000, 100_000))
    return few, _resident_mb() - began


def test_tables_cost_no_descriptors_and_give_their_room_back(place: Aside, tmp_path: Path) -> None:
    """A hundred tables hold no file open, whatever they grow to; what goes with them is their room, once nobody looks.

    A replica holds dozens of tables of up to 256 shards, and as a rule may have 1,024 descriptors.
    """
    open_files, began = len(list(Path("/proc/self/fd").iterdir())), _mapped(tmp_path)
    own = Aside(tmp_path)
    tables = [Rows(aside(FIELDS)) for _ in range(100)]
    for rows in tables:
        rows.lie_in(own)
        rows.add(8 * CHUNK)
        rows.add(8 * CHUNK)
        rows["s"][:] = 3
    assert own.n_refused == 0
    assert _mapped(tmp_path) - began == 100
    assert len(list(Path("/proc/self/fd").iterdir())) == open_files
    left = tables[0]["s"]
    tables.clear()
    del rows
    assert _mapped(tmp_path) - began == 1
    assert bool((left == 3).all())
    del left
    assert _mapped(tmp_path) == began


def test_where_no_more_can_be_mapped_it_is_memory(tmp_path: Path, place: Aside) -> None:
    """More than there are addresses for is refused with the system's word for it, and no process ends of it."""
    own = Aside(tmp_path)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "posix_fallocate", lambda *_: None)
        patched.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 62))
        assert own.take(1 << 60) is None
    assert "memory" in own.refused
    assert own.n_refused == 1


def test_what_is_not_in_a_table_yet_is_not_brought(place: Aside) -> None:
    """Rows of a tick behind the end of a table, or across it, are passed over: it gets them later in that tick."""
    rows = Rows(aside({"x": Field(np.float64, (40,)), "y": Field(np.float64)}))
    rows.lie_in(place)
    rows.add(2 * CHUNK)
    rows["y"][: 2 * CHUNK] = 3.0
    for first in (CHUNK, 3 * CHUNK, 300 * CHUNK):
        rows.let_go()
        rows.bring(np.arange(first, first + 400 * CHUNK))
    assert rows["y"][: 2 * CHUNK].tolist() == [3.0] * 2 * CHUNK


def _mapped(folder: Path) -> int:
    """How many files of ``folder`` this process has mapped."""
    return sum(str(folder) in line for line in Path("/proc/self/maps").read_text().splitlines())


def _env() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / _MB
