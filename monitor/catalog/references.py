"""What each series is compared with: learned from the stream or read from a file, and what of it is judged."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.series import BUFFER, CUTS, UNJUDGED, Series, bin_values, choose_edges
from monitor.kernels.tally import (
    ABOVE,
    BELOW,
    BINS,
    EDGES,
    KIND_CATEGORY,
    KIND_NUMBER,
    OTHER_BIN,
    TYPE,
)
from monitor.stats.alike import alike

VALUES_MIN = 200
"""Values that a reference needs before its distribution is judged."""
_BUFFERED_MIN = 50
"""Collected numbers that are enough to choose bins from when judging begins."""
_CUT_AT_ONCE = 8192
"""Series whose cuts are chosen together."""
_CUT_IN_CACHE = 512
"""Of them, how many that are not alike: what that takes stays in the cache."""
_CUT_TAIL = 0.005
"""A cut with less than this on one side is taken only where there is no other: it shows what floods the tail alone."""
_RANGE_MARGIN = 0.1
"""The range of a reference is widened by this part of it on each side."""
_ID_NAME = re.compile(
    r"(^|[_.\-])(id|uuid|guid|key|hash)$|[a-z](Id|Uuid|Key)$"
    r"|(?i:(user|cust|customer|client|account|card|session|request|order|transaction|device)_?(id|no|nr|number))$"
)
_ID_DISTINCT = 0.5
"""The part of the first values of a number called id that differ at least: cases may come again, places always do."""
_COUNTER_RISES = 0.9
_COUNTER_JUMBLED = 0.6
"""How often a counter rises whose events overtake one another."""
_RISES_MIN = 5
"""Ticks that must each lie above all before them: what counts days or runs, and many events share."""
_COUNTER_DISTINCT = 32
"""Values that a counter of things which several events share must have shown: more than a day has hours."""
_RUNNING = tuple(UNJUDGED.index(reason) for reason in ("identifier", "counter", "timestamp"))
"""What leaves every range in time."""
_EPOCH_UNITS = (1.0, 1e3, 1e6, 1e9)
_TWO_YEARS_SECONDS = 2 * 366 * 86400.0
_SAME_DAY_SECONDS = 3 * 86400.0
"""So near to the first event a value that stood still so far is the day itself."""
_OLDEST_DAY = 19_000_101.0
_DATE = re.compile(r"(\d{4})([-/.]?)(\d{2})\2(\d{2})([T ]?\d{2}:?\d{2}.*)?")
_DATES_MIN = 0.9
"""The part of the texts that are dates, where there are more of them than are told apart."""

Rows = NDArray[np.int64]


def settle(series: Series, row: int) -> None:
    """Choose the bins of a number from what it collected, and let that be the beginning of its reference."""
    values = series.buffered(row)
    edges = choose_edges(values)
    set_edges(series, row, edges)
    rows = series.rows
    rows["kind"][row] = KIND_NUMBER
    rows["reference"][row, :BINS] += bin_values(values, edges).astype(np.uint32)
    rows["seen_low"][row] = min(float(rows["seen_low"][row]), float(values.min()))
    rows["seen_high"][row] = max(float(rows["seen_high"][row]), float(values.max()))
    rows["unjudged"][row] = unjudged_number(series.names[row], values, float(rows["first_time"][row]))
    rows.touch(row)
    series.release_buffer(row)


def settle_full(series: Series, chosen: Rows) -> None:
    """:func:`settle` for many series at once, all of which have collected as many numbers as they may."""
    slots = series.rows["buffer"][chosen]
    ordered = np.sort(series.buffers["values"][slots], axis=1)
    step = BUFFER // BINS
    edges = ordered[:, step - 1 : BUFFER - 1 : step]
    even = (np.diff(edges, axis=1) > 0).all(axis=1)
    for row in chosen[~even].tolist():
        settle(series, row)
    chosen, edges, values = chosen[even], edges[even], series.buffers["values"][slots[even]]
    if not len(chosen):
        return
    rows = series.rows
    rows["edges"][chosen], rows["n_edges"][chosen], rows["kind"][chosen] = edges, EDGES, KIND_NUMBER
    bins = (edges[:, None, :] < values[:, :, None]).sum(axis=2) + BINS * np.arange(len(chosen))[:, None]
    counted = np.bincount(bins.ravel(), minlength=BINS * len(chosen)).reshape(-1, BINS)
    rows["reference"][chosen[:, None], np.arange(BINS)] += counted.astype(np.uint32)
    rows["seen_low"][chosen] = np.minimum(rows["seen_low"][chosen], values.min(axis=1))
    rows["seen_high"][chosen] = np.maximum(rows["seen_high"][chosen], values.max(axis=1))
    for row, collected in zip(chosen.tolist(), values, strict=True):
        rows["unjudged"][row] = unjudged_number(series.names[row], collected, float(rows["first_time"][row]))
        series.release_buffer(row)
    rows.touch(chosen)


def set_edges(series: Series, row: int, edges: NDArray[np.float64]) -> None:
    """Give ``row`` its bins."""
    assert 0 < len(edges) <= EDGES
    series.rows["edges"][row] = 0.0
    series.rows["edges"][row, : len(edges)] = edges
    series.rows["n_edges"][row] = len(edges)


def begin_judging(series: Series, chosen: Rows) -> None:
    """Fix what of the references of ``chosen`` is judged from now on: ranges, known categories, cuts."""
    rows = series.rows
    for row in chosen[(rows["kind"][chosen] != KIND_CATEGORY) & (rows["n_edges"][chosen] == 0)].tolist():
        if len(series.buffered(row)) >= _BUFFERED_MIN:
            settle(series, row)
    chosen = chosen[(rows["kind"][chosen] == KIND_CATEGORY) | (rows["n_edges"][chosen] > 0)]
    if not len(chosen):
        return
    numbers = chosen[rows["kind"][chosen] == KIND_NUMBER]
    margin = _RANGE_MARGIN * (rows["seen_high"][numbers] - rows["seen_low"][numbers])
    rows["low"][numbers] = rows["seen_low"][numbers] - margin
    rows["high"][numbers] = rows["seen_high"][numbers] + margin
    rows["reference"][numbers[:, None], [BELOW, ABOVE]] = 0
    rows["open"][chosen] = 0
    rows["judging"][chosen] = 1
    rows["recent"][chosen] = 0.0
    series.release(chosen)
    recognise(series, chosen)
    running = numbers[np.isin(rows["unjudged"][numbers], _RUNNING)]
    rows["low"][running], rows["high"][running] = -np.inf, np.inf
    choose_cuts(series, chosen)
    rows.touch(chosen)


def recognise(series: Series, chosen: Rows) -> None:
    """Say which of ``chosen`` are no distribution worth judging, and why (an index of :data:`UNJUDGED`)."""
    rows = series.rows
    reference = rows["reference"][chosen].astype(np.float64)
    bins = reference[:, :BINS]
    n = bins.sum(axis=1)
    reason = rows["unjudged"][chosen].copy()
    category = rows["kind"][chosen] == KIND_CATEGORY
    reason[category] = 0
    for i in np.flatnonzero(category).tolist():
        values, first_time = series.categories.get(int(chosen[i]), []), float(rows["first_time"][chosen[i]])
        reason[i] = _unjudged_text(values, first_time, many=bool(bins[i, OTHER_BIN] > 0.5 * n[i]))
    constant = (bins > 0).sum(axis=1) <= 1
    constant &= category | (rows["seen_low"][chosen] >= rows["seen_high"][chosen])
    reason[constant & (reason != UNJUDGED.index("timestamp"))] = UNJUDGED.index("constant")
    counts = ~category & (rows["overlapped"][chosen] == 0) & (rows["risen"][chosen] >= _RISES_MIN)
    reason[counts & (reason == 0)] = UNJUDGED.index("counter")
    reason[reference[:, TYPE] > n] = UNJUDGED.index("mixed types")
    few = n < VALUES_MIN
    reason[few & (reason == 0)] = UNJUDGED.index("too few values")
    reason[~few & (reason == UNJUDGED.index("too few values"))] = 0
    rows["unjudged"][chosen] = reason


def choose_cuts(series: Series, chosen: Rows) -> None:
    """Pick at most nine cuts for each of ``chosen``: the edges nearest to the deciles, or the commonest categories."""
    for first in range(0, len(chosen), _CUT_AT_ONCE):
        _choose_cuts(series, chosen[first : first + _CUT_AT_ONCE])


def _choose_cuts(series: Series, chosen: Rows) -> None:
    """:func:`choose_cuts`, once for all that are alike: models of a fleet have references in common."""
    rows = series.rows
    facts = [rows[name][chosen] for name in ("kind", "n_edges", "n_categories", "unjudged")]
    told = np.column_stack([*facts, *[np.zeros(len(chosen), np.uint8)] * (8 - len(facts))])
    bins = rows["reference"].take(chosen, axis=0)[:, :BINS]
    first, kind = alike(np.column_stack([np.ascontiguousarray(bins).view(np.uint64), told.view(np.uint64)]))
    cuts, n_cuts = np.empty((len(first), CUTS), np.uint8), np.empty(len(first), np.uint8)
    for start in range(0, len(first), _CUT_IN_CACHE):
        part = slice(start, start + _CUT_IN_CACHE)
        cuts[part], n_cuts[part] = _cuts_of(bins[first[part]], *(fact[first[part]] for fact in facts))
    rows["cuts"][chosen], rows["n_cuts"][chosen] = cuts[kind], n_cuts[kind]


def _cuts_of(
    bins: NDArray[np.uint32],
    kind: NDArray[np.uint8],
    n_edges: NDArray[np.uint8],
    n_categories: NDArray[np.uint8],
    unjudged: NDArray[np.uint8],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The cuts of references (k, 32), shape ``(k, 9)``, and how many of them each has."""
    n = np.maximum(bins.sum(axis=1, keepdims=True, dtype=np.float64), 1.0)
    is_number = (kind == KIND_NUMBER)[:, None]
    shares = np.where(is_number, np.cumsum(bins, axis=1, dtype=np.float64), bins) / n
    places = np.arange(BINS)
    last = np.where(is_number[:, 0], n_edges, np.minimum(n_categories, OTHER_BIN + 1))
    usable = (places < last[:, None]) & (shares > 0.0)
    whole = is_number & usable & (shares >= _CUT_TAIL) & (shares <= 1.0 - _CUT_TAIL)
    # What is one value but for a few (an error that is seldom) is a share like a category's, and has no better cut.
    seldom = is_number & usable & (shares < 1.0) & ~whole.any(axis=1, keepdims=True)
    usable = np.where(is_number, whole | seldom, usable)
    wanted = np.where(usable, _wanted(shares, usable, is_number), 0.0)
    order = np.argsort(-wanted, axis=1, kind="stable")[:, :CUTS]
    n_cuts = np.minimum((wanted > 0.0).sum(axis=1), CUTS)
    n_cuts[unjudged > 0] = 0
    return np.where(np.arange(CUTS) < n_cuts[:, None], order, 0), n_cuts


def grow(series: Series, chosen: Rows, counts: NDArray[np.uint32]) -> None:
    """Add ``counts`` (k, 40) to the references of ``chosen``; no row may stand there twice."""
    series.rows["reference"][chosen] += counts
    series.rows.touch(chosen)


def compare_with_earlier(series: Series, chosen: Rows, low: NDArray[np.float64], high: NDArray[np.float64]) -> None:
    """Note of a tick's extremes (k,) whether all lies above what ``chosen`` showed before, as with a counter."""
    rows, known = series.rows, series.rows["seen_high"][chosen]
    rows["overlapped"][chosen] |= low < known
    rose = (high > known) & np.isfinite(known) & (rows["risen"][chosen] < _RISES_MIN)
    rows["risen"][chosen] += rose


def _wanted(
    shares: NDArray[np.float64], usable: NDArray[np.bool_], is_number: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """How much each place is wanted as a cut, shape ``(k, 32)``; 0 for not at all."""
    deciles = np.arange(1, CUTS + 1) / (CUTS + 1)
    distance = np.where(usable[:, :, None], np.abs(shares[:, :, None] - deciles), np.inf)
    nearest = distance.argmin(axis=1)
    near_decile = np.zeros(shares.shape)
    np.put_along_axis(near_decile, nearest, 1.0, axis=1)
    return np.where(is_number, near_decile, shares)


def counts_or_names(name: str, values: NDArray[np.float64], *, in_order: bool = False) -> int:
    """Whether the first ``values`` of a number count or name a case: an index of ``UNJUDGED``.

    Only where they came ``in_order`` of time, and not as rows of a training set that may be sorted, does a number that
    rises and repeats count.
    """
    if _too_few_or_constant(values) or not np.all(values == np.round(values)):
        return 0
    distinct, rises = len(np.unique(values)), _rises(values)
    quarter = len(values) // 4
    overtaken = values[-quarter:].min() > values[:quarter].max()
    if distinct == len(values):
        counts = rises >= _COUNTER_RISES or (overtaken and rises >= _COUNTER_JUMBLED)
    else:
        counts = in_order and overtaken and rises >= _COUNTER_RISES and distinct >= _COUNTER_DISTINCT
    if counts:
        return UNJUDGED.index("counter")
    named = _ID_NAME.search(name) is not None and distinct >= _ID_DISTINCT * len(values)
    if named or (distinct == len(values) and values.max() - values.min() > 1e12):
        return UNJUDGED.index("identifier")
    return 0


def _rises(values: NDArray[np.float64]) -> float:
    """How many of the steps that change anything go up, 0 to 1."""
    steps = np.diff(values)
    return float((steps > 0).sum() / (steps != 0).sum())


def tells_time(values: NDArray[np.float64], first_time: float) -> bool:
    """Whether the first ``values`` of a number are a clock: all lie within two years of the first event.

    Seconds and smaller units since the epoch, and days as ``20260301``, with a time of day behind or not. One that
    stood still so far must be the day of that event.
    """
    if float(values[0]) < min(_OLDEST_DAY, first_time - _TWO_YEARS_SECONDS):  # as most features are: said at once
        return False
    if len(values) < _BUFFERED_MIN or not near_now(values[:1], first_time)[0]:
        return False
    slack = _SAME_DAY_SECONDS if values.min() == values.max() else _TWO_YEARS_SECONDS
    return bool((np.abs(_moments(values) - first_time).max(axis=0) < slack).any())


def near_now(values: NDArray[np.float64], first_time: NDArray[np.float64] | float) -> NDArray[np.bool_]:
    """Which of ``values`` could be a moment near ``first_time``, one or one of each, in any unit.

    For few of them a clock is looked for.
    """
    apart = np.abs(_moments(values) - np.asarray(first_time)[..., None])
    return np.asarray((apart < _TWO_YEARS_SECONDS).any(axis=1), np.bool_)


def _moments(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Seconds since the epoch if each value were a moment, by way of spelling it; shape ``(n, 6)``, NaN where none."""
    epochs = values[:, None] / np.array(_EPOCH_UNITS)
    return np.column_stack([epochs, _days(values), _days(np.floor(values / 1e6))])


def _days(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Seconds since the epoch of days written ``20260301``, to a day or two; NaN where a value is none."""
    year, rest = np.divmod(values, 10_000.0)
    month, day = np.divmod(rest, 100.0)
    spelled = (values == np.floor(values)) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
    days = (year - 1970.0) * 365.2425 + (month - 1.0) * 30.44 + day
    with np.errstate(over="ignore"):  # a number near the end of float64 is no day
        return np.asarray(np.where(spelled, days * 86400.0, np.nan), np.float64)


def _too_few_or_constant(values: NDArray[np.float64]) -> bool:
    return len(values) < _BUFFERED_MIN or bool(values.min() == values.max())


def unjudged_number(name: str, values: NDArray[np.float64], first_time: float) -> int:
    """Whether the first ``values`` of a number are a clock, a counter or an identifier: an index of ``UNJUDGED``."""
    if tells_time(values, first_time):
        return UNJUDGED.index("timestamp")
    return counts_or_names(name, values, in_order=True)


def _unjudged_text(values: list[str], first_time: float, *, many: bool) -> int:
    """Whether texts are moments, or ``many`` that name or tell something: an index of ``UNJUDGED``."""
    if _tell_days(values, first_time, many=many):
        return UNJUDGED.index("timestamp")
    if not many:
        return 0
    wordy = sum(1 for v in values if v.count(" ") >= 3 or len(v) > 60)
    return UNJUDGED.index("free text" if wordy * 2 > len(values) else "identifier")


def _tell_days(values: list[str], first_time: float, *, many: bool) -> bool:
    """Whether texts are days or moments; a few that come again may be names of something, unless they are near now."""
    if not values or not values[0][:1].isdigit():
        return False
    found = [match for match in map(_DATE.fullmatch, values) if match is not None]
    days = _days(np.array([float("".join(match.group(1, 3, 4))) for match in found]))
    days = days[~np.isnan(days)]
    if many:
        return len(days) >= _DATES_MIN * len(values)
    slack = _TWO_YEARS_SECONDS if len(values) > 1 else _SAME_DAY_SECONDS
    return len(days) == len(values) and bool((np.abs(days - first_time) < slack).all())
