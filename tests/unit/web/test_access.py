"""Tokens, scopes and teams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from monitor.errors import WebError
from monitor.web.access import Tokens

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILE = """
# token scopes team
reader-token
writer-token write
all-token status,write
risk-token status risk
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "tokens"
    made.write_text(FILE)
    return made


def test_probes_need_no_token_and_everything_else_does(serve: Callable[..., Any], path: Path) -> None:
    """With a token file, only probes are answered to those who bring none."""
    get = serve(token_file=str(path))
    for probe in ("/livez", "/readyz", "/healthz", "/-/healthy", "/-/ready"):
        assert get(probe).status == 200
    for address in ("/metrics", "/metrics/models", "/api/v1/status", "/api/v1/models", "/", "/openapi.json"):
        refused = get(address)
        assert (refused.status, refused.json["error"]["code"]) == (401, "unauthorized")
        assert refused.headers["www-authenticate"].startswith("Basic" if address == "/" else "Bearer")
        assert get(address, Authorization="Bearer reader-token").status == 200


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("Bearer reader-token", 200),
        ("bearer  reader-token ", 200),
        ("Bearer all-token", 200),
        ("Bearer writer-token", 403),
        ("Bearer reader-toke", 401),
        ("Bearer ", 401),
        ("Basic reader-token", 401),
        ("reader-token", 401),
        ("Bearer \xff", 401),
    ],
)
def test_a_token_must_be_known_and_hold_the_scope(
    serve: Callable[..., Any], path: Path, authorization: str, status: int
) -> None:
    """An unknown token is 401, a known one without the scope 403; a bare token reads."""
    assert serve(token_file=str(path))("/api/v1/status", Authorization=authorization).status == status


def test_a_team_sees_its_own(serve: Callable[..., Any], path: Path, desk: Any) -> None:
    """A token of a team reads the models and incidents of that team alone, on every address."""
    get = serve(token_file=str(path))
    fleet = desk.published.fleet
    ours = {name for name, team in zip(fleet.names, fleet.teams, strict=True) if team == "risk"}
    token = {"Authorization": "Bearer risk-token"}
    assert {row["model"] for row in get("/api/v1/models", **token).json["items"]} == ours
    incidents = get("/api/v1/incidents", **token).json["items"]
    assert incidents
    assert {row["model"] for row in incidents} <= ours
    hidden = next(incident for incident in desk.published.incidents if incident.model not in ours)
    assert get(f"/api/v1/incidents/{hidden.id}", **token).status == 404
    assert get(f"/incidents/{hidden.id}", **token).status == 404
    assert get("/api/v1/models/%20spaced%20", **token).status == 404
    assert get("/models/%20spaced%20", **token).status == 404
    assert b"spaced" not in get("/metrics/models", **token).body
    assert b"spaced" not in get("/", **token).body


def test_a_changed_file_is_read_again(path: Path) -> None:
    """A token may be withdrawn while the daemon runs, and a broken file leaves the last good one in force."""
    tokens = Tokens(path)
    assert tokens.reader("reader-token")
    path.write_text("other-token\n")
    assert tokens.reader("reader-token") is None
    assert tokens.reader("other-token")
    path.write_text("x nonsense\n")
    assert tokens.reader("other-token")
    path.unlink()
    assert tokens.reader("other-token")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "holds no token"),
        (b"# nothing\n\n", "holds no token"),
        (b"secret-words wrong\n", ":1: scopes are fairness, status, write"),
        (b"a\nsecret-words status team more\n", ":2: more than token, scopes and team"),
        (b"\xff\xfe", "is not UTF-8"),
    ],
)
def test_a_useless_file_stops_the_start_and_shows_no_token(path: Path, content: bytes, problem: str) -> None:
    """The error names file and line, never the token."""
    path.write_bytes(content)
    with pytest.raises(WebError, match=problem) as raised:
        Tokens(path)
    assert "secret-words" not in str(raised.value)
    assert str(path) in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """So is one that is not there."""
    with pytest.raises(WebError, match=r"tokens: No such file"):
        Tokens(tmp_path / "tokens")
