"""From the sums of a tick to alarms: every cell bets against its null, and evidence adds up within the budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monitor.acknowledging import Acknowledgements
from monitor.budget import Budget, Crowd
from monitor.catalog.models import SHARES, Models
from monitor.catalog.series import JUDGED, UNJUDGED, Series
from monitor.cells import make_cells, question
from monitor.detectors import DETECTORS
from monitor.detectors.cell import Detector, SeriesView, Shares, rates
from monitor.dockets import Dockets
from monitor.kernels.judge import (
    HELD,
    IDLE,
    OVER,
    SUSPICIOUS,
    Bets,
    bet,
    excess,
    onset_of,
    present,
    shares,
)
from monitor.kernels.tally import EVENTS, OTHER_BIN
from monitor.nulls import SEASONAL, Nulls
from monitor.recording import Found, Part, Recorder
from monitor.resting import Resting
from monitor.seasons import RECENT_EVENTS, Seasons, Told
from monitor.tally.closed import TickSums
from monitor.tally.pieces import pieces
from monitor.weighing import Weights

_RENULL_GROWTH = 1.1
"""The null is computed anew when a growing reference has grown by this factor."""
_TIMESTAMP = UNJUDGED.index("timestamp")
_LN10 = math.log(10.0)
_BEGUN_AT_ONCE = 8192
"""Series whose cells begin together: what that takes stays near the processor."""

IndexArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CellAlarm:
    """A cell that fires. ``row`` is its series, ``cut`` the share that moved furthest from ``before`` to ``now``.

    ``provisional``: the model has not been seen through a whole cycle, so what moved may be a season. ``docket`` is all
    that it was judged by since it came under suspicion (:mod:`monitor.dockets`), empty where that was not kept.
    """

    row: int
    detector: int
    cut: int
    before: float
    now: float
    effect: float
    tolerance: float
    evidence_log10: float
    onset_time: float
    fired_time: float
    provisional: bool = False
    docket: bytes = b""


@dataclass(slots=True)
class Judged:
    """What a tick gave: alarms that begin to fire, cells that stopped, and how many cells bet."""

    alarms: list[CellAlarm]
    cleared: list[tuple[int, str]]
    n_cells: int
    returned: list[tuple[int, str]] = field(default_factory=list)
    """Acknowledged cells that worsened, or whose time is over."""

    def add(self, other: Judged) -> None:
        """Add what other cells gave."""
        self.alarms += other.alarms
        self.cleared += other.cleared
        self.n_cells += other.n_cells


_GATHERED = ("log_r", "s_prev", "n_prev", "onset", "alarmed", "last_bad", "effect", "evidence", "suspicion")
"""What a cell has gathered for or against its null, and nothing else of its state."""
_DRIFT = next(detector for detector in DETECTORS if detector.name == SEASONAL)
_QUESTIONS = tuple(question(detector) for detector in DETECTORS)
_SHARES_ASKED = tuple(dict.fromkeys(detector.share for detector in DETECTORS))


class Judge:
    """Holds the state of all cells; :meth:`judge` takes it one tick further. Nothing here knows the time of day."""

    def __init__(self, models: Models, series: Series, budget: Budget) -> None:
        self.models = models
        self.series = series
        self.budget = budget
        self._weights = Weights(budget)
        self.tables, self.states = make_cells()
        self.seasons = Seasons()
        self.n_cells: dict[str, float] = dict.fromkeys(SHARES, 0)
        self.resting = Resting(self.states, self._count_cells, self._tick)
        self.acknowledged = Acknowledgements(self.states, self._count_cells, self._gap, self.resting.wake)
        self.dockets = Dockets()
        """What cells under suspicion are judged by."""
        self.nulls = Nulls(models, series, self.states, self.seasons, self.resting, self.view)
        self._recorder = Recorder(self.dockets, self.models, self.series, self.seasons, self.budget)
        self.records = False
        """Whether dockets are kept; in a drill they are not."""
        self.breathe: Callable[[], None] = lambda: None
        """Called between two pieces of a tick; it changes nothing here."""

    def extend(self) -> None:
        """Make room for series that were added since."""
        self.seasons.extend(len(self.series.rows))
        for table in self.tables.values():
            if len(self.series.rows) > len(table):
                table.add(len(self.series.rows) - len(table))

    def begin(self, rows: IndexArray) -> None:
        """Start, or start anew, the cells of series ``rows``: their references say what is judged."""
        known = len(self.seasons.links)
        self.extend()
        for first in range(0, len(rows), _BEGUN_AT_ONCE):
            self._begin(rows[first : first + _BEGUN_AT_ONCE], known)

    def _begin(self, rows: IndexArray, known: int) -> None:
        """:meth:`begin` some of them; nothing was remembered of series from ``known`` on."""
        view = self.view(rows)
        first, kind = self.nulls.alike(rows, view, rows < known)
        shown = rows[first]
        reference = self.reference(shown, self.view(shown))
        for detector in DETECTORS:
            state = self.states[detector.name]
            before = state["applies"][rows].astype(np.int32)
            applies = detector.applies(view)
            self._hear(detector, rows[~applies & (before > 0)])
            fresh = rows[applies & (before == 0)]
            state.reset(fresh[fresh < known])
            state["applies"][rows] = applies
            state.touch(rows)
            if detector.name == SEASONAL:
                self._open_diaries(fresh)
            self._count_cells(detector, rows, applies.astype(np.int32) - before)
            own = applies[first]
            self.nulls.set(detector, shown[own], reference[own])
            self.nulls.copy(detector, shown[kind[applies]], rows[applies])

    def restart(self, rows: IndexArray, tolerances: Collection[str]) -> None:
        """Let the cells of ``rows`` begin anew whose detectors are tolerant by one of ``tolerances``: it changed."""
        self.extend()
        reference = self.reference(rows, self.view(rows))
        for detector in (each for each in DETECTORS if each.tolerance in tolerances):
            state = self.states[detector.name]
            own = state["applies"][rows] > 0
            self._hear(detector, rows[own])
            state.reset(rows[own])
            state["applies"][rows[own]] = 1
            self.nulls.set(detector, rows[own], reference[own])

    def anew(self, rows: IndexArray) -> None:
        """Let the cells of ``rows`` be judged by references that were changed in place.

        Those that do not fire begin without evidence; how events clump and what a season does is still known.
        """
        reference = self.reference(rows, self.view(rows))
        for detector in DETECTORS:
            state = self.states[detector.name]
            applies = state["applies"][rows] > 0
            state.reset(rows[applies & (state["firing"][rows] == IDLE)], _GATHERED)
            self.nulls.set(detector, rows[applies], reference[applies])

    def end(self, rows: IndexArray) -> None:
        """Take the cells of ``rows`` away; what they had gathered is forgotten."""
        self.extend()
        self.seasons.end(rows)
        for detector in DETECTORS:
            state = self.states[detector.name]
            own = rows[state["applies"][rows] > 0]
            self._hear(detector, own)
            self._count_cells(detector, own, np.full(len(own), -1, np.int32))
            state.reset(own)

    def recount(self) -> None:
        """Count the cells of every share again, after the state was loaded."""
        self.models.rows["n_cells"][: len(self.models)] = 0
        self.n_cells.update(dict.fromkeys(SHARES, 0))
        everything = np.arange(len(self.series.rows))
        for detector in DETECTORS:
            applies = self.states[detector.name]["applies"][: len(everything)].astype(np.int32)
            self._count_cells(detector, everything, applies)
        self.acknowledged.restored(len(everything))
        self.resting.restored(len(everything))

    def judge(self, sums: TickSums) -> Judged:
        """Let every cell of ``sums`` bet on its tick; a cell without events neither bets nor spends.

        That is done for some whole models at a time. What it gives does not depend on how the tick is cut.
        """
        given = [Judged([], [], 0) for _ in DETECTORS]
        self.resting.turn(sums.end)
        crowds = {share: Crowd.of(share, self.n_cells[share], self.models) for share in _SHARES_ASKED}
        for part in pieces(self.series.rows["model"][sums.rows]):
            block = TickSums(sums.rows[part], sums.counts[part], sums.end, sums.seconds[part])
            self._judge_block(block, crowds, given)
            self.breathe()
        self._weights.settle(crowds, self.breathe)
        out = Judged([], [], 0, self.acknowledged.give_back(sums.end, self.nulls.tolerance))
        self.resting.settle()
        for own in given:
            out.add(own)
        return out

    def suspicious(self, rows: IndexArray) -> NDArray[np.bool_]:
        """Which of ``rows`` have a cell that fires or has gathered evidence: their ticks stay out of the reference."""
        doubt = np.zeros(len(rows), bool)
        for state in self.tables.values():
            doubt |= state["firing"][rows] != IDLE
            doubt |= state["suspicion"][rows] > SUSPICIOUS
        return doubt

    def firing(self, rows: IndexArray) -> NDArray[np.bool_]:
        """Which of ``rows`` have a cell that fires or is about to."""
        return np.asarray(np.any([state["firing"][rows] != IDLE for state in self.tables.values()], axis=0))

    def renull(self, rows: IndexArray) -> None:
        """Compute the nulls of ``rows`` anew where their references have grown enough."""
        reference = self.series.rows["reference"][rows].astype(np.float64)
        view = self.view(rows)
        for detector in DETECTORS:
            state = self.states[detector.name]
            n = detector.shares(reference, view).n
            grown = (state["applies"][rows] > 0) & (n > _RENULL_GROWTH * state["null_n"][rows])
            if detector.name == SEASONAL:
                grown &= ~self.seasons.paired(rows)
            self.nulls.set(detector, rows[grown], reference[grown])

    def sharing(self, share: str, model: int) -> float:
        """Among how many cells ``share`` is divided as those of the model in row ``model`` see it."""
        root = self.models.rows["root"][model : model + 1]
        return float(np.max(self.budget.sharing(Crowd.of(share, self.n_cells[share], self.models), root)))

    def weight(self, detector: Detector, rows: IndexArray) -> NDArray[np.float64]:
        """What the cells of ``detector`` of ``rows`` weigh among those of their share, ``(k,)``."""
        return self._weights.of(detector, self.series.rows["space"][rows])

    def view(self, rows: IndexArray) -> SeriesView:
        """What detectors may know of ``rows``."""
        r = self.series.rows
        return SeriesView(
            kind=r["kind"][rows],
            space=r["space"][rows],
            n_cuts=r["n_cuts"][rows],
            cuts=r["cuts"].take(rows, axis=0),  # an index of rows takes six times as long
            overflowed=(r["reference"][:, OTHER_BIN][rows] > 0) | (r["unjudged"][rows] == _TIMESTAMP),
            in_reference=r["judging"][rows] == JUDGED,
        )

    def effect(self, detector: Detector, rows: IndexArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Shares of ``rows`` in the present and in the reference, each ``(k, cuts)``; NaN without events."""
        recent = detector.shares(self.series.rows["recent"][rows].astype(np.float64), self.view(rows))
        state = self.states[detector.name]
        return rates(recent), state["reference_share"][rows].astype(np.float64)

    def reference_shares(self, rows: IndexArray) -> NDArray[np.float64]:
        """What the references of ``rows`` say of the shares that have seasons, ``(k, 9)``; 0 without events."""
        view = self.view(rows)
        shares: NDArray[np.float64] = np.nan_to_num(rates(_DRIFT.shares(self.reference(rows, view), view)))
        return shares

    def reference(self, rows: IndexArray, view: SeriesView) -> NDArray[np.float64]:
        """What ``rows`` are judged against, counts of shape ``(k, 40)``."""
        reference = self.series.rows["reference"][rows].astype(np.float64)
        # Of a stranger the reference says that it was in none of its events, whatever was seen since.
        strange = ~view.in_reference
        reference[strange] = 0.0
        reference[strange, EVENTS] = self.models.rows["learned"][self.series.rows["model"][rows[strange]]]
        return reference

    def _judge_block(self, sums: TickSums, crowds: Mapping[str, Crowd], out: Sequence[Judged]) -> None:
        series, models, rows = self.series.rows, self.models.rows, sums.rows
        view, model = self.view(rows), series["model"][rows]
        seen = self._shares(sums, view)
        root = models["root"][model]
        handed = {share: self.budget.allowance(share, crowds[share], root, sums.seconds) for share in _SHARES_ASKED}
        logs = {share: np.log(np.maximum(handed[share], 1e-300)) for share in _SHARES_ASKED}
        middle = sums.end - sums.seconds / 2.0
        hold, keep_firing = (models[name][model] for name in ("hold", "keep_firing"))
        self._follow_season(rows[self.seasons.turned(rows, middle)])
        for i, detector in enumerate(DETECTORS):
            state, share = self.states[detector.name], detector.share
            asked, held = seen[i]
            place = np.flatnonzero((state["applies"][rows] > 0) & (asked.n > 0))
            if not len(place):
                continue
            weighed = self._weights.weighed(detector, view.space, handed[share], logs[share])
            paid = self.resting.quieten(detector, rows, *weighed)
            allowance, log_budget = self.acknowledged.quieten(detector, rows, *paid)
            self._weights.note(detector, view.space[place], allowance[place], root[place])
            if detector.name == SEASONAL:
                self.seasons.level(rows, held.s, held.n, state["reference_share"].take(rows, axis=0), asked.n)
            bets = Bets(
                end=sums.end,
                place=place,
                row=rows[place],
                tick_s=np.ascontiguousarray(asked.s),
                tick_n=np.ascontiguousarray(asked.n),
                now_s=np.ascontiguousarray(held.s),
                now_n=np.ascontiguousarray(held.n),
                log_budget=log_budget,
                seconds=sums.seconds,
                hold=hold,
                keep_firing=keep_firing,
            )
            given = bet(_QUESTIONS[i], state, bets)
            self.resting.bet(detector, bets.row)
            state.stir(bets.row)
            if self.records:
                self._recorder.follow(detector, state, bets, sums.counts, given)
            if detector.name == SEASONAL:
                self._keep_diary(bets, middle[place])
            out[i].n_cells += len(place)
            for j in np.flatnonzero(given.flags & HELD).tolist():
                out[i].alarms.append(self._alarm(i, bets, j, sums.counts[place[j]], float(given.evidence[j])))
            out[i].cleared.extend((row, detector.name) for row in bets.row[(given.flags & OVER) > 0].tolist())

    def _shares(self, sums: TickSums, view: SeriesView) -> list[tuple[Shares, Shares]]:
        """What each detector asks of the tick, and of the present that it is let into."""
        recent = self.series.rows["recent"]
        found = shares(sums.rows, sums.counts, recent, RECENT_EVENTS, view)
        if found is not None:
            return [(Shares(*found[each.name][0]), Shares(*found[each.name][1])) for each in DETECTORS]
        tick, now = present(sums.rows, sums.counts, recent, RECENT_EVENTS)
        return [(each.shares(tick, view), each.shares(now, view)) for each in DETECTORS]

    def _gap(self, detector: Detector, rows: IndexArray) -> NDArray[np.float64]:
        """How far the furthest share of each of ``rows`` lies from its reference now, shape ``(k,)``."""
        now, before = self.effect(detector, rows)
        return np.asarray(np.nan_to_num(np.abs(now - before)).max(axis=1))

    def _alarm(self, index: int, bets: Bets, j: int, counts: NDArray[np.uint32], evidence: float) -> CellAlarm:
        """The alarm of the cell ``bets.row[j]``: what all since suspicion, ``counts`` now, says of its furthest cut."""
        detector, at = DETECTORS[index], bets.row[j : j + 1]
        row, place = int(at[0]), bets.place[j : j + 1]
        state, series, models = self.states[detector.name], self.series.rows, self.models.rows
        now = np.nan_to_num(rates(Shares(bets.now_s[place], bets.now_n[place])))
        cut = int(np.argmax(excess(_QUESTIONS[index], state, at, now)[0]))
        shown = (self.series.since_suspicion(at) + counts).astype(np.float64)
        since = rates(detector.shares(shown, self.view(at)))
        # What was seen since suspicion began is of several hours; where they differ, the present without its season is.
        by_hour = self.seasons.seasonal(at) | self.seasons.paired(at)
        whole = np.isnan(since[0, cut]) or (detector.name == SEASONAL and bool(by_hour[0]))
        before = float(state["reference_share"][row, cut])
        # Suspicion is the series': where another cell of it began it long ago, the present says more.
        whole = whole or abs(now[0, cut] - before) > abs(since[0, cut] - before)
        told = float(now[0, cut] if whole else since[0, cut])
        docket = b""
        if self.records:
            found = Found(cut, before, float(now[0, cut]), float(since[0, cut]), told, evidence)
            reference = self.reference(at, self.view(at))[0]
            sharing = self.sharing(detector.share, int(series["model"][row]))
            weight = float(self.weight(detector, at)[0])
            docket = self._recorder.alarm(detector, row, bets, found, Part(weight, sharing), reference)
        return CellAlarm(
            row=row,
            detector=index,
            cut=cut,
            before=before,
            now=told,
            effect=abs(told - before),
            tolerance=float(state["tolerance"][row]),
            evidence_log10=evidence / _LN10,
            onset_time=max(
                onset_of(float(state["onset"][row]), bets.end, float(bets.seconds[place[0]])),
                float(series["first_time"][row]),
                float(models["version_since"][series["model"][row]]),
            ),
            fired_time=bets.end,
            provisional=detector.name == SEASONAL and bool(self.nulls.unseen(at)[0]),
            docket=docket,
        )

    def _follow_season(self, rows: IndexArray) -> None:
        """Let the nulls of ``rows`` follow what is usual at the hour that has begun."""
        self.nulls.set(_DRIFT, rows, self.series.rows["reference"][rows].astype(np.float64))

    def _open_diaries(self, rows: IndexArray) -> None:
        models, model = self.models.rows, self.series.rows["model"][rows]
        unseen = (models["from_file"][model] == 0) & (models["drift_auto"][model] > 0)
        self.seasons.begin(rows, models["cycle"][model], unseen)
        self.seasons.pair(rows, models["paired"][model] > 0)

    def pair(self, rows: IndexArray) -> None:
        """Let the cells of ``rows`` be compared with the week before, or no longer, as their models' policies say."""
        self.extend()
        own = rows[self.states[SEASONAL]["applies"][rows] > 0]
        self._follow_season(self.seasons.pair(own, self.models.rows["paired"][self.series.rows["model"][own]] > 0))

    def _keep_diary(self, bets: Bets, middle: NDArray[np.float64]) -> None:
        """Let a judged tick into weeks and diaries; who learned something from a diary gets another null."""
        weekly = np.flatnonzero(self.seasons.links["week"][bets.row] >= 0)
        if len(weekly):
            rows, place = bets.row[weekly], bets.place[weekly]
            self.seasons.remember(rows, bets.tick_s[place], bets.tick_n[place], ~self.suspicious(rows))
        kept = np.flatnonzero(self.seasons.links["diary"][bets.row] >= 0)
        if not len(kept):
            return
        rows, place, middle = bets.row[kept], bets.place[kept], middle[kept]
        # A file says what is right, whatever the stream does: the shape of its days is asked of all of the stream.
        model = self.series.rows["model"][rows]
        from_file = self.models.rows["from_file"][model] > 0
        clean, asked = from_file.copy(), np.flatnonzero(~from_file)
        clean[asked] = ~self.suspicious(rows[asked])
        read = self.seasons.collect(
            rows, bets.tick_s[place], bets.tick_n[place], middle, Told(model, clean, ~from_file)
        )
        if len(read):
            self.seasons.turned(rows, middle)
            self._follow_season(read)

    def _tick(self, rows: IndexArray) -> NDArray[np.float64]:
        return np.asarray(self.models.rows["tick"][self.series.rows["model"][rows]])

    def _hear(self, detector: Detector, rows: IndexArray) -> None:
        """Let the cells of ``rows``, all its own, pay for themselves, whether they were acknowledged or rested."""
        self.acknowledged.drop(detector, rows)
        self.resting.wake(detector, rows)

    def _count_cells(self, detector: Detector, rows: IndexArray, change: NDArray[np.int32]) -> None:
        weighed = change * self.weight(detector, rows)
        self.n_cells[detector.share] += float(weighed.sum())
        model = self.models.rows["root"][self.series.rows["model"][rows]]
        np.add.at(self.models.rows["n_cells"][:, SHARES.index(detector.share)], model, weighed)
