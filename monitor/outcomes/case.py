"""What is kept of one case between its prediction and its outcome: a fixed record without a raw feature."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SLOTS = 6
"""Attributes that a case can carry: sensitive ones and those that explain. What is beyond is turned away."""

OPEN, CLOSED, GONE = range(3)
"""A case waits for its parts; it has matured, and only this is remembered of it; it is forgotten."""


HAS_PREDICTION, HAS_OUTCOME = np.uint8(1), np.uint8(2)
"""Which parts of a case have come."""
TOLD_WITH = np.uint8(4) << np.arange(SLOTS, dtype=np.uint8)
"""Bits of the same byte, by slot: the prediction's own event told this attribute, and was counted for its group."""

CASE = np.dtype(
    [
        ("key", "<u8"),
        ("due", "<f8"),
        ("time", "<f8"),
        ("outcome_time", "<f8"),
        ("predicted", "<u8"),
        ("score", "<f8"),
        ("value", "<f8"),
        ("outcome", "<u8"),
        ("outcome_number", "<f8"),
        ("money", "<f8"),
        ("entity", "<u8"),
        ("names", "<u8", (SLOTS,)),
        ("texts", "<u8", (SLOTS,)),
        ("kinds", "u1", (SLOTS,)),
        ("model", "<i4"),
        ("stage", "u1"),
        ("has", "u1"),
    ]
)
"""Classes, names and values of attributes are hashes (0: none); of a number among the attributes the bits of the float.

``due`` is when the case matures (or is forgotten), ``time`` that of the prediction, or of the first part that came.
"""
REMEMBERED = np.dtype([("due", "<f8"), ("model", "<i4")])
"""What is stored of a closed case: a late outcome is known as one until ``due``."""

Cases = NDArray[np.void]
"""Structured arrays of :data:`CASE`."""


def blank(n: int) -> Cases:
    """Cases of which nothing is known yet."""
    cases = np.zeros(n, CASE)
    for name in ("due", "time", "outcome_time", "score", "value", "outcome_number", "money"):
        cases[name] = np.nan
    return cases


def packed(cases: Cases) -> list[bytes]:
    """The stored value of each case: all of an open one, next to nothing of a closed one."""
    short = np.zeros(len(cases), REMEMBERED)
    short["due"], short["model"] = cases["due"], cases["model"]
    values: list[bytes] = cases.view(f"V{CASE.itemsize}").tolist()
    closed = np.flatnonzero(cases["stage"] == CLOSED)
    for i, value in zip(closed.tolist(), short[closed].view(f"V{REMEMBERED.itemsize}").tolist(), strict=True):
        values[i] = value
    return values


def unpacked(keys: NDArray[np.uint64], values: list[bytes | None]) -> tuple[NDArray[np.int64], Cases]:
    """Which of ``keys`` have a value, and their cases."""
    found = [i for i, value in enumerate(values) if value is not None]
    kept = [value for value in values if value is not None]
    cases = blank(len(found))
    whole = np.array([len(value) == CASE.itemsize for value in kept], bool)
    open_ = [value for value in kept if len(value) == CASE.itemsize]
    cases[whole] = np.frombuffer(b"".join(open_), CASE)
    closed = np.frombuffer(b"".join(v for v in kept if len(v) != CASE.itemsize), REMEMBERED)
    at = np.flatnonzero(~whole)
    for name in ("due", "model"):
        column = cases[name]
        column[at] = closed[name]
    cases["stage"][at] = CLOSED
    places = np.array(found, np.int64)
    cases["key"] = keys[places]
    return places, cases
