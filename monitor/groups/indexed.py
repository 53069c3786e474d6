"""Which row has a key? The tables of the register, how rows get into them, and what they alone say."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from monitor.catalog.rows import Rows
from monitor.groups.tables import ATTRIBUTES, BLOCKS, CELLS, GROUPS, MEMBERS, OUTPUTS, STRATA, TALLIES
from monitor.kernels.table import Table, mix, mix_one

Rows64 = NDArray[np.int64]


class Indexed:
    """The tables of :mod:`monitor.groups.tables`; ``index`` finds the row of a key, by the name of its table."""

    def __init__(self) -> None:
        self.attributes, self.groups, self.strata = Rows(ATTRIBUTES), Rows(GROUPS), Rows(STRATA)
        self.members, self.outputs, self.tallies = Rows(MEMBERS), Rows(OUTPUTS), Rows(TALLIES)
        self.blocks, self.cells = Rows(BLOCKS), Rows(CELLS)
        self.index: dict[str, Table] = {name: Table() for name in self.tables()}

    def tables(self) -> dict[str, Rows]:
        """Everything that is stored, by name."""
        return {
            "attributes": self.attributes,
            "groups": self.groups,
            "strata": self.strata,
            "members": self.members,
            "outputs": self.outputs,
            "tallies": self.tallies,
            "blocks": self.blocks,
            "cells": self.cells,
        }

    def crossed(self, group: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Which of ``group`` (k,) are intersections of two."""
        found: NDArray[np.bool_] = self.groups["first"][group] >= 0
        return found

    def cell(self, group: int, output: int) -> int:
        """The row of the cell that compares a group's cases with ``output``; -1 where there is none."""
        return self.index["cells"].find_one(mix_one(int(self.groups["key"][group]), int(self.outputs["key"][output])))

    def cells_of(self, group: NDArray[np.integer], output: NDArray[np.integer]) -> NDArray[np.int64]:
        """The rows of the cells of pairs of a group (k,) and an output (k,); -1 where there is none."""
        keys = mix(self.groups["key"][group], self.outputs["key"][output])
        return self.index["cells"].find(keys).astype(np.int64)

    def models_of_tallies(self) -> NDArray[np.int32]:
        """The model of each tally, by row."""
        return np.asarray(self.blocks["model"][self.tallies["block"][: len(self.tallies)]], np.int32)

    def _let_in(self, table: str, keys: NDArray[np.uint64], **fields: NDArray[np.integer]) -> Rows64:
        """The rows of ``keys`` (k,) in a table, those that are new made of ``fields`` (k,)."""
        index = self.index[table]
        found = index.find(keys).astype(np.int64)
        unknown = np.flatnonzero(found < 0)
        if len(unknown):
            new = unknown[np.sort(np.unique(keys[unknown], return_index=True)[1])]
            self._add(table, keys[new], **{name: values[new] for name, values in fields.items()})
            found[unknown] = index.find(keys[unknown])
        return found

    def _rename(self, table: str, at: Rows64, keys: NDArray[np.uint64]) -> None:
        """Let the rows ``at`` (k,) of a table have other ``keys`` (k,)."""
        rows: Rows = getattr(self, table)
        self.index[table].forget(rows["key"][at])
        rows["key"][at] = keys
        self.index[table].insert_many(keys, at)
        rows.touch(at)

    def _add(self, table: str, keys: NDArray[np.uint64], **fields: ArrayLike) -> Rows64:
        """New rows of a table for ``keys`` (k,), made of ``fields`` (k,)."""
        if not len(keys):
            return np.zeros(0, np.int64)
        rows: Rows = getattr(self, table)
        at = rows.add(len(keys)) + np.arange(len(keys))
        rows["key"][at] = keys
        for name, values in fields.items():
            rows[name][at] = values
        self.index[table].insert_many(keys, at)
        return at

    def _models_of(self, member: Rows64) -> Rows64:
        attribute = self.groups["attribute"][self.members["group"][member]]
        return np.asarray(self.attributes["model"][attribute], np.int64)
