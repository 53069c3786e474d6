"""What would have come of a model without a stretch of its past? What the logs hold of it is lived through again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.models import Excluded, Phase
from monitor.catalog.series import RETIRED
from monitor.clock import rfc3339
from monitor.detectors import DETECTORS
from monitor.fleet import Fleet
from monitor.groups.anew import Hour, judge_again
from monitor.incidents.group_telling import cell_key, tell_group
from monitor.incidents.incident import Incident
from monitor.judging import CellAlarm
from monitor.kernels.judge import FIRING
from monitor.outcomes.alarm import told as tell_case
from monitor.outcomes.days import Standing, days_of
from monitor.outcomes.totals import LASTING
from monitor.tally.blocks import EVENTS_IN
from monitor.tally.closed import ClosedTick, TickSums, merge
from monitor.traffic.expectation import HOUR, hour_of

_BECAUSE = "judged again without a stretch that was excluded"

Cell = tuple[int, str]
Indices = NDArray[np.int64]


def exclude(
    fleet: Fleet,
    row: int,
    stretch: Excluded,
    ticks: Mapping[int, Sequence[ClosedTick]],
    hours: Sequence[Hour],
    standings: Sequence[Standing],
) -> list[Incident]:
    """Take ``stretch`` out of the past of the model in ``row`` and judge it again; returns the incidents that changed.

    ``ticks`` are what the log holds of each of the model's family, oldest first, ``hours`` those of its groups,
    ``standings`` how its cases stood at the ends of days. A reference that was complete before the stretch began stays
    what it is; one that was learned from it is learned anew, without. A second look spends budget a second time.
    """
    models = fleet.models
    now = max([float(models.rows["last_time"][row]), *(tick.end for tick in ticks[row][-1:])])
    complete = _complete_before(fleet, row, stretch.from_)
    changed: list[Incident] = []
    for member in models.family(row):
        models.exclude(member, stretch)
        models.refer(
            member, now, "a stretch of the past was excluded", f"{rfc3339(stretch.from_)}/{rfc3339(stretch.until)}"
        )
        left = list(_hourly(fleet, member, _outside(fleet, member, ticks[member])))
        changed += _live_again(fleet, member, left, now, keep=complete)
    changed += _compare_again(fleet, row, stretch, hours, now)
    changed += _expect_again(fleet, row, ticks[row], now)
    changed += _cases_again(fleet, row, standings, now)
    return list({incident.id: incident for incident in changed}.values())


def _complete_before(fleet: Fleet, row: int, moment: float) -> bool:
    """Whether the model's reference owes nothing to what came after ``moment``."""
    model, rows = fleet.models.items[row], fleet.models.rows
    if rows["from_file"][row] or model.reference_version:
        return True
    done = [
        fact.time for fact in model.facts if fact.what == "reference complete" and fact.time > rows["learn_since"][row]
    ]
    return bool(rows["phase"][row] == Phase.FROZEN and done and done[-1] <= moment)


def _outside(fleet: Fleet, row: int, ticks: Sequence[ClosedTick]) -> list[ClosedTick]:
    """What nobody took out, since the model's reference was begun; what was rolled up is left out whole."""
    windows, since = fleet.models.items[row].windows, float(fleet.models.rows["learn_since"][row])
    begins = [tick.end - _length(fleet, row, tick) for tick in ticks]
    return [
        tick
        for tick, begin in zip(ticks, begins, strict=True)
        if tick.end > since and not any(window.from_ < tick.end and begin < window.until for window in windows)
    ]


def _length(fleet: Fleet, row: int, tick: ClosedTick) -> float:
    return max(tick.seconds, float(fleet.models.rows["tick"][row]))


def _hourly(fleet: Fleet, row: int, ticks: Iterable[ClosedTick]) -> Iterator[ClosedTick]:
    """Ticks of the same hour as one: evidence of an hour is evidence, and there are sixty times as few of them."""
    for _, group in groupby(ticks, key=lambda tick: math.ceil(tick.end / HOUR)):
        first, *others = group
        counts, moments = first.counts, first.moments
        for other in others:
            counts, moments = merge((counts, moments), (other.counts, other.moments))
        last = (others or [first])[-1]
        seconds = last.end - first.end + _length(fleet, row, first)
        yield ClosedTick(row, last.end, counts, moments, seconds)


def _live_again(fleet: Fleet, row: int, ticks: Sequence[ClosedTick], now: float, *, keep: bool) -> list[Incident]:
    """Judge what is left of a model's past from its beginning, by the reference it has or by one learned again."""
    own, rows = fleet.lives.series_rows(row), fleet.series.rows
    live = own[rows["judging"][own] != RETIRED]
    fired, known = _firing(fleet, live), _acknowledged(fleet, live)
    (_judge_anew if keep else _learn_anew)(fleet, row, live)
    if ticks and not keep:
        fleet.models.rows["learn_since"][row] = ticks[0].end - _length(fleet, row, ticks[0])
    standing: dict[Cell, CellAlarm] = {}
    changed: list[Incident] = []
    for tick in ticks:
        places = np.flatnonzero(rows["judging"][own[: len(tick.counts) - 1]] != RETIRED)
        seconds = np.full(len(places), tick.seconds)
        sums = TickSums(own[places], tick.counts[1 + places], tick.end, seconds)
        judged = fleet.judge.judge(sums)
        standing |= {(alarm.row, DETECTORS[alarm.detector].name): alarm for alarm in judged.alarms}
        standing = {cell: alarm for cell, alarm in standing.items() if cell not in judged.cleared}
        fleet.learning.learn(sums, tick.moments[1 + places])
        changed += fleet.learning.advance(np.array([row]), tick.counts[:1, EVENTS_IN].astype(np.int64), tick.end)
    changed += fleet.book.clear(sorted(fired - standing.keys()), now, _BECAUSE)
    new = [replace(alarm, fired_time=now, docket=b"") for cell, alarm in standing.items() if cell not in fired]
    changed += fleet.book.fire(fleet.told(alarm) for alarm in new)
    for cell in known.keys() & standing.keys():
        fleet.judge.acknowledged.add([cell], known[cell])
    return changed


def _judge_anew(fleet: Fleet, row: int, live: Indices) -> None:
    """Let all cells of a model begin without evidence; their references stay."""
    rows = fleet.series.rows
    judged = live[_applies(fleet, live)]
    fleet.judge.end(live)
    fleet.series.release(live)
    rows["recent"][judged] = 0.0
    rows.touch(judged)
    fleet.judge.begin(judged)
    fleet.models.rows.touch(row)


def _learn_anew(fleet: Fleet, row: int, live: Indices) -> None:
    """Let the references of a model begin empty; its features keep their bins."""
    rows, models = fleet.series.rows, fleet.models.rows
    fleet.judge.end(live)
    fleet.series.release(live)
    empty = ("judging", "open", "low", "high", "seen_low", "seen_high", "risen", "overlapped", "reference", "recent")
    rows.reset(live, empty)
    models["phase"][row], models["learned"][row] = Phase.LEARNING, 0
    models.touch(row)


def _applies(fleet: Fleet, rows: Indices) -> NDArray[np.bool_]:
    applies = np.zeros(len(rows), bool)
    for each in DETECTORS:
        applies |= fleet.judge.states[each.name]["applies"][rows] > 0
    return applies


def _firing(fleet: Fleet, rows: Indices) -> set[Cell]:
    found: set[Cell] = set()
    for each in DETECTORS:
        state = fleet.judge.states[each.name]
        own = rows[state["applies"][rows] > 0]
        found |= {(row, each.name) for row in own[state["firing"][own] == FIRING].tolist()}
    return found


def _acknowledged(fleet: Fleet, rows: Indices) -> dict[Cell, float]:
    """Until when cells of ``rows`` are acknowledged."""
    found: dict[Cell, float] = {}
    for each in DETECTORS:
        state = fleet.judge.states[each.name]
        own = rows[state["applies"][rows] > 0]
        own = own[state["acked_until"][own] > 0.0]
        found |= {(row, each.name): float(state["acked_until"][row]) for row in own.tolist()}
    return found


def _compare_again(fleet: Fleet, row: int, stretch: Excluded, hours: Sequence[Hour], now: float) -> list[Incident]:
    """Judge the hours of a model's groups again, those apart that anybody took out."""
    windows = fleet.models.items[row].windows
    kept = [hour for hour in hours if not any(w.from_ < hour[0] and hour[0] - HOUR < w.until for w in windows)]
    left_out = [hour for hour in hours if stretch.from_ < hour[0] and hour[0] - HOUR < stretch.until]
    alarms, cleared = judge_again(fleet.groups.comparer, row, kept, left_out, now)
    changed = fleet.book.clear([cell_key(fleet.groups, cell) for cell in cleared], now, _BECAUSE)
    told = [tell_group(alarm, fleet.groups, fleet.models, fleet.by_group.price_of(alarm)) for alarm in alarms]
    return changed + fleet.book.fire(told)


def _cases_again(fleet: Fleet, row: int, standings: Sequence[Standing], now: float) -> list[Incident]:
    """Judge a model's errors and scores again by the days of its cases that nobody took out any part of."""
    models, totals = fleet.models, fleet.outcomes.totals.rows
    if row >= len(totals) or not totals["cases"][row]:
        return []
    matured = now - float(models.rows["outcome_horizon"][row])
    stands = {name: totals[name][row] for name in LASTING}
    days = days_of(standings, stands, matured, float(models.rows["tick"][row]))
    windows = models.items[row].windows
    left = [day for day in days if not any(w.from_ < day.end and day.end - day.seconds < w.until for w in windows)]
    fired = fleet.outcomes.firing(row)
    standing = {alarm.cell: alarm for alarm in fleet.outcomes.judge_again(row, left)}
    changed = fleet.book.clear([(row, cell) for cell in sorted(fired - standing.keys())], now, _BECAUSE)
    new = [replace(alarm, fired_time=now, docket=b"") for cell, alarm in sorted(standing.items()) if cell not in fired]
    return changed + fleet.book.fire(tell_case(alarm, models.items[row]) for alarm in new)


def _expect_again(fleet: Fleet, row: int, ticks: Sequence[ClosedTick], now: float) -> list[Incident]:
    """Expect of a model's traffic what whole hours outside of all that was taken out have brought."""
    fine = [tick for tick in ticks if _length(fleet, row, tick) <= HOUR]
    if not fine:
        return []
    hour = hour_of(np.array([tick.end for tick in fine]))
    first, last = int(hour[0]) + 1, int(np.floor(now / HOUR))
    if last <= first:
        return []
    brought = [float(tick.counts[0, EVENTS_IN]) for tick in fine]
    events = np.bincount(np.maximum(hour - first, -1) + 1, brought, last - first + 1).astype(np.float64)
    hours = np.arange(first, last)
    kept = np.ones(len(hours), bool)
    for window in fleet.models.items[row].windows:
        kept &= ((hours + 1) * HOUR <= window.from_) | (hours * HOUR >= window.until)
    again = fleet.traffic.learn_again(row, hours[kept], events[1 : len(hours) + 1][kept])
    return fleet.book.clear(again, now, _BECAUSE)
