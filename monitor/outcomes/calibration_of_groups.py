"""Does a score still mean what it meant of one group? Outcomes given scores, against the group's own reliability curve.

A shift of the whole model is the model's to tell: what a group bets on while that accounts for it is forgotten.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from monitor.budget import Budget
from monitor.catalog.models import SHARES, Models
from monitor.catalog.rows import Field, aside
from monitor.groups.group_rows import GroupRows
from monitor.groups.margins import SURELY_MORE, accounted_for
from monitor.groups.sorting import Memberships
from monitor.groups.visible import group_name
from monitor.groups.watch import Groups
from monitor.incidents.firing import CellKey
from monitor.kernels.add import distinct
from monitor.kernels.judge import FIRING
from monitor.outcomes.alarm import CaseAlarm
from monitor.outcomes.calibration import CELL, FIELDS, RECENT_CASES, SHARE, Calibration, Scored, Stepped
from monitor.outcomes.matured import Matured, cohorts
from monitor.outcomes.outcomes import Moment, Outcomes

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]

_FIELDS = {"group": Field(np.int32, (), -1, still=True), "model": Field(np.int32, (), -1, still=True), **FIELDS}


class CalibrationOfGroups(Calibration):
    """Reliability curves and cells of all groups but intersections, by row in the order in which they were met.

    The cells of a model's groups have together what one cell of the model has: so they count as one.
    """

    docket = f"{CELL}.of_groups"

    def __init__(
        self, models: Models, budget: Budget, groups: Groups, outcomes: Outcomes, n_cells: dict[str, float]
    ) -> None:
        """``n_cells`` counts the fleet's cells by share, those of groups too."""
        super().__init__(models, budget, outcomes.recorder)
        self.rows: GroupRows = GroupRows(aside(_FIELDS))
        self._groups, self._outcomes, self._n_cells = groups, outcomes, n_cells
        self._of_model: dict[int, int] = {}
        """Cells of each model's groups."""
        self._cases: list[tuple[Indices, Floats, Floats, Floats]] = []
        """Row, end, score and ``y`` of the cases of the moment that matures; empty between moments."""
        outcomes.followers.append(self.judge_moment)

    def model_of(self, row: Indices | NDArray[np.int32]) -> NDArray[np.int32]:
        """The model of each row."""
        found: NDArray[np.int32] = self.rows["model"][row]
        return found

    def key(self, row: int) -> CellKey:
        """A cell as the incident book knows it."""
        return int(self.rows["model"][row]), f"{CELL}.{int(self.rows['group'][row])}"

    def allowance(self, at: Indices, n_fleet: float, seconds: Floats) -> Floats:
        """What one cell of a model may cost, in equal parts to the cells of its groups."""
        n = np.array([self._of_model[model] for model in self.model_of(at).tolist()], np.float64)
        return super().allowance(at, n_fleet, seconds) / n

    def weight(self, row: int) -> float:
        """What part a cell has of what one cell of its model may spend."""
        return 1.0 / self._of_model[int(self.rows["model"][row])]

    def people(self, at: Indices) -> Floats:
        """How many people are behind each of the cells ``at`` since suspicion began."""
        few: Floats = self._groups.people.few(self.rows["group"][at], self.rows["pending"][at, :, 0].sum(axis=1))
        return few

    def asks(self) -> dict[str, float]:
        """Fewer people than this are not told of."""
        return {"smallest_group": self._groups.privacy.smallest_group}

    def take(self, cases: Matured, of: Memberships) -> None:
        """Let ``cases`` of one moment into the sums of their groups' cohorts; ``of`` are the groups."""
        register = self._groups.register
        group = register.members["group"][of.member].astype(np.int64)
        scored = ~np.isnan(cases.score) & ~np.isnan(cases.y)
        apart = ~register.crossed(group) & (register.groups["other"][group] == 0)
        own = np.flatnonzero(scored[of.event] & apart)
        if not len(own):
            return
        row, event = self.rows.enter(group[own]), of.event[own]
        self.rows["model"][row] = register.attributes["model"][register.groups["attribute"][group[own]]]
        self._cases.append((row, cases.end[event], cases.score[event], cases.y[event]))

    def judge_moment(self, moment: Moment) -> None:
        """Judge the cohorts of a moment, in order, and add what fires and what clears to it."""
        if not self._cases:
            return
        row, ends, score, y = (np.concatenate(columns) for columns in zip(*self._cases, strict=True))
        self._cases = []
        places = np.full(len(self.rows), -1, np.int64)
        for end in cohorts(ends):
            chosen = ends == end
            rows = distinct(row[chosen])
            places[rows] = np.arange(len(rows))
            sums = Scored.of(rows, end, self._models.rows["tick"][self.model_of(rows)])
            self.add(row, score, y, np.where(chosen, places[row], -1), sums)
            sums = sums.some(~self._models.planned(self.model_of(rows).astype(np.int64), end))
            if not len(sums.row):
                continue
            alarms, cleared, _ = self.judge(sums, self._n_cells[SHARE], moment.due)
            moment.alarms += alarms
            moment.cleared += cleared
            self._learn(sums)

    def state(self, group: int) -> tuple[str, float | None]:
        """How a group's cell stands, and by how many logits its present lies above its curve."""
        row = int(self.rows.of(np.array([group]))[0])
        if row < 0 or not self.rows["judged"][row]:
            return "learning", None
        shift = self.shift(row)
        state = "firing" if self.rows["firing"][row] == FIRING else "watching"
        return state, shift if math.isfinite(shift) else None

    def restart_of(self, model: int) -> list[CellKey]:
        """Let the cells of a model's groups begin without evidence, since their null is another; those that fired."""
        rows = np.flatnonzero(self.rows["model"][: len(self.rows)] == model).tolist()
        return [self.key(row) for row in rows if self.restart(row)]

    def restored(self) -> None:
        """Put in order what follows from the table, after it was loaded; counts the cells again."""
        n = len(self.rows)
        self.rows.restored()
        self._of_model = {}
        self._count(np.flatnonzero(self.rows["judged"][:n]))

    def _learn(self, sums: Scored) -> None:
        """Nothing is learned of a group while it is doubted, or its model is."""
        doubted, firing = self.doubt(sums.row)
        model = self.model_of(sums.row).astype(np.int64)
        age = sums.end - self._outcomes.performance.rows["first_end"][model]
        began = self.learn(sums, age, doubted | self._outcomes.doubted(model), firing)
        self._count(sums.row[began > 0])

    def _count(self, rows: Indices) -> None:
        """Count cells that began: the first of a model as one cell of it."""
        for model in self.model_of(rows).tolist():
            known = self._of_model.get(model, 0)
            self._of_model[model] = known + 1
            if not known:
                self._models.rows["n_cells"][model, SHARES.index(SHARE)] += 1
                self._n_cells[SHARE] += 1

    def _bet(self, sums: Scored, place: Indices, log_budget: Floats, end: float) -> Stepped:
        """As of models; what the model's own shift accounts for is forgotten, and few people are not spoken of."""
        step = super()._bet(sums, place, log_budget, end)
        rows, at = self.rows, sums.row[place]
        held = self._of_model_alone(at, sums.n[place]) & (rows["firing"][at] != FIRING)
        for name, nothing in (("log_r", -np.inf), ("evidence", 0.0), ("suspicion", 0.0), ("onset", end)):
            rows[name][at[held]] = nothing
        many = self.people(at) >= self._groups.privacy.smallest_group
        return replace(step, alarm=step.alarm & many & ~held, sustained=step.sustained & ~held)

    def _of_model_alone(self, at: Indices, n: Floats) -> Flags:
        """Which of the cells ``at``, whose cohorts have ``n`` cases, moved with their model, which is itself suspected.

        They say more where they surely moved further, by as much again as is tolerated.
        """
        model = self.model_of(at).astype(np.int64)
        own, own_variance, _ = self.rows["recent"][at].T
        whole, whole_variance, _ = self._outcomes.calibration.rows["recent"][model].T
        own_variance, whole_variance = (np.maximum(v, 1e-9) for v in (own_variance, whole_variance))
        # What fades evenly weighs more than its sum says, nearly twice as much where cohorts are small.
        error = 1.0 / np.sqrt(own_variance * (1.0 + np.exp(-n / RECENT_CASES)))
        shift, tolerance = own / own_variance, self.tolerance(at)
        of_model = np.sign(shift) * whole / whole_variance - tolerance
        surely = np.abs(shift) - tolerance - SURELY_MORE * error
        suspected = self._outcomes.calibration.doubt(model)[0]
        return suspected & accounted_for(np.arange(len(at)), surely, of_model, tolerance)

    def _alarm(self, row: int, evidence: float, end: float, due: float) -> CaseAlarm:
        register, group = self._groups.register, int(self.rows["group"][row])
        attribute = register.attribute_names[int(register.groups["attribute"][group])]
        name = group_name(self._groups, group)
        alarm = super()._alarm(row, evidence, end, due)
        return replace(alarm, attribute=attribute, group=name, words=f"{attribute} {name}: {alarm.words}")

    def _counted(self, row: int) -> str:
        """Counts, where neither who has the outcome nor who has not are too few to be spoken of."""
        n, y, _ = self.rows["pending"][row].sum(axis=0)
        few = min(y, n - y) < self._groups.privacy.smallest_group
        return f"{n:.0f} matured cases" if few else super()._counted(row)
