"""What becomes of the rows of a table: which column is what part of an event, and how its cells are read."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.errors import IngestError
from monitor.ingest.tables import TableColumns, table_columns, table_events


def events(path: Path, columns: TableColumns, skip: int = 0) -> list[dict[str, Any]]:
    return [json.loads(event) for block in table_events(path, columns, skip) for event in block]


def test_columns_are_what_their_names_say(tmp_path: Path) -> None:
    """Fields of the native format and keys of its objects need no flag; an empty cell says nothing."""
    path = tmp_path / "outcomes.csv"
    path.write_text(
        "model,id,time,outcome,sensitive.sex,value\nm,1,1772409600,repaid,F,12.5\nm,007,2026-03-01T00:00:00Z,,,\n"
    )
    first, second = events(path, TableColumns({}))
    assert first == {
        "model": "m",
        "id": "1",
        "time": 1772409600.0,
        "outcome": "repaid",
        "sensitive": {"sex": "F"},
        "value": 12.5,
    }
    assert second == {"model": "m", "id": "007", "time": "2026-03-01T00:00:00Z"}


def test_columns_of_other_names(tmp_path: Path) -> None:
    """A flag says what a column is; what is no part of an event is refused with the nearest name, or left out."""
    path = tmp_path / "o.csv.gz"
    path.write_bytes(gzip.compress(b"case;truth;outcom\na;1;x\n"))
    with pytest.raises(IngestError, match='"outcom" is no part of an event, did you mean "outcome"'):
        events(path, TableColumns({"case": "id", "truth": "outcome"}))
    left = TableColumns({"case": "id", "truth": "outcome"}, left_out=frozenset({"outcom"}))
    assert events(path, left) == [{"id": "a", "outcome": 1.0}]
    with pytest.raises(IngestError, match="two columns are id"):
        events(path, TableColumns({"case": "id", "truth": "id"}, left_out=frozenset({"outcom"})))


def test_cells_of_features(tmp_path: Path) -> None:
    """Numbers and truths are such, codes stay texts where that is said, nothing is a missing value."""
    path = tmp_path / "t.csv"
    path.write_text('a,zip,ok\n1e3,00123,TRUE\n,7,no\n"x, y",,false\n')
    found = events(path, TableColumns({}, named=False, features=True, texts=frozenset({"zip"})))
    assert [each["features"] for each in found] == [
        {"a": 1000.0, "zip": "00123", "ok": True},
        {"a": None, "zip": "7", "ok": "no"},
        {"a": "x, y", "zip": None, "ok": False},
    ]


def test_rows_may_be_passed_over(tmp_path: Path) -> None:
    """Reading goes on behind any row, of both kinds of table."""
    n = 9000
    ids = [f"c{i}" for i in range(n)]
    when = [datetime.fromtimestamp(i, UTC) for i in range(n)]
    pq.write_table(pa.table({"id": ids, "at": when}), tmp_path / "t.parquet", row_group_size=1000)
    (tmp_path / "t.csv").write_text("id,at\n" + "".join(f"{id_},{i}\n" for i, id_ in enumerate(ids)))
    for name in ("t.parquet", "t.csv"):
        for skip in (0, 4096, 5000, n):
            found = events(tmp_path / name, TableColumns({"at": "time"}), skip)
            assert [each["id"] for each in found] == ids[skip:]
            assert [each["time"] for each in found] == [float(i) for i in range(skip, n)]
    assert table_columns(tmp_path / "t.parquet") == table_columns(tmp_path / "t.csv") == ["id", "at"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1\n", "line 2: has 1 columns, not 2"),
        (b"a,a\n", "named twice"),
        (b"\n", "no names"),
        (b"\xff\n", "utf-8"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    """The message says which file, which line and what is wrong."""
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(IngestError, match=message) as raised:
        events(path, TableColumns({}, named=False, features=True))
    assert str(path) in str(raised.value)
