"""From the sums of a tick to alarms about groups: each group against the rest, within strata, within the budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from monitor.budget import Budget, Crowd
from monitor.catalog.models import Models
from monitor.catalog.policies import WatchList
from monitor.catalog.rows import Field, Rows, aside
from monitor.dockets import Dockets
from monitor.groups import planning
from monitor.groups.effects import DECAY, WEIGHT, affected, effect, gap_split, told, tolerated
from monitor.groups.laying import Laying
from monitor.groups.questions import ASKED, BEYOND, LISTS, QUESTIONS, Kind
from monitor.groups.recording import Recorder, Step
from monitor.groups.register import Register
from monitor.groups.sums import TallySums
from monitor.kernels.compare import COMPONENTS, Batch, Least, Sides, Stepped, moved, step
from monitor.kernels.judge import CLEAR_MARGIN, HELD, IDLE, OVER, onset_of
from monitor.kernels.pool import Laid, Pooled, Room, Tables, Terms, pool
from monitor.kernels.settle import KEPT, Bets, see_anew, settle
from monitor.severity import SEVERITIES, severity
from monitor.stats.decompose import Split
from monitor.stats.dispersion import tempering

SHARE = "fairness"
CROSSED_WEIGHT = 0.25
"""What the cell of an intersection weighs in the budget: what it is made of is to be seen as soon as without it."""
_GRAVE = np.array([SEVERITIES.index(severity(QUESTIONS[kind].alertname, ())) for kind in Kind])
"""How grave the alert of each kind is alone: places in ``SEVERITIES``."""
_PIECE_TALLIES = 16384
"""Tallies, with cases or without, from which the models of a piece are enough: it is the same one at the next tick."""
_CELLS_AT_ONCE = 65536
"""Further cells that are counted at once."""
_LISTED = np.isin(list(Kind), LISTS)
"""By kind."""
_LN10 = math.log(10.0)

Array = NDArray[np.float64]
Rows64 = NDArray[np.int64]

STATE = {
    "firing": Field(np.uint8, (), IDLE),
    "log_r": Field(np.float32, (COMPONENTS,), -np.inf),
    "carried": Field(np.float64),
    "scatter": Field(np.float64),
    "scatter_weight": Field(np.float64),
    "scatter_ticks": Field(np.int32),
    "recent": Field(np.float64, (4,)),
    "recent_within": Field(np.float64, (3,)),
    "since": Field(np.float64, (4,)),
    "since_within": Field(np.float64, (3,)),
    "onset": Field(np.float64, (), np.nan),
    "alarmed": Field(np.float64, (), np.nan),
    "last_bad": Field(np.float64, (), np.nan),
    "evidence": Field(np.float32, (), -np.inf),
    "suspicion": Field(np.float32),
}
"""By cell. ``carried`` is the budget of the ticks that wait to be judged. ``recent`` and ``since`` (suspicion began)
are (n, s) of the rest, then of the group; ``.._within`` the sums over batches and strata of Mantel and Haenszel: what
the group got, what it would have got at the rest's rate, and their common weight."""


@dataclass(frozen=True, slots=True)
class GroupAlarm:
    """A cell that fires. ``rates`` are those of the rest and the group since suspicion began, of ``n`` people each."""

    cell: int
    direction: int
    n: tuple[float, float]
    rates: tuple[float, float]
    effect: float
    tolerance: float
    people_affected: int
    evidence_log10: float
    onset_time: float
    fired_time: float
    split: Split
    """The gap between both as it is now, by stratum: from the rest to the group."""
    docket: bytes = b""
    """All that it was judged by since it came under suspicion (:mod:`monitor.dockets`); empty where it was not kept."""


@dataclass(slots=True)
class Compared:
    """What a tick gave: alarms that begin to fire, cells that stopped, and how many cells bet."""

    alarms: list[GroupAlarm]
    cleared: list[int]
    n_cells: int


@dataclass(slots=True)
class _Given:
    """What the pieces of a tick gave: what is told, what was spent by kind and model, and intersections to look at."""

    alarms: list[GroupAlarm] = field(default_factory=list)
    cleared: list[int] = field(default_factory=list)
    spent: list[tuple[Array, NDArray[np.uint8], Rows64]] = field(default_factory=list)
    crossings: list[tuple[Rows64, Rows64]] = field(default_factory=list)


class Comparer:
    """Holds the state of all comparisons; :meth:`judge` takes them one tick further."""

    def __init__(
        self,
        models: Models,
        register: Register,
        budget: Budget,
        smallest_group: int,
        people_of: Callable[[NDArray[np.integer], Array], Array] = lambda _groups, cases: cases,
    ) -> None:
        """``people_of`` says of how many people so many cases of groups (rows) are at most, where these are few."""
        self.models = models
        self.register = register
        self.budget = budget
        self.smallest_group = smallest_group
        self._people_of = people_of
        self.state = Rows(aside(STATE))
        self.dockets = Dockets()
        """What comparisons under suspicion are judged by."""
        self._recorder = Recorder(self.dockets, self.state, people_of, self._stratum)
        self._by_severity = np.array([budget.weight(name) for name in SEVERITIES])[_GRAVE]
        self.records = False
        """Whether dockets are kept; in a drill they are not."""
        self.n_cells = 0.0
        """Cells of the fleet, each with its weight."""
        self.decay: Array | None = None
        """By what the present of each cell fades with a batch, where that is not ``DECAY``: of copies of cells."""
        self.n_of_model: Array = np.zeros(0)
        self._watched: dict[WatchList, float] = {}
        self._n_seen = 0
        self._laying, self._room = Laying(register), Room()
        self._sizes, self._n_sized = np.zeros(0, np.int64), 0
        """How many tallies each model has, of the first so many."""

    def judge(self, end: float, sums: TallySums, breathe: Callable[[], None] = lambda: None) -> Compared:
        """Let every comparison that has waited long enough bet on what it pooled, the tick that ended with it.

        That is done for some whole models at a time; between them the loop may ``breathe``.
        """
        self.extend(breathe)
        if not len(sums.row):
            return Compared([], [], 0)
        self._bring(sums.row, breathe)
        out, model = _Given(), self.register.blocks["model"][self.register.tallies["block"][sums.row]]
        came = np.flatnonzero(np.bincount(model))
        terms = self._terms(end, came)
        breathe()
        for models, piece in _pieces(sums, model, came, self._tallies_of(came)):
            laid = self._laying.of(models)
            breathe()
            pooled = self._pool(piece, laid, terms)
            if len(pooled.cell):
                self._bet(end, laid, pooled, out)
            out.crossings.append(planning.crossings(self.register, laid, pooled.grown))
            breathe()
        if out.spent:
            self._spend(*map(np.concatenate, zip(*out.spent, strict=True)))
            breathe()
        if out.crossings:
            self._look(end, *map(np.concatenate, zip(*out.crossings, strict=True)))
        return Compared(out.alarms, out.cleared, sum(len(carried) for carried, _, _ in out.spent))

    def extend(self, breathe: Callable[[], None] = lambda: None) -> None:
        """Make room for cells that were added since, and count them; now and then the loop may ``breathe``."""
        register = self.register
        if len(self.n_of_model) < len(self.models):
            more = np.zeros(len(self.models) - len(self.n_of_model))
            self.n_of_model = np.concatenate([self.n_of_model, more])
        if self._n_seen == len(register.cells):
            return
        self.state.make_room(len(register.cells), breathe)
        while self._n_seen < len(register.cells):
            self._take_in(np.arange(self._n_seen, min(self._n_seen + _CELLS_AT_ONCE, len(register.cells))))
            breathe()

    def _take_in(self, cells: Rows64) -> None:
        """Count further ``cells`` (k,), which lie behind those that were counted so far."""
        register = self.register
        self._n_seen = int(cells[-1]) + 1
        if len(self.state) < self._n_seen:
            self.state.add(self._n_seen - len(self.state))
        output = register.cells["output"][cells]
        watched = _LISTED[register.outputs["kind"][output]]
        weight = self._weight(cells)
        np.add.at(self.n_of_model, register.outputs["model"][output[~watched]], weight[~watched])
        self.n_cells += float(weight[~watched].sum())
        for row, part in zip(output[watched].tolist(), weight[watched].tolist(), strict=True):
            watch_list = self.watch_list(row)
            self._watched[watch_list] = self._watched.get(watch_list, 0.0) + part

    def _bring(self, tallies: Rows64, breathe: Callable[[], None]) -> None:
        """Have at hand what changes of ``tallies`` (k,) and of what they are compared by, if it was let go of."""
        cell = self.register.tallies["cell"][tallies]
        for table, rows in ((self.register.tallies, tallies), (self.state, cell[cell >= 0])):
            table.bring(rows)
            breathe()

    def watch_list(self, output: int) -> WatchList:
        """The list of tags that stands behind an output of one of the kinds :data:`LISTS`."""
        policy = self.models.items[int(self.register.outputs["model"][output])].policy
        name = self.register.output_names[output]
        rolled = self.register.outputs["kind"][output] == Kind.ROLLED
        lists: tuple[WatchList, ...] = policy.roll_ups if rolled else policy.watch_tags
        return next((w for w in lists if w.name == name), _GONE)

    def tolerance(self, cells: Rows64) -> Array:
        """The tolerance of each cell, in the unit of its question."""
        found: Array = self.register.outputs["tolerance"][self.register.cells["output"][cells]]
        return found

    def kind(self, cells: Rows64) -> NDArray[np.uint8]:
        """The kind of each cell."""
        found: NDArray[np.uint8] = self.register.outputs["kind"][self.register.cells["output"][cells]]
        return found

    def model(self, cells: Rows64) -> NDArray[np.int32]:
        """The model of each cell."""
        found: NDArray[np.int32] = self.register.outputs["model"][self.register.cells["output"][cells]]
        return found

    def allowance(self, cells: Rows64) -> Array:
        """Expected false alarms that each cell may cost in one tick, shape ``(k,)``."""
        self.extend()
        return self._allowance(cells)

    def crowd(self) -> Crowd:
        """The cells that share what comparisons may spend, without those of watch lists."""
        return Crowd.of(SHARE, self.n_cells, self.models, self.n_of_model)

    def ticks_to_see(self, group: Rows64, output: Rows64, seconds: Array) -> Array:
        """Ticks in which the comparisons of groups by outputs (rows, (k,)) would see what plans speak of.

        Their cases came in ``seconds`` (k,). An intersection that is not compared yet is given what it would be given.
        """
        register, state = self.register, self.state
        kind, model = (register.outputs[name][output] for name in ("kind", "model"))
        cell = register.cells_of(group, output)
        some = np.flatnonzero(cell >= 0)
        weight, eta = CROSSED_WEIGHT * self._by_severity[kind], np.ones(len(cell))
        weight[some] = self._weight(cell[some])
        scatter = (state[name][cell[some]] for name in ("scatter", "scatter_weight", "scatter_ticks"))
        eta[some] = tempering(*scatter)
        tick = self.models.rows["tick"][model]
        log_budget = np.log(np.maximum(self._handed(output, weight), 1e-300))
        cases, ticks = planning.counted(register, group, output), np.maximum(seconds / tick, 1.0)
        return planning.ticks_to_see(kind, register.outputs["tolerance"][output], cases, ticks, log_budget, eta)

    def _look(self, end: float, group: Rows64, output: Rows64) -> None:
        """Let intersections (k,) be compared that the data can see by now, from the next tick on."""
        if not len(group):
            return
        models, model = self.models.rows, self.register.outputs["model"][output]
        age = np.maximum(end - models["first_time"][model], planning.AGE_SECONDS)
        seen = self.ticks_to_see(group, output, age) * models["tick"][model] <= planning.SEEN_SECONDS
        if seen.any():
            self.register.compare(group[seen], output[seen])
            self.extend()

    def _tallies_of(self, models: Rows64) -> Rows64:
        """How many tallies each of ``models`` (k,) has."""
        register, known = self.register, self._n_sized
        if known < len(register.tallies):
            self._n_sized = len(register.tallies)
            of = register.blocks["model"][register.tallies["block"][known : self._n_sized]]
            sizes = np.bincount(of, minlength=len(self.models))
            sizes[: len(self._sizes)] += self._sizes
            self._sizes = sizes
        return self._sizes[models]

    def _weight(self, cells: Rows64) -> Array:
        crossed = self.register.crossed(self.register.cells["group"][cells])
        weight: Array = np.where(crossed, CROSSED_WEIGHT, 1.0) * self._by_severity[self.kind(cells)]
        return weight

    def aside(self) -> float:
        """The part of the weekly budget that watch lists take."""
        return math.fsum(watch_list.budget_share for watch_list in self._watched)

    def _terms(self, end: float, models: Rows64) -> Terms:
        """What cells of ``models`` (k,) may spend in the tick that ended at ``end``."""
        groups = self.register.groups
        handed = np.zeros(len(self.models))
        handed[models] = self._handed_to(models)
        groups_of = np.bincount(groups["attribute"][: len(groups)], minlength=1).astype(np.int32)
        by = (self._by_severity, CROSSED_WEIGHT, _LISTED, groups_of)
        return Terms(end, handed, *by, float(self.smallest_group))

    def _pool(self, sums: TallySums, laid: Laid, terms: Terms) -> Pooled:
        """Let the tick into the pools of all comparisons of the blocks that it touched."""
        register, tallies, carried = self.register, self.register.tallies, self.state["carried"]
        self._room.make(len(tallies), len(register.blocks))
        tables = Tables(tallies, register.cells, register.groups, register.outputs)
        pooled = pool((sums.row, sums.n, sums.s), laid, tables, terms, carried, self._room)
        if len(pooled.apart):
            carried[pooled.apart] += self._allowance(pooled.apart)
        for rows in (sums.row, pooled.rows):
            tallies.stir(rows)
        self.state.stir(pooled.cells)
        return pooled

    def _allowance(self, cells: Rows64) -> Array:
        return self._handed(self.register.cells["output"][cells], self._weight(cells))

    def _handed_to(self, model: NDArray[np.integer]) -> Array:
        """What a cell of weight 1 of each ``model`` (k,) gets in a tick."""
        seconds = self.models.rows["tick"][model]
        return self.budget.allowance(SHARE, self.crowd(), model, seconds, self.aside())

    def _handed(self, output: NDArray[np.integer], weight: Array) -> Array:
        """What cells of ``output`` (k,) rows get in a tick, by their ``weight`` (k,)."""
        outputs = self.register.outputs
        model = outputs["model"][output]
        allowance = self._handed_to(model)
        for i in np.flatnonzero(_LISTED[outputs["kind"][output]]).tolist():
            watch_list = self.watch_list(int(output[i]))
            least = CROSSED_WEIGHT * float(self._by_severity[outputs["kind"][output[i]]])
            part = watch_list.budget_share / max(self._watched.get(watch_list, 0.0), least)
            allowance[i] = self.budget.part(part, float(self.models.rows["tick"][model[i]]))
        return weight * allowance

    def _bet(self, end: float, laid: Laid, pooled: Pooled, out: _Given) -> None:
        """Let the comparisons bet that have ``pooled`` enough; evidence and effect make an alarm.

        That is said of groups of people that are not too few to be spoken of.
        """
        state, models, cells, kind = self.state, self.models.rows, pooled.cell, pooled.kind
        carried = state["carried"][cells]
        out.spent.append((carried, kind, pooled.model))
        batch = self._batch(pooled, carried)
        stepped = step(ASKED, self.register.tallies, state, batch)
        people = [self._people_of(pooled.group, state[name][:, 2][cells]) for name in ("recent", "since")]
        # The present fades slowly, so that a change is seen late in it; since suspicion began it is seen whole.
        least = Least(self.smallest_group, WEIGHT, CLEAR_MARGIN)
        gone = moved(ASKED, state, cells, kind, pooled.tolerance, people, least)
        times = (models[name][pooled.model] for name in ("tick", "hold", "keep_firing"))
        by = (kind, pooled.tolerance, stepped.log_total, batch.log_budget)
        flags = settle(ASKED, state, Bets(end, cells, laid.margins.take(pooled.at, axis=0), *by, *times), gone, WEIGHT)
        evidence = stepped.log_total - batch.log_budget
        alarms = [
            self._alarm(end, int(cells[i]), int(gone.direction[i]), float(evidence[i]))
            for i in np.flatnonzero(flags & HELD).tolist()
        ]
        kept = (flags & KEPT) > 0
        if self.records:
            self._follow(end, batch, stepped, pooled.group, kept)
            alarms = [replace(alarm, docket=self._docket(alarm)) for alarm in alarms]
        see_anew(state, cells[kept], flags[kept], end)
        out.alarms += alarms
        out.cleared += cells[(flags & OVER) > 0].tolist()

    def _batch(self, pooled: Pooled, carried: Array) -> Batch:
        """What the cells bet by that have ``pooled`` enough, and ``carried`` (k,) so much."""
        decay = np.full(len(carried), DECAY) if self.decay is None else self.decay[pooled.cell]
        log_budget = np.log(np.maximum(carried, 1e-300))
        by_cell = (pooled.cell, pooled.kind, pooled.tolerance, pooled.lonely)
        return Batch(pooled.row, pooled.first, *by_cell, decay, log_budget)

    def _follow(self, end: float, batch: Batch, stepped: Stepped, group: Rows64, kept: NDArray[np.bool_]) -> None:
        """Write down what cells under suspicion bet on."""
        evidence = stepped.log_total - batch.log_budget
        seen = (stepped.pooled, stepped.present, stepped.previous)
        what = Step(end, batch.row, batch.at, *seen, stepped.before, stepped.eta, batch.log_budget, evidence)
        self._recorder.follow(batch.cell, batch.kind, group, what, kept)

    def _spend(self, carried: Array, kind: NDArray[np.uint8], model: Rows64) -> None:
        # Sorted, so that the sums depend neither on which row a cell happens to have, nor on the pieces.
        order = np.argsort(carried)
        carried, model, grave = carried[order], model[order], _GRAVE[kind[order]]
        for i in np.flatnonzero(np.bincount(grave)).tolist():
            own = grave == i
            self.budget.spend(SHARE, SEVERITIES[i], carried[own], self.crowd(), model[own])

    def _stratum(self, tally: int) -> int:
        """The key of the stratum of a tally, the same whatever was met first."""
        member = int(self.register.tallies["member"][tally])
        return int(self.register.strata["key"][self.register.members["stratum"][member]])

    def _docket(self, alarm: GroupAlarm) -> bytes:
        """All that a cell that fires was judged by since it came under suspicion."""
        at = np.array([alarm.cell])
        kind, models, model = Kind(int(self.kind(at)[0])), self.models.rows, int(self.model(at)[0])
        group, question = self.register.cells["group"][at], QUESTIONS[kind]
        header = {
            "detector": question.detector,
            "asked": kind.name.lower(),
            "gap": question.gap,
            "directions": list(question.directions),
            "steps": list(question.steps),
            "beyond": list(BEYOND),
            "unit": question.unit,
            "tolerance": float(self.tolerance(at)[0]),
            "two_groups": bool(self._lonely(self.register.groups["attribute"][group])[0]),
            "intersection": bool(self.register.crossed(group)[0]),
            "hold": float(models["hold"][model]),
            "smallest_group": self.smallest_group,
        }
        told = {"direction": alarm.direction, "told": alarm.effect, "evidence": alarm.evidence_log10 * _LN10}
        return self._recorder.alarm(alarm.cell, header, {"end": alarm.fired_time, **told})

    def _lonely(self, attribute: NDArray[np.int32]) -> NDArray[np.bool_]:
        groups = self.register.groups
        lonely: NDArray[np.bool_] = np.bincount(groups["attribute"][: len(groups)])[attribute] <= 2
        return lonely

    def _alarm(self, end: float, cell: int, direction: int, evidence: float) -> GroupAlarm:
        state, at = self.state, np.array([cell])
        since, within = Sides.of(state["since"][at]), state["since_within"][at]
        kind, tolerance = self.kind(at), self.tolerance(at)
        ra, rb = (float(s[0] / max(n[0], 1.0)) for s, n in ((since.sa, since.na), (since.sb, since.nb)))
        model = int(self.model(at)[0])
        onset = onset_of(float(state["onset"][cell]), end, float(self.models.rows["tick"][model]))
        return GroupAlarm(
            cell=cell,
            direction=direction,
            n=(float(since.na[0]), float(since.nb[0])),
            rates=(ra, rb),
            effect=told(int(kind[0]), float(effect(kind, within)[0]), direction),
            tolerance=tolerated(int(kind[0]), float(tolerance[0]), direction),
            people_affected=affected(int(kind[0]), float(tolerance[0]), direction, within[0], since),
            evidence_log10=evidence / _LN10,
            onset_time=min(max(onset, float(self.models.rows["first_time"][model])), end),
            fired_time=end,
            split=self._split(cell, Kind(int(kind[0]))),
        )

    def _split(self, cell: int, kind: Kind) -> Split:
        """The bill of a cell's gap: of what was seen since suspicion began, or of the present where strata differ."""
        register, tallies = self.register, self.register.tallies
        rows = register.tallies_of(*(int(register.cells[name][cell]) for name in ("group", "output")))
        sides = tallies["recent"][rows[tallies["cell"][rows] == cell]]
        whole = gap_split(kind, self.state["since"][[cell]]) if len(sides) == 1 else None
        split = gap_split(kind, sides) if whole is None else whole
        assert split is not None  # a comparison has bet, so both sides have a present
        return split


def _pieces(
    sums: TallySums, model: NDArray[np.int32], models: Rows64, sizes: Rows64
) -> Iterator[tuple[Rows64, TallySums]]:
    """Some whole models and their sums, in the order of their rows.

    ``model`` is that of each sum, ``sizes`` (k,) how many tallies each of the ``models`` (k,) has.
    """
    of_models = (np.cumsum(sizes) - sizes) // _PIECE_TALLIES
    of_models = of_models.astype(np.min_scalar_type(int(of_models[-1])))  # small numbers are sorted in one go
    number = np.zeros(models[-1] + 1, of_models.dtype)
    number[models] = of_models
    of_sums = number[model]
    order, behind = np.argsort(of_sums, kind="stable"), np.cumsum(np.bincount(of_sums))
    edges = np.concatenate([[0], np.flatnonzero(np.diff(of_models)) + 1, [len(models)]])
    ends = behind[of_models[edges[:-1]]].tolist()
    for (first, last), (begin, end) in zip(pairwise(edges.tolist()), pairwise([0, *ends]), strict=True):
        own = order[begin:end]
        yield models[first:last], TallySums(sums.row[own], sums.n[own], sums.s[own])


_GONE = WatchList(name="gone", tags=("gone",), budget_share=1e-9)
"""Stands for a watch list that a policy no longer has."""
