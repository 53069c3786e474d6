"""The HTTP conversation with one Alertmanager, over a real socket."""

from __future__ import annotations

import base64
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from monitor.errors import NotifyError
from monitor.notify.alertmanager import Alertmanager, Reply, endpoint
from monitor.notify.settings import AlertmanagerSettings

if TYPE_CHECKING:
    from pathlib import Path

    from unit.notify.stage import LocalServer

Reach = Callable[..., Alertmanager]


@pytest.fixture
def reach() -> Iterator[Reach]:
    made: list[Alertmanager] = []

    def make(url: str, **keys: Any) -> Alertmanager:
        made.append(Alertmanager(url, AlertmanagerSettings(urls=(url,), **keys)))
        return made[-1]

    yield make
    for manager in made:
        manager.close()


def test_one_connection_for_many_posts(server: LocalServer, reach: Reach) -> None:
    """Posts go over one kept connection to the API's path as JSON."""
    manager = reach(server.url)
    for _ in range(5):
        assert manager.post(b"[]", 5.0) == Reply(200, "{}")
    assert len(server.peers) == 1
    path, headers, body = server.requests[0]
    assert (path, body) == ("/api/v2/alerts", b"[]")
    assert headers["Content-Type"] == "application/json"


def test_a_connection_that_was_closed_is_opened_again(server: LocalServer, reach: Reach) -> None:
    """An Alertmanager that closed the kept connection does not cost a failure."""
    manager = reach(server.url)
    server.drop = True
    for _ in range(3):
        assert manager.post(b"[]", 5.0).status == 200
        time.sleep(0.02)
    assert len(server.peers) == 3


def test_path_prefix_and_headers(server: LocalServer, reach: Reach) -> None:
    """A prefix in the URL and further headers reach Alertmanagers behind a gateway."""
    reach(f"{server.url}/tenant/am/", headers={"X-Scope-OrgID": "ml"}).post(b"[]", 5.0)
    path, headers, _ = server.requests[0]
    assert path == "/tenant/am/api/v2/alerts"
    assert headers["X-Scope-OrgID"] == "ml"


def test_basic_authentication_with_a_rotating_password(server: LocalServer, reach: Reach, tmp_path: Path) -> None:
    """A password file is read again when it has changed."""
    file = tmp_path / "password"
    file.write_text("first\n")
    manager = reach(server.url, username="mw", password_file=str(file))
    manager.post(b"[]", 5.0)
    file.write_text("second one\n")
    manager.post(b"[]", 5.0)
    sent = [base64.b64decode(headers["Authorization"].split()[1]) for _, headers, _ in server.requests]
    assert sent == [b"mw:first", b"mw:second one"]


def test_bearer_token(server: LocalServer, reach: Reach, tmp_path: Path) -> None:
    """A token file is sent as a bearer's."""
    file = tmp_path / "token"
    file.write_text("t0ken\n")
    reach(server.url, bearer_token_file=str(file)).post(b"[]", 5.0)
    assert server.requests[0][1]["Authorization"] == "Bearer t0ken"


@pytest.mark.parametrize("secret", ["s3cret\ninjected: yes", "s3cret\u20ac"])
def test_secrets_stay_out_of_messages(reach: Reach, tmp_path: Path, secret: str) -> None:
    """A token that makes a bad header does not show in the error, nor does it get out."""
    file = tmp_path / "token"
    file.write_text(secret)
    with pytest.raises(NotifyError) as raised:
        reach("http://127.0.0.1:1", bearer_token_file=str(file)).post(b"[]", 5.0)
    assert "s3cret" not in str(raised.value)
    assert "127.0.0.1:1" in str(raised.value)


def test_a_missing_secret_is_an_error_of_the_moment(server: LocalServer, reach: Reach, tmp_path: Path) -> None:
    """A secret that is not there yet is a failure that passes, not the end of the daemon."""
    file = tmp_path / "password"
    manager = reach(server.url, username="mw", password_file=str(file))
    with pytest.raises(NotifyError, match="password"):
        manager.post(b"[]", 5.0)
    file.write_text("x")
    assert manager.post(b"[]", 5.0).status == 200


def test_no_reply_in_time(server: LocalServer, reach: Reach) -> None:
    """A silent Alertmanager costs the timeout and no more."""
    manager = reach(server.url)
    server.hang.clear()
    began = time.monotonic()
    with pytest.raises(NotifyError, match="no reply in time"):
        manager.post(b"[]", 0.05)
    assert time.monotonic() - began < 1.0
    server.hang.set()
    assert manager.post(b"[]", 5.0).status == 200


@pytest.mark.parametrize("status", [200, 202, 302, 400, 401, 422, 500, 503])
def test_any_status_is_a_reply(server: LocalServer, reach: Reach, status: int) -> None:
    """What a status means is decided elsewhere; its text is cut to one short line."""
    server.status = status
    server.body = b"bad\nlabel \xff" + b"x" * 10_000
    reply = reach(server.url).post(b"[]", 5.0)
    assert reply.status == status
    assert reply.text.startswith("bad label")
    assert len(reply.text) == 200


def test_an_endless_reply_is_cut(server: LocalServer, reach: Reach) -> None:
    """A reply larger than anyone reads costs its connection, and the next post works."""
    server.body = b"x" * 1_000_000
    manager = reach(server.url)
    assert manager.post(b"[]", 5.0).status == 200
    server.body = b"{}"
    assert manager.post(b"[]", 5.0) == Reply(200, "{}")


def test_garbage_instead_of_http(reach: Reach) -> None:
    """Something that is no HTTP server is an error like any other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(65_536)
                peer.sendall(b"SSH-2.0-OpenSSH\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(NotifyError):
            reach(f"http://127.0.0.1:{listener.getsockname()[1]}").post(b"[]", 5.0)
        thread.join()


def test_a_ca_file_that_is_none(reach: Reach, tmp_path: Path) -> None:
    """A bundle without certificates is an error of the moment, with the place in its message."""
    file = tmp_path / "ca.pem"
    file.write_text("not a certificate")
    with pytest.raises(NotifyError, match=r"127\.0\.0\.1:1"):
        reach("https://127.0.0.1:1", ca_file=str(file)).post(b"[]", 5.0)


@pytest.mark.parametrize(
    ("url", "name", "path"),
    [
        ("http://am", "am:80", "/api/v2/alerts"),
        ("https://am/", "am:443", "/api/v2/alerts"),
        ("https://am.example:9094/x/", "am.example:9094", "/x/api/v2/alerts"),
        ("http://[::1]:9093", "[::1]:9093", "/api/v2/alerts"),
    ],
)
def test_names(url: str, name: str, path: str) -> None:
    """An Alertmanager is called by host and port."""
    place = endpoint(url)
    assert (place.name, place.path) == (name, path)
