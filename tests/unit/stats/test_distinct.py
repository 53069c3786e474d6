"""Do a few hashes say how many different things there were, and how many of them are new?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.stats.distinct import distinct, unseen, with_more

K = 64
POOL = np.random.default_rng(71).integers(1, 2**64, 2_010_000, np.uint64)


def hashes(first: int, last: int) -> NDArray[np.uint64]:
    return POOL[first:last]


def sketch(*parts: NDArray[np.uint64], k: int = K) -> NDArray[np.uint64]:
    kept = np.zeros((1, k), np.uint64)
    for part in parts:
        kept = with_more(kept, np.zeros(len(part), np.int64), part)
    return kept


def test_the_same_in_any_order() -> None:
    """However things come, and however often, the same ones are kept: the greatest, falling, none twice."""
    rng = np.random.default_rng(1)
    things = hashes(0, 500)
    whole = sketch(things)
    assert whole[0].tolist() == sorted(things.tolist(), reverse=True)[:K]
    for _ in range(20):
        shuffled = rng.permutation(np.concatenate([things, rng.choice(things, 300)]))
        np.testing.assert_array_equal(sketch(*np.array_split(shuffled, rng.integers(1, 9))), whole)


def test_groups_do_not_mix() -> None:
    """Each of many sets keeps its own, as if it were alone."""
    rng = np.random.default_rng(2)
    group, things = rng.integers(0, 7, 2000), hashes(0, 2000)
    kept = with_more(np.zeros((7, K), np.uint64), group, things)
    for g in range(7):
        np.testing.assert_array_equal(kept[g], sketch(things[group == g])[0])


def test_few_are_counted_exactly() -> None:
    """Less than ``k`` different things are counted as they are, nothing at all among them."""
    for n in (0, 1, 5, K - 1):
        assert distinct(sketch(hashes(0, n)))[0] == n


def test_many_within_the_law() -> None:
    """The count of 200 sets of 5,000 has no bias, and a relative error of one in the square root of ``k - 2``."""
    found = np.array([distinct(sketch(hashes(10_000 * i, 10_000 * i + 5000)))[0] for i in range(200)]) / 5000
    expected = 1 / np.sqrt(K - 2)
    print(f"distinct: mean {found.mean():.3f}, error {found.std():.3f}, {expected:.3f} by the law")
    assert abs(found.mean() - 1) <= 4 * expected / np.sqrt(200)
    assert abs(found.std() / expected - 1) <= 4 / np.sqrt(2 * 200)


def test_new_things_are_told_from_old_ones() -> None:
    """Of an hour's things, a fifth of which are new, the share among those asked is a fifth, but for chance."""
    asked = new = 0.0
    for i in range(200):
        start = 10_000 * i
        a, n = unseen(sketch(hashes(start + 4000, start + 5250)), sketch(hashes(start, start + 5000)))
        asked, new = asked + a[0], new + n[0]
    print(f"new: {new / asked:.3f} of {asked:.0f}, .200 by the law")
    assert abs(new / asked - 0.2) <= 4 * np.sqrt(0.16 / asked)


def test_nothing_is_new_in_a_part() -> None:
    """What is part of what was there before is never new; of a set that is not full everything is looked up."""
    a, n = unseen(sketch(hashes(0, 900)), sketch(hashes(0, 3000)))
    assert (a[0] > 0, n[0]) == (True, 0)
    assert [v[0] for v in unseen(sketch(hashes(0, 50)), sketch(hashes(30, 70)))] == [50, 30]
