"""What is bet on: shares of a group less those of the rest, against the differences that their past leaves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.kernels.lean import STRATA
from monitor.stats.bounds import gap_edge
from monitor.stats.evidence import log_e_two_sample, project_difference

GROUP, REST = range(2)
"""The sides of a cell."""
CUTS = STRATA
"""Shares that are judged: of numbers at or below each stratum, else in each."""
BETS = 2 * CUTS
"""Of each cut one that the difference rose, then one that it fell."""
_NATS = 2.0
"""What a batch should bring where the difference is the one that is bet on: small batches bet on large ones."""
_STEPS = (0.02, 0.3)
"""The least and the largest that it lies beyond the edge of the null."""
_LEAST = 0.005
"""Alternatives are kept this far from 0 and 1."""
_VARIANCE_MIN = 0.05
_WIDEST = 0.999

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]


def shares(counts: Array, number: Flags) -> tuple[Array, Array]:
    """Of ``counts`` (k, 2, STRATA) how many there are at each cut, (k, 2, CUTS), and in all, (k, 2).

    ``number`` (k,) says of which the strata have an order.
    """
    counts = counts.astype(np.float64)
    return np.where(number[:, None, None], counts.cumsum(axis=-1), counts), counts.sum(axis=-1)


def rates(s: Array, n: Array) -> Array:
    """Shares (k, 2, CUTS) that ``s`` of ``n`` (k, 2) are; of nothing 0."""
    return s / np.maximum(n, 1.0)[:, :, None]


def edges(s: Array, n: Array, tolerance: Array) -> tuple[Array, Array]:
    """Between what the difference at each cut may lie, (k, CUTS): its past, which is a sample, and ``tolerance`` (k,).

    ``s`` (k, 2, CUTS) of ``n`` (k, 2) are the past.
    """
    return gap_edge(s[:, GROUP], n[:, GROUP, None], s[:, REST], n[:, REST, None], tolerance[:, None])


def log_e(s: Array, n: Array, rest: Array, low: Array, high: Array) -> Array:
    """Nats of every bet on a batch ``s`` (k, 2, CUTS) of ``n`` (k, 2): (k, BETS).

    ``rest`` (k, CUTS) is what the rest's shares are expected to be, ``low`` and ``high`` (k, CUTS) are the edges. That
    a difference fell is that one of the shares of all others rose.
    """
    na, nb = n[:, GROUP, None], n[:, REST, None]
    sa, sb = (np.concatenate([s[:, side], n[:, side, None] - s[:, side]], axis=1) for side in (GROUP, REST))
    edge = np.clip(np.concatenate([high, -low], axis=1), -_WIDEST, _WIDEST)
    b1 = np.clip(np.concatenate([rest, 1.0 - rest], axis=1), _LEAST, 1.0 - _LEAST)
    variance = np.maximum(b1 * (1.0 - b1), _VARIANCE_MIN) * (1.0 / na + 1.0 / nb)
    a1 = np.clip(b1 + edge + np.clip(np.sqrt(2.0 * _NATS * variance), *_STEPS), _LEAST, 1.0 - _LEAST)
    a0, b0 = project_difference(a1, b1, na, nb, edge)
    return log_e_two_sample(sa, na, sb, nb, a1, b1, a0, b0)


def moved(now: Array, past: Array) -> tuple[Array, Array]:
    """By how much the differences moved, (k, CUTS), and the rest's own shares the furthest, (k,).

    ``now`` and ``past`` are :func:`rates`.
    """
    gap = (now - past)[:, GROUP] - (now - past)[:, REST]
    return gap, np.abs(now - past)[:, REST].max(axis=1)


def errors(rate: Array, n: Array) -> tuple[Array, Array]:
    """Standard errors of the differences and of the rest's shares, (k, CUTS) each, by :func:`rates` of ``n`` (k, 2)."""
    variance = np.maximum(rate * (1.0 - rate), 1e-4) / np.maximum(n, 1.0)[:, :, None]
    return np.sqrt(variance.sum(axis=1)), np.sqrt(variance[:, REST])
