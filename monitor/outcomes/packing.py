"""How a case is stored: the parts that it has, and no more. Most have no outcome yet, few places and one answer.

A value begins with a word that says which parts follow, so that what a case can carry costs nothing until it does.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from monitor.kernels import pack_cases
from monitor.kernels.lean import NO_PLACES
from monitor.outcomes.case import CASE, CLOSED, OPEN, WIDE, Cases, blank

_PARTS = (
    ("predicted",),
    ("score",),
    ("value",),
    ("outcome_time", "outcome", "outcome_number"),
    ("money",),
    ("entity",),
    ("places",),
    ("list", "n_served", "n_shown", "served", "shown"),
)
"""What a case may have, each with a bit of the word."""
_LISTS = 1 << _PARTS.index(("list", "n_served", "n_shown", "served", "shown"))
_ATTRIBUTES = ("names", "texts", "kinds")
_SLOTS_AT, _SLOTS_MASK = 8, 7
"""Where the word has the number of slots for attributes that are used."""
_OVER = 1 << 15
"""Of a closed case, which is remembered so that a late outcome is known as one: when it is forgotten, and its model."""
_WORD = ("parts", "<u2")

Codes = NDArray[np.uint16]


def packed(cases: Cases, rows: NDArray[np.int64] | None = None) -> list[bytes]:
    """The stored value of each case, or of those at ``rows``."""
    if pack_cases.compiled() is None:
        return packed_twin(cases if rows is None else cases[rows])
    return pack_cases.packed(cases, np.arange(len(cases)) if rows is None else rows)


def packed_twin(cases: Cases) -> list[bytes]:
    """What :func:`packed` does, in numpy."""
    codes, values = _codes(cases), [b""] * len(cases)
    for code in np.unique(codes).tolist():
        own = np.flatnonzero(codes == code)
        chosen, rows = cases[own], np.empty(len(own), _layout(code))
        rows["parts"] = code
        for name in _names(code):
            rows[name] = chosen[name][:, : rows.dtype[name].shape[0]] if name in _ATTRIBUTES else chosen[name]
        blobs: list[bytes] = rows.view(f"V{rows.itemsize}").tolist()
        if len(own) == len(cases):
            return blobs
        for i, blob in zip(own.tolist(), blobs, strict=True):
            values[i] = blob
    return values


def unpacked(keys: NDArray[np.uint64], values: list[bytes | None]) -> tuple[NDArray[np.int64], Cases]:
    """Which of ``keys`` have a value, and their cases."""
    found = [i for i, value in enumerate(values) if value is not None]
    kept = [value for value in values if value is not None]
    codes = np.frombuffer(b"".join([value[:2] for value in kept]), "<u2")
    wide = bool((codes & _LISTS).any())
    cases = blank(len(found), WIDE if wide else CASE)
    for code in np.unique(codes).tolist():
        own = np.flatnonzero(codes == code)
        rows = np.frombuffer(b"".join([kept[i] for i in own.tolist()]), _layout(code))
        for name in _names(code):
            if name in _ATTRIBUTES:
                cases[name][own, : rows.dtype[name].shape[0]] = rows[name]
            else:
                cases[name][own] = rows[name]
        cases["stage"][own] = CLOSED if code == _OVER else OPEN
    places = np.array(found, np.int64)
    cases["key"] = keys[places]
    return places, cases


def entity_of(value: bytes) -> bytes:
    """The entity of a stored case, as its 8 bytes; empty where it has none or is closed."""
    at = _entity_at(int.from_bytes(value[:2], "little"))
    return value[at : at + 8] if at else b""


def _codes(cases: Cases) -> Codes:
    """Which parts each case has, shape ``(n,)``."""
    has = (
        cases["predicted"] > 0,
        ~np.isnan(cases["score"]),
        ~np.isnan(cases["value"]),
        ~np.isnan(cases["outcome_time"]) | (cases["outcome"] > 0) | ~np.isnan(cases["outcome_number"]),
        ~np.isnan(cases["money"]),
        cases["entity"] > 0,
        (cases["places"] != NO_PLACES).any(axis=1),
        (cases["list"] > 0) | (cases["n_served"] > 0) | (cases["n_shown"] > 0),
    )
    used = cases["names"] != 0
    slots = np.where(used.any(axis=1), used.shape[1] - used[:, ::-1].argmax(axis=1), 0)
    codes = slots << _SLOTS_AT
    for bit, part in enumerate(has):
        codes |= part.astype(np.int64) << bit
    return np.where(cases["stage"] == CLOSED, _OVER, codes).astype(np.uint16)


@cache
def _layout(code: int) -> np.dtype[np.void]:
    """The record of a case with these parts."""
    slots = code >> _SLOTS_AT & _SLOTS_MASK
    fields = [(name, WIDE[name].base, (slots,) if name in _ATTRIBUTES else WIDE[name].shape) for name in _names(code)]
    return np.dtype([_WORD, *fields])


@cache
def _names(code: int) -> tuple[str, ...]:
    """The fields of a case with these parts, in their order behind the word."""
    if code == _OVER:
        return ("due", "model")
    names = [name for bit, part in enumerate(_PARTS) if code >> bit & 1 for name in part]
    return ("due", "time", "model", "has", *names, *(_ATTRIBUTES if code >> _SLOTS_AT & _SLOTS_MASK else ()))


@cache
def _entity_at(code: int) -> int:
    """Where a record of these parts has its entity; 0 where it has none."""
    fields = _layout(code).fields
    assert fields is not None
    return int(fields["entity"][1]) if "entity" in fields else 0
