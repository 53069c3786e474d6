"""Where is what closed cut, so that the loop need not stand until all is judged? Behind whole models.

The cuts follow from the models that closed and from nothing else, so they are the same whatever the batches were.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

BLOCK = 8192
"""Series that are judged at once, about: the arrays of a block stay in the cache."""


def parts(sizes: NDArray[np.int64]) -> list[slice]:
    """Runs of things of ``sizes`` (k,), each of as many as make it a :data:`BLOCK`; the last one may be smaller."""
    number = (np.cumsum(sizes) - sizes) // BLOCK
    edges = np.flatnonzero(np.diff(number, prepend=-1, append=-1))
    return [slice(first, last) for first, last in pairwise(edges.tolist())]


def pieces(model: NDArray[np.integer]) -> list[slice]:
    """Runs of series of whole models: ``model`` (k,) is that of each, those of a model together."""
    edges = np.flatnonzero(np.diff(model, prepend=-1, append=-1))
    return [slice(int(edges[own.start]), int(edges[own.stop])) for own in parts(np.diff(edges))]
