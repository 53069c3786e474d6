"""Does a person count once a day, however often they ask, and is a group of few people small?"""

from __future__ import annotations

import numpy as np
import pytest
from fleets.build import DAY, START, decoded, event, feed, new_fleet

from monitor.fleet import Fleet
from monitor.groups.codes import codes
from monitor.groups.questions import Kind
from monitor.groups.shown import associations, impact_ratios


def asked(fleet: Fleet, sex: str, people: int, each: int, day: int = 0) -> None:
    said = [
        event(START + day * DAY + i, model="m", entity=f"{sex}{i % people}", sensitive={"sex": sex}, prediction="y")
        for i in range(people * each)
    ]
    feed(fleet, said)


def sizes(fleet: Fleet) -> dict[str, float]:
    register = fleet.groups.register
    [output] = [i for i, kind in enumerate(register.outputs["kind"][: len(register.outputs)]) if kind == Kind.DECISION]
    return {register.group_names[g]: register.totals(g, output)[0] for g in register.groups_of(0)}


def test_a_person_counts_once_a_day() -> None:
    """Of many requests the first counts; on the next day the person counts again; without an entity all count."""
    fleet = new_fleet({"favourable": ("y",)})
    asked(fleet, "F", people=5, each=10)
    assert sizes(fleet) == {"F": 5}
    asked(fleet, "F", people=5, each=10, day=1)
    feed(fleet, [event(START + DAY, sensitive={"sex": "M"}, prediction="y") for _ in range(7)])
    assert sizes(fleet) == {"F": 10, "M": 7}


def test_few_people_are_a_small_group() -> None:
    """Ten people with hundreds of cases are not shown, nor is the group from which they could be computed."""
    fleet = new_fleet({"favourable": ("y",)})
    for day in range(30):
        asked(fleet, "F", people=10, each=1, day=day)
        asked(fleet, "M", people=40, each=1, day=day)
    assert sizes(fleet) == {"F": 300, "M": 1200}
    assert associations(fleet.groups, 0) == []
    assert impact_ratios(fleet.groups) == []
    assert codes(fleet.groups, 0) == [{"attribute": "sex", "groups": [], "hidden": 2}]


@pytest.mark.parametrize("batches", [1, 7])
def test_batches_do_not_matter(batches: int) -> None:
    """Who counts is the same however events are cut into batches."""
    fleet, rng = new_fleet({"favourable": ("y",)}), np.random.default_rng(2)
    people = rng.integers(9, size=300).tolist()
    said = [
        event(START + 600 * i, entity=f"p{who}", sensitive={"sex": "FM"[i % 2]}, prediction="y")
        for i, who in enumerate(people)
    ]
    for part in np.array_split(np.arange(300), batches):
        batch = decoded([said[i] for i in part.tolist()])
        fleet.absorb(batch, np.zeros(len(batch), bool))
    fleet.close(np.inf)
    assert sum(sizes(fleet).values()) == len({(who, i * 600 // DAY) for i, who in enumerate(people)})
