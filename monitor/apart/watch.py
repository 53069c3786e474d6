"""The door: what was counted of groups in a day is judged against their past, within the budget, and learned from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monitor.apart.cells import DAY_SECONDS, Batch, Cells, Growth
from monitor.apart.counting import Counting
from monitor.apart.shelf import CELLS, Shelf, ShelfStore, ShelfWrites
from monitor.budget import Crowd
from monitor.catalog.models import SHARES, Models
from monitor.catalog.rows import Field, Rows
from monitor.catalog.series import JUDGED
from monitor.events.columns import Space
from monitor.groups.visible import visible_beside
from monitor.groups.watch import Groups
from monitor.incidents.firing import CellKey
from monitor.judging import Judge
from monitor.kernels.add import distinct
from monitor.kernels.judge import FIRING, HELD, OVER, decide
from monitor.kernels.lean import SLOTS, STRATA
from monitor.kernels.tally import KIND_NUMBER
from monitor.severity import severity

DETECTOR, ALERTNAME, SHARE, EFFECT = "group_drift", "ModelFeatureDrift", "drift", "gap_shift"
SEVERITY = severity(ALERTNAME, ())
TOLERANCE = "drift"
"""What is tolerated of a feature as a whole is tolerated of how a group differs in it."""
BATCH_MIN = 10.0
"""Events of the group, and of the rest, that a day's batch needs."""
_MINUTES = 1440
_LN10 = math.log(10.0)

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Rows64 = NDArray[np.int64]

MODELS = {
    "due": Field(np.float64, (), np.nan),
    "planned": Field(bool),
    "judged": Field(np.int32),
}
"""By model row: when its day is over, NaN while nothing of groups was counted; whether a part of it went as planned;
how many of its cells are judged."""


@dataclass(frozen=True, slots=True)
class ApartAlarm:
    """A cell that begins to fire. ``past`` and ``now`` are counts (2, STRATA) of the group and the rest.

    ``moved`` is by how much the difference at ``cut`` did, with its sign.
    """

    model: int
    group: int
    series: int
    slot: int
    cut: int
    past: Array
    now: Array
    moved: float
    tolerance: float
    evidence_log10: float
    onset_time: float
    fired_time: float

    @property
    def key(self) -> CellKey:
        """The cell as the incident book knows it."""
        return _key(self.group, self.slot)


@dataclass(slots=True)
class Parted:
    """What the days that were over gave: alarms, cells that stopped, and how many cells bet."""

    alarms: list[ApartAlarm] = field(default_factory=list)
    cleared: list[CellKey] = field(default_factory=list)
    n_cells: int = 0


class Apart:
    """Counts, cells and the days of models. A day ends at a minute of the model's own: not all are judged at once."""

    def __init__(self, judge: Judge, groups: Groups) -> None:
        self.groups, self.models, self.series = groups, judge.models, judge.series
        self._shelf = Shelf()
        self.counting = Counting(groups.register, self._shelf)
        self.days = Rows(MODELS)
        self._judge, self._budget = judge, judge.budget
        self._weight = judge.budget.weight(SEVERITY)

    def tables(self) -> Mapping[str, Rows]:
        """What must be stored, by name."""
        return {"apart.days": self.days, "apart.groups": self.counting.rows}

    def attach(self, store: ShelfStore) -> None:
        """Read cells on from ``store``, which holds what :meth:`save` wrote."""
        self._shelf.attach(store)

    def save(self, writes: ShelfWrites) -> None:
        """Write what changed of cells since; the tables are the caller's."""
        self._shelf.save(writes)

    def cells(self, model: int) -> Cells:
        """The cells of a model, read for this; :meth:`keep` puts back what was changed."""
        return Cells(self._shelf.read(CELLS, model))

    def keep(self, model: int, cells: Cells) -> None:
        """Let these be the model's cells. All of a model count as one, if any is judged."""
        self._shelf.write(CELLS, model, cells.blob)
        had, has = self.days["judged"][model] > 0, int(cells.rows["judged"].sum())
        self.days["judged"][model] = has
        self.days.stir(np.array([model]))
        self._count(model, int(has > 0) - int(had))

    def add(self, group: Rows64, event: Rows64, places: NDArray[np.uint64]) -> None:
        """Count events, as :meth:`Counting.add`; a model's first day begins with them."""
        self.counting.add(group, event, places)
        if len(self.models) > len(self.days):
            self.days.add(len(self.models) - len(self.days))
        register = self.groups.register
        model = register.attributes["model"][register.groups["attribute"][distinct(group)]]
        new = model[np.isnan(self.days["due"][model])]
        self.days["due"][new] = -np.inf
        self.days.stir(new)

    def allowance(self, model: int, n: int) -> float:
        """Expected false alarms that a day of each of the ``n`` cells of a model that are judged may cost."""
        day = np.full(1, DAY_SECONDS)
        allowance = self._budget.allowance(SHARE, self._crowd(), np.array([model]), day)
        return float(allowance[0]) * (self._weight / n)

    def told(self, cells: NDArray[np.void]) -> Flags:
        """Of which of ``cells`` (k,) something may be said: there are enough people, and nobody hidden follows."""
        register, least = self.groups.register, self.groups.privacy.smallest_group
        told: Flags = (cells["recent"].sum(axis=-1) >= least).all(axis=-1)
        for attribute in np.unique(register.groups["attribute"][cells["group"]]).tolist():
            own = register.groups_of(attribute)
            seen = visible_beside(self.groups, attribute, own, self.counting.events)
            hidden = [group for group, may in zip(own, seen, strict=True) if not may]
            told &= ~np.isin(cells["group"], hidden)
        return told

    def close(self, models: Rows64, planned: Flags, end: float) -> Parted:
        """At the end of a tick of ``models`` (k,): judge those whose day is over, none that was ``planned`` in part."""
        out = Parted()
        known = models < len(self.days)
        models, planned = models[known], planned[known]
        due = self.days["due"][models]
        aside = models[planned & ~np.isnan(due)]
        self.days["planned"][aside] = True
        self.days.stir(aside)
        for model in models[due <= end].tolist():
            if np.isfinite(self.days["due"][model]):
                self._judge_day(model, end, out)
            self._begin_day(model, end)
        return out

    def end_series(self, series: Rows64) -> list[CellKey]:
        """Let go of what is known of ``series`` (k,); their cells, which fire no more."""
        ended: list[CellKey] = []
        models = np.unique(self.series.rows["model"][series])
        for model in models[models < len(self.days)].tolist():
            cells = self.cells(model)
            at = np.flatnonzero(np.isin(cells.rows["series"], series))
            if len(at):
                ended += _keys(cells, at)
                cells.forget(at)
                self.keep(model, cells)
        return ended

    def restart(self, model: int) -> list[CellKey]:
        """Let a model's cells begin without evidence, since their null is another; those that fired."""
        cells = self.cells(model)
        fired = _keys(cells, np.flatnonzero(cells.rows["firing"] == FIRING))
        if len(cells.rows):
            cells.restart(np.arange(len(cells.rows)))
            cells.rows["tolerance"] = self._tolerance(model, cells.rows["series"])
            self.keep(model, cells)
        return fired

    def restored(self) -> None:
        """Put in order what follows from the tables, after they were loaded and all other cells were counted."""
        self.counting.restored()
        for model in np.flatnonzero(self.days["judged"][: len(self.days)]).tolist():
            self._count(model, 1)

    def _begin_day(self, model: int, end: float) -> None:
        self.days["due"][model] = day_over(self.models.items[model].name_hash, end)
        self.days["planned"][model] = False
        self.days.stir(np.array([model]))

    def _judge_day(self, model: int, end: float, out: Parted) -> None:
        cells = self.cells(model)
        batch = self._take(model, cells, end)
        if self.days["planned"][model] or not len(batch.at):
            return
        judged = cells.rows["judged"][batch.at]
        if judged.any():
            self._bet(model, cells, batch.some(judged), out)
        cells.take_in(batch.some(~judged))
        cells.learn(batch, growth(self.models, model))
        cells.rows["tolerance"][batch.at] = self._tolerance(model, cells.rows["series"][batch.at])
        self.keep(model, cells)

    def _bet(self, model: int, cells: Cells, batch: Batch, out: Parted) -> None:
        at, rows, end = batch.at, cells.rows, batch.end
        of, crowd = np.full(len(at), model), self._crowd()
        allowance = np.full(len(at), self.allowance(model, int(rows["judged"].sum())))
        self._budget.spend(SHARE, SEVERITY, allowance, crowd, of)
        seen = cells.bet(batch, np.log(np.maximum(allowance, 1e-300)))
        hold, keep_firing = (self.models.rows[name][of] for name in ("hold", "keep_firing"))
        flags = decide(rows, at, end, hold, keep_firing, seen.alarm & self.told(rows[at]), seen.sustained)
        out.n_cells += len(at)
        held = np.flatnonzero(flags & HELD).tolist()
        out.alarms += [_alarm(model, rows[at[i]], float(seen.evidence[i]), end) for i in held]
        out.cleared += _keys(cells, at[(flags & OVER) > 0])

    def _take(self, model: int, cells: Cells, end: float) -> Batch:
        """The day of a model's groups, beside the rest of their attribute each."""
        series = self._asked(model)
        slots = np.flatnonzero(series >= 0)
        whose, counts = [np.zeros((0, 2), np.int64)], [np.zeros((0, 2, STRATA))]
        for attribute in self.groups.register.margins(model):
            groups, own = self.counting.take(attribute)
            sides = np.stack([own, own.sum(axis=0) - own], axis=2)
            enough = sides.sum(axis=-1).min(axis=-1) >= BATCH_MIN
            enough[self.groups.register.groups["other"][groups] > 0] = False
            i, j = np.nonzero(enough[:, slots])
            whose.append(np.stack([groups[i], slots[j]], axis=1))
            counts.append(sides[i, slots[j]])
        group, slot = np.concatenate(whose).T
        number = self.series.rows["kind"][series[slot]] == KIND_NUMBER
        return Batch(cells.places(group, slot, series[slot], number), np.concatenate(counts), end)

    def _asked(self, model: int) -> Rows64:
        """By slot the feature of a model that is judged there, -1 for none; what says who people are is not."""
        rows, register = self.series.rows, self.groups.register
        protected = {register.attribute_names[each] for each in register.of(model).attributes}
        asked = np.full(SLOTS, -1, np.int64)
        for row in self.models.items[model].series:
            judged = rows["judging"][row] == JUDGED and rows["n_cuts"][row] > 0 and rows["space"][row] == Space.FEATURE
            if judged and rows["local"][row] < SLOTS and self.series.names[row] not in protected:
                asked[rows["local"][row]] = row
        return asked

    def _tolerance(self, model: int, series: Rows64) -> Array:
        """What is tolerated of cells: as much as of their features ``series`` (k,)."""
        told = self.models.rows[f"tolerance_{TOLERANCE}"][model]
        own: Array = np.maximum(told, self._judge.states[TOLERANCE]["tolerance"][series])
        return own

    def _crowd(self) -> Crowd:
        return Crowd.of(SHARE, self._judge.n_cells[SHARE], self.models)

    def _count(self, model: int, change: int) -> None:
        self.models.rows["n_cells"][model, SHARES.index(SHARE)] += change * self._weight
        self._judge.n_cells[SHARE] += change * self._weight


def day_over(name_hash: int, time: float) -> float:
    """When the day is over that runs at ``time``, of the model whose name has that hash."""
    offset = 60.0 * (name_hash % _MINUTES)
    return (math.floor((time - offset) / DAY_SECONDS) + 1.0) * DAY_SECONDS + offset


def growth(models: Models, model: int) -> Growth:
    """How the past of a model's cells comes to be, by its policy."""
    rows = models.rows
    return Growth(*(float(rows[name][model]) for name in ("learn_events", "learn_for", "learn_events_min")))


def standing(cells: Cells, group: int, slot: int) -> tuple[str, float | None]:
    """How the cell of a group's feature stands, and by how much its difference has moved; ``None``: not known."""
    place = cells.find(group, slot)
    if place < 0 or not cells.rows["judged"][place]:
        return "learning", None
    cell = cells.rows[place]
    return "firing" if cell["firing"] == FIRING else "watching", abs(float(cell["effect"]))


def _keys(cells: Cells, at: Rows64) -> list[CellKey]:
    """Cells as the incident book knows them."""
    return [_key(int(cell["group"]), int(cell["slot"])) for cell in cells.rows[at]]


def _key(group: int, slot: int) -> CellKey:
    return group, f"{DETECTOR}.{slot}"


def _alarm(model: int, cell: np.void, evidence: float, end: float) -> ApartAlarm:
    return ApartAlarm(
        model=model,
        group=int(cell["group"]),
        series=int(cell["series"]),
        slot=int(cell["slot"]),
        cut=int(cell["cut"]),
        past=cell["reference"].astype(np.float64),
        now=cell["recent"].astype(np.float64),
        moved=float(cell["effect"]),
        tolerance=float(cell["tolerance"]),
        evidence_log10=evidence / _LN10,
        onset_time=float(cell["onset"]),
        fired_time=end,
    )
