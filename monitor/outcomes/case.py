"""What is kept of one case between its prediction and its outcome: a fixed record without a raw feature."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.kernels.lean import NO_PLACES

SLOTS = 6
"""Attributes that a case can carry: sensitive ones and those that explain. What is beyond is turned away."""

ITEMS_MAX = 16
"""Items of a list that a case keeps: rankings are judged by so many places, longer lists of tags by none."""
TAGS, RANKING = 1, 2
"""What list was predicted; 0 for none."""

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
        ("places", "<u8", (2,)),
        ("model", "<i4"),
        ("stage", "u1"),
        ("has", "u1"),
        ("list", "u1"),
        ("n_served", "u1"),
        ("n_shown", "u1"),
    ]
)
"""Classes, names and values of attributes are hashes (0: none); of a number among the attributes the bits of the float.
``places`` are the strata of its features (``kernels/lean.py``), if the case was sampled.

``due`` is when the case matures (or is forgotten), ``time`` that of the prediction, or of the first part that came.
"""
WIDE = np.dtype([*CASE.descr, ("served", "<u4", (ITEMS_MAX,)), ("shown", "<u4", (ITEMS_MAX,))])
"""A case with lists: of what was predicted and of what came of it, halves of hashes in their order, 0 for none."""
REMEMBERED = np.dtype([("due", "<f8"), ("model", "<i4")])
"""What is stored of a closed case: a late outcome is known as one until ``due``."""

Cases = NDArray[np.void]
"""Structured arrays of :data:`CASE`, or of :data:`WIDE`."""


def blank(n: int, dtype: np.dtype[np.void] = CASE) -> Cases:
    """Cases of which nothing is known yet."""
    cases = np.zeros(n, dtype)
    for name in ("due", "time", "outcome_time", "score", "value", "outcome_number", "money"):
        cases[name] = np.nan
    cases["places"] = NO_PLACES
    return cases


def as_dtype(cases: Cases, dtype: np.dtype[np.void]) -> Cases:
    """The same cases with room for lists, or without."""
    if cases.dtype == dtype:
        return cases
    made = np.zeros(len(cases), dtype)
    for name in CASE.names or ():
        made[name] = cases[name]
    return made


def packed(cases: Cases) -> list[bytes]:
    """The stored value of each case: all of an open one, next to nothing of a closed one, lists where it has some."""
    short = np.zeros(len(cases), REMEMBERED)
    short["due"], short["model"] = cases["due"], cases["model"]
    values: list[bytes] = as_dtype(cases, CASE).view(f"V{CASE.itemsize}").tolist()
    closed = np.flatnonzero(cases["stage"] == CLOSED)
    parts = [(closed, short[closed].view(f"V{REMEMBERED.itemsize}"))]
    if cases.dtype == WIDE:
        listed = np.flatnonzero((cases["stage"] != CLOSED) & (np.maximum(cases["n_served"], cases["n_shown"]) > 0))
        parts.append((listed, cases[listed].view(f"V{WIDE.itemsize}")))
    for at, blobs in parts:
        for i, value in zip(at.tolist(), blobs.tolist(), strict=True):
            values[i] = value
    return values


def unpacked(keys: NDArray[np.uint64], values: list[bytes | None]) -> tuple[NDArray[np.int64], Cases]:
    """Which of ``keys`` have a value, and their cases."""
    found = [i for i, value in enumerate(values) if value is not None]
    kept = [value for value in values if value is not None]
    sizes = np.array([len(value) for value in kept], np.int64)
    cases = blank(len(found), WIDE if (sizes == WIDE.itemsize).any() else CASE)
    for dtype in (CASE, WIDE):
        own = np.flatnonzero(sizes == dtype.itemsize)
        if len(own):
            blob = b"".join(kept[i] for i in own.tolist())
            cases[own] = as_dtype(np.frombuffer(blob, dtype), cases.dtype)
    at = np.flatnonzero(sizes == REMEMBERED.itemsize)
    closed = np.frombuffer(b"".join(kept[i] for i in at.tolist()), REMEMBERED)
    for name in ("due", "model"):
        column = cases[name]
        column[at] = closed[name]
    cases["stage"][at] = CLOSED
    places = np.array(found, np.int64)
    cases["key"] = keys[places]
    return places, cases
