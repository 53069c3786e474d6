"""Is the watermark what the slowest partition has reached, never going back, however the records are batched?"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.events.raw import Partition
from monitor.tally.event_time import CONFIRMED_BY, EventTime

P = [Partition("t", number) for number in range(3)]
RECORDS = st.lists(st.tuples(st.floats(-1e6, 1e6), st.integers(0, 2)), max_size=40)


def after(time: EventTime, records: list[tuple[float, int]]) -> list[float]:
    times, sources = np.array([t for t, _ in records]), np.array([p for _, p in records], np.int32)
    return time.after_each(times, sources, P).tolist()


def begun(lateness: float, partitions: int, at: float = 0.0) -> EventTime:
    """Partitions that have spoken often enough to have a time, ``at``."""
    time = EventTime(lateness)
    after(time, [(at, p) for p in range(partitions)] * CONFIRMED_BY)
    return time


def test_slowest_less_lateness() -> None:
    """The watermark is the least that any partition has reached, less the lateness."""
    time = begun(10.0, 2)
    assert after(time, [(100.0, 0), (50.0, 1), (300.0, 0), (200.0, 1), (150.0, 1)]) == [-10.0, 40.0, 40.0, 190.0, 190.0]
    assert time.reached == {P[0]: 300.0, P[1]: 200.0}


@settings(max_examples=200, deadline=None)
@given(RECORDS, st.lists(st.integers(0, 40), max_size=5))
def test_any_batches(records: list[tuple[float, int]], cuts: list[int]) -> None:
    """Batches of any size give the same watermark behind each record."""
    whole, parts = EventTime(5.0), EventTime(5.0)
    expected = after(whole, records)
    got: list[float] = []
    stops = sorted({0, len(records), *(cut for cut in cuts if cut < len(records))})
    for first, last in pairwise(stops):
        got += after(parts, records[first:last])
    assert got == expected
    assert parts.reached == whole.reached


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(RECORDS, st.sets(st.integers(0, 2)), st.floats(-100, 100)), max_size=8))
def test_never_back(steps: list) -> None:
    """Whatever comes, falls idle or runs on: the watermark only grows, and is never beyond the newest event."""
    time, seen, ran = EventTime(5.0), [-np.inf], -np.inf
    for step in steps:
        if isinstance(step, list):
            seen += after(time, step)
        elif isinstance(step, set):
            seen.append(time.settle({P[number] for number in step}))
        else:
            seen.append(time.run_on(step))
            ran = max(ran, seen[-1])
        newest = max(time.reached.values(), default=-np.inf)
        assert time.watermark <= max(newest - 5.0, ran)
    assert all(a <= b for a, b in pairwise(seen))


def test_silent_partition_lets_go() -> None:
    """A partition that falls silent no longer holds event time up; when it speaks again, it does."""
    time = begun(0.0, 2)
    after(time, [(10.0, 0), (100.0, 1)])
    assert time.watermark == 10.0
    assert time.settle({P[0]}) == 100.0
    assert after(time, [(20.0, 0), (200.0, 1)]) == [100.0, 100.0]
    assert time.settle({P[0], P[1]}) == 200.0


def test_awaited_partition_holds_from_the_start() -> None:
    """A partition that is about to speak holds event time, though nothing is known of it yet."""
    time = EventTime(0.0)
    time.awaited = {P[1]}
    assert set(after(time, [(10.0, 0), (20.0, 0)] * CONFIRMED_BY)) == {-np.inf}
    assert after(time, [(5.0, 1)] * CONFIRMED_BY) == [-np.inf] * (CONFIRMED_BY - 1) + [5.0]
    assert time.awaited == set()


@pytest.mark.parametrize("seconds", [0.0, 120.0])
def test_end_of_an_input(seconds: float) -> None:
    """At the end event time runs on beyond the newest event, whoever is slow."""
    time = begun(60.0, 2)
    after(time, [(10.0, 0), (100.0, 1)])
    assert time.run_on(seconds) == 100.0 + seconds


def test_a_leap_is_confirmed() -> None:
    """Time leaps when so many records in a row say so, and no further than all of them do; until then it stands."""
    time, far = begun(0.0, 1), 1e6
    marks = after(time, [(far + 7200.0 * i, 0) for i in range(CONFIRMED_BY)])
    assert marks == [0.0] * (CONFIRMED_BY - 1) + [far]
    assert after(time, [(far + 60.0, 0), (30.0, 0)]) == [far + 60.0] * 2


@pytest.mark.parametrize("wrong", [1, CONFIRMED_BY - 1])
def test_wrong_dates_among_right_ones(wrong: int) -> None:
    """Fewer records than confirm a leap move nothing, as often as they come: neither at first nor later."""
    time = EventTime(0.0)
    records = [*[(1e9, 0)] * wrong, (50.0, 0)] * 30
    assert max(after(time, records)) <= 50.0
    time = begun(0.0, 1)
    assert max(after(time, records)) == 50.0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([0.0, 60.0, 120.0]), min_size=60, max_size=60), st.integers(0, 59))
def test_one_wrong_date_moves_nothing(times: list[float], at: int) -> None:
    """With a record from another century anywhere in it, a stream ends at the time that it ends at without."""
    right, wrong = EventTime(5.0), EventTime(5.0)
    after(right, [(t, 0) for t in times])
    after(wrong, [(t, 0) for t in [*times[:at], 4e9, *times[at:]]])
    assert wrong.watermark == right.watermark


def test_silence_and_the_end_are_believed() -> None:
    """Where nothing more comes, what was said last counts, however few said it."""
    time = begun(0.0, 2)
    after(time, [(1e6, 0)])
    assert time.settle({P[0], P[1]}) == 1e6
    after(time, [(2e6, 1)])
    time.end()
    assert time.run_on(0.0) == 2e6
    assert time.ahead == {}


@settings(max_examples=200, deadline=None)
@given(RECORDS, st.lists(st.integers(0, 40), max_size=5))
def test_told_by_a_reader(records: list[tuple[float, int]], cuts: list[int]) -> None:
    """Who is told what each partition has reached comes to the same watermark as who read them, however it is cut."""
    whole, reader, told = EventTime(5.0), EventTime(0.0), EventTime(5.0)
    expected = after(whole, records)
    got: list[float] = []
    for first, last in pairwise(sorted({0, len(records), *(cut for cut in cuts if cut < len(records))})):
        times = np.array([t for t, _ in records[first:last]])
        source = np.array([p for _, p in records[first:last]], np.int32)
        reached = np.full(len(times), -np.inf)
        for p in range(len(P)):
            reached[source == p] = reader.reach(P[p], times[source == p])
        got += told.after_each(times, source, P, reached).tolist()
    assert got == expected
    assert told.reached == whole.reached


def test_news_of_a_partition_without_records() -> None:
    """What is told of a partition moves the watermark as its records would; who has no time yet still holds it up."""
    time = begun(10.0, 2)
    assert time.told({P[0]: 100.0}) == -10.0
    assert time.told({P[1]: 60.0}) == 50.0
    time.awaited = {P[2]}
    assert time.told({P[0]: 500.0, P[1]: 500.0, P[2]: -np.inf}) == 50.0
    assert time.told({P[2]: 70.0}) == 60.0
