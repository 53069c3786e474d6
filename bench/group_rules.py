"""By which rule would a group's gap be found, how soon, and how often would nothing wrong be told? Rules on one stream.

Of models that decide on 200 people an hour, a group that is 1, 5 or 20 % of them falls in every tenth from 0.9 of the
rest's rate, which is tolerated, to 0.6, from the third day on. The rules: this program within its budget; four fifths
of the last hour's rates; and four fifths where a one-sided z-test at 5 % says besides that the hour's rates differ.
Then: how many streams' intervals ever lose the true rate where they are looked at after every event, for this program's
and for Wilson's at 95 %.

    python bench/group_rules.py
    python bench/group_rules.py --models 50 --weeks 1
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.budget import Budget
from monitor.catalog import profile
from monitor.catalog.policies import Clause, Policies
from monitor.fleet import Fleet
from monitor.groups.questions import Kind
from monitor.groups.sums import TallySums
from monitor.kernels.hashing import hash64
from monitor.stats.bounds import anytime

START = 1_767_225_600.0
HOUR = 3600.0
PEOPLE = 200.0
PER_WEEK = 5.0
SHARES = (0.01, 0.05, 0.2)
_LEVEL, _FAIR, _UNFAIR = 0.4, 0.9, 0.6
_BEGINS = 48
_Z = 1.644854
_RATES = (0.03, 0.2, 0.5, 0.9)

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Ours:
    """A fleet of the program, told the sums of two groups of each model hour by hour."""

    def __init__(self, models: int) -> None:
        policies = Policies([Clause("*", {"favourable": ("y",), "tick": "1h"}, "bench")])
        limits = {"models_max": models, "series_per_model_max": 10, "categories_max": 10, "incidents_max": 10_000}
        shares = {"drift": 0.2, "quality": 0.1, "performance": 0.2, "fairness": 0.5}
        self.fleet = Fleet(Budget(PER_WEEK, 1.0, shares), policies.resolve, profile.load, **limits)
        register, members = self.fleet.groups.register, []
        for i in range(models):
            name = f"m{i}"
            row = self.fleet.models.add(name, hash64(name.encode()), self.fleet.discovery.policy_of(name), START)
            attribute, stratum = register.attribute(row, "sex"), register.stratum(row, 0)
            groups = [register.group(attribute, value, hash64(value.encode())) for value in ("rest", "group")]
            members += [register.member(group, stratum) for group in groups]
        self.rows, self.models, self.hour = register.bases(np.array(members), Kind.DECISION), models, 0

    def told(self, n: Floats, s: Floats) -> Flags:
        """Of which models (k,) something begins to be told; ``n`` and ``s`` (k, 2) of the rest and the group."""
        self.hour += 1
        compared = self.fleet.groups.comparer.judge(
            START + HOUR * self.hour, TallySums(self.rows, n.ravel(), s.ravel())
        )
        register, told = self.fleet.groups.register, np.zeros(self.models, bool)
        for alarm in compared.alarms:
            told[register.outputs["model"][register.cells["output"][alarm.cell]]] = True
        return told


def four_fifths(n: Floats, s: Floats) -> Flags:
    """Of which models the group has less than four fifths of the rest's rate in this hour."""
    (na, nb), (sa, sb) = n.T, s.T
    low: Flags = (na > 0) & (nb > 0) & (sb * na < 0.8 * sa * nb)
    return low


def with_z_test(n: Floats, s: Floats) -> Flags:
    """Those of :func:`four_fifths` whose rates a pooled z-test at 5 % calls different besides."""
    low, (na, nb), (sa, sb) = four_fifths(n, s), np.maximum(n, 1.0).T, s.T
    p = (sa + sb) / (na + nb)
    error = np.sqrt(np.maximum(p * (1.0 - p) * (1.0 / na + 1.0 / nb), 1e-12))
    return low & ((sa / na - sb / nb) / error > _Z)


def power(share: float, models: int, weeks: float, seed: int) -> dict[str, Any]:
    """What the rules find of a group that is ``share`` of the people, and tell of models that nothing befell."""
    rng, ours = np.random.default_rng(seed), Ours(models)
    rules = {"modelwatch": ours.told, "four fifths": four_fifths, "four fifths, z-test": with_z_test}
    rates = np.tile([_LEVEL, _FAIR * _LEVEL], (models, 1))
    struck = np.arange(models) % 10 == 0
    first = {name: np.full(models, np.nan) for name in rules}
    wrong = dict.fromkeys(rules, 0)
    for hour in range(round(weeks * 168)):
        if hour == _BEGINS:
            rates[struck, 1] = _UNFAIR * _LEVEL
        n = rng.poisson([PEOPLE * (1.0 - share), PEOPLE * share], (models, 2))
        s = rng.binomial(n, rates).astype(np.float64)
        for name, rule in rules.items():
            told = rule(n.astype(np.float64), s)
            if hour >= _BEGINS:
                new = told & struck & np.isnan(first[name])
                first[name][new] = hour - _BEGINS + 1
                told = told & ~struck
            wrong[name] += int(told.sum())
    found = {
        name: {
            "found": int((~np.isnan(at[struck])).sum()),
            "hours": float(np.nanmedian(at[struck])) if (~np.isnan(at[struck])).any() else None,
            "told_of_nothing": wrong[name],
        }
        for name, at in first.items()
    }
    allowed = round(ours.fleet.judge.budget.spent["fairness"], 2)
    return {"share": share, "struck": int(struck.sum()), "allowed": allowed, "rules": found}


def coverage(streams: int, events: int, seed: int) -> dict[str, Any]:
    """Of how many streams an interval ever lost the true rate, looked at after every event; and its width at last."""
    rng = np.random.default_rng(seed)
    true = np.tile(_RATES, streams // len(_RATES))
    lost = {"modelwatch": np.zeros(len(true), bool), "wilson": np.zeros(len(true), bool)}
    k, width = np.zeros(len(true)), {}
    for n in range(1, events + 1):
        k += rng.random(len(true)) < true
        for name, (low, high) in {"modelwatch": anytime(k, n), "wilson": _wilson(k, n)}.items():
            lost[name] |= (true < low) | (true > high)
            width[name] = float(np.mean(high - low))
    of = {name: {"lost": int(at.sum()), "width_at_last": round(width[name], 4)} for name, at in lost.items()}
    return {"streams": len(true), "events": events, "intervals": of}


def _wilson(k: Floats, n: int) -> tuple[Floats, Floats]:
    z = 1.959964
    middle, half = (k + z * z / 2.0) / (n + z * z), z * np.sqrt(k * (n - k) / n + z * z / 4.0) / (n + z * z)
    return middle - half, middle + half


def table(runs: list[dict[str, Any]]) -> str:
    """The shares as lines: found of those struck, hours in the middle, and how often nothing wrong was told."""
    lines = ["| group | rule | found | hours, median | told of nothing wrong |", "|---|---|---|---|---|"]
    for run in runs:
        for name, of in run["rules"].items():
            hours = "" if of["hours"] is None else f"{of['hours']:.0f}"
            found = f"{of['found']} of {run['struck']}"
            lines.append(f"| {run['share']:.0%} | {name} | {found} | {hours} | {of['told_of_nothing']} |")
    return "\n".join(lines)


def main() -> None:
    """Run what is asked for; a JSON object for each share and for the intervals, then the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--weeks", type=float, default=4.0)
    parser.add_argument("--streams", type=int, default=2000)
    parser.add_argument("--events", type=int, default=10_000)
    asked = parser.parse_args()
    runs = [power(share, asked.models, asked.weeks, seed) for seed, share in enumerate(SHARES)]
    for run in runs:
        print(json.dumps(run), flush=True)
    print(json.dumps(coverage(asked.streams, asked.events, 7)), flush=True)
    print(table(runs), flush=True)


if __name__ == "__main__":
    main()
