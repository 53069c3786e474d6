"""Which outputs tell groups apart the most? Log-odds with an informative prior, in standard errors."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from monitor.groups.register import Register

PRIOR_CASES = 500.0
"""The background counts as much as this many outputs."""


def log_odds_z(
    y: ArrayLike, n: ArrayLike, y_rest: ArrayLike, n_rest: ArrayLike, prior_cases: float = PRIOR_CASES
) -> NDArray[np.float64]:
    """How much likelier an output is in a group than in the rest, in standard errors.

    Monroe, Colaresi and Quinn (2008): the difference of log-odds under a Dirichlet prior in proportion to the
    background, over its standard deviation. Rare outputs, whose raw ratio is infinite, do not come first.

    Parameters
    ----------
    y, y_rest
        How often the output came up in the group and in the rest; all arguments broadcast.
    n, n_rest
        How often any output did.
    prior_cases
        Weight of the background, in outputs.
    """
    y, n, y_rest, n_rest = (np.asarray(x, dtype=np.float64) for x in (y, n, y_rest, n_rest))
    background = prior_cases * (y + y_rest) / np.maximum(n + n_rest, 1.0)
    background = np.maximum(background, 1e-9)

    def logit(count: NDArray[np.float64], of: NDArray[np.float64]) -> NDArray[np.float64]:
        others = np.maximum(of + prior_cases - count - background, 1e-9)
        odds: NDArray[np.float64] = np.log((count + background) / others)
        return odds

    spread = np.sqrt(1.0 / (y + background) + 1.0 / (y_rest + background))
    z: NDArray[np.float64] = (logit(y, n) - logit(y_rest, n_rest)) / spread
    return z


def strength(register: Register, cell: int) -> float:
    """How strongly a cell's output goes with its group: :func:`log_odds_z` of all cases, over the root of their number.

    So cells can be ranked that were looked at after different numbers of cases.
    """
    group, output = int(register.cells["group"][cell]), int(register.cells["output"][cell])
    totals = [register.totals(other, output) for other in register.groups_of(int(register.groups["attribute"][group]))]
    n, s = (math.fsum(total[i] for total in totals) for i in range(2))
    own_n, own_s = register.totals(group, output)
    return float(log_odds_z(own_s, own_n, s - own_s, n - own_n)) / math.sqrt(max(n, 1.0))
