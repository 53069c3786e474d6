"""How a case is stored: the parts that it has, and no more. Most have no outcome yet, few places and one answer.

A value begins with a word that says which parts follow, so that what a case can carry costs nothing until it does. Its
key, and when it is due, are said by its sheaf.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.errors import StoreError
from monitor.kernels import pack_cases
from monitor.kernels.lean import NO_PLACES
from monitor.outcomes.case import OPEN, SLOTS, WIDE, Cases, blank

_PARTS = (
    ("predicted",),
    ("score",),
    ("value",),
    ("outcome_time", "outcome"),
    ("money",),
    ("entity",),
    ("places",),
    ("list", "n_served", "n_shown", "served", "shown"),
    ("outcome_number",),
)
_BITS = (*range(8), 11)
"""What a case may have, each with a bit of the word."""
_LISTS = 1 << _PARTS.index(("list", "n_served", "n_shown", "served", "shown"))
_ATTRIBUTES = ("names", "texts", "kinds")
_SLOTS_AT, _SLOTS_MASK = 8, 7
"""Where the word has the number of slots for attributes that are used."""
_WORD, _CODE_BYTES = ("parts", "<u2"), 2

Codes = NDArray[np.uint16]
Indices = NDArray[np.int64]
Where = Sequence[NDArray[np.integer[Any]]]
"""Of each case (n,), where its value begins and ends, how many cases that has, and which of them it is."""
Said = tuple[NDArray[np.uint64], NDArray[np.float64]]
"""Of each case (n,), its key and when it is due, as its sheaf says."""


def packed(cases: Cases, rows: Indices) -> tuple[bytes | memoryview, Indices]:
    """The records of the cases at ``rows`` (n,), behind one another, and of each how many bytes it has."""
    return packed_twin(cases, rows) if pack_cases.compiled() is None else pack_cases.packed(cases, rows)


def packed_twin(cases: Cases, rows: Indices) -> tuple[bytes, Indices]:
    """What :func:`packed` does, in numpy."""
    cases = cases[rows]
    codes, values = _codes(cases), [b""] * len(cases)
    for code in np.unique(codes).tolist():
        own = np.flatnonzero(codes == code)
        chosen, made = cases[own], np.empty(len(own), _layout(code))
        made["parts"] = code
        for name in _names(code):
            made[name] = chosen[name][:, : made.dtype[name].shape[0]] if name in _ATTRIBUTES else chosen[name]
        for i, blob in zip(own.tolist(), made.view(f"V{made.itemsize}").tolist(), strict=True):
            values[i] = blob
    return b"".join(values), np.array([len(value) for value in values], np.int64)


def unpacked(values: bytes | bytearray, where: Where, cases: Cases, rows: Indices, said: Said) -> bool:
    """Read stored cases into ``rows`` (n,) of ``cases``; their keys and when they are due are ``said`` beside.

    ``where`` says where each lies in ``values``; before the records of a value stand their lengths. False where one has
    lists and ``cases`` no room for such: then some may have been read.

    Raises
    ------
    StoreError
        One is not what was packed.
    """
    unpack = unpacked_twin if pack_cases.compiled() is None else pack_cases.unpacked
    told = unpack(values, where, cases, rows, said)
    if told >= 0:
        raise StoreError(f"a waiting case is damaged: number {int(where[3][told])} of its sheaf")
    return told == pack_cases.UNPACKED


def unpacked_twin(values: bytes | bytearray, where: Where, cases: Cases, rows: Indices, said: Said) -> int:
    """What the compiled loop does, case by case."""
    for i, (start, stop, held, place) in enumerate(zip(*(each.tolist() for each in where), strict=True)):
        own = records(values[start:stop], held)
        record = own[place] if place < len(own) else b""
        code = int.from_bytes(record[:2], "little")
        slots = code >> _SLOTS_AT & _SLOTS_MASK
        if len(record) < _CODE_BYTES or slots > SLOTS or len(record) != _layout(code).itemsize:
            return i
        if code & _LISTS and cases.dtype != WIDE:
            return pack_cases.NO_ROOM
        parts, case = np.frombuffer(record, _layout(code))[0], blank(1, cases.dtype)
        for name in _names(code):
            if name in _ATTRIBUTES:
                case[name][0, : len(parts[name])] = parts[name]
            else:
                case[name] = parts[name]
        case["stage"] = OPEN
        case["key"], case["due"] = said[0][i], said[1][i]
        cases[rows[i]] = case[0]
    return pack_cases.UNPACKED


def records(value: bytes | bytearray, n: int) -> list[bytes]:
    """The records in a stored value of ``n`` cases; empty ones, or none, where it is damaged."""
    lengths = np.frombuffer(value[: 2 * n], "<u2") if len(value) >= 2 * n else np.zeros(0, "<u2")
    stops = (2 * n + np.cumsum(lengths, dtype=np.int64)).tolist()
    within = zip([2 * n, *stops], stops, strict=False)
    return [bytes(value[start:stop]) if stop <= len(value) else b"" for start, stop in within]


def entity_of(record: bytes) -> bytes:
    """The entity of a stored case, as its 8 bytes; empty where it has none, or was removed."""
    at = _entity_at(int.from_bytes(record[:2], "little")) if record else 0
    return record[at : at + 8] if at else b""


def _codes(cases: Cases) -> Codes:
    """Which parts each case has, shape ``(n,)``."""
    has = (
        cases["predicted"] > 0,
        ~np.isnan(cases["score"]),
        ~np.isnan(cases["value"]),
        ~np.isnan(cases["outcome_time"]) | (cases["outcome"] > 0),
        ~np.isnan(cases["money"]),
        cases["entity"] > 0,
        (cases["places"] != NO_PLACES).any(axis=1),
        (cases["list"] > 0) | (cases["n_served"] > 0) | (cases["n_shown"] > 0),
        ~np.isnan(cases["outcome_number"]),
    )
    used = cases["names"] != 0
    slots = np.where(used.any(axis=1), used.shape[1] - used[:, ::-1].argmax(axis=1), 0)
    codes = slots << _SLOTS_AT
    for bit, part in zip(_BITS, has, strict=True):
        codes |= part.astype(np.int64) << bit
    return codes.astype(np.uint16)


@cache
def _layout(code: int) -> np.dtype[np.void]:
    """The record of a case with these parts."""
    slots = code >> _SLOTS_AT & _SLOTS_MASK
    fields = [(name, WIDE[name].base, (slots,) if name in _ATTRIBUTES else WIDE[name].shape) for name in _names(code)]
    return np.dtype([_WORD, *fields])


@cache
def _names(code: int) -> tuple[str, ...]:
    """The fields of a case with these parts, in their order behind the word."""
    names = [name for bit, part in zip(_BITS, _PARTS, strict=True) if code >> bit & 1 for name in part]
    return ("model", "time", "has", *names, *(_ATTRIBUTES if code >> _SLOTS_AT & _SLOTS_MASK else ()))


@cache
def _entity_at(code: int) -> int:
    """Where a record of these parts has its entity; 0 where it has none."""
    fields = _layout(code).fields
    assert fields is not None
    return int(fields["entity"][1]) if "entity" in fields else 0
