"""Which series exist: one for each feature, prediction part, metric and segment of each model; what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.rows import Field, Rows
from monitor.events.columns import Space
from monitor.kernels.hashing import hash64
from monitor.kernels.table import Table, mix_one
from monitor.kernels.tally import BINS, COLUMNS, EDGES, KIND_CATEGORY, KIND_UNKNOWN, SeriesColumns, series_key

BUFFER = 128
"""First values of a number that are kept until its bins are chosen from them."""
CUTS = 9
"""Places at which a distribution is judged."""

JUDGED_SPACES = (Space.FEATURE, Space.PREDICTION, Space.METRIC, Space.SEGMENT)
SPACE_NAMES: dict[int, str] = {
    Space.FEATURE: "feature",
    Space.PREDICTION: "prediction",
    Space.METRIC: "metric",
    Space.SEGMENT: "segment",
}

LEARNING, JUDGED, RETIRED = range(3)
"""What a series' ``judging`` says: its reference is still made; it is judged; another took its place."""

KNOWN, STRANGER, NEWCOMER = range(3)
"""What ``appeared`` says of a series: it was there when the reference was made; the reference, which has others of its
space, does not know it; it came later to a space of which the reference says nothing."""

UNJUDGED = ("", "constant", "identifier", "counter", "timestamp", "free text", "too few values", "mixed types")
"""Why a series is not judged for distribution; index 0: it is."""

FIELDS = {
    "key": Field(np.uint64, still=True),
    "model": Field(np.int32, (), -1, still=True),
    "local": Field(np.int16, still=True),
    "space": Field(np.uint8, still=True),
    "kind": Field(np.uint8, (), KIND_UNKNOWN, still=True),
    "open": Field(np.uint8, (), 1, still=True),
    "judging": Field(np.uint8, still=True),
    "appeared": Field(np.uint8, still=True),
    "unjudged": Field(np.uint8, still=True),
    "n_categories": Field(np.uint8, still=True),
    "n_edges": Field(np.uint8, still=True),
    "n_cuts": Field(np.uint8, still=True),
    "cuts": Field(np.uint8, (CUTS,), still=True, aside=True),
    "buffer": Field(np.int32, (), -1, still=True),
    "edges": Field(np.float64, (EDGES,), still=True),
    "low": Field(np.float64, (), -np.inf, still=True),
    "high": Field(np.float64, (), np.inf, still=True),
    "seen_low": Field(np.float64, (), np.inf, still=True, aside=True),
    "seen_high": Field(np.float64, (), -np.inf, still=True, aside=True),
    "risen": Field(np.uint8, still=True),
    "overlapped": Field(np.uint8, still=True),
    "first_time": Field(np.float64, (), np.nan, still=True, aside=True),
    "reference": Field(np.uint32, (COLUMNS,), still=True, aside=True),
    "suspected": Field(np.int32, (), -1, still=True),
    "recent": Field(np.float32, (COLUMNS,), aside=True),
}
SUSPECTED_FIELDS = {"series": Field(np.int32, (), -1), "counts": Field(np.uint32, (COLUMNS,))}
BUFFER_FIELDS = {"series": Field(np.int32, (), -1), "fill": Field(np.int32), "values": Field(np.float64, (BUFFER,))}


class Series:
    """All series of the fleet; a series' row never changes.

    ``rows`` holds the arrays of :data:`FIELDS`; ``names`` and ``categories`` (values by code) what is not a number.
    ``index`` finds the row of (model, space, name), ``codes`` the code of (row, category).
    """

    def __init__(self) -> None:
        self.rows = Rows(FIELDS)
        self.buffers = Rows(BUFFER_FIELDS)
        self.names: list[str] = []
        self.categories: dict[int, list[str]] = {}
        self.index = Table()
        self.codes = Table()
        self.changed: set[int] = set()
        """Rows whose names or categories changed since the store last asked."""
        self.suspected = Rows(SUSPECTED_FIELDS)
        self._free_buffers: list[int] = []
        self._free_suspected: list[int] = []

    def add(self, model: int, local: int, space: int, name: str, key: int, first_time: float) -> int:
        """A new series; ``key`` is its key in ``index``. Returns its row."""
        row = self.rows.add()
        self.rows["key"][row] = key
        self.rows["model"][row] = model
        self.rows["local"][row] = local
        self.rows["space"][row] = space
        self.rows["first_time"][row] = first_time
        self.names.append(name)
        self.changed.add(row)
        self.index.insert(key, row)
        return row

    def add_many(
        self,
        model: NDArray[np.int64],
        local: NDArray[np.int64],
        spaces: NDArray[np.uint8],
        names: Sequence[str],
        keys: NDArray[np.uint64],
        first_time: NDArray[np.float64],
    ) -> NDArray[np.int64]:
        """:meth:`add` for ``k`` series; all shapes ``(k,)``, as the rows that are returned."""
        chosen = np.arange(self.rows.add(len(names)), len(self.rows))
        part = slice(len(self.rows) - len(names), len(self.rows))
        self.rows["key"][part], self.rows["model"][part], self.rows["space"][part] = keys, model, spaces
        self.rows["local"][part], self.rows["first_time"][part] = local, first_time
        self.names += names
        self.changed.update(chosen.tolist())
        self.index.insert_many(keys, chosen)
        return chosen

    def add_category(self, row: int, value: str, text_hash: int) -> int:
        """Give ``value`` the next code of ``row``; returns the code."""
        values = self.categories.setdefault(row, [])
        code = len(values)
        values.append(value)
        self.changed.add(row)
        self.rows["kind"][row] = KIND_CATEGORY
        self.rows["n_categories"][row] = len(values)
        self.codes.insert(mix_one(row, text_hash), code)
        self.rows.touch(row)
        return code

    def find_category(self, row: int, text_hash: int) -> int:
        """The code of a category of ``row``; -1 where it has none."""
        return self.codes.find_one(mix_one(row, text_hash))

    def retire(self, rows: NDArray[np.int64], model_hash: int) -> None:
        """Let ``rows``, all of one model, be judged and found no more: others take their place."""
        self.release(rows)
        self.rows["judging"][rows] = RETIRED
        self.rows["key"][rows] = 0
        self.rows.touch(rows)
        names = np.array([hash64(self.names[row].encode()) for row in rows.tolist()], np.uint64)
        self.index.forget(series_key(np.full(len(rows), model_hash, np.uint64), self.rows["space"][rows], names))

    def columns(self) -> SeriesColumns:
        """What counting needs to know, as the arrays are now."""
        r = self.rows
        return SeriesColumns(r["local"], r["kind"], r["open"], r["n_edges"], r["edges"], r["low"], r["high"])

    def buffer_of(self, row: int) -> int:
        """The buffer in which ``row`` collects its first numbers; taken when first asked for."""
        slot = int(self.rows["buffer"][row])
        if slot < 0:
            slot = self._free_buffers.pop() if self._free_buffers else self.buffers.add()
            self.buffers["series"][slot] = row
            self.buffers["fill"][slot] = 0
            self.rows["buffer"][row] = slot
            self.rows.touch(row)
        return slot

    def release_buffer(self, row: int) -> None:
        """Give the buffer of ``row`` back."""
        slot = int(self.rows["buffer"][row])
        if slot >= 0:
            self.buffers.reset(slot)
            self.rows["buffer"][row] = -1
            self._free_buffers.append(slot)

    def buffered(self, row: int) -> NDArray[np.float64]:
        """The numbers that ``row`` has collected so far, in the order they came."""
        slot = int(self.rows["buffer"][row])
        if slot < 0:
            return np.empty(0)
        values: NDArray[np.float64] = self.buffers["values"][slot, : int(self.buffers["fill"][slot])]
        return values

    def restored(self) -> None:
        """After loading: note which buffers, and which rows of what is suspected, are free."""
        self._free_buffers, self._free_suspected = (
            np.flatnonzero(table["series"][: len(table)] < 0).tolist() for table in (self.buffers, self.suspected)
        )

    def suspect(self, rows: NDArray[np.int64], counts: NDArray[np.uint32]) -> None:
        """Hold what ``rows``, none twice, showed in a tick: ``counts`` (k, 40) come to what is held of them."""
        fresh = rows[self.rows["suspected"][rows] < 0]
        more = len(fresh) - len(self._free_suspected)
        if more > 0:
            self._free_suspected += range(self.suspected.add(more), len(self.suspected))
        if len(fresh):
            slots = np.array(self._free_suspected[: len(fresh)], np.int64)
            del self._free_suspected[: len(fresh)]
            self.suspected["series"][slots], self.rows["suspected"][fresh] = fresh, slots
            self.rows.touch(fresh)
        slots = self.rows["suspected"][rows].astype(np.int64)
        self.suspected["counts"][slots] += counts
        self.suspected.touch(slots)

    def since_suspicion(self, rows: NDArray[np.int64]) -> NDArray[np.uint32]:
        """What is held of ``rows``, shape ``(k, 40)``: zeros where nothing is."""
        slots = self.rows["suspected"][rows].astype(np.int64)
        counts = np.zeros((len(rows), COLUMNS), np.uint32)
        counts[slots >= 0] = self.suspected["counts"][slots[slots >= 0]]
        return counts

    def release(self, rows: NDArray[np.int64]) -> None:
        """Hold nothing of ``rows`` any more."""
        slots = self.rows["suspected"][rows].astype(np.int64)
        slots, rows = slots[slots >= 0], rows[slots >= 0]
        if len(slots):
            self.suspected.reset(slots)
            self.rows["suspected"][rows] = -1
            self.rows.touch(rows)
            self._free_suspected = sorted([*self._free_suspected, *slots.tolist()])

    def label(self, row: int) -> str:
        """The name people know the series by."""
        return self.names[row]

    def bin_label(self, row: int, index: int) -> str:
        """What stands in a bin of ``row``, in words: a category, or a range of numbers."""
        if self.rows["kind"][row] == KIND_CATEGORY:
            values = self.categories.get(row, [])
            if index < len(values):
                return values[index]
            return "unseen" if index == BINS - 1 else "other"
        n, edges = int(self.rows["n_edges"][row]), self.rows["edges"][row]
        if index == 0:
            return f"<= {edges[0]:.6g}"
        if index >= n:
            return f"> {edges[n - 1]:.6g}"
        return f"{edges[index - 1]:.6g} to {edges[index]:.6g}"


def choose_edges(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """At most 31 bin edges for ``values``, shape ``(n,)``, all finite: each distinct value, or evenly spaced quantiles.

    Bin ``j`` holds what is above edge ``j - 1`` and not above edge ``j``; the last bin all that is above every edge.
    """
    distinct = np.unique(values)
    if len(distinct) <= EDGES:
        return distinct
    levels = np.arange(1, BINS) / BINS
    edges: NDArray[np.float64] = np.unique(np.quantile(values, levels, method="inverted_cdf"))
    return edges


def bin_values(values: NDArray[np.float64], edges: NDArray[Any]) -> NDArray[np.int64]:
    """Counts of ``values`` in the bins of ``edges``, shape ``(32,)``."""
    return np.bincount(np.searchsorted(edges, values, side="left"), minlength=BINS)
