"""Is what is shown of groups right, and nothing more than may be shown?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fleets.build import START, event, feed, new_fleet

from monitor.fleet import Fleet
from monitor.groups.shown import associations, blind_spots, impact_ratios
from monitor.portrait import model_document


def fed(sizes: dict[str, int], rates: dict[str, float], minutes: int = 40, **policy: Any) -> Fleet:
    """A fleet of one model: ``sizes`` decisions a minute by group, favourable at ``rates``."""
    fleet = new_fleet({"favourable": ("y",), **policy})
    rng = np.random.default_rng(41)
    for minute in range(minutes):
        people = [group for group, n in sizes.items() for _ in range(n)]
        times = (START + 60 * minute + np.linspace(0, 59, len(people))).tolist()
        feed(
            fleet,
            [
                event(t, sensitive={"race": group}, prediction="y" if rng.random() < rates[group] else "n")
                for t, group in zip(times, people, strict=True)
            ],
        )
    return fleet


def test_rates_and_effects() -> None:
    """A document has each group's rate with an interval about it, and the ratio to the rest with one of its own."""
    fleet = fed({"A": 10, "B": 20}, {"A": 0.3, "B": 0.6}, include_group_values=True)
    document = model_document(fleet, 0, 1)
    first, second = document["associations"]
    assert (first["group"], first["state"], second["group"]) == ("A", "firing", "B")
    a, b = first["rates"]
    assert (a["n"], b["n"]) == (400, 800)
    assert a["rate"] == a["favourable"] / 400
    assert a["low"] < 0.3 < a["high"]
    assert first["effect"]["value"] == pytest.approx(a["rate"] / b["rate"])
    assert first["interval"][0] < 0.5 < first["interval"][1]
    assert first["snapshot_gap"][0] < -0.3 < first["snapshot_gap"][1] < 0
    ((_, attribute, group, ratio), _) = impact_ratios(fleet.groups)
    assert (attribute, group) == ("race", "A")
    assert ratio == first["present"]


def test_small_groups_are_not_shown() -> None:
    """A group of too few people is nowhere, and the next smallest neither, since totals are known."""
    sizes = {"A": 20, "B": 10, "C": 2}
    fleet = fed(sizes, dict.fromkeys(sizes, 0.5), minutes=9)
    codes = {value: fleet.groups.privacy.code("race", value) for value in sizes}
    shown = associations(fleet.groups, 0)
    assert [entry["group"] for entry in shown] == [codes["A"]]
    assert [rate["group"] for rate in shown[0]["rates"]] == [codes["A"]]
    assert [group for _, _, group, _ in impact_ratios(fleet.groups)] == [codes["A"]]
    [hidden] = [spot for spot in blind_spots(fleet.groups, 0, 540.0) if spot["group"] is None]
    assert hidden["why"].startswith("2 groups")
    assert not any(value in str(shown) for value in ("'B'", "'C'"))


def test_groups_that_cannot_be_seen() -> None:
    """A group of one decision a day is a blind spot, with the number of cases that it would take."""
    fleet = new_fleet({"favourable": ("y",), "include_group_values": True})
    events = [
        event(START + 3600.0 * i, sensitive={"race": "A" if i % 24 == 0 else "B"}, prediction="yn"[i % 2])
        for i in range(24 * 25)
    ]
    feed(fleet, events)
    spots = {spot["group"]: spot for spot in blind_spots(fleet.groups, 0, 25 * 86400.0)}
    # Of two groups each is the other's rest.
    assert set(spots) == {"A", "B"}
    assert spots["A"]["days"] > 30
    assert spots["A"]["cases_needed"] == pytest.approx(spots["A"]["days"], rel=0.01)


def test_codes_in_place_of_values() -> None:
    """Unless the policy lets values out, an incident and its labels know groups by their codes."""
    fleet = fed({"Purple": 10, "Green": 20}, {"Purple": 0.2, "Green": 0.8})
    [held] = fleet.book.open.values()
    assert held.incident.group == held.incident.labels["group"] == fleet.groups.privacy.code("race", "Purple")
    assert "Purple" not in str(held.incident)
    assert "Purple" not in str(model_document(fleet, 0, 1)["associations"])
    assert held.incident.people_affected is not None
    assert held.incident.people_affected > 0


def test_strata_are_told() -> None:
    """Of a comparison within strata the words say within what."""
    fleet = new_fleet({"favourable": ("y",), "explain_by": ("dept",), "include_group_values": True})
    rng = np.random.default_rng(43)
    for minute in range(60):
        said = []
        for i in range(40):
            group, dept = "AB"[i % 2], "XY"[i // 2 % 2]
            favoured = rng.random() < (0.2 if group == "A" else 0.7)
            said.append(
                event(
                    START + 60 * minute + i,
                    sensitive={"race": group},
                    features={"dept": dept},
                    prediction="y" if favoured else "n",
                )
            )
        feed(fleet, said)
    [held] = fleet.book.open.values()
    assert "within dept" in held.incident.description
    [entry] = [it for it in associations(fleet.groups, 0) if it["group"] == "A"]
    assert entry["interval"][0] < entry["effect"]["value"] < entry["interval"][1] < 0.8
