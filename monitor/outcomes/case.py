"""What is kept of one case between its prediction and its outcome: a fixed record without a raw feature.

In memory; a store has of each case what it has and no more (:mod:`monitor.outcomes.packing`).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from monitor.kernels.lean import NO_PLACES

SLOTS = 6
"""Attributes that a case can carry: sensitive ones and those that explain. What is beyond is turned away."""

ITEMS_MAX = 16
"""Items of a list that a case keeps: rankings are judged by so many places, longer lists of tags by none."""
TAGS, RANKING = 1, 2
"""What list was predicted; 0 for none."""

OPEN, CLOSED = range(2)
"""A case waits for its parts; it has matured, and only this is remembered of it."""


HAS_PREDICTION, HAS_OUTCOME = np.uint8(1), np.uint8(2)
"""Which parts of a case have come."""
TOLD_WITH = np.uint8(4) << np.arange(SLOTS, dtype=np.uint8)
"""Bits of the same byte, by slot: the prediction's own event told this attribute, and was counted for its group."""

_FIELDS = [
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
    ("places", "<u8", (2,)),
    ("model", "<i4"),
    ("kinds", "u1", (SLOTS,)),
    ("stage", "u1"),
    ("has", "u1"),
    ("list", "u1"),
    ("n_served", "u1"),
    ("n_shown", "u1"),
]
CASE = np.dtype(_FIELDS, align=True)
"""Classes, names and values of attributes are hashes (0: none); of a number among the attributes the bits of the float.
``places`` are the strata of its features (``kernels/lean.py``), if the case was sampled.

``due`` is when the case matures (or is forgotten), ``time`` that of the prediction, or of the first part that came.
The compiled loops read the same records (``kernels/case.h``).
"""
WIDE = np.dtype([*_FIELDS, ("served", "<u4", (ITEMS_MAX,)), ("shown", "<u4", (ITEMS_MAX,))], align=True)
"""A case with lists: of what was predicted and of what came of it, halves of hashes in their order, 0 for none."""
Cases = NDArray[np.void]
"""Structured arrays of :data:`CASE`, or of :data:`WIDE`."""


def blank(n: int, dtype: np.dtype[np.void] = CASE) -> Cases:
    """Cases of which nothing is known yet."""
    cases, whole = np.empty(n, dtype), np.dtype((np.void, dtype.itemsize))
    cases.view(whole)[:] = _unknown(dtype).view(whole)
    return cases


@cache
def _unknown(dtype: np.dtype[np.void]) -> Cases:
    """One such case."""
    case = np.zeros(1, dtype)
    for name in ("due", "time", "outcome_time", "score", "value", "outcome_number", "money"):
        case[name] = np.nan
    case["places"] = NO_PLACES
    return case


def copy(cases: Cases, rows: NDArray[np.int64], to: Cases, at: NDArray[np.int64]) -> None:
    """Let ``to`` have at ``at`` (k,) what ``cases`` have at ``rows`` (k,): whole records, which are of one kind."""
    whole = np.dtype((np.void, to.itemsize))
    to.view(whole)[at] = cases.view(whole)[rows]


def as_dtype(cases: Cases, dtype: np.dtype[np.void]) -> Cases:
    """The same cases with room for lists, or without."""
    if cases.dtype == dtype:
        return cases
    made = np.zeros(len(cases), dtype)
    for name in CASE.names or ():
        made[name] = cases[name]
    return made
