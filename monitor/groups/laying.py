"""How do the tallies of several models lie for the kernel that pools them, and which of them are compared?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.groups.margins import margins_of
from monitor.groups.register import Register
from monitor.kernels.pool import Laid

_KEPT_MAX = 1024
"""Stretches of models that are kept."""

Rows64 = NDArray[np.int64]


class Laying:
    """What was laid out for models that are judged together, kept until one of them changes."""

    def __init__(self, register: Register) -> None:
        self._register = register
        self._kept: dict[int, tuple[Rows64, Laid, int]] = {}
        """By the first of models that were asked for together: all of them, what they came to, and when."""

    def of(self, models: Rows64) -> Laid:
        """The tallies of ``models`` together: mostly the same models are asked for at every tick."""
        held, layouts = self._kept.get(int(models[0])), self._register.layouts
        if held is None or not np.array_equal(held[0], models) or layouts.changed(models) > held[2]:
            if len(self._kept) >= _KEPT_MAX:
                self._kept.clear()
            held = models, laid(self._register, models), layouts.changes
            self._kept[int(models[0])] = held
        return held[1]


def laid(register: Register, models: Rows64) -> Laid:
    """The tallies of ``models`` as they lie now; each keeps outputs of its own."""
    tallies, layouts = register.tallies, [register.layouts.of(model) for model in models.tolist()]
    starts = np.cumsum([0, *(layout.n_outputs for layout in layouts)])
    bases, of_bases, rows, of_rows, base, output = (
        np.concatenate([getattr(layout, name) for layout in layouts])
        for name in ("bases", "of_bases", "rows", "of_rows", "base", "output")
    )
    output = output + np.repeat(starts[:-1], [len(layout.rows) for layout in layouts])
    cell = tallies["cell"][rows]
    compared = np.flatnonzero(cell >= 0)
    compared = compared[np.argsort(cell[compared], kind="stable")]
    cells, first = np.unique(cell[compared], return_index=True)
    cells = cells.astype(np.int64)
    of_two = register.crossed(register.members["group"][tallies["member"][bases]])
    return Laid(
        bases=bases.astype(np.int32),
        of_bases=of_bases.astype(np.int32),
        outputs=rows.astype(np.int32),
        of_outputs=output.astype(np.int32),
        n_outputs=int(starts[-1]),
        waiting=bases[of_two & (tallies["cell"][bases] < 0)].astype(np.int32),
        row=rows[compared].astype(np.int32),
        base=base[compared].astype(np.int32),
        block=of_rows[compared].astype(np.int32),
        of_row=output[compared].astype(np.int32),
        first=np.append(first, len(compared)).astype(np.int32),
        cell=cells,
        margins=margins_of(register, cells),
    )
