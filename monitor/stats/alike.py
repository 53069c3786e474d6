"""Which of many things are alike? What is asked of each kind of them need be worked out once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Indices = NDArray[np.int64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def alike(words: Words) -> tuple[Indices, Indices]:
    """Where each kind of the rows of ``words`` (k, w) first stands, and of which kind each row is, shape ``(k,)``.

    ``words[first][kind]`` is ``words``. Kinds come in the order in which they first stand.
    """
    if not len(words):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    first, kind = _distinct(_hashes(words))
    if not np.array_equal(words[first][kind], words):  # two kinds have one hash
        whole = np.ascontiguousarray(words)
        first, kind = _distinct(whole.view(f"V{whole.itemsize * whole.shape[1]}").ravel())
    return first, kind


def _distinct(keys: NDArray[np.generic]) -> tuple[Indices, Indices]:
    _, first, kind = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return first[order], rank[kind]


def _hashes(words: Words) -> Words:
    """One hash of each row, in which every bit of it has its part."""
    odd = (np.arange(words.shape[1], dtype=np.uint64) * np.uint64(2) + np.uint64(1)) * _GOLDEN
    mixed = (words ^ words >> np.uint64(32)) * odd
    mixed ^= mixed >> np.uint64(29)
    hashes: Words = (mixed * odd).sum(axis=1, dtype=np.uint64)
    return hashes
