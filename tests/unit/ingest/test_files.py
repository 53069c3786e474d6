"""What reading files keeps of its promises: lines, rows, errors with their place, bounds."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.errors import IngestError
from monitor.events.raw import Partition
from monitor.ingest import file_lines
from monitor.ingest.files import FilesSource

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def read(*paths: Path | str, positions: Mapping[Partition, int] | None = None) -> list[tuple[int, bytes]]:
    """Offset and value of every record."""
    source = FilesSource([str(path) for path in paths], positions or {})
    found = []
    while not source.finished():
        batch = source.poll(7, 0.0)
        found += list(zip(batch.offsets.tolist(), batch.values, strict=True))
    source.close()
    return found  # type: ignore[return-value]


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
@pytest.mark.parametrize("content", [b"x\ny\nz\n", b"x\ny\nz"])
def test_a_line_is_a_record(tmp_path: Path, name: str, content: bytes) -> None:
    """Every line is a record, whether the last one ends with a newline or not."""
    assert read(write(tmp_path / name, content)) == [(0, b"x"), (1, b"y"), (2, b"z")]


def test_empty_lines_are_passed_over_but_numbered(tmp_path: Path) -> None:
    """Empty lines are no records, and keep the numbers of the others true."""
    assert read(write(tmp_path / "a.jsonl", b"\nx\r\n\r\n\n y\n\n")) == [(1, b"x\r"), (4, b" y")]


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_an_empty_file_has_no_records(tmp_path: Path, content: bytes) -> None:
    """A file without records is read to its end at once."""
    assert read(write(tmp_path / "a.jsonl", content)) == []


def test_lines_may_lie_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines come out whole wherever the blocks of the file end."""
    lines = [b"%d" % 10**n for n in range(60)]
    path = write(tmp_path / "a.jsonl", b"\n".join(lines))
    for size in (1, 2, 7, 64, 4096):
        file = file_lines.LineFile(str(path), 0, size)
        assert [value for block in file.blocks() for value in block.values] == lines


def test_a_line_without_end_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line beyond the limit is cut to about that, and the next line is whole again."""
    monkeypatch.setattr(file_lines, "LINE_BYTES_MAX", 1000)
    path = write(tmp_path / "a.jsonl", b"a\n" + b"x" * 50_000 + b"\nb\n")
    file = file_lines.LineFile(str(path), 0, 100)
    first, long, last = [value for block in file.blocks() for value in block.values]
    assert (first, last) == (b"a", b"b")
    assert 1000 < len(long) <= 1101


def test_standard_input_is_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """``-`` reads lines from standard input, and counts nothing towards the progress."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"x\ny\n")))
    source = FilesSource(["-"], {})
    assert list(source.poll(10, 0.0).values) == [b"x", b"y"]
    assert source.positions() == {Partition("-", 0): 2}
    assert (source.bytes_read(), source.bytes_total()) == (0, 0)
    source.close()


def test_several_files_are_merged_by_time(tmp_path: Path) -> None:
    """Records of several files come in the order of their times, each with its file and line."""
    first = write(tmp_path / "a.jsonl", b'{"time":1}\n{"time":4}\n')
    second = write(tmp_path / "b.jsonl.gz", b'{"time":2}\n{"time":3}\n')
    assert [value[8:9] for _, value in read(first, second)] == [b"1", b"2", b"3", b"4"]


def test_only_the_file_read_last_holds_up_event_time(tmp_path: Path) -> None:
    """Merged by time, a file whose records are yet to come does not hold up event time."""
    first = write(tmp_path / "a.jsonl", b'{"time":1}\n{"time":4}\n')
    second = write(tmp_path / "b.jsonl", b'{"time":5}\n')
    source = FilesSource([str(first), str(second)], {})
    a, b = (Partition(str(path), 0) for path in (first, second))
    assert (source.exhausted(a), source.exhausted(b)) == (False, False)
    source.poll(1, 0.0)
    assert (source.exhausted(a), source.exhausted(b)) == (False, True)
    source.poll(2, 0.0)
    assert source.exhausted(a)
    source.close()


def test_progress_goes_from_nothing_to_all(tmp_path: Path) -> None:
    """The bytes that were read grow to the size of the files, compressed as they lie there."""
    lines = b"".join(b'{"time":%d}\n' % i for i in range(5000))
    paths = [write(tmp_path / name, lines) for name in ("a.jsonl", "b.jsonl.gz")]
    pq.write_table(pa.table({"model": ["m"] * 10_000}), tmp_path / "c.parquet")
    source = FilesSource([str(path) for path in (*paths, tmp_path / "c.parquet")], {})
    assert source.bytes_read() == 0
    seen = []
    while not source.finished():
        source.poll(1000, 0.0)
        seen.append(source.bytes_read())
    assert seen == sorted(seen)
    assert seen[-1] == source.bytes_total()
    source.close()
    assert source.bytes_read() == source.bytes_total()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", r"a\.csv: not a kind of file"),
        ("missing.jsonl", None, r"missing\.jsonl: No such file or directory"),
        ("a.parquet", b"hardly", r"a\.parquet: row 1: .*[Pp]arquet"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    """An error names the file and what is wrong with it."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(IngestError, match=message):
        read(tmp_path / name)


def test_what_is_not_gzip_is_named(tmp_path: Path) -> None:
    """A file that is only called ``.gz`` is an error without a byte of its content."""
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(b"secret\n")
    with pytest.raises(IngestError, match=r"a\.jsonl\.gz: line 1: this is not gzip$"):
        read(path)


def test_a_torn_gzip_file_names_the_line(tmp_path: Path) -> None:
    """Where a compressed file ends too early, the blocks before are delivered and the error names the next line."""
    whole = gzip.compress(b"".join(b"%d\n" % (i * 7919) for i in range(400_000)))
    (tmp_path / "a.jsonl.gz").write_bytes(whole[: len(whole) - 100])
    source = FilesSource([str(tmp_path / "a.jsonl.gz")], {})
    seen = 0

    def read_on() -> None:
        nonlocal seen
        while not source.finished():
            seen += len(source.poll(10_000, 0.0))

    with pytest.raises(IngestError, match=r"line \d+: ") as caught:
        read_on()
    assert seen > 0
    assert f"line {seen + 1}: " in str(caught.value)
    source.close()


def test_a_file_named_twice_is_an_error(tmp_path: Path) -> None:
    """One file cannot be two partitions."""
    path = write(tmp_path / "a.jsonl", b"")
    with pytest.raises(IngestError, match="named twice"):
        read(path, path)


def test_no_files_are_finished() -> None:
    """Without files there is nothing to read."""
    assert read() == []


def rows(path: Path, table: pa.Table, **options: Any) -> list[dict[str, Any]]:
    pq.write_table(table, path, **options)
    return [json.loads(value) for _, value in read(path)]


def test_columns_become_fields(tmp_path: Path) -> None:
    """Columns named like fields, and columns ``features.NAME``, make events; an absent value is an absent field."""
    table = pa.table(
        {
            "model": ["m", "m"],
            "id": ["1", None],
            "time": pa.array([0, 1_500_000_000], pa.timestamp("ns")),
            "version": ["7", None],
            "prediction": [0.5, None],
            "features.income": [41200.0, None],
            "features.region": pa.array(["SE", None]).dictionary_encode(),
            "sensitive.sex": ["F", None],
            "outcome": [None, "repaid"],
            "value": pa.array([None, Decimal("1.25")], pa.decimal128(5, 2)),
        }
    )
    assert rows(tmp_path / "a.parquet", table) == [
        {
            "model": "m",
            "id": "1",
            "time": 0.0,
            "version": "7",
            "prediction": 0.5,
            "features": {"income": 41200.0, "region": "SE"},
            "sensitive": {"sex": "F"},
        },
        {"model": "m", "time": 1.5, "features": {"income": None, "region": None}, "outcome": "repaid", "value": 1.25},
    ]


def test_structs_and_maps_become_objects(tmp_path: Path) -> None:
    """Features, prediction and the like may be a struct or a map; a null says something only among features."""
    table = pa.table(
        {
            "model": ["m", "m"],
            "features": pa.array([{"a": 1.0, "b": None}, None], pa.struct([("a", pa.float64()), ("b", pa.string())])),
            "prediction": pa.array(
                [{"label": "x", "score": None}, None], pa.struct([("label", pa.string()), ("score", pa.float64())])
            ),
            "segment": pa.array([[("country", "SE")], []], pa.map_(pa.string(), pa.string())),
            "metrics.latency": [0.1, 0.2],
        }
    )
    assert rows(tmp_path / "a.parquet", table) == [
        {
            "model": "m",
            "features": {"a": 1.0, "b": None},
            "prediction": {"label": "x"},
            "segment": {"country": "SE"},
            "metrics": {"latency": 0.1},
        },
        {"model": "m", "segment": {}, "metrics": {"latency": 0.2}},
    ]


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        (pa.array([1], pa.timestamp("s")), 1.0),
        (pa.array([1_250], pa.timestamp("ms", "Europe/Stockholm")), 1.25),
        (pa.array([1_500_000_001], pa.timestamp("ns", "UTC")), 1.5),
        (pa.array([10**18], pa.timestamp("us")), 1e12),
        (pa.array([7], pa.int64()), 7),
        (pa.array(["2026-03-01T09:30:00Z"]), "2026-03-01T09:30:00Z"),
    ],
)
def test_times_of_any_unit_are_seconds(tmp_path: Path, values: pa.Array, seconds: object) -> None:
    """Timestamps of any unit and zone become seconds since the epoch; numbers and text stay what they are."""
    assert rows(tmp_path / "a.parquet", pa.table({"model": ["m"], "time": values}))[0]["time"] == seconds


def test_odd_cells_are_no_errors(tmp_path: Path) -> None:
    """Dates and bytes become text, NaN and infinities stay what they are, for the decoder to judge."""
    table = pa.table(
        {
            "model": ["m"],
            "features.nan": [float("nan")],
            "features.inf": [float("inf")],
            "features.day": [dt.date(2026, 3, 1)],
            "features.moment": pa.array([1_500_000_001], pa.timestamp("ns")),
            "features.bytes": [b"\xff"],
            "features.list": [[1, 2]],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    ((_, value),) = read(tmp_path / "a.parquet")
    assert value == (
        b'{"model":"m","features":{"nan":NaN,"inf":Infinity,"day":"2026-03-01","moment":"1970-01-01T00:00:01.500000",'
        b'"bytes":"\xef\xbf\xbd","list":[1,2]}}'
    )


def test_rows_are_taken_up_in_the_middle(tmp_path: Path) -> None:
    """A position in the middle of a row group, at its edge or at the end is where reading goes on."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"model": [str(i) for i in range(20)]}), path, row_group_size=6)
    for position in (0, 5, 6, 7, 18, 19, 20):
        found = read(path, positions={Partition(str(path), 0): position})
        assert [(offset, json.loads(value)["model"]) for offset, value in found] == [
            (i, str(i)) for i in range(position, 20)
        ]


def test_a_table_without_models_is_an_error(tmp_path: Path) -> None:
    """A table that has no column ``model`` is not one of events, and the error says what it has."""
    pq.write_table(pa.table({"a": [1], "b": [2]}), tmp_path / "a.parquet")
    with pytest.raises(IngestError, match=r"a\.parquet: has no column model, only a, b"):
        read(tmp_path / "a.parquet")
