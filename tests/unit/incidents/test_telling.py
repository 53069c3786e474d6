"""Does an alarm say in words what happened, without giving away what must stay inside?"""

from __future__ import annotations

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


@pytest.mark.parametrize(("policy", "shown"), [({}, False), ({"include_group_values": True}, True)])
def test_protected_values_stay_inside(policy: dict, shown: bool) -> None:
    """The value of a protected attribute is told only where the policy lets it out."""
    incident = drifted({"sensitive": ("sex",), **policy})
    assert any(word in incident.summary + incident.description for word in ("woman", "man")) == shown


def test_policy_in_labels() -> None:
    """Team, by kind of incident, and shadow mode come from the policy; the version is that of the firing."""
    labels = drifted({"team": "risk", "owners": {"drift": "data"}, "mode": "shadow"}, version="7").labels
    assert (labels["team"], labels["mode"], labels["version"]) == ("data", "shadow", "7")
