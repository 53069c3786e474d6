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
