"""The demo fleet: models that live in event time, faults planted in them, and their events as a source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.profile import Profile, SeriesProfile, category_series, number_series
from monitor.catalog.series import BUFFER, choose_edges
from monitor.events.raw import Partition, RawBatch
from monitor.ingest.demo_events import SCORES, VERSIONS, Places, Press
from monitor.ingest.demo_faults import OF_TRAFFIC, Fault, FaultKind, plant
from monitor.ingest.demo_laws import (
    DAY_SECONDS,
    MARKETS,
    POOL,
    SEGMENT,
    STEP_SECONDS,
    FleetLaws,
    Floats,
    Law,
    ModelLaw,
    Role,
)
from monitor.ingest.demo_people import Waiting
from monitor.kernels.tally import BINS, COLUMNS, EVENTS, NULLS, PRESENT

PARTITION = Partition("demo", 0)
START = 1_772_409_600.0
"""2026-03-02T00:00:00Z, a Monday."""
REFERENCE_DAYS = 28.0
_REFERENCE_EVENTS_MAX = 10_000
"""Events of a reference: those of four weeks, but no more than this."""
_SLICE_EVENTS = 50_000
"""About so many events are drawn at once."""


class Recipe(NamedTuple):
    """What a :class:`DemoFleet` is made of: its arguments."""

    models: int
    seed: int
    days: float
    start: float


class DemoFleet:
    """Models, their laws and the faults that are planted in them: all drawn from ``seed``, the same each time.

    Parameters
    ----------
    models
        How many, at least 1.
    seed
        At least 0.
    days
        Length of the stream in event time, above 0.
    start
        Its beginning, seconds since the epoch.
    """

    def __init__(self, models: int = 1000, seed: int = 1, days: float = 7.0, start: float = START) -> None:
        self.recipe = Recipe(models, seed, days, start)
        self.start = start
        self.end = start + days * DAY_SECONDS
        self.laws = FleetLaws(models, seed)
        self.faults: tuple[Fault, ...] = plant(self.laws, seed, start, self.end - start)
        self.press = Press(self.laws, self.faults, self.start, self.end)
        self._seed = seed
        self._rows = {model.name: i for i, model in enumerate(self.laws.models)}
        self._expected = self._means(self._steps())

    @property
    def models(self) -> tuple[ModelLaw, ...]:
        """The models."""
        return self.laws.models

    def events_expected(self) -> int:
        """How many events the stream has in the mean, but for the outcomes that come after its end."""
        twice = 1.0 + np.array([model.role is Role.DECIDER for model in self.models])
        return round(float((self.means() * twice).sum()))

    def events_within(self, model: str, began: float, ended: float) -> float:
        """How many cases ``model`` is asked about in [began, ended), in the mean."""
        steps = self._steps()
        covered = np.clip(np.minimum(steps + STEP_SECONDS, ended) - np.maximum(steps, began), 0.0, None)
        return float((self.means()[:, self.row(model)] * covered / STEP_SECONDS).sum())

    def row(self, model: str) -> int:
        """The place of a model among :attr:`models`."""
        return self._rows[model]

    def means(self) -> Floats:
        """Expected cases by step of :data:`~monitor.ingest.demo_laws.STEP_SECONDS` and model, faults included."""
        return self._expected

    def references(self) -> Iterator[Profile]:
        """What each model was like in the four weeks before: its features as sums, its answers to that many cases."""
        binned = [_Binned.of(law) if law.is_number else None for law in self.laws.laws]
        for i, model in enumerate(self.models):
            rng = np.random.default_rng([self._seed, 3, i])
            yield self._reference(i, model, binned, rng)

    def slices(self) -> Iterator[list[bytes]]:
        """All events in the order of their times, a stretch of event time at once."""
        steps = self._steps()
        at_once = max(int(_SLICE_EVENTS * len(steps) / max(self.events_expected(), 1)), 1)
        written, waiting = 0, Waiting.none()
        for number, first in enumerate(range(0, len(steps), at_once)):
            rng = np.random.default_rng([self._seed, 4, number])
            chosen = slice(first, first + at_once)
            model, at = self._arrivals(steps[chosen], self._expected[chosen], rng)
            drawn = self.press.draw(model, at, rng)
            waiting = waiting.joined(self.press.waiting(model, at, drawn, written))
            told = waiting.at < min(steps[chosen][-1] + STEP_SECONDS, self.end)
            yield self._merged(self.press.write(model, at, drawn, written), at, waiting.some(told))
            written, waiting = written + len(model), waiting.some(~told)

    def _steps(self) -> Floats:
        return np.arange(self.start, self.end, STEP_SECONDS)

    def _means(self, steps: Floats) -> Floats:
        """Expected events by step and model."""
        lasts = np.minimum(STEP_SECONDS, self.end - steps)
        means: Floats = self.laws.traffic(steps) * lasts[:, None] / 3600.0
        for fault in self.faults:
            if fault.kind in OF_TRAFFIC:
                spoiled = (steps >= fault.began) & (steps < fault.ended)
                means[spoiled, self._rows[fault.model]] *= 0.0 if fault.kind is FaultKind.SILENCE else fault.size
        return means

    def _merged(self, values: list[bytes], at: Floats, told: Waiting) -> list[bytes]:
        """The cases ``values`` at times ``at`` and the outcomes ``told``, by time."""
        if not len(told):
            return values
        order = np.argsort(np.concatenate([at, told.at]), kind="stable").tolist()
        both = values + self.press.people.outcomes(told)
        return [both[i] for i in order]

    def _arrivals(self, steps: Floats, means: Floats, rng: np.random.Generator) -> tuple[Places, Floats]:
        """Which model is asked when, by time: Poisson processes of ``means`` in each of ``steps``."""
        counts = rng.poisson(means)
        model = np.repeat(np.tile(np.arange(len(self.models)), len(steps)), counts.ravel())
        step = np.repeat(steps, counts.sum(axis=1))
        lasts = np.minimum(STEP_SECONDS, self.end - step)
        at = np.floor((step + lasts * rng.random(len(step))) * 1000.0) / 1000.0
        order = np.argsort(at, kind="stable")
        return model[order], at[order]

    def _reference(
        self, row: int, model: ModelLaw, binned: Sequence[_Binned | None], rng: np.random.Generator
    ) -> Profile:
        n = int(np.clip(model.rate * 24.0 * REFERENCE_DAYS, 1.0, _REFERENCE_EVENTS_MAX))
        season = self.laws.season(model)
        series = [
            _category(self.laws.laws[law], n, rng)
            if (bins := binned[law]) is None
            else _number(bins, n, missing, season * seasonal, rng)
            for law, missing, seasonal in zip(model.laws, model.missing, model.seasonal, strict=True)
        ]
        scores, labels = self.press.answers(row, self.start - DAY_SECONDS * rng.uniform(0.0, REFERENCE_DAYS, n), rng)
        series.append(number_series("score", "prediction", scores / SCORES, n))
        counts = np.bincount(labels, minlength=2).tolist()
        series.append(category_series("label", "prediction", dict(zip(model.labels, counts, strict=True)), 0, n))
        if model.role is not Role.PLAIN:
            came = rng.multinomial(n, list(MARKETS.values())).tolist()
            series.append(category_series(SEGMENT, "segment", dict(zip(MARKETS, came, strict=True)), 0, n))
        return Profile(model.name, VERSIONS[0].decode(), n, "demo", series)


class DemoSource:
    """The events of a fleet as one partition; an offset is an event's number from 0.

    ``slices`` are those of :meth:`DemoFleet.slices`, drawn here or elsewhere; a poll waits for the next of them.
    """

    def __init__(self, slices: Iterator[list[bytes]], positions: Mapping[Partition, int] | None = None) -> None:
        self._slices = slices
        self._values: list[bytes] = []
        self._taken = 0
        self._next = 0
        self._ended = False
        self._fill()
        self._skip((positions or {}).get(PARTITION, 0))

    @property
    def merged(self) -> bool:
        """Yes: one order for all."""
        return True

    def poll(self, records_max: int, timeout_seconds: float) -> RawBatch:  # nothing is waited for
        """As :class:`~monitor.ingest.source.Source` says; empty only at the end of the stream."""
        values = self._values[self._taken : self._taken + records_max]
        offsets = np.arange(self._next, self._next + len(values), dtype=np.int64)
        self._taken += len(values)
        self._next += len(values)
        self._fill()
        return RawBatch(values, np.full(len(values), np.nan), (PARTITION,), np.zeros(len(values), np.int32), offsets)

    def positions(self) -> Mapping[Partition, int]:
        """As :class:`~monitor.ingest.source.Source` says."""
        return {PARTITION: self._next}

    def exhausted(self, partition: Partition) -> bool:
        """Whether the stream is at its end."""
        return partition != PARTITION or self.finished()

    def finished(self) -> bool:
        """Whether every event was handed over."""
        return self._ended

    def lag(self) -> Mapping[Partition, int]:
        """Nothing: events are drawn when they are asked for."""
        return {}

    def committed(self, positions: Mapping[Partition, int]) -> None:
        """Nothing: a demo does not want to know."""

    def close(self) -> None:
        """Let go of what was drawn."""
        self._values, self._taken, self._ended = [], 0, True

    def _fill(self) -> None:
        """See that there is an event to hand over, unless there are none left."""
        while self._taken >= len(self._values) and not self._ended:
            drawn = next(self._slices, None)
            self._ended = drawn is None
            self._values, self._taken = drawn or [], 0

    def _skip(self, n: int) -> None:
        while self._next < n and not self._ended:
            step = min(n - self._next, len(self._values) - self._taken)
            self._taken += step
            self._next += step
            self._fill()


@dataclass(frozen=True, slots=True)
class _Binned:
    """A number's law and the bins of its references: their ``edges``, the bin of each value of its pool, its bounds."""

    law: Law
    edges: Floats
    bin: NDArray[np.int64]
    low: float
    high: float

    @classmethod
    def of(cls, law: Law) -> _Binned:
        """The same for every model that has the law."""
        numbers = law.numbers
        edges = choose_edges(numbers)
        at = np.searchsorted(edges, numbers, side="left")
        return cls(law, edges, at, float(numbers.min()), float(numbers.max()))


def _number(binned: _Binned, n: int, missing: float, season: float, rng: np.random.Generator) -> SeriesProfile:
    """A number's part of a reference of ``n`` events, drawn as the sums of its bins."""
    x = np.arange(POOL + 1) / POOL
    shares = np.diff(x + season * x * (1.0 - x))
    counts = np.zeros(COLUMNS, np.int64)
    counts[NULLS] = rng.binomial(n, missing)
    in_bins = np.bincount(binned.bin, shares, BINS)
    counts[:BINS] = rng.multinomial(n - counts[NULLS], in_bins / in_bins.sum())
    counts[[PRESENT, EVENTS]] = n
    law, edges, bounds = binned.law, binned.edges.tolist(), (binned.low, binned.high)
    first = rng.choice(law.numbers, BUFFER).tolist()
    return SeriesProfile(law.name, "feature", "number", counts.tolist(), edges, *bounds, [], first)


def _category(law: Law, n: int, rng: np.random.Generator) -> SeriesProfile:
    values, in_pool = np.unique(law.values, return_counts=True)
    counts = rng.multinomial(n, in_pool / POOL).tolist()
    return category_series(law.name, "feature", dict(zip(values.tolist(), counts, strict=True)), 0, n)
