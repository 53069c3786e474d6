"""Do cells that have nothing to bet on leave their part to the others, and have it again, within the same promise?"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fleets.build import DAY, HOUR, START, columns, event, feed, new_fleet
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.budget import WEEK_SECONDS
from monitor.catalog.models import SHARES
from monitor.detectors import DETECTORS
from monitor.fleet import Fleet
from monitor.resting import DAYS
from monitor.store.checkpoint import Checkpoint
from monitor.store.database import Database
from monitor.store.ticklog import TickLog
from monitor.tally.event_time import EventTime

PER_WEEK = 5.0
DRIFT, QUALITY = SHARES.index("drift"), SHARES.index("quality")
NORMAL = np.random.default_rng(81).normal(0, 1, 1 << 16)
A_TICK = 300


@dataclass
class Paid:
    """What cells were handed: by share and tick the model's row, the begin and the end, and the sum."""

    fleet: Fleet
    ticks: list[tuple[str, int, float, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._end = 0.0
        judge, spend = self.fleet.judge.judge, self.fleet.judge.budget.spend

        def judged(sums: Any) -> Any:
            self._end = sums.end
            return judge(sums)

        def spent(share: str, severity: str, allowances: Any, crowd: Any, model: Any) -> None:
            tick = self.fleet.models.rows["tick"]
            for row in np.unique(model).tolist():
                own = float(allowances[model == row].sum())
                self.ticks.append((share, row, self._end - float(tick[row]), self._end, own))
            spend(share, severity, allowances, crowd, model)

        self.fleet.judge.judge, self.fleet.judge.budget.spend = judged, spent  # type: ignore[method-assign]

    def most_at_once(self, share: str) -> float:
        """The largest rate at which ``share`` was ever being spent, in false alarms a week."""
        steps: dict[float, float] = {}
        for of, _, begin, end, sum_ in self.ticks:
            if of == share:
                rate = sum_ / (end - begin) * WEEK_SECONDS
                steps[begin] = steps.get(begin, 0.0) + rate
                steps[end] = steps.get(end, 0.0) - rate
        return float(np.cumsum([steps[moment] for moment in sorted(steps)]).max(initial=0.0))

    def of(self, share: str, model: int, since: float) -> list[float]:
        """What the model's cells were handed in each of its ticks since then."""
        return [sum_ for of, row, _, end, sum_ in self.ticks if (of, row) == (share, model) and end > since]


def some_models(n: int, ticks: tuple[str, ...] = ("1d",)) -> Fleet:
    clauses = [(f"m{k}", {"tick": ticks[k % len(ticks)]}) for k in range(n)]
    return new_fleet({"keep_firing": "6h"}, clauses=clauses, per_week=PER_WEEK, per_model=PER_WEEK)


def lived(fleet: Fleet, days: range, asked: Any, step: float = DAY) -> None:
    """Feed each step of ``days`` the models for which ``asked(model, day)``, and close what is over."""
    for i in range(round(days.start * DAY / step), round(days.stop * DAY / step)):
        now = START + i * step
        names = [f"m{k}" for k in range(8) if asked(k, int(i * step // DAY))]
        if names:
            n = A_TICK * len(names)
            times = np.sort(now + step * (np.arange(n) % A_TICK + 0.5) / A_TICK)
            values = {"x": NORMAL[(np.arange(n) * 7 + i * 31) % len(NORMAL)]}
            feed(fleet, columns(times, names * A_TICK, values), until=now)
    fleet.close(START + days.stop * DAY, silence=False)


def counted(fleet: Fleet) -> dict[str, int]:
    """Cells of series that pay for themselves, counted one by one."""
    n = dict.fromkeys(("drift", "quality"), 0)
    for detector in DETECTORS:
        state, rows = fleet.judge.states[detector.name], len(fleet.series.rows)
        pays = (state["applies"][:rows] > 0) & (state["acked_until"][:rows] <= 0.0)
        n[detector.share] += int((pays & (state["idle_days"][:rows] < DAYS)).sum())
    return n


def test_who_is_asked_no_more_leaves_its_part() -> None:
    """Of two models one falls silent: after thirty days the other has all of drift; once it is back they halve it."""
    fleet = some_models(2)
    paid = Paid(fleet)
    asked = lambda k, day: k == 0 or day < 10 or (k == 1 and day >= 60)
    asked_two = lambda k, day: k < 2 and asked(k, day)
    lived(fleet, range(80), asked_two)
    whole = PER_WEEK * 0.2 / 7
    first = paid.of("drift", 0, START + 20 * DAY)
    assert first[0] == pytest.approx(whole / 2)
    assert first[30] == pytest.approx(whole)
    assert first[-1] == pytest.approx(whole / 2)
    back = paid.of("drift", 1, START + 59 * DAY)
    assert back[0] == 0.0
    assert back[1:] == pytest.approx([whole / 2] * (len(back) - 1))
    assert paid.most_at_once("drift") <= PER_WEEK * 0.2 * (1 + 1e-9)


@settings(max_examples=6, deadline=None)
@given(
    pauses=st.lists(st.tuples(st.integers(5, 60), st.integers(1, 70)), min_size=4, max_size=4),
    ticks=st.permutations(("1d", "12h", "1d", "6h")),
)
def test_never_more_than_the_promise(pauses: list[tuple[int, int]], ticks: tuple[str, ...]) -> None:
    """However models fall silent and come back, at no moment are cells paid at a higher rate than the budget's."""
    fleet = some_models(4, ticks)
    paid = Paid(fleet)
    lived(
        fleet, range(110), lambda k, day: k < 4 and not pauses[k][0] <= day < pauses[k][0] + pauses[k][1], step=6 * HOUR
    )
    assert paid.most_at_once("drift") <= PER_WEEK * 0.2 * (1 + 1e-9)
    assert fleet.judge.n_cells["drift"] == counted(fleet)["drift"]
    assert fleet.judge.n_cells["drift"] == fleet.models.rows["n_cells"][:4, DRIFT].sum()


def test_what_can_never_be_beyond_the_null_leaves_its_part() -> None:
    """Cells of a model whose declared season nobody has seen yet have no bet to make: they rest, though it is asked."""
    fleet = new_fleet(
        {"tick": "1d"},
        clauses=[("m0", {"season": ("365d",), "tolerance": {"drift": "auto"}})],
        per_week=PER_WEEK,
        per_model=PER_WEEK,
    )
    paid = Paid(fleet)
    lived(fleet, range(50), lambda k, _: k < 2)
    assert paid.of("drift", 1, START)[-1] == pytest.approx(PER_WEEK * 0.2 / 7)
    assert paid.of("drift", 0, START)[-1] == 0.0
    state = fleet.judge.states["drift"]
    assert state["mute"][:2].tolist() == [1, 0]
    assert counted(fleet)["drift"] == fleet.judge.n_cells["drift"] == 1


def test_a_fault_is_found_after_a_rest() -> None:
    """A model that comes back with another distribution after two months is told, a tick later than it would be."""
    fleet = some_models(2)
    lived(fleet, range(80), lambda k, day: k == 0 or (k == 1 and day < 10))
    moved = [event(START + (80 + i // 100) * DAY + i % 100, {"x": 50.0}, model="m1") for i in range(400)]
    incidents = feed(fleet, moved, until=START + 84 * DAY).incidents
    told = {(cell.detector, incident.model) for incident in incidents for cell in incident.cells}
    assert ("drift", "m1") in told


def test_acknowledged_retired_and_begun_again() -> None:
    """Whatever else befalls cells that rest, each that pays for itself is counted once."""
    fleet = some_models(3)
    lived(fleet, range(60), lambda k, day: k == 0 or (k < 3 and day < 10))
    rows = [int(fleet.models.items[k].series[0]) for k in range(3)]
    for act in (
        lambda: fleet.judge.acknowledged.add([(rows[1], "drift")], START + 100 * DAY),
        lambda: fleet.judge.acknowledged.give_back(START + 101 * DAY, lambda *_: np.zeros(1)),
        lambda: fleet.judge.restart(np.array(rows), {"drift"}),
        lambda: lived(fleet, range(60, 95), lambda k, _: k == 0),
        lambda: fleet.judge.end(np.array([rows[2]])),
    ):
        act()
        assert fleet.judge.n_cells["drift"] == counted(fleet)["drift"]
    assert counted(fleet)["drift"] == 1


def test_a_restart_goes_on(tmp_path: Path) -> None:
    """A store that is read back in the middle of a rest, and before it, hands out what an unbroken run does."""
    asked = lambda k, day: k == 0 or (k < 3 and (day < 10 or day >= 60))
    whole = some_models(3)
    lived(whole, range(70), asked)
    for part in (range(25), range(25, 50), range(50, 70)):
        with Database(tmp_path / "store") as database:
            checkpoint = Checkpoint(database, TickLog(database, np.inf))
            fleet = some_models(3)
            checkpoint.load(fleet, EventTime(0.0))
            lived(fleet, part, asked)
            checkpoint.save(fleet, EventTime(0.0), {}, [], [])
    assert fleet.judge.budget.spent == pytest.approx(whole.judge.budget.spent, rel=1e-12)
    assert fleet.judge.n_cells == whole.judge.n_cells
    np.testing.assert_array_equal(
        fleet.judge.states["drift"]["idle_days"][:3], whole.judge.states["drift"]["idle_days"][:3]
    )


def test_rows_that_nobody_has_yet_go_to_no_rest() -> None:
    """What the memory holds where a table has room to grow is nobody's cell, whatever it looks like."""
    fleet = some_models(3)
    lived(fleet, range(2), lambda k, _: k < 3)
    before = dict(fleet.judge.n_cells)
    for detector in DETECTORS:
        state = fleet.judge.states[detector.name]
        state["applies"][len(state) :], state["firing"][len(state) :] = 1, 0
        state["acked_until"][len(state) :], state["idle_days"][len(state) :] = 0.0, DAYS - 1
    fleet.judge.resting.turn((fleet.judge.resting.day + 1) * DAY)
    assert dict(fleet.judge.n_cells) == before
