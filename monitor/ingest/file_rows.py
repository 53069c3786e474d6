"""How the rows of a Parquet file become records of the native format."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np

from monitor.errors import IngestError
from monitor.ingest.merged import Block

ROWS_MAX = 4_096

OBJECTS = ("features", "prediction", "sensitive", "segment", "metrics", "lineage")
"""Fields that may be one column (a struct or a map) or a column for each of their keys (``features.income``)."""

_NULL_SAYS_SOMETHING = ("features", "metrics")
"""Where a null is a missing value, which is watched; elsewhere it is an absence."""


class RowFile:
    """The rows of one Parquet file; an offset is a row's number from 0.

    A column is a field of the native format, or ``field.key`` for a key of ``features``, ``sensitive`` and the like.
    Timestamps without a zone are UTC.
    """

    def __init__(self, path: str, position: int, size: int) -> None:
        self._path = path
        self._position = position
        self._size = size
        self._share = 0.0

    def blocks(self) -> Iterator[Block]:
        """The records from ``position`` on.

        Raises
        ------
        IngestError
            The file cannot be read (on), or has no column ``model``.
        """
        import pyarrow as pa  # noqa: PLC0415  # costs 0.2 s and 40 MB, which only readers of Parquet pay
        import pyarrow.parquet as pq  # noqa: PLC0415

        row = 0
        try:
            with pq.ParquetFile(self._path) as file:
                self._check(file.schema_arrow.names)
                groups, row = _groups_from(file, self._position)
                for batch in file.iter_batches(ROWS_MAX, row_groups=groups):
                    columns = {name: cells_of(name, batch.column(i)) for i, name in enumerate(batch.schema.names)}
                    values = records(columns)
                    offsets = np.arange(row, row + len(values), dtype=np.int64)
                    row += len(values)
                    self._share = row / max(1, file.metadata.num_rows)
                    yield _from(Block(values, offsets), self._position)
        except (OSError, ValueError, OverflowError, pa.ArrowException) as error:
            raise IngestError(f"{self._path}: row {row + 1}: {error}") from error
        self._share = 1.0

    def bytes_read(self) -> int:
        """How much of the file was read, by its rows."""
        return int(self._share * self._size)

    def close(self) -> None:
        """Nothing: the file is open only while its rows are handed out."""

    def _check(self, columns: Sequence[str]) -> None:
        if "model" not in columns:
            raise IngestError(f"{self._path}: has no column model, only {', '.join(columns)}")


def _groups_from(file: Any, position: int) -> tuple[list[int], int]:
    """The row groups that hold ``position`` and what follows, and the number of their first row."""
    first = 0
    for group in range(file.num_row_groups):
        behind = first + file.metadata.row_group(group).num_rows
        if behind > position:
            return list(range(group, file.num_row_groups)), first
        first = behind
    return [], first


def _from(block: Block, position: int) -> Block:
    skipped = int(np.searchsorted(block.offsets, position))
    return Block(block.values[skipped:], block.offsets[skipped:]) if skipped else block


def cells_of(name: str, column: Any) -> list[Any]:
    """A column's cells as Python has them; times as seconds since the epoch, whatever their unit."""
    import pyarrow as pa  # noqa: PLC0415

    if not pa.types.is_timestamp(column.type):
        return list(column.to_pylist())
    # Python's own datetime has neither nanoseconds nor years beyond 9999.
    microseconds = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    if name == "time":
        return [None if each is None else each / 1e6 for each in microseconds.cast(pa.int64()).to_pylist()]
    return list(microseconds.to_pylist())


def records(columns: Mapping[str, list[Any]]) -> list[bytes]:
    """Native events from columns of cells, by field or ``field.key``; all of one length."""
    n = max(map(len, columns.values()), default=0)
    events: list[dict[str, Any]] = [{} for _ in range(n)]
    for name, cells in columns.items():
        field, _, key = name.partition(".")
        if key and field in OBJECTS:
            _set_key(events, field, key, cells)
        else:
            _set_field(events, name, cells)
    return [_encode(event).encode() for event in events]


def _set_key(events: list[dict[str, Any]], field: str, key: str, cells: list[Any]) -> None:
    kept = field in _NULL_SAYS_SOMETHING
    for event, cell in zip(events, cells, strict=True):
        if kept or cell is not None:
            event.setdefault(field, {})[key] = cell


def _set_field(events: list[dict[str, Any]], field: str, cells: list[Any]) -> None:
    kept = field in _NULL_SAYS_SOMETHING
    for event, cell in zip(events, cells, strict=True):
        if cell is None:
            continue
        pairs = _pairs(cell) if field in OBJECTS else None
        if pairs is None:
            event[field] = cell
        else:
            event.setdefault(field, {}).update((key, each) for key, each in pairs if kept or each is not None)


def _pairs(cell: Any) -> Iterable[tuple[str, Any]] | None:
    """The keys and values of a struct or of a map; ``None`` if it is neither."""
    if isinstance(cell, dict):
        return cell.items()
    if isinstance(cell, list) and all(isinstance(each, tuple) for each in cell):
        return cell
    return None


def _json(value: Any) -> Any:
    """What JSON has for a value that it does not know."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return str(value)


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_json).encode
