"""How did a model do in a past range? The same figures as ever, of the cases between two moments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.models import Models
from monitor.outcomes.document import figures, rate
from monitor.outcomes.totals import Totals

Sums = Mapping[str, NDArray[np.generic]]


def performance_between(before: Sums | None, after: Sums, *, selective: bool) -> dict[str, Any]:
    """Cases, outcomes and figures of what was added to ``before`` (nothing where ``None``) until ``after``.

    Both are a row of arrays of :data:`monitor.outcomes.totals.FIELDS`; ``selective`` says that only those who got the
    favourable decision have outcomes.
    """
    totals = Totals(Models(1))
    row = totals.rows.add()
    for name, sums in after.items():
        totals.rows[name][row] = sums if before is None else np.subtract(sums, before[name])
    cases, labelled = int(totals.rows["cases"][row]), int(totals.rows["labelled"][row])
    return {
        "cases": cases,
        "outcomes": labelled,
        "coverage": rate(labelled, cases),
        "figures": figures(totals, row, selective=selective),
    }
