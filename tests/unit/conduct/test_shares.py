"""Is a burst of near-identical queries seen, and one of inputs far outside the reference; and nothing else?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fleets.build import HOUR, LEARNED, START, cells_of, hourly, new_fleet

NORMAL = np.random.default_rng(41).normal(0, 1, (4, 60_000))
UNIFORM = np.random.default_rng(42).random(60_000)
POLICY = {"tick": "1h", "keep_firing": "6h"}
BEGINS, ENDS = LEARNED + 34, LEARNED + 54


def healthy(i: int) -> dict[str, Any]:
    return {**{f"x{k}": float(NORMAL[k, i]) for k in range(4)}, "level": "low" if UNIFORM[i] < 0.5 else "high"}


def nearly(i: int) -> dict[str, Any]:
    """The same query again and again, each number moved by a part in ten thousand."""
    return {**{f"x{k}": 1.3 + 1e-4 * float(NORMAL[k, i]) for k in range(4)}, "level": "low"}


def test_burst_of_nearly_the_same() -> None:
    """A third of the traffic that asks nearly the same is told within hours, without a value in it, and resolved."""
    fleet = new_fleet(POLICY)
    assert hourly(fleet, healthy, range(BEGINS)) == []
    changed = hourly(fleet, lambda i: nearly(i) if i % 3 == 0 else healthy(i), range(BEGINS, ENDS))
    [first] = [incident for incident in changed if incident.alertname == "ModelDataQuality"][:1]
    assert first.detector == "repeated"
    assert first.fired_time <= START + (BEGINS + 8) * HOUR
    assert first.effect.value > 0.15
    assert "near-identical queries" in first.summary
    assert "1.3" not in first.summary
    done = hourly(fleet, healthy, range(ENDS, ENDS + 12))
    assert ("repeated", None) in cells_of(i for i in done if i.state == "resolved")


def test_few_features_repeat_by_themselves() -> None:
    """Inputs of a few classes come again and again: that is as usual, and no burst."""
    fleet = new_fleet(POLICY)
    few = lambda i: {"a": "xyz"[int(3 * UNIFORM[i])], "b": bool(UNIFORM[-i - 1] < 0.3)}
    assert hourly(fleet, few, range(10 * 24)) == []


def test_retries_as_ever_are_no_burst() -> None:
    """A client that asks everything twice did so in the reference."""
    fleet = new_fleet(POLICY)
    assert hourly(fleet, lambda i: healthy(i - i % 2), range(8 * 24)) == []


def test_far_outside_in_several_features() -> None:
    """Inputs outside the reference in several features at once are told as such, beside the features themselves."""
    fleet = new_fleet(POLICY)
    hourly(fleet, healthy, range(BEGINS))
    probe = lambda i: healthy(i) | {"x0": 40.0 + i, "x1": -90.0 - i}
    changed = hourly(fleet, lambda i: probe(i) if i % 8 == 0 else healthy(i), range(BEGINS, ENDS))
    cells = cells_of(i for i in changed if i.alertname == "ModelDataQuality")
    assert ("far_outside", None) in cells
    assert any("several features at once" in incident.description for incident in changed)


def test_one_feature_is_not_several() -> None:
    """One feature that leaves its range is that feature's fault alone."""
    fleet = new_fleet(POLICY)
    hourly(fleet, healthy, range(BEGINS))
    changed = hourly(fleet, lambda i: healthy(i) | {"x0": 40.0 + i}, range(BEGINS, ENDS))
    assert ("far_outside", None) not in cells_of(changed)


@pytest.mark.parametrize("name", ["repeated", "far_outside", "not_allowed"])
def test_bytes_of_a_cell(name: str) -> None:
    """What is kept of a model for one of these questions is no more than its page says: 216 bytes."""
    fleet = new_fleet(POLICY)
    assert fleet.conduct.shares[name].rows.nbytes() / 256 <= 216
    assert fleet.conduct.inputs.nbytes() / 256 == 128
