"""Are the rates that a document shows those that fairlearn computes from the same rows?"""

from __future__ import annotations

from typing import Any

import fairlearn.metrics as fl
import numpy as np
import pytest
from fleets.build import DAY, START, decoded, event, new_fleet

from monitor.groups.shown import associations

N = 600


def people(seed: int) -> tuple[list[str], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Groups, what people merit and what they get: unequal in all that can be unequal."""
    rng = np.random.default_rng(seed)
    group = rng.choice(["A", "B", "C"], N, p=[0.5, 0.3, 0.2])
    merit = rng.random(N) < np.select([group == "A", group == "B"], [0.6, 0.5], 0.4)
    chance = np.where(merit, 0.8, 0.3) - np.select([group == "A", group == "B"], [0.0, 0.1], 0.25)
    return group.tolist(), merit.astype(int), (rng.random(N) < chance).astype(int)


def shown(group: list[str], merit: Any, got: Any) -> dict[str, Any]:
    """The associations of a model that decided so, by detector: rates by group, and effects of the rest's."""
    fleet = new_fleet({"favourable": ("1",), "outcome_horizon": "1h", "include_group_values": True})
    said = [
        event(START + i, id=f"c{i}", sensitive={"g": group[i]}, prediction=str(int(got[i]))) for i in range(len(group))
    ]
    told = [event(START + i + 600, id=f"c{i}", outcome=str(int(merit[i]))) for i in range(len(group))]
    for batch in (decoded(said), decoded(told)):
        ends = fleet.tick_ends(batch)
        fleet.absorb(batch, np.zeros(len(batch), bool))
        fleet.join(batch, fleet.case_dues(batch, ends), np.full(len(batch), START))
    fleet.close(START + DAY)
    found: dict[str, Any] = {}
    for entry in associations(fleet.groups, 0):
        kept = found.setdefault(entry["detector"], {"rates": {}, "effects": {}})
        kept["rates"] |= {rate["group"]: rate["rate"] for rate in entry["rates"]}
        kept["effects"][entry["group"]] = entry["effect"]["value"]
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_rates_are_fairlearns(seed: int) -> None:
    """Selection rate, true and false positive rate and error of each group, to the last digit."""
    group, merit, got = people(seed)
    metrics = {
        "impact": fl.selection_rate,
        "opportunity": fl.true_positive_rate,
        "false_favourable": fl.false_positive_rate,
        "loss": lambda y, p: float(np.mean(y != p)),
    }
    frame = fl.MetricFrame(metrics=metrics, y_true=merit, y_pred=got, sensitive_features=group)
    found = shown(group, merit, got)
    for detector in metrics:
        expected = frame.by_group[detector].to_dict()
        assert found[detector]["rates"] == pytest.approx(expected, abs=1e-12)


def test_differences_are_fairlearns() -> None:
    """With two groups, group against the rest is the difference or ratio between them."""
    group, merit, got = people(3)
    two = np.flatnonzero(np.array(group) != "C")
    group, merit, got = [group[i] for i in two], merit[two], got[two]
    found = shown(group, merit, got)
    given = {"y_true": merit, "y_pred": got, "sensitive_features": group}
    assert min(found["impact"]["effects"].values()) == pytest.approx(fl.demographic_parity_ratio(**given))
    assert max(found["opportunity"]["effects"].values()) == pytest.approx(fl.equal_opportunity_difference(**given))
    odds = max(max(found[name]["effects"].values()) for name in ("opportunity", "false_favourable"))
    assert odds == pytest.approx(fl.equalized_odds_difference(**given))
