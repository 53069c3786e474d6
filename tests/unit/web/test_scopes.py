"""Is nothing of groups of people seen without the scope `fairness`, wherever it stands?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fakes.desk import FakeDesk, made_incident

if TYPE_CHECKING:
    from collections.abc import Callable

MODEL = "a/b/c"
UNFAIR = made_incident(
    1, MODEL, id="i-unfair", kind="fairness", alertname="ModelDisparateImpact", attribute="sex", state="firing"
)
DRIFT = made_incident(2, MODEL, id="i-drift", related=("i-unfair",), state="firing")


@pytest.fixture
def asking(serve: Callable[..., Any], desk: FakeDesk, tmp_path: Path) -> Callable[..., Any]:
    desk.published = replace(desk.status(), incidents=[UNFAIR, DRIFT])
    tokens = tmp_path / "tokens"
    tokens.write_text("r status\nf status,fairness\ng fairness\n")
    client = serve(token_file=str(tokens))

    def ask(path: str, token: str) -> Any:
        return client(path, Authorization=f"Bearer {token}")

    return ask


def test_incidents_about_groups(asking: Any) -> None:
    """They are in no list, no count, no page and not found, and are all of that for who has the scope."""
    items = "/api/v1/incidents"
    assert {item["id"] for item in asking(items, "f").json["items"]} == {"i-unfair", "i-drift"}
    assert [item["id"] for item in asking(items, "r").json["items"]] == ["i-drift"]
    for path in ("/api/v1/incidents/i-unfair", "/incidents/i-unfair"):
        assert [asking(path, token).status for token in "fr"] == [200, 404]
    assert [asking("/api/v1/status", token).json["incidents"]["firing"] for token in "fr"] == [2, 1]
    for path in ("/", "/models/a%2Fb%2Fc"):
        seen = {token: b"ModelDisparateImpact" in asking(path, token).body for token in "fr"}
        assert seen == {"f": True, "r": False}
    assert [asking("/api/v1/precision", token).json["items"][0]["told"] for token in "fr"] == [2, 1]
    beside = {token: b"ModelDisparateImpact" in asking("/incidents/i-drift", token).body for token in "fr"}
    assert beside == {"f": True, "r": False}


def test_what_a_model_shows_of_groups(asking: Any, desk: FakeDesk) -> None:
    """Associations and blind spots of groups are left out, and the document says that there is more."""
    of_group = {"detector": "impact", "attribute": "sex", "group": "g-1", "why": "few"}
    of_feature = {"feature": "x", "detector": "drift", "why": "few"}
    known = {"model": MODEL, "associations": [of_group], "blind_spots": [of_group, of_feature]}
    desk.model_detail = lambda _model: known  # type: ignore[method-assign]
    path = "/api/v1/models/a%2Fb%2Fc"
    assert asking(path, "f").json == known
    seen = asking(path, "r").json
    assert (seen["associations"], seen["blind_spots"]) == ([], [of_feature])
    assert "fairness" in seen["withheld"]


def test_series_of_groups(asking: Any) -> None:
    """Ratios of groups, and drills of them, are no series without the scope."""
    whole, part = (asking("/metrics/models", token).body.decode() for token in "fr")
    for series in ("modelwatch_model_impact_ratio{", 'fault="group_0.75"'):
        assert series in whole
        assert series not in part
    assert 'fault="shift_0.5"' in part


def test_codes_need_the_scope(asking: Any) -> None:
    """What is behind a code is told to the scope `fairness` alone."""
    path = "/api/v1/models/a%2Fb%2Fc/groups"
    assert asking(path, "r").status == 403
    [attribute] = asking(path, "g").json["attributes"]
    assert attribute["groups"] == [{"group": "g-0badcafe", "value": "F", "n": 40}]
    assert asking("/api/v1/models/none/groups", "g").status == 404
