"""Are the features that tell groups apart named, the surest first, and nothing said of groups that must stay hidden?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fleets.build import DAY, HOUR, START, event, feed, new_fleet
from fleets.decisions import Town, came, decision

from monitor.fleet import Fleet
from monitor.leaning import features_by_group
from monitor.portrait import model_document
from monitor.stats.distances import total_variation
from monitor.web.gaps import features


def fed(minutes: int = 15, groups: str = "AAABBBBB", **policy: Any) -> Fleet:
    """A model with ``zip``, which goes with the group, ``x``, which does so a little, and ``y``, which does not."""
    fleet = new_fleet({"favourable": ("y",), "include_group_values": True, **policy})
    rng = np.random.default_rng(31)
    for minute in range(minutes):
        feed(
            fleet,
            [
                event(
                    START + 60.0 * minute + i / 10.0,
                    {
                        "y": float(rng.normal()),
                        "x": float(rng.normal() + 0.6 * (group == "A")),
                        "zip": "NS"[int(rng.random() < (0.9 if group == "A" else 0.1))],
                    },
                    sensitive={"race": group},
                    prediction="yn"[int(rng.random() < 0.5)],
                )
                for i, group in enumerate(groups * 10)
            ],
        )
    return fleet


def test_proxies_are_ranked() -> None:
    """What goes with a group comes first, with its distance, what it would take, and whether it admits a disparity."""
    lines = model_document(fed(), 0, 1)["group_features"]
    assert [line["feature"] for line in lines] == ["zip", "x", "y"]
    first, second, last = lines
    assert (first["attribute"], first["distance"]["name"]) == ("race", "total_variation")
    assert first["distance"]["value"] == pytest.approx(0.8, abs=0.06)
    assert 0.6 < first["distance"]["low"] < first["distance"]["value"]
    assert (
        first["certificate"]["needed"]
        == pytest.approx(first["favourable_rate"] / 4.0)
        == pytest.approx(0.125, abs=0.02)
    )
    assert first["certificate"]["admits_disparate_impact"]
    assert 0.0 < second["distance"]["value"] < first["distance"]["value"]
    assert last["distance"]["low"] == 0.0
    assert not last["certificate"]["admits_disparate_impact"]
    page = features(lines)
    assert page.index("zip") < page.index("yes, from") < page.index("not shown, from")


def test_no_decisions_no_certificate() -> None:
    """Of a model without favourable decisions the distances are told alone."""
    lines = model_document(fed(favourable=()), 0, 1)["group_features"]
    assert lines[0]["feature"] == "zip"
    assert lines[0]["certificate"] is lines[0]["favourable_rate"] is None


def test_hidden_groups_are_not_told() -> None:
    """Of few people nothing is said, and nothing of those from whom they would follow; the attribute is no proxy."""
    fleet = fed(minutes=1, groups="AB", sensitive=("race", "zip"))
    assert model_document(fleet, 0, 1)["group_features"] == []
    whole = fed(sensitive=("race", "zip"))
    assert {line["feature"] for line in model_document(whole, 0, 1)["group_features"]} == {"x", "y"}


def test_a_number_without_bands_has_no_groups_yet() -> None:
    """Where an attribute is a number of which too few were seen to choose bands, the other attributes are told."""
    fleet = fed(minutes=1, sensitive=("race", "y"))
    assert fleet.groups.register.groups_of(fleet.groups.register.attribute_names.index("y")) == []
    assert {line["attribute"] for line in model_document(fleet, 0, 1)["group_features"]} <= {"race"}


def test_what_is_old_counts_for_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the most events of a group all counts are halved as a tick closes."""
    monkeypatch.setattr(features_by_group, "EVENTS_MAX", 100)
    fleet = fed(minutes=10)
    n, counts = fleet.features_by_group.counts([0, 1])
    assert (n <= 150).all()
    assert (counts.sum(axis=-1).max(axis=-1) <= n + 8).all()


def test_attributes_in_records_of_their_own() -> None:
    """Who is who may be told later: then features are counted when the case has matured, once."""

    def person(rng: np.random.Generator, group: str) -> dict[str, Any]:
        zip_code = "NS"[int(rng.random() < (0.9 if group == "A" else 0.1))]
        return {
            "event": decision(bool(rng.random() < 0.5), features={"zip": zip_code}),
            "outcome": came(bool(rng.random() < 0.5)),
            "sensitive_after": 2,
        }

    town = Town()
    town.live(60, person)
    told = model_document(town.fleet, 0, 1)["group_features"]
    assert [line["feature"] for line in told] == ["zip"]
    assert 0 < told[0]["n"] <= 20 * (60 - DAY / HOUR)
    assert told[0]["distance"]["value"] == pytest.approx(0.8, abs=0.1)


def test_the_lower_bound_is_one() -> None:
    """Of 2,000 pairs of samples the true distance lies below the bound in less than one in twenty; alike ones are 0."""
    rng = np.random.default_rng(32)
    p, q = np.full(9, 1 / 9), np.array([0.2, *[0.1] * 8])
    near = rng.multinomial(200, p, 2000), rng.multinomial(900, q, 2000)
    value, low = total_variation(*near)
    truth = 0.5 * np.abs(p - q).sum()
    assert (low > truth).mean() < 0.05
    # What chance adds is less where bins differ: the figure is cautious, and right with many events.
    assert value.mean() < truth
    many = total_variation(rng.multinomial(10_000, p, 200), rng.multinomial(10_000, q, 200))[0]
    assert many.mean() == pytest.approx(truth, abs=0.02)
    alike = total_variation(rng.multinomial(200, p, 2000), rng.multinomial(900, p, 2000))
    assert (alike[1] > 0.0).mean() < 0.05
    assert alike[0].mean() < 0.02
    apart = total_variation([[100, 0]], [[0, 100]])
    assert (float(apart[0][0]), float(apart[1][0]) > 0.8) == (1.0, True)
