"""Sums by row, in the order of what is added. Compiled in ``add.c``; here is what it does."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.kernels.library import address, taking

_P, _N = ctypes.c_void_p, ctypes.c_int64
_WIDTH_MAX = 16

Floats = NDArray[np.float64]


class _Call(ctypes.Structure):
    """``add_call`` of ``add.c``."""

    _fields_ = (
        *((name, _N) for name in ("cases", "width", "wide")),
        ("at", _P),
        ("part", _P * _WIDTH_MAX),
        ("step", _N * _WIDTH_MAX),
        ("sums", _P),
    )


@cache
def compiled() -> ctypes.CDLL | None:
    """The compiled kernel of ``add.c``; ``None`` where the twin must do."""
    return taking("mw_add_rows", _Call)


def add_rows(sums: NDArray[Any], at: NDArray[np.integer[Any]], parts: Sequence[Floats | float]) -> None:
    """Add what each of ``n`` cases has to the row of ``sums`` that it is ``at``, in their order.

    Each of ``parts``, (n,) or one for all, goes to a column of ``sums``, float64 or float32 of shape (..., columns);
    its rows are counted through all other axes. A case whose row is negative, or one of whose parts is NaN, is passed
    over.
    """
    assert sums.shape[-1] == len(parts) <= _WIDTH_MAX
    assert sums.flags.c_contiguous
    rows: NDArray[np.int64] = np.ascontiguousarray(at, np.int64)
    kernels = compiled()
    if kernels is None:
        add_rows_twin(sums, rows, parts)
        return
    call = _Call(cases=len(rows), width=len(parts), wide=sums.dtype == np.float64)
    call.at, call.sums = address(rows), address(sums)
    columns = [np.broadcast_to(np.asarray(part, np.float64), rows.shape) for part in parts]
    for k, column in enumerate(columns):
        call.part[k], call.step[k] = column.ctypes.data, column.strides[0] // column.itemsize
    kernels.mw_add_rows(ctypes.byref(call))


def add_rows_twin(sums: NDArray[Any], at: NDArray[np.int64], parts: Sequence[Floats | float]) -> None:
    """What :func:`add_rows` does, in numpy."""
    columns = np.stack([np.broadcast_to(part, at.shape) for part in parts], axis=1)
    some = (at >= 0) & ~np.isnan(columns).any(axis=1)
    np.add.at(sums.reshape(-1, len(parts)), at[some], columns[some].astype(sums.dtype))


def count(counts: NDArray[Any], at: NDArray[np.integer[Any]], by: int = 1) -> None:
    """Add ``by`` to the elements ``at`` (n,) of ``counts``, which are numbered through all axes."""
    # One element type on both sides: with another it takes ten times as long.
    np.add.at(counts.reshape(-1), at, counts.dtype.type(by))


def distinct(rows: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Each of ``rows`` (n,) once, rising; they are of a table, so that a place for each costs less than to sort."""
    return np.flatnonzero(np.bincount(rows))
