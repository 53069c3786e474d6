"""Do events come to their cases by the compiled loop as they do by its twin?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.events.columns import Part
from monitor.kernels import join as kernel
from monitor.outcomes import sheaves
from monitor.outcomes.bringing import Brought
from monitor.outcomes.case import ITEMS_MAX, SLOTS, WIDE, as_dtype
from monitor.outcomes.joining import FATES, Fates, join, join_twin
from monitor.outcomes.lists import Lists
from monitor.outcomes.packing import records
from monitor.outcomes.pending import Pending, matured

KEYS, MODELS = 30, 3
PARTS = [
    Part.PREDICTION,
    Part.OUTCOME,
    Part.SENSITIVE,
    Part.PREDICTION | Part.OUTCOME,
    Part.PREDICTION | Part.SENSITIVE,
]


class Memory:
    """A store of pending cases, and what is written to it."""

    def __init__(self) -> None:
        self.held: dict[bytes, bytes] = {}
        self.put = self.held.__setitem__

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        return [self.held.get(key) for key in keys]

    def scan_prefix(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        return iter([(key[len(prefix) :], self.held[key]) for key in sorted(self.held) if key.startswith(prefix)])

    def put_many(self, keys: list[bytes], values: list[bytes]) -> None:
        self.held |= zip(keys, values, strict=True)

    def delete(self, key: bytes) -> None:
        self.held.pop(key, None)

    def delete_range(self, first: bytes, last: bytes) -> None:
        for key in [key for key in self.held if first <= key < last]:
            del self.held[key]

    def said(self) -> dict[int, tuple[bytes, bytes]]:
        """By key the moment at which a stored case is due, and the case, as it was written last."""
        found: dict[int, tuple[bytes, bytes]] = {}
        for under, value in self.scan_prefix(sheaves.KEYS):
            own = np.frombuffer(value, np.uint64, (len(value) - 1) // 8, 1).tolist()
            lain = b"over" if value[0] == 2 else b""
            held = records(self.held.get(sheaves.CASES + under, b""), len(own)) or [lain] * len(own)
            found |= {key: (under[8:], record) for key, record in zip(own, held, strict=True)}
        return {key: case for key, case in found.items() if case[1]}


def some(rng: np.random.Generator, n: int, values: list[float], dtype: type) -> np.ndarray:
    return rng.choice(np.array(values, dtype), n)


def lists(rng: np.random.Generator, n: int) -> Lists:
    served, shown = (rng.integers(0, 4, (n, ITEMS_MAX)).astype(np.uint32) for _ in range(2))
    n_served, n_shown = (rng.integers(0, 3, n).astype(np.uint8) for _ in range(2))
    served[n_served == 0], shown[n_shown == 0] = 0, 0
    return Lists(some(rng, n, [0, 1, 2], np.uint8), served, n_served, shown, n_shown, some(rng, n, [7, 8], np.uint64))


def events(rng: np.random.Generator, now: float, *, listed: bool) -> Brought:
    """Events of few cases: repeats, changes, late and early ones, some with more attributes than a case can take."""
    n = int(rng.integers(1, 60))
    of = np.sort(rng.integers(0, n, rng.integers(0, 4 * n)))
    nan = float("nan")
    return Brought(
        key=rng.integers(1, KEYS, n).astype(np.uint64),
        model=rng.integers(0, MODELS, n).astype(np.int32),
        time=now + some(rng, n, [-1, 0, 1, 2, 3], np.float64),
        due=now + some(rng, n, [-1, 0, 1, 2, 3], np.float64),
        passed=now + some(rng, n, [-0.5, 0, 0, 0.5], np.float64),
        parts=rng.choice(np.array(PARTS, np.uint16), n),
        entity=some(rng, n, [0, 4, 5], np.uint64),
        money=some(rng, n, [nan, 1, 2], np.float64),
        predicted=some(rng, n, [0, 5, 6], np.uint64),
        score=some(rng, n, [nan, 0.25, 0.5], np.float64),
        value=some(rng, n, [nan, 3], np.float64),
        outcome=some(rng, n, [0, 5, 6], np.uint64),
        outcome_number=some(rng, n, [nan, nan, 1, 2], np.float64),
        of=of.astype(np.int64),
        name=rng.integers(1, SLOTS + 4, len(of)).astype(np.uint64),
        text=rng.integers(1, 9, len(of)).astype(np.uint64),
        kind=some(rng, len(of), [1, 2, 3], np.uint8),
        places=rng.integers(0, 2**63, (n, 2)).astype(np.uint64),
        lists=lists(rng, n) if listed else None,
    )


def told(fates: Fates) -> tuple[object, ...]:
    """What became of a batch, whatever the order."""
    met = {name: Counter(np.concatenate([[], *fates.models[name]]).tolist()) for name in FATES}
    early = Counter[tuple[int, bool, int]]()
    for models, wrong, sign in fates.early:
        early.update((int(m), bool(w), sign) for m, w in zip(models, wrong, strict=True))
    let_in = Counter(np.concatenate([[], *fates.let_in]).tolist())
    return met, early, let_in, np.concatenate([[], *fates.predicted]).tolist()


def same_cases(a: Pending, b: Pending) -> None:
    """Both hold the same cases, due at the same moments."""
    keys = np.arange(1, KEYS, dtype=np.uint64)
    rows, others = a.find(keys), b.find(keys)
    assert np.array_equal(rows >= 0, others >= 0)
    held, other = as_dtype(a.cases[rows[rows >= 0]], WIDE), as_dtype(b.cases[others[others >= 0]], WIDE)
    for name in WIDE.names or ():
        assert np.array_equal(held[name], other[name], equal_nan=held[name].dtype.kind == "f"), name
    assert a.dues(np.inf).tolist() == b.dues(np.inf).tolist()
    assert a.room == b.room


def mature(pending: Pending, until: float) -> list[list[int]]:
    """The keys of what is due, moment by moment; every second case is remembered."""
    found = []
    for due in pending.dues(until).tolist():
        for piece in pending.take(due):
            if len(piece):  # what was due then may all have moved
                found.append(piece["key"].tolist())
            stays = matured(piece) & (piece["key"] % np.uint64(2) > 0)
            pending.close(piece["key"][stays], np.full(int(stays.sum()), due + 2.0))
            pending.forget(piece["key"][~stays])
    return found


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 3, 20, 1000]), st.sampled_from([0.0, 0.5]))
@pytest.mark.skipif(kernel.compiled() is None, reason="the kernels are not built")
def test_kernel_and_twin_agree(seed: int, room: int, with_lists: float) -> None:
    """The same fates, cases, moments and room, through some batches, commits and moments at which cases mature."""
    rng = np.random.default_rng(seed)
    pair = [(Pending(), Memory()) for _ in range(2)]
    for pending, memory in pair:
        pending.room = room
        pending.attach(memory)
    for turn in range(4):
        b = events(rng, float(turn), listed=rng.random() < with_lists)
        if b.lists is not None:
            pair[1][0].widen()
        joined = join(pair[0][0], b)  # puts the lists' own outcomes into b
        assert told(joined) == told(join_twin(pair[1][0], b))
        same_cases(pair[0][0], pair[1][0])
        step = rng.random()
        buffered_max = int(rng.choice([0, 1000]))
        for pending, memory in pair:
            pending.buffered_max = buffered_max
            if step < 0.6:
                pending.save(memory)
        assert pair[0][1].said() == pair[1][1].said()
        assert mature(pair[0][0], turn + 0.5) == mature(pair[1][0], turn + 0.5)
        same_cases(pair[0][0], pair[1][0])
