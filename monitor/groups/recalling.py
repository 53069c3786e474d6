"""Which groups do cases belong to whose outcomes came later? Told from the attributes that were kept of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.models import Models
from monitor.events.columns import Space, ValueType
from monitor.groups.bands import values_of
from monitor.groups.register import OTHER, WAITING, Register
from monitor.groups.sorting import Memberships, Sorter
from monitor.kernels.hashing import hash64
from monitor.kernels.recall import Recalled, recall_groups
from monitor.kernels.table import Table, mix

_SPACES = (Space.SENSITIVE, Space.FEATURE, Space.SEGMENT)
_OTHER = np.uint64(hash64(OTHER.encode()))

Hashes = NDArray[np.uint64]
Rows64 = NDArray[np.int64]


class Recaller:
    """Finds groups and strata that were met in events by the hashes of names and values alone."""

    def __init__(self, models: Models, register: Register, sorter: Sorter, said: Table) -> None:
        """``said`` finds the member that (model, name, value) stand for, where nothing but that says who it is."""
        self._models = models
        self._register = register
        self._sorter = sorter
        self._said = said
        self._keys: Hashes = np.zeros(0, np.uint64)

    def recall(
        self,
        model: NDArray[np.int32],
        names: Hashes,
        texts: Hashes,
        kinds: NDArray[np.uint8],
        asked: NDArray[np.bool_] | None = None,
    ) -> Memberships:
        """The groups of ``n`` cases of ``model`` (n,).

        ``names``, ``texts`` and ``kinds``, shape ``(n, slots)``, are hashes of the names and values of attributes, 0
        for none; of a number (``kinds`` is ``ValueType.NUMBER``) the bits of the float64. A value that no event in time
        named belongs to no group, but where a limit keeps new groups out: then to that of all others. Only groups of
        the attributes that are ``asked`` for, shape ``(n, slots)``, are given, of all if none is said; an intersection
        is asked for with either of its attributes.
        """
        made = self._recalled(model, names, texts, kinds, asked)
        if made is not None and not len(made.left):
            return Memberships(made.event, made.member, made.first)
        asked = np.ones(names.shape, bool) if asked is None else asked
        if made is None or len(made.left) == len(model):
            return self._looked_up(model, names, texts, kinds, asked)
        left = made.left
        rest = self._looked_up(model[left], names[left], texts[left], kinds[left], asked[left])
        event, member = np.concatenate([made.event, left[rest.event]]), np.concatenate([made.member, rest.member])
        return Memberships.of(event, member, len(model))

    def keys(self, rows: NDArray[np.int32] | NDArray[np.int64]) -> Hashes:
        """The hashes of the names of models ``rows`` (n,)."""
        return self._model_keys()[rows]

    def _recalled(
        self,
        model: NDArray[np.int32],
        names: Hashes,
        texts: Hashes,
        kinds: NDArray[np.uint8],
        asked: NDArray[np.bool_] | None,
    ) -> Recalled | None:
        """The groups of cases all of whose people were met in events that went the longer way."""
        columns: dict[str, NDArray[Any]] = {
            "model": np.ascontiguousarray(model),
            "model_key": self._model_keys(),
            "peculiar": self._sorter.peculiar(),
            "crossing": self._sorter.intersections.ready(),
        }
        of_slots: dict[str, NDArray[Any]] = {"name": names, "text": texts, "kind": kinds}
        if asked is not None:
            of_slots["asked"] = asked
        both, member_key = self._sorter.intersections.known, self._register.members["key"]
        return recall_groups(columns, of_slots, self._said, both, member_key)

    def _looked_up(
        self,
        model: NDArray[np.int32],
        names: Hashes,
        texts: Hashes,
        kinds: NDArray[np.uint8],
        asked: NDArray[np.bool_],
    ) -> Memberships:
        """The longer way, which any case can go."""
        n, slots = names.shape
        case = np.repeat(np.arange(n, dtype=np.int64), slots)
        name, text, kind = names.ravel(), texts.ravel(), kinds.ravel()
        told = np.flatnonzero(name > 0) if len(self._sorter.roles) else np.zeros(0, np.int64)
        case, name, text, kind = case[told], name[told], text[told], kind[told]
        wanted = asked.ravel()[told]
        attribute, explains, value, known = self._roles(model[case], name, text, kind)
        strata = self._strata(model, case, explains, value, known)
        own = np.flatnonzero((attribute >= 0) & known & (strata[case] >= 0))
        asking = np.zeros(n, bool)
        asking[case[wanted]] = True
        own = own[asking[case[own]]]
        group = self._groups(attribute[own], value[own])
        own, group = own[group >= 0], group[group >= 0]
        member = self._register.members_in(group, strata[case[own]])
        event, both, first, second = self._sorter.intersections.cross(case[own], member)
        either = wanted[own[first]] | wanted[own[second]]
        event, both = event[either], both[either]
        alone = wanted[own]
        event, member = (np.concatenate(x) for x in ((case[own][alone], event), (member[alone], both)))
        return Memberships.of(event, member, n)

    def _roles(
        self, model: NDArray[np.int32], name: Hashes, text: Hashes, kind: NDArray[np.uint8]
    ) -> tuple[Rows64, Hashes, Hashes, NDArray[np.bool_]]:
        """Of each value: its attribute (-1: none), the reason it is (0: none), its hash, and whether that is known."""
        hashes = self.keys(model)
        roles = self._sorter.roles
        attribute, explains = np.full(len(name), -1, np.int64), np.zeros(len(name), np.uint64)
        value, known = text.copy(), kind != ValueType.NUMBER
        for space in _SPACES:
            role = self._sorter.roles_of(hashes, space, name)
            attribute = np.maximum(attribute, np.where(role > 0, roles["attribute"][role], -1))
            explains = np.maximum(explains, np.where(role > 0, roles["explains"][role], np.uint64(0)))
            if space == Space.FEATURE:
                numbers = np.flatnonzero((kind == ValueType.NUMBER) & (role > 0))
                value[numbers], known[numbers] = values_of(roles, role[numbers], text[numbers].view(np.float64))
        return attribute, explains, value, known

    def _strata(
        self, model: NDArray[np.int32], case: Rows64, explains: Hashes, value: Hashes, known: NDArray[np.bool_]
    ) -> Rows64:
        """The stratum of each case, shape ``(n,)``; -1 where a limit keeps it out, or it has no attribute at all."""
        values = np.zeros(len(model), np.uint64)
        own = np.flatnonzero((explains > 0) & known)
        np.add.at(values, case[own], mix(explains[own], value[own]))
        values[case[(explains > 0) & ~known]] = WAITING
        strata = np.full(len(model), -1, np.int64)
        cases = case[np.flatnonzero(np.diff(case, prepend=-1))]
        keys = mix(self.keys(model[cases]), values[cases])
        rows = self._register.index["strata"].find(keys).astype(np.int64)
        unknown = np.flatnonzero(rows < 0)
        first, inverse = np.unique(keys[unknown], return_index=True, return_inverse=True)[1:]
        new = np.empty(len(first), np.int64)
        for j in np.argsort(first).tolist():
            at = int(cases[unknown[first[j]]])
            new[j] = self._register.stratum(int(model[at]), int(values[at]))
        rows[unknown] = new[inverse]
        strata[cases] = rows
        return strata

    def _groups(self, attribute: Rows64, value: Hashes) -> Rows64:
        keys = self._register.attributes["key"][attribute]
        groups = self._register.index["groups"]
        found = groups.find(mix(keys, value)).astype(np.int64)
        unknown = np.flatnonzero(found < 0)
        found[unknown] = groups.find(mix(keys[unknown], np.full(len(unknown), _OTHER))).astype(np.int64)
        return found

    def _model_keys(self) -> Hashes:
        """By model."""
        known, items = len(self._keys), self._models.items
        if known < len(items):
            new = np.array([each.name_hash for each in items[known:]], np.uint64)
            self._keys = np.concatenate([self._keys, new])
        return self._keys
