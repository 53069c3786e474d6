"""How tables are read, CSV and Parquet: each row could have a value in every column."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from monitor.catalog.training_cells import ArrowCells, Cells, WordCells, is_text
from monitor.catalog.training_stretch import ROWS_MAX, Key, Reading, Stretch
from monitor.errors import ProfileError

_CSV_BLOCK_BYTES = 4 << 20
_DELIMITERS = (",", ";", "\t")
_ARROW_PLACE = re.compile(r"In CSV column #(?P<column>\d+): (?:Row #(?P<row>\d+): )?")
_UTF8_BOM = b"\xef\xbb\xbf"


def read_csv(path: Path, reading: Reading) -> Iterator[tuple[int, Stretch]]:
    """The rows of a file as :func:`monitor.catalog.training_rows.read` says."""
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import csv as arrow_csv  # noqa: PLC0415

    names, delimiter = _header(path)
    placed = _placed(names, reading)
    bad_rows: list[Any] = []

    def note(row: Any) -> Literal["error"]:
        bad_rows.append(row)
        return "error"

    # One thread, or the number of a bad line is not known.
    reading_options = arrow_csv.ReadOptions(block_size=_CSV_BLOCK_BYTES, use_threads=False)
    parsing = arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=note)
    converting = arrow_csv.ConvertOptions(
        column_types={name: pa.string() for name in names},
        include_columns=list(placed) or names[:1],
        null_values=[""],
        strings_can_be_null=True,
    )
    with pa.OSFile(str(path), "rb") as raw:
        stream: Any = pa.CompressedInputStream(raw, "gzip") if path.suffix == ".gz" else raw
        try:
            with arrow_csv.open_csv(stream, reading_options, parsing, converting) as batches:
                for batch in batches:
                    cells = {key: WordCells(batch.column(name)) for name, key in placed.items()}
                    yield raw.tell(), _flat(batch.num_rows, cells)
        except pa.ArrowInvalid as error:
            raise ProfileError(f"{path}: {_csv_fault(str(error), bad_rows, names)}") from error


def _csv_fault(message: str, bad_rows: list[Any], names: list[str]) -> str:
    """What is wrong, with the place, without the row's values."""
    if bad_rows:
        row = bad_rows[-1]
        return f"line {row.number}: has {row.actual_columns} columns, not {row.expected_columns} as the first line has"
    at = _ARROW_PLACE.search(message)
    if at is None:
        return message
    line = f"line {at['row']}, " if at["row"] else ""
    return f"{line}column {names[int(at['column'])]}: {message[at.end() :]}"


def _header(path: Path) -> tuple[list[str], str]:
    with path.open("rb") as raw:
        stream = cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if path.suffix == ".gz" else raw
        first = stream.readline()
        lines = io.TextIOWrapper(stream, encoding="utf-8", newline="")
        text = first.removeprefix(_UTF8_BOM).decode()
        delimiter = max(_DELIMITERS, key=text.count)
        names = next(csv.reader(_and_then(text, lines), delimiter=delimiter), [])
    if not any(names):
        raise ProfileError(f"{path}: line 1: has no names of columns")
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise ProfileError(f'{path}: line 1: column "{doubles[0]}" is named twice')
    return names, delimiter


def _and_then(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def read_parquet(path: Path, reading: Reading) -> Iterator[tuple[int, Stretch]]:
    """The rows of a file as :func:`monitor.catalog.training_rows.read` says."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    size, row = path.stat().st_size, 0
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        placed = _placed(schema.names, reading)
        for name in list(placed):
            if not _readable(schema.field(name).type):
                reading.left_out.setdefault(name, f"is of type {schema.field(name).type}")
                del placed[name]
        for batch in file.iter_batches(ROWS_MAX, columns=list(placed)):
            row += batch.num_rows
            cells = {key: ArrowCells(batch.column(name)) for name, key in placed.items()}
            yield size * row // max(1, file.metadata.num_rows), _flat(batch.num_rows, cells)


def _readable(kind: Any) -> bool:
    import pyarrow as pa  # noqa: PLC0415

    types = pa.types
    inner = kind.value_type if types.is_dictionary(kind) else kind
    number = types.is_integer(inner) or types.is_floating(inner) or types.is_decimal(inner)
    return bool(number or types.is_boolean(inner) or types.is_null(inner) or is_text(kind))


def _placed(names: list[str], reading: Reading) -> dict[str, Key]:
    reading.names.update(names)
    placed = {name: reading.place(name) for name in names}
    return {name: key for name, key in placed.items() if key is not None}


def _flat(rows: int, columns: Mapping[Key, Cells]) -> Stretch:
    """Rows of a table: each could have had a value in every column."""
    return Stretch(rows, {"feature": rows, "prediction": rows, "metric": rows}, columns)
