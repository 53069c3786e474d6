"""Where do the tallies of a model lie? Found when something is met, asked for at every tick."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows64 = NDArray[np.int64]


@dataclass(slots=True)
class Layout:
    """The tallies of a model, ordered by the key of their block and their own.

    ``bases`` are those that count cases, ``rows`` those that count outputs, each with the index of its ``output`` among
    the ``n_outputs`` of all blocks.
    """

    bases: NDArray[np.int64]
    rows: NDArray[np.int64]
    output: NDArray[np.int64]
    n_outputs: int


class Layouts:
    """The layouts of all models, made by ``lay`` when they are first asked for and kept until a model's change."""

    def __init__(self, lay: Callable[[int], Layout]) -> None:
        self._lay = lay
        self._of: dict[int, Layout] = {}
        self.changes = 0
        self._changed: Rows64 = np.zeros(0, np.int64)
        """How often anything changed, and by model what that was when it changed last."""

    def of(self, model: int) -> Layout:
        """The tallies of a model."""
        layout = self._of.get(model)
        if layout is None:
            layout = self._of[model] = self._lay(model)
        return layout

    def changed(self, models: Rows64) -> int:
        """Which of all ``changes`` was the last of one of ``models`` (k,)."""
        return int(self._changed[models].max())

    def drop(self, models: NDArray[np.integer]) -> None:
        """Forget the layouts of ``models`` (k,): their tallies are others from now on."""
        for model in models.tolist():
            self._of.pop(model, None)
        self.note(models)

    def note(self, models: NDArray[np.integer]) -> None:
        """Take note that of ``models`` (k,) others are compared from now on."""
        further = int(models.max(initial=-1)) + 1 - len(self._changed)
        if further > 0:
            self._changed = np.concatenate([self._changed, np.zeros(further + len(self._changed), np.int64)])
        self.changes += 1
        self._changed[models] = self.changes
