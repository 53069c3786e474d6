"""How Python calls the compiled pass of ``bring.c``; ``outcomes/bringing.py`` has its twin, and says what it means."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.events.columns import EventBatch, Part
from monitor.kernels.hashing import hash64
from monitor.kernels.library import address, needed, taking
from monitor.kernels.table import Table

_P, _N, _U = ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint64
LABEL, SCORE, VALUE = (hash64(name) for name in (b"label", b"score", b"value"))
JOINED_PARTS = Part.PREDICTION | Part.OUTCOME | Part.SENSITIVE

_OF_EVENT = {
    "chosen": np.int64,
    "predicted": np.uint64,
    "score": np.float64,
    "value": np.float64,
    "outcome": np.uint64,
    "outcome_number": np.float64,
}
_OF_ATTRIBUTE = {"of": np.int64, "name": np.uint64, "text": np.uint64, "kind": np.uint8}

Floats = NDArray[np.float64]
Hashes = NDArray[np.uint64]
Indices = NDArray[np.int64]


class _Table(ctypes.Structure):
    _fields_ = (("keys", _P), ("values", _P), ("mask", _U))


class _Call(ctypes.Structure):
    """``bring_call`` of ``bring.c``."""

    _fields_ = (
        ("events", _N),
        ("entries", _N),
        *((name, _P) for name in ("model", "id_length", "parts")),
        ("joined_parts", _U),
        *((name, _P) for name in ("event", "space", "type", "entry_name", "entry_text", "number")),
        *((name, _P) for name in ("joins", "all_sensitive")),
        ("classes", _Table),
        ("named", _Table),
        ("n_named", _N),
        *((name, _U) for name in ("label", "score_name", "value_name")),
        *((name, _P) for name in (*_OF_EVENT, *_OF_ATTRIBUTE)),
        ("n_chosen", _N),
        ("n_attributes", _N),
        ("n_items", _N),
    )


@cache
def compiled() -> ctypes.CDLL | None:
    """The compiled kernel of ``bring.c``; ``None`` where the twin must do."""
    return taking("mw_bring", _Call)


@dataclass(slots=True)
class Told:
    """What the events that are ``chosen`` (k,) say: (k,) each; and their attributes, ``of`` their place among those.

    Of an attribute its name, a hash, its value, a hash or the bits of a number, and the type of that.
    """

    chosen: Indices
    predicted: Hashes
    score: Floats
    value: Floats
    outcome: Hashes
    outcome_number: Floats
    of: Indices
    name: Hashes
    text: Hashes
    kind: NDArray[np.uint8]
    items: bool
    """Whether there may be lists among them."""


def bring(
    batch: EventBatch,
    model: NDArray[np.int32],
    by_model: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    classes: Table,
    named: Table,
) -> Told:
    """What the events of ``batch`` say of cases; ``model`` is the row of each, -1: none.

    ``by_model``: whether its cases are joined, and whether all sensitive values are attributes. ``classes`` says what a
    class is, ``named`` which other values are attributes, both by ``mix(row + 1, hash)``.

    Raises
    ------
    RuntimeError
        The kernels are not built.
    """
    kernels = needed(compiled())
    n, m = len(batch), len(batch.event)
    call = _Call(events=n, entries=m, joined_parts=int(JOINED_PARTS), n_named=len(named))
    call.label, call.score_name, call.value_name = LABEL, SCORE, VALUE
    call.classes, call.named = (_Table(address(t.keys), address(t.values), t.mask) for t in (classes, named))
    made: dict[str, NDArray[Any]] = {name: np.empty(n, dtype) for name, dtype in _OF_EVENT.items()}
    made |= {name: np.empty(m, dtype) for name, dtype in _OF_ATTRIBUTE.items()}
    arrays: dict[str, NDArray[Any]] = {
        "model": np.ascontiguousarray(model, np.int32),
        "id_length": batch.id.length,
        "parts": batch.parts,
        "event": batch.event,
        "space": batch.space,
        "type": batch.type,
        "entry_name": batch.name.hash,
        "entry_text": batch.text.hash,
        "number": batch.number,
        "joins": by_model[0],
        "all_sensitive": by_model[1],
        **made,
    }
    for name, array in arrays.items():
        setattr(call, name, address(array))
    kernels.mw_bring(ctypes.byref(call))
    whole = {name: made[name][: call.n_chosen] for name in _OF_EVENT}
    whole |= {name: made[name][: call.n_attributes] for name in _OF_ATTRIBUTE}
    return Told(**whole, items=call.n_items > 0)
