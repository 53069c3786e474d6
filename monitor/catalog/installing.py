"""How a reference file becomes the reference of a model: its series, judged from their first event."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from monitor.catalog import references
from monitor.catalog.models import Models, Phase
from monitor.catalog.profile import Profile, SeriesProfile
from monitor.catalog.series import RETIRED, SPACE_NAMES, UNJUDGED, Series
from monitor.kernels.hashing import hash64
from monitor.kernels.table import mix
from monitor.kernels.tally import COLUMNS, EDGES, KIND_CATEGORY, KIND_NUMBER, series_key

_COLUMNS_KEPT = 8
"""References that stay prepared: the models of a fleet may have one in common."""
_NAMES_CACHED = 1 << 14
_SPACES = {name: space for space, name in SPACE_NAMES.items()}


@dataclass(frozen=True, slots=True)
class ReferenceColumns:
    """A profile of ``k`` series as columns, ready to be copied into the tables: shapes ``(k,)`` and what is named.

    ``arrays`` are columns of the series table. ``texts`` holds, by series, the categories and their hashes;
    ``first_values`` some numbers in their order, of which ``first`` (NaN for a category) is the first.
    """

    names: list[str]
    name_hashes: NDArray[np.uint64]
    spaces: NDArray[np.uint8]
    arrays: dict[str, NDArray[np.generic]]
    texts: dict[int, tuple[list[str], NDArray[np.uint64]]]
    first_values: list[NDArray[np.float64]]
    first: NDArray[np.float64]
    fixed: dict[int, SeriesProfile]
    """By series, those whose cuts or range were fixed before."""


class Installer:
    """Makes profiles the references of models. What is installed is judged once :meth:`begin` was called."""

    def __init__(self, models: Models, series: Series) -> None:
        self._models = models
        self._series = series
        self._columns: OrderedDict[str, ReferenceColumns] = OrderedDict()
        self._waiting: list[NDArray[np.int64]] = []
        self._fixed: dict[int, SeriesProfile] = {}

    def install(self, profile: Profile, digest: str, model: int) -> None:
        """Make ``profile`` the reference of ``model``; the series that it had before are retired by the caller."""
        known, rows = self._models.items[model], self._models.rows
        columns = self._columns_of(profile, digest)
        first_time = float(rows["first_time"][model])
        chosen = self._add(columns, model, known.name_hash, len(known.series) + 1, first_time)
        known.series.extend(chosen.tolist())
        known.reference_digest = digest
        rows["n_series"][model] = len(known.series)
        rows["phase"][model] = Phase.FROZEN
        rows["from_file"][model] = 1
        rows["learned"][model] = profile.events
        rows.touch(model)
        self._waiting.append(chosen)

    def begin(self) -> NDArray[np.int64]:
        """Fix what is judged of everything installed since the last call; returns its series that still count."""
        if not self._waiting:
            return np.empty(0, np.int64)
        rows = np.concatenate(self._waiting)
        self._waiting.clear()
        rows = np.delete(rows, np.flatnonzero(self._series.rows["judging"][rows] == RETIRED))
        references.begin_judging(self._series, rows)
        for row, part in self._fixed.items():
            self._fix(row, part)
        self._fixed.clear()
        return rows

    def _fix(self, row: int, part: SeriesProfile) -> None:
        """Judge a series at the cuts and by the range that its reference says."""
        rows = self._series.rows
        if part.cuts:
            rows["cuts"][row] = 0
            rows["cuts"][row, : len(part.cuts)], rows["n_cuts"][row] = part.cuts, len(part.cuts)
        if part.bounds is not None:
            rows["low"][row], rows["high"][row] = part.bounds

    def _columns_of(self, profile: Profile, digest: str) -> ReferenceColumns:
        columns = self._columns.pop(digest, None) or reference_columns(profile)
        self._columns[digest] = columns
        if len(self._columns) > _COLUMNS_KEPT:
            self._columns.popitem(last=False)
        return columns

    def _add(
        self, columns: ReferenceColumns, model: int, model_hash: int, local: int, first_time: float
    ) -> NDArray[np.int64]:
        series, rows = self._series, self._series.rows
        keys = series_key(np.full(len(columns.names), model_hash, np.uint64), columns.spaces, columns.name_hashes)
        chosen = series.add_many(model, local, columns.spaces, columns.names, keys, first_time)
        part = slice(int(chosen[0]), int(chosen[-1]) + 1) if len(chosen) else slice(0, 0)
        for name, array in columns.arrays.items():
            rows[name][part] = array
        for i in np.flatnonzero(references.near_now(columns.first, first_time)).tolist():
            if references.tells_time(columns.first_values[i], first_time):
                rows["unjudged"][part.start + i] = UNJUDGED.index("timestamp")
        codes = []
        self._fixed.update((part.start + i, fixed) for i, fixed in columns.fixed.items())
        for i, (values, hashes) in columns.texts.items():
            series.categories[part.start + i] = list(values)
            codes.append((mix(np.full(len(hashes), part.start + i, np.uint64), hashes), np.arange(len(hashes))))
        if codes:
            series.codes.insert_many(np.concatenate([c for c, _ in codes]), np.concatenate([n for _, n in codes]))
        return chosen


def reference_columns(profile: Profile) -> ReferenceColumns:
    """The columns of ``profile``."""
    parts = profile.series
    is_number = np.array([part.kind == "number" for part in parts], bool)
    edges = np.zeros((len(parts), EDGES))
    for i, part in enumerate(parts):
        edges[i, : len(part.edges)] = part.edges
    first_values = [np.array(part.first_values) for part in parts]
    unjudged = [
        UNJUDGED.index(part.unjudged) or references.counts_or_names(part.name, values)
        for part, values in zip(parts, first_values, strict=True)
    ]
    arrays: dict[str, NDArray[np.generic]] = {
        "reference": np.array([part.counts for part in parts], np.uint32).reshape(-1, COLUMNS),
        "kind": np.where(is_number, KIND_NUMBER, KIND_CATEGORY).astype(np.uint8),
        "edges": edges,
        "n_edges": np.array([len(part.edges) for part in parts], np.uint8),
        "n_categories": np.array([len(part.categories) for part in parts], np.uint8),
        "seen_low": np.array([part.low if part.kind == "number" else np.inf for part in parts]),
        "seen_high": np.array([part.high if part.kind == "number" else -np.inf for part in parts]),
        "unjudged": np.where(is_number, unjudged, 0).astype(np.uint8),
    }
    return ReferenceColumns(
        names=[part.name for part in parts],
        name_hashes=np.array([_hash_of(part.name) for part in parts], np.uint64),
        spaces=np.array([_SPACES[part.space] for part in parts], np.uint8),
        arrays=arrays,
        texts={i: _texts(part) for i, part in enumerate(parts) if part.kind == "category"},
        first_values=first_values,
        first=np.array([values[0] if len(values) else np.nan for values in first_values]),
        fixed={i: part for i, part in enumerate(parts) if part.cuts or part.bounds is not None},
    )


def _texts(part: SeriesProfile) -> tuple[list[str], NDArray[np.uint64]]:
    return part.categories, np.array([_hash_of(value) for value in part.categories], np.uint64)


@lru_cache(_NAMES_CACHED)
def _hash_of(text: str) -> int:
    """The hash of a name or a value: the models of a fleet have most of them in common."""
    return hash64(text.encode())
