"""A table with a row for each group of which anything is kept, found by the group."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.rows import Field, Rows
from monitor.kernels.add import distinct

Rows64 = NDArray[np.int64]


class GroupRows(Rows):
    """Rows in the order in which their groups were met; the column ``group`` says which those are."""

    def __init__(self, fields: Mapping[str, Field]) -> None:
        super().__init__(fields)
        self._of_group: NDArray[np.int32] = np.full(0, -1, np.int32)
        self._counted: list[Rows64] = []

    def of(self, groups: NDArray[np.integer]) -> Rows64:
        """The row of each of ``groups`` (k,); -1 of those that have none."""
        rows = np.full(len(groups), -1, np.int64)
        known = np.flatnonzero(groups < len(self._of_group))
        rows[known] = self._of_group[groups[known]]
        return rows

    def enter(self, groups: NDArray[np.integer]) -> Rows64:
        """The row of each of ``groups`` (k,); those that have none get one, the lowest first."""
        rows = self.of(groups)
        if (rows < 0).any():
            new = np.unique(groups[rows < 0])
            at = self.add(len(new)) + np.arange(len(new))
            self["group"][at] = new
            self._list(at)
            rows = self.of(groups)
        return rows

    def count(self, groups: NDArray[np.integer], *columns: str) -> Rows64:
        """Add 1 for each of ``groups`` (k,) in ``columns``, none of them still; returns their rows as :meth:`enter`."""
        rows = self.enter(groups)
        more = np.bincount(rows, minlength=len(self))
        own = np.flatnonzero(more)
        for name in columns:
            self[name][own] += more[own].astype(self[name].dtype)
        self.stir(own)
        self._counted.append(own)
        return rows

    def take_counted(self) -> Rows64:
        """The rows (k,), rising, in which something was counted since this was last asked."""
        counted, self._counted = self._counted, []
        if len(counted) == 1:
            return counted[0]
        return distinct(np.concatenate(counted)) if counted else np.zeros(0, np.int64)

    def restored(self) -> None:
        """Put in order what follows from the table, after it was loaded."""
        self._list(np.arange(len(self)))

    def _list(self, rows: Rows64) -> None:
        groups = self["group"][rows]
        most = int(groups.max(initial=-1)) + 1
        if most > len(self._of_group):
            grown = np.full(most + most // 2, -1, np.int32)
            grown[: len(self._of_group)] = self._of_group
            self._of_group = grown
        self._of_group[groups] = rows
