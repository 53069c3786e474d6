"""Where do the tallies of a model lie, and those of several? Found when something is met, asked for at every tick."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows64 = NDArray[np.int64]
_TOGETHER_MAX = 1024
"""Layouts of several models that are kept."""


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


class Layouts:
    """The layouts of all models, made by ``lay`` when they are first asked for and kept until a model's change."""

    def __init__(self, lay: Callable[[int], Layout]) -> None:
        self._lay = lay
        self._of: dict[int, Layout] = {}
        self._together: dict[int, tuple[Rows64, Layout, int]] = {}
        """By the first of models that were asked for together: all of them, what they came to, and when."""
        self._changes = 0
        self._changed: Rows64 = np.zeros(0, np.int64)
        """How often anything changed, and by model what that was when it changed last."""

    def of(self, model: int) -> Layout:
        """The tallies of a model."""
        layout = self._of.get(model)
        if layout is None:
            layout = self._of[model] = self._lay(model)
        return layout

    def together(self, models: Rows64) -> Layout:
        """The tallies of ``models`` together: mostly the same models are asked for at every tick."""
        held = self._together.get(int(models[0]))
        if held is None or not np.array_equal(held[0], models) or self._changed[models].max() > held[2]:
            if len(self._together) >= _TOGETHER_MAX:
                self._together.clear()
            held = models, joined([self.of(model) for model in models.tolist()]), self._changes
            self._together[int(models[0])] = held
        return held[1]

    def drop(self, models: NDArray[np.integer]) -> None:
        """Forget the layouts of ``models`` (k,): their tallies are others from now on."""
        for model in models.tolist():
            self._of.pop(model, None)
        self._note(models)

    def judge(self, models: NDArray[np.integer], cells: NDArray[np.int32]) -> None:
        """Take up which tallies of ``models`` (k,) are judged: those that have one of ``cells``, by tally."""
        for model in models.tolist():
            if (layout := self._of.get(model)) is not None:
                layout.judged = cells[layout.rows] >= 0
        self._note(models)

    def _note(self, models: NDArray[np.integer]) -> None:
        further = int(models.max(initial=-1)) + 1 - len(self._changed)
        if further > 0:
            self._changed = np.concatenate([self._changed, np.zeros(further + len(self._changed), np.int64)])
        self._changes += 1
        self._changed[models] = self._changes
