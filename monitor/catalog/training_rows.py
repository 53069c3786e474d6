"""Which files make up a training set, and by whom each is read."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from monitor.catalog.training_objects import read_objects
from monitor.catalog.training_stretch import Reading, Stretch
from monitor.catalog.training_tables import read_csv, read_parquet
from monitor.errors import ProfileError

KINDS = (".csv", ".csv.gz", ".parquet", ".jsonl", ".jsonl.gz")


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

    reader = read_parquet if path.name.endswith(".parquet") else read_csv if ".csv" in path.suffixes else read_objects
    try:
        yield from reader(path, reading)
    except OSError as error:
        raise ProfileError(f"{path}: {error.strerror or error}") from error
    except (EOFError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        raise ProfileError(f"{path}: {error}") from error


def _is_data(relative: Path) -> bool:
    return relative.name.endswith(KINDS) and not any(part.startswith((".", "_")) for part in relative.parts)
