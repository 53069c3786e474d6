"""Is a gap between a group and the rest laid exactly to who they are and how they are judged?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fleets.build import START, event, feed, new_fleet
from hypothesis import given
from hypothesis import strategies as st

from monitor.fleet import Fleet
from monitor.groups.effects import gap_split
from monitor.groups.questions import QUESTIONS, Kind
from monitor.groups.shown import associations
from monitor.incidents.document import incident_document
from monitor.web.gaps import tables

CASES = st.lists(st.tuples(*[st.integers(0, 10_000)] * 2, *[st.floats(0.0, 1.0)] * 2), min_size=1, max_size=9)
Rates = dict[tuple[str, str], tuple[int, float]]
"""By group and department: decisions a minute, and the favourable part."""


def fed(of: Rates, minutes: int = 40, **policy: Any) -> Fleet:
    fleet = new_fleet({"favourable": ("y",), "include_group_values": True, **policy})
    rng = np.random.default_rng(12)
    for minute in range(minutes):
        people = [(*who, rate) for who, (n, rate) in of.items() for _ in range(n)]
        feed(
            fleet,
            [
                event(
                    START + 60.0 * minute + i / 10.0,
                    {"dept": dept},
                    sensitive={"sex": sex},
                    prediction="y" if rng.random() < rate else "n",
                )
                for i, (sex, dept, rate) in enumerate(people)
            ],
        )
    return fleet


def bill(fleet: Fleet, group: str) -> dict[str, Any]:
    (entry,) = (e for e in associations(fleet.groups, 0) if e["group"] == group and e["detector"] == "impact")
    found: dict[str, Any] = entry["bill"]
    return found


@given(CASES, st.sampled_from([Kind.DECISION, Kind.LOSS, Kind.CALIBRATION]))
def test_both_parts_are_the_gap(strata: list[tuple[int, int, float, float]], kind: Kind) -> None:
    """Whatever is in the strata, composition and behaviour add up to the gap, in the unit of the question."""
    na, nb, ra, rb = (np.array(column, float) for column in zip(*strata, strict=True))
    split = gap_split(kind, np.stack([na, na * ra, nb, nb * rb], axis=1))
    if not (na.sum() and nb.sum()):
        assert split is None
        return
    assert split is not None
    gap = QUESTIONS[kind].unit * ((nb * rb).sum() / nb.sum() - (na * ra).sum() / na.sum())
    assert split.population.sum() + split.behaviour.sum() == pytest.approx(gap, abs=1e-9)
    assert split.change == pytest.approx(gap, abs=1e-9)


def test_who_applies_where_is_composition() -> None:
    """Women who are more often where all are refused: the gap is theirs and not the model's; strata sum to it."""
    fleet = fed(
        {("F", "hard"): (30, 0.2), ("F", "easy"): (10, 0.8), ("M", "hard"): (10, 0.2), ("M", "easy"): (30, 0.8)},
        explain_by=("dept",),
    )
    told = bill(fleet, "F")
    assert told["by"] == ["dept"]
    assert told["gap"] == pytest.approx(-0.3, abs=0.05)
    assert told["composition"] == pytest.approx(-0.3, abs=0.05)
    assert told["composition"] + told["behaviour"] == pytest.approx(told["gap"])
    assert told["people"] == 1600
    assert told["people_of_composition"] == pytest.approx(1600 * told["composition"], abs=0.1)
    assert {line["stratum"] for line in told["strata"]} == {"dept hard", "dept easy"}
    for part in ("composition", "behaviour"):
        assert sum(line[part] for line in told["strata"]) == pytest.approx(told[part])
    assert not fleet.book.open


def test_who_is_judged_otherwise_is_behaviour() -> None:
    """Women who get less in every department: the incident says so, in points, in people and in words."""
    fleet = fed(
        {(sex, dept): (20, rate) for sex, rate in (("F", 0.3), ("M", 0.7)) for dept in "AB"}, explain_by=("dept",)
    )
    (held,) = fleet.book.open.values()
    told = incident_document(held.incident)["bill"]
    assert told["behaviour"] == pytest.approx(-0.4, abs=0.1)
    assert told["composition"] == pytest.approx(0.0, abs=0.05)
    assert told["composition"] + told["behaviour"] == pytest.approx(told["gap"])
    assert told["people"] > 0
    assert held.incident.bill is not None
    assert "composition by dept" in held.incident.bill.words()
    assert "the model's behaviour -" in held.incident.bill.words()


def test_without_explanations_all_is_behaviour() -> None:
    """Where nothing explains, the gap is the model's, and nothing is told by stratum."""
    fleet = fed({("F", "A"): (20, 0.3), ("M", "A"): (20, 0.7)})
    told = bill(fleet, "F")
    assert (told["by"], told["strata"], told["composition"]) == ([], [], 0.0)
    assert told["behaviour"] == told["gap"] < -0.3
    (held,) = fleet.book.open.values()
    assert held.incident.bill is not None
    assert "of which nothing is said in explain_by" in held.incident.bill.words()


def test_few_people_of_a_stratum_are_not_told_apart() -> None:
    """Where a group has few people in a stratum, it and one more are told as one, and the sums stay."""
    fleet = fed(
        {
            **{("F", dept): (4, 0.5) for dept in "AB"},
            **{("M", dept): (4, 0.5) for dept in "ABC"},
            ("F", "C"): (1, 0.5),
        },
        minutes=15,
        explain_by=("dept",),
    )
    told = bill(fleet, "F")
    assert [line["stratum"] for line in told["strata"]][-1] == "others"
    assert "dept C" not in str(told)
    assert len(told["strata"]) == 2
    for part in ("composition", "behaviour"):
        assert sum(line[part] for line in told["strata"]) == pytest.approx(told[part])


def test_protected_values_explain_by_their_codes() -> None:
    """An attribute that explains another keeps its values inside."""
    fleet = fed(
        {(sex, dept): (20, 0.5) for sex in "FM" for dept in ("north", "south")},
        minutes=10,
        explain_by=("dept",),
        sensitive=("sex", "dept"),
        include_group_values=False,
    )
    entry = next(e for e in associations(fleet.groups, 0) if e["attribute"] == "sex")
    names = {line["stratum"] for line in entry["bill"]["strata"]}
    assert names == {f"dept {fleet.groups.privacy.code('dept', value)}" for value in ("north", "south")}


def test_the_page_has_it_in_tables() -> None:
    """The page says of each gap what it comes from, and of those with strata each stratum."""
    fleet = fed({(sex, dept): (20, 0.5) for sex in "FM" for dept in "AB"}, minutes=5, explain_by=("dept",))
    page = tables(associations(fleet.groups, 0))
    assert "What gaps come from" in page
    assert "impact sex F, by dept" in page
    assert "dept A" in page
    assert tables([]) == ""
