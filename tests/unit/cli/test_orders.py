"""Do the commands that ask a running daemon say what they mean, and tell what it said?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from fakes.desk import FakeDesk, made_incident, made_status

from monitor.cli import main
from monitor.clock import SystemClock
from monitor.incidents.order import Outcome
from monitor.telemetry.metrics import Metrics
from monitor.web.server import WebServer
from monitor.web.settings import HttpSettings

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk(made_status())


@pytest.fixture
def reach(desk: FakeDesk, tmp_path: Path) -> Iterator[list[str]]:
    tokens = tmp_path / "tokens"
    tokens.write_text("secret write\n")
    server = WebServer(HttpSettings(listen="127.0.0.1:0", token_file=str(tokens)), desk, Metrics(), SystemClock())
    server.start()
    yield ["--url", f"http://127.0.0.1:{server.port}", "--token-file", str(tokens)]
    server.stop()


EXCLUDE = ["exclude", "--model", "a/b/c", "--from", "2026-01-01T00:00:00Z", "--until", "2026-01-02T00:00:00Z"]


def test_ack(reach: list[str], desk: FakeDesk, capsys: pytest.CaptureFixture[str]) -> None:
    """`ack` says by whom, why and for how long."""
    desk.outcome = Outcome((made_incident(1, "m"),))
    assert main(["ack", "i-0001", "--reason", "fixed", "--for", "2h", "--note", "done", "--by", "ada", *reach]) == 0
    [order] = desk.orders
    assert (order.verb, order.subject, order.by, order.reason, order.note) == ("ack", "i-0001", "ada", "fixed", "done")
    assert order.until - order.time == pytest.approx(7200.0)
    assert capsys.readouterr().out.splitlines()[-1].startswith("i-0001: firing: ")


@pytest.mark.parametrize(
    ("words", "verb", "subject"),
    [
        (["unack", "i-0001"], "unack", "i-0001"),
        (["note", "i-0001", "--note", "see 812"], "note", "i-0001"),
        (["retire", "a/b/c"], "retire", "a/b/c"),
        (["baseline", "accept", "a/b/c"], "accept", "a/b/c"),
        ([*EXCLUDE, "--note", "a campaign"], "exclude", "a/b/c"),
    ],
)
def test_the_other_orders(reach: list[str], desk: FakeDesk, words: list[str], verb: str, subject: str) -> None:
    """Each command is its order, whatever the model's name."""
    desk.outcome = Outcome((made_incident(1, "m"),))
    assert main([*words, "--by", "ada", *reach]) == 0
    assert [(order.verb, order.subject) for order in desk.orders] == [(verb, subject)]


def test_exclude(reach: list[str], desk: FakeDesk, capsys: pytest.CaptureFixture[str]) -> None:
    """`exclude` says of which model, from when until when and why; it prints what judging again resolved and found."""
    over = msgspec.structs.replace(made_incident(2, "m"), state="resolved")
    desk.outcome = Outcome((made_incident(1, "m"), over))
    assert main([*EXCLUDE, "--note", "a campaign", "--by", "ada", *reach]) == 0
    [order] = desk.orders
    assert (order.from_, order.until, order.note) == (1_767_225_600.0, 1_767_312_000.0, "a campaign")
    said = ["a/b/c: excluded, and judged again", "resolved i-0002", "firing i-0001"]
    assert capsys.readouterr().out.splitlines()[-3:] == said


def test_what_the_daemon_refuses(reach: list[str], desk: FakeDesk, capsys: pytest.CaptureFixture[str]) -> None:
    """A refusal is told in the daemon's words, with exit code 1; an address that is none is a usage error."""
    desk.outcome = Outcome(refused="the incident is not acknowledged")
    assert main(["ack", "i-0001", "--by", "ada", *reach]) == 1
    assert "is not acknowledged" in capsys.readouterr().err
    assert main(["ack", "i-0001", "--url", "file:///etc/passwd"]) == 2
    assert main(["ack", "i-0001", "--url", "http://127.0.0.1:1", "--by", "ada"]) == 1
    assert main(["ack", "i-0001", "--token-file", "/nowhere/at/all"]) == 2
