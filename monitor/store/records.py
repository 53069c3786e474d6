"""What is stored of one model besides its numbers, and how is it taken back?"""

from __future__ import annotations

import msgspec
import numpy as np

from monitor.catalog.models import Excluded, Fact, Model, Models, Split
from monitor.catalog.series import RETIRED
from monitor.errors import StoreError
from monitor.fleet import Fleet
from monitor.kernels.hashing import hash64
from monitor.kernels.table import mix
from monitor.kernels.tally import series_key


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


def restore(fleet: Fleet, row: int, record: ModelRecord) -> None:
    """Take a model back; rows come in order, and its numbers are loaded already."""
    models, series = fleet.models, fleet.series
    if row != len(models.items):
        raise StoreError(f"model {len(models.items)} is missing, the next one is {row}")
    split = record.split
    name_hash = hash64(record.name.encode()) if split is None else split.key
    model = Model(record.name, name_hash, fleet.discovery.policy_of(record.name), record.versions, record.facts)
    model.reference_digest, model.full = record.reference_digest, record.full
    model.tolerances, model.contract, model.outside = record.tolerances, record.contract, record.outside
    model.reference_version, model.awaited_version = record.reference_version, record.awaited_version
    model.excluded = record.excluded
    models.items.append(model)
    if split is not None:
        model.split = split
        models.within.setdefault(split.within, []).append(row)
    models.index.insert(name_hash or 1, row)
    _restore_versions(models, row)
    series.names.extend([""] * (len(series.rows) - len(series.names)))
    hashes = np.array([hash64(part.name.encode()) for part in record.series], np.uint64)
    spaces = np.array([part.space for part in record.series], np.uint8)
    keys = series_key(np.full(len(hashes), name_hash or 1, np.uint64), spaces, hashes)
    rows = np.array([part.row for part in record.series], np.int64)
    model.series.extend(rows.tolist())
    there = series.rows["judging"][rows] != RETIRED
    series.index.insert_many(keys[there], rows[there])
    for part in record.series:
        series.names[part.row] = part.name
        if part.categories:
            series.categories[part.row] = part.categories
            texts = np.array([hash64(value.encode()) for value in part.categories], np.uint64)
            series.codes.insert_many(mix(np.full(len(texts), part.row, np.uint64), texts), np.arange(len(texts)))


def _restore_versions(models: Models, row: int) -> None:
    model = models.items[row]
    if model.versions:
        texts = np.array([hash64(version.encode()) for version in model.versions], np.uint64)
        keys = mix(np.full(len(texts), model.name_hash, np.uint64), texts)
        models.versions.insert_many(keys, np.full(len(texts), row))
