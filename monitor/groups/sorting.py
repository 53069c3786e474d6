"""Which groups does each event of a batch belong to? Attributes of people as the event, or its features, say them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.models import Models
from monitor.catalog.rows import Field, Rows
from monitor.catalog.series import Series
from monitor.events.columns import EventBatch, Space, ValueType
from monitor.groups import bands
from monitor.groups.intersections import Intersections
from monitor.groups.register import WAITING, Register, StratumName
from monitor.kernels.hashing import hash64
from monitor.kernels.table import Table, mix
from monitor.kernels.tally import series_key

ROLES = {
    "key": Field(np.uint64, still=True),
    "model": Field(np.int32, (), -1, still=True),
    "attribute": Field(np.int32, (), -1, still=True),
    "explains": Field(np.uint64, still=True),
    "series": Field(np.int32, (), -1, still=True),
    **bands.FIELDS,
}
"""What a name is for: an attribute of people, a legitimate reason, or both. A number drawn from features has the
``edges`` of its bands, once they are known."""

_SENSITIVE, _SEGMENT = int(Space.SENSITIVE), int(Space.SEGMENT)

Array = NDArray[Any]


@dataclass(slots=True)
class Memberships:
    """The (event, member) pairs of a batch, ordered by event: shapes ``(k,)``.

    ``first`` (n + 1,): the pairs of event ``i`` are those from ``first[i]`` up to ``first[i + 1]``.
    """

    event: NDArray[np.int64]
    member: NDArray[np.int64]
    first: NDArray[np.int64]

    @classmethod
    def of(cls, event: NDArray[np.int64], member: NDArray[np.int64], n: int) -> Memberships:
        """Of pairs in any order, of a batch of ``n`` events."""
        order = np.argsort(event, kind="stable")
        event, member = event[order], member[order]
        return cls(event, member, np.searchsorted(event, np.arange(n + 1)))


@dataclass(slots=True)
class _Named:
    """Entries that speak of a person or a legitimate reason: the ``event``, the ``role`` of the name, the ``value``.

    ``waiting`` are events with a number that explains and of which it is not known yet what it stands for.
    """

    event: NDArray[np.int64]
    role: NDArray[np.int64]
    value: NDArray[np.uint64]
    entry: NDArray[np.int64]
    waiting: NDArray[np.int64]


class Sorter:
    """Sorts events into the groups and strata of the register. Row 0 of ``roles`` stands for names without a role."""

    def __init__(self, models: Models, series: Series, register: Register) -> None:
        self._models = models
        self._series = series
        self._register = register
        self.intersections = Intersections(models, register)
        self.roles = Rows(ROLES)
        self._index = Table()
        self._of_series: NDArray[np.int32] = np.zeros(0, np.int32)
        self._bandless: set[int] = set()
        self._whole_of: NDArray[np.int64] = np.zeros(0, np.int64)
        self._peculiar, self._peculiar_of = np.zeros(0, bool), (0, 0)

    def sort(
        self, batch: EventBatch, hashes: NDArray[np.uint64], model: NDArray[np.int32], series: NDArray[np.int32]
    ) -> Memberships:
        """The groups of the events of ``batch``.

        ``hashes`` (n,) are keys of models, ``model`` (n,) their rows, -1 for an event that does not count; ``series``
        (m,) are the series of entries.
        """
        named = self._named(batch, hashes, model, series)
        if not len(named.entry):
            none = np.zeros(0, np.int64)
            return Memberships(none, none, np.zeros(len(batch) + 1, np.int64))
        attribute = self.roles["attribute"][named.role]
        strata = self._strata(batch, named, model)
        own = np.flatnonzero((attribute >= 0) & (strata[named.event] >= 0))
        if self._of_series.any():
            own = own[_firsts(named.event[own], attribute[own])]
        group = self._groups(batch, named, own, attribute[own])
        member = self._register.members_in(group, strata[named.event[own]])
        alone = Memberships.of(named.event[own], member, len(batch))
        event, both, _, _ = self.intersections.cross(alone.event, alone.member)
        if not len(event):
            return alone
        event, member = (np.concatenate(parts) for parts in ((alone.event, event), (alone.member, both)))
        return Memberships.of(event, member, len(batch))

    def concerns(self, batch: EventBatch) -> bool:
        """Whether any event of ``batch`` can say whom it is about."""
        self._meet_series()
        return bool(self._of_series.any() or batch.in_space(Space.SENSITIVE).any())

    def peculiar(self) -> NDArray[np.bool_]:
        """By model: whether anything but what events say of people has a role with it."""
        if self._peculiar_of != (len(self._models), len(self.roles)):
            roles, n = self.roles, len(self.roles)
            other = (roles["series"][:n] >= 0) | (roles["explains"][:n] > 0)
            self._peculiar = np.zeros(len(self._models), bool)
            self._peculiar[roles["model"][:n][other]] = True
            self._peculiar_of = (len(self._models), n)
        return self._peculiar

    def roles_of(self, hashes: NDArray[np.uint64], space: Space, names: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The role of each of ``names`` in a space of its model's events (``hashes``), shape ``(k,)``; 0 for none."""
        keys = series_key(hashes, np.full(len(names), space, np.uint8), names)
        return np.maximum(self._index.find(keys).astype(np.int64), 0)

    def restored(self) -> None:
        """Put in order what follows from the table of roles, after it was loaded."""
        keys = self.roles["key"][: len(self.roles)].tolist()
        for row, key in enumerate(keys[1:], start=1):
            self._index.insert(key, row)
        bandless = (self.roles["series"][: len(keys)] >= 0) & np.isnan(self.roles["edges"][: len(keys), 0])
        self._bandless = set(np.flatnonzero(bandless).tolist())

    def choose_bands(self) -> None:
        """Cut numbers whose bins are known by now into bands; asked when ticks close, so that batches do not matter."""
        rows = self._series.rows
        for role in sorted(self._bandless):
            series = int(self.roles["series"][role])
            n = int(rows["n_edges"][series])
            if n:
                explains = len(self._models.items[int(self.roles["model"][role])].policy.explain_by)
                finest = bands.n_bands(explains, self._register.limits.strata)
                of_people = self.roles["attribute"][role] >= 0
                bands.cut(self.roles, role, rows["edges"][series, :n], bands.QUARTERS if of_people else finest)
                self._bandless.discard(role)

    def _named(
        self, batch: EventBatch, hashes: NDArray[np.uint64], model: NDArray[np.int32], series: NDArray[np.int32]
    ) -> _Named:
        """Entries with a role; what the event itself says of a person comes before what its features do."""
        counts = model[batch.event] >= 0
        said = np.flatnonzero(batch.in_space(Space.SENSITIVE, Space.SEGMENT) & counts)
        said = said[batch.type[said] == ValueType.TEXT]
        keys = series_key(hashes[batch.event[said]], batch.space[said], batch.name.hash[said])
        role = self._index.find(keys).astype(np.int64)
        new = _first_of_each(keys, np.flatnonzero(role < 0))
        if len(new):
            met, name = said[new], batch.namer(batch.name)
            names = [name(i) for i in met.tolist()]
            self._meet(keys[new], model[batch.event[met]].tolist(), names, batch.space[met].tolist())
            role = self._index.find(keys).astype(np.int64)
        drawn = np.flatnonzero((series >= 0) & counts) if self._of_series.any() else np.zeros(0, np.int64)
        drawn = drawn[self._of_series[series[drawn]] > 0]
        of_drawn = self._of_series[series[drawn]].astype(np.int64)
        value, known = batch.text.hash[drawn], batch.type[drawn] != ValueType.NUMBER
        known &= (batch.type[drawn] == ValueType.TEXT) | (batch.type[drawn] == ValueType.BOOL)
        numbers = np.flatnonzero((batch.type[drawn] == ValueType.NUMBER) & np.isfinite(batch.number[drawn]))
        value[numbers], known[numbers] = bands.values_of(self.roles, of_drawn[numbers], batch.number[drawn[numbers]])
        waits = numbers[~known[numbers] & (self.roles["explains"][of_drawn[numbers]] > 0)]
        entry = np.concatenate([said, drawn[known]])
        return _Named(
            batch.event[entry].astype(np.int64),
            np.concatenate([role, of_drawn[known]]),
            np.concatenate([batch.text.hash[said], value[known]]),
            entry,
            batch.event[drawn[waits]].astype(np.int64),
        )

    def _strata(self, batch: EventBatch, named: _Named, model: NDArray[np.int32]) -> NDArray[np.int64]:
        """The stratum of each event, shape ``(n,)``: one for all where nothing explains; -1 where there is none."""
        explains = self.roles["explains"][named.role]
        own = np.flatnonzero(explains > 0)
        if not len(own) and not len(named.waiting):
            return self._whole(named, model)
        values = np.zeros(len(batch), np.uint64)
        # A sum, so that the order in which an event names things does not matter.
        np.add.at(values, named.event[own], mix(explains[own], named.value[own]))
        values[named.waiting] = WAITING
        strata = np.full(len(batch), -1, np.int64)
        events = np.unique(named.event)
        pairs = mix(model[events].astype(np.uint64) + np.uint64(1), values[events])
        first, inverse = np.unique(pairs, return_index=True, return_inverse=True)[1:]
        rows, order = np.empty(len(first), np.int64), np.argsort(first)
        at = events[first[order]]
        rows[order] = self._register.strata_in(
            model[at], values[at], lambda i: self._explained(batch, named, int(at[i]))
        )
        strata[events] = rows[inverse]
        self._register.turned_away += int((strata[events] < 0).sum())
        return strata

    def _whole(self, named: _Named, model: NDArray[np.int32]) -> NDArray[np.int64]:
        """The one stratum of each event's model, shape ``(n,)``; events that say nothing of a person have any."""
        if len(self._whole_of) < len(self._models):
            more = np.full(len(self._models) - len(self._whole_of), -1, np.int64)
            self._whole_of = np.concatenate([self._whole_of, more])
        speaking = model[named.event]
        new = speaking[_first_of_each(speaking, np.flatnonzero(self._whole_of[speaking] < 0))]
        if len(new):
            self._whole_of[new] = self._register.strata_in(new, np.zeros(len(new), np.uint64))
        return self._whole_of[model]

    def _groups(
        self, batch: EventBatch, named: _Named, own: NDArray[np.int64], attribute: NDArray[np.int32]
    ) -> NDArray[np.int64]:
        """The group of each entry ``own`` of ``named``; groups that were never met are let in."""
        register = self._register
        keys = mix(register.attributes["key"][attribute], named.value[own])
        group = register.index["groups"].find(keys).astype(np.int64)
        unknown = np.flatnonzero(group < 0)
        if not len(unknown):
            return group
        first, inverse = np.unique(keys[unknown], return_index=True, return_inverse=True)[1:]
        order = np.argsort(named.entry[own[unknown[first]]])
        new = unknown[first[order]]
        rows, said = np.empty(len(first), np.int64), own[new]
        entry, text = named.entry[said].tolist(), batch.namer(batch.text)
        is_text = (batch.type[entry] == np.uint8(ValueType.TEXT)).tolist()
        rows[order] = register.groups_in(
            attribute[new].astype(np.int64),
            named.value[said],
            lambda i: text(entry[i]) if is_text[i] else self._value(batch, named, int(said[i])),
        )
        group[unknown] = rows[inverse]
        return group

    def _value(self, batch: EventBatch, named: _Named, at: int) -> str:
        """What a group is called: the value that was said, or what a number stands for."""
        entry = int(named.entry[at])
        kind = int(batch.type[entry])  # a number of numpy beside an enumeration's takes 15 microseconds
        if kind == ValueType.NUMBER:
            return bands.name_of(self.roles, int(named.role[at]), float(batch.number[entry]))
        if kind == ValueType.BOOL:
            return "true" if batch.number[entry] else "false"
        return batch.string(batch.text, entry)

    def _explained(self, batch: EventBatch, named: _Named, event: int) -> StratumName:
        """What explains in an event: names and values, in the order of the names."""
        own = np.flatnonzero((named.event == event) & (self.roles["explains"][named.role] > 0))
        said = []
        for at in own.tolist():
            entry, role = int(named.entry[at]), int(named.role[at])
            number = batch.type[entry] == ValueType.NUMBER
            value = bands.range_of(self.roles, role, float(batch.number[entry])) if number else ""
            said.append((batch.string(batch.name, entry), value or self._value(batch, named, at)))
        return tuple(sorted(said))

    def _meet_series(self) -> None:
        """Give each new series its role."""
        known, rows = len(self._of_series), self._series.rows
        if known == len(rows):
            return
        roles = np.zeros(len(rows), np.int32)
        roles[:known] = self._of_series
        new = slice(known, len(rows))
        features = known + np.flatnonzero((rows["space"][new] == Space.FEATURE) & (rows["key"][new] > 0))
        asking = [model for model in np.unique(rows["model"][features]).tolist() if self._names_features(model)]
        for row in features[np.isin(rows["model"][features], asking)].tolist():
            model, name = int(rows["model"][row]), self._series.names[row]
            policy = self._models.items[model].policy
            if name in (policy.sensitive or ()) or name in policy.explain_by:
                roles[row] = self._role_of(row, int(rows["key"][row]), model, name)
        self._of_series = roles

    def _names_features(self, model: int) -> bool:
        policy = self._models.items[model].policy
        return bool(policy.sensitive or policy.explain_by)

    def _role_of(self, series: int, key: int, model: int, name: str) -> int:
        role = self._index.find_one(key)
        if role < 0:
            [role] = self._meet(np.array([key], np.uint64), [model], [name], [Space.FEATURE])
        if role > 0 and self.roles["series"][role] < 0:
            self.roles["series"][role] = series
            self.roles.touch(role)
            self._bandless.add(role)
        return role

    def _meet(
        self, keys: NDArray[np.uint64], models: Sequence[int], names: Sequence[str], spaces: Sequence[int]
    ) -> list[int]:
        """Decide what names of models are for, distinct ``keys`` (k,); returns their roles."""
        policies = [self._models.items[model].policy for model in models]
        named = [
            name in policy.sensitive if policy.sensitive is not None else space == _SENSITIVE
            for policy, name, space in zip(policies, names, spaces, strict=True)
        ]
        own = [i for i, space in enumerate(spaces) if named[i] and space != _SEGMENT]
        attribute = np.full(len(keys), -1, np.int64)
        attribute[own] = self._register.attributes_in([models[i] for i in own], [names[i] for i in own])
        self._register.turned_away += int((attribute[own] < 0).sum())
        explains = np.zeros(len(keys), np.uint64)
        for i, (policy, name) in enumerate(zip(policies, names, strict=True)):
            if name in policy.explain_by:
                explains[i] = hash64(name.encode()) or 1
        if not len(self.roles):
            self.roles.add()
        roles = np.zeros(len(keys), np.int64)
        some = np.flatnonzero((attribute >= 0) | (explains > 0))
        roles[some] = self.roles.add(len(some)) + np.arange(len(some))
        for field, values in (("key", keys), ("model", models), ("attribute", attribute), ("explains", explains)):
            self.roles[field][roles[some]] = np.asarray(values)[some]
        self._index.insert_many(keys, roles)
        return [int(role) for role in roles]


def _first_of_each(keys: NDArray[np.integer[Any]], among: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of the places ``among`` the first of each key, in their order."""
    first = np.unique(keys[among], return_index=True)[1]
    return np.sort(among[first])


def _firsts(event: NDArray[np.int64], attribute: NDArray[np.int32]) -> NDArray[np.int64]:
    """The first entry of each attribute of each event, ordered by event."""
    first: NDArray[np.int64] = np.unique(event * (1 << 31) + attribute, return_index=True)[1]
    return first
