"""How Python calls the compiled joining of ``join.c``; ``outcomes/joining.py`` has its twin, and says what it means."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.kernels.library import address, needed, taking
from monitor.kernels.table import Table

_P, _N, _U = ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint64

_OF_EVENT = {
    "row": np.int64,
    "key": np.uint64,
    "model": np.int32,
    "time": np.float64,
    "due": np.float64,
    "passed": np.float64,
    "parts": np.uint16,
    "entity": np.uint64,
    "money": np.float64,
    "predicted": np.uint64,
    "score": np.float64,
    "value": np.float64,
    "outcome": np.uint64,
    "outcome_number": np.float64,
    "places": np.uint64,
}
_OF_ATTRIBUTE = {"of": np.int64, "name": np.uint64, "text": np.uint64, "kind": np.uint8}
_OF_LISTS = {"list": np.uint8, "n_served": np.uint8, "n_shown": np.uint8, "served": np.uint32, "shown": np.uint32}
_COLUMNS = _OF_EVENT | _OF_ATTRIBUTE | _OF_LISTS
LET_IN, RIGHT_IN, WRONG_IN, RIGHT_OUT, WRONG_OUT = range(11, 16)
"""What an event can meet beside fates: a new case; one that is right, or wrong, comes into the early view, or goes."""
_KINDS = 16
_MEETS_MAX = 8
"""What one event can meet at most, and its attributes one each."""

Indices = NDArray[np.int64]


class _Call(ctypes.Structure):
    """``join_call`` of ``join.c``."""

    _fields_ = (
        ("events", _N),
        ("attributes", _N),
        *((name, _P) for name in _COLUMNS),
        ("cases", _P),
        ("size", _N),
        *((name, _P) for name in ("dirty", "key_of", "keys", "values")),
        ("mask", _U),
        ("spare", _P),
        ("n_spare", _N),
        ("room", _N),
        *((name, _P) for name in ("listed", "first", "met_model", "met_ordered", "met")),
        *((name, _N) for name in ("n_new", "n_slots", "n_listed", "n_first", "n_met")),
        ("counts", _P),
    )


@cache
def compiled() -> ctypes.CDLL | None:
    """The compiled kernel of ``join.c``; ``None`` where the twin must do."""
    return taking("mw_join", _Call)


@dataclass(slots=True)
class Joined:
    """What a batch came to: ``n_new`` spare rows were taken, ``room`` is left.

    ``listed`` are the events that say when their case is due now, ``first`` those whose prediction is their case's.
    ``met`` is what events met, by number, each with the models of those that did.
    """

    n_new: int
    room: int
    listed: Indices
    first: Indices
    met: dict[int, NDArray[np.int32]]


def join(
    columns: dict[str, NDArray[Any]],
    cases: NDArray[np.void],
    dirty: NDArray[np.bool_],
    key_of: NDArray[np.uint64],
    index: Table,
    spare: Indices,
    room: int,
) -> Joined:
    """Bring events to their cases, in their order.

    ``columns`` by the names in ``join_call``, whose element types they have: of ``n`` events, of attributes, ordered by
    event, and of lists, of which there are none or ``n``. ``row`` is where a case lies in ``cases`` and ``dirty``, and
    its key in ``key_of``; -1 where it is not there yet. New cases take the rows of ``spare`` in order: one for each
    event without a row, or as many as there is ``room`` for. ``index`` finds rows by key.

    Raises
    ------
    RuntimeError
        The kernels are not built.
    """
    kernels = needed(compiled())
    n, m = len(columns["key"]), len(columns["of"])
    index.reserve(len(spare))
    call = _Call(events=n, attributes=m, size=cases.itemsize, mask=index.mask, n_spare=len(spare), room=room)
    for name, column in columns.items():
        assert column.dtype == _COLUMNS[name]
        setattr(call, name, address(column))
    listed, first = np.empty(2 * n, np.int64), np.empty(n, np.int64)
    most = _MEETS_MAX * n + m
    (models, ordered), counts = np.empty((2, most), np.int32), np.zeros(_KINDS, np.int64)
    arrays = {
        "cases": cases,
        "dirty": dirty,
        "key_of": key_of,
        "keys": index.keys,
        "values": index.values,
        "spare": spare,
    }
    arrays |= {"listed": listed, "first": first, "met_model": models, "met_ordered": ordered, "counts": counts}
    arrays["met"] = np.empty(most, np.uint8)
    for name, array in arrays.items():
        setattr(call, name, address(array))
    kernels.mw_join(ctypes.byref(call))
    index.took(call.n_slots)
    stops = np.cumsum(counts).tolist()
    found = {
        kind: ordered[stop - n : stop] for kind, (n, stop) in enumerate(zip(counts.tolist(), stops, strict=True)) if n
    }
    return Joined(call.n_new, call.room, listed[: call.n_listed], first[: call.n_first], found)
