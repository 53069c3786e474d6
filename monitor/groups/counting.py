"""What did each event of a batch say, and for whom? Decisions, classes, tags, scores above the middle, by tally."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.models import Models
from monitor.catalog.policies import Policy
from monitor.catalog.rows import Field, Rows
from monitor.catalog.series import Series
from monitor.events.columns import EventBatch, Part, Space, ValueType
from monitor.groups.questions import LISTS, Kind
from monitor.groups.register import Register
from monitor.groups.sorting import Memberships
from monitor.groups.sums import OpenTicks
from monitor.kernels.hashing import hash64
from monitor.kernels.table import Table, mix
from monitor.kernels.tallied import Tallied, pairs, tallied
from monitor.kernels.tally import BINS, KIND_NUMBER

QUARTERS_MIN = 200
"""Values of a score after which its quarters are fixed."""
FACTS = {
    "met": Field(np.uint8, still=True),
    "favours": Field(np.uint8, still=True),
    "threshold": Field(np.float64, (), np.nan, still=True),
    "tags": Field(np.uint8, still=True),
    "lists": Field(np.uint16, still=True),
    "of_kind": Field(np.uint16, (len(LISTS),), still=True),
    "quarters": Field(np.float64, (2, 3), np.nan, still=True),
}
"""By model: what its policy asks of predictions (``favours`` 1: labels, 2: at or above ``threshold``, 3: at or below),
whether it ever gave ``tags``, how many ``lists`` of tags it has, also by kind, the ``quarters`` (upper ends of the
first three) of its scores and of its bare numbers."""
NOT_SAID, BY_LABEL, ABOVE, BELOW = range(4)
_NUMBERS = ("score", "value")
_HASHES = tuple(np.uint64(hash64(name.encode())) for name in _NUMBERS)
_LABEL = hash64(b"label")
_PARTS_OF_NUMBERS = (
    (Kind.SCORE, Kind.SCORE_HIGH, Kind.SCORE_LOW),
    (Kind.VALUE, Kind.VALUE_HIGH, Kind.VALUE_LOW),
)
"""Above the median, in the highest quarter and in the lowest, of scores and of bare numbers."""

Rows64 = NDArray[np.int64]


@dataclass(slots=True)
class Cases:
    """Events of a batch that answer a question: ``event`` (k,) and the outcome ``s`` (k,) in [0, 1]."""

    event: Rows64
    s: NDArray[np.float64]


class Counter:
    """Counts predictions into the sums of open ticks."""

    def __init__(self, models: Models, series: Series, register: Register, sums: OpenTicks) -> None:
        self._models = models
        self._series = series
        self._register = register
        self._sums = sums
        self.facts = Rows(FACTS)
        self.favourable = Table()
        """By model and label, the labels that are favourable."""
        self._watched = Table()
        self.turned_away: Callable[[int, Kind, int, float, Callable[[], str]], None] = lambda *_: None
        """Told of each output that there is no room for, as :meth:`Crowded.turned_away` is."""
        self._n_series = 0
        self._waiting: list[tuple[int, int]] = []
        """Series of scores and bare numbers without quarters so far, each with its place in ``quarters``."""

    def count(self, batch: EventBatch, model: NDArray[np.int32], ends: NDArray[np.float64], of: Memberships) -> None:
        """Count the events of ``batch``: ``model`` (n,) rows or -1, ``ends`` (n,) of ticks, their groups ``of``."""
        self.known(model)
        grouped = of.first[1:] > of.first[:-1]
        entries = np.flatnonzero(batch.in_space(Space.PREDICTION) & grouped[batch.event])
        self._count_labels(batch, model, ends, of, entries)
        self._count_numbers(batch, model, ends, of, entries)
        self._count_tags(batch, model, ends, of, grouped)

    def add(
        self, kind: Kind, cases: Cases, ends: NDArray[np.float64], of: Memberships, sums: OpenTicks | None = None
    ) -> None:
        """Count ``cases`` of a kind with one output among all groups of their events, in open ticks or in ``sums``."""
        made = self._tallied(kind, cases, of)
        if len(made.lacking):
            self._make_bases(made.lacking, kind)
            made = self._tallied(kind, cases, of)
        own = self._sums if sums is None else sums
        own.add(ends[made.event], made.tally, np.ones(len(made.s)), made.s)

    def choose_quarters(self) -> None:
        """Fix the quarters of scores that are known well enough by now; asked when ticks close."""
        rows, facts = self._series.rows, self.facts
        new = self._n_series + np.flatnonzero(rows["space"][self._n_series : len(rows)] == Space.PREDICTION)
        for series in new.tolist():
            name = self._series.names[series]
            if name in _NUMBERS:
                self._waiting.append((series, _NUMBERS.index(name)))
        self._n_series = len(rows)
        if not self._waiting:
            return
        self._extend()
        series, which = np.array(self._waiting, np.int64).T
        known = np.isfinite(facts["quarters"][rows["model"][series], which, 0])
        bins = rows["reference"][series, :BINS].astype(np.float64).cumsum(axis=1)
        ready = (rows["kind"][series] == KIND_NUMBER) & (rows["n_edges"][series] > 0) & (bins[:, -1] >= QUARTERS_MIN)
        for i in np.flatnonzero(ready & ~known).tolist():
            model, n = int(rows["model"][series[i]]), int(rows["n_edges"][series[i]])
            places = np.searchsorted(bins[i], bins[i, -1] * np.array([0.25, 0.5, 0.75]))
            facts["quarters"][model, which[i]] = rows["edges"][series[i], np.minimum(places, n - 1)]
            facts.touch(model)
        self._waiting = [each for each, done in zip(self._waiting, ready | known, strict=True) if not done]

    def reloaded(self) -> None:
        """Ask predictions for what the policies say from here on."""
        self.favourable, self._watched = Table(), Table()
        self.restored()

    def restored(self) -> None:
        """Put in order what follows from the policies, after the facts were loaded."""
        self._apply(np.flatnonzero(self.facts["met"][: len(self.facts)]))

    def _extend(self) -> None:
        if len(self.facts) < len(self._models):
            self.facts.add(len(self._models) - len(self.facts))

    def known(self, model: NDArray[np.int32]) -> Rows:
        """The facts, those of ``model`` (n,) among them, which are met for the first time or were before."""
        self._extend()
        present = model[model >= 0]
        self._apply(np.unique(present[self.facts["met"][present] == 0]))
        return self.facts

    def _apply(self, rows: NDArray[np.integer[Any]]) -> None:
        """Write down what the policies of models ask."""
        for policy, own in self._models.by_policy(rows.tolist()):
            self._ask(policy, np.array(own))
        self.facts.touch(rows)

    def _ask(self, policy: Policy, own: Rows64) -> None:
        facts = self.facts
        facts["met"][own] = 1
        facts["favours"][own] = _favours(policy)
        facts["threshold"][own] = np.nan if policy.decision_threshold is None else policy.decision_threshold
        lists = [(Kind.WATCHED, list_) for list_ in policy.watch_tags]
        lists += [(Kind.ROLLED, list_) for list_ in policy.roll_ups]
        facts["lists"][own] = len(lists)
        facts["of_kind"][own] = [sum(kind == each for each, _ in lists) for kind in LISTS]
        keys = self._register.model_keys(own)
        for label in policy.favourable:
            hashes = np.array(hash64(label.encode()), np.uint64)
            self.favourable.insert_many(mix(keys, hashes), np.ones(len(own), np.int32))
        for row, key in zip(own.tolist(), keys.tolist(), strict=True) if lists else ():
            for i, (kind, list_) in enumerate(lists):
                output = self._register.output(row, kind, list_.name, -np.inf)
                for tag in list_.tags:
                    self._watched.insert(_two(_two(key, i + 1), hash64(tag.encode())), output)

    def _count_labels(
        self, batch: EventBatch, model: NDArray[np.int32], ends: NDArray[np.float64], of: Memberships, entries: Rows64
    ) -> None:
        entries = entries[(batch.name.hash[entries] == _LABEL) & (batch.type[entries] == ValueType.TEXT)]
        event = batch.event[entries].astype(np.int64)
        favours = self.facts["favours"][model[event]]
        own = favours == BY_LABEL
        keys = mix(self._register.model_keys(model[event[own]]), batch.text.hash[entries[own]])
        self.add(Kind.DECISION, Cases(event[own], (self.favourable.find(keys) >= 0).astype(np.float64)), ends, of)
        free = entries[favours == NOT_SAID]
        if len(free):
            self._count_outputs(Kind.CLASS, batch, model, ends, of, free, batch.text.hash[free])

    def _count_numbers(
        self, batch: EventBatch, model: NDArray[np.int32], ends: NDArray[np.float64], of: Memberships, entries: Rows64
    ) -> None:
        entries = entries[(batch.type[entries] == ValueType.NUMBER) & np.isfinite(batch.number[entries])]
        if not len(entries):
            return
        event, number = batch.event[entries].astype(np.int64), batch.number[entries]
        favours, threshold = self.facts["favours"][model[event]], self.facts["threshold"][model[event]]
        decided = (favours == ABOVE) | (favours == BELOW)
        # An event with a score and a bare number cannot be; one of them is the decision's.
        fair = np.where(favours == ABOVE, number >= threshold, number <= threshold).astype(np.float64)
        self.add(Kind.DECISION, Cases(event[decided], fair[decided]), ends, of)
        for i, (above, high, low) in enumerate(_PARTS_OF_NUMBERS):
            quarters = self.facts["quarters"][model[event], i]
            own = (favours == NOT_SAID) & (batch.name.hash[entries] == _HASHES[i]) & ~np.isnan(quarters[:, 0])
            x, (lower, middle, upper) = number[own], quarters[own].T
            for kind, part in ((above, x > middle), (high, x > upper), (low, x <= lower)):
                self.add(kind, Cases(event[own], part.astype(np.float64)), ends, of)

    def _count_tags(
        self,
        batch: EventBatch,
        model: NDArray[np.int32],
        ends: NDArray[np.float64],
        of: Memberships,
        grouped: NDArray[np.bool_],
    ) -> None:
        entries = np.flatnonzero(batch.in_space(Space.TAG) & grouped[batch.event])
        lists = self._tag_lists(batch, model, entries, grouped)
        if not len(lists):
            return
        self._count_bases(Kind.TAG, lists, ends, of)
        for i, kind in enumerate(LISTS):
            self._count_bases(kind, lists[self.facts["of_kind"][model[lists], i] > 0], ends, of)
        self._count_outputs(Kind.TAG, batch, model, ends, of, entries, batch.name.hash[entries])
        self._count_watched(batch, model, ends, of, entries)

    def _tag_lists(
        self, batch: EventBatch, model: NDArray[np.int32], entries: Rows64, grouped: NDArray[np.bool_]
    ) -> Rows64:
        """Events with a list of tags: also an empty one, of a model that is known to give tags."""
        tagged = np.unique(batch.event[entries]).astype(np.int64)
        gave = self.facts["tags"][model] > 0
        new = tagged[~gave[tagged]]
        for row in np.unique(model[new]).tolist():
            first = new[model[new] == row][0]
            gave |= (model == row) & (np.arange(len(model)) >= first)
            self.facts["tags"][row] = 1
            self.facts.touch(row)
        bare = (batch.parts & Part.PREDICTION) > 0
        bare[batch.event[np.flatnonzero(batch.in_space(Space.PREDICTION))]] = False
        empty = np.flatnonzero(bare & gave & grouped & (model >= 0))
        return np.union1d(tagged, empty)

    def _count_outputs(
        self,
        kind: Kind,
        batch: EventBatch,
        model: NDArray[np.int32],
        ends: NDArray[np.float64],
        of: Memberships,
        entries: Rows64,
        names: NDArray[np.uint64],
    ) -> None:
        """Count which class or tag each of ``entries`` is, ``names`` being their hashes."""
        event = batch.event[entries].astype(np.int64)
        if kind == Kind.CLASS:
            self._count_bases(kind, event, ends, of)
        output = self._outputs(kind, batch, model, ends, entries, names)
        known = output >= 0
        self._count_pairs(event[known], output[known], ends, of)

    def _count_watched(
        self, batch: EventBatch, model: NDArray[np.int32], ends: NDArray[np.float64], of: Memberships, entries: Rows64
    ) -> None:
        event = batch.event[entries].astype(np.int64)
        lists = self.facts["lists"][model[event]]
        for i in range(int(lists.max(initial=0))):
            own = np.flatnonzero(lists > i)
            keys = mix(
                mix(self._register.model_keys(model[event[own]]), np.full(len(own), i + 1, np.uint64)),
                batch.name.hash[entries[own]],
            )
            output = self._watched.find(keys).astype(np.int64)
            own, output = own[output >= 0], output[output >= 0]
            # However many tags of the list an event has, it counts once.
            once = np.unique(event[own], return_index=True)[1]
            self._count_pairs(event[own][once], output[once], ends, of)

    def _count_bases(self, kind: Kind, event: Rows64, ends: NDArray[np.float64], of: Memberships) -> None:
        """Count that each ``event`` answers questions of ``kind``, among all its groups."""
        self.add(kind, Cases(event, np.zeros(len(event))), ends, of)

    def _count_pairs(self, event: Rows64, output: Rows64, ends: NDArray[np.float64], of: Memberships) -> None:
        """Count ``output`` of each ``event`` among its groups."""
        register = self._register
        pair, case = pairs(of.first, event)
        keys = mix(register.members["key"][of.member[pair]], register.outputs["key"][output[case]])
        tally = register.index["tallies"].find(keys).astype(np.int64)
        known = tally >= 0
        n = int(known.sum())
        self._sums.add(ends[of.event[pair]][known], tally[known], np.zeros(n), np.ones(n))

    def _outputs(
        self,
        kind: Kind,
        batch: EventBatch,
        model: NDArray[np.int32],
        ends: NDArray[np.float64],
        entries: Rows64,
        names: NDArray[np.uint64],
    ) -> Rows64:
        """The output that each of ``entries`` names; those that were never met are let in, in their order."""
        register = self._register
        owner, texts = model[batch.event[entries]], batch.text if kind == Kind.CLASS else batch.name
        named = batch.namer(texts)
        output = register.outputs_in(owner, kind, names, lambda i: named(int(entries[i])), ends[batch.event[entries]])
        away = np.flatnonzero(output < 0)
        register.turned_away += len(away)
        for j in away.tolist():
            i = int(entries[j])
            end, said = float(ends[batch.event[i]]), partial(batch.string, texts, i)
            self.turned_away(int(owner[j]), kind, int(names[j]), end, said)
        return output

    def _tallied(self, kind: Kind, cases: Cases, of: Memberships) -> Tallied:
        return tallied(cases.event, cases.s, of.first, of.member, self._register.members["base"], kind)

    def _make_bases(self, member: Rows64, kind: Kind) -> None:
        """See to it that each ``member`` (k,) has a tally of all its cases of ``kind``, as far as limits allow."""
        self._register.bases(member[np.sort(np.unique(member, return_index=True)[1])], kind)


def _favours(policy: Policy) -> int:
    if policy.favourable:
        return BY_LABEL
    if policy.decision_threshold is None:
        return NOT_SAID
    return ABOVE if policy.favourable_when == "above" else BELOW


def _two(a: int, b: int) -> int:
    key: Any = mix(np.array([a], np.uint64), np.array([b], np.uint64))[0]
    return int(key)
