"""Diaries and shapes are the same in memory and in a store, whenever leaves are bound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import monitor.diaries
from monitor.catalog.rows import CHUNK
from monitor.catalog.series import CUTS
from monitor.diaries import PLACES, Diaries
from monitor.shapes import Shapes
from monitor.stats.seasons import HOURS, SLOTS
from monitor.store.database import Database, Writes

N = CHUNK + 40
"""Slots in two volumes."""


def kept(database: Database, diaries: Diaries) -> None:
    writes = Writes()
    diaries.save(writes)
    database.commit(writes)


def live(diaries: Diaries, save=lambda: None, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Ninety hours of all slots, some of which begin anew or are moved; what stands in them at the end."""
    rng = np.random.default_rng(seed)
    diaries.rows.add(N)
    diaries.rows["series"][:N] = np.arange(N)
    for hour in range(90):
        slots = np.sort(rng.choice(N, rng.integers(1, N), replace=False))
        n = rng.integers(1, 50, len(slots)).astype(np.float32)
        places = (np.full(len(slots), hour % HOURS), HOURS + rng.integers(0, 2 * SLOTS, len(slots)))
        diaries.write(slots, places, rng.random((len(slots), CUTS)), n)
        if hour % 20 == 7:
            diaries.erase(slots[:3])
            diaries.rows["series"][slots[:3]] = slots[:3]
        if hour % 30 == 11:
            diaries.shift(slots[-3:], rng.uniform(-0.1, 0.1, (3, CUTS)))
        if rng.random() < 0.3:
            save()
    return diaries.read(np.arange(N))


@pytest.mark.parametrize("leaves", [1, 7, 10_000])
def test_wherever_a_leaf_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leaves: int) -> None:
    """Whether leaves are bound at once, now and then or never, and stored or not, the same is read."""
    share, weight = live(Diaries())
    for name in ("_LEAVES_STORED", "_LEAVES_HELD", "_LEAVES_READ"):
        monkeypatch.setattr(monitor.diaries, name, leaves)
    with Database(tmp_path / "store") as database:
        stored = Diaries()
        stored.attach(database)
        for got in (live(stored, lambda: kept(database, stored)), live(Diaries())):
            assert np.array_equal(got[0], share)
            assert np.array_equal(got[1], weight)


def test_another_process_reads_on(tmp_path: Path) -> None:
    """What was saved is read by who comes later; what was not is as if it had never been."""
    with Database(tmp_path / "store") as database:
        first = Diaries()
        first.attach(database)
        share, weight = live(first, lambda: kept(database, first))
        kept(database, first)
        later = Diaries()
        later.attach(database)
        later.rows.add(N)
        later.volumes.add(2)
        later.volumes["leaves"][:2] = first.volumes["leaves"][:2]
        first.write(
            np.arange(N), (np.zeros(N, np.int64), np.full(N, HOURS)), np.ones((N, CUTS)), np.ones(N, np.float32)
        )
        got = later.read(np.arange(N))
        assert np.array_equal(got[0], share)
        assert np.array_equal(got[1], weight)
        assert not np.array_equal(first.read(np.arange(N))[1], weight)


def test_running_means() -> None:
    """A place holds the mean of what its hours held, weighted by their values, to 16 bits a leaf."""
    diaries = Diaries()
    diaries.rows.add(1)
    diaries.rows["series"][0] = 0
    at = np.array([0])
    for share, n in ((0.2, 10), (0.5, 30), (0.9, 60)):
        diaries.write(at, (at + 5, at + HOURS + 9), np.full((1, CUTS), share), np.array([n], np.float32))
    share, weight = diaries.read(at)
    assert share.shape == (1, PLACES, CUTS)
    assert np.flatnonzero(weight[0]).tolist() == [5, HOURS + 9]
    assert np.allclose(share[0, [5, HOURS + 9]], (0.2 * 10 + 0.5 * 30 + 0.9 * 60) / 100, atol=4 / 65535)
    assert diaries.rows["seen"][0] == 100


def test_the_last_one_empties_a_volume(tmp_path: Path) -> None:
    """When no diary of a volume is anybody's, nothing of it stays in the store."""
    with Database(tmp_path / "store") as database:
        diaries = Diaries()
        diaries.attach(database)
        live(diaries, lambda: kept(database, diaries))
        diaries.erase(np.arange(N))
        kept(database, diaries)
        assert list(database.scan_prefix(monitor.diaries.PREFIX)) == []


def test_shapes(tmp_path: Path) -> None:
    """What was written is read, of the slots that were asked for; by who comes later, once it was saved."""
    rng = np.random.default_rng(5)
    daily = rng.integers(-127, 128, (N, HOURS, CUTS)).astype(np.int8)
    longer = rng.integers(-127, 128, (N, SLOTS, CUTS)).astype(np.int8)
    with Database(tmp_path / "store") as database:
        shapes, later = Shapes(), Shapes()
        shapes.attach(database)
        later.attach(database)
        for some in np.array_split(rng.permutation(N), 4):
            shapes.write(some, daily[some], longer[some])
        asked = rng.permutation(N)[:50]
        for known in (shapes, later):
            assert np.array_equal(known.read(asked)[0], daily[asked] * (known is shapes))
        writes = Writes()
        shapes.save(writes)
        database.commit(writes)
        for known in (shapes, later):
            assert np.array_equal(known.read(asked)[0], daily[asked])
            assert np.array_equal(known.read(asked)[1], longer[asked])
