"""Is it told when a feature begins to lie otherwise in a group, beside the rest, and nothing where it always did?

Models with four features and two groups, of which all features lie otherwise in one: 150 sampled events a day of it and
600 of the rest.
"""

from __future__ import annotations

import numpy as np
import pytest
from fleets.apart import Days, Law, met
from fleets.build import DAY, START
from numpy.typing import NDArray
from scipy import stats

from monitor.fleet import Fleet

MODELS = 20
SIZES = {"F": 150, "M": 600}
REST = np.array([0.12, 0.13, 0.12, 0.13, 0.12, 0.13, 0.12, 0.11, 0.02])
WOMEN = np.array([0.3, 0.2, 0.15, 0.1, 0.08, 0.07, 0.05, 0.03, 0.02])
UPSIDE_DOWN = WOMEN[[7, 6, 5, 4, 3, 2, 1, 0, 8]]
RAISED = np.array([0.0, 0.0, 0.3, 0.2, 0.15, 0.1, 0.08, 0.15, 0.02])
REST_RAISED = np.array([0.0, 0.0, 0.2, 0.2, 0.2, 0.13, 0.13, 0.12, 0.02])
"""Women's, and those of the rest, two strata further up."""


def as_ever(group: str, _feature: str) -> NDArray[np.float64]:
    return WOMEN if group == "F" else REST


def women_moved(part: float) -> Law:
    """So large a part of the women have ``x1`` upside down."""

    def law(group: str, feature: str) -> NDArray[np.float64]:
        mixed = (1.0 - part) * WOMEN + part * UPSIDE_DOWN
        return mixed if (group, feature) == ("F", "x1") else as_ever(group, feature)

    return law


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return met(MODELS)


@pytest.mark.statistical
@pytest.mark.parametrize(
    ("sizes", "clump"), [(SIZES, 1), ({"F": 25, "M": 600}, 1), ({"F": 2000, "M": 2000}, 1), (SIZES, 5)]
)
def test_what_always_differed_is_no_alarm(sizes: dict[str, int], clump: int) -> None:
    """Groups differ by 0.28 in every feature and nothing changes: alarms are within what the budget lets expect.

    The budget is 140 times the usual one, so that there is something to count; events may come five at a time.
    """
    days = Days(met(MODELS, per_week=700.0, per_model=700.0), seed=61, clump=clump)
    alarms = days.live(40, sizes, as_ever)
    assert days.cells_bet > 4 * MODELS * 40
    assert days.spent > 50.0
    assert len(alarms) <= stats.poisson.isf(1e-6, days.spent)
    assert len(alarms) < 0.1 * days.spent  # the tolerance, and the past's own error, are in the null


@pytest.mark.statistical
def test_a_change_within_the_tolerance_is_no_alarm() -> None:
    """Women's share of the lowest stratum falls by as much as is tolerated, 0.02, in every feature: the null's edge."""
    edge = WOMEN + 0.02 * (np.arange(9) == 4) - 0.02 * (np.arange(9) == 0)
    days = Days(met(MODELS, per_week=700.0, per_model=700.0), seed=62)
    days.live(20, SIZES, as_ever)
    alarms = days.live(40, SIZES, lambda group, _: edge if group == "F" else REST)
    assert len(alarms) <= stats.poisson.isf(1e-6, days.spent)


@pytest.mark.statistical
@pytest.mark.parametrize(
    ("part", "sizes", "within", "least"),
    [
        (1.0, SIZES, 2, 20),
        (0.5, SIZES, 5, 20),
        (0.5, {"F": 50, "M": 600}, 20, 16),
        (0.25, {"F": 600, "M": 600}, 6, 20),
    ],
)
def test_a_group_that_moves_is_told(fleet: Fleet, part: float, sizes: dict[str, int], within: int, least: int) -> None:
    """In at least so many of 20 models, of that group and feature alone, within so many days.

    The share that moves most does so by 0.52 of ``part``: by 0.52 it is seen within 300 events of the group, by 0.26
    within 750, by 0.13 within 3,600. Of a group of 50 a day, whose past was a small sample and still grew, 0.26 was
    seen within 1,000 in 18 of the 20.
    """
    days = Days(fleet, seed=63)
    assert days.live(20, sizes, as_ever) == []
    alarms = days.live(within, sizes, women_moved(part))
    named = days.named(alarms)
    assert named.keys() == {("F", "x1")}
    assert named["F", "x1"] >= least
    began = START + DAY * 23
    assert all(alarm.onset_time >= began - DAY for alarm in alarms)
    assert all(abs(alarm.moved) > alarm.tolerance for alarm in alarms)


@pytest.mark.statistical
def test_a_feature_that_begins_to_tell_groups_apart(fleet: Fleet) -> None:
    """Women lay as the rest in all features, and now no more in one: told. The other way round too."""
    days = Days(fleet, seed=64)
    assert days.live(20, SIZES, lambda _group, _feature: REST) == []
    alarms = days.live(10, SIZES, lambda group, feature: WOMEN if (group, feature) == ("F", "x2") else REST)
    assert days.named(alarms) == {("F", "x2"): MODELS}
    days = Days(fleet, seed=65)
    days.live(20, SIZES, as_ever)
    alarms = days.live(10, SIZES, lambda group, feature: REST if feature == "x2" else as_ever(group, feature))
    assert days.named(alarms) == {("F", "x2"): MODELS}


@pytest.mark.statistical
@pytest.mark.parametrize("sizes", [SIZES, {"F": 600, "M": 600}])
def test_who_moved_is_named(fleet: Fleet, sizes: dict[str, int]) -> None:
    """Men move and women stay: men are told of, though women's difference from the rest moved as far."""
    days = Days(fleet, seed=66)
    days.live(20, sizes, as_ever)
    alarms = days.live(
        15, sizes, lambda group, feature: REST_RAISED if (group, feature) == ("M", "x1") else as_ever(group, feature)
    )
    assert days.named(alarms) == {("M", "x1"): MODELS}


@pytest.mark.statistical
def test_what_befalls_everybody_is_nobodys_own(fleet: Fleet) -> None:
    """All incomes rise by two strata: drift of the feature, which others tell; no group parted from the rest."""
    days = Days(fleet, seed=67)
    days.live(20, SIZES, as_ever)
    risen = {"F": RAISED, "M": REST_RAISED}
    assert days.live(20, SIZES, lambda group, _feature: risen[group]) == []


@pytest.mark.statistical
def test_weekends_and_weather_are_no_change(fleet: Fleet) -> None:
    """All shares wander from day to day, together; and women's are others at weekends, by more than is tolerated."""
    weather = np.random.default_rng(68).normal(size=60)

    def tilted(shares: NDArray[np.float64], by: float) -> NDArray[np.float64]:
        leant = shares * np.exp(by * np.arange(9) / 8.0)
        return leant / leant.sum()

    together, apart = Days(fleet, seed=69), Days(fleet, seed=70)
    sizes = {"F": 1500, "M": 6000}
    for day in range(40):
        assert together.live(1, sizes, lambda g, f, by=0.3 * weather[day]: tilted(as_ever(g, f), by)) == []
        assert apart.live(1, sizes, lambda g, f, by=0.3 * (day % 7 > 4): tilted(as_ever(g, f), by * (g == "F"))) == []


@pytest.mark.statistical
def test_it_clears_when_it_mends(fleet: Fleet) -> None:
    """What fired ceases once women lie as they did, after their present has faded; then all is quiet."""
    days = Days(fleet, seed=71)
    days.live(20, SIZES, as_ever)
    fired = {alarm.key for alarm in days.live(10, SIZES, women_moved(1.0))}
    assert days.cleared == []
    assert days.live(30, SIZES, as_ever) == []
    assert set(days.cleared) == fired
