"""Which attributes, groups, strata and outputs there are: found in the stream, each with a row, within limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.models import Models
from monitor.catalog.rows import Field, Rows
from monitor.groups.layouts import Layout, joined
from monitor.groups.questions import LISTS, QUESTIONS, Kind, edge
from monitor.kernels.hashing import hash64
from monitor.kernels.table import Table, mix, mix_one

OTHER = "\x00other"
"""Stands for all groups beyond the most that are told apart: part of the rest, never compared itself."""
BOTH = " x "
"""Between the names of two attributes, and of two groups, that are taken as one."""
WAITING = np.uint64(hash64(b"\x00waiting"))
"""Stands for the strata of cases of which it is not known yet what explains them: counted, never compared."""
_ALWAYS = -np.inf
StratumName = tuple[tuple[str, str], ...]
"""Names and values of what explains."""

_OF_TWO = {"first": Field(np.int32, (), -1, still=True), "second": Field(np.int32, (), -1, still=True)}
"""Of what is an intersection the two that it is made of, by name; -1 of what is not."""
ATTRIBUTES = {"key": Field(np.uint64, still=True), "model": Field(np.int32, still=True), **_OF_TWO}
GROUPS = {
    "key": Field(np.uint64, still=True),
    "attribute": Field(np.int32, still=True),
    "other": Field(np.uint8, still=True),
    **_OF_TWO,
}
STRATA = {
    "key": Field(np.uint64, still=True),
    "model": Field(np.int32, still=True),
    "judged": Field(np.uint8, still=True),
}
MEMBERS = {
    "key": Field(np.uint64, still=True),
    "group": Field(np.int32, still=True),
    "stratum": Field(np.int32, still=True),
    "base": Field(np.int32, (len(Kind),), -1, still=True),
}
OUTPUTS = {
    "key": Field(np.uint64, still=True),
    "model": Field(np.int32, still=True),
    "kind": Field(np.uint8, still=True),
    "born": Field(np.float64, (), _ALWAYS, still=True),
    "tolerance": Field(np.float64, (), np.nan, still=True),
}
TALLIES = {
    "key": Field(np.uint64, still=True),
    "member": Field(np.int32, still=True),
    "output": Field(np.int32, (), -1, still=True),
    "base": Field(np.int32, still=True),
    "cell": Field(np.int32, (), -1, still=True),
    "block": Field(np.int32, still=True),
    "total": Field(np.float64, (2,)),
    "pool": Field(np.float64, (4,)),
    "last": Field(np.float64, (4,)),
    "recent": Field(np.float64, (4,)),
}
"""Cases of one group and stratum with one output. ``base`` is the tally whose ``n`` they are part of: itself, where the
kind has one output. ``total`` is (n, s) since the first event. ``pool``, ``last`` and ``recent`` are (n, s) of the
rest, then (n, s) of the group: what waits to be judged, what was judged last, and all that was judged, fading."""
BLOCKS = {"key": Field(np.uint64, still=True), "model": Field(np.int32, still=True)}
"""A block is what is closed together: all tallies of one attribute, stratum and kind."""
CELLS = {
    "key": Field(np.uint64, still=True),
    "group": Field(np.int32, still=True),
    "output": Field(np.int32, still=True),
}


@dataclass(slots=True)
class Limits:
    """How much of each there may be."""

    attributes: int = 16
    groups: int = 32
    strata: int = 128
    outputs: int = 1_000
    tallies: int = 20_000
    intersections: int = 6


@dataclass(slots=True)
class OfModel:
    """What one model has, by row."""

    attributes: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    strata: list[int] = field(default_factory=list)
    n_tallies: list[int] = field(default_factory=lambda: [0, 0])
    """Of groups, and of intersections, which have half the room: they never crowd out what they are made of."""


_FOUND_MAX = 10_000
"""Answers of :meth:`Register.tallies_of` that are kept."""


class Register:
    """All that is compared, in tables whose rows never change their meaning."""

    def __init__(self, models: Models, limits: Limits) -> None:
        self.models = models
        self.limits = limits
        self.attributes, self.groups, self.strata = Rows(ATTRIBUTES), Rows(GROUPS), Rows(STRATA)
        self.members, self.outputs, self.tallies = Rows(MEMBERS), Rows(OUTPUTS), Rows(TALLIES)
        self.blocks, self.cells = Rows(BLOCKS), Rows(CELLS)
        self.index: dict[str, Table] = {name: Table() for name in self.tables()}
        self.attribute_names: list[str] = []
        self.group_names: list[str] = []
        self.output_names: list[str] = []
        self.stratum_names: list[StratumName] = []
        """By row, what explains in a stratum: names and values; none of one that was only met as a case matured."""
        self.of_model: dict[int, OfModel] = {}
        self.changed: set[int] = set()
        """Models that have more names than when they were last stored."""
        self.turned_away = 0
        """Values that a limit kept out."""
        self._of_attribute: dict[int, list[int]] = {}
        self._members_of: dict[int, list[int]] = {}
        self._members_of_group: dict[int, list[int]] = {}
        self._found: dict[tuple[int, int], NDArray[np.int64]] = {}
        """What :meth:`tallies_of` found among ``_found_among`` tallies: a document asks for each many times."""
        self._found_among = 0
        self._tallies_of: dict[int, list[int]] = {}
        self._layouts: dict[int, Layout] = {}
        self._joined: tuple[list[int], Layout] | None = None
        """Of the models that were asked for together last, and what they came to."""

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

    def attribute(self, model: int, name: str) -> int:
        """The row of a model's attribute, which is let in if it is new; -1 where there are too many."""
        key = mix_one(self._model_key(model), hash64(name.encode()))
        row = self.index["attributes"].find_one(key)
        if row >= 0:
            return row
        if len(self.margins(model)) >= self.limits.attributes:
            return -1
        return self._attribute(key, name, model=model)

    def intersection(self, first: int, second: int) -> int:
        """The row of two attributes of a model taken as one, let in if it is new; -1 where there are too many.

        ``first`` is the one whose name comes first.
        """
        key = mix_one(int(self.attributes["key"][first]), int(self.attributes["key"][second]))
        row = self.index["attributes"].find_one(key)
        model = int(self.attributes["model"][first])
        if row >= 0:
            return row
        if len(self.of(model).attributes) - len(self.margins(model)) >= self.limits.intersections:
            self.turned_away += 1
            return -1
        name = BOTH.join(self.attribute_names[each] for each in (first, second))
        return self._attribute(key, name, model=model, first=first, second=second)

    def margins(self, model: int) -> list[int]:
        """The rows of a model's attributes that are no intersections."""
        return [row for row in self.of(model).attributes if self.attributes["first"][row] < 0]

    def group(self, attribute: int, value: str, text_hash: int) -> int:
        """The row of a group, let in if it is new; the attribute's group of all others where there are too many."""
        return self._group(attribute, value, text_hash)

    def both(self, attribute: int, first: int, second: int) -> int:
        """The row of those who are of two groups, of the attributes that ``attribute`` is made of, in their order."""
        keys = (int(self.groups["key"][each]) for each in (first, second))
        value = BOTH.join(self.group_names[each] for each in (first, second))
        other = bool(self.groups["other"][[first, second]].any())
        return self._group(attribute, value, mix_one(*keys), (first, second), other=other)

    def crossed(self, group: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Which of ``group`` (k,) are intersections of two."""
        found: NDArray[np.bool_] = self.groups["first"][group] >= 0
        return found

    def stratum(self, model: int, values: int, name: Callable[[], StratumName] = tuple) -> int:
        """The row of a model's stratum, of which ``values`` is a hash; -1 where there are too many.

        ``name`` is asked what it is called where it is new.
        """
        key = mix_one(self._model_key(model), values)
        row = self.index["strata"].find_one(key)
        own = self.of(model)
        if row < 0 and len(own.strata) < self.limits.strata:
            row = self._add("strata", key, model=model, judged=values != int(WAITING))
            self.stratum_names.append(name())
            own.strata.append(row)
            self.changed.add(model)
        return row

    def member(self, group: int, stratum: int) -> int:
        """The row of the people of one group in one stratum."""
        key = mix_one(int(self.groups["key"][group]), int(self.strata["key"][stratum]))
        row = self.index["members"].find_one(key)
        if row < 0:
            row = self._add("members", key, group=group, stratum=stratum)
            attribute = int(self.groups["attribute"][group])
            self._members_of.setdefault(int(self.attributes["model"][attribute]), []).append(row)
            self._members_of_group.setdefault(group, []).append(row)
        return row

    def output(self, model: int, kind: Kind, name: str, born: float) -> int:
        """The row of an output, let in if it is new; -1 where there are too many.

        ``born`` is the end of the tick of the event that brought it: it is not judged by that tick, in which it was
        sure to be.
        """
        key = output_key(self._model_key(model), kind, hash64(name.encode()))
        row = self.index["outputs"].find_one(key)
        own = self.of(model)
        if row >= 0:
            return row
        if not QUESTIONS[kind].fixed and len(own.outputs) >= self.limits.outputs:
            return -1
        tolerance = edge(kind, self.models.items[model].policy)
        row = self._add("outputs", key, model=model, kind=kind, born=born, tolerance=tolerance)
        self.output_names.append(name)
        own.outputs.append(row)
        self.changed.add(model)
        for member in self._members_of.get(model, ()):
            if self.members["base"][member, kind] >= 0:
                self._tally(member, row, kind)
        return row

    def find_output(self, model: int, kind: Kind, name: str) -> int:
        """The row of an output; -1 where it never came up."""
        return self.index["outputs"].find_one(output_key(self._model_key(model), kind, hash64(name.encode())))

    def base(self, member: int, kind: Kind) -> int:
        """The tally of all cases of ``kind`` among the people of ``member``; -1 where a limit is reached."""
        row = int(self.members["base"][member, kind])
        if row >= 0:
            return row
        if kind == Kind.TAG and self.groups["first"][self.members["group"][member]] >= 0:
            return -1  # so many cells as tags by intersections would see nothing
        fixed = QUESTIONS[kind].fixed and kind not in LISTS
        model = self._model_of(member)
        if fixed:
            row = self._tally(member, self.output(model, kind, "", _ALWAYS), kind)
        else:
            row = self._tally(member, -1, kind)
        if row < 0:
            return -1
        self.members["base"][member, kind] = row
        self.members.touch(member)
        if not fixed:
            for output in self.of(model).outputs:
                if self.outputs["kind"][output] == kind:
                    self._tally(member, output, kind)
        return row

    def of(self, model: int) -> OfModel:
        """What ``model`` has."""
        own = self.of_model.get(model)
        if own is None:
            own = self.of_model[model] = OfModel()
        return own

    def groups_of(self, attribute: int) -> list[int]:
        """The rows of an attribute's groups."""
        return self._of_attribute.get(attribute, [])

    def cell(self, group: int, output: int) -> int:
        """The row of the cell that compares a group's cases with ``output``; -1 where there is none."""
        return self.index["cells"].find_one(mix_one(int(self.groups["key"][group]), int(self.outputs["key"][output])))

    def cells_of(self, group: NDArray[np.integer], output: NDArray[np.integer]) -> NDArray[np.int64]:
        """The rows of the cells of pairs of a group (k,) and an output (k,); -1 where there is none."""
        keys = mix(self.groups["key"][group], self.outputs["key"][output])
        return self.index["cells"].find(keys).astype(np.int64)

    def compare(self, group: NDArray[np.integer], output: NDArray[np.integer]) -> None:
        """Let the cases of intersections (k,) with outputs (k,) be compared from now on."""
        cell = [self._cell(*pair) for pair in zip(group.tolist(), output.tolist(), strict=True)]
        own = [self._members_of_group.get(each, []) for each in group.tolist()]
        of = np.repeat(np.arange(len(own)), [len(each) for each in own])
        keys = mix(self.members["key"][[row for each in own for row in each]], self.outputs["key"][output[of]])
        rows = self.index["tallies"].find(keys).astype(np.int64)
        of, rows = of[rows >= 0], rows[rows >= 0]
        judged = np.array([self._judged(row) for row in rows.tolist()], bool)
        self.tallies["cell"][rows[judged]] = np.array(cell, np.int64)[of[judged]]
        self.tallies.touch(rows[judged])
        self._joined = None
        for model in np.unique(self.outputs["model"][output]).tolist():
            if (layout := self._layouts.get(model)) is not None:
                layout.judged = self.tallies["cell"][layout.rows] >= 0

    def tallies_of(self, group: int, output: int) -> NDArray[np.int64]:
        """The rows of the tallies of a group's cases with ``output``, one a stratum, ordered by key."""
        if self._found_among != len(self.tallies) or len(self._found) >= _FOUND_MAX:
            self._found, self._found_among = {}, len(self.tallies)
        found = self._found.get((group, output))
        if found is None:
            own = self._members_of_group.get(group, [])
            keys = np.sort(mix(self.members["key"][own], self.outputs["key"][output]))
            rows = self.index["tallies"].find(keys).astype(np.int64)
            found = self._found[group, output] = rows[rows >= 0]
        return found

    def totals(self, group: int, output: int) -> tuple[float, float]:
        """Cases of a group that answer the question of ``output``, and those with it, since the first event."""
        rows = self.tallies_of(group, output)
        total = self.tallies["total"]
        return float(total[self.tallies["base"][rows], 0].sum()), float(total[rows, 1].sum())

    def layout(self, model: int) -> Layout:
        """The tallies of a model."""
        layout = self._layouts.get(model)
        if layout is None:
            t = self.tallies
            rows = np.array(self._tallies_of[model], np.int64)
            rows = rows[np.lexsort((t["key"][rows], self.blocks["key"][t["block"][rows]]))]
            bases, rows = rows[t["base"][rows] == rows], rows[t["output"][rows] >= 0]
            of_bases, of_rows = (t["block"][each].astype(np.int64) for each in (bases, rows))
            outputs, index = np.unique(of_rows << 32 | t["output"][rows], return_inverse=True)
            base, judged = t["base"][rows].astype(np.int64), t["cell"][rows] >= 0
            layout = Layout(bases, of_bases, rows, of_rows, base, index, judged, len(outputs))
            self._layouts[model] = layout
        return layout

    def layouts(self, models: list[int]) -> Layout:
        """The tallies of ``models`` together: mostly the same models are asked for at every tick."""
        if self._joined is None or self._joined[0] != models:
            self._joined = (models, joined([self.layout(model) for model in models]))
        return self._joined[1]

    def models_of_tallies(self) -> NDArray[np.int32]:
        """The model of each tally, by row."""
        models: NDArray[np.int32] = self.blocks["model"][self.tallies["block"][: len(self.tallies)]]
        return models

    def reloaded(self) -> NDArray[np.int64]:
        """Take up the tolerances that policies say now; the outputs of which they changed."""
        n, outputs = len(self.outputs), self.outputs
        pairs = zip(outputs["kind"][:n].tolist(), outputs["model"][:n].tolist(), strict=True)
        said = np.array([edge(Kind(kind), self.models.items[model].policy) for kind, model in pairs], np.float64)
        changed = np.flatnonzero(said != outputs["tolerance"][:n])
        outputs["tolerance"][changed] = said[changed]
        outputs.touch(changed)
        return changed

    def restored(self) -> None:
        """Put in order what follows from the tables, after they were loaded."""
        self._found = {}
        for name, table in self.tables().items():
            self.index[name].insert_many(table["key"][: len(table)], np.arange(len(table)))
        for row, model in enumerate(self.attributes["model"][: len(self.attributes)].tolist()):
            self.of(model).attributes.append(row)
        for row, attribute in enumerate(self.groups["attribute"][: len(self.groups)].tolist()):
            self._of_attribute.setdefault(attribute, []).append(row)
        for row, model in enumerate(self.strata["model"][: len(self.strata)].tolist()):
            self.of(model).strata.append(row)
        group = self.members["group"][: len(self.members)]
        model_of = self.attributes["model"][self.groups["attribute"][group]]
        for row, (model, own) in enumerate(zip(model_of.tolist(), group.tolist(), strict=True)):
            self._members_of.setdefault(model, []).append(row)
            self._members_of_group.setdefault(own, []).append(row)
        for row, model in enumerate(self.outputs["model"][: len(self.outputs)].tolist()):
            self.of(model).outputs.append(row)
        crossed = self.crossed(group)[self.tallies["member"][: len(self.tallies)]]
        for row, (model, of_two) in enumerate(zip(self.models_of_tallies().tolist(), crossed.tolist(), strict=True)):
            self._tallies_of.setdefault(model, []).append(row)
            self.of(model).n_tallies[of_two] += 1

    def _tally(self, member: int, output: int, kind: Kind) -> int:
        """The tally of a member's cases with ``output`` (-1: with any), made if there is room."""
        key = mix_one(int(self.members["key"][member]), int(self.outputs["key"][output]) if output >= 0 else kind)
        row = self.index["tallies"].find_one(key)
        if row >= 0:
            return row
        model = self._model_of(member)
        own, group = self.of(model), int(self.members["group"][member])
        crossed = int(self.groups["first"][group] >= 0)
        if own.n_tallies[crossed] >= self.limits.tallies >> crossed:
            self.turned_away += 1
            return -1
        own.n_tallies[crossed] += 1
        block = self._block(model, int(self.groups["attribute"][group]), int(self.members["stratum"][member]), kind)
        row = self._add("tallies", key, member=member, output=output, block=block)
        base = int(self.members["base"][member, kind])
        self.tallies["base"][row] = row if base < 0 else base
        if output >= 0 and self._judged(row):
            # An intersection is compared from when the data can see it.
            self.tallies["cell"][row] = self.cell(group, output) if crossed else self._cell(group, output)
        self._tallies_of.setdefault(model, []).append(row)
        self._layouts.pop(model, None)
        self._joined = None
        return row

    def _judged(self, tally: int) -> bool:
        """Whether what a tally with an output counts is compared at all."""
        member, output = (int(self.tallies[name][tally]) for name in ("member", "output"))
        asked = bool(QUESTIONS[Kind(int(self.outputs["kind"][output]))].directions)
        other = bool(self.groups["other"][self.members["group"][member]])
        return asked and not other and bool(self.strata["judged"][self.members["stratum"][member]])

    def _attribute(self, key: int, name: str, **fields: int) -> int:
        row = self._add("attributes", key, **fields)
        self.attribute_names.append(name)
        self.of(fields["model"]).attributes.append(row)
        self.changed.add(fields["model"])
        return row

    def _group(
        self, attribute: int, value: str, text_hash: int, of: tuple[int, int] = (-1, -1), *, other: bool = False
    ) -> int:
        key = mix_one(int(self.attributes["key"][attribute]), text_hash)
        row = self.index["groups"].find_one(key)
        if row >= 0:
            return row
        known = self._of_attribute.setdefault(attribute, [])
        if len(known) >= self.limits.groups:
            self.turned_away += 1
            other = True
        if other:
            value, of = OTHER, (-1, -1)
            key = mix_one(int(self.attributes["key"][attribute]), hash64(OTHER.encode()))
            row = self.index["groups"].find_one(key)
        if row < 0:
            row = self._add("groups", key, attribute=attribute, other=other, first=of[0], second=of[1])
            self.group_names.append(value)
            known.append(row)
            self.changed.add(int(self.attributes["model"][attribute]))
        return row

    def _block(self, model: int, attribute: int, stratum: int, kind: Kind) -> int:
        key = mix_one(mix_one(int(self.attributes["key"][attribute]), int(self.strata["key"][stratum])), kind)
        row = self.index["blocks"].find_one(key)
        return row if row >= 0 else self._add("blocks", key, model=model)

    def _cell(self, group: int, output: int) -> int:
        key = mix_one(int(self.groups["key"][group]), int(self.outputs["key"][output]))
        row = self.index["cells"].find_one(key)
        if row < 0:
            row = self._add("cells", key, group=group, output=output)
        return row

    def _add(self, table: str, key: int, **fields: float) -> int:
        rows: Rows = getattr(self, table)
        row = rows.add()
        rows["key"][row] = key
        for name, value in fields.items():
            rows[name][row] = value
        self.index[table].insert(key, row)
        return row

    def _model_key(self, model: int) -> int:
        return self.models.items[model].name_hash

    def _model_of(self, member: int) -> int:
        attribute = self.groups["attribute"][self.members["group"][member]]
        return int(self.attributes["model"][attribute])


def output_key(model: int, kind: int, name: int) -> int:
    """The key of an output in its table; ``model`` and ``name`` are hashes."""
    return mix_one(mix_one(model, kind + 1), name)
