"""Do a model's lists stand still? The same ones for everybody, or the items of the day before, for longer than ever.

Rankings and tags have no bins, so nothing of them drifts or is stuck as a series is: docs/detectors/stuck.md.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from monitor.budget import Budget, Crowd
from monitor.catalog.models import SHARES, Models
from monitor.catalog.rows import Field, Rows
from monitor.conduct.alarm import ConductAlarm, Conducted, Listed
from monitor.conduct.evidence import NATS_MAX, go_on
from monitor.conduct.served import DAY, Hour, Served
from monitor.conduct.shares import Share
from monitor.conduct.stretches import CHANGES_MIN, EVENTS_MIN, SECONDS_MIN, STUCK, UNSEEN_TICKS
from monitor.events.columns import EventBatch
from monitor.kernels.judge import FIRING, HELD, IDLE, OVER

SHARE, SEVERITY = "quality", "warning"
ALIKE, UNCHANGED = "stuck.alike", "stuck.unchanged"
"""The two cells of a model, both of detector ``stuck``: all get the same lists; they are those of the day before."""
LOW = 0.5
"""The part of what is usual at which an hour is still: far beyond what 32 or 64 hashes are wrong by."""
NEW_MIN = 0.02
"""Share of an hour's items that are usually new, below which nobody could tell that none is."""
_TIMES_MAX = 4.0
"""Stretches so many times as long as the longest are not taken for usual, once they are judged."""
_OCTAVES = 24
_LN10 = math.log(10.0)

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.int64]

_CELL = {
    "applies": Field(np.uint8, still=True),
    "firing": Field(np.uint8, (), IDLE),
    "first": Field(np.float64, (), np.nan, still=True),
    "run_events": Field(np.float32),
    "run_seconds": Field(np.float32),
    "longest_events": Field(np.float32, still=True),
    "longest_seconds": Field(np.float32, still=True),
    "events": Field(np.float64),
    "hours": Field(np.int32),
    "before": Field(np.float32),
    "now": Field(np.float32),
    "log_r": Field(np.float32, (1,), -np.inf),
    "evidence": Field(np.float32, (), -np.inf),
    "alarmed": Field(np.float64, (), np.nan),
    "last_bad": Field(np.float64, (), np.nan),
}
"""One cell of a model: ``run_*`` measure the stretch of still hours that runs, ``longest_*`` that of the reference.

``hours`` and ``events`` are those of the reference, ``before`` and ``now`` the shares that the last hour was judged by.
"""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What an hour says to one question: a share ``now`` of ``before``, where ``known``; all ``(k,)``."""

    known: Flags
    before: Array
    now: Array


class _Question(ABC):
    """The cells of one question, by model row; what hours say to it is its heirs' to know."""

    name: str
    more: ClassVar[dict[str, Field]]

    def __init__(self, models: Models, served: Served, budget: Budget, cells: dict[str, float]) -> None:
        self.models = models
        self.rows = Rows({**_CELL, **self.more})
        self._served = served
        self._budget = budget
        self._weight = budget.weight(SEVERITY)
        self._cells = cells
        self._ready: list[Indices] = []

    def count(self, hour: Hour, judged: Flags, end: float) -> Conducted:
        """Judge the models ``judged`` of an ``hour`` that is over, in the tick that closes at ``end``, and learn."""
        self.extend()
        state, models = self.rows, hour.models
        fresh = models[np.isnan(state["first"][models])]
        state["first"][fresh] = hour.end
        seen = self._see(hour)
        at = judged & seen.known
        own, events, seconds = models[at], hour.events[at], hour.seconds[at]
        still = seen.now[at] <= LOW * seen.before[at]
        state["before"][own], state["now"][own] = seen.before[at], seen.now[at]
        longest_events, longest_seconds = self._longest(own, seconds)
        goes_on = still & (state["run_seconds"][own] > 0)
        self._learn_stretch(own[~still], hour.end, longest_events[~still], longest_seconds[~still])
        for unit, by in (("events", events), ("seconds", seconds)):
            run = state[f"run_{unit}"]
            run[own] = np.where(still, run[own] + by, 0.0)
        nats = np.minimum(np.minimum(events / longest_events, seconds / longest_seconds), NATS_MAX)
        out = self._bet(own, np.where(goes_on, nats, -np.inf), end, seconds)
        self._learn(hour, judged)
        state.touch(models)
        return out

    def begin(self) -> None:
        """Begin to judge those that were ready, once the allowances of the tick are all handed out."""
        for ready in self._ready:
            begun = ready[self.rows["applies"][ready] == 0]  # two hours may have closed at once
            self.rows["applies"][begun] = 1
            self._count(begun, 1)
        self._ready.clear()

    def end(self, models: Indices) -> list[tuple[int, str]]:
        """Forget the cells of ``models``; returns those that may have fired."""
        self.extend()
        self._count(models[self.rows["applies"][models] > 0], -1)
        fired = models[self.rows["firing"][models] != IDLE]
        self.rows.reset(models)
        return [(model, self.name) for model in fired.tolist()]

    def known(self, model: int) -> Share | None:
        """What there is to show of the cell of one model; ``None`` where it is not judged."""
        state = self.rows
        if model >= len(state) or not state["applies"][model]:
            return None
        one = np.array([model])
        tick = np.maximum(self.models.rows["tick"][one], 3600.0)
        return Share(
            STUCK,
            bool(state["firing"][model] == FIRING),
            float(state["before"][model]),
            float(state["now"][model]),
            float(state["run_seconds"][model]),
            float(self._longest(one, tick)[1][0]),
            float(state["evidence"][model]),
            unit="seconds",
        )

    def restored(self) -> None:
        """Count the cells, after the tables were loaded and all others were counted."""
        self.extend()
        self._count(np.flatnonzero(self.rows["applies"][: len(self.rows)]), 1)

    def extend(self) -> None:
        """Make room for models that are new."""
        missing = len(self.models) - len(self.rows)
        if missing > 0:
            self.rows.add(missing)

    @abstractmethod
    def _see(self, hour: Hour) -> _Seen: ...

    @abstractmethod
    def _take_in(self, hour: Hour, at: Flags) -> None:
        """Let the models ``at`` of an ``hour`` into their references."""
        ...

    @abstractmethod
    def _compared(self, seconds: Array) -> Array:
        """How long what is compared with another lasts, in seconds: no reference knows anything shorter."""
        ...

    @abstractmethod
    def _watched(self, models: Indices) -> Array:
        """How long ``models`` must be watched before they are judged, in seconds."""
        ...

    @abstractmethod
    def _varies(self, models: Indices) -> Flags:
        """Whether a standstill of ``models`` could be told from what is usual."""
        ...

    def _longest(self, models: Indices, seconds: Array) -> tuple[Array, Array]:
        """The stretches that are usual at most, in events and in seconds; shapes ``(k,)``."""
        state, unseen = self.rows, UNSEEN_TICKS * self._compared(seconds)
        usual = state["events"][models] / np.maximum(state["hours"][models], 1) * unseen / seconds
        events = np.maximum(np.maximum(state["longest_events"][models], usual), 1.0)
        return events, np.maximum(state["longest_seconds"][models].astype(np.float64), unseen)

    def _young(self, models: Indices, end: float) -> Flags:
        learns = np.maximum(self.models.rows["learn_for"][models], self._watched(models))
        young: Flags = end - self.rows["first"][models] <= learns
        return young

    def _learn_stretch(self, models: Indices, end: float, longest_events: Array, longest_seconds: Array) -> None:
        """The stretches of ``models`` end, and are usual while a reference is made, unless they were suspicious."""
        state = self.rows
        times = np.minimum(state["run_events"][models] / longest_events, state["run_seconds"][models] / longest_seconds)
        usual = self._young(models, end) & (times <= _TIMES_MAX) & (state["firing"][models] == IDLE)
        models = models[(state["applies"][models] == 0) | usual]
        for unit in ("events", "seconds"):
            longest = state[f"longest_{unit}"]
            longest[models] = np.maximum(longest[models], state[f"run_{unit}"][models])

    def _learn(self, hour: Hour, judged: Flags) -> None:
        state, models, end = self.rows, hour.models, hour.end
        calm = self._young(models, end) & (state["run_seconds"][models] == 0) & (state["firing"][models] == IDLE)
        waiting = judged & (state["applies"][models] == 0)
        learning = judged & (calm | waiting)
        own = models[learning]
        state["events"][own] += hour.events[learning]
        state["hours"][own] += 1
        self._take_in(hour, learning)
        own = models[waiting]
        ready = (state["events"][own] >= EVENTS_MIN) & (state["hours"][own] >= CHANGES_MIN)
        ready &= (end - state["first"][own] >= self._watched(own)) & self._varies(own)
        self._ready.append(own[ready])

    def _bet(self, models: Indices, nats: Array, end: float, seconds: Array) -> Conducted:
        state, policy = self.rows, self.models.rows
        own = state["applies"][models] > 0
        models, nats, seconds = models[own], nats[own], seconds[own]
        out = Conducted(n_cells=len(models))
        if not len(models):
            return out
        crowd = Crowd.of(SHARE, self._cells[SHARE], self.models)
        allowance = self._weight * self._budget.allowance(SHARE, crowd, models, seconds)
        self._budget.spend(SHARE, SEVERITY, allowance, crowd, models)
        hold, keep = policy["hold"][models], policy["keep_firing"][models]
        flags, evidence = go_on(state, models, nats, allowance, end, hold, keep)
        for j in np.flatnonzero(flags & HELD).tolist():
            out.alarms.append(self._alarm(int(models[j]), float(evidence[j]) / _LN10, end, float(seconds[j])))
        out.cleared = [(model, self.name) for model in models[(flags & OVER) > 0].tolist()]
        return out

    def _alarm(self, model: int, log10: float, end: float, seconds: float) -> ConductAlarm:
        state, one = self.rows, np.array([model])
        part = "ranking" if self._served.ranks(model) else "tags"
        lasted = float(state["run_seconds"][model])
        return ConductAlarm(
            model=model,
            series=-1,
            detector=STUCK,
            before=float(state["longest_seconds"][model]),
            now=lasted,
            effect=lasted,
            tolerance=float(self._longest(one, np.array([seconds]))[1][0]),
            evidence_log10=log10,
            onset_time=end - lasted,
            fired_time=end,
            events=float(state["run_events"][model]),
            listed=Listed(part, self.name, float(state["before"][model]), float(state["now"][model])),
        )

    def _count(self, models: Indices, sign: int) -> None:
        self._cells[SHARE] += sign * self._weight * len(models)
        self.models.rows["n_cells"][models, SHARES.index(SHARE)] += sign * self._weight


class _Alike(_Question):
    """Does everybody get the same lists? Different ones among an hour's, against the fewest of hours as busy."""

    name = ALIKE
    more: ClassVar = {"least": Field(np.float32, (_OCTAVES,), np.inf, still=True)}

    def _see(self, hour: Hour) -> _Seen:
        # More events have no fewer different lists: an hour is held to the fewest of any that was no busier.
        least = self.rows["least"][hour.models].astype(np.float64)
        quieter = np.arange(_OCTAVES) <= _octave(hour.events)[:, None]
        usual = np.where(quieter & np.isfinite(least), least, 0.0).max(axis=1)
        return _Seen(usual > 0, usual / hour.events, np.minimum(hour.lists / hour.events, 1.0))

    def _take_in(self, hour: Hour, at: Flags) -> None:
        np.minimum.at(self.rows["least"], (hour.models[at], _octave(hour.events)[at]), hour.lists[at])

    def _compared(self, seconds: Array) -> Array:
        return seconds

    def _watched(self, models: Indices) -> Array:
        return np.full(len(models), SECONDS_MIN)

    def _varies(self, models: Indices) -> Flags:
        least = self.rows["least"][models]
        varies: Flags = np.where(np.isfinite(least), least, 0.0).max(axis=1) >= 1.0 / LOW
        return varies


class _Unchanged(_Question):
    """Are they the items of the day before? New ones among those of an hour, against those of the reference."""

    name = UNCHANGED
    more: ClassVar = {"asked": Field(np.float64), "new": Field(np.float64)}

    def _see(self, hour: Hour) -> _Seen:
        usual = self._usual(hour.models)
        return _Seen((usual > 0) & (hour.asked > 0), usual, hour.new / np.maximum(hour.asked, 1.0))

    def _take_in(self, hour: Hour, at: Flags) -> None:
        for name, by in (("asked", hour.asked), ("new", hour.new)):
            self.rows[name][hour.models[at]] += by[at]

    def _compared(self, seconds: Array) -> Array:
        return np.maximum(seconds, DAY)

    def _watched(self, models: Indices) -> Array:
        cycle: Array = self.models.rows["cycle"][models]
        return cycle

    def _varies(self, models: Indices) -> Flags:
        return self._usual(models) >= NEW_MIN

    def _usual(self, models: Indices) -> Array:
        usual: Array = self.rows["new"][models] / np.maximum(self.rows["asked"][models], 1.0)
        return usual

    def blind(self, model: int) -> bool:
        """Whether the model was watched for long enough, and yet its items are so old that nothing could be seen."""
        state, one = self.rows, np.array([model])
        if model >= len(state) or state["applies"][model] or not state["asked"][model] > 0:
            return False
        age = self.models.rows["last_time"][model] - state["first"][model]
        return bool(age >= self._watched(one)[0] and not self._varies(one)[0])


def _octave(events: Array) -> Indices:
    return np.minimum(np.log2(np.maximum(events, 1.0)).astype(np.int64), _OCTAVES - 1)


class Lists:
    """What all models serve, and the two cells of each that serves lists."""

    def __init__(self, models: Models, budget: Budget, cells: dict[str, float]) -> None:
        """``cells`` counts the cells of each share in the fleet; these are added to it."""
        self.models = models
        self.served = Served(models)
        self.unchanged = _Unchanged(models, self.served, budget, cells)
        self.questions = (_Alike(models, self.served, budget, cells), self.unchanged)

    def note(self, batch: EventBatch, model: NDArray[np.int32], base: NDArray[np.int32]) -> None:
        """Take in the lists of a batch's events that are counted: those whose ``base`` is not -1."""
        self.served.note(batch, model, base)

    def close(self, end: float) -> Conducted:
        """Judge the hours that are over at ``end``."""
        out = Conducted()
        for hour in self.served.over(end):
            judged = ~self.models.planned(hour.models, hour.end, hour.seconds)
            for question in self.questions:
                out.add(question.count(hour, judged, end))
        return out

    def begin(self) -> None:
        """Begin to judge what is known by now, once the allowances of the tick are all handed out."""
        for question in self.questions:
            question.begin()

    def end(self, models: Indices) -> list[tuple[int, str]]:
        """Forget what ``models`` served, and their cells; returns those that may have fired."""
        self.served.end(models)
        return [cell for question in self.questions for cell in question.end(models)]

    def known(self, model: int) -> list[Share]:
        """What there is to show of the cells of one model that are judged."""
        return [known for question in self.questions if (known := question.known(model)) is not None]

    def restored(self) -> None:
        """Put in order what follows from the tables, after they were loaded and all other cells were counted."""
        self.served.restored()
        for question in self.questions:
            question.restored()

    def tables(self) -> dict[str, Rows]:
        """What must be stored, by name."""
        return {"conduct.served": self.served.rows, **{f"conduct.{q.name}": q.rows for q in self.questions}}
