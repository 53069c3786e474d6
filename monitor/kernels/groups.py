"""How Python calls the counting of ``groups.c``: what familiar events add to tallies, and sums of tallies by row."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Sequence
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
_SUM = np.dtype([("key", np.uint32), ("n", np.uint32), ("s", np.float64)])
_PEOPLE_MAX = 16
"""Groups that an event may have in the mean; what is beyond is left."""

Rows64 = NDArray[np.int64]
Values = NDArray[np.float64]


class _Table(ctypes.Structure):
    _fields_ = (("keys", _P), ("values", _P), ("mask", _U))


class _Sums(ctypes.Structure):
    _fields_ = (("slots", _P), ("mask", _U), ("room", _N), ("added", _N))


@cache
def _sums_of(n: int) -> type[ctypes.Array[_Sums]]:
    """The type of ``n`` tables: made once, for a type is a cycle that only the collector takes away."""
    return _Sums * n


class _Call(ctypes.Structure):
    """``group_call`` of ``groups.c``."""

    _fields_ = (
        *((name, _N) for name in ("events", "kinds")),
        *((name, _P) for name in ("start", "order", "like", "space", "type", "name", "text", "number")),
        *((name, _P) for name in ("model", "tick", "model_key")),
        *((name, _P) for name in ("plain", "crossing", "favours", "threshold", "quarters")),
        *((name, _Table) for name in ("said", "both", "favourable", "outputs", "tallies")),
        *((name, _P) for name in ("base", "member_key", "output_key")),
        *((name, _U) for name in ("label", "score", "value")),
        *((name, _P) for name in ("sums", "of_event", "of_member")),
        *((name, _N) for name in ("room", "pairs")),
        ("left", _P),
        *((name, _N) for name in ("n_left", "next", "stop", "full")),
    )


@cache
def _compiled() -> ctypes.CDLL | None:
    loaded = library()
    if loaded is not None:
        loaded.mw_group_call_size.argtypes, loaded.mw_group_call_size.restype = (), _N
        loaded.mw_count_groups.argtypes, loaded.mw_count_groups.restype = (_P, _N), None
        loaded.mw_add_sums.argtypes = (_N, *[_P] * 3, ctypes.POINTER(_Sums))
        loaded.mw_add_sums.restype = _N
        loaded.mw_rows_of_sums.argtypes, loaded.mw_rows_of_sums.restype = (ctypes.POINTER(_Sums),), _N
        loaded.mw_read_sums.argtypes, loaded.mw_read_sums.restype = (ctypes.POINTER(_Sums), _N, *[_P] * 4), None
        if loaded.mw_group_call_size() != ctypes.sizeof(_Call):
            return None
    return loaded


@dataclass(slots=True)
class Counted:
    """The groups of the events that were counted, pairs (k,) of an event and a member.

    ``left`` are the events that were not, ``added`` by tick how often something was added to its sums.
    """

    event: NDArray[np.int32]
    member: NDArray[np.int32]
    left: Rows64
    added: list[int]


class SumTable:
    """Sums ``n`` and ``s`` of tallies, by row, in a table with open addressing: most tallies are not met in a tick."""

    def __init__(self, slots: int = _SMALLEST) -> None:
        """``slots`` (a power of two) is how large it begins."""
        self._slots = np.zeros(slots, _SUM)
        """By slot, the row plus 1 (0: free) and its sums."""
        self._used = 0

    @property
    def fitting(self) -> int:
        """The ``slots`` with which a table that comes to hold as much need not grow."""
        return max(_SMALLEST, 1 << math.ceil(math.log2(max(self._used, 1) / _FULL)))

    def add(self, rows: Rows64, n: Values, s: Values) -> None:
        """Add whole ``n`` and ``s`` to the sums of ``rows``; shapes ``(k,)``. A row may come more than once."""
        rows, n, s = np.ascontiguousarray(rows), np.ascontiguousarray(n), np.ascontiguousarray(s)
        while len(rows):
            done = self._add(rows, n, s)
            rows, n, s = rows[done:], n[done:], s[done:]
            if len(rows):
                self.grow()

    def sums(self) -> tuple[Rows64, Values, Values]:
        """All rows that were met, rising, and their sums."""
        kernels = _compiled()
        if kernels is None:
            return self._sums_twin()
        lent = self.lend()
        place = np.zeros(int(kernels.mw_rows_of_sums(ctypes.byref(lent))), np.int32)
        found = np.empty(self._used, np.int64), np.empty(self._used), np.empty(self._used)
        kernels.mw_read_sums(ctypes.byref(lent), len(place), *(address(each) for each in (place, *found)))
        return found

    def grow(self) -> None:
        """Have twice as many slots."""
        rows, n, s = self.sums()
        self._slots, self._used = np.zeros(2 * len(self._slots), _SUM), 0
        self._add(rows, n, s)

    def lend(self) -> _Sums:
        """The table as the kernels read and write it; :meth:`take_back` when they did."""
        return _Sums(address(self._slots), len(self._slots) - 1, self._room())

    def take_back(self, lent: _Sums) -> None:
        """Take note of the rows that came in while it was ``lent``."""
        self._used += self._room() - int(lent.room)

    def _sums_twin(self) -> tuple[Rows64, Values, Values]:
        """What the kernel does."""
        used = np.flatnonzero(self._slots["key"])
        rows = self._slots["key"][used].astype(np.int64) - 1
        order = np.argsort(rows)
        held = self._slots[used[order]]
        return rows[order], held["n"].astype(np.float64), held["s"].copy()

    def _room(self) -> int:
        """Rows that may come in before it is full."""
        return int(len(self._slots) * _FULL) - self._used

    def _add(self, rows: Rows64, n: Values, s: Values) -> int:
        """How many of ``rows`` were added before the table was full."""
        kernels = _compiled()
        if kernels is None:
            return self._add_twin(rows, n, s)
        lent = self.lend()
        done = int(kernels.mw_add_sums(len(rows), *(address(array) for array in (rows, n, s)), ctypes.byref(lent)))
        self.take_back(lent)
        return done

    def _add_twin(self, rows: Rows64, n: Values, s: Values) -> int:
        """What the kernel does."""
        keys = rows.astype(np.uint64) + np.uint64(1)
        wanted, mask = mix(keys, np.zeros(len(keys), np.uint64)), len(self._slots) - 1
        for i, (key, at) in enumerate(zip(keys.tolist(), wanted.tolist(), strict=True)):
            slot = at & mask
            while int(self._slots["key"][slot]) not in (0, key):
                slot = (slot + 1) & mask
            if not self._slots["key"][slot]:
                if not self._room():
                    return i
                self._slots["key"][slot] = key
                self._used += 1
            self._slots["n"][slot] += np.uint32(n[i])
            self._slots["s"][slot] += s[i]
        return len(rows)


def count_groups(
    columns: dict[str, NDArray[Any]],
    tables: dict[str, Table],
    words: tuple[int, int, int],
    sums: Sequence[SumTable],
    beside: Callable[[int], None],
) -> Counted | None:
    """Count the events that name nothing new into ``sums``; ``None`` where no kernel is built, and all are left.

    ``beside`` is told where the call lies, for :func:`monitor.kernels.tally.tally`, which goes through the same events
    in the same order and lets them be counted on its way; what it left is counted behind it.

    The twin is the longer way of :meth:`Groups.count`, through which any event can go.

    ``columns`` by the names in ``group_call``, whose element types they have: those of entries, ordered by event, of
    events, of models, members and outputs; ``start`` (n + 1,) says where the entries of events begin, ``tick`` which of
    ``sums`` an event's are. They are counted in their ``order`` (n,), of which those of one model and tick that stand
    together are looked up together, and read faster where each is ``like`` the one before. ``tables``: ``said`` finds
    the member that a model, a name and a value stand for, ``both`` that of two members, the others are those of the
    register. ``words`` are the hashes of label, score and value.
    """
    kernels = _compiled()
    if kernels is None:
        return None
    events = len(columns["model"])
    event, member = np.empty((2, events * _PEOPLE_MAX), np.int32)
    left = np.empty(events, np.int64)
    call = _Call(events=events, kinds=columns["base"].shape[1], room=len(event), full=-1)
    call.label, call.score, call.value = words
    for name, column in columns.items():
        assert column.flags.c_contiguous
        setattr(call, name, address(column))
    for name, table in tables.items():
        setattr(call, name, _Table(address(table.keys), address(table.values), table.mask))
    call.of_event, call.of_member, call.left = (address(array) for array in (event, member, left))
    lent = _sums_of(len(sums))(*(each.lend() for each in sums))
    call.sums = ctypes.addressof(lent)
    beside(ctypes.addressof(call))
    kernels.mw_count_groups(ctypes.byref(call), events)
    while (full := call.full) >= 0:
        sums[full].take_back(lent[full])
        sums[full].grow()
        so_far, lent[full] = lent[full].added, sums[full].lend()
        lent[full].added = so_far
        call.full = -1
        kernels.mw_count_groups(ctypes.byref(call), events)
    for own, loan in zip(sums, lent, strict=True):
        own.take_back(loan)
    added = [int(loan.added) for loan in lent]
    return Counted(event[: call.pairs], member[: call.pairs], np.sort(left[: call.n_left]), added)
