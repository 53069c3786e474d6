"""Does an intersection stay silent while one of its groups accounts for it, and afterwards? Gaps of groups that end.

Twenty models, in each of which a group is treated worse for four days and then as everybody. Were the evidence of
intersections to go on growing meanwhile, and the noise of few cases taken for that of many, a third would be told.
"""

from __future__ import annotations

import numpy as np
from fleets.build import HOUR, START, new_fleet
from numpy.typing import NDArray

from monitor.groups.questions import Kind
from monitor.groups.sums import TallySums
from monitor.kernels.hashing import hash64

AGES, SEXES = ("old", "young"), ("F", "M")
EVEN = [[0.6, 0.6], [0.6, 0.6]]
DAY = 24
"""Ticks."""


class Crossed:
    """Models with two attributes of two groups, fed hour by hour with sums by age and sex."""

    def __init__(self, models: int, seed: int) -> None:
        policy = {"favourable": ("y",), "tick": "1h"}
        self.fleet = new_fleet(policy, per_week=5.0, per_model=5.0, models_max=models)
        self.rng, self.models, self.tick = np.random.default_rng(seed), models, 0
        self.rows = np.array([row for i in range(models) for row in self._tallies(f"m{i}")], np.int64)

    def _tallies(self, name: str) -> list[int]:
        fleet, register = self.fleet, self.fleet.groups.register
        model = fleet.models.add(name, hash64(name.encode()), fleet.discovery.policy_of(name), START)
        age, sex = register.attribute(model, "age"), register.attribute(model, "sex")
        both, stratum = register.intersection(age, sex), register.stratum(model, 0)
        ages, sexes = (
            [register.group(attribute, value, hash64(value.encode())) for value in values]
            for attribute, values in ((age, AGES), (sex, SEXES))
        )
        crossed = [register.both(both, first, second) for first in ages for second in sexes]
        members = [register.member(group, stratum) for group in (*ages, *sexes, *crossed)]
        found: list[int] = register.bases(np.array(members), Kind.DECISION).tolist()
        return found

    def live(self, ticks: int, people: list[list[float]], rates: list[list[float]]) -> list[tuple[int, str]]:
        """Models and groups that begin to be told of in ``ticks`` of ``people`` (age, sex), decided at ``rates``."""
        told, register = [], self.fleet.groups.register
        for _ in range(ticks):
            self.tick += 1
            n = self.rng.poisson(people, (self.models, 2, 2))
            s = self.rng.binomial(n, rates)
            sums = TallySums(self.rows, self._by_group(n), self._by_group(s))
            for alarm in self.fleet.groups.comparer.judge(START + HOUR * self.tick, sums).alarms:
                output, group = (int(register.cells[name][alarm.cell]) for name in ("output", "group"))
                told.append((int(register.outputs["model"][output]), register.group_names[group]))
        return told

    def evidence_of(self, *groups: str) -> NDArray[np.float64]:
        """The part of the evidence for an alarm that the cells of ``groups`` have."""
        comparer, register = self.fleet.groups.comparer, self.fleet.groups.register
        cells = np.arange(len(register.cells))
        own = np.isin([register.group_names[group] for group in register.cells["group"][cells]], groups)
        assert own.sum() == self.models * len(groups)
        return np.asarray(comparer.state["suspicion"][cells[own]], np.float64)

    def _by_group(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        parts = counts.sum(axis=2), counts.sum(axis=1), counts.reshape(self.models, 4)
        return np.concatenate(parts, axis=1).ravel().astype(float)


def test_a_gap_of_a_group_is_not_told_of_its_intersections_when_it_ends() -> None:
    """A group's gap is told; never one of its intersections, neither then nor after: their evidence is forgotten."""
    crossed, people = Crossed(20, seed=41), [[2.0, 2.0], [6.0, 6.0]]
    told = crossed.live(3 * DAY, people, EVEN)
    told += crossed.live(4 * DAY, people, [[0.2, 0.2], [0.6, 0.6]])
    assert np.mean(crossed.evidence_of("old x F", "old x M") == 0.0) > 0.9
    told += crossed.live(5 * DAY, people, EVEN)
    assert len({model for model, group in told if group == "old"}) == 20
    assert {group for _, group in told} == {"old"}


def test_an_intersection_with_a_gap_of_its_own_besides_is_told() -> None:
    """Where the old get less and old women much less still, these are told beside them; old men are not."""
    crossed, people = Crossed(12, seed=42), [[6.0, 6.0], [6.0, 6.0]]
    told = crossed.live(3 * DAY, people, EVEN) + crossed.live(4 * DAY, people, [[0.1, 0.45], [0.6, 0.6]])
    for group in ("old", "old x F"):
        assert len({model for model, own in told if own == group}) == 12
    assert not {"old x M", "young x F", "young x M"} & {group for _, group in told}
