"""The demo fleet: models that live in event time, faults planted in them, and their events as a source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, pairwise

import numpy as np

from monitor.catalog.profile import Profile, category_series, number_series
from monitor.events.raw import Partition, RawBatch
from monitor.ingest.demo_events import VERSION, Drawn, draw, times, write
from monitor.ingest.demo_faults import Fault, plant
from monitor.ingest.demo_laws import DAY_SECONDS, Floats, ModelLaw, model_laws

PARTITION = Partition("demo", 0)
START = 1_772_409_600.0
"""2026-03-02T00:00:00Z, a Monday."""
REFERENCE_EVENTS = 10_000
_SLICE_SECONDS = 6 * 3600.0
"""So much event time is drawn at once: a few dozen megabytes of events for 200 models."""


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

    def __init__(self, models: int = 200, seed: int = 1, days: float = 2.0, start: float = START) -> None:
        self.start = start
        self.end = start + days * DAY_SECONDS
        self.models: tuple[ModelLaw, ...] = model_laws(models, seed)
        self.faults: tuple[Fault, ...] = plant(self.models, seed, start, self.end - start)
        self._seed = seed
        self._fault_of = {fault.model: fault for fault in self.faults}

    def events_expected(self) -> int:
        """How many events the stream has in the mean."""
        return round(sum(model.rate for model in self.models) * (self.end - self.start) / 3600.0)

    def references(self) -> Iterator[Profile]:
        """What each model was like in the days before: :data:`REFERENCE_EVENTS` fresh cases of the same laws."""
        for i, model in enumerate(self.models):
            rng = np.random.default_rng([self._seed, 3, i])
            yield _reference(model, draw(model, rng, REFERENCE_EVENTS))

    def slices(self) -> Iterator[list[bytes]]:
        """All events in the order of their times, a few hours at once."""
        starts = np.arange(self.start, self.end, _SLICE_SECONDS).tolist()
        for number, start in enumerate(starts):
            yield self._slice(number, start, min(start + _SLICE_SECONDS, self.end))

    def _slice(self, number: int, start: float, end: float) -> list[bytes]:
        written: list[list[bytes]] = []
        at: list[Floats] = []
        for i, model in enumerate(self.models):
            rng = np.random.default_rng([self._seed, 4, i, number])
            mine = times(model, rng, start, end - start)
            at.append(mine)
            written.extend(self._events(model, mine, rng, f"{number}-"))
        values = list(chain.from_iterable(written))
        order = np.argsort(np.concatenate(at), kind="stable")
        return [values[i] for i in order.tolist()]

    def _events(self, model: ModelLaw, at: Floats, rng: np.random.Generator, prefix: str) -> Iterator[list[bytes]]:
        """The events of one model, cut where its fault begins and ends."""
        fault = self._fault_of.get(model.name)
        if fault is None:
            yield write(model, draw(model, rng, len(at)), at, prefix, None)
            return
        cuts = [0, *np.searchsorted(at, (fault.began, fault.ended)).tolist(), len(at)]
        for stretch, (first, last) in enumerate(pairwise(cuts)):
            if first < last:
                now = fault if stretch == 1 else None
                yield write(model, draw(model, rng, last - first, now), at[first:last], f"{prefix}{stretch}-", now)


class DemoSource:
    """The events of a fleet as one partition; an offset is an event's number from 0. It never makes anyone wait."""

    def __init__(self, fleet: DemoFleet, positions: Mapping[Partition, int] | None = None) -> None:
        self._slices = fleet.slices()
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


def _reference(model: ModelLaw, drawn: Drawn) -> Profile:
    n = len(drawn.scores)
    series = [
        number_series(law.name, "feature", values[~absent], n)
        for law, values, absent in zip(model.numbers, drawn.numbers, drawn.absent, strict=True)
    ]
    for law, chosen in zip(model.categories, drawn.categories, strict=True):
        counts = np.bincount(chosen, minlength=len(law.values)).tolist()
        series.append(category_series(law.name, "feature", dict(zip(law.values, counts, strict=True)), 0, n))
    labels = np.bincount(drawn.labels, minlength=2).tolist()
    series.append(number_series("score", "prediction", drawn.scores, n))
    series.append(category_series("label", "prediction", dict(zip(model.labels, labels, strict=True)), 0, n))
    return Profile(model.name, VERSION, n, "demo", series)
