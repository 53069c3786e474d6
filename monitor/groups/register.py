"""Which attributes, groups, strata and outputs there are: found in the stream, each with a row, within limits."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.models import Models
from monitor.groups.indexed import Indexed
from monitor.groups.layouts import Layout, Layouts
from monitor.groups.owners import NONE, Ints, Lists, OfModel, joined, listed, room
from monitor.groups.questions import ASKED, LISTS, QUESTIONS, Kind, edge
from monitor.groups.tables import ALWAYS
from monitor.kernels.hashing import hash64
from monitor.kernels.table import mix, mix_one

OTHER = "\x00other"
"""Stands for all groups beyond the most that are told apart: part of the rest, never compared itself."""
BOTH = " x "
"""Between the names of two attributes, and of two groups, that are taken as one."""
WAITING = np.uint64(hash64(b"\x00waiting"))
"""Stands for the strata of cases of which it is not known yet what explains them: counted, never compared."""
StratumName = tuple[tuple[str, str], ...]
"""Names and values of what explains."""

Rows64 = NDArray[np.int64]


@dataclass(slots=True)
class Limits:
    """How much of each there may be."""

    attributes: int = 16
    groups: int = 32
    strata: int = 128
    outputs: int = 1_000
    tallies: int = 20_000
    intersections: int = 6


_OTHER, _NOTHING = (np.array(hash64(name), np.uint64) for name in (OTHER.encode(), b""))
_FOUND_MAX = 10_000
"""Answers of :meth:`Register.tallies_of` that are kept."""


class Register(Indexed):
    """All that is compared, in tables whose rows never change their meaning."""

    def __init__(self, models: Models, limits: Limits) -> None:
        super().__init__()
        self.models = models
        self.limits = limits
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
        self._of_attribute: Lists = {}
        self._members_of: Lists = {}
        self._members_of_group: Lists = {}
        self._found: dict[tuple[int, int], NDArray[np.int64]] = {}
        """What :meth:`tallies_of` found among ``_found_among`` tallies: a document asks for each many times."""
        self._found_among = 0
        self._tallies_of: Lists = {}
        self.layouts = Layouts(self._lay)

    def attribute(self, model: int, name: str) -> int:
        """The row of a model's attribute, which is let in if it is new; -1 where there are too many."""
        return self.attributes_in([model], [name])[0]

    def attributes_in(self, models: Sequence[int], names: Sequence[str]) -> list[int]:
        """:meth:`attribute` of each of ``models`` and ``names`` (k,); they come in in their order."""
        hashes = {name: hash64(name.encode()) for name in set(names)}
        keys = mix(self.model_keys(np.array(models)), np.array([hashes[name] for name in names], np.uint64))
        rows: list[int] = self.index["attributes"].find(keys).tolist()
        made, margins, new = dict[int, int](), dict[int, int](), list[int]()
        for i in [i for i, row in enumerate(rows) if row < 0]:
            key, model = int(keys[i]), models[i]
            if key not in made:
                n = margins[model] if model in margins else len(self.margins(model))
                if n >= self.limits.attributes:
                    continue
                margins[model], made[key] = n + 1, len(self.attributes) + len(new)
                new.append(i)
            rows[i] = made[key]
        self._attributes(keys[new], [names[i] for i in new], [models[i] for i in new])
        return rows

    def intersection(self, first: int, second: int) -> int:
        """The row of two attributes of a model taken as one, let in if it is new; -1 where there are too many.

        ``first`` is the one whose name comes first. Whoever asks counts what is turned away.
        """
        return self.intersections_in([first], [second])[0]

    def intersections_in(self, first: Sequence[int], second: Sequence[int]) -> list[int]:
        """:meth:`intersection` of each pair (k,); they come in in their order."""
        key, model = self.attributes["key"], self.attributes["model"][list(first)].tolist()
        keys = mix(key[list(first)], key[list(second)])
        rows: list[int] = self.index["attributes"].find(keys).tolist()
        made, crossed, new = dict[int, int](), dict[int, int](), list[int]()
        for i in [i for i, row in enumerate(rows) if row < 0]:
            own, name = model[i], int(keys[i])
            if name not in made:
                n = crossed[own] if own in crossed else len(self.of(own).attributes) - len(self.margins(own))
                if n >= self.limits.intersections:
                    continue
                crossed[own], made[name] = n + 1, len(self.attributes) + len(new)
                new.append(i)
            rows[i] = made[name]
        of_two = {name: [rows_of[i] for i in new] for name, rows_of in (("first", first), ("second", second))}
        names = [BOTH.join(self.attribute_names[each] for each in pair) for pair in zip(*of_two.values(), strict=True)]
        self._attributes(keys[new], names, [model[i] for i in new], **of_two)
        return rows

    def margins(self, model: int) -> list[int]:
        """The rows of a model's attributes that are no intersections."""
        return [row for row in self.of(model).attributes if self.attributes["first"][row] < 0]

    def group(self, attribute: int, value: str, text_hash: int) -> int:
        """The row of a group, let in if it is new; the attribute's group of all others where there are too many."""
        return int(self.groups_in(np.array([attribute]), np.array([text_hash], np.uint64), lambda _: value)[0])

    def both(self, attribute: int, first: int, second: int) -> int:
        """The row of those who are of two groups, of the attributes that ``attribute`` is made of, in their order."""
        return int(self.both_in(np.array([attribute]), np.array([[first], [second]]))[0])

    def groups_in(
        self, attribute: Rows64, text: NDArray[np.uint64], name: Callable[[int], str], of: Rows64 | None = None
    ) -> Rows64:
        """:meth:`group` of each ``attribute`` (k,) and ``text`` (k,), the hash of a value; they come in in their order.

        ``name`` is asked what each is called that is new, ``of`` (2, k) are the groups that an intersection is made of.
        """
        keys = mix(self.attributes["key"][attribute], text)
        rows: Rows64 = self.index["groups"].find(keys).astype(np.int64)
        new = np.flatnonzero(rows < 0)
        if len(new):
            of_two = np.full((2, len(new)), -1) if of is None else of[:, new]
            rows[new] = self._new_groups(attribute[new], keys[new], lambda i: name(int(new[i])), of_two)
        return rows

    def both_in(self, attribute: Rows64, of: Rows64) -> Rows64:
        """:meth:`both` of each ``attribute`` (k,) and two groups ``of`` (2, k)."""
        names, key, (first, second) = self.group_names, self.groups["key"], of.tolist()
        return self.groups_in(
            attribute, mix(key[of[0]], key[of[1]]), lambda i: BOTH.join((names[first[i]], names[second[i]])), of
        )

    def stratum(self, model: int, values: int) -> int:
        """The row of a model's stratum, of which ``values`` is a hash; -1 where there are too many."""
        return int(self.strata_in(np.array([model]), np.array([values], np.uint64))[0])

    def strata_in(
        self, model: NDArray[np.integer], values: NDArray[np.uint64], name: Callable[[int], StratumName] = lambda _: ()
    ) -> Rows64:
        """:meth:`stratum` of distinct pairs (k,) of a ``model`` and ``values``; they come in in their order.

        ``name`` is asked what each is called that is new.
        """
        keys = mix(self.model_keys(model), values)
        rows: Rows64 = self.index["strata"].find(keys).astype(np.int64)
        new = list[int]()
        for i in np.flatnonzero(rows < 0).tolist():
            own = self.of(int(model[i]))
            if len(own.strata) < self.limits.strata:
                rows[i] = len(self.strata) + len(new)
                own.strata.append(int(rows[i]))
                self.stratum_names.append(name(i))
                self.changed.add(int(model[i]))
                new.append(i)
        self._add("strata", keys[new], model=model[new], judged=values[new] != WAITING)
        return rows

    def member(self, group: int, stratum: int) -> int:
        """The row of the people of one group in one stratum."""
        return int(self.members_in(np.array([group]), np.array([stratum]))[0])

    def members_in(self, group: Rows64, stratum: Rows64) -> Rows64:
        """:meth:`member` of each ``group`` (k,) and ``stratum`` (k,); they come in in their order."""
        known = len(self.members)
        keys = mix(self.groups["key"][group], self.strata["key"][stratum])
        rows = self._let_in("members", keys, group=group, stratum=stratum)
        self._list_members(np.arange(known, len(self.members)))
        return rows

    def output(self, model: int, kind: Kind, name: str, born: float) -> int:
        """The row of an output, let in if it is new; -1 where there are too many.

        ``born`` is the end of the tick of the event that brought it: it is not judged by that tick, in which it was
        sure to be.
        """
        text = np.array([hash64(name.encode())], np.uint64)
        return int(self.outputs_in(np.array([model]), kind, text, lambda _: name, np.array([born]))[0])

    def outputs_in(
        self,
        model: NDArray[np.integer],
        kind: Kind,
        text: NDArray[np.uint64],
        name: Callable[[int], str],
        born: NDArray[np.float64],
    ) -> Rows64:
        """:meth:`output` of each ``model`` (k,) and ``text`` (k,), the hash of a name; they come in in their order.

        ``name`` is asked what each is called that is new.
        """
        keys = mix(mix(self.model_keys(model), np.array(kind + 1)), text)
        rows: Rows64 = self.index["outputs"].find(keys).astype(np.int64)
        unknown = np.flatnonzero(rows < 0)
        if len(unknown):
            first = unknown[np.sort(np.unique(keys[unknown], return_index=True)[1])]
            self._new_outputs(first, model, kind, keys, born, name)
            rows[unknown] = self.index["outputs"].find(keys[unknown])
        return rows

    def hand_over(self, output: int, name: str, born: float) -> Rows64:
        """Let a row be of another output of its kind, ``born`` as one is; nothing counted stays. Returns its cells."""
        model, kind = (int(self.outputs[field][output]) for field in ("model", "kind"))
        key = output_key(self._model_key(model), kind, hash64(name.encode()))
        own = np.array(self._tallies_of.get(model, ()), np.int64)
        own = own[self.tallies["output"][own] == output]
        cells = np.flatnonzero(self.cells["output"][: len(self.cells)] == output)
        self._rename("outputs", np.array([output]), np.array([key], np.uint64))
        for table, rows, of in (
            ("tallies", own, self.members["key"][self.tallies["member"][own]]),
            ("cells", cells, self.groups["key"][self.cells["group"][cells]]),
        ):
            self._rename(table, rows, mix(of, np.full(len(rows), key, np.uint64)))
        self.tallies.reset(own, ("total", "pool", "last", "recent"))
        self.outputs["born"][output], self.output_names[output] = born, name
        self.changed.add(model)
        self.layouts.drop(np.array([model]))
        self._found = {}
        return cells

    def find_output(self, model: int, kind: Kind, name: str) -> int:
        """The row of an output; -1 where it never came up."""
        return self.index["outputs"].find_one(output_key(self._model_key(model), kind, hash64(name.encode())))

    def bases(self, member: Rows64, kind: Kind) -> Rows64:
        """The tallies of all cases of ``kind`` among those of each ``member`` (k,), distinct; -1: a limit is met."""
        found: Rows64 = self.members["base"][member, kind].astype(np.int64)
        new = np.flatnonzero(found < 0)
        if kind == Kind.TAG:  # so many cells as tags by intersections would see nothing
            new = new[~self.crossed(self.members["group"][member[new]])]
        if not len(new):
            return found
        members = member[new]
        models, own = np.unique(self._models_of(members), return_inverse=True)
        if QUESTIONS[kind].fixed and kind not in LISTS:
            rows = self._tallies(members, self._only_outputs(models, kind)[own], kind)
            self._based(members, rows, kind)
        else:
            rows = self._tallies(members, np.full(len(members), -1), kind)
            self._based(members, rows, kind)
            has_base = rows >= 0
            members, outputs = self._with_outputs(members[has_base], own[has_base], models, kind)
            self._tallies(members, outputs, kind)
        found[new] = rows
        return found

    def of(self, model: int) -> OfModel:
        """What ``model`` has."""
        own = self.of_model.get(model)
        if own is None:
            own = self.of_model[model] = OfModel()
        return own

    def groups_of(self, attribute: int) -> list[int]:
        """The rows of an attribute's groups."""
        return list(self._of_attribute.get(attribute, ()))

    def compare(self, group: NDArray[np.integer], output: NDArray[np.integer]) -> None:
        """Let the cases of intersections (k,) with outputs (k,) be compared from now on."""
        cell = self._cells(group, output)
        own = [self._members_of_group.get(each, ()) for each in group.tolist()]
        of = np.repeat(np.arange(len(own)), [len(each) for each in own])
        keys = mix(self.members["key"][[row for each in own for row in each]], self.outputs["key"][output[of]])
        rows = self.index["tallies"].find(keys).astype(np.int64)
        of, rows = of[rows >= 0], rows[rows >= 0]
        judged = self._judged(self.tallies["member"][rows], self.tallies["output"][rows])
        self.tallies["cell"][rows[judged]] = cell[of[judged]]
        self.tallies.touch(rows[judged])
        self.layouts.note(np.unique(self.outputs["model"][output]))

    def tallies_of(self, group: int, output: int) -> NDArray[np.int64]:
        """The rows of the tallies of a group's cases with ``output``, one a stratum, ordered by key."""
        if self._found_among != len(self.tallies) or len(self._found) >= _FOUND_MAX:
            self._found, self._found_among = {}, len(self.tallies)
        found = self._found.get((group, output))
        if found is None:
            own = np.array(self._members_of_group.get(group, ()), np.int64)
            keys = np.sort(mix(self.members["key"][own], self.outputs["key"][output]))
            rows = self.index["tallies"].find(keys).astype(np.int64)
            found = self._found[group, output] = rows[rows >= 0]
        return found

    def totals(self, group: int, output: int) -> tuple[float, float]:
        """Cases of a group that answer the question of ``output``, and those with it, since the first event."""
        rows = self.tallies_of(group, output)
        total = self.tallies["total"]
        return float(total[self.tallies["base"][rows], 0].sum()), float(total[rows, 1].sum())

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
        self.layouts.drop(np.arange(len(self.models)))
        for name, table in self.tables().items():
            self.index[name].insert_many(table["key"][: len(table)], np.arange(len(table)))
        for name, table in (("attributes", self.attributes), ("strata", self.strata), ("outputs", self.outputs)):
            for row, model in enumerate(table["model"][: len(table)].tolist()):
                getattr(self.of(model), name).append(row)
        listed(self._of_attribute, self.groups["attribute"][: len(self.groups)], np.arange(len(self.groups)))
        self._list_members(np.arange(len(self.members)))
        rows = np.arange(len(self.tallies))
        models, crossed = self.models_of_tallies(), self.crossed(self.members["group"][self.tallies["member"][rows]])
        listed(self._tallies_of, models, rows)
        places, counts = np.unique(models << 1 | crossed, return_counts=True)
        for place, n in zip(places.tolist(), counts.tolist(), strict=True):
            self.of(place >> 1).n_tallies[place & 1] = n

    def _tallies(self, member: Rows64, output: Rows64, kind: Kind) -> Rows64:
        """The tallies of distinct pairs (k,) of a member and an output (-1: any), made where there is room; else -1."""
        if not len(member):
            return np.zeros(0, np.int64)
        keys = self.members["key"][member]
        keys = mix(keys, np.where(output >= 0, self.outputs["key"][output], np.uint64(kind)))
        rows: Rows64 = self.index["tallies"].find(keys).astype(np.int64)
        new = np.flatnonzero(rows < 0)
        if not len(new):
            return rows
        group = self.members["group"][member[new]]
        crossed, model = self.crossed(group), self._models_of(member[new])
        let_in = room(self.of, self.limits.tallies, model, crossed)
        self.turned_away += len(let_in) - int(let_in.sum())
        new, group, crossed, model = new[let_in], group[let_in], crossed[let_in], model[let_in]
        member, output = member[new], output[new]
        of_attribute = self.attributes["key"][self.groups["attribute"][group]]
        of_stratum = self.strata["key"][self.members["stratum"][member]]
        block = self._let_in("blocks", mix(mix(of_attribute, of_stratum), np.array(kind, np.uint64)), model=model)
        made = self._let_in("tallies", keys[new], member=member, output=output, block=block)
        base, judged = self.members["base"][member, kind], np.flatnonzero(output >= 0)
        self.tallies["base"][made] = np.where(base < 0, made, base)
        judged = judged[self._judged(member[judged], output[judged])]
        # An intersection is compared from when the data can see it.
        for own, cells in ((judged[crossed[judged]], self.cells_of), (judged[~crossed[judged]], self._cells)):
            self.tallies["cell"][made[own]] = cells(group[own], output[own])
        self.layouts.drop(np.array(listed(self._tallies_of, model, made), np.int64))
        rows[new] = made
        return rows

    def _lay(self, model: int) -> Layout:
        """The tallies of a model, as they lie now."""
        t = self.tallies
        rows = np.array(self._tallies_of[model], np.int64)
        rows = rows[np.lexsort((t["key"][rows], self.blocks["key"][t["block"][rows]]))]
        bases, rows = rows[t["base"][rows] == rows], rows[t["output"][rows] >= 0]
        outputs, index = np.unique(t["block"][rows].astype(np.int64) << 32 | t["output"][rows], return_inverse=True)
        return Layout(bases, rows, index, len(outputs))

    def _based(self, member: Rows64, rows: Rows64, kind: Kind) -> None:
        """Note the tallies of all cases of ``kind`` of each ``member`` (k,), where they were made."""
        made = rows >= 0
        self.members["base"][member[made], kind] = rows[made]
        self.members.touch(member[made])

    def _only_outputs(self, models: Rows64, kind: Kind) -> Rows64:
        """The outputs of ``models`` (k,) for a kind that has one."""
        n = len(models)
        return self.outputs_in(models, kind, np.full(n, _NOTHING), lambda _: "", np.full(n, ALWAYS))

    def _with_outputs(self, members: Rows64, own: Rows64, models: Rows64, kind: Kind) -> tuple[Rows64, Rows64]:
        """Each of ``members`` (k,) with each output of a kind of its model: ``own`` (k,) are places in ``models``."""
        lists = [self.of(model).outputs for model in models.tolist()]
        outputs, whose = np.concatenate(lists).astype(np.int64), np.repeat(np.arange(len(lists)), list(map(len, lists)))
        of_kind = self.outputs["kind"][outputs] == kind
        sizes = np.bincount(whose[of_kind], minlength=len(lists))
        ends, wanted = np.cumsum(sizes), sizes[own]
        behind = np.arange(int(wanted.sum())) - np.repeat(np.cumsum(wanted) - wanted, wanted)
        return np.repeat(members, wanted), outputs[of_kind][np.repeat((ends - sizes)[own], wanted) + behind]

    def _judged(self, member: NDArray[np.integer], output: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Whether what tallies of ``member`` and ``output`` (k,) count is compared at all."""
        asked = ASKED.directions[self.outputs["kind"][output]] > 0
        other = self.groups["other"][self.members["group"][member]] > 0
        found: NDArray[np.bool_] = asked & ~other & (self.strata["judged"][self.members["stratum"][member]] > 0)
        return found

    def _attributes(
        self, keys: NDArray[np.uint64], names: Sequence[str], models: Sequence[int], **of_two: Sequence[int]
    ) -> None:
        """Let in attributes (k,) that are new."""
        rows = self._add("attributes", keys, model=models, **of_two)
        self.attribute_names += names
        for row, model in zip(rows.tolist(), models, strict=True):
            self.of(model).attributes.append(row)
        self.changed.update(models)

    def _new_groups(
        self, attribute: Rows64, keys: NDArray[np.uint64], name: Callable[[int], str], of: Rows64
    ) -> Rows64:
        """The rows of groups (k,) that are not known, as :meth:`groups_in` lets them in."""
        rest = mix(self.attributes["key"][attribute], _OTHER)
        has_rest = self.index["groups"].find(rest) >= 0
        other = (of[0] >= 0) & (self.groups["other"][of] > 0).any(axis=0)
        model, made = self.attributes["model"][attribute].tolist(), set[int]()
        for i, (own, key, key_of_rest) in enumerate(zip(attribute.tolist(), keys.tolist(), rest.tolist(), strict=True)):
            groups = self._of_attribute.setdefault(own, array("i"))
            if key in made:
                continue
            full = len(groups) >= self.limits.groups
            self.turned_away += full
            if full or other[i]:
                keys[i], of[:, i], other[i] = key_of_rest, -1, True
                if has_rest[i] or key_of_rest in made:
                    continue
            groups.append(len(self.groups) + len(made))
            made.add(key_of_rest if other[i] else key)
            self.group_names.append(OTHER if other[i] else name(i))
            self.changed.add(model[i])
        return self._let_in("groups", keys, attribute=attribute, other=other, first=of[0], second=of[1])

    def _new_outputs(
        self,
        new: Rows64,
        model: NDArray[np.integer],
        kind: Kind,
        keys: NDArray[np.uint64],
        born: NDArray[np.float64],
        name: Callable[[int], str],
    ) -> None:
        """Let in those of outputs (k,) that are ``new``, distinct ones, as far as there is room, with their tallies."""
        most = None if QUESTIONS[kind].fixed else self.limits.outputs
        at, members, n_members = len(self.outputs), list[Ints](), list[int]()
        made, tolerances = list[int](), list[float]()
        tolerated: dict[int, float] = {}
        for i, owner in zip(new.tolist(), model[new].tolist(), strict=True):
            own = self.of(owner)
            if most is not None and len(own.outputs) >= most:
                continue
            own.outputs.append(at + len(made))
            made.append(i)
            self.output_names.append(name(i))
            self.changed.add(owner)
            policy = self.models.items[owner].policy
            if id(policy) not in tolerated:
                tolerated[id(policy)] = edge(kind, policy)
            tolerances.append(tolerated[id(policy)])
            members.append(self._members_of.get(owner, NONE))
            n_members.append(len(members[-1]))
        if not made:
            return
        rows = self._add("outputs", keys[made], model=model[made], kind=kind, born=born[made], tolerance=tolerances)
        member, output = joined(members), np.repeat(rows, n_members)
        based = self.members["base"][member, kind] >= 0
        self._tallies(member[based], output[based], kind)

    def _list_members(self, rows: Rows64) -> None:
        """Enter members ``rows`` (k,) with their models and groups."""
        listed(self._members_of, self._models_of(rows), rows)
        listed(self._members_of_group, self.members["group"][rows], rows)

    def _cells(self, group: NDArray[np.integer], output: NDArray[np.integer]) -> Rows64:
        """The cells that compare groups with outputs (k,), made where they are new."""
        keys = mix(self.groups["key"][group], self.outputs["key"][output])
        return self._let_in("cells", keys, group=group, output=output)

    def model_keys(self, models: NDArray[np.integer]) -> NDArray[np.uint64]:
        """The keys of ``models`` (k,), of which there are few different ones."""
        rows, own = np.unique(models, return_inverse=True)
        return np.array([self._model_key(model) for model in rows.tolist()], np.uint64)[own]

    def _model_key(self, model: int) -> int:
        return self.models.items[model].name_hash


def output_key(model: int, kind: int, name: int) -> int:
    """The key of an output in its table; ``model`` and ``name`` are hashes."""
    return mix_one(mix_one(model, kind + 1), name)
