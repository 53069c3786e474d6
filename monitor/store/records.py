"""What is stored of one model besides its numbers, and how is it taken back?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.catalog.models import Excluded, Fact, Model, Models, Split
from monitor.catalog.series import RETIRED, Series
from monitor.errors import StoreError
from monitor.fleet import Fleet
from monitor.kernels.hashing import hash_of
from monitor.kernels.table import mix
from monitor.kernels.tally import series_key

_AT_ONCE = 256
"""Models that are taken back together: their series are entered at once."""


class SeriesRecord(msgspec.Struct, array_like=True):
    """One series: its row, space, name, and categories by code."""

    row: int
    space: int
    name: str
    categories: list[str]


class ModelRecord(msgspec.Struct):
    """One model, besides the numbers."""

    name: str
    versions: list[str]
    facts: list[Fact]
    series: list[SeriesRecord]
    reference_digest: str
    full: bool
    tolerances: dict[str, float]
    contract: dict[str, float]
    outside: dict[str, int]
    reference_version: str
    awaited_version: str
    split: Split | None = None
    excluded: list[Excluded] = []


def record_of(fleet: Fleet, model: Model) -> ModelRecord:
    """What is stored of ``model``."""
    series = fleet.series
    spaces = series.rows["space"][model.series].tolist()
    return ModelRecord(
        name=model.name,
        versions=model.versions,
        facts=model.facts,
        series=[
            SeriesRecord(row, space, series.names[row], series.categories.get(row, []))
            for row, space in zip(model.series, spaces, strict=True)
        ],
        reference_digest=model.reference_digest,
        full=model.full,
        tolerances=model.tolerances,
        contract=model.contract,
        outside=model.outside,
        reference_version=model.reference_version,
        awaited_version=model.awaited_version,
        split=model.split,
        excluded=model.excluded,
    )


def restore(fleet: Fleet, records: Iterable[tuple[int, ModelRecord]]) -> None:
    """Take models back, each with its row; rows come in order, and their numbers are loaded already."""
    left = iter(records)
    while some := list(islice(left, _AT_ONCE)):
        _restore(fleet, some)


def _restore(fleet: Fleet, records: Sequence[tuple[int, ModelRecord]]) -> None:
    models, series = fleet.models, fleet.series
    series.names.extend([""] * (len(series.rows) - len(series.names)))
    for row, record in records:
        if row != len(models.items):
            raise StoreError(f"model {len(models.items)} is missing, the next one is {row}")
        models.items.append(_model(fleet, record))
        if record.split is not None:
            models.within.setdefault(record.split.within, []).append(row)
    rows = np.array([row for row, _ in records])
    hashes = np.array([models.items[row].name_hash for row in rows.tolist()], np.uint64)
    models.index.insert_many(np.maximum(hashes, np.uint64(1)), rows)
    _restore_versions(models, rows, hashes)
    sizes = [len(record.series) for _, record in records]
    _restore_series(series, [part for _, record in records for part in record.series], np.repeat(hashes, sizes))


def _model(fleet: Fleet, record: ModelRecord) -> Model:
    split = record.split
    name_hash = hash_of(record.name) if split is None else split.key
    model = Model(record.name, name_hash, fleet.discovery.policy_of(record.name), record.versions, record.facts)
    model.reference_digest, model.full = record.reference_digest, record.full
    model.tolerances, model.contract, model.outside = record.tolerances, record.contract, record.outside
    model.reference_version, model.awaited_version = record.reference_version, record.awaited_version
    model.excluded, model.split = record.excluded, split
    model.series.extend([part.row for part in record.series])
    return model


def _restore_versions(models: Models, rows: NDArray[np.int64], hashes: NDArray[np.uint64]) -> None:
    versions = [models.items[row].versions for row in rows.tolist()]
    of = np.repeat(np.arange(len(rows)), [len(each) for each in versions])
    texts = _hashes(version for each in versions for version in each)
    models.versions.insert_many(mix(hashes[of], texts), rows[of])


def _restore_series(series: Series, parts: Sequence[SeriesRecord], models: NDArray[np.uint64]) -> None:
    """Take series back, of which ``models`` (k,) are the hashes of the models."""
    rows = np.array([part.row for part in parts], np.int64)
    spaces = np.array([part.space for part in parts], np.uint8)
    keys = series_key(np.maximum(models, np.uint64(1)), spaces, _hashes(part.name for part in parts))
    there = series.rows["judging"][rows] != RETIRED
    series.index.insert_many(keys[there], rows[there])
    for part in parts:
        series.names[part.row] = part.name
    worded = [part for part in parts if part.categories]
    series.categories.update((part.row, part.categories) for part in worded)
    owners = np.repeat(np.array([part.row for part in worded], np.uint64), [len(part.categories) for part in worded])
    codes = [code for part in worded for code in range(len(part.categories))]
    texts = _hashes(value for part in worded for value in part.categories)
    series.codes.insert_many(mix(owners, texts), np.array(codes, np.int64))


def _hashes(texts: Iterable[str]) -> NDArray[np.uint64]:
    return np.array([hash_of(text) for text in texts], np.uint64)
