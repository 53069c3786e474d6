"""Which cohorts wait before they enter a reference? Those since errors began to lie above it, beyond what is tolerated.

A reference that grows takes in what it is compared with, and the edge of its null climbs with it: of a lasting rise
only as much would be left to see as has not been learned yet. So each cell keeps Page's cumulative sum (1954) of a bet
on a rise. Where it is back at 0 nothing speaks for one, and what waited enters, the whole of it: a reference is not
made of its lower half. Nothing of this is evidence; it chooses what a null is made of.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHIFT = 0.25
"""Logits of the rise that is looked for, beyond what may enter."""
NATS_MAX = 5.0
"""What a sum comes to at most: a rise of months is over soon after it ended."""
_ERRORS = 2.0
"""Standard errors of a reference that are no rise: a young one would otherwise never grow."""
_MOST = 1.0 - 1e-9

Floats = NDArray[np.float64]


def risen(before: Floats, cohort: Floats, reference: Floats, tolerance: Floats, worth: Floats) -> Floats:
    """The sums after a cohort, in nats, shape ``(k,)``: 0 where nothing speaks for a rise.

    Parameters
    ----------
    before
        The sums so far, (k,).
    cohort, reference
        Sum and number of outcomes in [0, 1], (k, 2); the reference has some.
    tolerance
        What may rise, (k,).
    worth
        What one event counts for where events clump, in (0, 1], (k,).
    """
    s, n = reference.T
    about = (s + 1.0) / (n + 2.0)
    chance = _ERRORS * np.sqrt(about * (1.0 - about) / (n * worth))
    edge = np.minimum(s / n + np.maximum(tolerance, chance), _MOST)
    gain = cohort[:, 0] * SHIFT - cohort[:, 1] * np.log1p(edge * np.expm1(SHIFT))
    after: Floats = np.clip(before + worth * gain, 0.0, NATS_MAX)
    return after
