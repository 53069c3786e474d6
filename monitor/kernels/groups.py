"""How Python calls the counting of ``groups.c``: what familiar events add to tallies, and sums of tallies by row."""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.kernels.library import address, library
from monitor.kernels.table import Table, mix

_P, _N, _U = ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint64
_SMALLEST = 256
_FULL = 0.5
_FREE = np.uint64(0)

Rows64 = NDArray[np.int64]
Values = NDArray[np.float64]


class _Table(ctypes.Structure):
    _fields_ = (("keys", _P), ("values", _P), ("mask", _U))


class _Call(ctypes.Structure):
    """``group_call`` of ``groups.c``."""

    _fields_ = (
        *((name, _N) for name in ("events", "entries", "kinds")),
        *((name, _P) for name in ("event", "space", "type", "name", "text", "number", "model", "model_key")),
        *((name, _P) for name in ("plain", "crossing", "favours", "threshold", "quarters")),
        *((name, _Table) for name in ("said", "both", "favourable", "outputs", "tallies")),
        *((name, _P) for name in ("base", "member_key", "output_key")),
        *((name, _U) for name in ("label", "score", "value")),
        *((name, _P) for name in ("of_event", "tally", "n", "s")),
        ("room", _N),
        ("left", _P),
        ("n_left", _N),
    )


@cache
def _compiled() -> ctypes.CDLL | None:
    loaded = library()
    if loaded is not None:
        loaded.mw_group_call_size.argtypes, loaded.mw_group_call_size.restype = (), _N
        loaded.mw_count_groups.argtypes, loaded.mw_count_groups.restype = (ctypes.POINTER(_Call),), _N
        loaded.mw_add_sums.argtypes = (_N, *[_P] * 6, _U, _N, ctypes.POINTER(_N))
        loaded.mw_add_sums.restype = _N
        if loaded.mw_group_call_size() != ctypes.sizeof(_Call):
            return None
    return loaded


@dataclass(slots=True)
class Increments:
    """What events add to tallies: ``n`` cases and ``s`` of outcomes of ``event``; and the events that are ``left``."""

    event: NDArray[np.int32]
    tally: Rows64
    n: Values
    s: Values
    left: Rows64


def count_groups(
    columns: dict[str, NDArray[Any]], tables: dict[str, Table], words: tuple[int, int, int], per_event: int
) -> Increments | None:
    """Count the events that name nothing new; ``None`` where no kernel is built, and all are left.

    ``columns`` by the names in ``group_call``, whose element types they have: those of entries, ordered by event, of
    events, of models, members and outputs. ``tables``: ``said`` finds the member that a model, a name and a value
    stand for, ``both`` that of two members, the others are those of the register. ``words`` are the hashes of label,
    score and value; ``per_event`` is how many increments an event of the kernel's may have in the mean: events beyond
    that are left too.
    """
    kernels = _compiled()
    if kernels is None:
        return None
    events, room = len(columns["model"]), len(columns["model"]) * per_event
    made = Increments(
        np.empty(room, np.int32), np.empty(room, np.int64), np.empty(room), np.empty(room), np.empty(events, np.int64)
    )
    call = _Call(events=events, entries=len(columns["event"]), kinds=columns["base"].shape[1], room=room)
    call.label, call.score, call.value = words
    for name, column in columns.items():
        assert column.flags.c_contiguous
        setattr(call, name, address(column))
    for name, table in tables.items():
        setattr(call, name, _Table(address(table.keys), address(table.values), table.mask))
    for name in ("tally", "n", "s", "left"):
        setattr(call, name, address(getattr(made, name)))
    call.of_event = address(made.event)
    n = kernels.mw_count_groups(ctypes.byref(call))
    return Increments(made.event[:n], made.tally[:n], made.n[:n], made.s[:n], made.left[: call.n_left])


class SumTable:
    """Sums ``n`` and ``s`` of tallies, by row, in a table with open addressing: most tallies are not met in a tick."""

    def __init__(self, slots: int = _SMALLEST) -> None:
        """``slots`` (a power of two) is how large it begins."""
        self._keys = np.zeros(slots, np.uint64)
        self._n, self._s = np.zeros((2, slots))
        self._used = 0

    @property
    def fitting(self) -> int:
        """The ``slots`` with which a table that comes to hold as much need not grow."""
        return max(_SMALLEST, 1 << math.ceil(math.log2(max(self._used, 1) / _FULL)))

    def add(self, rows: Rows64, n: Values, s: Values) -> None:
        """Add ``n`` and ``s`` to the sums of ``rows``; shapes ``(k,)``. A row may come more than once."""
        rows, n, s = np.ascontiguousarray(rows), np.ascontiguousarray(n), np.ascontiguousarray(s)
        while len(rows):
            done = self._add(rows, n, s)
            rows, n, s = rows[done:], n[done:], s[done:]
            if len(rows):
                self._grow()

    def sums(self) -> tuple[Rows64, Values, Values]:
        """All rows that were met, rising, and their sums."""
        used = np.flatnonzero(self._keys)
        used = used[np.argsort(self._keys[used])]
        return (self._keys[used] - np.uint64(1)).astype(np.int64), self._n[used], self._s[used]

    def _add(self, rows: Rows64, n: Values, s: Values) -> int:
        """How many of ``rows`` were added before the table was full."""
        room = int(len(self._keys) * _FULL) - self._used
        kernels = _compiled()
        if kernels is None:
            done, taken = self._add_twin(rows, n, s, room)
        else:
            entered = ctypes.c_int64()
            arrays = (address(array) for array in (rows, n, s, self._keys, self._n, self._s))
            done = int(kernels.mw_add_sums(len(rows), *arrays, len(self._keys) - 1, room, ctypes.byref(entered)))
            taken = entered.value
        self._used += taken
        return done

    def _add_twin(self, rows: Rows64, n: Values, s: Values, room: int) -> tuple[int, int]:
        """What the kernel does: how many of ``rows`` were added, and how many of them were new."""
        keys = rows.astype(np.uint64) + np.uint64(1)
        wanted, mask, taken = mix(keys, np.zeros(len(keys), np.uint64)), len(self._keys) - 1, 0
        for i, (key, at) in enumerate(zip(keys.tolist(), wanted.tolist(), strict=True)):
            slot = at & mask
            while int(self._keys[slot]) not in (0, key):
                slot = (slot + 1) & mask
            if self._keys[slot] == _FREE:
                if taken == room:
                    return i, taken
                self._keys[slot] = key
                taken += 1
            self._n[slot] += n[i]
            self._s[slot] += s[i]
        return len(rows), taken

    def _grow(self) -> None:
        rows, n, s = self.sums()
        slots = 2 * len(self._keys)
        self._keys, (self._n, self._s), self._used = np.zeros(slots, np.uint64), np.zeros((2, slots)), 0
        self._add(rows, n, s)
