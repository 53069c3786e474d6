"""Which of the planted faults can the traffic show? Named before anything is judged.

Some cases of each model under its fault go through the decoder and the tally of a fleet of their own, so the planner
knows what share each cell would see. A bet on a shift of d logits beyond the edge of a cell's null then gains
``p d - cost`` nats an event in the mean, with variance ``d^2 p (1 - p)``, and has to make up for the cell's budget of
one tick. So the evidence at the fault's end is about normal, and the chance to be told is the chance that the best bet
of the best cell has enough of it by then. Faults in traffic, in what groups get or are like, and in outcomes have
planners of their own, which play them: ``demo_rehearsal.py``, ``demo_plan_outcomes.py`` and ``demo_plan_apart.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from monitor.budget import Crowd
from monitor.cells import question
from monitor.detectors import DETECTORS
from monitor.events.columns import EventBatch
from monitor.fleet import Fleet
from monitor.ingest.demo import DemoFleet
from monitor.ingest.demo_faults import OF_FEATURES_BY_GROUP, OF_GROUPS, OF_OUTCOMES, OF_TRAFFIC, Fault
from monitor.ingest.demo_plan_apart import features_by_group
from monitor.ingest.demo_plan_outcomes import outcomes
from monitor.ingest.demo_rehearsal import groups, traffic
from monitor.kernels.judge import OFF
from monitor.stats.dispersion import MARGIN, PRIOR

CHANCE_MIN = 0.9
"""The least chance to be told with which a fault counts as one that the traffic can show."""
_CASES = 2000
"""Events of each fault from which its shares are known."""
_MODELS_ASKED = 8
"""Of what hits many models, so many are looked at."""

Counts = NDArray[np.uint32]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Outlook:
    """A fault, how many cases the model that shows it best is asked about meanwhile, and the chance to be told."""

    fault: Fault
    events: float
    chance: float

    @property
    def visible(self) -> bool:
        """Whether the traffic can show it."""
        return self.chance >= CHANCE_MIN


def plan(demo: DemoFleet, scratch: Fleet, decode: Callable[[Sequence[bytes]], EventBatch]) -> tuple[Outlook, ...]:
    """The outlook of each fault of ``demo``, in their order.

    Parameters
    ----------
    demo
        The fleet that will be judged.
    scratch
        An empty fleet under the same configuration; it is used up.
    decode
        The decoder that the demo's events go through.
    """
    elsewhere = OF_TRAFFIC | OF_GROUPS | OF_OUTCOMES | OF_FEATURES_BY_GROUP
    of_series = [fault for fault in demo.faults if fault.kind not in elsewhere]
    counts = _counted(demo, of_series, scratch, decode)
    outlooks = {fault: _outlook(fault, demo, scratch, counts) for fault in of_series}
    cells, of_drift = (scratch.judge.n_cells[share] / max(len(scratch.models), 1) for share in ("quality", "drift"))
    of_traffic, of_groups, of_outcomes, of_features = (
        [fault for fault in demo.faults if fault.kind in kinds]
        for kinds in (OF_TRAFFIC, OF_GROUPS, OF_OUTCOMES, OF_FEATURES_BY_GROUP)
    )
    for faults, chances in (
        (of_traffic, traffic(demo, of_traffic, scratch, cells)),
        (of_groups, groups(demo, of_groups, scratch)),
        (of_outcomes, outcomes(demo, of_outcomes, scratch)),
        (of_features, features_by_group(demo, of_features, scratch, of_drift)),
    ):
        for fault, chance in zip(faults, chances, strict=True):
            outlooks[fault] = Outlook(fault, demo.events_within(fault.model, fault.began, fault.ended), chance)
    return tuple(outlooks[fault] for fault in demo.faults)


def _counted(
    demo: DemoFleet, faults: Sequence[Fault], scratch: Fleet, decode: Callable[[Sequence[bytes]], EventBatch]
) -> dict[str, Counts]:
    """What the cells of the models that ``faults`` hit would see, as counts of some cases of each."""
    rng = np.random.default_rng(0)
    for fault in faults:
        for name in fault.models[:_MODELS_ASKED]:
            model, at = np.full(_CASES, demo.row(name)), rng.uniform(fault.began, fault.ended, _CASES)
            values = demo.press.write(model, np.full(_CASES, fault.began), demo.press.draw(model, at, rng), 0)
            scratch.absorb(decode(values), np.zeros(_CASES, bool))
    return {
        scratch.models.items[model].name: closed.counts[start + 1 : start + size]
        for closed in scratch.close(np.inf).ticks
        for model, start, size in zip(*(a.tolist() for a in (closed.models, closed.starts, closed.sizes)), strict=True)
    }


def _outlook(fault: Fault, demo: DemoFleet, scratch: Fleet, counts: dict[str, Counts]) -> Outlook:
    best = Outlook(fault, 0.0, 0.0)
    for name in fault.models[:_MODELS_ASKED]:
        events = demo.events_within(name, fault.began, fault.ended)
        outlook = Outlook(fault, events, _chance(fault, name, scratch, counts[name], events, len(demo.models)))
        best = max(best, outlook, key=lambda seen: seen.chance)
    return best


def _chance(fault: Fault, name: str, scratch: Fleet, counts: Counts, events: float, models: int) -> float:
    """The chance that one of the model's cells that can tell of ``fault`` does, after ``events``."""
    model = scratch.find_model(name)
    assert model is not None
    judge, series = scratch.judge, scratch.series
    rows = scratch.lives.series_rows(model)
    wanted = np.array([series.names[row] in fault.features for row in rows.tolist()])
    rows, told = rows[wanted], counts[wanted].astype(np.float64)
    view, tick = judge.view(rows), scratch.models.rows["tick"][np.full(len(rows), model)]
    best = 0.0
    for detector in DETECTORS:
        state, asked = judge.states[detector.name], question(detector)
        tells = np.isin([detector.alertname(space) for space in view.space.tolist()], fault.alertnames)
        place = np.flatnonzero((state["applies"][rows] > 0) & tells)
        shares = detector.shares(told, view)
        # The scratch fleet has only the models that are hit; the real one shares its budget among all.
        n_fleet = judge.n_cells[detector.share] * models // max(len(scratch.models), 1)
        crowd = Crowd.of(detector.share, n_fleet, scratch.models)
        allowance = judge.budget.allowance(detector.share, crowd, np.full(len(rows), model), tick)
        allowance = judge.weight(detector, rows) * allowance
        for i in place[shares.n[place] > 0].tolist():
            p = np.minimum(shares.s[i] / shares.n[i], 1.0)
            seen = events * float(shares.n[i]) / _CASES
            cost = state["cost"][rows[i]].astype(np.float64).reshape(detector.cuts, -1, len(asked.shifts))
            shifts = np.array([1.0, -1.0])[: cost.shape[1], None] * np.array(asked.shifts)
            # A cell that has never varied is taken to clump until it has shown that it does not.
            clumped = (
                PRIOR if not state["reference_share"][rows[i]].any() else max(float(state["wander"][rows[i]]), 1.0)
            )
            bets = _Bets(p[:, None, None], shifts, cost, 1.0 / (MARGIN * clumped))
            best = max(best, bets.chance(seen, float(np.log(allowance[i]))))
    return best


@dataclass(frozen=True, slots=True)
class _Bets:
    """A cell's bets, (cuts, sides, shifts): the share that each sees, its shift and cost; and the tempering."""

    share: Floats
    shift: Floats
    cost: Floats
    tempering: float

    def chance(self, n: float, log_budget: float) -> float:
        """The best one's chance to have made up for the budget after ``n`` events."""
        active = self.cost < OFF
        needed = np.log(max(int(active.sum()), 1)) - log_budget
        gain = self.tempering * n * (self.share * self.shift - np.where(active, self.cost, 0.0))
        variance = np.maximum(self.share * (1.0 - self.share), 1e-4)
        spread = self.tempering * np.abs(self.shift) * np.sqrt(n * variance)
        return float(np.where(active, special.ndtr((gain - needed) / np.maximum(spread, 1e-9)), 0.0).max())
