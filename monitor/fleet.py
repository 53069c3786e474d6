"""All state of the fleet, and the two things that happen to it: events are absorbed, and ticks close."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.apart.telling import tell_apart
from monitor.apart.watch import TOLERANCE, Apart, Parted
from monitor.budget import Budget
from monitor.catalog.discovery import Discovery
from monitor.catalog.ignoring import Ignoring
from monitor.catalog.models import Models
from monitor.catalog.placing import place
from monitor.catalog.policies import Policy
from monitor.catalog.profile import Profile
from monitor.catalog.series import RETIRED, Series
from monitor.catalog.splits import Splits
from monitor.conduct.watch import Conduct, Ticks
from monitor.dockets import Dockets
from monitor.events.columns import EventBatch, Part
from monitor.exhibits import Exhibits
from monitor.gathering import Gathering
from monitor.groups.comparing import Compared
from monitor.groups.watch import GroupRules, Groups
from monitor.incidents.attention import Attention
from monitor.incidents.book import Book
from monitor.incidents.candidates import Candidates
from monitor.incidents.firing import Firing
from monitor.incidents.group_telling import cell_key, tell_group
from monitor.incidents.incident import Incident
from monitor.incidents.order import Order
from monitor.incidents.suspects import Suspects
from monitor.incidents.telling import fact_of, tell, tell_conduct, tell_traffic
from monitor.judging import CellAlarm, Judge
from monitor.kernels.hashing import hash64
from monitor.kernels.tally import ModelTotals, count_events, order_of, tally
from monitor.leaning.features_by_group import FeaturesByGroup
from monitor.leaning.setting import Settings
from monitor.leaning.sums import Leaning
from monitor.learning import Learning
from monitor.lives import Lives
from monitor.outcomes.alarm import CaseAlarm, told
from monitor.outcomes.by_group import ByGroup, GroupMoment
from monitor.outcomes.outcomes import Moment, Outcomes
from monitor.tally.blocks import (
    EVENTS_IN,
    WITH_FEATURES,
    WITH_METRICS,
    WITH_OUTCOME,
    WITH_PREDICTION,
    WITH_SEGMENT,
    Blocks,
    OpenBlocks,
)
from monitor.tally.closed import ClosedTicks, TickSums
from monitor.tally.duplicates import Duplicates
from monitor.traffic.alarm import TrafficAlarm, Watched
from monitor.traffic.watch import Traffic

_ASKED_PARTS = np.zeros(5, np.uint16)
"""By the columns of a block's first row, short of the first, which counts every event."""
_ASKED_PARTS[[column - 1 for column in (WITH_FEATURES, WITH_PREDICTION, WITH_METRICS, WITH_OUTCOME, WITH_SEGMENT)]] = (
    *(Part.FEATURES, Part.PREDICTION),
    *(Part.METRICS, Part.OUTCOME, Part.SEGMENT),
)


@dataclass(slots=True)
class Absorbed:
    """What became of a stretch of events: ``events`` counted, ``late`` ones and those that limits kept out."""

    events: int = 0
    late: int = 0
    models_turned_away: int = 0
    values_turned_away: int = 0
    categories_turned_away: int = 0
    groups_turned_away: int = 0
    segments_turned_away: int = 0
    ticks_turned_away: int = 0

    def add(self, other: Absorbed) -> None:
        """Add the counts of another stretch."""
        for part in fields(self):
            setattr(self, part.name, getattr(self, part.name) + getattr(other, part.name))


_Counted = tuple[Absorbed, NDArray[np.int32], NDArray[np.uint64]]


@dataclass(slots=True)
class Closed:
    """What closing ticks gave: their sums, the incidents that changed, and how many cells were judged."""

    ticks: list[ClosedTicks] = field(default_factory=list)
    incidents: list[Incident] = field(default_factory=list)
    n_cells: int = 0


class Fleet:
    """Models, series, open ticks, cells and incidents. Pure: time is what events say, and nothing here is told."""

    def __init__(  # noqa: PLR0913 -- what a fleet is made of
        self,
        budget: Budget,
        policy_of: Callable[[str], Policy],
        load_reference: Callable[[Path], tuple[Profile, str]],
        *,
        models_max: int,
        series_per_model_max: int,
        categories_max: int,
        incidents_max: int,
        group_rules: GroupRules | None = None,
        duplicates: Duplicates | None = None,
    ) -> None:
        self.models = Models(models_max)
        self.series = Series()
        self.blocks = Blocks()
        self.judge = Judge(self.models, self.series, budget)
        self.judge.records = True
        self.groups = Groups(self.models, self.series, budget, group_rules or GroupRules())
        self.outcomes = Outcomes(self.models, budget, self.judge.n_cells)
        self.by_group = ByGroup(self.models, self.groups, self.outcomes, budget, self.judge.n_cells)
        self.leaning = Leaning(self.models, self.series, self.judge, self.outcomes)
        self.features_by_group = FeaturesByGroup(self.groups, self.outcomes)
        self.apart = Apart(self.judge, self.groups)
        self.features_by_group.takers.append(self.apart.add)
        self.traffic = Traffic(self.models, budget, self.judge.n_cells)
        self.conduct = Conduct(self.models, self.series, budget, self.judge.n_cells)
        candidates, self.exhibits = Candidates(self.models, self.series), Exhibits(self.models, self.series)
        self.book = Book(incidents_max, Attention(), budget.per_week, candidates.share, candidates.n_models)
        self.book.suspected = Suspects(self.models, self.series, self.judge).others
        self.book.judged_by, self.book.seen_from = self.exhibits.judged_by, self.models.seen_from
        self.duplicates = Duplicates() if duplicates is None else duplicates
        self.discovery = Discovery(self.models, self.series, policy_of, series_per_model_max)
        self.ignoring = Ignoring(self.models, policy_of)
        rooms = (self.judge, self.traffic, self.conduct, self.apart, self.book)
        self.lives = Lives(self.discovery, self.blocks, *rooms, load_reference)
        self.learning = Learning(self.lives)
        self.gathering = Gathering(self.series, self.blocks, self.lives.series_rows)
        self.book.setting_of = Settings(self.models, self.outcomes, self.leaning, self.lives.series_rows).of
        self.splits = Splits(self.models)
        self._categories_max = categories_max
        self._touched = np.zeros(1024, bool)
        self.audit: list[Order] = []
        """What people asked for since it was last stored."""
        self.breathe: Callable[[], None] = lambda: None
        """Called between two pieces of what closes, for whatever must not wait so long; it changes nothing here."""
        self.judge.breathe = self._breathe

    def tick_ends(self, batch: EventBatch) -> NDArray[np.float64]:
        """The end of the tick that each event belongs to, shape ``(n,)``; models that are new get their policy's."""
        seconds = self._asked(batch, "tick")
        ends: NDArray[np.float64] = (np.floor(batch.time / seconds) + 1) * seconds
        return ends

    def case_dues(self, batch: EventBatch, ends: NDArray[np.float64]) -> NDArray[np.float64]:
        """When cases that are predicted in ticks that close at ``ends`` mature, by event."""
        dues: NDArray[np.float64] = np.round(ends + self._asked(batch, "outcome_horizon"), 3)
        return dues

    def join(self, batch: EventBatch, dues: NDArray[np.float64], passed: NDArray[np.float64]) -> dict[str, int]:
        """Bring the events that were absorbed last to their cases; how many outcomes met which fate.

        By event: ``dues`` is when its case would mature, ``passed`` the event time reached before it.
        """
        model = self.models.index.find(np.maximum(batch.model.hash, np.uint64(1)))
        return self.outcomes.join(batch, model, dues, passed, self.leaning.places)

    def absorb(self, batch: EventBatch, late: NDArray[np.bool_]) -> Absorbed:
        """Count the events of ``batch`` into their ticks; ``late`` marks those whose tick has closed."""
        absorbed, model, self.leaning.places = self._count(batch, late)
        for copies in self.splits.copies(batch, model):
            within = self._count(copies.batch, late[copies.at])[0]
            absorbed.values_turned_away += within.values_turned_away
            absorbed.ticks_turned_away += within.ticks_turned_away
            absorbed.segments_turned_away += copies.in_rest
        counted = np.flatnonzero(model >= 0)
        self.lives.note(batch, counted, model[counted])
        return absorbed

    def _count(self, batch: EventBatch, late: NDArray[np.bool_]) -> _Counted:
        """Count events into their ticks; returns what became of them, by event its model's row (-1: none), and places.

        Groups are compared within whole models alone: events of models within another have nothing to compare.
        """
        resolved = self.discovery.resolve(batch)
        entries = resolved.entries
        self.lives.begin_installed()
        counted = np.flatnonzero((resolved.model >= 0) & ~late)
        model, rows = resolved.model[counted], self.models.rows
        seconds = rows["tick"][model]
        ticks = np.floor(batch.time[counted] / seconds)
        ends = np.zeros(len(batch))
        ends[counted] = (ticks + 1) * seconds
        base = np.full(len(batch), -1, np.int32)
        base[counted] = self.blocks.bases(model, ticks.astype(np.int64), rows["tick"], rows["n_series"])
        crowded_out = len(counted) - int(np.count_nonzero(base >= 0))
        if crowded_out:
            placed = base[counted] >= 0
            counted, model = counted[placed], model[placed]
        self.blocks.widen_for(_most(entries.starts(len(batch)), model))
        self._count_events(batch, counted, model, base[counted])
        columns, codes = self.series.columns(), self.series.codes
        counts, moments = self.blocks.counts, self.blocks.moments
        own = np.full(len(batch), -1, np.int32)
        own[counted] = model
        hashes = np.maximum(batch.model.hash, np.uint64(1))
        whole = np.where(rows["root"][own] == own, own, -1)
        entries.order = order_of(base)
        tallied: list[tuple[NDArray[np.int64], NDArray[np.uint64]]] = []
        groups_turned_away = self.groups.count(
            *(batch, hashes, whole, entries, ends),
            lambda people: tallied.append(tally(entries, base, columns, codes, counts, moments, people)),
        )
        deferred, prints = tallied[0]
        self.conduct.note(batch, prints, resolved.model, base, counts)
        others = 0
        if len(deferred):
            others, waiting = place(self.series, batch, entries, deferred, base, counts, moments, self._categories_max)
            entries.series[waiting] = -1  # what lies in no bin yet lies in no stratum either
        absorbed = Absorbed(
            events=len(counted),
            late=int((late & (resolved.model >= 0)).sum()),
            models_turned_away=resolved.models_turned_away,
            values_turned_away=resolved.series_turned_away,
            categories_turned_away=others,
            groups_turned_away=groups_turned_away,
            ticks_turned_away=crowded_out,
        )
        places = self.leaning.note(batch, entries, whole)
        self.features_by_group.note(batch, hashes, whole, entries.series, places)
        return absorbed, own, places

    def close(self, watermark: float, *, silence: bool = True) -> Closed:
        """Close and judge every tick that ended at ``watermark`` or before, in the order of their ends.

        Cohorts that mature and moments at which a model is silent fall between them; at the same moment behind them.
        With ``silence=False``, at the end of an input, nobody is silent.
        """
        closed = Closed(incidents=self.lives.ended)
        self.lives.ended = []
        blocks = dict(self.blocks.due(watermark))
        for end in sorted(blocks.keys() | {end for end in self.groups.sums.ends() if end <= watermark}):
            self._pass_time(end, closed, through=False, silence=silence)
            self._end_tick(end, blocks.get(end), closed)
        self._pass_time(watermark, closed, through=True, silence=silence)
        return closed

    def find_model(self, name: str) -> int | None:
        """The row of a model by its name."""
        return self.models.find(hash64(name.encode()))

    def take_changed_models(self) -> list[int]:
        """Rows of the models that are known otherwise than when this was last asked."""
        series = np.fromiter(self.series.changed, np.int64, len(self.series.changed))
        changed = sorted(self.models.changed.union(np.unique(self.series.rows["model"][series]).tolist()))
        self.models.changed.clear()
        self.series.changed.clear()
        return changed

    def take_touched_models(self) -> NDArray[np.bool_]:
        """By model row: whether events were counted into its open ticks since this was last asked."""
        touched = np.zeros(len(self.models), bool)
        touched[: len(self._touched)] = self._touched[: len(self.models)]
        self._touched[:] = False
        return touched

    def reload_policies(self, policy_of: Callable[[str], Policy]) -> list[int]:
        """Judge every model by the policy that it has from now on; returns the rows of those whose policy changed."""
        self.splits.restored()
        self.discovery.policy_of = self.ignoring.policy_of = policy_of
        changed = self.lives.reload(policy_of)
        self.outcomes.asked.read_again()
        self._begin_changed()
        return changed

    def _begin_changed(self) -> None:
        """Let cells of groups and cases begin anew whose null is another."""
        cells = [(int(self.groups.comparer.model(np.array([cell]))[0]), cell) for cell in self.groups.reloaded()]
        gone = {row: [cell_key(self.groups, cell) for model, cell in cells if model == row] for row, _ in cells}
        for row, some in self.lives.tolerances_changed.items():
            gone[row] = gone.get(row, []) + [(row, name) for name in sorted(self.outcomes.restart(row, some))]
            gone[row] += self.by_group.calibration.restart_of(row) if "calibration" in some else []
            gone[row] += self.apart.restart(row) if TOLERANCE in some else []
        self.lives.tolerances_changed.clear()
        for row, keys in gone.items():
            time = float(self.models.rows["last_time"][row])
            self.lives.ended += self.book.clear(keys, time, "policy changed")

    def restored(self) -> None:
        """Put in order what follows from the tables, after they and the open incidents were loaded."""
        self.series.restored()
        self.judge.extend()
        self.judge.seasons.restored()
        self.lives.versions.restored()
        self.splits.restored()
        retired = self.series.rows["judging"] == RETIRED
        self.lives.apply_policies(range(len(self.models)))
        for model in self.models.items:
            model.retired = int(retired[model.series].sum())
        self.judge.recount()
        self.groups.restored()
        self.features_by_group.restored()
        self.outcomes.restored()
        self.by_group.restored()
        self.traffic.restored()
        self.conduct.restored()
        self.apart.restored()
        for row in range(len(self.models)):
            self.lives.end_split(row)
        self._begin_changed()

    def _asked(self, batch: EventBatch, name: str) -> NDArray[np.float64]:
        """What the policy of each event's model says of ``name``, in seconds, shape ``(n,)``; models may be new."""
        hashes = np.maximum(batch.model.hash, np.uint64(1))
        model = self.models.index.find(hashes)
        seconds: NDArray[np.float64] = self.models.rows[name][model]
        unknown = np.flatnonzero(model < 0)
        if len(unknown):
            first, inverse = np.unique(hashes[unknown], return_index=True, return_inverse=True)[1:]
            names = (batch.string(batch.model, i) for i in unknown[first].tolist())
            seconds[unknown] = np.array([getattr(self.discovery.policy_of(each), name) for each in names])[inverse]
        return seconds

    def _count_events(
        self, batch: EventBatch, counted: NDArray[np.int64], model: NDArray[np.int32], base: NDArray[np.int32]
    ) -> None:
        rows = self.models.rows
        if len(self.models) > len(self._touched):
            self._touched = np.concatenate([self._touched, np.zeros(len(self.models), bool)])
        totals = ModelTotals(rows["events"], rows["last_time"], self._touched)
        count_events(base, model, batch.parts[counted], batch.time[counted], _ASKED_PARTS, self.blocks.counts, totals)
        rows.touch(model)

    def _end_tick(self, end: float, blocks: OpenBlocks | None, closed: Closed) -> None:
        """Judge what ended at ``end``; cases that matured may be compared between groups where no block was open."""
        before = len(closed.incidents)
        if blocks is not None:
            self._close_tick(end, blocks, closed)
            self.breathe()
        self._compare_groups(end, closed)
        closed.incidents += self.book.settle(end)
        _changed_once(closed.incidents, before)

    def _close_tick(self, end: float, blocks: OpenBlocks, closed: Closed) -> None:
        models, model_rows = blocks.model, self.models.rows
        facts, ticks = self.gathering.take(end, blocks, model_rows["tick"][models], self.breathe)
        closed.ticks.append(facts)
        self.judge.extend()
        for table in (self.series.rows, *self.judge.tables.values(), self.conduct.stretches.rows):
            table.bring(ticks.rows)
            self.breathe()
        came = ticks.heads[:, EVENTS_IN].astype(np.int64)
        # What a model does as a whole is not asked of its parts again.
        planned, own = self.models.planned(models, end), model_rows["root"][models] == models
        judged_of, conducted_of = (self._without(ticks, left_out) for left_out in (planned, planned | ~own))
        sums = TickSums(judged_of.rows, judged_of.counts, end, judged_of.seconds)
        closed.incidents += self.learning.succeed(models, end)
        self.models.count_closed(models, came, end)
        judged = self.judge.judge(sums)
        conducted = self.conduct.close(conducted_of, self.breathe)
        closed.n_cells += judged.n_cells + conducted.n_cells
        closed.incidents += self.book.fire(self.told(alarm) for alarm in self._in_order(judged.alarms))
        closed.incidents += self.book.fire(tell_conduct(each, self.models, self.series) for each in conducted.alarms)
        closed.incidents += self.book.clear(judged.cleared + conducted.cleared, end)
        closed.incidents += self.book.give_back(judged.returned)
        self.learning.learn(sums, judged_of.moments, self.breathe)
        again = self.traffic.count(models[own], came[own], end, planned[own])
        closed.incidents += self.book.clear(again, end, "events come again")
        self.outcomes.estimate.extend()
        self.outcomes.estimate.close(models)
        self.leaning.close(models, came, self.lives.series_rows, {name for name, _, _ in self.book.open})
        self.features_by_group.close()
        self.breathe()
        self._take_parted(self.apart.close(models, planned, end), end, closed)
        closed.incidents += self.learning.advance(models, np.where(planned, 0, came), end)

    def _breathe(self) -> None:
        self.breathe()

    def _without(self, ticks: Ticks, left_out: NDArray[np.bool_]) -> Ticks:
        if not left_out.any():
            return ticks
        of = self.series.rows["model"][ticks.rows]
        return ticks.without(left_out, np.isin(of, ticks.models[left_out]))

    def take_dockets_turned_away(self) -> int:
        """How many cells under suspicion found no room for what they are judged by since this was last asked."""
        return sum(dockets.take_turned_away() for dockets in self.dockets().values())

    def dockets(self) -> dict[str, Dockets]:
        """The dockets of cells under suspicion: of ``series``, ``groups``, ``cases``, and of the ``use`` of models."""
        return {
            "series": self.judge.dockets,
            "groups": self.groups.comparer.dockets,
            "cases": self.outcomes.recorder.dockets,
            "use": self.conduct.dockets,
        }

    def _in_order(self, alarms: list[CellAlarm]) -> list[CellAlarm]:
        """Alarms as they come, but of models within behind their own model's: its row says when it was met."""
        if not self.models.within:
            return alarms
        root, model = self.models.rows["root"], self.series.rows["model"]
        return sorted(alarms, key=lambda alarm: (root[model[alarm.row]], model[alarm.row], alarm.detector, alarm.row))

    def _compare_groups(self, end: float, closed: Closed) -> None:
        self._take_compared(end, self.groups.close(end, self.models.planned, self.breathe), closed)

    def _take_compared(self, end: float, compared: Compared, closed: Closed) -> None:
        closed.n_cells += compared.n_cells
        firings = [tell_group(a, self.groups, self.models, self.by_group.price_of(a)) for a in compared.alarms]
        closed.incidents += self.book.fire(sorted(firings, key=lambda firing: (firing.model, firing.report.rank)))
        closed.incidents += self.book.clear([cell_key(self.groups, cell) for cell in compared.cleared], end)

    def _take_parted(self, parted: Parted, end: float, closed: Closed) -> None:
        closed.n_cells += parted.n_cells
        closed.incidents += self.book.fire(tell_apart(alarm, self.apart) for alarm in parted.alarms)
        closed.incidents += self.book.clear(parted.cleared, end)

    def _pass_time(self, until: float, closed: Closed, *, through: bool, silence: bool) -> None:
        """Let into the incident book what fell due until then of cases and of traffic, in the order of event time."""
        judged = self.outcomes.mature(until, inclusive=through)
        closed.n_cells += judged.n_cells
        passed: Iterable[Watched] = ()
        if np.isfinite(until):
            passed = self.traffic.pass_time(until, through=through, silence_too=silence)
        moments: list[Moment | GroupMoment | Watched] = [
            *judged.moments,
            *self.by_group.judge(self.models.planned),
            *passed,
            *map(Moment, self.book.calls_due(until)),
        ]
        for due in sorted(moments, key=lambda moment: moment.due):
            before = len(closed.incidents)
            if isinstance(due, GroupMoment):
                self._take_compared(due.due, due.compared, closed)
            else:
                closed.incidents += self.book.fire(self._told_of_model(alarm) for alarm in due.alarms)
                closed.incidents += self.book.clear(due.cleared, due.due)
            closed.incidents += self.book.settle(due.due)
            _changed_once(closed.incidents, before)

    def _told_of_model(self, alarm: TrafficAlarm | CaseAlarm) -> Firing:
        if isinstance(alarm, TrafficAlarm):
            return tell_traffic(alarm, self.models)
        return told(alarm, self.models.items[alarm.model])

    def told(self, alarm: CellAlarm) -> Firing:
        """What the incident book is told of a cell of a series; a fact of its model's life is noted."""
        if (fact := fact_of(alarm, self.series)) is not None:
            self.models.note(int(self.series.rows["model"][alarm.row]), alarm.fired_time, *fact)
        return tell(alarm, self.models, self.series)


def _changed_once(incidents: list[Incident], first: int) -> None:
    """Of each incident from ``first`` on keep the last state: what opened and was paged in one moment changed once."""
    incidents[first:] = {incident.id: incident for incident in incidents[first:]}.values()


def _most(start: NDArray[np.int32], model: NDArray[np.int32]) -> int:
    """By how much a count can grow at most with a batch whose entries begin at ``start`` (n + 1,).

    ``model`` (n,) are those of the events that are counted.
    """
    return int(np.bincount(model).max() * max(np.diff(start).max(), 1)) if len(model) else 0
