"""The sums of a tick: entries counted into the rows of their ticks. Compiled in ``tally.c`` and ``entries.c``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.events.columns import Space, ValueType
from monitor.kernels.library import address, needed
from monitor.kernels.table import Table, compiled, mix

COLUMNS = 40
"""Counts a row has: 32 bins, then one column for each thing that a value can be instead."""
BINS = 32
EDGES = BINS - 1
OTHER_BIN = 30
"""Of a category: values beyond the most that are told apart."""
UNSEEN_BIN = 31
"""Of a category: values that the reference does not have."""
NULLS, INVALID, TYPE, DROPPED, BELOW, ABOVE = range(32, 38)
EVENTS = 38
"""Events in which the series could have stood; filled in when a tick closes."""
PRESENT = 39
"""Entries of any type."""
ELSEWHERE = 255
"""In place of a column: the catalogue places the value, or does not know yet what its series is."""
MOMENTS = 4
"""Sum and sum of squares about the middle edge, smallest, largest; of a category the least and the greatest hash."""
WITH_INPUTS, REPEATED_INPUTS, FAR_INPUTS = range(6, 9)
"""Columns of a block's first row: events with inputs, those whose inputs came before, those far outside."""
FAR_MIN = 2
"""Features of one event that must lie outside their ranges at once."""
RECENT = 32
"""Marks of recent inputs that are kept of each model."""
_HASH_SHIFT = np.uint64(11)
"""What a float64 cannot hold of a hash."""
_NEAR_SHIFT, _NEAR_HALF = np.uint64(45), np.uint64(1 << 44)
"""Bits of a number that are left out of its print: seven of its fraction stay."""

KIND_UNKNOWN, KIND_NUMBER, KIND_CATEGORY = range(3)

Counts = NDArray[np.uint16] | NDArray[np.uint32]
"""Counts (rows, 40) of open ticks: as wide as they must be."""


@dataclass(slots=True)
class Entries:
    """Entries of a batch with the series each belongs to; every array has shape ``(m,)``. ``series`` is -1 for none.

    ``text`` and ``name`` are hashes. ``column`` is empty until the entries were counted; then it is the column that
    each was counted into, or :data:`ELSEWHERE`. ``start`` (n + 1,) says where those of each event begin, as
    :func:`starts_of` does, ``like`` (n,) which event before each names the same, as :func:`series_of` does, ``order``
    (n,) in which order events are counted, as :func:`order_of` puts their blocks; they may be empty. Whoever gives an
    entry another series before it is counted takes back what is like its event.
    """

    event: NDArray[np.int32]
    type: NDArray[np.uint8]
    space: NDArray[np.uint8]
    series: NDArray[np.int32]
    number: NDArray[np.float64]
    text: NDArray[np.uint64]
    name: NDArray[np.uint64]
    column: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    start: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    like: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    order: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))

    def starts(self, n: int) -> NDArray[np.int32]:
        """``start``, which is found here if nobody said it, of ``n`` events."""
        return self.start if len(self.start) else starts_of(self.event, n)

    def liked(self, n: int) -> NDArray[np.int32]:
        """``like``; none of ``n`` events is like another if nobody said it."""
        return self.like if len(self.like) else np.full(n, -1, np.int32)


@dataclass(slots=True)
class SeriesColumns:
    """What counting must know of each series, by series row: see ``catalog/series.py``."""

    local: NDArray[np.int16]
    kind: NDArray[np.uint8]
    open: NDArray[np.uint8]
    n_edges: NDArray[np.uint8]
    edges: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def tally(
    entries: Entries,
    event_base: NDArray[np.int32],
    series: SeriesColumns,
    categories: Table,
    counts: Counts,
    moments: NDArray[np.float64],
    people: int = 0,
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Count ``entries`` into ``counts`` (rows, 40) and ``moments`` (rows, 4), and note their columns.

    ``event_base`` gives each event the first row of its tick's block, or -1 for an event that is not counted.
    Returns the indices of the entries that only the catalogue can place: numbers without bins yet, categories that
    were never met. They are counted as present and nothing else. Beside them, by event, a print of its inputs: alike
    where all features are, by their names, numbers to a part in 128; 0 where there are none.

    ``people`` is where a call of :func:`monitor.kernels.groups.count_groups` lies, 0 for none: the same events are
    counted by it as well, while what they say is in a near cache.
    """
    if compiled() is None:
        return tally_twin(entries, event_base, series, categories, counts, moments)
    n_events, n_entries = len(event_base), len(entries.event)
    deferred = np.empty(n_entries + 1, np.int64)
    prints = np.zeros(n_events, np.uint64)
    entries.column = np.full(n_entries, ELSEWHERE, np.uint8)
    start, like = entries.starts(n_events), entries.liked(n_events)
    entries.order = entries.order if len(entries.order) else order_of(event_base)
    n = _of_width("mw_tally", counts)(
        n_events,
        *(address(a) for a in (start, entries.order, event_base, like)),
        *(address(a) for a in (entries.type, entries.space, entries.series)),
        *(address(a) for a in (entries.number, entries.text, entries.name)),
        *(address(a) for a in (series.local, series.kind, series.open, series.n_edges, series.edges)),
        *(address(a) for a in (series.low, series.high, categories.keys, categories.values)),
        categories.mask,
        address(counts),
        *(address(a) for a in (moments, deferred, prints, entries.column)),
        people,
    )
    return np.sort(deferred[:n]), prints


def _of_width(name: str, counts: Counts) -> Callable[..., int]:
    """The compiled kernel ``name`` for counts as wide as these."""
    kernel: Callable[..., int] = getattr(needed(compiled()), name + "_narrow" * (counts.itemsize == 2))
    return kernel


def tally_twin(
    entries: Entries,
    event_base: NDArray[np.int32],
    series: SeriesColumns,
    categories: Table,
    counts: Counts,
    moments: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """What :func:`tally` does, in numpy."""
    i = np.flatnonzero((event_base[entries.event] >= 0) & (entries.series >= 0))
    rows = entries.series[i]
    at = event_base[entries.event[i]].astype(np.int64) + series.local[rows]
    kinds, types = series.kind[rows], entries.type[i]
    column = np.full(len(i), -1, np.int64)
    column[types == ValueType.NULL] = NULLS
    column[types == ValueType.DROPPED] = DROPPED

    is_number = types == ValueType.NUMBER
    finite = np.isfinite(entries.number[i])
    column[is_number & ~finite] = INVALID
    column[is_number & finite & (kinds == KIND_CATEGORY)] = TYPE
    binned = is_number & finite & (kinds != KIND_CATEGORY) & (series.n_edges[rows] > 0)
    bins = count_numbers(entries.number[i[binned]], rows[binned], at[binned], series, counts, moments)

    is_text = (types == ValueType.TEXT) | (types == ValueType.BOOL)
    column[is_text & (kinds == KIND_NUMBER)] = TYPE
    looked_up = np.flatnonzero(is_text & (kinds != KIND_NUMBER))
    known = kinds[looked_up] == KIND_CATEGORY
    code = np.full(len(looked_up), -1, np.int32)
    code[known] = categories.find(mix(rows[looked_up][known].astype(np.uint64), entries.text[i[looked_up]][known]))
    code[(code < 0) & (series.open[rows[looked_up]] == 0)] = UNSEEN_BIN
    column[looked_up] = code
    met = looked_up[code >= 0]
    note_texts(entries.text[i[met]], at[met], moments)

    add(counts, at, PRESENT)
    placed = column >= 0
    add(counts, at[placed], column[placed])
    left: NDArray[np.int64] = i[~placed & ~binned]
    column[binned] = bins
    entries.column = np.full(len(entries.event), ELSEWHERE, np.uint8)
    sure = (column >= 0) & ~(is_text & (kinds == KIND_UNKNOWN))
    entries.column[i[sure]] = column[sure]
    return left, _inputs_twin(entries, i, event_base, series, counts)


def note_texts(texts: NDArray[np.uint64], at: NDArray[np.int64], moments: NDArray[np.float64]) -> None:
    """Let the hashes ``texts`` (n,) of categories into the extremes of the rows ``at``: alike where all values are."""
    hashes = (texts >> _HASH_SHIFT).astype(np.float64)
    np.minimum.at(moments.reshape(-1), at * MOMENTS + 2, hashes)
    np.maximum.at(moments.reshape(-1), at * MOMENTS + 3, hashes)


def _inputs_twin(
    entries: Entries,
    i: NDArray[np.int64],
    event_base: NDArray[np.int32],
    series: SeriesColumns,
    counts: Counts,
) -> NDArray[np.uint64]:
    """The prints of the inputs among entries ``i``, and how many events are far outside, into ``counts``."""
    given = (entries.type[i] != ValueType.NULL) & (entries.type[i] != ValueType.DROPPED)
    i = i[given & (entries.space[i] == Space.FEATURE)]
    rows, x = entries.series[i], entries.number[i]
    is_number = entries.type[i] == ValueType.NUMBER
    near = ((x + 0.0).view(np.uint64) + _NEAR_HALF) >> _NEAR_SHIFT
    prints = np.zeros(len(event_base), np.uint64)
    parts = mix(entries.name[i], np.where(is_number, near, entries.text[i]))
    np.add.at(prints, entries.event[i], parts)
    outside = is_number & ((x < series.low[rows]) | (x > series.high[rows]))
    far = np.flatnonzero(np.bincount(entries.event[i[outside]], minlength=len(event_base)) >= FAR_MIN)
    add(counts, event_base[far], FAR_INPUTS)
    return prints


def count_repeats(
    prints: NDArray[np.uint64],
    base: NDArray[np.int32],
    model: NDArray[np.int32],
    recent: NDArray[np.uint32],
    counts: Counts,
) -> None:
    """Count events with inputs, and those whose inputs came before, into the rows ``base`` of ``counts``.

    Events, ``(n,)`` each, stand in the order they came; ``base`` is -1 for one that is not counted, ``prints`` 0 for
    one without inputs. ``recent`` (models, 32) holds marks of the last inputs of each model, and takes these in: a
    print has one place in it, so what came within about 32 others is known again, and one in 4e9 mistaken.
    """
    if compiled() is None:
        count_repeats_twin(prints, base, model, recent, counts)
        return
    repeats = _of_width("mw_repeats", counts)
    repeats(len(prints), *(address(a) for a in (prints, base, model, recent, counts)))


def count_repeats_twin(
    prints: NDArray[np.uint64],
    base: NDArray[np.int32],
    model: NDArray[np.int32],
    recent: NDArray[np.uint32],
    counts: Counts,
) -> None:
    """What :func:`count_repeats` does, in numpy: each event meets the one before it at its place."""
    i = np.flatnonzero((base >= 0) & (prints > 0))
    places = model[i].astype(np.int64) * RECENT + (prints[i] & np.uint64(RECENT - 1)).astype(np.int64)
    marks = (prints[i] >> np.uint64(32)).astype(np.uint32) | np.uint32(1)
    order = np.argsort(places, kind="stable")
    ordered, own = places[order], marks[order]
    before = np.empty_like(own)
    before[1:] = own[:-1]
    first = np.r_[True, ordered[1:] != ordered[:-1]][: len(ordered)]
    before[first] = recent.reshape(-1)[ordered[first]]
    last = np.r_[ordered[1:] != ordered[:-1], True][: len(ordered)]
    recent.reshape(-1)[ordered[last]] = own[last]
    add(counts, base[i], WITH_INPUTS)
    add(counts, base[i[order[before == own]]], REPEATED_INPUTS)


def add(counts: NDArray[Any], rows: NDArray[np.integer[Any]], columns: Any, by: Any = 1) -> None:
    """Add ``by`` to ``counts[rows, columns]``, as often as a place is named."""
    np.add.at(counts.reshape(-1), rows.astype(np.int64) * counts.shape[1] + columns, by)


def count_numbers(
    x: NDArray[np.float64],
    rows: NDArray[np.int32],
    at: NDArray[np.int64],
    series: SeriesColumns,
    counts: Counts,
    moments: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Count finite numbers ``x`` of series ``rows``, which have bins, into the rows ``at``; shapes ``(n,)``.

    Returns their bins.
    """
    edges = np.where(np.arange(EDGES) < series.n_edges[rows][:, None], series.edges[rows], np.inf)
    bins: NDArray[np.int64] = (edges < x[:, None]).sum(axis=1)
    add(counts, at, bins)
    add(counts, at, BELOW, (x < series.low[rows]).astype(np.uint32))
    add(counts, at, ABOVE, (x > series.high[rows]).astype(np.uint32))
    with np.errstate(over="ignore", invalid="ignore"):  # numbers near the end of float64 have an infinite square
        centred = x - series.edges[rows, series.n_edges[rows] >> 1]
        add(moments, at, 0, centred)
        add(moments, at, 1, centred * centred)
    np.minimum.at(moments.reshape(-1), at * MOMENTS + 2, x)
    np.maximum.at(moments.reshape(-1), at * MOMENTS + 3, x)
    return bins


@dataclass(slots=True)
class ModelTotals:
    """What is known of each model, by model row: ``events`` so far, the newest event's time, whether it was touched."""

    events: NDArray[np.int64]
    last_time: NDArray[np.float64]
    touched: NDArray[np.bool_]


def count_events(
    base: NDArray[np.int32],
    model: NDArray[np.int32],
    parts: NDArray[np.uint16],
    time: NDArray[np.float64],
    asked: NDArray[np.uint16],
    counts: Counts,
    totals: ModelTotals,
) -> None:
    """Count events into the rows ``base`` of ``counts`` (rows, 40) and into the ``totals`` of their models.

    Column 0 counts every event, column ``1 + k`` those that have any of the parts ``asked[k]``; the four arrays of
    events have shape ``(n,)``.
    """
    if compiled() is None:
        count_events_twin(base, model, parts, time, asked, counts, totals)
        return
    _of_width("mw_count_events", counts)(
        len(base),
        *(address(a) for a in (base, model, parts, time, asked)),
        len(asked),
        *(address(a) for a in (counts, totals.events, totals.last_time, totals.touched)),
    )


def count_events_twin(
    base: NDArray[np.int32],
    model: NDArray[np.int32],
    parts: NDArray[np.uint16],
    time: NDArray[np.float64],
    asked: NDArray[np.uint16],
    counts: Counts,
    totals: ModelTotals,
) -> None:
    """What :func:`count_events` does, in numpy."""
    add(counts, base, 0)
    for k in range(len(asked)):
        add(counts, base[(parts & asked[k]) > 0], 1 + k)
    np.add.at(totals.events, model, 1)
    np.fmax.at(totals.last_time, model, time)
    totals.touched[model] = True


def starts_of(event: NDArray[np.int32], n: int) -> NDArray[np.int32]:
    """Where the entries of each of ``n`` events begin, and behind them their number: (n + 1,) of rising ``event``."""
    kernels = compiled()
    if kernels is None:
        return np.searchsorted(event, np.arange(n + 1)).astype(np.int32)
    start = np.empty(n + 1, np.int32)
    kernels.mw_starts(n, len(event), address(event), address(start))
    return start


def order_of(numbers: NDArray[np.int32]) -> NDArray[np.int32]:
    """The places of ``numbers`` (n,), none below -1, by rising number; those of one number as they came."""
    kernels = compiled()
    if kernels is None:
        return np.argsort(numbers, kind="stable").astype(np.int32)
    order, spare = np.empty((2, len(numbers)), np.int32)
    kernels.mw_order(len(numbers), address(numbers), address(order), address(spare))
    return order


def series_of(  # noqa: PLR0913, PLR0917 -- the columns that it goes through
    event: NDArray[np.int32],
    event_model: NDArray[np.uint64],
    event_row: NDArray[np.int32],
    space: NDArray[np.uint8],
    name: NDArray[np.uint64],
    row_keys: NDArray[np.uint64],
    table: Table,
    like: NDArray[np.int32] | None = None,
    start: NDArray[np.int32] | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The series row of each entry, by (model, space, name); -1 where there is none yet.

    Beside it the entries, by rising index, that have none and could have one: of spaces that are watched, of events
    whose model has a row (``event_row`` is not -1). ``row_keys`` has the key of each row that ``table`` leads to, and
    0 for the others. ``like`` (n,), if given with -1 in all, becomes the last event before each that is of its model,
    where that names the same values of the same spaces in the same order, and so has the same series: a help to the
    kernels, which no twin needs. ``start`` is what :func:`starts_of` says, where that is known.
    """
    kernels = compiled()
    if kernels is None:
        out = table.find_twin(series_key(event_model[event], space, name))
        watched = ((space <= Space.METRIC) | (space == Space.SEGMENT)) & (event_row[event] >= 0)
        return out, np.flatnonzero((out < 0) & watched)
    out, unknown = np.empty(len(event), np.int32), np.empty(len(event), np.int64)
    latest = np.full(int(event_row.max(initial=-1)) + 1, -1, np.int32)
    like = np.full(len(event_row), -1, np.int32) if like is None else like
    start = starts_of(event, len(event_row)) if start is None else start
    n = kernels.mw_series(
        len(event_row),
        *(address(a) for a in (start, event_model, event_row, space, name, row_keys)),
        len(row_keys),
        *(address(a) for a in (table.keys, table.values)),
        table.mask,
        *(address(a) for a in (latest, out, unknown, like)),
    )
    return out, unknown[:n].copy()


def series_key(model: NDArray[np.uint64], space: NDArray[np.uint8], name: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The key of a series in its table; ``model`` and ``name`` are hashes."""
    return mix(model + space.astype(np.uint64), name)
