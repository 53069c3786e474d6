"""What does a number say of whom it is about? The value itself where there are few of them, else a band of values."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.rows import Field, Rows
from monitor.catalog.tables import class_name
from monitor.kernels.hashing import hash64

QUARTERS = 4
"""Bands into which a number is cut that tells groups of people apart, at the quartiles of its first values."""
STRATA_BANDS = (4, 16)
"""The fewest and the most bands of a number that explains: finer ones leave less of it unexplained within a band."""
CODES_MAX = 8
"""Whole numbers of at most so many values are codes: each value is a group, or a stratum, of its own."""
_EDGES = STRATA_BANDS[1] - 1

FIELDS = {
    "edges": Field(np.float64, (_EDGES,), np.nan, still=True),
    "coded": Field(np.uint8, still=True),
}
"""By role: the edges between the bands of a number, NaN behind the last; whether its values are codes."""

_NAMES = ("lowest quarter", "second quarter", "third quarter", "highest quarter")
_HASHES = np.array([hash64(name.encode()) for name in _NAMES[:QUARTERS]], np.uint64)
_BAND_HASHES = np.array([hash64(f"band {i}".encode()) for i in range(_EDGES + 1)], np.uint64)

Floats = NDArray[np.float64]


def n_bands(explains: int, strata_max: int) -> int:
    """Bands of each of ``explains`` numbers, so that all of them together make ``strata_max`` strata at most."""
    fewest, most = STRATA_BANDS
    return int(min(max(strata_max ** (1.0 / max(explains, 1)), fewest), most))


def cut(roles: Rows, role: int, edges: Floats, bands: int) -> None:
    """Let ``role`` cut its numbers at some of ``edges``, those of their bins; shape ``(n,)``, ascending."""
    n = len(edges)
    coded = n <= CODES_MAX and bool((edges == np.rint(edges)).all())
    chosen = edges
    if not coded:
        chosen = edges[np.unique(np.minimum(np.arange(1, bands) * (n + 1) // bands, n - 1))]
    roles["edges"][role] = np.nan
    roles["edges"][role, : len(chosen)] = chosen
    roles["coded"][role] = coded
    roles.touch(role)


def values_of(roles: Rows, role: NDArray[np.int64], number: Floats) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """The hash of what each ``number`` stands for in its ``role``, and whether that is known; shapes ``(k,)``."""
    edges = roles["edges"][role]
    known = np.isfinite(number) & ~np.isnan(edges[:, 0])
    band = (number[:, None] > edges).sum(axis=1)
    quarters = roles["attribute"][role] >= 0
    value = np.where(quarters, _HASHES[np.minimum(band, QUARTERS - 1)], _BAND_HASHES[band])
    coded = np.flatnonzero(known & (roles["coded"][role] > 0))
    if len(coded):
        numbers, place = np.unique(number[coded], return_inverse=True)
        value[coded] = np.array([_code_hash(each) for each in numbers.tolist()], np.uint64)[place]
    return value, known


def name_of(roles: Rows, role: int, number: float) -> str:
    """What a ``number`` that tells groups apart stands for, in words."""
    if roles["coded"][role]:
        return str(class_name(number))
    return _NAMES[min(int((number > roles["edges"][role]).sum()), QUARTERS - 1)]


def range_of(roles: Rows, role: int, number: float) -> str:
    """The band of a ``number`` by its ends, or the number itself where it is a code."""
    if roles["coded"][role]:
        return str(class_name(number))
    edges = roles["edges"][role]
    edges = edges[~np.isnan(edges)]
    band = int((number > edges).sum())
    low = f"above {edges[band - 1]:.6g}" if band else ""
    high = f"up to {edges[band]:.6g}" if band < len(edges) else ""
    return " ".join(part for part in (low, high) if part)


@lru_cache(maxsize=65_536)
def _code_hash(number: float) -> int:
    return hash64(str(class_name(number)).encode())
