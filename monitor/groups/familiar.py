"""Which events name nothing new? Those are counted among groups by the kernel; all others go the longer way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.models import Models
from monitor.events.columns import EventBatch, Space, ValueType
from monitor.groups.counting import Counter
from monitor.groups.people import People
from monitor.groups.register import Register
from monitor.groups.sorting import Sorter
from monitor.groups.sums import OpenTicks
from monitor.kernels.groups import count_groups
from monitor.kernels.hashing import hash64
from monitor.kernels.table import Table, mix
from monitor.kernels.tally import Entries, series_key

_WORDS = (hash64(b"label"), hash64(b"score"), hash64(b"value"))

Rows64 = NDArray[np.int64]


@dataclass(slots=True)
class Known:
    """The groups of a batch's events as far as they were all known: pairs (k,) of an ``event`` and a ``member``.

    ``left`` are events of which something was new, or might be.
    """

    event: NDArray[np.int32]
    member: NDArray[np.int32]
    left: Rows64

    @classmethod
    def of_none(cls) -> Known:
        """Of no event."""
        return cls(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.int64))


class Familiar:
    """Counts events whose people, answers and tallies are all known.

    That holds for models whose attributes are what events themselves say, of whom nothing explains, that give no tags
    and never name an entity. Whatever the longer way would let in, turn away or ask a policy for is left to it, whole
    events at a time; so it is nowhere decided here what is counted, only that it has been decided before.
    """

    def __init__(
        self,
        models: Models,
        register: Register,
        sorter: Sorter,
        counter: Counter,
        people: People,
        sums: OpenTicks,
    ) -> None:
        self._models = models
        self._register = register
        self._sorter = sorter
        self._counter = counter
        self._people = people
        self._sums = sums
        self.said = Table()
        """The member that (model, name, value) stand for."""
        self._apart = np.zeros(0, bool)
        """By model: whether its policy asks for more than events say."""

    def count(
        self,
        batch: EventBatch,
        entries: Entries,
        hashes: NDArray[np.uint64],
        model: NDArray[np.int32],
        ends: NDArray[np.float64],
        beside: Callable[[int], None],
    ) -> Known:
        """Count what is familiar of ``batch``, given as to :meth:`Groups.count`, and say what that was."""
        counted = model >= 0
        ticks = self._sums.tables(ends[counted])
        columns = self._columns(batch, hashes, model)
        columns["tick"] = np.zeros(len(model), np.int32)
        columns["tick"][counted] = ticks.of
        columns["start"], columns["like"] = entries.starts(len(model)), entries.liked(len(model))
        columns["order"] = entries.order
        index = self._register.index
        tables = {"said": self.said, "both": self._sorter.intersections.known, "favourable": self._counter.favourable}
        tables |= {name: index[name] for name in ("outputs", "tallies")}
        made = count_groups(columns, tables, _WORDS, ticks.tables, beside)
        if made is None:
            beside(0)
            return replace(Known.of_none(), left=np.flatnonzero(counted))
        self._sums.keep(ticks, made.added)
        return Known(made.event, made.member, made.left)

    def learn(self, batch: EventBatch, hashes: NDArray[np.uint64], events: Rows64) -> None:
        """Know from now on the people of ``events``, which went the longer way: those who are not among the rest."""
        chosen = np.zeros(len(batch), bool)
        chosen[events] = True
        said = np.flatnonzero(batch.in_space(Space.SENSITIVE) & chosen[batch.event])
        said = said[batch.type[said] == ValueType.TEXT]
        own, name, text = hashes[batch.event[said]], batch.name.hash[said], batch.text.hash[said]
        keys = mix(series_key(own, batch.space[said], name), text)
        member = self._members(own, name, text)
        new = np.flatnonzero((member >= 0) & (self.said.find(keys) < 0))
        new = new[np.unique(keys[new], return_index=True)[1]]
        self.said.insert_many(keys[new], member[new])

    def reloaded(self) -> None:
        """Policies are others, or were just loaded: what they ask for is looked up anew."""
        self._apart = np.zeros(0, bool)

    def _members(self, model: NDArray[np.uint64], name: NDArray[np.uint64], text: NDArray[np.uint64]) -> Rows64:
        """The people of a model who are said to be ``text``, in its one stratum; -1 where there are none."""
        register = self._register
        attribute = self._sorter.roles_of(model, Space.SENSITIVE, name)
        attribute = self._sorter.roles["attribute"][attribute].astype(np.int64)
        group = register.index["groups"].find(mix(register.attributes["key"][attribute], text)).astype(np.int64)
        stratum = register.index["strata"].find(mix(model, np.zeros(len(model), np.uint64))).astype(np.int64)
        known = (attribute >= 0) & (group >= 0) & (stratum >= 0)
        member = register.index["members"].find(mix(register.groups["key"][group], register.strata["key"][stratum]))
        return np.where(known, member, -1).astype(np.int64)

    def _columns(
        self, batch: EventBatch, hashes: NDArray[np.uint64], model: NDArray[np.int32]
    ) -> dict[str, NDArray[Any]]:
        facts, register = self._counter.known(model), self._register
        return {
            "space": batch.space,
            "type": batch.type,
            "name": batch.name.hash,
            "text": batch.text.hash,
            "number": batch.number,
            "model": np.ascontiguousarray(model),
            "model_key": np.ascontiguousarray(hashes),
            "plain": self._plain(batch, model),
            "crossing": self._sorter.intersections.ready(),
            **{name: facts[name] for name in ("favours", "threshold", "quarters")},
            "base": register.members["base"],
            "member_key": register.members["key"],
            "output_key": register.outputs["key"],
        }

    def _plain(self, batch: EventBatch, model: NDArray[np.int32]) -> NDArray[np.bool_]:
        """By model: whether an event of it can be familiar."""
        n = len(self._models)
        if len(self._apart) < n:
            policies = (each.policy for each in self._models.items[len(self._apart) :])
            asking = [bool(policy.sensitive or policy.explain_by) for policy in policies]
            self._apart = np.concatenate([self._apart, np.array(asking, bool)])
        facts, register = self._counter.facts, self._register
        plain: NDArray[np.bool_] = (facts["met"][:n] > 0) & (facts["tags"][:n] == 0)
        plain = plain & ~self._apart & ~self._sorter.peculiar()
        counted = self._people.rows["group"][: len(self._people.rows)]
        plain[register.attributes["model"][register.groups["attribute"][counted]]] = False
        named = model[(batch.entity.length > 0) & (model >= 0)]
        plain[named] = False
        return plain
