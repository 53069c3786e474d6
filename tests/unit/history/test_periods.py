"""Can anybody be computed from what is told of groups, by asking for one range after another?"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from fleets.build import DAY, START
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from monitor.groups.periods import may_be_shown, month_begin, month_end, periods, shown_in_all, within
from monitor.groups.privacy import Privacy

PRIVACY = Privacy(20)
DAYS = 18
SIZES = arrays(np.float64, (DAYS, 3), elements=st.integers(0, 30).map(float))
ENDS = [START + (i + 23) * DAY for i in range(DAYS)]
"""Of two months."""
NOBODY = np.zeros(3, bool)


@settings(max_examples=30, deadline=None)
@given(SIZES, st.booleans())
def test_the_difference_of_two_answers_is_of_many_people(sizes: Any, months: bool) -> None:
    """Of a group that two ranges show, the cases that one has beyond the other are none, or enough."""
    cut = periods(ENDS, sizes, NOBODY, PRIVACY, months=months)
    assert [p.since for p in cut[1:]] == [p.until for p in cut[:-1]], "no day is in two periods, or in none between"
    edges = [ENDS[0] - DAY, *(p.until for p in cut)]
    told: dict[tuple[float, float], Any] = {}
    for since, until in combinations(edges, 2):
        own = within(cut, since, until)
        shown = shown_in_all(own, PRIVACY)
        n = sizes[[since < end <= until for end in ENDS]].sum(axis=0)
        told[since, until] = np.where(shown, n, np.nan)
        few = n[~shown & (n > 0.0)]
        assert not shown.any() or not len(few) or (len(few) > 1 and few.sum() >= 20), "could be computed from the rest"
    for (since, until), n in told.items():
        for edge in edges:
            if since < edge < until:
                difference = n - told[since, edge]
                assert not ((difference > 0.0) & (difference < 20.0)).any()


@settings(max_examples=20, deadline=None)
@given(SIZES, st.integers(1, DAYS - 1))
def test_what_was_told_stays(sizes: Any, n: int) -> None:
    """Periods that are there on one day are there on every later one: they depend on nothing that comes."""
    for months in (False, True):
        early = periods(ENDS[:n], sizes[:n], NOBODY, PRIVACY, months=months)
        late = periods(ENDS, sizes, NOBODY, PRIVACY, months=months)
        assert [(p.since, p.until) for p in early] == [(p.since, p.until) for p in late[: len(early)]]


def test_few_people_who_ask_often_are_few() -> None:
    """Where people are told apart each counts once a day, so a week of five a day may be of five people."""
    sizes = np.tile([[5.0, 90.0, 90.0]], (31, 1))
    days = [START + (i + 1) * DAY for i in range(31)]
    (month,) = periods(days, sizes, np.array([True, False, False]), PRIVACY, months=True)
    assert month.shown.tolist() == [False, False, True]
    (month,) = periods(days, sizes, NOBODY, PRIVACY, months=True)
    assert month.shown.tolist() == [True, True, True]


def test_a_group_of_nobody_hides_nobody() -> None:
    """What was never met needs no company."""
    assert may_be_shown(np.array([0.0, 30.0, 40.0]), PRIVACY).tolist() == [False, True, True]
    assert may_be_shown(np.array([3.0, 30.0, 40.0]), PRIVACY).tolist() == [False, False, True]


def test_months_are_those_of_the_calendar() -> None:
    """From the first instant of a month to that of the next."""
    assert month_begin(START) == START
    assert month_end(START) == START + 31 * DAY
    assert month_end(START + 31 * DAY - 1) == START + 31 * DAY
    assert month_begin(START + 58.5 * DAY) == START + 31 * DAY
