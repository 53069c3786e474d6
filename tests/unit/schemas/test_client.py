"""Is a registry asked as its documented API says, with its credentials, and is every answer understood?"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest
from servers.registry import RegistryStub

from monitor.schemas.client import Client, Written
from monitor.schemas.faults import RegistryAwayError, UnknownSchemaError, UnreadableSchemaError
from monitor.schemas.settings import SchemaRegistrySettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def _running() -> Iterator[RegistryStub]:
    with RegistryStub() as stub:
        yield stub


@pytest.fixture
def stub(_running: RegistryStub) -> RegistryStub:
    _running.answers.clear()
    _running.requests.clear()
    return _running


def asked(stub: RegistryStub, **settings: object) -> Client:
    return Client(SchemaRegistrySettings(urls=(stub.url,), timeout="2s", **settings))  # type: ignore[arg-type]


def test_avro_is_what_has_no_type(stub: RegistryStub) -> None:
    """A schema without a type is Avro."""
    stub.answers["/schemas/ids/1"] = (200, {"schema": '"string"'})
    assert asked(stub).schema(1) == Written("AVRO", '"string"')


def test_references_are_followed_in_order(stub: RegistryStub) -> None:
    """What a schema refers to is fetched by subject and version, each behind what it needs itself."""

    def refers(name: str, subject: str) -> dict[str, object]:
        return {"name": name, "subject": subject, "version": 2}

    stub.answers["/schemas/ids/1"] = (
        200,
        {"schema": "top", "schemaType": "PROTOBUF", "references": [refers("a.proto", "a/b"), refers("c.proto", "c")]},
    )
    stub.answers["/subjects/a%2Fb/versions/2"] = (200, {"schema": "A", "references": [refers("c.proto", "c")]})
    stub.answers["/subjects/c/versions/2"] = (200, {"schema": "C"})
    written = asked(stub).schema(1)
    assert (written.kind, written.text) == ("PROTOBUF", "top")
    assert list(written.imports.items()) == [("c.proto", "C"), ("a.proto", "A")]


@pytest.mark.parametrize(
    ("status", "answer", "error"),
    [
        (404, {"error_code": 40403, "message": "Schema not found"}, UnknownSchemaError),
        (404, {"error_code": 404, "message": "HTTP 404 Not Found"}, RegistryAwayError),
        (404, "<html>", RegistryAwayError),
        (401, {"error_code": 401}, RegistryAwayError),
        (500, {"error_code": 50001}, RegistryAwayError),
        (200, "[]", RegistryAwayError),
        (200, "{", RegistryAwayError),
        (200, {"schemaType": "AVRO"}, UnreadableSchemaError),
        (200, {"schema": "s", "references": [{"name": "a"}]}, UnreadableSchemaError),
        (200, {"schema": "s", "references": [{"name": "a", "subject": "gone", "version": 1}]}, UnreadableSchemaError),
        (200, {"schema": "s", "references": [{"name": "a", "subject": "self", "version": 1}]}, UnreadableSchemaError),
    ],
    ids=str,
)
def test_every_other_answer(stub: RegistryStub, status: int, answer: object, error: type[Exception]) -> None:
    """Only the registry's own word that there is no such schema is one; a wrong address or a refusal is no answer."""
    stub.answers["/schemas/ids/1"] = (status, answer)
    stub.answers["/subjects/self/versions/1"] = (
        200,
        {"schema": "s", "references": [{"name": "a", "subject": "self", "version": 1}]},
    )
    with pytest.raises(error):
        asked(stub).schema(1)


def test_the_next_address_is_asked_where_one_is_away(stub: RegistryStub) -> None:
    """The addresses of one registry are asked in turn."""
    stub.answers["/schemas/ids/1"] = (200, {"schema": "s"})
    urls = ("http://127.0.0.1:1", stub.url)
    assert Client(SchemaRegistrySettings(urls=urls)).schema(1).text == "s"
    with pytest.raises(RegistryAwayError, match=r"127\.0\.0\.1:1: "):
        Client(SchemaRegistrySettings(urls=urls[:1])).schema(1)


def test_credentials(stub: RegistryStub, tmp_path: Path) -> None:
    """A user and password, or a token, from files that are read anew for each question."""
    stub.answers["/schemas/ids/1"] = (200, {"schema": "s"})
    secret = tmp_path / "secret"
    secret.write_text("pw\n")
    user, token = asked(stub, username="u", password_file=str(secret)), asked(stub, bearer_token_file=str(secret))
    user.schema(1)
    secret.write_text("t2")
    token.schema(1)
    words = [headers["Authorization"] for _, headers in stub.requests]
    assert words == [f"Basic {base64.b64encode(b'u:pw').decode()}", "Bearer t2"]
    secret.unlink()
    with pytest.raises(RegistryAwayError):
        token.schema(1)


def test_an_answer_without_end_is_none(stub: RegistryStub, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer larger than any schema is not read to its end."""
    monkeypatch.setattr("monitor.schemas.client.ANSWER_BYTES_MAX", 10)
    stub.answers["/schemas/ids/1"] = (200, json.dumps({"schema": "s" * 100}))
    with pytest.raises(RegistryAwayError, match="not the registry's"):
        asked(stub).schema(1)
