"""Is a case read from a store what was written, whatever parts it has?"""

from __future__ import annotations

import numpy as np
import pytest

from monitor.errors import StoreError
from monitor.kernels import pack_cases
from monitor.outcomes.case import CASE, HAS_OUTCOME, HAS_PREDICTION, ITEMS_MAX, SLOTS, WIDE, Cases, blank
from monitor.outcomes.packing import entity_of, packed, packed_twin, records, unpacked, unpacked_twin


def anything(n: int, rng: np.random.Generator, dtype: np.dtype[np.void]) -> Cases:
    """Cases that wait, with some of their parts."""
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


def sheaf(cases: Cases, rows: np.ndarray) -> bytes:
    """A stored value of these cases."""
    blob, lengths = packed(cases, rows)
    return lengths.astype("<u2").tobytes() + blob


def where(values: list[bytes], sizes: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of all cases in sheaves of these ``sizes`` where each lies."""
    stops = np.cumsum([0, *map(len, values)])
    of = np.repeat(np.arange(len(sizes)), sizes)
    return stops[of], stops[of + 1], np.array(sizes)[of], np.concatenate([np.arange(n) for n in sizes])


def said(cases: Cases) -> tuple[np.ndarray, np.ndarray]:
    """What a sheaf says of its cases."""
    return cases["key"], cases["due"]


READERS = [unpacked_twin] if pack_cases.compiled() is None else [unpacked_twin, pack_cases.unpacked]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("dtype", [CASE, WIDE], ids=["alone", "with lists"])
@pytest.mark.parametrize("seed", range(3))
def test_round_trip(seed: int, dtype: np.dtype[np.void], read) -> None:
    """Every field of a case comes back; its key and when it is due are what its sheaf says beside."""
    rng = np.random.default_rng(seed)
    was = anything(300, rng, dtype)
    sizes = [64, 1, 200, 35]
    values = [sheaf(was, rows) for rows in np.split(np.arange(300), np.cumsum(sizes)[:-1])]
    rows, found = rng.permutation(300), np.full(300 * dtype.itemsize, 0xA7, np.uint8).view(dtype)
    assert read(b"".join(values), where(values, sizes), found, rows, said(was)) == pack_cases.UNPACKED
    found = found[rows]
    for name in dtype.names or ():
        assert np.array_equal(found[name], was[name], equal_nan=found[name].dtype.kind == "f"), name


@pytest.mark.parametrize("read", READERS)
def test_what_is_damaged_is_no_case(read) -> None:
    """Whatever bytes are cut off or changed: a case that is read has the length of its parts, and lies in its value."""
    rng = np.random.default_rng(1)
    was = anything(40, rng, WIDE)
    value, found = sheaf(was, np.arange(40)), blank(40, WIDE)
    for cut in (0, 1, 40, 79, 80, 81, len(value) - 1):
        assert read(value[:cut], where([value[:cut]], [40]), found, np.arange(40), said(was)) >= 0
    at = int.from_bytes(value[:2], "little")
    for lengths in (at - 1, at + 1, 0, 65535):
        wrong = lengths.to_bytes(2, "little") + value[2:]
        assert read(wrong, where([wrong], [40]), found, np.arange(40), said(was)) == 0
    wrong = value[:78] + b"\xff\xff" + value[80:]
    assert read(wrong, where([wrong], [40]), found, np.arange(40), said(was)) == 39
    wrong = value[:80] + b"\xff\xff" + value[82:]
    assert read(wrong, where([wrong], [40]), found, np.arange(40), said(was)) == 0
    with pytest.raises(StoreError, match="damaged: number 0"):
        unpacked(wrong, where([wrong], [40]), found, np.arange(40), said(was))


@pytest.mark.parametrize("read", READERS)
def test_lists_need_room(read) -> None:
    """Whether cases with lists can be read into records without is told, not tried."""
    was = anything(50, np.random.default_rng(2), WIDE)
    value = sheaf(was, np.arange(50))
    assert read(value, where([value], [50]), blank(50, CASE), np.arange(50), said(was)) == pack_cases.NO_ROOM
    assert read(value, where([value], [50]), blank(50, WIDE), np.arange(50), said(was)) == pack_cases.UNPACKED


@pytest.mark.parametrize("dtype", [CASE, WIDE], ids=["alone", "with lists"])
@pytest.mark.parametrize("n", [0, 1, 9000])
@pytest.mark.skipif(pack_cases.compiled() is None, reason="the kernels are not built")
def test_kernel_and_twin_agree(n: int, dtype: np.dtype[np.void]) -> None:
    """Both give the same bytes for each case, of some rows in any order too."""
    rng = np.random.default_rng(n)
    cases = anything(n, rng, dtype)
    for rows in (np.arange(n), rng.permutation(n)[: n // 2]):
        (blob, lengths), (own, own_lengths) = packed(cases, rows), packed_twin(cases, rows)
        assert blob == own
        assert np.array_equal(lengths, own_lengths)
    kernels = pack_cases.compiled()
    assert kernels is not None
    assert cases.itemsize == kernels.mw_case_size(dtype == WIDE)


def test_entity_is_found_in_what_is_stored() -> None:
    """Whose a stored case is can be told without reading it whole; of one of nobody nothing is."""
    cases = anything(200, np.random.default_rng(1), CASE)
    of_nobody = cases["entity"] == 0
    told = [entity_of(record) for record in records(sheaf(cases, np.arange(200)), 200)]
    assert told == [b"" if none else e.tobytes() for none, e in zip(of_nobody, cases["entity"], strict=True)]
    assert entity_of(b"") == b""


def test_what_a_case_lacks_takes_no_room() -> None:
    """A prediction with an answer and two attributes takes a third of what a case can."""
    cases = blank(1)
    cases["predicted"], cases["score"] = 5, 0.5
    cases["names"][:, :2] = cases["texts"][:, :2] = 3
    assert packed(cases, np.arange(1))[1][0] < CASE.itemsize / 2.5
