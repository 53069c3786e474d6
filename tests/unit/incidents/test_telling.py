"""Does an alarm say in words what happened, without giving away what must stay inside?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from fleets.build import LEARNED, hourly, new_fleet


def drifted(policy: dict, **rest):
    """The first incident when the groups of the feature ``sex`` change places."""
    fleet = new_fleet({"tick": "1h", **policy})
    hourly(fleet, lambda i: {"sex": "woman" if i % 10 < 3 else "man"}, range(LEARNED), **rest)
    [first, *_] = hourly(
        fleet, lambda i: {"sex": "woman" if i % 10 < 8 else "man"}, range(LEARNED, LEARNED + 9), **rest
    )
    return first


def test_says_from_what_to_what() -> None:
    """A drift names the value whose share moved, and the shares before and now."""
    summary = drifted({}).summary
    assert summary.startswith(
        ("m: sex: share of woman went from 30 % to 8", "m: sex: share of man went from 70 % to 2")
    )


def test_a_value_that_vanished_is_named() -> None:
    """A class of 4 % that becomes the commonest is named, though the commonest lies further outside its null."""
    fleet, drawn = new_fleet({"tick": "1h"}), np.random.default_rng(14).random(30_000)
    usual: Callable[[int], str] = lambda i: "C" if drawn[i] < 0.04 else "B" if drawn[i] < 0.34 else "A"
    after: Callable[[int], str] = lambda i: "A" if usual(i) == "C" else usual(i)
    label = lambda answer: {"prediction": lambda i: {"label": answer(i)}}
    assert hourly(fleet, lambda i: {"x": 1.0}, range(180), **label(usual)) == []
    [first, *_] = hourly(fleet, lambda i: {"x": 1.0}, range(180, 480), **label(after))
    assert (first.alertname, first.output) == ("ModelPredictionDrift", "C")
    assert "predicted label: C vanished; share of A went from 6" in first.summary


@pytest.mark.parametrize(("policy", "shown"), [({}, False), ({"include_group_values": True}, True)])
def test_protected_values_stay_inside(policy: dict, shown: bool) -> None:
    """The value of a protected attribute is told only where the policy lets it out."""
    incident = drifted({"sensitive": ("sex",), **policy})
    assert any(word in incident.summary + incident.description for word in ("woman", "man")) == shown


def test_policy_in_labels() -> None:
    """Team, by kind of incident, and shadow mode come from the policy; the version is that of the firing."""
    labels = drifted({"team": "risk", "owners": {"drift": "data"}, "mode": "shadow"}, version="7").labels
    assert (labels["team"], labels["mode"], labels["version"]) == ("data", "shadow", "7")
