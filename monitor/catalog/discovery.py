"""Finds the models and series of a batch, and lets in those that were never met, within the limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.models import Models, Phase
from monitor.catalog.policies import Policy
from monitor.catalog.series import JUDGED_SPACES, KNOWN, NEWCOMER, RETIRED, STRANGER, Series
from monitor.events.columns import EventBatch, Space, ValueType
from monitor.kernels.table import mix
from monitor.kernels.tally import Entries, series_key, series_of, starts_of

LOCAL_MAX = 32000
"""Series a model can have at most, whatever the limits say: places in its blocks are 16 bits wide."""


@dataclass(slots=True)
class Resolved:
    """A batch with the rows it belongs to.

    ``model`` (int32, per event) is -1 where a model was not let in; ``entries`` has -1 where a value is not watched.
    ``models_turned_away`` counts events, ``series_turned_away`` values, that a limit kept out.
    """

    model: NDArray[np.int32]
    entries: Entries
    models_turned_away: int
    series_turned_away: int


class Discovery:
    """Resolves batches. ``policy_of`` gives the policy of a model by its name."""

    def __init__(
        self, models: Models, series: Series, policy_of: Callable[[str], Policy], series_per_model_max: int
    ) -> None:
        self._models = models
        self._series = series
        self.policy_of = policy_of
        self._series_max = min(series_per_model_max, LOCAL_MAX)
        self.shut = False
        """Whether no new models and series are let in for now, because memory is short."""
        self.grown: set[int] = set()
        """Models that got a series since the caller last emptied this."""
        self.on_models: Callable[[range], None] = lambda _models: None
        """Hears of new models, when their first versions are known and before their series are."""
        self.on_version: Callable[[int, float], None] = lambda _model, _time: None
        """Hears of each further version of a model."""

    def turns(self, batch: EventBatch) -> NDArray[np.bool_]:
        """Events with which something begins that may not reach back to those before, shape ``(n,)``.

        A version that was never met may bring its reference; and the facts of a life are noted in their order.
        """
        turns = batch.lifecycle > 0
        turns[1:] |= turns[:-1].copy()
        turns[self._new_versions(batch, np.maximum(batch.model.hash, np.uint64(1)))] = True
        return turns

    def resolve(self, batch: EventBatch) -> Resolved:
        """Find, or let in, the models, versions and series of ``batch``."""
        hashes = np.maximum(batch.model.hash, np.uint64(1))
        met = len(self._models)
        model, turned_away = self._resolve_models(batch, hashes)
        self._resolve_versions(batch, hashes, model, met)
        if met < len(self._models):
            self.on_models(range(met, len(self._models)))
        start, like = starts_of(batch.event, len(batch)), np.full(len(batch), -1, np.int32)
        series, series_turned_away = self._resolve_series(batch, hashes, model, start, like)
        columns = (batch.event, batch.type, batch.space, series, batch.number, batch.text.hash, batch.name.hash)
        entries = Entries(*columns, start=start, like=like)
        return Resolved(model, entries, turned_away, series_turned_away)

    def _resolve_models(self, batch: EventBatch, hashes: NDArray[np.uint64]) -> tuple[NDArray[np.int32], int]:
        model = self._models.index.find(hashes)
        unknown = np.flatnonzero(model < 0)
        if not len(unknown):
            return model, 0
        new = unknown[_first_of_each(hashes[unknown])][: 0 if self.shut else self._models.room]
        if len(new):
            names = [batch.string(batch.model, i) for i in new.tolist()]
            self._models.add_many(names, hashes[new], [self.policy_of(name) for name in names], batch.time[new])
        model[unknown] = self._models.index.find(hashes[unknown])
        return model, int((model < 0).sum())

    def _resolve_versions(
        self, batch: EventBatch, hashes: NDArray[np.uint64], model: NDArray[np.int32], met: int
    ) -> None:
        new, named = self._new_versions(batch, hashes), batch.namer(batch.version)
        for i in new[model[new] >= 0].tolist():
            row, version = int(model[i]), named(i)
            self._models.note(row, float(batch.time[i]), "version", version)
            self._models.add_version(row, version, int(batch.version.hash[i]))
            if row < met:
                self.on_version(row, float(batch.time[i]))

    def _new_versions(self, batch: EventBatch, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The first event of each (model, version) that was never met; ``hashes`` are those of the models."""
        named = np.flatnonzero(batch.version.length > 0)
        if not len(named):
            return named
        pairs = mix(hashes[named], batch.version.hash[named])
        unknown = np.flatnonzero(self._models.versions.find(pairs) < 0)
        return named[unknown[_first_of_each(pairs[unknown])]]

    def _resolve_series(
        self,
        batch: EventBatch,
        hashes: NDArray[np.uint64],
        model: NDArray[np.int32],
        start: NDArray[np.int32],
        like: NDArray[np.int32],
    ) -> tuple[NDArray[np.int32], int]:
        row_keys, index = self._series.rows["key"], self._series.index
        names = batch.space, batch.name.hash
        series, unknown = series_of(batch.event, hashes, model, *names, row_keys, index, like, start)
        if not len(unknown):
            return series, 0
        keys = series_key(hashes[batch.event[unknown]], batch.space[unknown], batch.name.hash[unknown])
        watchable = batch.type[unknown] != ValueType.DROPPED  # what is dropped lets nothing in, nor keeps it out
        first = np.flatnonzero(watchable)[_first_of_each(keys[watchable])]
        for j in first.tolist():
            i = int(unknown[j])
            self._let_in(batch, i, int(model[batch.event[i]]), int(keys[j]))
        series[unknown] = self._series.index.find(keys)
        dropped = np.flatnonzero(~watchable & (series[unknown] >= 0))
        if len(dropped):
            # What came before its series was let in is of none, as if the batch had ended there.
            order = np.argsort(keys[first])
            since = first[order[np.searchsorted(keys[first], keys[dropped], sorter=order)]]
            before = unknown[dropped[dropped < since]]
            series[before] = -1
            like[np.isin(like, batch.event[before])] = -1
        return series, int(((series[unknown] < 0) & watchable).sum())

    def _let_in(self, batch: EventBatch, entry: int, model: int, key: int) -> None:
        known = self._models.items[model]
        if self.shut or known.full:
            return
        if len(known.series) - known.retired >= self._series_max or len(known.series) >= LOCAL_MAX:
            known.full = True
            return
        time = float(batch.time[batch.event[entry]])
        space, name = int(batch.space[entry]), batch.string(batch.name, entry)
        assert space in JUDGED_SPACES
        appeared = self._appeared(model, space)
        row = self._series.add(model, len(known.series) + 1, space, name, key, time)
        known.series.append(row)
        self._models.rows["n_series"][model] = len(known.series)
        self._models.rows.touch(model)
        self.grown.add(model)
        self._series.rows["appeared"][row] = appeared
        if appeared != KNOWN:
            self._models.note(model, time, f"new {Space(space).name.lower()}", name)

    def _appeared(self, model: int, space: int) -> int:
        """What a series is to its model that comes only now; where the reference speaks of its space, a stranger."""
        if self._models.rows["phase"][model] == Phase.LEARNING:
            return KNOWN
        rows, own = self._series.rows, np.array(self._models.items[model].series, np.int64)
        others = own[(rows["judging"][own] != RETIRED) & (rows["appeared"][own] != NEWCOMER)]
        return STRANGER if bool((rows["space"][others] == space).any()) else NEWCOMER


def _first_of_each(keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Indices of the first occurrence of each distinct key, in the order they came."""
    return np.sort(np.unique(keys, return_index=True)[1])
