"""Days of groups whose features lie as one says: counts as a fleet would have them, without its events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
from fleets.build import DAY, HOUR, START, event, feed, new_fleet
from numpy.typing import NDArray

from monitor.apart.cells import Cells
from monitor.apart.watch import ApartAlarm
from monitor.fleet import Fleet
from monitor.kernels.lean import SLOTS

HOURS, PER_HOUR = 30, 40
Law = Callable[[str, str], NDArray[np.float64]]
"""The shares of the nine strata, by group and feature."""


def met(models: int, features: int = 4, groups: str = "FM", per_week: float = 5.0, per_model: float = 1.0) -> Fleet:
    """A fleet that has met its models, their features (x0, x1, ...) and groups, and has references of them."""
    fleet, rng = new_fleet({"tick": "1h"}, per_week=per_week, per_model=per_model), np.random.default_rng(1)
    for hour in range(HOURS):
        events = [
            event(
                START + HOUR * (hour + (i + 0.5) / PER_HOUR),
                {f"x{k}": float(rng.normal()) for k in range(features)},
                model=f"m{model}",
                prediction=float(rng.random()),
                sensitive={"sex": groups[i % len(groups)]},
            )
            for model in range(models)
            for i in range(PER_HOUR)
        ]
        feed(fleet, events, until=START + HOUR * (hour + 1))
    return fleet


class Days:
    """A fleet whose groups begin anew: nothing is known of how they differ."""

    def __init__(self, fleet: Fleet, seed: int, clump: int = 1) -> None:
        """Events come ``clump`` at a time with the same values."""
        self.fleet, self.rng, self.clump, self.day = fleet, np.random.default_rng(seed), clump, 2
        self.apart, self.models = fleet.apart, np.arange(len(fleet.models))
        for model in self.models.tolist():
            self.apart.keep(model, Cells())
        self.apart.days["due"][:] = -np.inf
        self.spent_before = fleet.judge.budget.spent["drift"]
        self.cleared: list[tuple[int, str]] = []
        self.cells_bet = 0

    def live(self, days: int, sizes: dict[str, int], law: Law) -> list[ApartAlarm]:
        """What fires in so many days, each with as many events of a model's groups as ``sizes`` says."""
        alarms: list[ApartAlarm] = []
        for _ in range(days):
            self.day += 1
            self._count(sizes, law)
            end = START + DAY * (self.day + 1)
            parted = self.apart.close(self.models, np.zeros(len(self.models), bool), end)
            alarms += parted.alarms
            self.cleared += parted.cleared
            self.cells_bet += parted.n_cells
        return alarms

    def named(self, alarms: list[ApartAlarm]) -> Counter[tuple[str, str]]:
        """Of how many models each (group, feature) was told."""
        register, series = self.fleet.groups.register, self.fleet.series
        found = {(alarm.model, alarm.group, alarm.series) for alarm in alarms}
        return Counter((register.group_names[group], series.names[row]) for _, group, row in found)

    @property
    def spent(self) -> float:
        """False alarms that may be expected of the days that were lived."""
        return self.fleet.judge.budget.spent["drift"] - self.spent_before

    def _count(self, sizes: dict[str, int], law: Law) -> None:
        table, register, series = self.apart.counting.rows, self.fleet.groups.register, self.fleet.series
        for row, group in enumerate(table["group"][: len(table)].tolist()):
            model, name = (
                int(register.attributes["model"][register.groups["attribute"][group]]),
                register.group_names[group],
            )
            table["n"][row] += sizes[name]
            for own in self.fleet.models.items[model].series:
                if series.names[own].startswith("x") and series.rows["local"][own] < SLOTS:
                    drawn = self.rng.multinomial(sizes[name] // self.clump, law(name, series.names[own])) * self.clump
                    table["counts"][row, series.rows["local"][own]] = drawn
