"""Writing from a page: by a token in the form, and by nothing that a browser sends by itself."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from fakes.desk import NOW, FakeDesk, made_incident, made_status

from monitor.clock import rfc3339
from monitor.incidents.order import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ACK = "/api/v1/incidents/i-0001/ack"
FORM = "application/x-www-form-urlencoded"


def basic(token: str) -> str:
    return f"Basic {base64.b64encode(f'ada:{token}'.encode()).decode()}"


@pytest.fixture
def client(serve: Callable[..., Any], tmp_path: Path, desk: FakeDesk) -> Any:
    tokens = tmp_path / "tokens"
    tokens.write_text("w write\nr status\nboth status,write\nt write no-such-team\n")
    desk.outcome = Outcome((made_incident(1, "m"),))
    return serve(token_file=str(tokens))


def send(client: Any, path: str, fields: dict[str, str], **headers: str) -> Any:
    return client(path, "POST", urlencode(fields).encode(), Content_Type=FORM, Accept="text/html", **headers)


def test_a_form_with_a_token_writes(client: Any, desk: FakeDesk) -> None:
    """What the form says reaches the loop, and the browser is sent back to the incident's page."""
    answer = send(client, ACK, {"token": "w", "by": "ada", "reason": "fixed", "for": "4h", "note": ""})
    assert (answer.status, answer.headers["location"]) == (303, "/incidents/i-0001")
    [order] = desk.orders
    assert (order.verb, order.by, order.reason, order.note) == ("ack", "ada", "fixed", "")


def test_no_other_authority_writes(client: Any, desk: FakeDesk) -> None:
    """A header that a browser or a proxy adds does not stand in for the token in the form."""
    fields = {"by": "ada", "reason": "fixed"}
    for header in ("Bearer w", basic("both")):
        answer = send(client, ACK, fields, Authorization=header)
        assert answer.status == 401
        assert b"Back to the incident" in answer.body
        assert "www-authenticate" not in answer.headers
    assert client(ACK, "POST", b'{"by":"ada"}', Authorization=basic("both")).status == 401
    assert send(client, ACK, {**fields, "token": "r"}).status == 403
    assert desk.orders == []


def test_json_that_is_called_a_form_is_json(client: Any, desk: FakeDesk) -> None:
    """What curl and others send without a word on its kind is read as the JSON that it is."""
    answer = client(ACK, "POST", b' {"by":"ada"}', Content_Type=FORM, Authorization="Bearer w")
    assert answer.status == 200
    assert [order.by for order in desk.orders] == ["ada"]


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Sec_Fetch_Site": "cross-site"}])
def test_forms_of_other_pages_are_refused(client: Any, desk: FakeDesk, headers: dict[str, str]) -> None:
    """Where the browser says that the form stood elsewhere it is refused even with a token."""
    assert send(client, ACK, {"token": "w", "by": "ada"}, **headers).status == 403
    assert desk.orders == []
    same = {"Origin": f"http://127.0.0.1:{client.server.port}", "Sec_Fetch_Site": "same-origin"}
    assert send(client, ACK, {"token": "w", "by": "ada"}, **same).status == 303


def test_what_is_wrong_is_told_on_a_page(client: Any, desk: FakeDesk) -> None:
    """A field that cannot be meant comes back as words with the way back; models take no forms."""
    answer = send(client, ACK, {"token": "w", "by": "ada", "reason": "boring"})
    assert (answer.status, answer.headers["content-type"]) == (400, "text/html; charset=utf-8")
    assert b"reason is one of" in answer.body
    plain = client(ACK, "POST", urlencode({"token": "w", "by": "ada", "reason": "boring"}).encode(), Content_Type=FORM)
    assert plain.json["error"]["code"] == "bad_body"
    doubled = client(ACK, "POST", b"by=a&by=b&token=w", Content_Type=FORM)
    assert doubled.status == 400
    assert send(client, "/api/v1/models/m/retire", {"token": "w", "by": "ada"}).status == 415
    assert desk.orders == []


EXCLUDE = "/api/v1/models/m/exclude"
STRETCH = {"from": "2026-02-01T00:00:00Z", "until": "2026-02-02T00:00:00Z", "by": "ada", "note": "a test"}


def test_a_stretch_is_excluded_from_an_incidents_page(client: Any, desk: FakeDesk) -> None:
    """The form of an incident excludes a stretch of its model with a token of scope write, and comes back to it."""
    desk.change(fleet=made_status(["m"]).fleet)
    answer = send(client, EXCLUDE, {**STRETCH, "token": "w", "incident": "i-0001"})
    assert (answer.status, answer.headers["location"]) == (303, "/incidents/i-0001")
    [order] = desk.orders
    assert (order.verb, order.subject, order.by, order.note) == ("exclude", "m", "ada", "a test")
    assert order.until - order.from_ == 86400.0
    answer = send(client, EXCLUDE, {**STRETCH, "token": "w"})
    assert (answer.status, answer.headers["location"]) == (303, "/models/m")
    for changed, status in (({"token": "r"}, 403), ({"token": ""}, 401), ({"until": "2026-01-01T00:00:00Z"}, 400)):
        answer = send(
            client, EXCLUDE, {**STRETCH, "token": "w", "incident": "i-0001", **changed}, Authorization="Bearer w"
        )
        assert answer.status == status
        assert b'href="/incidents/i-0001"' in answer.body
    assert send(client, EXCLUDE, {**STRETCH, "token": "w"}, Origin="https://evil.example").status == 403
    assert send(client, EXCLUDE, {**STRETCH, "token": "t"}).status == 404
    assert len(desk.orders) == 2


def test_the_stretch_of_the_form_is_that_of_the_incident(client: Any, desk: FakeDesk) -> None:
    """It is filled in from when it began at the earliest until it was over, or until now; a shared cause has none."""
    began, over = NOW - 7200, NOW - 0.5
    known = {"onset_interval": (began, NOW - 10), "resolved_time": over, "state": "resolved"}
    shared = made_incident(3, "", models=("m", "n"), alertname="FleetSharedCause")
    desk.change(incidents=[made_incident(1, "m", **known), made_incident(2, "a/b", onset_time=began), shared])
    texts = [client(f"/incidents/i-000{i}", Authorization=basic("r")).body.decode() for i in (1, 2, 3)]
    for name, moment in (("from", began), ("until", over)):
        assert f'name="{name}" size="24" required value="{rfc3339(moment)}"' in texts[0]
    assert 'action="/api/v1/models/a%2Fb/exclude"' in texts[1]
    assert f'name="from" size="24" required value="{rfc3339(began)}"' in texts[1]
    assert "/exclude" not in texts[2]


def test_what_a_resolved_incident_was_is_said_on_its_page(client: Any, desk: FakeDesk) -> None:
    """Its page asks what it was, for no time; what was said can be taken back, and of a merged one nothing is asked."""
    over = {"state": "resolved", "resolved_time": NOW - 1}
    said = made_incident(2, "m", verdict="false", **over)
    desk.change(incidents=[made_incident(1, "m", **over), said, made_incident(3, "m", merged_into="i-9", **over)])
    texts = [client(f"/incidents/i-000{i}", Authorization=basic("r")).body.decode() for i in (1, 2, 3)]
    assert ["/ack" in text for text in texts] == [True, True, False]
    assert ["/unack" in text for text in texts] == [False, True, False]
    assert 'name="for"' not in texts[0]
    assert "Somebody said of it:" in texts[1]


def test_what_is_not_there_is_told_on_a_page(get: Any) -> None:
    """Who asks for a page is told of an error on one; everybody else gets the document."""
    page = get("/incidents/none", Accept="text/html,*/*")
    assert (page.status, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert get("/incidents/none").json["error"]["code"] == "not_found"


def test_browsers_read_with_a_password(client: Any) -> None:
    """Pages ask for a token as a password, whatever the name; the API goes on asking for a bearer's."""
    assert client("/").headers["www-authenticate"] == 'Basic realm="modelwatch"'
    assert client("/api/v1/status").headers["www-authenticate"] == 'Bearer realm="modelwatch"'
    assert client("/", Authorization=basic("r")).status == 200
    assert client("/", Authorization=basic("x")).status == 401
    assert client("/", Authorization="Basic ???").status == 401


def test_the_page_has_the_forms(client: Any, get: Any) -> None:
    """An incident's page offers them where there are tokens, and says how else where there are none."""
    text = client("/incidents/i-0001", Authorization=basic("r")).body.decode()
    assert 'action="/api/v1/incidents/i-0001/note"' in text
    assert 'type="password"' in text
    assert "http.token_file" in get("/incidents/i-0001").body.decode()
