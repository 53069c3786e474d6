"""How the files of a training set are read: stretch by stretch, each as columns of cells."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import msgspec

from monitor.catalog.training_cells import ArrowCells, Cells, ListCells, WordCells, is_text
from monitor.catalog.training_counts import SpaceName
from monitor.errors import ProfileError

KINDS = (".csv", ".csv.gz", ".parquet", ".jsonl", ".jsonl.gz")
_CSV_BLOCK_BYTES = 4 << 20
_ROWS_MAX = 16_384
_DELIMITERS = (",", ";", "\t")
_NATIVE_FIELDS = frozenset(
    ("model", "version", "id", "time", "features", "prediction", "sensitive", "segment", "outcome", "value")
    + ("metrics", "entity", "lifecycle", "lineage")
)
_ARROW_COLUMN = re.compile(r"In CSV column #(\d+): ")
_UTF8_BOM = b"\xef\xbb\xbf"


class Key(NamedTuple):
    """One column: which part of an event its values stand in, and under what name."""

    space: SpaceName
    name: str


@dataclass(slots=True)
class Stretch:
    """Some rows. ``events`` counts, by space, the rows in which a value could have stood."""

    rows: int
    events: Mapping[SpaceName, int]
    columns: Mapping[Key, Cells]


@dataclass(slots=True)
class Reading:
    """How files are to be read and what is noticed: ``model`` whose events are taken, where flat columns belong.

    ``place`` gives the key of a flat column, ``None`` for one that is left out. ``left_out`` gathers columns that
    cannot be read, with the reason; ``other_models`` the names of models whose events were passed over.
    """

    model: str
    place: Callable[[str], Key | None]
    left_out: dict[str, str] = field(default_factory=dict)
    other_models: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)


def training_files(path: Path) -> list[Path]:
    """The files of a training set, in order.

    Raises
    ------
    ProfileError
        There is none, or not of a kind that can be read.
    """
    kinds = ", ".join(KINDS)
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.is_file() and _is_data(file.relative_to(path)))
        if not found:
            raise ProfileError(f"{path}: holds no training set ({kinds})")
        return found
    if not path.is_file():
        raise ProfileError(f"{path}: no such file")
    if not path.name.endswith(KINDS):
        raise ProfileError(f"{path}: not a kind of training set that can be read: {kinds}")
    return [path]


def read(path: Path, reading: Reading) -> Iterator[tuple[int, Stretch]]:
    """The rows of one file, each stretch with how many bytes of the file were read by then.

    Raises
    ------
    ProfileError
        It cannot be read (on); the message names the file, and the line or column where that is known.
    """
    import pyarrow as pa  # noqa: PLC0415  # costs 0.2 s and 40 MB, which only readers of training sets pay

    reader = _parquet if path.name.endswith(".parquet") else _csv if ".csv" in path.suffixes else _jsonl
    try:
        yield from reader(path, reading)
    except OSError as error:
        raise ProfileError(f"{path}: {error.strerror or error}") from error
    except (EOFError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        raise ProfileError(f"{path}: {error}") from error


def _is_data(relative: Path) -> bool:
    return relative.name.endswith(KINDS) and not any(part.startswith((".", "_")) for part in relative.parts)


def _csv(path: Path, reading: Reading) -> Iterator[tuple[int, Stretch]]:
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import csv as arrow_csv  # noqa: PLC0415

    names, delimiter = _header(path)
    placed = _placed(names, reading)
    bad_rows: list[Any] = []

    def note(row: Any) -> str:
        bad_rows.append(row)
        return "error"

    parsing = arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=note)
    options = {
        # One thread, or the number of a bad line is not known.
        "read_options": arrow_csv.ReadOptions(block_size=_CSV_BLOCK_BYTES, use_threads=False),
        "parse_options": parsing,
        "convert_options": arrow_csv.ConvertOptions(
            column_types={name: pa.string() for name in names},
            include_columns=list(placed) or names[:1],
            null_values=[""],
            strings_can_be_null=True,
        ),
    }
    with pa.OSFile(str(path)) as raw:
        stream = pa.CompressedInputStream(raw, "gzip") if path.suffix == ".gz" else raw
        try:
            for batch in arrow_csv.open_csv(stream, **options):
                cells = {key: WordCells(batch.column(name)) for name, key in placed.items()}
                yield raw.tell(), _flat(batch.num_rows, cells)
        except pa.ArrowInvalid as error:
            raise ProfileError(f"{path}: {_csv_fault(str(error), bad_rows, names)}") from error


def _csv_fault(message: str, bad_rows: list[Any], names: list[str]) -> str:
    """What is wrong, with the place, without the row's values."""
    if bad_rows:
        row = bad_rows[-1]
        return f"line {row.number}: has {row.actual_columns} columns, not {row.expected_columns} as the first line has"
    at = _ARROW_COLUMN.search(message)
    return f"column {names[int(at[1])]}: {message[at.end() :]}" if at else message


def _header(path: Path) -> tuple[list[str], str]:
    with _opened(path) as stream:
        first = stream.readline()
        lines = io.TextIOWrapper(cast("BinaryIO", stream), encoding="utf-8", newline="")
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


def _parquet(path: Path, reading: Reading) -> Iterator[tuple[int, Stretch]]:
    import pyarrow.parquet as pq  # noqa: PLC0415

    size, row = path.stat().st_size, 0
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        placed = _placed(schema.names, reading)
        for name in list(placed):
            if not _readable(schema.field(name).type):
                reading.left_out.setdefault(name, f"is of type {schema.field(name).type}")
                del placed[name]
        for batch in file.iter_batches(_ROWS_MAX, columns=list(placed)):
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


def _jsonl(path: Path, reading: Reading) -> Iterator[tuple[int, Stretch]]:
    gathered = _Gathered(reading)
    with path.open("rb") as raw, _unpacked(raw, path) as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            gathered.add(_object(path, number, line))
            if gathered.rows == _ROWS_MAX:
                yield raw.tell(), gathered.stretch()
                gathered = _Gathered(reading)
        yield raw.tell(), gathered.stretch()


def _object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        try:
            value = msgspec.json.decode(line)
        except msgspec.DecodeError:
            value = json.loads(line)  # knows NaN and infinities, which events may hold too
    except (ValueError, RecursionError) as error:
        raise ProfileError(f"{path}: line {number}: is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ProfileError(f"{path}: line {number}: is no JSON object")
    return value


class _Gathered:
    """Objects whose values are gathered into columns."""

    def __init__(self, reading: Reading) -> None:
        self.rows = 0
        self._reading = reading
        self._events: dict[SpaceName, int] = {"feature": 0, "prediction": 0, "metric": 0}
        self._columns: dict[Key, list[Any]] = {}
        self._places: dict[str, Key | None] = {}

    def add(self, value: dict[str, Any]) -> None:
        """Take in an event of the native format, or a flat object of names and values."""
        if isinstance(value.get("features"), dict) or ("model" in value and value.keys() <= _NATIVE_FIELDS):
            self._add_event(value)
            return
        self.rows += 1
        for space in self._events:
            self._events[space] += 1
        for name, cell in value.items():
            self._put(self._place(name), cell)

    def stretch(self) -> Stretch:
        """What was gathered."""
        return Stretch(self.rows, self._events, {key: ListCells(values) for key, values in self._columns.items()})

    def _add_event(self, event: dict[str, Any]) -> None:
        model = event.get("model", self._reading.model)
        if model != self._reading.model:
            self._reading.other_models.add(str(model))
            return
        features, prediction, metrics = event.get("features"), event.get("prediction"), event.get("metrics")
        self.rows += any(part is not None for part in (features, prediction, metrics))
        if isinstance(features, dict):
            self._events["feature"] += 1
            for name, cell in features.items():
                self._put(self._place(name), cell)
        if isinstance(metrics, dict):
            self._events["metric"] += 1
            for name, cell in metrics.items():
                self._put(Key("metric", name), cell)
        if prediction is not None:
            self._events["prediction"] += 1
            self._add_prediction(prediction)

    def _add_prediction(self, prediction: Any) -> None:
        if not isinstance(prediction, dict):
            part = "label" if isinstance(prediction, str | bool) else "value"
            self._put(Key("prediction", part), prediction)
            return
        for part in ("label", "score"):
            if prediction.get(part) is not None:
                self._put(Key("prediction", part), prediction[part])

    def _place(self, name: str) -> Key | None:
        if name not in self._places:
            self._reading.names.add(name)
            self._places[name] = self._reading.place(name)
        return self._places[name]

    def _put(self, key: Key | None, cell: Any) -> None:
        if key is not None:
            self._columns.setdefault(key, []).append(cell)


def _opened(path: Path) -> closing[BinaryIO]:
    opened = gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")
    return closing(cast("BinaryIO", opened))


def _unpacked(raw: BinaryIO, path: Path) -> closing[BinaryIO]:
    opened = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
    return closing(cast("BinaryIO", opened))
