"""Does what stands still stay within the budget, where it rightly does so for a while; and is it found where not?

With a budget of B false alarms for all questions of quality, the alarms of one of them where nothing is wrong are at
most ``B + 4 sqrt(B)`` but for once in 30,000 runs; cells of one series alarm at most together.
"""

from __future__ import annotations

import numpy as np
import pytest
from fleets.build import HOUR, START, columns, feed, new_fleet
from numpy.typing import NDArray

from monitor.fleet import Fleet

pytestmark = pytest.mark.statistical

MODELS, SERIES, PER_HOUR, DAYS = 4, 100, 20, 14
PER_WEEK = 500.0
QUALITY = 0.1 * PER_WEEK


def classes(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Independent classes, the commonest of which has from a twentieth to nearly all."""
    common = rng.uniform(0.05, 0.995)
    return np.where(rng.random(n) < common, 0.0, rng.integers(1, 9, n).astype(float))


def rounded(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """A number that wanders within the day, rounded as sensors do."""
    steps = rng.normal(0, rng.uniform(0.02, 0.5), n)
    wander = np.cumsum(steps)
    slow = wander - np.convolve(wander, np.ones(480) / 480, "same")
    return np.round(slow + np.sin(2 * np.pi * np.arange(n) / (24 * PER_HOUR)) * rng.uniform(0, 5))


def plateaus(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """A value that stays for a random time, from some events to a day."""
    mean = np.exp(rng.uniform(np.log(3), np.log(24 * PER_HOUR)))
    lengths = 1 + rng.exponential(mean, int(4 * n / mean) + 50).astype(int)
    return np.repeat(rng.normal(0, 1, len(lengths)), lengths)[:n]


def nights(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """A number that is 0 for some hours of each night."""
    hour = np.arange(n) // PER_HOUR % 24
    return np.where(hour < rng.integers(2, 12), 0.0, rng.normal(0, 1, n))


WORLDS = (classes, rounded, plateaus, nights)


def run(fleet: Fleet, seed: int, frozen_from: int | None = None) -> set[tuple[str, str]]:
    """Feed two weeks, and let each series stand still from an hour on if one is given; the stuck ones, by model."""
    rng = np.random.default_rng(seed)
    n = DAYS * 24 * PER_HOUR
    values = {
        f"{world.__name__}{k}": np.stack([world(rng, n) for _ in range(MODELS)], axis=1)
        for world in WORLDS
        for k in range(SERIES // len(WORLDS))
    }
    if frozen_from is not None:
        for of_all in values.values():
            of_all[frozen_from * PER_HOUR :] = of_all[frozen_from * PER_HOUR]
    names = [f"m{k}" for k in range(MODELS)]
    found = set()
    for hour in range(DAYS * 24):
        part = slice(hour * PER_HOUR, (hour + 1) * PER_HOUR)
        times = np.repeat(START + HOUR * (np.arange(part.start, part.stop) + 0.5) / PER_HOUR, MODELS)
        batch = columns(times, names * PER_HOUR, {name: of_all[part].ravel() for name, of_all in values.items()})
        for incident in feed(fleet, batch, until=START + (hour + 1) * HOUR).incidents:
            found |= {(incident.model, str(c.feature)) for c in incident.cells if c.detector == "stuck"}
    return found


def watched() -> Fleet:
    return new_fleet({"tick": "1h"}, per_week=PER_WEEK, per_model=PER_WEEK, series_max=200)


def test_no_more_alarms_than_the_budget() -> None:
    """What stands still for a while, as it did before, gives no more false alarms than all of quality may."""
    found = run(watched(), 1)
    allowed = QUALITY * DAYS / 7
    print(f"stuck: {len(found)} of {MODELS * SERIES} series told in {DAYS} days, {allowed:.0f} were allowed")
    assert len(found) <= allowed + 4 * np.sqrt(allowed)


def test_what_freezes_is_found() -> None:
    """Of series that freeze for the last week all are told that rest for less than an hour as a rule."""
    found = run(watched(), 2, frozen_from=7 * 24)
    by_world = {world.__name__: sum(name.startswith(world.__name__) for _, name in found) for world in WORLDS}
    print(f"frozen for a week, found of {MODELS * SERIES // len(WORLDS)} each: {by_world}")
    assert by_world["rounded"] >= 50
    assert by_world["classes"] >= 50
