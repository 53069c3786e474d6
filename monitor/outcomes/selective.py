"""Do only favourable decisions have outcomes? Declared by the policy, or seen in the cases that matured."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.outcomes.asked import Asked
from monitor.outcomes.totals import Totals

SELECTIVE_MIN = 100
"""Cases of each decision from which it can be seen that only favourable ones have outcomes."""
SELECTIVE_SHARE = 0.01
"""Share of unfavourable decisions with an outcome below which outcomes are taken to be selective."""
NOT_IDENTIFIED = "not identified: only favourable decisions have outcomes"
"""What is said of figures that need the outcomes of those who were refused."""


def declared(asked: Asked, models: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Of which of ``models`` (k,) the policy says so."""
    said: NDArray[np.bool_] = asked.rows["favourable_only"][models] > 0
    return said


def detected(totals: Totals, models: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Of which of ``models`` (k,) the matured cases say so.

    Next to none of those who were refused have an outcome, and a tenth of the others at least.
    """
    observed = totals.rows["observed"][models].astype(np.float64)
    (unfavourable, known), (favourable, good) = observed[:, 0].T, observed[:, 1].T
    enough = np.minimum(unfavourable, favourable) >= SELECTIVE_MIN
    seen: NDArray[np.bool_] = enough & (known <= SELECTIVE_SHARE * unfavourable)
    seen &= good > 10.0 * SELECTIVE_SHARE * favourable
    return seen


def selective(asked: Asked, totals: Totals, models: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Of which of ``models`` (k,) the one or the other does."""
    return declared(asked, models) | detected(totals, models)
