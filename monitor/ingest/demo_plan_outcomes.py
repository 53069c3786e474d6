"""Would a fault that only outcomes show be told? The planner plays it some times before, as in ``demo_rehearsal.py``.

Cases are drawn once, with the fault and without; each life takes from them as many as come. So what the reference
learns before the fault, and while nobody suspects it yet, is part of the play.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.models import SHARES, Models
from monitor.fleet import Fleet
from monitor.ingest.demo import DemoFleet
from monitor.ingest.demo_events import SCORES
from monitor.ingest.demo_faults import Fault
from monitor.ingest.demo_laws import Role
from monitor.ingest.demo_people import OUTCOME_HORIZON
from monitor.ingest.demo_rehearsal import LIVES, Indices, by_tick, chances, lives, tick_of, within
from monitor.outcomes.asked import Asked, class_hash
from monitor.outcomes.calibration import Calibration, Scored
from monitor.outcomes.case import HAS_OUTCOME, Cases, blank
from monitor.outcomes.matured import read
from monitor.outcomes.measures import MEASURES
from monitor.outcomes.performance import SHARE, Performance, Sums

_CASES = 4000
_CELLS = 4
"""Of a decider: error rate, Brier score, log loss and calibration."""


def outcomes(demo: DemoFleet, faults: Sequence[Fault], scratch: Fleet) -> list[float]:
    """The chance of each of ``faults`` that only outcomes show."""
    if not faults:
        return []
    models = lives(demo, faults, scratch)
    models.rows["n_cells"][: len(models), SHARES.index(SHARE)] = _CELLS
    judges = _Judges(models, scratch, _CELLS * sum(model.role is Role.DECIDER for model in demo.models))
    rng = np.random.default_rng(4)
    pools = [_pools(demo, fault, rng) for fault in faults]
    usual, spoiled = (np.concatenate([pair[i] for pair in pools]) for i in range(2))
    of = np.repeat(np.arange(len(faults)), LIVES)
    began, ended = (np.repeat([getattr(fault, name) for fault in faults], LIVES) for name in ("began", "ended"))
    told = np.zeros(len(models), bool)
    tick = tick_of(models)
    for starts, mean in by_tick(demo, faults, tick):
        n = rng.poisson(mean).ravel()
        row = np.repeat(np.tile(np.arange(len(models)), len(mean)), n)
        time = np.repeat(np.repeat(starts[:, 0], len(models)), n)
        drawn = _CASES * of[row] + rng.integers(0, _CASES, len(row))
        held = (began[row] <= time) & (time < ended[row])
        cases = np.where(held, spoiled[drawn], usual[drawn])
        cases["model"], cases["time"] = row, time
        due = starts[0, 0] + tick + OUTCOME_HORIZON
        for model, alertname in judges.judge(cases, due):
            fault = faults[model // LIVES]
            told[model] |= alertname in fault.alertnames and within(fault, due, tick)
    return chances(told)


class _Judges:
    """Performance and calibration of some lives, judged cohort by cohort."""

    def __init__(self, models: Models, scratch: Fleet, n_fleet: int) -> None:
        self._asked = Asked(models)
        self._performance = Performance(models, self._asked, scratch.judge.budget)
        self._calibration = Calibration(models, scratch.judge.budget)
        for part in (self._asked, self._performance, self._calibration):
            part.extend()
        self._models = models
        self._n_fleet = n_fleet

    def judge(self, cases: Cases, due: float) -> list[tuple[int, str]]:
        """Rows and alertnames of what begins to fire with a cohort that matures at ``due``."""
        seen = read(cases, due, self._models.rows["tick"], self._asked)
        models, place = np.unique(seen.model.astype(np.int64), return_inverse=True)
        sums, scored = _empty(models, due - OUTCOME_HORIZON, self._models.rows["tick"][models])
        for i, x in enumerate(self._performance.measured(seen)):
            some: NDArray[np.int64] = np.flatnonzero(~np.isnan(x))
            np.add.at(sums.measures[:, i], place[some], np.stack([x[some], np.ones(len(some))], axis=1))
        self._calibration.add(seen.model, seen.score, seen.y, place, scored)
        alarms = self._performance.judge(sums, self._n_fleet, due)[0]
        alarms += self._calibration.judge(scored, self._n_fleet, due)[0]
        doubts = (self._performance.doubt(models), self._calibration.doubt(models))
        doubted, firing = (a | b for a, b in zip(*doubts, strict=True))
        age = sums.end - self._performance.rows["first_end"][models]
        self._performance.learn(sums, doubted, firing)
        self._calibration.learn(scored, age, doubted, firing)
        return [(alarm.model, alarm.alertname) for alarm in alarms]


def _empty(models: Indices, end: float, seconds: NDArray[np.float64]) -> tuple[Sums, Scored]:
    """The sums of a cohort before any case is in it."""
    k = len(models)
    sums = Sums(models, np.full(k, end), seconds, np.zeros((k, len(MEASURES), 2)))
    return sums, Scored.of(models, end, seconds)


def _pools(demo: DemoFleet, fault: Fault, rng: np.random.Generator) -> tuple[Cases, Cases]:
    """Cases of the fault's model with what came of them: as ever, and under the fault."""
    row = demo.row(fault.model)
    hashes = np.array([class_hash(label) for label in demo.models[row].labels], np.uint64)
    pools = []
    for at in (np.full(_CASES, demo.start), rng.uniform(fault.began, fault.ended, _CASES)):
        drawn = demo.press.draw(np.full(_CASES, row), at, rng)
        cases = blank(_CASES)
        cases["score"], cases["predicted"] = drawn.scores / SCORES, hashes[drawn.labels]
        cases["outcome"], cases["has"] = hashes[1 - drawn.people.merits.astype(np.int64)], HAS_OUTCOME
        pools.append(cases)
    return pools[0], pools[1]
