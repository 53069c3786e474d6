"""What do matured cases say of groups? Decisions by merit, losses, and who has an outcome when, by cohort."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from monitor.budget import Budget
from monitor.catalog.models import Models
from monitor.catalog.rows import Field, Rows
from monitor.groups.bill import Price
from monitor.groups.comparing import Compared, GroupAlarm
from monitor.groups.counting import Cases
from monitor.groups.questions import QUESTIONS, Kind
from monitor.groups.sums import OpenTicks, exact
from monitor.groups.watch import Groups
from monitor.kernels.add import count, distinct
from monitor.outcomes.calibration_of_groups import CalibrationOfGroups
from monitor.outcomes.matured import Matured
from monitor.outcomes.outcomes import Outcomes
from monitor.outcomes.scores_by_group import ScoresByGroup
from monitor.outcomes.selective import NOT_IDENTIFIED, selective

DELAY_BINS = 128
"""Bins of the delay, four to each power of 2 from a second on."""
DELAYS_MIN = 200
"""Delays after which it is fixed what is late."""
_NO_OUTCOME = "no case with an outcome has matured"
_LATE = (0.05, 0.95)
"""Within this the share of late outcomes must lie, else all come alike and none is late."""

Floats = NDArray[np.float64]

FIELDS = {
    "gaps": Field(np.uint8, still=True),
    "late": Field(np.float64, (), np.nan, still=True),
    "delays": Field(np.uint32, (DELAY_BINS,), still=True),
}
"""By model row: whether some cases have outcomes and some have not, the delay (seconds) beyond which an outcome is
late, and by bin the delays that this is taken from."""


@dataclass(frozen=True, slots=True)
class GroupMoment:
    """What the cohorts that were ``due`` at one moment gave."""

    due: float
    compared: Compared


class ByGroup:
    """Counts matured cases among the groups of their people, and has them compared cohort by cohort."""

    def __init__(
        self, models: Models, groups: Groups, outcomes: Outcomes, budget: Budget, n_cells: dict[str, float]
    ) -> None:
        """``n_cells`` counts the fleet's cells by share."""
        self.rows = Rows(FIELDS)
        self.scores = ScoresByGroup(groups)
        self.calibration = CalibrationOfGroups(models, budget, groups, outcomes, n_cells)
        self._models, self._groups, self._outcomes = models, groups, outcomes
        self._sums: dict[float, OpenTicks] = {}
        """Cohorts that matured and are not compared yet, by the moment; empty between closings."""
        self._fitting: int | None = None
        """With how many slots the sums of a moment begin: as many as those of the last one that was compared."""
        self._met: list[NDArray[np.int64]] = []
        """Whose cases they are."""
        outcomes.takers.append(self.take)

    def take(self, cases: Matured) -> None:
        """Count cases that matured at one moment."""
        self._extend()
        if not len(self._groups.sorter.roles):
            return
        self._met.append(distinct(cases.model))
        cases = cases.chosen(self._telling(cases))
        keys = self._groups.recaller.keys(cases.model)
        cases = cases.chosen(self._groups.people.first(keys, cases.entity, cases.time, cases.due))
        if not len(cases):
            return
        of = self._groups.recaller.recall(cases.model, cases.names, cases.texts, cases.kinds)
        if not len(of.event):
            return
        sums = self._sums.setdefault(cases.due, OpenTicks(self._fitting))
        grouped = of.first[1:] > of.first[:-1]
        for kind, chosen, s in self._asked(cases):
            event = np.flatnonzero(chosen & grouped)
            if len(event):
                self._groups.counter.add(kind, Cases(event, exact(s[event])), cases.end, of, sums)
        self.scores.count(cases, of)
        self.calibration.take(cases, of)
        self._take_apart(cases, sums)
        self._learn(cases)

    def judge(self, planned: Callable[[NDArray[np.int64], float], NDArray[np.bool_]]) -> list[GroupMoment]:
        """Compare the cohorts that matured since, in order; what fires does so when its cohort matured.

        ``planned`` says which models (k,) do as planned in the tick that ended then: they are not judged by it.
        """
        moments = []
        for due, sums in sorted(self._sums.items()):
            for end in sums.ends():
                compared = self._groups.compare(end, sums.take(end), planned, due=due)
                alarms = [replace(alarm, fired_time=due) for alarm in compared.alarms]
                moments.append(GroupMoment(due, Compared(alarms, compared.cleared, compared.n_cells)))
            self._fitting = sums.fitting
        if self._met:
            self._settle(np.unique(np.concatenate(self._met)))
            self._sums, self._met = {}, []
        return moments

    def restored(self) -> None:
        """Put in order what follows from the tables, after they were loaded, and the cells of models counted."""
        self.scores.restored()
        self.calibration.restored()

    def unidentified(self, row: int) -> str:
        """Why decisions on the people of a model cannot be told by merit, whatever its outcomes are; else nothing."""
        if row >= len(self._outcomes.totals.rows):
            return ""
        hidden = selective(self._outcomes.asked, self._outcomes.totals, np.array([row], np.int32))[0]
        return NOT_IDENTIFIED if hidden else ""

    def unseen(self, row: int) -> str:
        """Why they cannot be told so now; empty where they can, or where the model decides nothing on people."""
        why, policy = self.unidentified(row), self._models.items[row].policy
        decides = bool(policy.favourable) or policy.decision_threshold is not None
        if why or not decides or row >= len(self._outcomes.totals.rows):
            return why
        return "" if self._outcomes.totals.rows["labelled"][row] else _NO_OUTCOME

    def price_of(self, alarm: GroupAlarm) -> Price:
        """What one of the people hit cost, in the model's currency, where somebody said what an error costs."""
        output = int(self._groups.register.cells["output"][alarm.cell])
        kind, row = (int(self._groups.register.outputs[name][output]) for name in ("kind", "model"))
        return self.price(row, Kind(kind))

    def price(self, row: int, kind: Kind) -> Price:
        """What one person treated otherwise costs a model, as an answer to ``kind``."""
        policy, totals = self._models.items[row].policy, self._outcomes.totals
        costs = policy.costs
        if not costs.false_positive + costs.false_negative > 0.0:
            return Price()
        if kind == Kind.OPPORTUNITY:
            expected = not policy.positive or not set(policy.positive).isdisjoint(policy.favourable_outcomes)
            return Price(costs.false_negative if expected else costs.false_positive, costs.currency)
        wrong, paid = totals.sum("wrong", row)[1], totals.sum("cost", row)[1]
        return Price(paid / wrong, costs.currency) if kind == Kind.LOSS and wrong else Price()

    def _telling(self, cases: Matured) -> NDArray[np.bool_]:
        """Which cases can say anything of groups (n,), whatever group they are of: most have no outcome as a rule."""
        telling: NDArray[np.bool_] = cases.labelled | (self.rows["gaps"][cases.model] > 0)
        if cases.apart.any():  # row by row it takes a hundred times as long
            telling |= (cases.favourable >= 0) & cases.apart.any(axis=1)
        return telling

    def _asked(self, cases: Matured) -> Iterator[tuple[Kind, NDArray[np.bool_], Floats]]:
        """Each question: the cases that answer it (n,), and how (n,)."""
        model, favoured = cases.model, cases.favourable == 1
        hidden, answer = self._hidden(model), favoured.astype(np.float64)
        decided = ~hidden & (cases.favourable >= 0)
        yield Kind.OPPORTUNITY, decided & (cases.merits == 1), answer
        yield Kind.FALSE_FAVOURABLE, decided & (cases.merits == 0), answer
        loss = self._loss(cases)
        yield Kind.LOSS, ~hidden & ~np.isnan(loss), loss
        if hidden.any():
            residual = (1.0 + cases.y - cases.score) / QUESTIONS[Kind.CALIBRATION].unit
            yield Kind.CALIBRATION, hidden & favoured & ~np.isnan(residual), residual
            yield Kind.FAVOURED, hidden & favoured & (cases.merits >= 0), (cases.merits == 1).astype(np.float64)
        # Who was refused has no outcome where only the favoured have: that is no gap in what arrives.
        wanted = (self.rows["gaps"][model] > 0) & (~hidden | favoured)
        yield Kind.COVERAGE, wanted, cases.labelled.astype(np.float64)
        late = self.rows["late"][model]
        yield Kind.DELAY, ~np.isnan(cases.delay) & ~np.isnan(late), (cases.delay > late).astype(np.float64)

    def _hidden(self, model: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Of which cases (n,) the model's people are not told apart by merit, for only the favoured have outcomes."""
        met = distinct(model)
        hidden = np.zeros(len(self._models), bool)
        hidden[met] = selective(self._outcomes.asked, self._outcomes.totals, met)
        return hidden[model]

    def _take_apart(self, cases: Matured, sums: OpenTicks) -> None:
        """Count decisions for groups that were not known when they were made: the attribute came in another record."""
        decided = cases.favourable >= 0
        asked = cases.apart & decided[:, None]
        if asked.any():
            of = self._groups.recaller.recall(cases.model, cases.names, cases.texts, cases.kinds, asked)
            event = np.flatnonzero(decided & (of.first[1:] > of.first[:-1]))
            favoured = (cases.favourable[event] == 1).astype(np.float64)
            self._groups.counter.add(Kind.DECISION, Cases(event, favoured), cases.end, of, sums)

    def _loss(self, cases: Matured) -> Floats:
        """What a list falls short of; a wrong class or decision; a regression's large error; of a score Brier's."""
        large = self._outcomes.performance.rows["large"][cases.model]
        error = np.where(np.isnan(large) | np.isnan(cases.error), np.nan, cases.error > large)
        loss = np.where(np.isnan(cases.wrong), error, cases.wrong)
        loss = np.where(np.isnan(cases.list_loss), loss, cases.list_loss)
        return np.where(np.isnan(loss), (cases.y - cases.score) ** 2, loss)

    def _learn(self, cases: Matured) -> None:
        """Let the delays of models into their bins of which it is not known yet what is late."""
        some = np.flatnonzero(~np.isnan(cases.delay) & np.isnan(self.rows["late"][cases.model]))
        count(self.rows["delays"], cases.model[some].astype(np.int64) * DELAY_BINS + _delay_bin(cases.delay[some]))
        self.rows.touch(cases.model[some])

    def _settle(self, models: NDArray[np.int64]) -> None:
        """Fix, behind a moment, what the cases of the next ones are asked: so no case decides whether it is asked."""
        rows, totals = self.rows, self._outcomes.totals.rows
        models = models[totals["labelled"][models] > 0]
        if not len(models):
            return
        labelled, unmeant = totals["labelled"][models], self._outcomes.asked.rows["missing"][models] == 0
        gaps = models[unmeant & (labelled < totals["cases"][models]) & (rows["gaps"][models] == 0)]
        rows["gaps"][gaps] = 1
        rows.touch(gaps)
        unknown = models[np.isnan(rows["late"][models])]
        counts = rows["delays"][unknown].astype(np.float64)
        total = counts.sum(axis=1)
        beyond = 1.0 - counts.cumsum(axis=1) / np.maximum(total, 1.0)[:, None]
        middle = np.abs(beyond - 0.5).argmin(axis=1)
        share = beyond[np.arange(len(unknown)), middle]
        known = (total >= DELAYS_MIN) & (share > _LATE[0]) & (share < _LATE[1])
        rows["late"][unknown[known]] = 2.0 ** ((middle[known] + 1) / 4.0)
        rows.touch(unknown[known])

    def _extend(self) -> None:
        if len(self._models) > len(self.rows):
            self.rows.add(len(self._models) - len(self.rows))


def _delay_bin(delay: Floats) -> NDArray[np.int64]:
    """The bin whose upper edge, ``2 ** ((bin + 1) / 4)`` seconds, is the first that ``delay`` does not exceed."""
    place = np.ceil(4.0 * np.log2(np.maximum(delay, 1.0))) - 1.0
    bins: NDArray[np.int64] = np.clip(place, 0, DELAY_BINS - 1).astype(np.int64)
    return bins
