"""Does a sketch of few counters keep its law: what came often is in it, and nothing counts for more than it came?"""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from monitor.groups.frequent import Frequent


@given(st.lists(st.integers(0, 30), max_size=400), st.integers(1, 12))
def test_the_law_of_misra_and_gries(things: list[int], counters: int) -> None:
    """Of n things, at most n / (k + 1) of one are not counted: what came more often is there. More than k are not."""
    sketch, came, present = Frequent[int](counters), Counter[int](), set[int]()
    for thing in things:
        came[thing] += 1
        new = sketch.add(thing)
        assert new == (thing in sketch and thing not in present)
        present = set(sketch)
    least = len(things) / (counters + 1)
    assert len(sketch) <= counters
    assert all(0 < n <= came[thing] for thing, n in sketch.items())
    assert all(n - sketch.get(thing, 0) <= least for thing, n in came.items())
    assert {thing for thing, n in came.items() if n > least} <= sketch.keys()
    if len(came) <= counters:
        assert sketch == came


@given(st.lists(st.integers(0, 9), max_size=100), st.integers(0, 100))
def test_it_goes_on_where_it_was(things: list[int], cut: int) -> None:
    """What was written down and read back counts on as if nothing had been."""
    whole, begun = Frequent[int](3), Frequent[int](3)
    for thing in things:
        whole.add(thing)
    for thing in things[:cut]:
        begun.add(thing)
    again = Frequent[int](3, list(begun.items()))
    for thing in things[cut:]:
        again.add(thing)
    assert list(again.items()) == list(whole.items())
