"""Who is of two groups at once? The people of each two attributes taken as one, as far as the policy wants it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.models import Models
from monitor.groups.register import Register
from monitor.kernels.table import Table, mix

EVENTS_MIN = 500
"""Events of a model, in ticks that closed, from which its intersections are counted: of fewer none could be seen."""

Rows64 = NDArray[np.int64]


class Intersections:
    """Finds, and lets in, the members that two members of one case are together."""

    def __init__(self, models: Models, register: Register) -> None:
        self._models = models
        self._register = register
        self.known = Table()
        """By the sum of the keys of two members: the row of what they are together plus 1, 0 where that is nothing."""

    def ready(self) -> NDArray[np.bool_]:
        """Of which models (by row) intersections are counted."""
        seen: NDArray[np.bool_] = self._models.rows["closed_events"][: len(self._models)] >= EVENTS_MIN
        return seen

    def cross(self, event: Rows64, member: Rows64) -> tuple[Rows64, Rows64, Rows64, Rows64]:
        """The intersections of ``member`` (k,), ordered by ``event`` (k,): event, member, and the places of the two.

        The four are of one length, in no order.
        """
        first, second = _pairs(event)
        group = self._register.members["group"][member[first]]
        ready = self.ready()[self._register.attributes["model"][self._register.groups["attribute"][group]]]
        first, second = first[ready], second[ready]
        keys = self.keys(member[first], member[second])
        found = self.known.find(keys)
        unknown = np.flatnonzero(found < 0)
        if len(unknown):
            new = np.sort(unknown[np.unique(keys[unknown], return_index=True)[1]])
            self.known.insert_many(keys[new], self._meet(member[first[new]], member[second[new]]) + 1)
            found = self.known.find(keys)
        some = np.flatnonzero(found > 0)
        return event[first[some]], found[some].astype(np.int64) - 1, first[some], second[some]

    def keys(self, first: Rows64, second: Rows64) -> NDArray[np.uint64]:
        """The keys of pairs of members (k,) in :attr:`known`, whichever comes first; the kernel makes the same."""
        of = self._register.members["key"]
        return mix(of[first] + of[second], np.zeros(len(first), np.uint64))

    def reloaded(self) -> None:
        """Policies are others, or were just loaded: what they want is looked up anew."""
        self.known = Table()

    def _meet(self, first: Rows64, second: Rows64) -> Rows64:
        """The members that two members each (k,) are together; -1 where that is not compared."""
        register = self._register
        groups = register.members["group"][np.stack([first, second])].astype(np.int64)
        attribute, turned = self._attributes(register.groups["attribute"][groups].astype(np.int64))
        groups[:, turned] = groups[::-1, turned]
        met = np.full(len(first), -1, np.int64)
        own = np.flatnonzero(attribute >= 0)
        stratum = register.members["stratum"][first[own]].astype(np.int64)
        met[own] = register.members_in(register.both_in(attribute[own], groups[:, own]), stratum)
        return met

    def _attributes(self, pairs: Rows64) -> tuple[Rows64, NDArray[np.bool_]]:
        """What ``pairs`` (2, k) of attributes are as one, -1: that is not compared; whether the second comes first."""
        keys = pairs[0] << 32 | pairs[1]
        _, places, inverse, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
        rows, turned = np.full(len(places), -1, np.int64), np.zeros(len(places), bool)
        names, asked = self._register.attribute_names, list[tuple[int, int, int]]()
        for j in np.argsort(places).tolist():
            one, other = pairs[:, places[j]].tolist()
            if one != other and self._wanted(one, other):
                turned[j] = names[other] < names[one]
                asked.append((j, other, one) if turned[j] else (j, one, other))
        if asked:
            at, first, second = zip(*asked, strict=True)
            rows[list(at)] = self._register.intersections_in(first, second)
            self._register.turned_away += int(counts[list(at)][rows[list(at)] < 0].sum())
        return rows[inverse], turned[inverse]

    def _wanted(self, one: int, other: int) -> bool:
        """Whether the policy of a model asks for two of its attributes to be taken as one."""
        register = self._register
        wanted = self._models.items[int(register.attributes["model"][one])].policy.intersections
        if wanted == "auto":
            return True
        return frozenset(register.attribute_names[each] for each in (one, other)) in map(frozenset, wanted)


def _pairs(event: Rows64) -> tuple[Rows64, Rows64]:
    """All pairs of places (i, j), i < j, with the same ``event``, which is ordered."""
    n = len(event)
    stop = np.searchsorted(event, event, side="right")
    behind = stop - np.arange(n) - 1
    first = np.repeat(np.arange(n), behind)
    ends = np.cumsum(behind)
    return first, first + 1 + np.arange(len(first)) - np.repeat(ends - behind, behind)
