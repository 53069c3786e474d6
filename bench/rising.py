"""What it finds that a growing reference waits with what rises above it, and what it costs in worlds that wander.

Models of an hour's tick whose outcomes are counted, each with a fifth of a false alarm a week to spend; the same
outcomes are judged twice: as the program does, and with references that take in whatever is not suspicious. First the
error rate rises behind so many outcomes: how many models are found within 10,000 more. Then nothing ever lasts: in
worlds that swing or wander an alarm is false where since its onset errors were, in the mean, no more than tolerated
above the model's own mean of four weeks.

    python bench/rising.py --models 400
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from monitor.budget import Budget
from monitor.catalog.models import Models
from monitor.catalog.policies import Clause, Policies
from monitor.kernels.hashing import hash64
from monitor.outcomes import performance
from monitor.outcomes.alarm import CaseAlarm
from monitor.outcomes.asked import Asked
from monitor.outcomes.measures import ERROR_RATE, MEASURES
from monitor.outcomes.performance import SHARE, Performance, Sums

Floats = NDArray[np.float64]

RISES = ((0.12, 0.155, 2400), (0.12, 0.17, 2400), (0.12, 0.19, 2400), (0.12, 0.22, 2400), (0.12, 0.16, 10_400))
"""Error rates before and after, and outcomes before."""
WORLDS = ("steady", "clumped", "day", "week", "wander .15", "wander .3")
RATES = (0.03, 0.12, 0.35)
TOLERANCE = 0.02
_PER_TICK = 40
_WEEKS = 4
_HOUR, _WEEK = 3600.0, 168
_SWING = 0.4
"""Logits of a season."""


def judged(wrong: Floats, n: Floats, tick: float = _HOUR, policy: dict[str, Any] | None = None) -> list[CaseAlarm]:
    """All alarms of models whose ticks gave ``wrong`` of ``n`` outcomes, (ticks, models) both."""
    models = Models(wrong.shape[1])
    resolve = Policies([Clause("*", {"tick": f"{tick:.0f}s", **(policy or {})}, "bench")]).resolve
    for i in range(wrong.shape[1]):
        models.add(f"m{i}", hash64(f"m{i}".encode()), resolve(f"m{i}"), 0.0)
    budget = Budget(1e6, 1.0, {SHARE: 0.2})
    asked = Asked(models)
    asked.extend()
    cells = Performance(models, asked, budget)
    cells.extend()
    row, alarms = np.arange(wrong.shape[1]), []
    for i, (s, size) in enumerate(zip(wrong, n, strict=True)):
        measures = np.zeros((len(row), len(MEASURES), 2))
        measures[:, ERROR_RATE] = np.stack([s, size], axis=1)
        end = tick * (i + 1)
        sums = Sums(row, np.full(len(row), end), np.full(len(row), tick), measures)
        fired, _, _ = cells.judge(sums, float(len(row)), end)
        alarms += [replace(alarm, fired_time=end) for alarm in fired]
        cells.learn(sums, *cells.doubt(row))
    return alarms


def both(wrong: Floats, n: Floats) -> list[list[CaseAlarm]]:
    """Alarms of references that take everything in, and as it is."""
    with mock.patch.object(performance, "risen", lambda before, *_: np.zeros_like(before)):
        taken = judged(wrong, n)
    return [taken, judged(wrong, n)]


def true_rates(world: str, rate: float, models: int, rng: np.random.Generator) -> Floats:
    """The error rate of each hour and model."""
    hours = np.arange(_WEEKS * _WEEK)[:, None]
    logit = np.full((len(hours), models), np.log(rate / (1.0 - rate)))
    if world in ("day", "week"):
        logit += _SWING * np.sin(2.0 * np.pi * (hours / (24 if world == "day" else _WEEK) + rng.random(models)))
    if world.startswith("wander"):
        spread, keeps = float(world.split()[1]), np.exp(-1.0 / 24.0)
        at = spread * rng.normal(size=models)
        for hour in range(len(hours)):
            logit[hour] += at
            at = keeps * at + np.sqrt(1.0 - keeps**2) * spread * rng.normal(size=models)
    rates: Floats = 1.0 / (1.0 + np.exp(-logit))
    return rates


def is_false(alarm: CaseAlarm, truth: Floats) -> bool:
    """Whether errors were within the tolerance of the model's own mean since the onset."""
    first, last = int(alarm.onset_time / _HOUR), round(alarm.fired_time / _HOUR)
    own = truth[:, alarm.model]
    return bool(own[max(first, 0) : max(last, first + 1)].mean() <= own.mean() + TOLERANCE)


def rises(models: int) -> None:
    print("| error rate | outcomes before | found, all taken in | found, what rises waits |\n|---|---|---|---|")
    for before, after, size in RISES:
        start = size // _PER_TICK
        rate = np.where(np.arange(start + 10_000 // _PER_TICK) < start, before, after)[:, None]
        n = np.full((len(rate), models), float(_PER_TICK))
        found = []
        for alarms in both(np.random.default_rng(6).binomial(_PER_TICK, rate, n.shape).astype(np.float64), n):
            rows = {alarm.model for alarm in alarms if alarm.onset_time >= 0.0}
            found.append(f"{len(rows)} of {models}")
        print(f"| {before} to {after} | {size} | {found[0]} | {found[1]} |", flush=True)


def worlds(models: int) -> None:
    print("\n| world | rate | alarms (false), all taken in | alarms (false), what rises waits |\n|---|---|---|---|")
    for world in WORLDS:
        for rate in RATES:
            rng = np.random.default_rng(11)
            truth = true_rates(world, rate, models, rng)
            n = rng.poisson(_PER_TICK, truth.shape)
            seen = rng.beta(_PER_TICK * truth, _PER_TICK * (1.0 - truth)) if world == "clumped" else truth
            told = [
                f"{len(alarms)} ({sum(is_false(alarm, truth) for alarm in alarms)})"
                for alarms in both(rng.binomial(n, seen).astype(np.float64), n.astype(np.float64))
            ]
            print(f"| {world} | {rate} | {told[0]} | {told[1]} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", type=int, default=400)
    given = parser.parse_args()
    rises(given.models)
    worlds(given.models)


if __name__ == "__main__":
    main()
