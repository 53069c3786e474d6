"""How do the tallies of several models lie for the kernel that pools them, and which of them are compared?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import is_

import numpy as np
from numpy.typing import NDArray

from monitor.groups.layouts import Layout
from monitor.groups.margins import margins_of
from monitor.groups.register import Register
from monitor.kernels.pool import Laid

_KEPT_MAX = 1024
"""Stretches of models that are kept."""

Rows64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Kept:
    """What was laid out for ``models``, whose layouts were these, after so many ``changes``.

    ``crossed`` are the bases of intersections.
    """

    models: Rows64
    layouts: list[Layout]
    crossed: NDArray[np.int32]
    laid: Laid
    changes: int


class Laying:
    """What was laid out for models that are judged together, kept until one of them changes."""

    def __init__(self, register: Register) -> None:
        self._register = register
        self._kept: dict[int, _Kept] = {}
        """By the first of models that were asked for together."""

    def of(self, models: Rows64) -> Laid:
        """The tallies of ``models`` together: mostly the same models are asked for at every tick."""
        held, all_layouts = self._kept.get(int(models[0])), self._register.layouts
        if held is not None and not np.array_equal(held.models, models):
            held = None
        if held is None or all_layouts.changed(models) > held.changes:
            if len(self._kept) >= _KEPT_MAX:
                self._kept.clear()
            layouts = [all_layouts.of(model) for model in models.tolist()]
            # Mostly there are further comparisons of what lies where it lay.
            if held is not None and all(map(is_, layouts, held.layouts)):
                laid, crossed = held.laid, held.crossed
            else:
                laid = joined(self._register, layouts)
                crossed = _crossed(self._register, laid.bases)
            laid = compared(self._register, laid, crossed)
            held = self._kept[int(models[0])] = _Kept(models, layouts, crossed, laid, all_layouts.changes)
        return held.laid


def joined(register: Register, layouts: Sequence[Layout]) -> Laid:
    """The tallies of several models, one behind the other, and nothing of them compared; each keeps its outputs."""
    starts = np.cumsum([0, *(layout.n_outputs for layout in layouts)])
    bases, rows, output = (
        np.concatenate([getattr(layout, name) for layout in layouts]) for name in ("bases", "rows", "output")
    )
    output += np.repeat(starts[:-1], [len(layout.rows) for layout in layouts])
    nothing = np.zeros(0, np.int32)
    return Laid(
        bases=bases.astype(np.int32),
        outputs=rows.astype(np.int32),
        of_outputs=output.astype(np.int32),
        n_outputs=int(starts[-1]),
        of_bases=register.tallies["block"][bases],
        waiting=nothing,
        row=nothing,
        base=nothing,
        block=nothing,
        of_row=nothing,
        first=nothing,
        cell=np.zeros(0, np.int64),
        margins=nothing.reshape(-1, 2),
    )


def compared(register: Register, laid: Laid, crossed: NDArray[np.int32]) -> Laid:
    """``laid`` with what of it is compared now; ``crossed`` (c,) are the bases of intersections in it.

    What was compared before goes on to be, beside the same cells: other groups are compared from when they are met.
    """
    tallies = register.tallies
    cell = tallies["cell"][laid.outputs]
    own = np.flatnonzero(cell >= 0)
    ordered = np.sort(cell[own].astype(np.int64) << 32 | own)  # numbers are sorted faster than what they stand for
    own, cell = ordered & 0xFFFFFFFF, ordered >> 32
    begins = np.ones(len(own), bool)
    np.not_equal(cell[1:], cell[:-1], out=begins[1:])
    first = np.flatnonzero(begins)
    cells, row = cell[first], laid.outputs[own]
    margins, new = np.empty((len(cells), 2), np.int32), np.ones(len(cells), bool)
    known = np.searchsorted(cells, laid.cell)
    margins[known], new[known] = laid.margins, False
    margins[new] = margins_of(register, cells[new])
    return replace(
        laid,
        waiting=crossed[tallies["cell"][crossed] < 0],
        row=row,
        base=tallies["base"][row],
        block=tallies["block"][row],
        of_row=laid.of_outputs[own],
        first=np.append(first, len(own)).astype(np.int32),
        cell=cells,
        margins=margins,
    )


def _crossed(register: Register, bases: NDArray[np.int32]) -> NDArray[np.int32]:
    """Which of ``bases`` (b,) count the cases of intersections."""
    found: NDArray[np.int32] = bases[register.crossed(register.members["group"][register.tallies["member"][bases]])]
    return found
