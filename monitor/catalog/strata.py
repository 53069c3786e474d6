"""What are the strata of a series called? Eighths of a number's bins, or categories, and what is missing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.series import Series
from monitor.kernels.lean import LAST, MISSING
from monitor.kernels.tally import KIND_CATEGORY

Floats = NDArray[np.float64]


def strata_labels(series: Series, row: int) -> list[str]:
    """What the strata of a series are called."""
    if series.rows["kind"][row] == KIND_CATEGORY:
        values = series.categories.get(row, [])
        rest = values[LAST] if len(values) == LAST + 1 else "others"
        return [*values[:LAST], *[""] * (LAST - len(values[:LAST])), rest, "missing"]
    edges, place = _places(series, row)
    return [*(_range(edges, np.flatnonzero(place == k)) for k in range(MISSING)), "missing"]


def up_to_label(series: Series, row: int, stratum: int) -> str:
    """What the values of a number are called that lie in ``stratum`` or below."""
    edges, place = _places(series, row)
    last = int(np.flatnonzero(place <= stratum).max(initial=0))
    return f"<= {edges[last]:.6g}" if last < len(edges) else "any value"


def _places(series: Series, row: int) -> tuple[Floats, NDArray[np.int64]]:
    """The edges of a number's bins, and the stratum of each bin."""
    n = int(series.rows["n_edges"][row])
    return series.rows["edges"][row][:n], np.arange(n + 1) * MISSING // (n + 1)


def _range(edges: Floats, bins: NDArray[np.int64]) -> str:
    """Bin ``j`` lies above edge ``j - 1`` and not above edge ``j``."""
    if not len(bins):
        return ""
    first, last = int(bins[0]), int(bins[-1])
    low = f"{edges[first - 1]:.6g}" if first > 0 else ""
    high = f"{edges[last]:.6g}" if last < len(edges) else ""
    if not low:
        return f"<= {high}"
    return f"{low} to {high}" if high else f"> {low}"
