"""How long does it go on? The evidence of stretches that go on from tick to tick, and what comes of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.kernels.judge import FIRING, SUSPICIOUS, State, decide
from monitor.stats.accumulate import accumulate

NATS_MAX = 80.0
"""What one tick may add: no cell needs more to alarm."""

Array = NDArray[np.float64]


def go_on(
    state: State, rows: NDArray[np.int64], nats: Array, allowance: Array, end: float, hold: Array, keep_firing: Array
) -> tuple[NDArray[np.uint8], Array]:
    """Let the cells ``rows`` (k,) of ``state`` bet ``nats``, -inf where a stretch ended: its evidence goes with it.

    All are of shape ``(k,)``: ``allowance`` false alarms, ``hold`` and ``keep_firing`` seconds. Returns flags as those
    of :func:`decide`, and the evidence beyond the budget in nats.
    """
    log_budget = np.log(np.maximum(allowance, 1e-300))
    step = accumulate(state["log_r"][rows], nats[:, None].astype(np.float32), log_budget)
    state["log_r"][rows] = step.log_r
    evidence = np.asarray(step.log_total - log_budget, np.float64)
    state["evidence"][rows] = evidence
    ended = np.isneginf(nats)
    suspicious = ~ended & (evidence > SUSPICIOUS * -log_budget)
    sustained = step.alarm | suspicious | ((state["firing"][rows] == FIRING) & ~ended)
    return decide(state, rows, end, hold, keep_firing, step.alarm, sustained), evidence
