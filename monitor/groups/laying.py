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

_TIMES = 4
"""So many times all tallies may be kept, as bases and as outputs: of few models at a time, others come every time."""

Rows64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Kept:
    """What was laid out for ``models``, whose layouts were these, after so many ``changes``.

    ``idle`` are the places of outputs that are not compared so far.
    """

    models: Rows64
    layouts: list[Layout]
    laid: Laid
    idle: Rows64
    changes: int

    @property
    def size(self) -> int:
        """How many tallies are laid out, as bases and as outputs."""
        return len(self.laid.bases) + len(self.laid.outputs)


class Laying:
    """What was laid out for models that are judged together, kept until one of them changes."""

    def __init__(self, register: Register) -> None:
        self._register = register
        self._kept: dict[int, _Kept] = {}
        """By the first of models that were asked for together."""
        self._size = 0
        """Of all of them."""

    def of(self, models: Rows64) -> Laid:
        """The tallies of ``models`` together: mostly the same models are asked for at every tick."""
        held, all_layouts = self._kept.get(int(models[0])), self._register.layouts
        if held is not None and not np.array_equal(held.models, models):
            held = None
        if held is None or all_layouts.changed(models) > held.changes:
            layouts = [all_layouts.of(model) for model in models.tolist()]
            # Mostly there are further comparisons of what lies where it lay.
            same = held is not None and all(map(is_, layouts, held.layouts))
            further = _further(self._register, held.laid, held.idle) if held is not None and same else None
            laid, idle = compared(self._register, layouts) if further is None else further
            held = _Kept(models, layouts, laid, idle, all_layouts.changes)
            self._keep(held)
        return held.laid

    def _keep(self, held: _Kept) -> None:
        first = int(held.models[0])
        before = self._kept.pop(first, None)
        self._size += held.size - (0 if before is None else before.size)
        if self._size > _TIMES * len(self._register.tallies):
            self._kept.clear()
            self._size = held.size
        self._kept[first] = held


def compared(register: Register, layouts: Sequence[Layout]) -> tuple[Laid, Rows64]:
    """The tallies of several models, and what of them is compared now; and places of outputs that are not so far."""
    laid = _joined(register, layouts)
    further = _further(register, laid, np.arange(len(laid.outputs)))
    assert further is not None  # it comes behind nothing
    return further


def _joined(register: Register, layouts: Sequence[Layout]) -> Laid:
    """The tallies of several models, one behind the other, and nothing of them compared; each keeps its outputs."""
    starts = np.cumsum([0, *(layout.n_outputs for layout in layouts)])
    bases, rows, output = (
        np.concatenate([getattr(layout, name) for layout in layouts]) for name in ("bases", "rows", "output")
    )
    output += np.repeat(starts[:-1], [len(layout.rows) for layout in layouts])
    tallies, nothing = register.tallies, np.zeros(0, np.int32)
    of_two = register.crossed(register.members["group"][tallies["member"][bases]])
    return Laid(
        bases=bases.astype(np.int32),
        outputs=rows.astype(np.int32),
        of_outputs=output.astype(np.int32),
        n_outputs=int(starts[-1]),
        of_bases=tallies["block"][bases],
        waiting=bases[of_two].astype(np.int32),
        row=nothing,
        base=nothing,
        block=nothing,
        of_row=nothing,
        first=np.zeros(1, np.int32),
        cell=np.zeros(0, np.int64),
        margins=nothing.reshape(-1, 2),
    )


def _further(register: Register, laid: Laid, idle: Rows64) -> tuple[Laid, Rows64] | None:
    """``laid`` with what of its ``idle`` outputs (places) is compared by now, and those that still are not.

    Of whom an intersection is made was compared before it, and its cell comes behind all cells that were there:
    ``None`` where it does not, as of an intersection that was compared in another life.
    """
    tallies = register.tallies
    cell = tallies["cell"][laid.outputs[idle]]
    begun = cell >= 0
    ordered = np.sort(cell[begun].astype(np.int64) << 32 | idle[begun])  # faster than to sort places by cells
    own, cell = ordered & 0xFFFFFFFF, ordered >> 32
    if len(cell) and len(laid.cell) and cell[0] <= laid.cell[-1]:
        return None
    last = np.ones(len(cell), bool)
    np.not_equal(cell[1:], cell[:-1], out=last[:-1])
    ends = np.flatnonzero(last)
    cells, row = cell[ends], laid.outputs[own]
    further = replace(
        laid,
        waiting=laid.waiting[tallies["cell"][laid.waiting] < 0],
        row=np.concatenate([laid.row, row]),
        base=np.concatenate([laid.base, tallies["base"][row]]),
        block=np.concatenate([laid.block, tallies["block"][row]]),
        of_row=np.concatenate([laid.of_row, laid.of_outputs[own]]),
        first=np.concatenate([laid.first, (laid.first[-1] + ends + 1).astype(np.int32)]),
        cell=np.concatenate([laid.cell, cells]),
        margins=np.concatenate([laid.margins, margins_of(register, cells)]),
    )
    return further, idle[~begun]
