"""Is an event recognised within the horizon and the capacity, and is what is remembered bounded?"""

from __future__ import annotations

import numpy as np
import pytest
from fleets.build import START, decoded, event

from monitor.tally.duplicates import Duplicates, keys_of

SPREAD = np.uint64(0x9E3779B97F4A7C15)


def keys(first: int, last: int) -> np.ndarray:
    return np.arange(first + 1, last + 1, dtype=np.uint64) * SPREAD


def met(memory: Duplicates, some: np.ndarray, at: float) -> list[bool]:
    return memory.find(some, np.full(len(some), at)).tolist()


def test_horizon() -> None:
    """A key is known for the horizon at least, and for one and a half of it at most while events come."""
    for later, known in ((1.0, True), (99.0, True), (100.0, True), (201.0, False)):
        memory = Duplicates(100.0, 1000)
        assert met(memory, keys(0, 1), 0.0) == [False]
        for i, at in enumerate(np.arange(1.0, later, 10.0).tolist()):
            met(memory, keys(10 + i, 11 + i), at)
        assert met(memory, keys(0, 1), later) == [known]


@pytest.mark.parametrize("at", [-np.inf, 5.0])
def test_capacity_bounds_memory(at: float) -> None:
    """However many come, and whether or not event time goes on, no more than the capacity are remembered."""
    memory = Duplicates(100.0, 3000)
    for first in range(0, 50_000, 700):
        met(memory, keys(first, first + 700), at)
        assert len(memory) <= 3000
        assert sum(len(each.keys.slots) for each in memory.generations) <= 3 * 2048
    assert memory.take_forgotten_early() >= 47_000
    assert memory.take_forgotten_early() == 0
    assert all(met(memory, keys(48_500, 50_000), at))


def test_nothing_to_know_it_by() -> None:
    """An event without an id is never a duplicate and is not remembered."""
    memory = Duplicates()
    batch = decoded([event(START, {"a": 1.0}), event(START, {"a": 1.0}), event(START, {"a": 1.0}, id="")])
    assert keys_of(batch).tolist() == [0, 0, 0]
    assert met(memory, keys_of(batch), 0.0) == [False] * 3
    assert len(memory) == 0


def test_stored_and_restored() -> None:
    """What is taken to be stored, generation by generation, makes the same memory again."""
    rng = np.random.default_rng(3)
    one, stored = Duplicates(100.0, 600), {}
    for i in range(60):
        one.find(keys(0, 2000)[rng.integers(0, 2000, 40)], np.full(40, i * 7.0))
        for number, fresh in one.take_fresh():
            stored.setdefault(number, []).append(fresh)
        for number in one.take_dropped():
            del stored[number]
    another = Duplicates(100.0, 600)
    another.restore([(g.number, g.began, np.concatenate(stored[g.number])) for g in one.generations])
    assert len(another) == len(one)
    again = keys(0, 2000)
    assert met(another, again, 420.0) == met(one, again, 420.0)
    assert another.take_fresh()[-1][0] == one.take_fresh()[-1][0]
