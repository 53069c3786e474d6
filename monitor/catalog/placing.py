"""Places values that counting could not: the first numbers of a series, and categories that were never met."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.catalog import references
from monitor.catalog.series import BUFFER, Series
from monitor.events.columns import EventBatch, ValueType
from monitor.kernels.tally import (
    KIND_CATEGORY,
    KIND_NUMBER,
    KIND_UNKNOWN,
    OTHER_BIN,
    TYPE,
    Counts,
    Entries,
    add,
    count_numbers,
    note_texts,
)


def place(
    series: Series,
    batch: EventBatch,
    entries: Entries,
    deferred: NDArray[np.int64],
    event_base: NDArray[np.int32],
    counts: Counts,
    moments: NDArray[np.float64],
    categories_max: int,
) -> tuple[int, NDArray[np.int64]]:
    """Give each of the ``deferred`` entries its place: a series' first value decides what kind of series it is.

    Returns how many values are of categories beyond the most that are told apart, and the entries whose numbers wait
    for bins: they lie in none, also where what came behind them in the same batch brought bins.
    """
    _decide_kinds(series, entries, deferred)
    rows = entries.series[deferred]
    kinds = series.rows["kind"][rows]
    is_number = entries.type[deferred] == ValueType.NUMBER
    at = event_base[entries.event[deferred]].astype(np.int64) + series.rows["local"][rows]
    wrong = is_number != (kinds == KIND_NUMBER)
    add(counts, at[wrong], TYPE)
    numbers = is_number & ~wrong
    waiting = np.zeros(0, np.int64)
    if numbers.any():
        collected = _collect(series, rows[numbers], entries.number[deferred[numbers]], at[numbers], counts, moments)
        waiting = deferred[numbers][collected]
    texts = ~is_number & ~wrong
    note_texts(entries.text[deferred[texts]], at[texts], moments)
    most = min(categories_max, OTHER_BIN)
    full = texts & (series.rows["n_categories"][rows] >= most)
    add(counts, at[full], OTHER_BIN)
    others = int(full.sum())
    for i in np.flatnonzero(texts & ~full).tolist():
        code = _code(series, batch, int(deferred[i]), int(rows[i]), most)
        counts[at[i], code] += 1
        others += code == OTHER_BIN
    return others, waiting


def _decide_kinds(series: Series, entries: Entries, deferred: NDArray[np.int64]) -> None:
    new = deferred[series.rows["kind"][entries.series[deferred]] == KIND_UNKNOWN]
    if not len(new):
        return
    rows, first = np.unique(entries.series[new], return_index=True)
    is_number = entries.type[new[first]] == ValueType.NUMBER
    series.rows["kind"][rows] = np.where(is_number, KIND_NUMBER, KIND_CATEGORY)
    series.rows.touch(rows)


def _collect(
    series: Series,
    rows: NDArray[np.int32],
    values: NDArray[np.float64],
    at: NDArray[np.int64],
    counts: Counts,
    moments: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Put ``values`` into the buffers of their series; what comes after a buffer is full goes into the new bins.

    Returns which of them are in a buffer.
    """
    for row in np.unique(rows[series.rows["buffer"][rows] < 0]).tolist():
        series.buffer_of(row)
    slots = series.rows["buffer"][rows]
    order = np.argsort(slots, kind="stable")
    ordered = slots[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    sizes = np.diff(np.r_[starts, len(ordered)])
    rank = np.arange(len(ordered)) - np.repeat(starts, sizes)
    place_in = series.buffers["fill"][ordered] + rank
    fits = place_in < BUFFER
    series.buffers["values"][ordered[fits], place_in[fits]] = values[order][fits]
    met = ordered[starts]
    series.buffers["fill"][met] = np.minimum(series.buffers["fill"][met] + sizes, BUFFER)
    series.buffers.touch(met)
    full = series.buffers["series"][met[series.buffers["fill"][met] == BUFFER]].astype(np.int64)
    if len(full):
        references.settle_full(series, full)
    left = order[~fits]
    count_numbers(values[left], rows[left], at[left], series.columns(), counts, moments)
    collected: NDArray[np.int64] = order[fits]
    return collected


def _code(series: Series, batch: EventBatch, entry: int, row: int, most: int) -> int:
    """The bin of a category of an open series, which gets a new one while there are any."""
    known = series.find_category(row, int(batch.text.hash[entry]))
    if known >= 0:
        return known
    if int(series.rows["n_categories"][row]) >= most:
        return OTHER_BIN
    is_bool = batch.type[entry] == ValueType.BOOL
    value = ("true" if batch.number[entry] else "false") if is_bool else batch.string(batch.text, entry)
    return series.add_category(row, value, int(batch.text.hash[entry]))
