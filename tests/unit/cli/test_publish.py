"""What `publish` refuses before anything is sent, and what it leaves behind then: no broker is needed for that."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor import cli

NOWHERE = "127.0.0.1:1"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "o.csv"
    path.write_text("id,outcome\n" + "".join(f"c{i},yes\n" for i in range(20)))
    return path


def publish(table: Path, *words: str) -> int:
    return cli.main(["publish", str(table), "--topic", "t", "--brokers", NOWHERE, "--model", "m", *words])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--outcome", "outcom"], 'has no column "outcom", did you mean "outcome"?'),
        (["--sensitive", "sex"], 'has no column "sex"; known: id, outcome'),
        (["--leave-out", "nope"], 'has no column "nope"; known: id, outcome'),
    ],
)
def test_a_column_that_is_not_there(
    table: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A flag that names a column which the file has not is refused by that name before anything is sent."""
    assert publish(table, *words) == 2
    assert said in capsys.readouterr().err


def test_nothing_sent_leaves_nothing(
    table: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a broker one line says why; nothing is remembered of rows that were not sent."""
    monkeypatch.setattr("monitor.sending.CONNECT_SECONDS", 1.0)
    assert publish(table) == 1
    said = capsys.readouterr()
    assert said.err.startswith(f"publish: t: no broker answers at {NOWHERE}: ")
    assert "refused" in said.err
    assert said.err.endswith("; nothing was sent\n")
    assert len(said.err.splitlines()) == 1
    assert list(table.parent.iterdir()) == [table]


@pytest.mark.parametrize("earlier", [None, "what was there"])
def test_rows_that_nobody_took(
    table: Path, earlier: str | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the broker went before it took a row, what is remembered is what it was before the call."""
    state = table.with_name("o.csv.published")
    if earlier is not None:
        state.write_text(earlier)
    monkeypatch.setattr("monitor.sending.PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr("monitor.sending._look_for", lambda *_: None)
    assert publish(table, "--again") == 1
    assert "the broker has not taken 20 of 20 rows" in capsys.readouterr().err
    assert (state.read_text() if state.exists() else None) == earlier
