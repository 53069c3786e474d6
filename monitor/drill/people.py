"""A drill of a model's groups: copies of each comparison in which a group's rate falls or rises beside the rest's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monitor.budget import Budget
from monitor.catalog.models import FIELDS as MODEL_FIELDS
from monitor.catalog.models import Models
from monitor.drill.past import DAY_SECONDS, Look, looks, whole_days
from monitor.fleet import Fleet
from monitor.groups.comparing import SHARE, Comparer
from monitor.groups.effects import DECAY
from monitor.groups.hours import HOUR_SECONDS
from monitor.groups.questions import QUESTIONS, Kind
from monitor.groups.register import Limits, Register
from monitor.groups.sums import TallySums
from monitor.kernels.compare import LESS, MORE
from monitor.kernels.hashing import hash64
from monitor.kernels.pool import POOL_EVENTS

CELLS_MAX = 64
"""Comparisons of one model that are drilled, those with the most people first."""
KINDS = (Kind.DECISION, Kind.SCORE, Kind.VALUE)
"""What is drilled: what every prediction answers at once. A tag's or an outcome's turn would come too seldom."""
TALLIES_MAX = 5_000
"""Tallies of all of them together, so that neither memory nor time is without a bound."""
_SEED = 20_023
_NOTHING = -1
"""The fault of the copy that nothing befalls."""
_UNLIMITED = Limits(*(1_000_000,) * 6)
_CELL = ("scatter", "scatter_weight", "scatter_ticks", "recent", "recent_within")
_HIGHEST = 0.99
STEPS_AT_ONCE = 4

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Breathe = Callable[[], None]


@dataclass(frozen=True, slots=True)
class GroupFault:
    """The rate of a group becomes ``ratio`` times that of the rest, in every stratum."""

    name: str
    direction: int
    ratio: float
    words: str


GROUP_FAULTS = (
    GroupFault("group_0.75", LESS, 0.75, "fell to 0.75 of the rest"),
    GroupFault("group_0.5", LESS, 0.5, "fell to 0.5 of the rest"),
    GroupFault("group_1.5", MORE, 1.5, "rose to 1.5 times the rest"),
    GroupFault("group_2", MORE, 2.0, "rose to 2 times the rest"),
)
"""The faults of a group; those of a direction that is asked about strike."""


@dataclass(slots=True)
class Compared:
    """One comparison that is drilled: a group of an attribute, with the tallies of all groups of that attribute.

    ``row`` (m,) are the tallies; ``group`` and ``stratum`` (m,) of each, as running numbers, ``target`` the number of
    the group; ``recent`` (m, 4) and ``state`` are the present of the real comparison, ``batches`` how many it bets on
    in a tick.
    """

    cell: int
    kind: Kind
    target: int
    row: Indices
    group: Indices
    stratum: Indices
    recent: Array
    state: dict[str, Array]
    batches: float


@dataclass(slots=True)
class GroupFindings:
    """By fault of a comparison, ``(k,)`` each: its cell, the fault's place in ``GROUP_FAULTS``, and when it is seen.

    ``days`` is NaN where nobody would see it within thirty days, or tell it from what the group does by itself.
    """

    cell: Indices
    fault: Indices
    days: Array


@dataclass(slots=True)
class _Copy:
    """A copy of a comparison that a fault strikes, and which tallies and cell it has among those of all copies."""

    of: Compared
    fault: int
    rows: Indices = field(default_factory=lambda: np.zeros(0, np.int64))
    cell: int = -1


@dataclass(slots=True)
class GroupDrill:
    """The comparisons of a model, taken from the fleet, so that any thread may drill on them."""

    models: Models
    budget: Budget
    smallest_group: int
    n_cells: float
    n_of_model: float
    compared: list[Compared]
    tick: float

    def run(self, hours: Sequence[tuple[float, TallySums]], breathe: Breathe = lambda: None) -> GroupFindings:
        """Judge every fault of every comparison on ``hours`` (end, sums); ``breathe`` is called every so often."""
        copies = [
            _Copy(of, fault)
            for of in self.compared
            for fault in (_NOTHING, *(i for i, f in enumerate(GROUP_FAULTS) if _asked(of.kind, f)))
        ]
        days = np.full(len(copies), np.nan)
        for look in looks(self.tick) if hours else ():
            open_ = np.flatnonzero(np.isnan(days))
            if len(open_):
                self._through(copies, open_, _Hours(hours, look), days, breathe)
        by_itself = {id(c.of): d for c, d in zip(copies, days.tolist(), strict=True) if c.fault == _NOTHING}
        struck = np.flatnonzero([copy.fault != _NOTHING for copy in copies])
        alone = np.array([by_itself[id(copies[i].of)] for i in struck.tolist()])
        return GroupFindings(
            np.array([copies[i].of.cell for i in struck.tolist()], np.int64),
            np.array([copies[i].fault for i in struck.tolist()], np.int64),
            np.where(days[struck] >= alone, np.nan, days[struck]),
        )

    def _through(self, copies: list[_Copy], place: Indices, hours: _Hours, days: Array, breathe: Breathe) -> None:
        """Judge the copies at ``place`` on ``hours``; note in ``days`` when each is seen."""
        some = [copies[i] for i in place.tolist()]
        comparer = self._comparer(some, hours.step, breathe)
        at = {copy.cell: int(i) for copy, i in zip(some, place, strict=True)}
        sides = _Sides(some, hours)
        for number, (end, n, s) in enumerate(hours.lived(), 1):
            if number % STEPS_AT_ONCE == 0:
                breathe()
                if not np.isnan(days[place]).any():
                    return
            sums = sides.struck(n, s)
            for alarm in comparer.judge(end, sums).alarms if len(sums.row) else ():
                i = at.get(alarm.cell)
                if i is not None and math.isnan(days[i]):
                    days[i] = number * hours.step / DAY_SECONDS

    def _comparer(self, copies: list[_Copy], step: float, breathe: Breathe) -> Comparer:
        """A comparer of ``copies`` alone, each an attribute of its own, with the present and budget of the real one."""
        self.models.rows["tick"][0] = step
        register = Register(self.models, _UNLIMITED)
        for number, copy in enumerate(copies):
            self._enter(register, str(number), copy)
            breathe()
        comparer = Comparer(self.models, register, self.budget, self.smallest_group)
        comparer.extend()
        comparer.n_cells, comparer.n_of_model[0] = self.n_cells, self.n_of_model
        comparer.decay = np.full(len(register.cells), DECAY)
        for copy in copies:
            for name in _CELL:
                comparer.state[name][copy.cell] = copy.of.state[name]
            # The present of a long stretch fades as much as it would have with each of its real batches.
            comparer.decay[copy.cell] = DECAY ** max(1.0, step / self.tick * copy.of.batches)
        return comparer

    @staticmethod
    def _enter(register: Register, attribute: str, copy: _Copy) -> None:
        """Let all groups of a copy's attribute into ``register``."""
        of, row = copy.of, register.attribute(0, attribute)
        groups = [register.group(row, str(g), hash64(b"%d" % g)) for g in range(int(of.group.max()) + 1)]
        strata = [register.stratum(0, s + 1) for s in range(int(of.stratum.max()) + 1)]
        members = [register.member(groups[g], strata[s]) for g, s in zip(of.group, of.stratum, strict=True)]
        copy.rows = register.bases(np.array(members, np.int64), of.kind)
        copy.cell = register.cell(groups[of.target], int(register.tallies["output"][copy.rows[0]]))
        register.tallies["recent"][copy.rows] = of.recent


class _Hours:
    """The hours of a model's groups as dense arrays, lived through as ``look`` says."""

    def __init__(self, hours: Sequence[tuple[float, TallySums]], look: Look) -> None:
        self._horizon = look.horizon
        self.known = np.unique(np.concatenate([sums.row for _, sums in hours]))
        self._length = max(HOUR_SECONDS, math.floor(look.length / HOUR_SECONDS) * HOUR_SECONDS)
        place = [math.floor((end - 1e-6) / self._length) for end, _ in hours]
        first = max(place[0], place[-1] - math.ceil(look.since / self._length) + 1)
        self._begin = first * self._length
        self._parts = max(1, round(self._length / look.length))
        self.step = self._length / self._parts
        """Seconds of a stretch: an hour, or several, or a part of one."""
        self.n, self.s = (np.zeros((place[-1] - first + 1, len(self.known))) for _ in range(2))
        for (_, sums), at in zip(hours, place, strict=True):
            if at >= first:
                columns = np.searchsorted(self.known, sums.row)
                self.n[at - first, columns] += sums.n
                self.s[at - first, columns] += sums.s

    def columns(self, rows: Indices) -> Indices:
        """Where tallies ``rows`` stand in the arrays; the last column, which is empty, for those never counted."""
        at = np.minimum(np.searchsorted(self.known, rows), len(self.known) - 1)
        return np.where(self.known[at] == rows, at, len(self.known)) if len(self.known) else np.zeros(len(rows), int)

    def lived(self) -> Iterator[tuple[float, Array, Array]]:
        """Each stretch with its end: cases and sums by column, one empty column behind them."""
        parts, whole = self._parts, whole_days(len(self.n), self._length)
        rng = np.random.default_rng(_SEED)
        for i in range(int(self._horizon / self._length)):
            n, s = self.n[i % whole], np.rint(self.s[i % whole])
            due, left_n, left_s = rng.random(len(n)), n.copy(), s.copy()
            for part in range(parts):
                size = np.floor(n * (part + 1) / parts + due) - np.floor(n * part / parts + due)
                yes = rng.hypergeometric(*(x.astype(np.int64) for x in (left_s, left_n - left_s, size)))
                left_n, left_s = left_n - size, left_s - yes
                end = self._begin + i * self._length + (part + 1) * self.step
                yield end, np.append(size, 0.0), np.append(yes.astype(np.float64), 0.0)


class _Sides:
    """From the sums of a stretch to those of all copies, each with its own group's rate changed."""

    def __init__(self, copies: list[_Copy], hours: _Hours) -> None:
        self._rng = np.random.default_rng(_SEED)
        self._row = np.concatenate([copy.rows for copy in copies])
        self._own = hours.columns(np.concatenate([copy.of.row for copy in copies]))
        part = [_lost_or_gained(copy, hours) for copy in copies]
        self._lost, self._gained = (np.concatenate([p[i] for p in part]) for i in range(2))

    def struck(self, n: Array, s: Array) -> TallySums:
        """The sums of all copies in a stretch in which ``n`` cases and ``s`` were counted, by column of the hours."""
        cases, yes = n[self._own].astype(np.int64), s[self._own].astype(np.int64)
        yes = np.minimum(yes, cases)
        lost = self._rng.binomial(yes, self._lost)
        gained = self._rng.binomial(cases - yes, self._gained)
        some = cases > 0
        return TallySums(
            self._row[some], cases[some].astype(np.float64), (yes - lost + gained)[some].astype(np.float64)
        )


def _lost_or_gained(copy: _Copy, hours: _Hours) -> tuple[Array, Array]:
    """Which part of those who got it lose it, and of those who did not get it get it, by tally of ``copy``."""
    of = copy.of
    lost, gained = np.zeros(len(of.row)), np.zeros(len(of.row))
    if copy.fault == _NOTHING:
        return lost, gained
    fault, own = GROUP_FAULTS[copy.fault], of.group == of.target
    n, s = (np.append(x.sum(axis=0), 0.0)[hours.columns(of.row)] for x in (hours.n, hours.s))
    strata = int(of.stratum.max()) + 1
    rest_n, rest_s = (np.bincount(of.stratum[~own], weights=x[~own], minlength=strata) for x in (n, s))
    rest = (rest_s / np.maximum(rest_n, 1.0))[of.stratum[own]]
    rate = np.clip(s[own] / np.maximum(n[own], 1.0), 1e-9, 1.0 - 1e-9)
    target = np.minimum(fault.ratio * rest, _HIGHEST)
    if fault.direction == LESS:
        lost[own] = np.clip(1.0 - target / rate, 0.0, 1.0)
    else:
        gained[own] = np.clip((target - rate) / (1.0 - rate), 0.0, 1.0)
    return lost, gained


def _asked(kind: Kind, fault: GroupFault) -> bool:
    return fault.direction in QUESTIONS[kind].directions


def group_drill(fleet: Fleet, row: int) -> GroupDrill:
    """Copy what a drill of the model in ``row`` needs of its groups."""
    groups, models = fleet.groups, Models(1)
    models.rows.add()
    for name in MODEL_FIELDS:
        models.rows[name][0] = fleet.models.rows[name][row]
    models.rows["hold"][0], models.rows["team"][0] = 0.0, 0
    models.items.append(fleet.models.items[row])
    comparer, budget = groups.comparer, fleet.judge.budget
    comparer.extend()
    fairness, aside = budget.shares[SHARE], comparer.aside()
    # What watch lists take aside, and what its team has for itself, is as if there were so many more or fewer cells.
    sharing = float(np.max(budget.sharing(comparer.crowd(), np.array([row]))))
    n_cells = sharing * fairness / max(fairness - aside, 1e-9)
    return GroupDrill(
        models=models,
        budget=Budget(budget.per_week, budget.per_model_per_week, budget.shares, severities=budget.severities),
        smallest_group=comparer.smallest_group,
        n_cells=max(n_cells, 1.0),
        n_of_model=max(float(comparer.n_of_model[row]), 1.0),
        compared=_compared(fleet, row),
        tick=float(fleet.models.rows["tick"][row]),
    )


@dataclass(slots=True)
class _Tallies:
    """The tallies of one kind of one model that are compared, ``(m,)`` each: groups and strata are rows of theirs."""

    row: Indices
    group: Indices
    stratum: Indices
    attribute: Indices
    n: Array

    def some(self, at: Indices) -> _Tallies:
        """Those at ``at``."""
        return _Tallies(self.row[at], self.group[at], self.stratum[at], self.attribute[at], self.n[at])


def _compared(fleet: Fleet, row: int) -> list[Compared]:
    """The comparisons of the model in ``row`` that may be spoken of, those with the most people first."""
    register, rows = fleet.groups.register, fleet.models.rows
    age = max(float(rows["last_time"][row] - rows["first_time"][row]), float(rows["tick"][row]))
    found: list[tuple[float, int, float, Kind, _Tallies]] = []
    for output in register.of(row).outputs if row in register.of_model else ():
        kind = Kind(int(register.outputs["kind"][output]))
        if kind not in KINDS:
            continue
        whole = _tallies(fleet, output)
        for attribute in np.intersect1d(whole.attribute, register.margins(row)).tolist():
            own = whole.some(np.flatnonzero(whole.attribute == attribute))
            sizes = {g: float(own.n[own.group == g].sum()) for g in register.groups_of(attribute)}
            n = sum(sizes.values())
            for group, seen in zip(sizes, fleet.groups.privacy.shown(list(sizes.values())), strict=True):
                if seen and n - sizes[group] >= fleet.groups.privacy.smallest_group:
                    found.append((sizes[group], group, n * float(rows["tick"][row]) / age, kind, own))
    found.sort(key=lambda of: (-of[0], of[1], of[3]))
    kept: list[Compared] = []
    for size, group, a_tick, kind, own in found[:CELLS_MAX]:
        cell = int(register.tallies["cell"][own.row[own.group == group][0]])
        batches = min(1.0, a_tick / POOL_EVENTS, size * float(rows["tick"][row]) / age)
        if cell >= 0:
            kept.append(_one(fleet, cell, kind, group, own, batches))
        if sum(len(of.row) for of in kept) > TALLIES_MAX:
            return kept[:-1]
    return kept


def _tallies(fleet: Fleet, output: int) -> _Tallies:
    """All tallies of ``output``; such kinds count their cases in the same tallies."""
    register = fleet.groups.register
    row = np.flatnonzero(register.tallies["output"][: len(register.tallies)] == output)
    member = register.tallies["member"][row]
    group = register.members["group"][member].astype(np.int64)
    attribute = register.groups["attribute"][group].astype(np.int64)
    stratum = register.members["stratum"][member].astype(np.int64)
    return _Tallies(row, group, stratum, attribute, register.tallies["total"][row, 0])


def _one(fleet: Fleet, cell: int, kind: Kind, group: int, own: _Tallies, batches: float) -> Compared:
    state, numbers = fleet.groups.comparer.state, np.unique(own.group)
    return Compared(
        cell=cell,
        kind=kind,
        target=int(np.searchsorted(numbers, group)),
        row=own.row,
        group=np.searchsorted(numbers, own.group),
        stratum=np.unique(own.stratum, return_inverse=True)[1].astype(np.int64),
        recent=fleet.groups.register.tallies["recent"][own.row].copy(),
        state={name: state[name][cell].copy() for name in _CELL},
        batches=batches,
    )
