"""What becomes of classes and tags beyond the most that are compared? Frequent ones take the place of the rarest.

As long as there is room an output is compared from its first event on. What is turned away from then on is counted in
a small sketch of its model (:mod:`monitor.groups.frequent`). Before the first tick of the next day (UTC) closes, the
rarest that are compared give their rows to what came more than twice as often.

**What is sure.** Of ``n`` that a model turned away in a day, let ``v`` be how often the rarest output came that may be
given up. What came more than ``max(2 v, 10) + n / 257`` times is compared from then on, a second such output if the
second rarest has it so, and so on. A sketch has 256 counters, whatever a model says.

**Nothing is carried over.** Counts, rates and evidence of a row that changes hands begin anew, and its past is not told
any more. So an output stays that fires, is under suspicion, or stands on a list of tags; and for a week one that took
the place of another, so that two of them do not take turns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.models import Models
from monitor.catalog.rows import Field, Rows
from monitor.groups.comparing import Comparer
from monitor.groups.frequent import Frequent
from monitor.groups.questions import Kind
from monitor.groups.register import Register
from monitor.groups.sums import OpenTicks
from monitor.kernels.hashing import hash64
from monitor.kernels.judge import IDLE, SUSPICIOUS

COUNTERS = 256
TIMES = 2.0
"""By how much more often something must come than what it takes the place of."""
LEAST = 10.0
"""So often it must come in a day, however rare the other is."""
DAY_SECONDS = 86400.0
STAYS_SECONDS = 7 * DAY_SECONDS
FIELDS = {"before": Field(np.float64, still=True), "took": Field(np.float64, (), -np.inf, still=True)}
"""By row of an output: how often it had come when its model began to turn others away today; since which midnight its
row is its own, -inf where it always was."""

Array = NDArray[np.float64]
Rows64 = NDArray[np.int64]
Key = tuple[int, int]
"""A kind, and the hash of what it is called."""
Said = dict[int, list[tuple[int, str, int]]]
"""By day the kind, name and count of what is in a sketch."""


@dataclass(slots=True)
class Day:
    """What a model turned away on a day, and what the keys of that are called."""

    counts: Frequent[Key] = field(default_factory=lambda: Frequent(COUNTERS))
    names: dict[Key, str] = field(default_factory=dict)


class Crowded:
    """Models that have more outputs than are compared, and who of these is to be compared."""

    def __init__(self, models: Models, register: Register, comparer: Comparer, sums: OpenTicks) -> None:
        self._models, self._register, self._comparer, self._sums = models, register, comparer, sums
        self.rows = Rows(FIELDS)
        self.days: dict[int, dict[int, Day]] = {}
        """By model row and day (a number since the epoch), of those that turned anything away."""
        self.changed: set[int] = set()
        """Models whose day is another than when it was last stored."""

    def turned_away(self, model: int, kind: Kind, text_hash: int, end: float, name: Callable[[], str]) -> None:
        """Count one output that there was no room for, in a tick that ends at ``end``; ``name`` says what it is."""
        days = self.days.setdefault(model, {})
        if not days:
            self._begin(model)
        day = days.setdefault(_day_of(end), Day())
        key = (int(kind), text_hash)
        if day.counts.add(key):
            day.names[key] = name()
            if len(day.names) > 2 * COUNTERS:
                day.names = {key: day.names[key] for key in day.counts}
        self.changed.add(model)

    def turn(self, end: float) -> None:
        """Before the tick that ends at ``end`` is closed: let rows change hands in models whose day is over."""
        number = _day_of(end)
        for model in sorted(model for model, days in self.days.items() if min(days) < number):
            days = self.days[model]
            for day in [days.pop(each) for each in sorted(days) if each < number]:
                self._hand_over(model, day, end)
            if days:
                self._begin(model)
            else:
                del self.days[model]
            self.changed.add(model)

    def took(self, outputs: Sequence[int]) -> list[float]:
        """From when on the rows of ``outputs`` are theirs; -inf of those that always were."""
        return [float(self.rows["took"][output]) if output < len(self.rows) else -np.inf for output in outputs]

    def said(self, model: int) -> Said:
        """The days of a model for :meth:`restore`."""
        return {
            number: [(key[0], day.names[key], n) for key, n in day.counts.items()]
            for number, day in self.days[model].items()
        }

    def restore(self, model: int, said: Said) -> None:
        """Go on with the days that :meth:`said` told of."""
        days = self.days[model] = {}
        for number, told in said.items():
            found = [((kind, hash64(name.encode())), name, n) for kind, name, n in told]
            counts = Frequent(COUNTERS, ((key, n) for key, _, n in found))
            days[number] = Day(counts, {key: name for key, name, _ in found})

    def _begin(self, model: int) -> None:
        """Note how often what is compared came until now."""
        self._extend()
        own = np.array(self._register.of(model).outputs, np.int64)
        self.rows["before"][own] = self._came(model)[own]
        self.rows.touch(own)

    def _hand_over(self, model: int, day: Day, end: float) -> None:
        self._extend()
        self._comparer.extend()
        tick = float(self._models.rows["tick"][model])
        born = (math.floor(end / tick) + 1.0) * tick
        for kind in (Kind.CLASS, Kind.TAG):
            come = sorted((-n, key[1], day.names[key]) for key, n in day.counts.items() if key[0] == kind)
            come = [each for each in come if self._register.find_output(model, kind, each[2]) < 0]
            given_up: list[int] = []
            for (less, _, name), (rare, _, output) in zip(come, self._rarest(model, kind, end), strict=False):
                if -less <= max(TIMES * rare, LEAST):
                    break
                self._comparer.state.reset(self._register.hand_over(output, name, born))
                self.rows["took"][output] = (_day_of(end) - 1) * DAY_SECONDS
                self.rows.touch(output)
                given_up.append(output)
            if given_up:
                self._let_go(given_up)

    def _rarest(self, model: int, kind: Kind, end: float) -> list[tuple[float, int, int]]:
        """Outputs that may be given up: how often each came today, its key and its row, the rarest first."""
        register, listed = self._register, self._listed(model)
        today = self._came(model) - self.rows["before"][: len(register.outputs)]
        own = [output for output in register.of(model).outputs if register.outputs["kind"][output] == kind]
        own = [output for output in own if self.rows["took"][output] <= end - STAYS_SECONDS]
        busy = set(register.cells["output"][self._under_way()].tolist())
        return sorted(
            (float(today[output]), int(register.outputs["key"][output]), output)
            for output in own
            if output not in busy and register.output_names[output] not in listed
        )

    def _under_way(self) -> Rows64:
        """The cells that fire, or are under suspicion."""
        state, n = self._comparer.state, len(self._register.cells)
        return np.flatnonzero((state["firing"][:n] != IDLE) | (state["suspicion"][:n] > SUSPICIOUS))

    def _listed(self, model: int) -> set[str]:
        policy = self._models.items[model].policy
        return {tag for list_ in (*policy.watch_tags, *policy.roll_ups) for tag in list_.tags}

    def _came(self, model: int) -> Array:
        """By row of an output, in how many events it was, as the attribute has it that most of them name."""
        register, t = self._register, self._register.tallies
        rows = register.layouts.of(model).rows
        group = register.members["group"][t["member"][rows]]
        own = ~register.crossed(group)
        rows, attribute = rows[own], register.groups["attribute"][group[own]]
        came = np.zeros(len(register.outputs))
        for each in np.unique(attribute).tolist():
            some = rows[attribute == each]
            came = np.maximum(came, np.bincount(t["output"][some], t["total"][some, 1], len(came)))
        return came

    def _let_go(self, outputs: Iterable[int]) -> None:
        """Forget what open ticks hold of rows that were another's."""
        tallies = self._register.tallies
        for end in self._sums.ends():
            held = self._sums.take(end)
            kept = ~np.isin(tallies["output"][held.row], list(outputs))
            self._sums.add(np.full(int(kept.sum()), end), held.row[kept], held.n[kept], held.s[kept])

    def _extend(self) -> None:
        if len(self.rows) < len(self._register.outputs):
            self.rows.add(len(self._register.outputs) - len(self.rows))


def _day_of(end: float) -> int:
    """The day to which a tick belongs that ends then: at midnight, the one that is over."""
    return math.ceil(end / DAY_SECONDS)
