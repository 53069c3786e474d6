"""How a reference file becomes the reference of a model: its series, judged from their first event."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.catalog import references
from monitor.catalog.models import Model, Models, Phase
from monitor.catalog.profile import Profile, SeriesProfile
from monitor.catalog.series import RETIRED, SPACE_NAMES, UNJUDGED, Series
from monitor.kernels.hashing import hash_of
from monitor.kernels.table import mix
from monitor.kernels.tally import COLUMNS, EDGES, KIND_CATEGORY, KIND_NUMBER, series_key

_COLUMNS_KEPT = 8
"""References that stay prepared: the models of a fleet may have one in common."""
_SPACES = {name: space for space, name in SPACE_NAMES.items()}


@dataclass(frozen=True, slots=True)
class ReferenceColumns:
    """A profile of ``k`` series as columns, ready to be copied into the tables: shapes ``(k,)`` and what is named.

    ``arrays`` are columns of the series table. ``texts`` holds, by series, the categories, ``text_series`` (t,) whose
    each of all of them is, ``text_hashes`` and ``text_codes`` (t,) what else is known of it; ``first_values`` some
    numbers in their order, of which ``first`` (NaN for a category) is the first.
    """

    names: list[str]
    name_hashes: NDArray[np.uint64]
    spaces: NDArray[np.uint8]
    arrays: dict[str, NDArray[np.generic]]
    texts: dict[int, list[str]]
    text_series: NDArray[np.int64]
    text_hashes: NDArray[np.uint64]
    text_codes: NDArray[np.int64]
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
        self.install_many([(model, profile, digest)])

    def install_many(self, many: Sequence[tuple[int, Profile, str]]) -> None:
        """:meth:`install` for models, none twice: ``many`` are a model, a profile and its digest each."""
        if not many:
            return
        items, rows = self._models.items, self._models.rows
        columns = [self._columns_of(profile, digest) for _, profile, digest in many]
        models = np.array([model for model, _, _ in many])
        known = [items[model] for model in models.tolist()]
        starts = self._add(columns, known, models)
        for model, (_, _, digest), start, own in zip(known, many, starts, columns, strict=True):
            model.series.extend(range(start, start + len(own.names)))
            model.reference_digest = digest
        rows["n_series"][models] = [len(model.series) for model in known]
        rows["phase"][models] = Phase.FROZEN
        rows["from_file"][models] = 1
        rows["learned"][models] = [profile.events for _, profile, _ in many]
        rows.touch(models)

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

    def _add(self, columns: Sequence[ReferenceColumns], known: Sequence[Model], models: NDArray[np.int64]) -> list[int]:
        """Add the series of ``models`` (k,), those of ``columns``; returns where each model's begin."""
        series, rows = self._series, self._series.rows
        sizes = np.array([len(own.names) for own in columns])
        ends = np.cumsum(sizes)
        distinct = list({id(own): own for own in columns}.values())
        place = dict(zip(map(id, distinct), np.cumsum([0, *(len(own.names) for own in distinct)]), strict=False))
        within = np.arange(ends[-1]) - np.repeat(ends - sizes, sizes)
        taken = np.repeat([place[id(own)] for own in columns], sizes) + within
        first_time = np.repeat(self._models.rows["first_time"][models], sizes)
        spaces = np.concatenate([own.spaces for own in distinct])[taken]
        hashes = np.repeat(np.array([model.name_hash for model in known], np.uint64), sizes)
        chosen = series.add_many(
            np.repeat(models, sizes),
            np.repeat([len(model.series) + 1 for model in known], sizes) + within,
            spaces,
            [name for own in columns for name in own.names],
            series_key(hashes, spaces, np.concatenate([own.name_hashes for own in distinct])[taken]),
            first_time,
        )
        part = slice(len(rows) - len(chosen), len(rows))
        for name in distinct[0].arrays:
            rows[name][part] = np.concatenate([own.arrays[name] for own in distinct])[taken]
        starts: list[int] = (part.start + ends - sizes).tolist()
        first = np.concatenate([own.first for own in distinct])[taken]
        of_each = np.repeat(np.arange(len(columns)), sizes)
        for i in np.flatnonzero(references.near_now(first, first_time)).tolist():
            values = columns[of_each[i]].first_values[within[i]]
            if references.tells_time(values, float(first_time[i])):
                rows["unjudged"][part.start + i] = UNJUDGED.index("timestamp")
        self._name_values(columns, starts)
        self._waiting.append(chosen)
        return starts

    def _name_values(self, columns: Sequence[ReferenceColumns], starts: Sequence[int]) -> None:
        """Let the categories of series be known that begin at ``starts``."""
        series = self._series
        for start, own in zip(starts, columns, strict=True):
            self._fixed.update((start + i, fixed) for i, fixed in own.fixed.items())
            series.categories.update((start + i, values.copy()) for i, values in own.texts.items())
        rows = np.concatenate([start + own.text_series for start, own in zip(starts, columns, strict=True)])
        keys = mix(rows.astype(np.uint64), np.concatenate([own.text_hashes for own in columns]))
        series.codes.insert_many(keys, np.concatenate([own.text_codes for own in columns]))


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
    texts = {i: part.categories for i, part in enumerate(parts) if part.kind == "category"}
    return ReferenceColumns(
        names=[part.name for part in parts],
        name_hashes=np.array([hash_of(part.name) for part in parts], np.uint64),
        spaces=np.array([_SPACES[part.space] for part in parts], np.uint8),
        arrays=arrays,
        texts=texts,
        text_series=np.repeat(np.array(list(texts), np.int64), [len(values) for values in texts.values()]),
        text_hashes=np.array([hash_of(value) for values in texts.values() for value in values], np.uint64),
        text_codes=np.array([code for values in texts.values() for code in range(len(values))], np.int64),
        first_values=first_values,
        first=np.array([values[0] if len(values) else np.nan for values in first_values]),
        fixed={i: part for i, part in enumerate(parts) if part.cuts or part.bounds is not None},
    )
