"""Are decisions, classes, tags and scores counted for the groups of the people they were made for?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fleets.build import MINUTE, START, decoded, event, feed, new_fleet

from monitor.fleet import Fleet
from monitor.groups.questions import QUESTIONS, Kind
from monitor.groups.register import Limits
from monitor.groups.watch import GroupRules
from monitor.kernels.hashing import hash64


def told(fleet: Fleet, kind: Kind, output: str = "", attribute: str = "sex") -> dict[str, tuple[float, float]]:
    """By group: cases and those with the output, since the first event."""
    register = fleet.groups.register
    rows = [i for i, name in enumerate(register.output_names) if name == output]
    rows = [i for i in rows if register.outputs["kind"][i] == kind]
    if not rows:
        return {}
    [of] = [i for i, name in enumerate(register.attribute_names) if name == attribute]
    return {register.group_names[g]: register.totals(g, rows[0]) for g in register.groups_of(of)}


def events(*said: dict[str, Any]) -> list[bytes]:
    return [event(START + i, **parts) for i, parts in enumerate(said)]


def who(sex: str, **rest: Any) -> dict[str, Any]:
    return {"sensitive": {"sex": sex}, **rest}


def test_favourable_labels() -> None:
    """A label of ``favourable`` is a favourable decision; events without a label or a group are no case."""
    fleet = new_fleet({"favourable": ("yes", "1")})
    said = [who("F", prediction="yes"), who("F", prediction="no"), who("M", prediction=True), who("M", prediction="0")]
    feed(fleet, events(*said, {"prediction": "yes"}, who("F", features={"x": 1})))
    assert told(fleet, Kind.DECISION) == {"F": (2, 1), "M": (2, 1)}
    assert told(fleet, Kind.CLASS, "yes") == {}


@pytest.mark.parametrize(("when", "favoured"), [("above", 2), ("below", 2)])
def test_decision_threshold(when: str, favoured: int) -> None:
    """A score at or beyond the threshold, on the favourable side of it, is a favourable decision."""
    fleet = new_fleet({"decision_threshold": 0.5, "favourable_when": when})
    scores = [0.2, 0.5, 0.9]
    feed(fleet, events(*(who("F", prediction={"score": score}) for score in scores), who("M", prediction=0.9)))
    assert told(fleet, Kind.DECISION) == {"F": (3, favoured), "M": (1, when == "above")}


def test_classes_where_nothing_is_favourable() -> None:
    """Each class is an output; a class that comes later is counted of all answers before it too."""
    fleet = new_fleet()
    said = [who("F", prediction="a"), who("M", prediction="b"), who("M", prediction="a")]
    feed(fleet, events(*said))
    assert told(fleet, Kind.CLASS, "a") == {"F": (1, 1), "M": (2, 1)}
    assert told(fleet, Kind.CLASS, "b") == {"F": (1, 0), "M": (2, 1)}


def test_outputs_come_in_together_as_one_by_one() -> None:
    """What a batch brings has the rows and cells that it has where each comes alone; limits keep out the same."""
    fleets = [new_fleet(group_rules=GroupRules(limits=Limits(outputs=3, tallies=8))) for _ in range(2)]
    for fleet in fleets:
        feed(fleet, events(who("F", prediction="a"), who("M", prediction="a")))
    together, alone = (fleet.groups.register for fleet in fleets)
    names = list("bacbd")
    texts, n = np.array([hash64(name.encode()) for name in names], np.uint64), len(names)
    rows = together.outputs_in(np.zeros(n, int), Kind.CLASS, texts, names.__getitem__, np.full(n, START)).tolist()
    assert rows == [alone.output(0, Kind.CLASS, name, START) for name in names]
    assert rows[-1] == -1
    assert together.output_names == alone.output_names
    assert together.turned_away == alone.turned_away
    for name, table in together.tables().items():
        other = alone.tables()[name]
        assert len(table) == len(other)
        assert np.array_equal(table["key"][: len(table)], other["key"][: len(other)])


def test_tags() -> None:
    """A tag counts of all lists of tags, an empty one too; a watch list once, however many of its tags are there."""
    fleet = new_fleet({"watch_tags": ({"name": "apes", "tags": ("gorilla", "gibbon")},)})
    lists = [["gorilla", "gibbon", "tree"], ["tree"], [], ["gibbon"]]
    feed(
        fleet, events(*(who("F", prediction={"tags": tags}) for tags in lists), who("M", prediction={"tags": ["sea"]}))
    )
    assert told(fleet, Kind.TAG, "tree") == {"F": (4, 2), "M": (1, 0)}
    assert told(fleet, Kind.TAG, "sea") == {"F": (4, 0), "M": (1, 1)}
    assert told(fleet, Kind.WATCHED, "apes") == {"F": (4, 2), "M": (1, 0)}


def test_named_attributes_alone() -> None:
    """``sensitive`` says which attributes are compared, also those among the features."""
    fleet = new_fleet({"favourable": ("y",), "sensitive": ("sex", "region")})
    said = [{**who("F", prediction="y", features={"region": "north"}), "sensitive": {"sex": "F", "race": "A"}}] * 2
    feed(fleet, events(*said))
    assert sorted(fleet.groups.register.attribute_names) == ["region", "sex"]
    assert told(fleet, Kind.DECISION, attribute="region") == {"north": (2, 2)}


def test_what_is_said_of_a_person_comes_before_features() -> None:
    """An attribute that stands in both places counts once, as ``sensitive`` says it."""
    fleet = new_fleet({"favourable": ("y",), "sensitive": ("sex",)})
    feed(fleet, events({"features": {"sex": "x"}, "sensitive": {"sex": "F"}, "prediction": "y"}))
    assert told(fleet, Kind.DECISION) == {"F": (1, 1)}


def test_numbers_in_bands() -> None:
    """A number is cut into quarters once enough of it was seen, and the groups are of like size."""
    fleet = new_fleet({"favourable": ("y",), "sensitive": ("age",)})
    ages = np.random.default_rng(5).permutation(np.linspace(18, 90, 200))
    for part in range(3):
        said = [{"features": {"age": age}, "prediction": "y"} for age in ages.tolist()]
        times = START + part * MINUTE + np.linspace(0, 59, len(said))
        feed(fleet, [event(t, **s) for t, s in zip(times.tolist(), said, strict=True)])
    sizes = told(fleet, Kind.DECISION, attribute="age")
    assert set(sizes) == {"lowest quarter", "second quarter", "third quarter", "highest quarter"}
    assert all(80 <= n <= 120 for n, _ in sizes.values())


def test_scores_above_the_median() -> None:
    """Where no decision is declared, a score above the middle of what was learned is an output."""
    fleet = new_fleet({"tick": "1m"})
    rng = np.random.default_rng(6)
    for minute in range(12):
        times = (START + minute * MINUTE + np.linspace(0, 59, 60)).tolist()
        feed(fleet, [event(t, **who("FM"[i % 2], prediction={"score": rng.random()})) for i, t in enumerate(times)])
    above = told(fleet, Kind.SCORE)
    n, s = (sum(total[i] for total in above.values()) for i in range(2))
    assert 300 <= n < 720
    assert abs(s / n - 0.5) < 0.1


def test_strata_keep_cases_apart() -> None:
    """With ``explain_by`` there is a tally for each stratum, and one for events that do not say theirs."""
    fleet = new_fleet({"favourable": ("y",), "explain_by": ("dept",)})
    said = [who("F", prediction="y", features={"dept": d}) for d in ("A", "B")] + [who("F", prediction="n")]
    feed(fleet, events(*said))
    register = fleet.groups.register
    assert len(register.strata) == 3
    assert told(fleet, Kind.DECISION) == {"F": (3, 2)}


def test_limits_are_counted() -> None:
    """What goes beyond a limit is turned away and counted; groups beyond the most are one, which is not compared."""
    rules = GroupRules(limits=Limits(attributes=1, groups=2, strata=1, outputs=2, tallies=100))
    fleet = new_fleet(group_rules=rules)
    said = [
        {"sensitive": {"sex": s, "race": "A"}, "prediction": label}
        for s, label in (("a", "x"), ("b", "y"), ("c", "z"), ("d", "x"))
    ]
    assert feed(fleet, []).ticks == []
    batch = events(*said)
    absorbed = fleet.absorb(decoded(batch), np.zeros(len(batch), bool))
    fleet.close(np.inf)
    # A second attribute, two groups beyond two, and a third class.
    assert absorbed.groups_turned_away >= 4
    register = fleet.groups.register
    assert [register.group_names[g] for g in register.groups_of(0)][:2] == ["a", "b"]
    assert len(register.groups_of(0)) == 3
    assert sorted(register.output_names) == ["x", "y"]
    assert len(register.cells) == 4


def test_late_events_are_no_cases() -> None:
    """An event whose tick has closed does not count for its group."""
    fleet = new_fleet({"favourable": ("y",)})
    batch = decoded(events(who("F", prediction="y"), who("F", prediction="y")))
    fleet.absorb(batch, np.array([False, True]))
    fleet.close(np.inf)
    assert told(fleet, Kind.DECISION) == {"F": (1, 1)}


def test_planned_ticks_are_not_compared() -> None:
    """What happens in a planned window is no case: neither judged, nor among the totals."""
    window = {"from": "2026-01-01T00:00:00Z", "until": "2026-01-01T00:01:00Z"}
    fleet = new_fleet({"favourable": ("y",), "planned": (window,), "tick": "1m"})
    feed(fleet, [event(START + t, **who("F", prediction="y")) for t in (10, 70)])
    assert told(fleet, Kind.DECISION) == {"F": (1, 1)}


def test_roll_ups() -> None:
    """A roll-up counts as one output whatever tags of it there are; it is judged in both directions, a list in one."""
    roll_ups = ({"name": "vehicles", "tags": ("cart", "truck")}, {"name": "wheels", "tags": ("cart", "bicycle")})
    fleet = new_fleet({"roll_ups": roll_ups, "watch_tags": ({"name": "apes", "tags": ("gibbon",)},)})
    lists = [["cart", "truck", "tree"], ["truck"], ["tree"], []]
    feed(
        fleet,
        events(*(who("F", prediction={"tags": tags}) for tags in lists), who("M", prediction={"tags": ["bicycle"]})),
    )
    assert told(fleet, Kind.ROLLED, "vehicles") == {"F": (4, 2), "M": (1, 0)}
    assert told(fleet, Kind.ROLLED, "wheels") == {"F": (4, 1), "M": (1, 1)}
    assert told(fleet, Kind.WATCHED, "apes") == {"F": (4, 0), "M": (1, 0)}
    assert len(QUESTIONS[Kind.ROLLED].directions) == 2
    # Shares of the weekly budget: a list a fifth, a roll-up a fiftieth.
    assert fleet.groups.comparer.aside() == pytest.approx(0.2 + 2 * 0.02)
