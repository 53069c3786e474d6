"""How Python calls the compiled pass of ``mature.c``; ``outcomes/matured.py`` has its twin, and says what it means."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.kernels.library import address, needed, taking
from monitor.kernels.table import Table

_P, _N, _U = ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint64
_WIDTHS = {"apart": (6,), "places": (2,)}
"""Of columns that have more than one value a case."""

_OF_MODEL = {
    **dict.fromkeys(("tick", "threshold", "false_positive", "false_negative"), np.float64),
    "missing": np.uint64,
    **dict.fromkeys(("above", "numbers_score", "numbers_measure", "says_favourable", "says_merits"), np.bool_),
    **dict.fromkeys(("own_words", "positive_merits", "says_positive", "says_scored"), np.bool_),
}
OF_ASKED = tuple(name for name in _OF_MODEL if name != "tick")
"""What policies say of models, as in ``Asked``."""
COLUMNS = {
    "key": np.uint64,
    "model": np.int32,
    **dict.fromkeys(("end", "time", "delay"), np.float64),
    **dict.fromkeys(("predicted", "outcome"), np.uint64),
    **dict.fromkeys(("value", "outcome_number"), np.float64),
    "entity": np.uint64,
    "money": np.float64,
    "labelled": np.bool_,
    **dict.fromkeys(("wrong", "score", "y", "error", "cost"), np.float64),
    **dict.fromkeys(("favourable", "merits", "predicted_positive", "actual_positive"), np.int8),
    "apart": np.bool_,
    "places": np.uint64,
}
"""What is told of each case, as in ``Matured``: all but what a list is."""


class _Table(ctypes.Structure):
    _fields_ = (("keys", _P), ("values", _P), ("mask", _U))


class _Call(ctypes.Structure):
    """``mature_call`` of ``mature.c``."""

    _fields_ = (
        ("n", _N),
        ("cases", _P),
        ("size", _N),
        ("classes", _Table),
        *((name, _P) for name in (*_OF_MODEL, *COLUMNS)),
    )


@cache
def compiled() -> ctypes.CDLL | None:
    """The compiled kernel of ``mature.c``; ``None`` where the twin must do."""
    return taking("mw_mature", _Call)


def told(cases: NDArray[np.void], by_model: Mapping[str, NDArray[Any]], classes: Table) -> dict[str, NDArray[Any]]:
    """The :data:`COLUMNS` of ``cases``, whose records are those of ``case.h``.

    ``by_model`` are arrays by the names in ``mature_call``, whose element types they have; ``classes`` says what a
    class is to a model, by ``mix(row + 1, hash)``.

    Raises
    ------
    RuntimeError
        The kernels are not built.
    """
    kernels = needed(compiled())
    cases, n = np.ascontiguousarray(cases), len(cases)
    made: dict[str, NDArray[Any]] = {
        name: np.empty((n, *_WIDTHS.get(name, ())), dtype) for name, dtype in COLUMNS.items()
    }
    call = _Call(n=n, cases=address(cases), size=cases.itemsize)
    call.classes = _Table(address(classes.keys), address(classes.values), classes.mask)
    for name, dtype in _OF_MODEL.items():
        assert by_model[name].dtype == dtype
        setattr(call, name, address(by_model[name]))
    for name, column in made.items():
        setattr(call, name, address(column))
    kernels.mw_mature(ctypes.byref(call))
    return made
