"""How strings become 64-bit keys: the seeded hash and the mixing of ``strings.h``, in Python."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_ROOT2 = 0x6A09E667F3BCC909
_ROOT3 = 0xBB67AE8584CAA73B
_ROOT7 = 0xA54FF53A5F1D36F1


def hash64(data: bytes, seed: int = 0) -> int:
    """The key of ``data``, in [0, 2**64); fast and well spread, not cryptographic. ``seed`` is in [0, 2**64)."""
    state = _avalanche((seed + _GOLDEN) & _MASK)
    for start in range(0, len(data) // 8 * 8 + 1, 8):
        word = int.from_bytes(data[start : start + 8], "little")
        product = ((state ^ word) * _ROOT2) & _MASK
        state = ((product << 29) | (product >> 35)) & _MASK
    return _avalanche(state ^ ((len(data) * _GOLDEN) & _MASK))


@lru_cache(1 << 14)
def hash_of(text: str) -> int:
    """:func:`hash64` of a name or a value, of which the models of a fleet have most in common."""
    return hash64(text.encode())


def mix(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One key of each pair of keys, element by element; ``mix(a, b)`` is not ``mix(b, a)``.

    ``a`` and ``b`` (uint64) broadcast; with one held fixed, no two values of the other give the same key.
    """
    left = (np.atleast_1d(a) ^ np.uint64(_GOLDEN)) * np.uint64(_ROOT2)
    turned = (left << np.uint64(32)) | (left >> np.uint64(32))
    x = turned ^ (np.atleast_1d(b) * np.uint64(_ROOT3))
    x = (x ^ (x >> np.uint64(32))) * np.uint64(_ROOT3)
    x = (x ^ (x >> np.uint64(29))) * np.uint64(_ROOT7)
    keys: NDArray[np.uint64] = x ^ (x >> np.uint64(32))
    return keys


def _avalanche(x: int) -> int:
    x = ((x ^ (x >> 32)) * _ROOT3) & _MASK
    x = ((x ^ (x >> 29)) * _ROOT7) & _MASK
    return x ^ (x >> 32)
