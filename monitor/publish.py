"""Paints the frozen picture of the fleet for the web, and lets other threads ask the loop for details."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from queue import Empty, SimpleQueue
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from monitor.clock import Clock
from monitor.compose import make_fleet, program_version
from monitor.config import Config
from monitor.detectors import DETECTORS
from monitor.drill.findings import Drilled
from monitor.fleet import Fleet
from monitor.groups.codes import codes
from monitor.groups.shown import impact_ratios
from monitor.incidents.order import Order, Outcome
from monitor.portrait import model_document, model_states
from monitor.status import Check, ClusterView, DriftingFeature, DrilledModel, History, ImpactRatio, Status
from monitor.status import Fleet as FleetColumns

_ANSWER_SECONDS = 5.0
_NO_CHECKS: Mapping[str, Check] = MappingProxyType({})


_Answer = TypeVar("_Answer")


class _Question(Generic[_Answer]):
    """Something that another thread wants of what only the loop may touch."""

    def __init__(self, asked: str | tuple[str, str] | Order) -> None:
        self.asked = asked
        self._done = threading.Event()
        self._answer: _Answer | None = None

    def answer(self, answer: _Answer | None) -> None:
        """The loop has it."""
        self._answer = answer
        self._done.set()

    def wait(self) -> _Answer | None:
        """What the loop said; raises ``TimeoutError`` when it does not answer."""
        if not self._done.wait(_ANSWER_SECONDS):
            raise TimeoutError(f"the loop did not answer within {_ANSWER_SECONDS:g} s")
        return self._answer


class LoopDesk:
    """Where other threads ask: the newest picture at once, details and orders on the loop's next turn."""

    def __init__(
        self,
        first: Status,
        exhibit: Callable[[str], bytes | None] = lambda _digest: None,
        *,
        keeps_past: bool = True,
    ) -> None:
        """``exhibit`` says, on any thread, what an incident names by a digest; ``keeps_past`` as :class:`Desk` says."""
        self.keeps_past = keeps_past
        self._status = first
        self._exhibit = exhibit
        self._questions: SimpleQueue[_Question[dict[str, Any]]] = SimpleQueue()
        self._codes: SimpleQueue[_Question[dict[str, Any]]] = SimpleQueue()
        self._drills: SimpleQueue[_Question[Callable[[], dict[str, Any]]]] = SimpleQueue()
        self._histories: SimpleQueue[_Question[Callable[[float, float], History]]] = SimpleQueue()
        self._orders: SimpleQueue[_Question[Outcome]] = SimpleQueue()

    def status(self) -> Status:
        """The newest published picture."""
        return self._status

    def publish(self, status: Status) -> None:
        """Replace the picture."""
        self._status = status

    def model_detail(self, model: str) -> dict[str, Any] | None:
        """Ask the loop; raises ``TimeoutError`` when it does not answer."""
        question = _Question[dict[str, Any]](model)
        self._questions.put(question)
        return question.wait()

    def group_codes(self, model: str) -> dict[str, Any] | None:
        """Ask the loop; raises ``TimeoutError`` when it does not answer."""
        question = _Question[dict[str, Any]](model)
        self._codes.put(question)
        return question.wait()

    def drill(self, model: str) -> Callable[[], dict[str, Any]] | None:
        """Ask the loop for a drill with its own copies; raises ``TimeoutError`` when it does not answer."""
        question = _Question[Callable[[], dict[str, Any]]](model)
        self._drills.put(question)
        return question.wait()

    def history(self, model: str, segment: str = "") -> Callable[[float, float], History] | None:
        """Ask the loop for what must be known to read it; raises ``TimeoutError`` when it does not answer."""
        question = _Question[Callable[[float, float], History]]((model, segment))
        self._histories.put(question)
        return question.wait()

    def exhibit(self, digest: str) -> bytes | None:
        """Read it where it is kept, which any thread may; never blocks for the loop."""
        return self._exhibit(digest)

    def order(self, order: Order) -> Outcome:
        """Have the loop carry out ``order``; raises ``TimeoutError`` when it does not answer, and may do it yet."""
        question = _Question[Outcome](order)
        self._orders.put(question)
        return question.wait() or Outcome(found=False)

    def answer(
        self,
        find: Callable[[str], dict[str, Any] | None],
        prepare: Callable[[str], Callable[[], dict[str, Any]] | None] = lambda _model: None,
        decipher: Callable[[str], dict[str, Any] | None] = lambda _model: None,
        remember: Callable[[str, str], Callable[[float, float], History] | None] = lambda _model, _segment: None,
    ) -> None:
        """Answer every question; called by the loop. ``decipher`` says what is behind the codes of groups."""
        for history in _waiting(self._histories):
            assert isinstance(history.asked, tuple)
            history.answer(remember(*history.asked))
        for drill in _waiting(self._drills):
            assert isinstance(drill.asked, str)
            drill.answer(prepare(drill.asked))
        for questions, reply in ((self._questions, find), (self._codes, decipher)):
            for question in _waiting(questions):
                assert isinstance(question.asked, str)
                question.answer(reply(question.asked))

    def take_orders(self, carry_out: Callable[[Sequence[Order]], Sequence[Outcome]]) -> None:
        """Have all orders carried out at once, and tell what became of each; called by the loop."""
        waiting = list(_waiting(self._orders))
        if not waiting:
            return
        orders = [question.asked for question in waiting if isinstance(question.asked, Order)]
        for question, outcome in zip(waiting, carry_out(orders), strict=True):
            question.answer(outcome)


def _waiting(queue: SimpleQueue[_Question[_Answer]]) -> Iterator[_Question[_Answer]]:
    while True:
        try:
            yield queue.get_nowait()
        except Empty:
            return


class Painter:
    """Makes a :class:`~monitor.status.Status` of a fleet; belongs to the loop."""

    def __init__(self, fleet: Fleet, config: Config, mode: str, clock: Clock) -> None:
        self._fleet = fleet
        self._config = config
        self._mode = mode
        self._clock = clock
        self._started_at = clock.now()
        self.drilled = Drilled()
        """What fire drills found; nothing where none are done."""
        self._drilled: tuple[int, tuple[DrilledModel, ...]] = (0, ())
        self._known: tuple[int, ...] | None = None
        self._order: NDArray[np.int64] = np.zeros(0, np.int64)
        self._names: list[str] = []
        self._versions: list[str] = []
        self._teams: list[str] = []

    def status(self, watermark: float = -np.inf, *, ready: bool = False) -> Status:
        """The fleet as it is now."""
        now, budget, judge = self._clock.now(), self._config.budget, self._fleet.judge
        return Status(
            version=program_version(),
            mode=self._mode,
            started_at=self._started_at,
            published_at=now,
            watermark=watermark if np.isfinite(watermark) else None,
            ready=ready,
            loop_turned_at=now,
            checks=_NO_CHECKS,
            fleet=self._columns(),
            incidents=self._fleet.book.newest(),
            budget={
                "per_week": budget.false_alarms_per_week,
                "per_model_per_week": budget.per_model_per_week,
                "shares": judge.budget.shares,
                "teams": judge.budget.teams,
                "severities": judge.budget.severities,
                "spent": dict(judge.budget.spent),
                "spent_by_team": dict(judge.budget.spent_by_team),
                "spent_by_severity": dict(judge.budget.spent_by_severity),
                "cells": {share: round(cells, 3) for share, cells in judge.n_cells.items()},
            },
            config_hash=self._config.digest,
            config_loaded_at=self._started_at,
            drifting=self._drifting(),
            impact=self._impact(),
            drilled=self._of_drills(),
            opened=dict(self._fleet.book.opened),
        )

    def detail(self, name: str) -> dict[str, Any] | None:
        """The document of a model by its name."""
        row = self._fleet.find_model(name)
        if row is None:
            return None
        return model_document(self._fleet, row, int(model_states(self._fleet)[row]), self.drilled.of(row))

    def group_codes(self, name: str) -> dict[str, Any] | None:
        """What is behind the codes of a model's groups."""
        row = self._fleet.find_model(name)
        return None if row is None else {"model": name, "attributes": codes(self._fleet.groups, row)}

    def _columns(self) -> FleetColumns:
        models = self._fleet.models
        known = tuple(len(model.versions) for model in models.items)
        if known != self._known:
            # The web caches by identity of these lists: they are made anew only when they say something else.
            self._order = np.array(sorted(models.listed(), key=lambda i: models.items[i].name), np.int64)
            items = [models.items[i] for i in self._order.tolist()]
            self._names = [model.name for model in items]
            self._versions = [model.version for model in items]
            self._teams = [model.policy.team for model in items]
            self._known = known
        order, rows = self._order, models.rows
        return FleetColumns(
            names=self._names,
            versions=self._versions,
            teams=self._teams,
            state=model_states(self._fleet)[order],
            events=rows["events"][order],
            last_event_time=rows["last_time"][order],
            drift_ratio=_drift_ratios(self._fleet)[order],
        )

    def _drifting(self) -> tuple[DriftingFeature, ...]:
        return tuple(
            DriftingFeature(
                held.incident.model,
                (cell.feature or f"prediction {cell.output}") + (f" ({cell.segment})" if cell.segment else ""),
                cell.detector,
                cell.effect.value / max(cell.effect.tolerance, 1e-9),
            )
            for held in self._fleet.book.open.values()
            for cell in held.incident.cells
            if cell.attribute is None
        )

    def _impact(self) -> tuple[ImpactRatio, ...]:
        items = self._fleet.models.items
        return tuple(
            ImpactRatio(items[model].name, attribute, group, ratio)
            for model, attribute, group, ratio in impact_ratios(self._fleet.groups)
        )

    def _of_drills(self) -> tuple[DrilledModel, ...]:
        """What was found, made anew only when there was another drill."""
        drilled, items = self.drilled, self._fleet.models.items
        if drilled.n != self._drilled[0]:
            found = [DrilledModel(items[row].name, days, drilled.blind[row]) for row, days in drilled.slowest.items()]
            self._drilled = (drilled.n, tuple(found))
        return self._drilled[1]


class Gallery:
    """Puts the pictures of shards together into one; belongs to the loop."""

    def __init__(self, config: Config, mode: str, clock: Clock) -> None:
        self._empty = Painter(make_fleet(config), config, mode, clock).status()
        self._clock = clock
        self._of: list[Sequence[str]] = []
        self._order: NDArray[np.int64] = np.zeros(0, np.int64)
        self._named: tuple[list[str], list[str], list[str]] = ([], [], [])

    def merged(
        self,
        pictures: Sequence[Status],
        *,
        ready: bool = False,
        checks: Mapping[str, Check] = _NO_CHECKS,
        cluster: ClusterView | None = None,
    ) -> Status:
        """One picture of all ``pictures``, which may be none."""
        now = self._clock.now()
        said: dict[str, Any] = {"ready": ready, "checks": checks, "published_at": now, "loop_turned_at": now}
        if cluster is None and len(pictures) == 1:
            return replace(pictures[0], started_at=self._empty.started_at, **said)
        marks = [picture.watermark for picture in pictures]
        return replace(
            self._empty,
            watermark=None if not marks or None in marks else min(mark for mark in marks if mark is not None),
            fleet=self._fleet([picture.fleet for picture in pictures]),
            incidents=sorted((i for p in pictures for i in p.incidents), key=lambda i: (-i.fired_time, i.id)),
            budget={
                **self._empty.budget,
                "spent": _summed(self._empty.budget, pictures, "spent"),
                "spent_by_team": _summed(self._empty.budget, pictures, "spent_by_team"),
                "spent_by_severity": _summed(self._empty.budget, pictures, "spent_by_severity"),
                "cells": _summed(self._empty.budget, pictures, "cells"),
            },
            drifting=tuple(each for picture in pictures for each in picture.drifting),
            impact=tuple(each for picture in pictures for each in picture.impact),
            drilled=tuple(each for picture in pictures for each in picture.drilled),
            opened=sum((Counter(picture.opened) for picture in pictures), Counter[str]()),
            cluster=cluster,
            **said,
        )

    def _fleet(self, fleets: Sequence[FleetColumns]) -> FleetColumns:
        if not fleets:
            return self._empty.fleet
        names = [fleet.names for fleet in fleets]
        if len(names) != len(self._of) or any(new is not old for new, old in zip(names, self._of, strict=True)):
            # As in Painter: made anew only when they say something else.
            rows = [row for fleet in fleets for row in zip(fleet.names, fleet.versions, fleet.teams, strict=True)]
            self._order = np.array(sorted(range(len(rows)), key=lambda i: rows[i][0]), np.int64)
            first, second, third = zip(*(rows[i] for i in self._order.tolist()), strict=True) if rows else ((), (), ())
            self._named, self._of = (list(first), list(second), list(third)), names
        return FleetColumns(
            *self._named,
            *(np.concatenate([getattr(fleet, column) for fleet in fleets])[self._order] for column in _COLUMNS),
        )


_COLUMNS = ("state", "events", "last_event_time", "drift_ratio")


def _drift_ratios(fleet: Fleet) -> NDArray[np.float64]:
    """By model row: the largest effect of any of its cells over the cell's tolerance; NaN while none is judged."""
    ratios, series = np.full(len(fleet.models), np.nan), fleet.series.rows
    n = min(len(series), *(len(state) for state in fleet.judge.states.values()))
    for detector in DETECTORS:
        state = fleet.judge.states[detector.name]
        applies = np.flatnonzero(state["applies"][:n])
        ratio = state["effect"][applies] / np.maximum(state["tolerance"][applies], 1e-9)
        np.fmax.at(ratios, fleet.models.rows["root"][series["model"][applies]], ratio)
    return ratios


def _summed(empty: Mapping[str, Any], pictures: Sequence[Status], name: str) -> dict[str, float]:
    keys = dict.fromkeys(key for budget in (empty, *(picture.budget for picture in pictures)) for key in budget[name])
    return {key: sum(picture.budget[name].get(key, 0.0) for picture in pictures) for key in keys}
