"""Is a case read from a store what was written, whatever parts it has?"""

from __future__ import annotations

import numpy as np
import pytest

from monitor.kernels import pack_cases
from monitor.outcomes.case import CASE, CLOSED, HAS_OUTCOME, HAS_PREDICTION, ITEMS_MAX, OPEN, SLOTS, WIDE, Cases, blank
from monitor.outcomes.packing import entity_of, packed, packed_twin, unpacked


def anything(n: int, rng: np.random.Generator, dtype: np.dtype[np.void]) -> Cases:
    """Open cases with some of their parts, and closed ones."""
    cases = blank(n, dtype)
    cases["key"], cases["due"], cases["time"] = rng.permutation(n) + 1, rng.random(n), rng.random(n)
    cases["model"], cases["has"] = rng.integers(0, 99, n), HAS_PREDICTION
    words = ("predicted", "outcome", "entity")
    for name in ("predicted", "score", "value", "outcome_time", "outcome", "outcome_number", "money", "entity"):
        some = rng.random(n) < 0.5
        cases[name][some] = rng.integers(1, 2**62, some.sum()) if name in words else rng.normal(size=some.sum())
    cases["has"][cases["outcome"] > 0] |= HAS_OUTCOME
    cases["places"][rng.random(n) < 0.5] = (7, 9)
    used = np.arange(SLOTS) < rng.integers(0, SLOTS + 1, n)[:, None]
    for name in ("names", "texts", "kinds"):
        cases[name] = np.where(used, rng.integers(1, 200, (n, SLOTS)), 0)
    if dtype == WIDE:
        listed = rng.random(n) < 0.3
        cases["list"][listed], cases["n_served"][listed] = 1, rng.integers(0, 5, listed.sum())
        cases["served"][listed] = rng.integers(0, 9, (listed.sum(), ITEMS_MAX))
    return cases


@pytest.mark.parametrize("dtype", [CASE, WIDE], ids=["alone", "with lists"])
@pytest.mark.parametrize("seed", range(5))
def test_round_trip(seed: int, dtype: np.dtype[np.void]) -> None:
    """Every field of an open case comes back; of a closed one its model, and until when it is remembered."""
    rng = np.random.default_rng(seed)
    cases = anything(300, rng, dtype)
    cases["stage"] = np.where(rng.random(len(cases)) < 0.2, CLOSED, OPEN)
    values: list[bytes | None] = [*packed(cases)]
    gone = rng.random(len(cases)) < 0.1
    asked = [None if away else value for away, value in zip(gone.tolist(), values, strict=True)]
    places, found = unpacked(cases["key"], asked)
    assert places.tolist() == np.flatnonzero(~gone).tolist()
    was = cases[places]
    closed = was["stage"] == CLOSED
    assert np.array_equal(found["stage"], was["stage"])
    for name in ("key", "due", "model"):
        assert np.array_equal(found[name], was[name])
    for name in (dtype if (found["list"] > 0).any() else CASE).names or ():
        assert np.array_equal(found[name][~closed], was[name][~closed], equal_nan=found[name].dtype.kind == "f"), name
    assert np.isnan(found["score"][closed]).all()


@pytest.mark.parametrize("dtype", [CASE, WIDE], ids=["alone", "with lists"])
@pytest.mark.parametrize("n", [0, 1, 9000])
@pytest.mark.skipif(pack_cases.compiled() is None, reason="the kernels are not built")
def test_kernel_and_twin_agree(n: int, dtype: np.dtype[np.void]) -> None:
    """Both give the same bytes for each case, of some rows in any order too."""
    rng = np.random.default_rng(n)
    cases = anything(n, rng, dtype)
    cases["stage"] = np.where(rng.random(n) < 0.2, CLOSED, OPEN)
    assert packed(cases) == packed_twin(cases)
    rows = rng.permutation(n)[: n // 2]
    assert packed(cases, rows) == packed_twin(cases[rows])
    kernels = pack_cases.compiled()
    assert kernels is not None
    assert cases.itemsize == kernels.mw_case_size(dtype == WIDE)


def test_entity_is_found_in_what_is_stored() -> None:
    """Whose a stored case is can be told without reading it whole; of a closed one, or one of nobody, nothing is."""
    cases = anything(200, np.random.default_rng(1), CASE)
    cases["stage"][:50] = CLOSED
    of_nobody = (cases["entity"] == 0) | (cases["stage"] == CLOSED)
    told = [entity_of(value) for value in packed(cases)]
    assert told == [b"" if none else e.tobytes() for none, e in zip(of_nobody, cases["entity"], strict=True)]


def test_what_a_case_lacks_takes_no_room() -> None:
    """A prediction with an answer and two attributes takes a third of what a case can."""
    cases = blank(1)
    cases["predicted"], cases["score"] = 5, 0.5
    cases["names"][:, :2] = cases["texts"][:, :2] = 3
    assert len(packed(cases)[0]) < CASE.itemsize / 2.5
