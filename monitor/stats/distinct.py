"""How many different things were there, and how many of them are new? From the greatest hashes of each set alone.

A thing's hash decides whether it is kept, so the same things are kept of every set that has them, in whatever order
they came and however often (bottom-k sketches: Cohen and Kaplan, 2007; here the greatest, so that 0 is nothing).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Indices = NDArray[np.int64]
_ALL = 2.0**64


def with_more(kept: Hashes, group: Indices, hashes: Hashes) -> Hashes:
    """The greatest hashes of sets ``kept`` (g, k), each falling, 0 for none, and of ``hashes`` (n,).

    ``group`` (n,) says to which of the sets each of ``hashes`` belongs; none of these is 0.
    """
    g, k = kept.shape
    wanted = hashes > kept[group, -1]
    group, hashes = group[wanted], hashes[wanted]
    of, place = np.nonzero(kept)
    groups, every = np.concatenate([of, group]), np.concatenate([kept[of, place], hashes])
    order = np.lexsort((~every, groups))
    groups, every = groups[order], every[order]
    first = np.ones(len(every), bool)
    first[1:] = (groups[1:] != groups[:-1]) | (every[1:] != every[:-1])
    groups, every = groups[first], every[first]
    rank = np.arange(len(groups)) - np.searchsorted(groups, groups)
    own = rank < k
    out = np.zeros((g, k), np.uint64)
    out[groups[own], rank[own]] = every[own]
    return out


def distinct(kept: Hashes) -> NDArray[np.float64]:
    """How many different things each of the sets ``kept`` (g, k) had: exact below k, else within a part in sqrt(k)."""
    k = kept.shape[1]
    reach = 1.0 - kept[:, -1].astype(np.float64) / _ALL
    few: NDArray[np.float64] = (kept > 0).sum(axis=1).astype(np.float64)
    return np.where(kept[:, -1] > 0, (k - 1) / np.maximum(reach, 1.0 / _ALL), few)


def unseen(now: Hashes, before: Hashes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of things in ``now`` (g, k) those that can be looked up in ``before`` (g, j), and those that it did not have.

    Both have shape ``(g,)``. What lies below the least hash that a full set keeps cannot be looked up in it.
    """
    asked = (now > 0) & (now >= before[:, -1:])
    had = (now[:, :, None] == before[:, None, :]).any(axis=2)
    return asked.sum(axis=1).astype(np.float64), (asked & ~had).sum(axis=1).astype(np.float64)
