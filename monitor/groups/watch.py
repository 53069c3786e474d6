"""Group comparisons as a whole: events are sorted and counted, ticks are closed and compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monitor.budget import Budget
from monitor.catalog.models import Models
from monitor.catalog.rows import Rows
from monitor.catalog.series import Series
from monitor.events.columns import EventBatch
from monitor.groups.anew import restart
from monitor.groups.comparing import Compared, Comparer
from monitor.groups.counting import Counter
from monitor.groups.crowded import Crowded
from monitor.groups.familiar import Familiar, Known
from monitor.groups.hours import Hours
from monitor.groups.people import People
from monitor.groups.privacy import Privacy
from monitor.groups.recalling import Recaller
from monitor.groups.register import Limits, Register
from monitor.groups.sorting import Sorter
from monitor.groups.sums import OpenTicks, TallySums
from monitor.kernels.tally import Entries

_TALLIES_AT_ONCE = 65_536
"""That are let into an hour between two breaths."""


@dataclass(frozen=True, slots=True)
class GroupRules:
    """What may be said of groups, and how many of them are told apart."""

    privacy: Privacy = field(default_factory=Privacy)
    limits: Limits = field(default_factory=Limits)
    people_max: int = 5_000_000
    """People that are remembered for a day, so that each counts once."""


class Groups:
    """Who is compared, what was counted of them, and what it says."""

    def __init__(self, models: Models, series: Series, budget: Budget, rules: GroupRules) -> None:
        self.privacy = rules.privacy
        self.register = Register(models, rules.limits)
        self.sorter = Sorter(models, series, self.register)
        self.sums = OpenTicks()
        self.hours = Hours()
        self.counter = Counter(models, series, self.register, self.sums)
        self.people = People(self.register, rules.people_max)
        self.familiar = Familiar(models, self.register, self.sorter, self.counter, self.people, self.sums)
        self.recaller = Recaller(models, self.register, self.sorter, self.familiar.said)
        self.comparer = Comparer(models, self.register, budget, rules.privacy.smallest_group, self.people.few)
        self.comparer.records = True
        self.known = Known.of_none()
        """Of the events that were counted last."""
        self.crowded = Crowded(models, self.register, self.comparer, self.sums)
        self.counter.turned_away = self.crowded.turned_away

    def count(
        self,
        batch: EventBatch,
        hashes: NDArray[np.uint64],
        model: NDArray[np.int32],
        entries: Entries,
        ends: NDArray[np.float64],
        beside: Callable[[int], None],
    ) -> int:
        """Count the predictions of ``batch`` among the groups of people they were made for.

        ``hashes`` (n,) are keys of models, ``model`` (n,) their rows, -1 for events that do not count; ``entries`` (m,)
        have their series, ``ends`` (n,) are those of the events' ticks. What else goes through the events is done
        ``beside``, as :func:`monitor.kernels.groups.count_groups` says. Returns how many values a limit kept out.
        """
        if not self.sorter.concerns(batch) or not (model >= 0).any():
            self.known = Known.of_none()
            beside(0)
            return 0
        self.known = self.familiar.count(batch, entries, hashes, model, ends, beside)
        if len(left := self.known.left):
            rest = np.full(len(model), -1, np.int32)
            rest[left] = model[left]
            of = self.people.once(batch, self.sorter.sort(batch, hashes, rest, entries.series))
            if len(of.event):
                self.counter.count(batch, rest, ends, of)
                self.familiar.learn(batch, hashes, left)
        turned_away, self.register.turned_away = self.register.turned_away, 0
        return turned_away

    def close(
        self,
        end: float,
        planned: Callable[[NDArray[np.int64], float], NDArray[np.bool_]],
        breathe: Callable[[], None] = lambda: None,
    ) -> Compared:
        """Judge the tick that ended at ``end``, if anything was counted in it; now and then the loop may ``breathe``.

        ``planned`` says which models (k,) do as planned in the tick that ended then: they are not judged by it.
        """
        compared = Compared([], [], 0)
        self.crowded.turn(end)
        if self.sums.is_open(end):
            sums = self.sums.take(end)
            breathe()
            sums = self._unplanned(end, sums, planned)
            for first in range(0, len(sums.row), _TALLIES_AT_ONCE):
                part = slice(first, first + _TALLIES_AT_ONCE)
                self.hours.add(end, TallySums(sums.row[part], sums.n[part], sums.s[part]))
                breathe()
            compared = self.comparer.judge(end, sums, breathe)
        self.sorter.choose_bands()
        self.counter.choose_quarters()
        return compared

    def compare(
        self,
        end: float,
        sums: TallySums,
        planned: Callable[[NDArray[np.int64], float], NDArray[np.bool_]],
        *,
        due: float,
    ) -> Compared:
        """Judge ``sums`` of the tick that ended at ``end``, those of models that do as planned in it apart.

        ``due`` is when its cases matured.
        """
        sums = self._unplanned(end, sums, planned)
        self.hours.add(end, sums, due)
        return self.comparer.judge(end, sums)

    def _unplanned(
        self, end: float, sums: TallySums, planned: Callable[[NDArray[np.int64], float], NDArray[np.bool_]]
    ) -> TallySums:
        model = self.register.blocks["model"][self.register.tallies["block"][sums.row]]
        models = np.flatnonzero(np.bincount(model))
        left_out = models[planned(models, end)]
        if not len(left_out):
            return sums
        kept = ~np.isin(model, left_out)
        return TallySums(sums.row[kept], sums.n[kept], sums.s[kept])

    def tables(self) -> dict[str, Rows]:
        """Everything that is stored in tables, by name."""
        return {
            **self.register.tables(),
            "roles": self.sorter.roles,
            "facts": self.counter.facts,
            "compared": self.comparer.state,
            "people": self.people.rows,
            "crowded": self.crowded.rows,
        }

    def reloaded(self) -> list[int]:
        """Ask events for what the policies say from here on; cells that fired against a null that is another now."""
        self.counter.reloaded()
        self.sorter.intersections.reloaded()
        self.familiar.reloaded()
        return restart(self.comparer, self.register.reloaded())

    def restored(self) -> None:
        """Put in order what follows from the tables and names, after they were loaded."""
        self.register.restored()
        self.sorter.restored()
        self.sorter.intersections.reloaded()
        self.counter.restored()
        self.people.restored()
        self.familiar.reloaded()
        self.comparer.extend()
