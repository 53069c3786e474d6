"""Of which two groups is an intersection? It is told of beside them only where it says more than they say already."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.groups.register import Register
from monitor.kernels.settle import SURELY_MORE, accounted_for

__all__ = ["SURELY_MORE", "accounted_for", "margins_of"]


def margins_of(register: Register, cells: NDArray[np.int64]) -> NDArray[np.int32]:
    """The cells of the two groups that each of ``cells`` (k,) is the intersection of, (k, 2).

    -1 where it is none, and of a group that is not compared.
    """
    group, output = (register.cells[name][cells] for name in ("group", "output"))
    crossed = np.flatnonzero(register.crossed(group))
    margins = np.full((len(cells), 2), -1, np.int32)
    for i, name in enumerate(("first", "second")):
        margins[crossed, i] = register.cells_of(register.groups[name][group[crossed]], output[crossed])
    return margins
