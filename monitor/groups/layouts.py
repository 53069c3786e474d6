"""Where do the tallies of a model lie, and those of several? Found when something is met, asked for at every tick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(slots=True)
class Layout:
    """The tallies of a model, ordered by the key of their block and their own; or of several, one behind the other.

    ``bases`` are those that count cases, ``rows`` those that count outputs, each with its ``base``, the index of its
    ``output`` among the ``n_outputs`` of all blocks, and whether it is ``judged``. ``of_bases`` and ``of_rows`` are
    the blocks.
    """

    bases: NDArray[np.int64]
    of_bases: NDArray[np.int64]
    rows: NDArray[np.int64]
    of_rows: NDArray[np.int64]
    base: NDArray[np.int64]
    output: NDArray[np.int64]
    judged: NDArray[np.bool_]
    n_outputs: int


def joined(layouts: Sequence[Layout]) -> Layout:
    """The tallies of several models as one; each keeps outputs of its own."""
    starts = np.cumsum([0, *(layout.n_outputs for layout in layouts)])
    bases, of_bases, rows, of_rows, base, output, judged = (
        np.concatenate([getattr(layout, name) for layout in layouts])
        for name in ("bases", "of_bases", "rows", "of_rows", "base", "output", "judged")
    )
    output += np.repeat(starts[:-1], [len(layout.rows) for layout in layouts])
    return Layout(bases, of_bases, rows, of_rows, base, output, judged, int(starts[-1]))
