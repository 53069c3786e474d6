"""How Python calls the recalling of ``recall.c``: groups of matured cases of which nothing is new."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.kernels.library import address, taking
from monitor.kernels.table import Table

_P, _N, _U = ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint64
_SLOTS_MAX = 16

_OF_SLOTS = {"name": np.uint64, "text": np.uint64, "kind": np.uint8, "asked": np.bool_}
_COLUMNS = {"model": np.int32, "model_key": np.uint64, "peculiar": np.bool_, "crossing": np.bool_}

Rows64 = NDArray[np.int64]


class _Table(ctypes.Structure):
    _fields_ = (("keys", _P), ("values", _P), ("mask", _U))


class _Call(ctypes.Structure):
    """``recall_call`` of ``recall.c``."""

    _fields_ = (
        ("cases", _N),
        ("slots", _N),
        ("model", _P),
        *((name, _P) for name in _OF_SLOTS),
        *((f"{name}_step", _N) for name in _OF_SLOTS),
        *((name, _P) for name in ("model_key", "peculiar", "crossing")),
        ("said", _Table),
        ("both", _Table),
        *((name, _P) for name in ("member_key", "event", "member", "first", "left")),
        ("pairs", _N),
        ("n_left", _N),
    )


@cache
def _compiled() -> ctypes.CDLL | None:
    return taking("mw_recall", _Call)


@dataclass(slots=True)
class Recalled:
    """Pairs (k,) of a case and a member, ordered by case; ``first`` (n + 1,) is where those of each case begin.

    ``left`` are the cases that must be asked of the longer way; they have no pairs.
    """

    event: Rows64
    member: Rows64
    first: Rows64
    left: Rows64


def recall_groups(
    columns: dict[str, NDArray[Any]],
    of_slots: dict[str, NDArray[Any]],
    said: Table,
    both: Table,
    member_key: NDArray[np.uint64],
) -> Recalled | None:
    """The groups of ``n`` cases, as far as they were all met before; ``None`` where no kernel is built.

    The twin is the longer way of :meth:`Recaller.recall`, through which any case can go.

    ``columns`` by the names in ``recall_call``, whose element types they have: of cases their ``model``, (n,), of
    models the others. ``of_slots``, (n, slots): ``name``, ``text``, ``kind``, and ``asked`` if not all are. ``said``
    finds the member that a model, a name and a value stand for, ``both`` that of two members; ``member_key`` is by
    member.
    """
    kernels = _compiled()
    if kernels is None:
        return None
    n, slots = of_slots["name"].shape
    assert slots <= _SLOTS_MAX
    most = n * slots * (slots + 1) // 2
    event, member = np.empty((2, most), np.int64)
    first, left = np.empty(n + 1, np.int64), np.empty(n, np.int64)
    call = _Call(cases=n, slots=slots)
    for name, column in columns.items():
        assert column.dtype == _COLUMNS[name]
        setattr(call, name, address(column))
    for name, column in of_slots.items():
        assert column.dtype == _OF_SLOTS[name]
        assert column.strides[1] == column.itemsize
        setattr(call, name, column.ctypes.data)
        setattr(call, f"{name}_step", column.strides[0])
    call.said, call.both = (_Table(address(t.keys), address(t.values), t.mask) for t in (said, both))
    for name, array in (("member_key", member_key), ("event", event), ("member", member)):
        setattr(call, name, address(array))
    call.first, call.left = address(first), address(left)
    kernels.mw_recall(ctypes.byref(call))
    return Recalled(event[: call.pairs], member[: call.pairs], first, left[: call.n_left])
