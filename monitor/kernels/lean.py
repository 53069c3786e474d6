"""What a model answers where its inputs lie: sums by stratum of each feature. Compiled in ``lean.c``; this says what.

A stratum is an eighth of a feature's bins, or a category; values that are missing, or of the wrong type, are one more.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from monitor.events.columns import Space, ValueType
from monitor.kernels.hashing import hash64
from monitor.kernels.library import address, library
from monitor.kernels.table import Table, mix
from monitor.kernels.tally import EDGES, ELSEWHERE, KIND_CATEGORY, KIND_NUMBER, KIND_UNKNOWN, Entries, SeriesColumns

STRATA = 9
"""Eight of values, and one of those that are missing or of the wrong type."""
MISSING = STRATA - 1
LAST = MISSING - 1
"""Of a category: all values but the first seven."""
NOWHERE = 15
"""In a case: its feature was not there, or has no bins yet."""
SLOTS, PER_WORD = 32, 16
"""Features whose strata a case keeps, a nibble each in two words, by the place of their series in its model."""
NO_PLACES = np.uint64(0xFFFFFFFFFFFFFFFF)
"""A word of a case that keeps no strata."""

_NAMES = np.array([hash64(name) for name in (b"score", b"value", b"label")], np.uint64)
_SAMPLED_BITS = np.uint64(40)

Words = NDArray[np.uint64]


@dataclass(slots=True)
class Asking:
    """What is to be known of the ``n`` events of a batch, and of their models.

    By event: ``model`` is its row, -1 for one to pass over, ``key`` 64 bits by which events are sampled. By model:
    one event in ``2 ** thin`` is let in, and a class counts as the answer 1 where it has one of the bits ``answered``
    in the table ``classes``.
    """

    model: NDArray[np.int32]
    key: Words
    thin: NDArray[np.uint8]
    classes: Table
    answered: NDArray[np.uint8]


@cache
def _compiled() -> ctypes.CDLL | None:
    loaded = library()
    if loaded is not None:
        long, size, at = ctypes.c_int64, ctypes.c_uint64, ctypes.c_void_p
        loaded.mw_lean.argtypes = (long, *[at] * 17, size, *[at] * 2, size, *[at] * 5)
        loaded.mw_lean.restype = None
        loaded.mw_lay.argtypes, loaded.mw_lay.restype = (long, *[at] * 4), None
    return loaded


def lean(
    entries: Entries, asking: Asking, series: SeriesColumns, categories: Table, sums: NDArray[np.float32]
) -> tuple[NDArray[np.float64], Words]:
    """Add the answers of the events that are let in to ``sums`` (series, 2, STRATA, 3), into its second half.

    ``entries`` are ordered by event; of each stratum there are how many, their answers, and these squared. Returns by
    event what it answered (NaN: nothing, or it was not let in): its score, else its value, else whether its class is
    one of those asked for; and (n, 2) where its features lie.
    """
    kernels = _compiled()
    if kernels is None:
        return lean_twin(entries, asking, series, categories, sums)
    n = len(asking.model)
    answers, places = np.empty(n), np.empty((n, 2), np.uint64)
    e = entries
    column = e.column if len(e.column) else np.full(len(e.event), ELSEWHERE, np.uint8)
    start = e.starts(n)
    kernels.mw_lean(
        n,
        *(address(a) for a in (start, e.type, e.space, e.series, e.number, e.text, e.name, column)),
        *(address(a) for a in (asking.model, asking.key, asking.thin, series.local)),
        *(address(a) for a in (series.kind, series.n_edges, series.edges, categories.keys, categories.values)),
        categories.mask,
        *(address(a) for a in (asking.classes.keys, asking.classes.values)),
        asking.classes.mask,
        *(address(a) for a in (asking.answered, _NAMES, sums, answers, places)),
    )
    return answers, places


def lean_twin(
    entries: Entries, asking: Asking, series: SeriesColumns, categories: Table, sums: NDArray[np.float32]
) -> tuple[NDArray[np.float64], Words]:
    """What :func:`lean` does, in numpy."""
    n, model = len(asking.model), asking.model
    places = np.full((n, 2), NO_PLACES)
    looked_at = (model >= 0) & let_in(asking.key, asking.thin[model])
    answers = np.where(looked_at, _answers(entries, asking, n), np.nan)
    i = np.flatnonzero(~np.isnan(answers)[entries.event] & (entries.space == Space.FEATURE) & (entries.series >= 0))
    stratum = _strata(entries, i, series, categories)
    i, stratum = i[stratum != NOWHERE], stratum[stratum != NOWHERE]
    rows, event = entries.series[i], entries.event[i]
    np.add.at(sums, (rows, 1, stratum, 0), 1.0)
    np.add.at(sums, (rows, 1, stratum, 1), answers[event].astype(np.float32))
    np.add.at(sums, (rows, 1, stratum, 2), (answers[event] ** 2).astype(np.float32))
    slot = series.local[rows].astype(np.uint64)
    kept = slot < SLOTS
    shift = slot[kept] % np.uint64(PER_WORD) * np.uint64(4)
    gaps = (np.uint64(NOWHERE) ^ stratum[kept].astype(np.uint64)) << shift
    np.bitwise_xor.at(places, (event[kept], slot[kept] // PER_WORD), gaps)
    return answers, places


def let_in(key: Words, thin: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which events with so sampled a ``key`` (n,) are among the one in ``2 ** thin`` (n,) that are looked at."""
    among: NDArray[np.bool_] = (key >> _SAMPLED_BITS & ((np.uint64(1) << thin.astype(np.uint64)) - np.uint64(1))) == 0
    return among


def lay(rows: NDArray[np.int64], event: NDArray[np.int64], places: Words, counts: NDArray[np.uint16]) -> None:
    """Count where the features lie of each ``event`` (k,), by ``places`` (n, 2), in ``counts`` of its row.

    ``rows`` (k,) index ``counts``, (rows, SLOTS, STRATA), where a count that is full stays so.
    """
    kernels = _compiled()
    if kernels is None:
        lay_twin(rows, event, places, counts)
        return
    rows, event, places = np.ascontiguousarray(rows), np.ascontiguousarray(event), np.ascontiguousarray(places)
    kernels.mw_lay(len(rows), *(address(each) for each in (rows, event, places, counts)))


def lay_twin(rows: NDArray[np.int64], event: NDArray[np.int64], places: Words, counts: NDArray[np.uint16]) -> None:
    """What :func:`lay` does, in numpy."""
    strata = unfold(places[event])
    case, slot = np.nonzero(strata != NOWHERE)
    at, more = np.unique((rows[case] * SLOTS + slot) * STRATA + strata[case, slot], return_counts=True)
    flat = counts.reshape(-1)
    flat[at] = np.minimum(flat[at] + more, np.iinfo(np.uint16).max).astype(np.uint16)


def unfold(places: Words) -> NDArray[np.uint8]:
    """The stratum of each slot of cases, (n, SLOTS), out of ``places`` (n, 2); :data:`NOWHERE` where there is none."""
    shifts = np.arange(PER_WORD, dtype=np.uint64) * np.uint64(4)
    nibbles = (places[:, :, None] >> shifts) & np.uint64(15)
    strata: NDArray[np.uint8] = nibbles.astype(np.uint8).reshape(len(places), SLOTS)
    return strata


def _answers(entries: Entries, asking: Asking, n: int) -> NDArray[np.float64]:
    predicted = entries.space == Space.PREDICTION
    number = predicted & (entries.type == ValueType.NUMBER) & np.isfinite(entries.number)
    answers = np.full(n, np.nan)
    labels = np.flatnonzero(predicted & (entries.name == _NAMES[2]) & (entries.type != ValueType.NULL))
    model = asking.model[entries.event[labels]]
    labels, model = labels[model >= 0], model[model >= 0]
    labels, model = labels[asking.answered[model] > 0], model[asking.answered[model] > 0]
    bits = asking.classes.find(mix(model.astype(np.uint64) + np.uint64(1), entries.text[labels]))
    answers[entries.event[labels]] = (bits > 0) & ((bits & asking.answered[model]) > 0)
    for name in (_NAMES[1], _NAMES[0]):
        i = np.flatnonzero(number & (entries.name == name))
        answers[entries.event[i]] = entries.number[i]
    return answers


def _strata(entries: Entries, i: NDArray[np.int64], series: SeriesColumns, categories: Table) -> NDArray[np.int64]:
    rows, types, x = entries.series[i], entries.type[i], entries.number[i]
    kind, n = series.kind[rows], series.n_edges[rows].astype(np.int64)
    stratum = np.full(len(i), MISSING, np.int64)
    number = (types == ValueType.NUMBER) & np.isfinite(x) & (kind != KIND_CATEGORY)
    edges = np.where(np.arange(EDGES) < n[:, None], series.edges[rows], np.inf)
    place = (edges < x[:, None]).sum(axis=1) * MISSING // (n + 1)
    stratum[number] = np.where(n > 0, place, NOWHERE)[number]
    text = (types == ValueType.TEXT) | (types == ValueType.BOOL)
    stratum[text & (kind == KIND_UNKNOWN)] = NOWHERE
    known = np.flatnonzero(text & (kind != KIND_NUMBER) & (kind != KIND_UNKNOWN))
    code = categories.find(mix(rows[known].astype(np.uint64), entries.text[i[known]]))
    stratum[known] = np.where((code < 0) | (code > LAST), LAST, code)
    return stratum
