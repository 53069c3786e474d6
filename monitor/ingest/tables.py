"""Which column of a table, CSV or Parquet, is what part of an event? Rows become records of the native format."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from monitor.catalog.tables import did_you_mean
from monitor.errors import IngestError
from monitor.ingest.file_rows import OBJECTS, ROWS_MAX, cells_of, records

KINDS = (".csv", ".csv.gz", ".parquet")
_DELIMITERS = (",", ";", "\t")
_FIELDS = ("model", "version", "id", "time", "outcome", "value", "entity")
"""Parts of an event that are one column."""
_NUMBER = re.compile(r"\s*[+-]?(0|[1-9]\d*|\d*\.\d+|\d+\.)(\d*)([eE][+-]?\d+)?\s*|[+-]?(nan|NaN|inf|Infinity)")
_TRUTHS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_AS_TEXT = ("id", "version", "entity", "sensitive", "segment", "prediction.label")


@dataclass(frozen=True, slots=True)
class TableColumns:
    """What the columns of a table are, by their names.

    ``parts`` maps a column to its place in an event: ``id``, ``outcome``, ``prediction.score``, ``sensitive.sex``. A
    column that is not in it is what its own name says, where that is such a place and ``named`` is set; else it is a
    feature where ``features`` is set, and a fault where not. ``left_out`` are passed over. ``texts`` are features whose
    cells are texts whatever they look like.
    """

    parts: dict[str, str]
    named: bool = True
    features: bool = False
    left_out: frozenset[str] = frozenset()
    texts: frozenset[str] = frozenset()

    def place(self, path: Path, column: str) -> str | None:
        """Where the cells of ``column`` stand in an event; ``None`` for one that is passed over.

        Raises
        ------
        IngestError
            It is no part of an event.
        """
        if column in self.left_out:
            return None
        if column in self.parts:
            return self.parts[column]
        if self.named and (column in _FIELDS or column.partition(".")[0] in OBJECTS):
            return column
        if self.features:
            return f"features.{column}"
        known = [*_FIELDS, *(f"{name}." for name in OBJECTS)]
        raise IngestError(
            f'{path}: column "{column}" is no part of an event{did_you_mean(column, known)}; '
            f"say what it is, or leave it out"
        )


def table_columns(path: Path) -> list[str]:
    """The names of a table's columns.

    Raises
    ------
    IngestError
        The file cannot be read, or has none.
    """
    try:
        if path.name.endswith(".parquet"):
            import pyarrow.parquet as pq  # noqa: PLC0415

            return list(pq.read_schema(path).names)
        with _lines(path) as lines:
            return _header(path, lines)[0]
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise IngestError(f"{path}: {error}") from error


def table_events(path: Path, columns: TableColumns, skip: int = 0) -> Iterator[list[bytes]]:
    """The rows of a table behind the first ``skip`` as native events, some thousand at a time.

    Raises
    ------
    IngestError
        The file cannot be read (on); the message names the line or row.
    """
    blocks = _parquet(path, columns, skip) if path.name.endswith(".parquet") else _csv(path, columns, skip)
    for block in blocks:
        placed = {name: columns.place(path, name) for name in block}
        places = [place for place in placed.values() if place is not None]
        doubles = sorted({place for place in places if places.count(place) > 1})
        if doubles:
            raise IngestError(f"{path}: two columns are {doubles[0]}")
        yield records({place: block[name] for name, place in placed.items() if place is not None})


def _parquet(path: Path, columns: TableColumns, skip: int) -> Iterator[dict[str, list[Any]]]:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    row = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(ROWS_MAX):
                first, row = row, row + batch.num_rows
                if row > skip:
                    rest = batch.slice(max(skip - first, 0))
                    yield {
                        name: cells_of(columns.place(path, name) or name, rest.column(i))
                        for i, name in enumerate(rest.schema.names)
                    }
    except (OSError, ValueError, OverflowError, pa.ArrowException) as error:
        raise IngestError(f"{path}: row {row + 1}: {error}") from error


def _csv(path: Path, columns: TableColumns, skip: int) -> Iterator[dict[str, list[Any]]]:
    with _lines(path) as lines:
        try:
            names, delimiter = _header(path, lines)
            readers = [_reader(columns, path, name) for name in names]
            reader = csv.reader(lines, delimiter=delimiter)
            block: list[list[str]] = []
            for number, row in enumerate((row for row in reader if row), 1):
                if len(row) != len(names):
                    place = f"{path}: line {reader.line_num + 1}"
                    raise IngestError(f"{place}: has {len(row)} columns, not {len(names)} as the first line")
                if number > skip:
                    block.append(row)
                if len(block) == ROWS_MAX:
                    yield _cells(names, readers, block)
                    block = []
            if block:
                yield _cells(names, readers, block)
        except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
            raise IngestError(f"{path}: {error}") from error


def _cells(
    names: Sequence[str], readers: Sequence[Callable[[str], Any]], block: list[list[str]]
) -> dict[str, list[Any]]:
    return {
        name: [read(cell) if cell else None for cell in column]
        for name, read, column in zip(names, readers, zip(*block, strict=True), strict=True)
    }


def _reader(columns: TableColumns, path: Path, name: str) -> Callable[[str], Any]:
    """How the cells of a column of text are read: as numbers and truths where they look so, or as they stand."""
    place = columns.place(path, name) or ""
    if place == "time":
        return _number_or_text
    if place.startswith(_AS_TEXT) or place == "model":
        return str
    if place.startswith("features.") and place.removeprefix("features.") in columns.texts:
        return lambda cell: str(_TRUTHS[cell]).lower() if cell in _TRUTHS else cell
    return _number_truth_or_text


def _number_or_text(cell: str) -> Any:
    return float(cell) if _NUMBER.fullmatch(cell) else cell


def _number_truth_or_text(cell: str) -> Any:
    return _TRUTHS[cell] if cell in _TRUTHS else _number_or_text(cell)


@contextmanager
def _lines(path: Path) -> Iterator[io.TextIOWrapper]:
    """The lines of a text file, unpacked where it is packed."""
    with path.open("rb") as raw:
        stream = cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if path.suffix == ".gz" else raw
        with io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
            yield text


def _header(path: Path, lines: io.TextIOWrapper) -> tuple[list[str], str]:
    first = lines.readline()
    delimiter = max(_DELIMITERS, key=first.count)
    names = next(csv.reader([first], delimiter=delimiter), [])
    if not any(names):
        raise IngestError(f"{path}: line 1: has no names of columns")
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise IngestError(f'{path}: line 1: column "{doubles[0]}" is named twice')
    return names, delimiter
