"""How large must a gap be, and how many people must it befall, to be seen? Planted among the real people of a census.

As FairTest's effectiveness was measured (Tramèr and others, 2017, 5.1): decisions are drawn alike for everybody, but
for one context, a race or a race and a sex, which is favoured less often. A grid of its size and of the gap.
"""

from __future__ import annotations

import numpy as np
import pytest
from fleets.build import HOUR, START, new_fleet
from numpy.typing import NDArray
from real_data.cases import DATA, rows_of

from monitor.groups.comparing import CROSSED_WEIGHT
from monitor.groups.questions import Kind
from monitor.groups.sums import TallySums
from monitor.kernels.hashing import hash64
from monitor.stats.evidence import project_ratio
from monitor.stats.power import ticks_to_alarm_two_sample

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not (DATA / "adult").is_dir(), reason=f"{DATA / 'adult'} is not there"),
]

GAPS = (0.0, 0.05, 0.2, 0.35)
"""Of a rate of 0.5: ratios of 1, 0.9 (tolerated), 0.6 and 0.3."""
AT_ONCE = 500
"""People in an hour."""


class Census:
    """A model for each context and gap, which decides on all people of the census in the order of the file."""

    def __init__(self) -> None:
        people = [(str(row["race"]), str(row["sex"])) for row in rows_of("adult")]
        self.pairs = sorted(set(people))
        races, sexes = (sorted({pair[i] for pair in self.pairs}) for i in range(2))
        self.people = np.array([self.pairs.index(one) for one in people])
        self.contexts = [*races, *(" x ".join(pair) for pair in self.pairs)]
        of = [[race == pair[0] for pair in self.pairs] for race in races]
        self.inside = np.array([*of, *np.eye(len(self.pairs), dtype=bool).tolist()])
        """(contexts, pairs): who is in which context."""
        self.to_group = np.array([*of, *([sex == pair[1] for pair in self.pairs] for sex in sexes)])
        models = len(self.contexts) * len(GAPS)
        self.fleet = new_fleet({"favourable": ("y",), "tick": "1h"}, per_week=5.0, models_max=models)
        self.rows = np.array([row for i in range(models) for row in self._tallies(f"m{i}", races, sexes)], np.int64)

    def _tallies(self, name: str, races: list[str], sexes: list[str]) -> list[int]:
        fleet, register = self.fleet, self.fleet.groups.register
        model = fleet.models.add(name, hash64(name.encode()), fleet.discovery.policy_of(name), START)
        race, sex = register.attribute(model, "race"), register.attribute(model, "sex")
        both, stratum = register.intersection(race, sex), register.stratum(model, 0)
        alone = {
            value: register.group(attribute, value, hash64(value.encode()))
            for attribute, values in ((race, races), (sex, sexes))
            for value in values
        }
        crossed = [register.both(both, alone[first], alone[second]) for first, second in self.pairs]
        members = [register.member(group, stratum) for group in (*alone.values(), *crossed)]
        found: list[int] = register.bases(np.array(members), Kind.DECISION).tolist()
        return found

    def sizes(self) -> NDArray[np.float64]:
        """The part of all people that each context is."""
        part = np.bincount(self.people, minlength=len(self.pairs)) / len(self.people)
        return np.asarray(self.inside @ part)

    def told(self, seed: int) -> list[set[str]]:
        """Of each model (contexts by gaps) the groups that were told of."""
        rng, found = np.random.default_rng(seed), [set() for _ in range(len(self.contexts) * len(GAPS))]
        rates = np.concatenate([0.5 - gap * self.inside for gap in GAPS])
        register = self.fleet.groups.register
        for hour, start in enumerate(range(0, len(self.people), AT_ONCE)):
            n = np.bincount(self.people[start : start + AT_ONCE], minlength=len(self.pairs))
            n = np.tile(n, (len(rates), 1))
            sums = TallySums(self.rows, self._by_group(n), self._by_group(rng.binomial(n, rates)))
            for alarm in self.fleet.groups.comparer.judge(START + HOUR * (hour + 1), sums).alarms:
                model = int(register.outputs["model"][register.cells["output"][alarm.cell]])
                found[model].add(register.group_names[int(register.cells["group"][alarm.cell])])
        return found

    def _by_group(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.concatenate([counts @ self.to_group.T, counts], axis=1).ravel().astype(float)

    def foretold(self, gap: float) -> NDArray[np.float64]:
        """Hours until the planner expects each context to be told, of four alternatives and a tempering of 1.15."""
        nb = AT_ONCE * self.sizes()
        a0, b0 = project_ratio(0.5, 0.5 - gap, AT_ONCE - nb, nb, 0.8)
        allowance = self.fleet.groups.comparer.allowance(np.arange(1))
        weight = np.where([" x " in context for context in self.contexts], CROSSED_WEIGHT, 1.0)
        rates = AT_ONCE - nb, nb, 0.5, 0.5 - gap, a0, b0
        return np.asarray(ticks_to_alarm_two_sample(*rates, np.log(allowance * weight / 4.0), 1.0 / 1.15))


def test_what_is_seen_grows_with_size_and_gap() -> None:
    """V22: a gap within the tolerance is never told; one beyond it is where that is foretold, and of nobody else.

    It may be told of a race or a sex where the context is one of both. What is foretold within a quarter of the stream
    must be found: an intersection waits for 20 cases, and evidence of a dozen nats grows by steps that scatter.
    """
    census = Census()
    k, told = len(census.contexts), census.told(seed=22)
    assert not set().union(*told[: 2 * k])
    smallest = []
    for gap, found in zip(GAPS[2:], (told[2 * k : 3 * k], told[3 * k :]), strict=True):
        for context, groups in zip(census.contexts, found, strict=True):
            assert groups <= {context, *context.split(" x ")}
        seen = np.array([bool(groups) for groups in found])
        due = census.foretold(gap) <= len(census.people) / AT_ONCE / 4
        smallest.append(float(census.sizes()[seen].min()))
        print(f"V22: gap {gap}: {due.sum()} of {k} foretold, {seen.sum()} seen, the smallest {smallest[-1]:.2%}")
        assert due.sum() >= 3
        assert seen[due].all()
    assert smallest[1] < smallest[0]
