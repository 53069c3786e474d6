"""A large fleet's one question: are groups treated unequally? With nothing unfair, and with gaps that were planted.

1,000 models, each with two attributes of two to four groups, decide on people for four weeks in ticks of ten minutes.
Traffic is log-normal, from a few decisions a tick to hundreds. Without a plant the favourable rates of all groups are
alike up to a ratio of 0.9, a difference that is within the tolerance. Then 50 models have one group of 5 to 30 % whose
rate falls to 0.65 to 0.75 of the rest's after the first days; for each the time that the planner foretells is printed
beside the time that it took. Sums are put where counting would have put them: judging, budget and incidents are real.

    python bench/unfairness.py                     both worlds, three seeds of the quiet one
    python bench/unfairness.py --weeks 1 --models 200 --seeds 1
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from monitor.budget import Budget
from monitor.catalog import profile
from monitor.catalog.policies import Clause, Policies
from monitor.fleet import Fleet
from monitor.groups.questions import Kind
from monitor.groups.sums import TallySums
from monitor.kernels.hashing import hash64
from monitor.stats.evidence import project_ratio
from monitor.stats.power import ticks_to_alarm_two_sample

START = 1_767_225_600.0
TICK = 600.0
WEEK = 7 * 86400.0
SHARES = {"drift": 0.2, "quality": 0.1, "performance": 0.2, "fairness": 0.5}
PER_WEEK = 5.0

Floats = NDArray[np.float64]


@dataclass
class Attribute:
    """One attribute of one model: its groups' shares, tallies and favourable rates."""

    model: int
    shares: Floats
    rows: NDArray[np.int64]
    rates: Floats


class World:
    """A fleet of the program and the people that its models decide on."""

    def __init__(self, models: int, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        policies = Policies([Clause("*", {"favourable": ("y",), "tick": f"{TICK:g}s"}, "bench")])
        self.fleet = Fleet(
            Budget(PER_WEEK, 1.0, SHARES),
            policies.resolve,
            profile.load,
            models_max=models,
            series_per_model_max=10,
            categories_max=10,
            incidents_max=10_000,
        )
        self.traffic = np.clip(self.rng.lognormal(np.log(40.0), 1.0, models), 4.0, 1_000.0)
        level = self.rng.uniform(0.2, 0.7, models)
        self.attributes = [self._attribute(m, name, level[m]) for m in range(models) for name in ("sex", "region")]
        self.shares = np.concatenate([a.shares for a in self.attributes])
        self.rows = np.concatenate([a.rows for a in self.attributes])
        self.model = np.concatenate([np.full(len(a.rows), a.model) for a in self.attributes])
        self.tick = 0

    def _attribute(self, model: int, name: str, level: float) -> Attribute:
        fleet, register = self.fleet, self.fleet.groups.register
        if name == "sex":
            text = f"m{model}"
            fleet.models.add(text, hash64(text.encode()), fleet.discovery.policy_of(text), START)
        n = 2 if name == "sex" else int(self.rng.integers(2, 5))
        shares = self.rng.dirichlet(np.full(n, 3.0)) if name == "region" else self.rng.dirichlet([8.0, 8.0])
        attribute, stratum = register.attribute(model, name), register.stratum(model, 0)
        groups = [register.group(attribute, str(g), hash64(b"%d" % g)) for g in range(n)]
        rows = register.bases(np.array([register.member(group, stratum) for group in groups]), Kind.DECISION)
        rates = level * self.rng.uniform(0.95, 1.05, n)
        return Attribute(model, shares, rows, rates)

    def plant(self, attribute: Attribute, share: float, ratio: float) -> None:
        """The first group of ``attribute`` is ``share`` of its people, favoured ``ratio`` times as often as others."""
        attribute.shares[1:] *= (1.0 - share) / attribute.shares[1:].sum()
        attribute.shares[0] = share
        attribute.rates[1:] = attribute.rates[1:].mean()
        attribute.rates[0] = ratio * attribute.rates[1]
        self.shares = np.concatenate([a.shares for a in self.attributes])

    def turn(self) -> list[tuple[int, int, int]]:
        """One tick; model, attribute (row) and group (row) of what begins to alarm."""
        self.tick += 1
        rates = np.concatenate([a.rates for a in self.attributes])
        n = self.rng.poisson(self.traffic[self.model] * self.shares).astype(np.float64)
        s = self.rng.binomial(n.astype(np.int64), rates).astype(np.float64)
        end = START + self.tick * TICK
        compared = self.fleet.groups.comparer.judge(end, TallySums(self.rows, n, s))
        register, found = self.fleet.groups.register, []
        for alarm in compared.alarms:
            group = int(register.cells["group"][alarm.cell])
            model = int(register.outputs["model"][register.cells["output"][alarm.cell]])
            found.append((model, int(register.groups["attribute"][group]), group))
        return found

    def foretold(self, attribute: Attribute) -> float:
        """Days until the first group's gap is found, as the planner says it of what is truly there.

        Of the alternatives that are bet on it knows the truth itself: it is the best that any of them could do.
        """
        share, (b, a) = float(attribute.shares[0]), attribute.rates[:2].tolist()
        nb = self.traffic[attribute.model] * share
        na = self.traffic[attribute.model] - nb
        a0, b0 = project_ratio(a, b, na, nb, 0.8)
        register, comparer = self.fleet.groups.register, self.fleet.groups.comparer
        cell = np.array([register.tallies["cell"][attribute.rows[0]]])
        log_budget = np.log(comparer.allowance(cell))
        # Three nats for the mixture of four alternatives, tempered by 1.15 for a dispersion of 1.
        ticks = ticks_to_alarm_two_sample(na, nb, a, b, a0, b0, log_budget - np.log(4.0), 1.0 / 1.15)
        return float(ticks[0]) * TICK / 86400.0


def quiet(models: int, weeks: float, seed: int) -> dict[str, Any]:
    """Nothing unfair: how many incidents there were and how many the budget allowed."""
    world, incidents = World(models, seed), set()
    n = 0
    for _ in tqdm(range(int(weeks * WEEK / TICK)), disable=None):
        fired = world.turn()
        incidents |= {(model, attribute) for model, attribute, _ in fired}
        n += len(fired)
    spent = world.fleet.judge.budget.spent["fairness"]
    return {"world": "quiet", "seed": seed, "cells": n, "incidents": len(incidents), "allowed": round(spent, 3)}


def planted(models: int, weeks: float, seed: int, plants: int) -> dict[str, Any]:
    """Gaps in ``plants`` of the models, from the third day on: each with its time, found and foretold."""
    world = World(models, seed)
    rng = np.random.default_rng(seed + 1)
    struck = [world.attributes[2 * int(m) + 1] for m in rng.choice(models, plants, replace=False)]
    plan = [(float(rng.uniform(0.05, 0.3)), float(rng.uniform(0.65, 0.75))) for _ in struck]
    for a in struck:  # enough people that there is something to find in four weeks
        world.traffic[a.model] = max(world.traffic[a.model], 200.0)
    begins, first, false = int(2 * 86400 / TICK), {}, set()
    foretold: dict[int, float] = {}
    for tick in tqdm(range(int(weeks * WEEK / TICK)), disable=None):
        if tick == begins:
            for a, (share, ratio) in zip(struck, plan, strict=True):
                world.plant(a, share, ratio)
                foretold[a.model] = world.foretold(a)
        for model, attribute, _ in world.turn():
            if tick >= begins and model in foretold and attribute == _row(world, struck, model):
                first.setdefault(model, (tick - begins + 1) * TICK / 86400.0)
            else:
                false.add((model, attribute))
    found = [
        {
            "model": a.model,
            "share": round(share, 3),
            "ratio": round(ratio, 3),
            "people_a_day": round(world.traffic[a.model] * 144),
            "foretold_days": round(foretold[a.model], 2),
            "found_days": round(first[a.model], 2) if a.model in first else None,
        }
        for a, (share, ratio) in zip(struck, plan, strict=True)
    ]
    spent = world.fleet.judge.budget.spent["fairness"]
    return {"world": "planted", "seed": seed, "false": len(false), "allowed": round(spent, 3), "plants": found}


def _row(world: World, struck: list[Attribute], model: int) -> int:
    attribute = next(a for a in struck if a.model == model)
    register = world.fleet.groups.register
    group = register.members["group"][register.tallies["member"][attribute.rows[0]]]
    return int(register.groups["attribute"][group])


def table(run: dict[str, Any]) -> str:
    """The plants as a table, by the ratio that was planted, and what was foretold."""
    lines = [
        "| ratio | plants | found | days, median (foretold) | found over foretold, median and worst |",
        "|---|---|---|---|---|",
    ]
    for low, high in ((0.65, 0.68), (0.68, 0.7), (0.7, 0.72), (0.72, 0.75)):
        own = [p for p in run["plants"] if low <= p["ratio"] < high]
        seen = [p for p in own if p["found_days"] is not None]
        if not seen:
            lines.append(f"| {low} to {high} | {len(own)} | 0 | | |")
            continue
        times = [p["found_days"] / p["foretold_days"] for p in seen]
        days, said = (float(np.median([p[name] for p in seen])) for name in ("found_days", "foretold_days"))
        lines.append(
            f"| {low} to {high} | {len(own)} | {len(seen)} | {days:.2f} ({said:.2f}) | "
            f"{np.median(times):.2f}, {max(times):.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run what is asked for; a JSON object for each world, then the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--weeks", type=float, default=4.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--plants", type=int, default=50)
    asked = parser.parse_args()
    run = planted(asked.models, asked.weeks, 100, asked.plants)
    print(json.dumps(run), flush=True)
    print(table(run), flush=True)
    for seed in range(asked.seeds):
        print(json.dumps(quiet(asked.models, asked.weeks, seed)), flush=True)


if __name__ == "__main__":
    main()
