"""Are a model's errors and scores judged as if a stretch had not been, once that is excluded?"""

from __future__ import annotations

from typing import Any

import numpy as np
from fleets.build import DAY, HOUR, START
from fleets.cohorts import HORIZON, fleet_of, judged, matured

from monitor.drill.past import Past
from monitor.fleet import Fleet
from monitor.incidents.order import Order, Outcome
from monitor.kernels.judge import FIRING
from monitor.orders import carry_out
from monitor.outcomes.measures import ERROR_RATE
from monitor.store.database import Database, Writes
from monitor.store.figures import FigureLog

CELLS = ["calibration", "performance.brier", "performance.error_rate", "performance.log_loss"]


class Watched:
    """A fleet of one model whose cases mature, with the log of its days."""

    def __init__(self, database: Database, **policy: Any) -> None:
        self.fleet: Fleet = fleet_of(1, learn={"events_min": 200, "events": 2000, "for": "2d"}, **policy)
        self.fleet.outcomes.totals.keep_days(np.zeros(0))
        self.database, self.log, self.rng = database, FigureLog(database), np.random.default_rng(8)

    def live(self, wrong: float, ticks: range, n: int = 40) -> None:
        """Cases of which so many are wrong, each with a score that would have been right one time in ten."""
        for tick in ticks:
            y = self.rng.random(n) < wrong
            cases = matured(np.zeros(n), tick, wrong=y * 1.0, y=y * 1.0, score=np.full(n, 0.1))
            moment = judged(self.fleet, cases)
            due = START + (tick + 1) * HOUR + HORIZON
            self.fleet.models.rows["last_time"][0] = due
            self.fleet.book.fire(self.fleet._told_of_model(alarm) for alarm in moment.alarms)
            self.fleet.book.clear(moment.cleared, due)
        writes = Writes()
        self.log.save(self.fleet.outcomes.totals, writes)
        self.database.commit(writes)

    def exclude(self, days: range) -> Outcome:
        from_, until = START + days.start * DAY, START + days.stop * DAY
        order = Order("exclude", "m0", "ada", until, note="labels were wrong", until=until, from_=from_)
        return carry_out(self.fleet, order, Past(lambda *_: [], cases=self.log.standings))

    def rate(self) -> float:
        s, n = self.fleet.outcomes.performance.rows["reference"][0, ERROR_RATE]
        return float(s / n)

    def firing(self) -> list[str]:
        return sorted(self.fleet.outcomes.firing(0))


def test_what_was_learned_of_it_is_forgotten(tmp_path) -> None:
    """Wrong labels in the first days make the reference blind; without them it is what the rest showed, and sees."""
    with Database(tmp_path) as database:
        watched = Watched(database)
        watched.live(0.5, range(72))
        watched.live(0.1, range(72, 168))
        watched.live(0.3, range(168, 192))
        assert watched.rate() > 0.4
        assert watched.firing() == ["calibration"]
        outcome = watched.exclude(range(3))
        assert watched.rate() < 0.13
        assert {"calibration", "performance.error_rate"} <= set(watched.firing())
        [fired] = [each for each in outcome.incidents if each.alertname == "ModelPerformanceDegraded"]
        assert fired.fired_time == START + 192 * HOUR + HORIZON
        assert START + 6 * DAY <= fired.onset_time <= START + 8 * DAY
        assert fired.docket_digest == ""


def test_what_it_was_told_of_is_resolved(tmp_path) -> None:
    """Errors that were none end the incident that they made; the cells are counted as before, and watch on."""
    with Database(tmp_path) as database:
        watched = Watched(database)
        watched.live(0.1, range(120))
        cells = watched.fleet.judge.n_cells["performance"]
        watched.live(0.6, range(120, 144))
        assert watched.firing() == CELLS
        resolved = watched.exclude(range(5, 6)).incidents
        assert {each.state for each in resolved} == {"resolved"}
        assert all("excluded" in each.resolved_because for each in resolved)
        assert (watched.firing(), watched.fleet.book.open) == ([], {})
        assert watched.fleet.judge.n_cells["performance"] == cells
        assert watched.fleet.models.rows["n_cells"][0].sum() == cells
        watched.live(0.1, range(144, 168))
        assert watched.firing() == []
        watched.live(0.6, range(168, 192))
        assert watched.firing() == CELLS
        assert watched.fleet.outcomes.performance.states[ERROR_RATE]["firing"][0] == FIRING


def test_what_is_planned_is_neither_judged_nor_learned(tmp_path) -> None:
    """Cases of a planned window are shown and count for nothing; those of an excluded one that mature later too."""
    with Database(tmp_path) as database:
        watched = Watched(database)
        watched.live(0.1, range(96))
        watched.exclude(range(4, 6))
        before = watched.fleet.outcomes.performance.rows["reference"][0].copy()
        watched.live(0.9, range(96, 120))
        assert watched.firing() == []
        assert np.array_equal(watched.fleet.outcomes.performance.rows["reference"][0], before)
        assert watched.fleet.outcomes.totals.rows["cases"][0] == 120 * 40
