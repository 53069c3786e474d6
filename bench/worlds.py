"""What nothing wrong looks like: five worlds in which a fleet lives for weeks, and not one model changes.

Each model has 20 features: numbers fine and coarse, some now and then missing, and categories. Behind every value
stands a latent standard normal, rounded to a grid of 1/64, so that whoever knows the place of a value in the grid knows
its bin, and hours of traffic can be counted without writing events.

* ``independent``: events have nothing to do with each other.
* ``seasonal``: traffic and values follow the day and the week; values move by up to .3 standard deviations with the
  hour, and as far again on a weekend, each feature in its own way.
* ``autocorrelated``: a value remembers the model's event before with a correlation of .5.
* ``clustered``: a quarter of the events repeat the one before (a session, a retry), and 5 % are duplicates of it.
* ``wandering``: the mean of each feature wanders for days (autoregressive, .3 standard deviations, 24 hours).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WORLDS = ("independent", "seasonal", "autocorrelated", "clustered", "wandering")
FEATURES = 20
COARSE = (14, 15)
"""Features that come in steps of a half."""
HOLED = (16, 17)
"""Features of which :data:`_MISSING` is null."""
CATEGORIES = (18, 19)
"""Features that are one of four classes."""
GRID = 64
"""Places of the grid in a standard deviation."""
PLACES = 12 * GRID
"""Places of the grid: 6 standard deviations on each side."""
HOUR, DAY, WEEK = 3600.0, 86400.0, 7 * 86400.0
START = 1_767_225_600.0 + 10 * HOUR
"""2026-01-01T10:00:00Z, a Thursday: the fleet is started in the middle of a week, and of a day."""
_MISSING = 0.02
_RATE_MIN, _RATE_MAX, _RATE_EXPONENT = 5.0, 300.0, 1.3
_SWING = 0.4
_SEASON = 0.3
_MEMORY = 0.5
_REPEATS = 0.25
_DUPLICATES = 0.05
_WANDER, _WANDER_HOURS = 0.3, 24.0

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(slots=True)
class Hour:
    """The events of an hour, those of a model side by side in their order.

    ``model`` (n,); ``place`` (n, 20) in the grid; ``null`` (n, 20).
    """

    start: float
    model: Ints
    place: Ints
    null: NDArray[np.bool_]


class World:
    """``models`` models in a world of ``kind``, drawn from ``seed``."""

    def __init__(self, kind: str, models: int, seed: int) -> None:
        self.kind, self.models = kind, models
        self._rng = np.random.default_rng([seed, WORLDS.index(kind)])
        quantile = (np.arange(models) + 0.5) / models
        rates = np.minimum(_RATE_MIN * quantile ** (-1.0 / _RATE_EXPONENT), _RATE_MAX)
        self.rates: Floats = self._rng.permutation(rates)
        self._phase = self._rng.uniform(0.0, 2.0 * np.pi, (models, FEATURES))
        self._day = self._rng.uniform(-_SEASON, _SEASON, (models, FEATURES))
        self._weekend = self._rng.uniform(-_SEASON, _SEASON, (models, FEATURES))
        self._before = self._rng.standard_normal((models, FEATURES))
        self._level = _WANDER * self._rng.standard_normal((models, FEATURES))

    def hours(self, days: float) -> Iterator[Hour]:
        """Hour after hour from :data:`START` on."""
        for k in range(round(24 * days)):
            yield self._hour(START + k * HOUR)

    def _hour(self, start: float) -> Hour:
        clock = 2.0 * np.pi * (start % DAY) / DAY
        rates = (
            self.rates * (1.0 + _SWING * np.sin(clock + self._phase[:, 0])) if self.kind == "seasonal" else self.rates
        )
        counts = self._rng.poisson(rates)
        model = np.repeat(np.arange(self.models), counts)
        latent = self._rng.standard_normal((len(model), FEATURES))
        if self.kind == "seasonal":
            weekend = np.floor(start / DAY + 3.0) % 7.0 >= 5.0
            latent += (self._day * np.sin(clock + self._phase) + self._weekend * weekend)[model]
        elif self.kind == "autocorrelated":
            self._remember(latent, counts)
        elif self.kind == "clustered":
            latent = latent[self._repeated(counts)]
        elif self.kind == "wandering":
            latent += self._wandered()[model]
        place = np.clip(np.floor(latent * GRID).astype(np.int64) + PLACES // 2, 0, PLACES - 1)
        null = np.zeros(place.shape, bool)
        null[:, HOLED] = self._rng.random((len(model), len(HOLED))) < _MISSING
        return Hour(start, model, place, null)

    def _remember(self, latent: Floats, counts: Ints) -> None:
        """Let each event remember the one before: all models' first, second, third event of the hour at once."""
        first = np.cumsum(counts) - counts
        latent *= np.sqrt(1.0 - _MEMORY**2)
        for j in range(int(counts.max(initial=0))):
            rows = np.flatnonzero(counts > j)
            self._before[rows] = latent[first[rows] + j] + _MEMORY * self._before[rows]
            latent[first[rows] + j] = self._before[rows]

    def _wandered(self) -> Floats:
        """The level of each feature an hour later, shape (models, 20)."""
        kept = np.exp(-1.0 / _WANDER_HOURS)
        step = self._rng.standard_normal(self._level.shape)
        self._level = kept * self._level + _WANDER * np.sqrt(1.0 - kept**2) * step
        return self._level

    def _repeated(self, counts: Ints) -> Ints:
        """Which event each event is, or repeats."""
        n = int(counts.sum())
        repeats = self._rng.random(n) < _REPEATS + _DUPLICATES
        repeats[(np.cumsum(counts) - counts)[counts > 0]] = False
        return np.maximum.accumulate(np.where(repeats, 0, np.arange(n)))


def values(feature: int) -> Floats:
    """The number that stands for each place of the grid, shape ``(PLACES,)``; of a category, its class."""
    latent = (np.arange(PLACES) - PLACES // 2) / GRID
    if feature in COARSE:
        return np.floor(latent * 2.0) / 2.0
    if feature in CATEGORIES:
        return np.searchsorted([-0.3, 0.6, 1.4], latent).astype(np.float64)
    return latent
