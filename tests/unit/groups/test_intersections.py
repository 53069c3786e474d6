"""Are groups of two attributes compared where the data can see them, and told where they say more than their groups?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fleets.build import START, event, feed, new_fleet
from hypothesis import given
from hypothesis import strategies as st

from monitor.catalog.policies import PolicyEntry
from monitor.errors import ConfigError
from monitor.fleet import Fleet
from monitor.groups import intersections
from monitor.groups.codes import codes
from monitor.groups.comparing import CROSSED_WEIGHT
from monitor.groups.privacy import Privacy
from monitor.groups.questions import Kind
from monitor.groups.register import Limits
from monitor.groups.shown import associations, blind_spots, impact_ratios
from monitor.groups.watch import GroupRules


@pytest.fixture(autouse=True)
def from_the_first_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let models of few events have intersections."""
    monkeypatch.setattr(intersections, "EVENTS_MIN", 0)


SEXES, AGES = ("F", "M"), ("old", "young")
Rates = dict[tuple[str, str], float]


def fed(rates: Rates, minutes: int = 60, a_minute: int = 40, seed: int = 3, **policy: Any) -> Fleet:
    """A fleet of one model that decides on ``a_minute`` people a minute, favourably at ``rates`` of sex and age."""
    rules = policy.pop("group_rules", None)
    fleet = new_fleet({"favourable": ("y",), "include_group_values": True, "tick": "1m", **policy}, group_rules=rules)
    rng, said = np.random.default_rng(seed), list(rates)
    for minute in range(minutes):
        feed(
            fleet,
            [
                event(
                    START + 60 * minute + i,
                    sensitive={"sex": sex, "age": age},
                    prediction="y" if rng.random() < rates[sex, age] else "n",
                )
                for i in range(a_minute)
                for sex, age in [said[i % len(said)]]
            ],
        )
    return fleet


def told(fleet: Fleet) -> set[tuple[str, str]]:
    """Attribute and group of every cell of an open incident."""
    return {(str(c.attribute), str(c.group)) for held in fleet.book.open.values() for c in held.incident.cells}


def even(rate: float) -> Rates:
    return {(sex, age): rate for sex in SEXES for age in AGES}


def test_what_no_single_attribute_shows_is_found() -> None:
    """Old women and young men get less while neither women nor the old do: both intersections are told, no group is."""
    fleet = fed({("F", "old"): 0.3, ("F", "young"): 0.7, ("M", "old"): 0.7, ("M", "young"): 0.3})
    assert told(fleet) == {("age x sex", "old x F"), ("age x sex", "young x M")}
    [held] = fleet.book.open.values()
    assert held.incident.alertname == "ModelDisparateImpact"
    assert held.incident.labels["attribute"] == "age x sex"
    assert "age x sex" in held.incident.summary


def test_a_group_is_not_told_again_by_its_intersections() -> None:
    """Where all women get less, women are told, and neither old women nor young ones."""
    for seed in range(3):
        fleet = fed({("F", "old"): 0.3, ("F", "young"): 0.3, ("M", "old"): 0.7, ("M", "young"): 0.7}, seed=seed)
        assert told(fleet) == {("sex", "F")}


def test_what_goes_beyond_the_group_is_told_beside_it() -> None:
    """Where old women get so little that women get less, the intersection is told as well."""
    fleet = fed({**even(0.8), ("F", "old"): 0.2})
    assert ("age x sex", "old x F") in told(fleet)
    assert ("sex", "F") in told(fleet)
    assert not {("age x sex", "old x M"), ("age x sex", "young x F")} & told(fleet)


def test_few_people_are_a_blind_spot() -> None:
    """An intersection that the data cannot see within 30 days costs no budget, and is named as not seen."""
    fleet = new_fleet({"favourable": ("y",), "tick": "1h"})
    rng = np.random.default_rng(8)
    people = [("F", "old"), *[("M", "old"), ("F", "young"), ("M", "young")] * 40]
    said = [
        event(
            START + 86400.0 * day + 3600 * (i % 3), sensitive={"sex": sex, "age": age}, prediction="yn"[rng.integers(2)]
        )
        for day in range(40)
        for i, (sex, age) in enumerate(people)
    ]
    feed(fleet, said)
    register = fleet.groups.register
    compared = {
        register.group_names[group]
        for group in register.cells["group"][: len(register.cells)].tolist()
        if register.crossed(np.array([group]))[0]
    }
    assert compared == {"old x M", "young x F", "young x M"}
    assert fleet.groups.comparer.n_cells == 4 + 3 * CROSSED_WEIGHT
    [spot] = [s for s in blind_spots(fleet.groups, 0, 40 * 86400.0) if s["attribute"] == "age x sex"]
    assert spot["why"] == "1 intersections have too few cases to see a ratio of 0.65 within 30 days"
    assert spot["days"] > 30
    assert spot["cases_needed"] > 30


def test_models_of_few_events_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intersections are counted behind the tick with which their model has had enough events."""
    monkeypatch.setattr(intersections, "EVENTS_MIN", 500)
    assert fed(even(0.5), minutes=12).groups.register.attribute_names == ["sex", "age"]
    register = fed(even(0.5), minutes=15).groups.register
    assert register.attribute_names == ["sex", "age", "age x sex"]
    decided = register.find_output(0, Kind.DECISION, "")
    crossed = [group for group, name in enumerate(register.group_names) if " x " in name]
    # Thirteen minutes of 40 are 500 and more.
    assert sum(register.totals(group, decided)[0] for group in crossed) == 2 * 40


def test_the_budget_holds_with_them() -> None:
    """All cells of a model together cost what one model may cost; what an intersection costs is a part of a group's."""
    fleet = fed(even(0.5), minutes=10)
    cells = np.arange(len(fleet.groups.register.cells))
    allowances = fleet.groups.comparer.allowance(cells)
    assert len(cells) == 8
    assert allowances.sum() == pytest.approx(0.5 * 60.0 / (7 * 86400.0))
    crossed = fleet.groups.register.crossed(fleet.groups.register.cells["group"][cells])
    assert set(allowances[crossed]) == {CROSSED_WEIGHT * allowances[~crossed].max()}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("auto", {"age x sex"}), ((), set()), ((("sex", "age"),), {"age x sex"}), ((("sex", "race"),), set())],
)
def test_a_policy_says_which(wanted: Any, found: set[str]) -> None:
    """``intersections`` names the pairs, in any order; "auto" is every two attributes."""
    fleet = fed(even(0.5), minutes=2, intersections=wanted)
    assert {name for name in fleet.groups.register.attribute_names if " x " in name} == found


@pytest.mark.parametrize("wrong", ["all", (("sex",),), (("sex", "sex"),), ("sex", "age")])
def test_what_is_no_pair_is_refused(wrong: Any) -> None:
    """Whatever is not a list of pairs is a fault of the configuration."""
    with pytest.raises((ConfigError, ValueError), match="pairs"):
        PolicyEntry.model_validate({"match": "*", "intersections": wrong})


def test_limits_turn_away_and_count() -> None:
    """Beyond the most intersections of a model none is let in; their tallies never crowd out those of groups."""
    none = fed(even(0.5), minutes=1, group_rules=GroupRules(limits=Limits(intersections=0)))
    assert none.groups.register.attribute_names == ["sex", "age"]
    assert none.groups.register.turned_away == 0  # taken away by the count of the batch
    few = fed(even(0.5), minutes=1, group_rules=GroupRules(limits=Limits(tallies=4)))
    assert few.groups.register.of(0).n_tallies == [4, 2]
    batch = new_fleet({"favourable": ("y",)}, group_rules=GroupRules(limits=Limits(intersections=0)))
    count, counted = batch.groups.count, []
    batch.groups.count = lambda *of: counted.append(count(*of)) or counted[-1]  # type: ignore[method-assign]
    feed(batch, [event(START, sensitive={"sex": "F", "age": "old"}, prediction="y")])
    assert counted == [1]


def test_they_are_named_and_shown() -> None:
    """An intersection has a code of its own, names the groups that it is of, and is in no metric."""
    fleet = fed(even(0.6), minutes=30, include_group_values=False)
    code = fleet.groups.privacy.code
    [entry] = [e for e in associations(fleet.groups, 0) if e["group"] == code("age x sex", "old x F")]
    assert entry["of"] == [
        {"attribute": "age", "group": code("age", "old")},
        {"attribute": "sex", "group": code("sex", "F")},
    ]
    assert [rate["n"] for rate in entry["rates"]] == [300] * 4
    assert {of["attribute"]: len(of["groups"]) for of in codes(fleet.groups, 0)} == {"age": 2, "sex": 2, "age x sex": 4}
    assert {attribute for _, attribute, _, _ in impact_ratios(fleet.groups)} == {"age", "sex"}


def test_small_intersections_cannot_be_computed() -> None:
    """Of few old women nothing is shown, nor of those from whom, with the groups, they could be computed."""
    many = {("F", "old"): 12, ("M", "old"): 200, ("F", "young"): 200, ("M", "young"): 600}
    fleet = new_fleet({"favourable": ("y",), "include_group_values": True})
    people = [pair for pair, n in many.items() for _ in range(n)]
    feed(
        fleet,
        [
            event(START + i % 60, sensitive={"sex": sex, "age": age}, prediction="yn"[i % 2])
            for i, (sex, age) in enumerate(people)
        ],
    )
    shown = {entry["attribute"] for entry in associations(fleet.groups, 0)}
    assert shown == {"age", "sex"}
    assert {of["attribute"]: (len(of["groups"]), of["hidden"]) for of in codes(fleet.groups, 0)} == {
        "age": (2, 0),
        "sex": (2, 0),
        "age x sex": (0, 4),
    }


@given(
    st.integers(1, 5).flatmap(
        lambda k: st.lists(st.lists(st.integers(0, 40), min_size=k, max_size=k), min_size=1, max_size=5)
    ),
    st.integers(2, 25),
)
def test_no_small_intersection_follows_from_sums(table: list[list[int]], smallest: int) -> None:
    """From the sums of the groups that are shown, the total and what is shown no hidden small one can be computed.

    Unless everything is hidden: then the groups alone give it.
    """
    n = np.array(table, float)
    privacy = Privacy(smallest)
    rows, columns = (privacy.shown(n.sum(axis=axis).tolist()) for axis in (1, 0))
    pairs = [(i, len(rows) + j) for i in range(n.shape[0]) for j in range(n.shape[1])]
    seen = dict(enumerate([*rows, *columns]))
    shown = np.array(privacy.shown_crossed(pairs, n.ravel().tolist(), seen)).reshape(n.shape)
    small = (n < smallest) | ~np.array(rows)[:, None] | ~np.array(columns)[None, :]
    assert not (shown & small).any()
    if not shown.any():
        return
    known = [np.ones(n.shape)]
    known += [np.eye(n.shape[0])[i][:, None] * np.ones(n.shape) for i in np.flatnonzero(rows)]
    known += [np.eye(n.shape[1])[j][None, :] * np.ones(n.shape) for j in np.flatnonzero(columns)]
    hidden = ~shown.ravel()
    equations = np.array(known).reshape(len(known), -1)[:, hidden]
    rank = np.linalg.matrix_rank(equations)
    for at in np.flatnonzero(small.ravel()[hidden]).tolist():
        one = np.zeros(equations.shape[1])
        one[at] = 1.0
        assert np.linalg.matrix_rank(np.vstack([equations, one])) > rank
    for axis, of in ((1, rows), (0, columns)):
        for i in np.flatnonzero(of).tolist():
            line, away = np.take(n, i, 1 - axis), ~np.take(shown, i, 1 - axis)
            assert not away.any() or away.all() or (away.sum() > 1 and line[away].sum() >= smallest)
