"""May only those write who may, and does an order say who, what, why and until when?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from fakes.desk import NOW, FakeDesk, made_incident

from monitor.incidents.document import incident_document
from monitor.incidents.order import Order, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

ACK = "/api/v1/incidents/i-0001/ack"


@pytest.fixture
def post(serve: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    tokens = tmp_path / "tokens"
    tokens.write_text("w write\nr status\nboth status,write\nteam write risk\n")
    client = serve(token_file=str(tokens))

    def send(path: str, body: Any, token: str = "w") -> Any:
        return client(path, "POST", json.dumps(body).encode(), Authorization=f"Bearer {token}")

    return send


def test_an_order_says_who_and_until(post: Any, desk: FakeDesk) -> None:
    """What was asked for reaches the loop whole, and the answer is the incident as it is then."""
    changed = made_incident(1, "m")
    desk.outcome = Outcome((changed,))
    answer = post(ACK, {"by": "ada", "reason": "false", "note": "known", "for": "2d"})
    assert (answer.status, answer.json) == (200, incident_document(changed))
    [order] = desk.orders
    assert order == Order("ack", "i-0001", "ada", NOW, "false", "known", NOW + 2 * 86400.0, order.token)
    assert len(order.token) == 8
    assert order.token != "w"
    assert post(ACK, {"by": "ada", "until": "2027-01-01T00:00:00Z"}).status == 200
    assert desk.orders[-1].until == 1_798_761_600.0


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"by": ""},
        {"by": "x" * 201},
        {"by": "ada", "reason": "boring"},
        {"by": "ada", "reason": "silenced"},
        {"by": "ada", "for": "2d", "until": "2027-01-01T00:00:00Z"},
        {"by": "ada", "until": "2001-01-01T00:00:00Z"},
        {"by": "ada", "for": "soon"},
        {"by": "ada", "note": "x" * 2001},
        {"by": "ada", "colour": "red"},
        [],
        "ada",
    ],
)
def test_what_cannot_be_meant_is_refused(post: Any, desk: FakeDesk, body: Any) -> None:
    """A body with anything odd in it is 400 and reaches nobody."""
    assert post(ACK, body).status == 400
    assert desk.orders == []


@pytest.mark.parametrize(
    "stretch",
    [
        {},
        {"from": "2026-01-01T00:00:00Z"},
        {"until": "2026-01-01T00:00:00Z"},
        {"from": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"},
        {"from": "yesterday", "until": "2026-01-01T00:00:00Z"},
        {"from": "2026-01-01T00:00:00Z", "until": "2036-01-01T00:00:00Z"},
    ],
)
def test_a_stretch_that_is_none_is_refused(post: Any, desk: FakeDesk, stretch: dict[str, str]) -> None:
    """What is excluded begins before it ends, and has ended; no other order takes a beginning."""
    assert post("/api/v1/models/m/exclude", {"by": "ada", **stretch}).status == 400
    assert post(ACK, {"by": "ada", "from": "2026-01-01T00:00:00Z"}).status == 400
    assert desk.orders == []


def test_a_stretch_is_excluded(post: Any, desk: FakeDesk) -> None:
    """The order says from when until when, and by whom."""
    said = {"by": "ada", "from": "2025-12-01T00:00:00Z", "until": "2025-12-02T00:00:00Z", "note": "campaign"}
    desk.outcome = Outcome(())
    assert post("/api/v1/models/m/exclude", said).json == {"model": "m", "resolved": [], "firing": []}
    [order] = desk.orders
    assert (order.verb, order.from_, order.until, order.note) == (
        "exclude",
        1_764_547_200.0,
        1_764_633_600.0,
        "campaign",
    )


def test_only_tokens_that_write_write(post: Any, get: Any, desk: FakeDesk) -> None:
    """Without the scope it is 403, and without a token file nobody writes."""
    assert post(ACK, {"by": "ada"}, token="r").status == 403
    assert post(ACK, {"by": "ada"}, token="x").status == 401
    assert get(ACK, "POST", b'{"by":"ada"}').status == 403
    assert get(ACK).status == 404, "it is no address to read"
    assert desk.orders == []


def test_a_team_writes_to_its_own(post: Any, desk: FakeDesk) -> None:
    """A token of a team knows no incident and no model of another."""
    names = desk.published.fleet.names
    own, other = names[1], names[0]
    desk.change(incidents=[made_incident(1, own), made_incident(2, other)])
    desk.outcome = Outcome((made_incident(1, own),))
    assert post(ACK, {"by": "ada"}, token="team").status == 200
    assert post("/api/v1/incidents/i-0002/note", {"by": "ada", "note": "x"}, token="team").status == 404
    assert post("/api/v1/models/absent/retire", {"by": "ada"}, token="team").status == 404


def test_models_with_any_name(post: Any, desk: FakeDesk) -> None:
    """The verb stands behind the name, whatever is in it; reading a model called like a verb is no order."""
    over = msgspec.structs.replace(made_incident(3, "m"), state="resolved")
    desk.outcome = Outcome((over, made_incident(4, "m")))
    answer = post("/api/v1/models/a%2Fb%2Fc/accept", {"by": "ada"})
    assert answer.json == {"model": "a/b/c", "resolved": ["i-0003"], "firing": ["i-0004"]}
    assert desk.orders[0].subject == "a/b/c"


@pytest.mark.parametrize(
    ("outcome", "status"), [(Outcome(found=False), 404), (Outcome(refused="the incident is resolved"), 409)]
)
def test_what_cannot_be_done(post: Any, desk: FakeDesk, outcome: Outcome, status: int) -> None:
    """What is gone is 404, what cannot be done as things stand 409, and a busy loop 503."""
    desk.outcome = outcome
    assert post(ACK, {"by": "ada"}).status == status
    desk.busy = True
    assert post(ACK, {"by": "ada"}).status == 503


def test_a_large_body_is_refused(post: Any, desk: FakeDesk) -> None:
    """More than 64 KiB is 413."""
    assert post(ACK, {"by": "ada", "note": "x" * 70_000}).status == 413
    assert desk.orders == []
