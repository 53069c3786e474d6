"""Which families of metrics does the client library lack? Whole tables of samples, and histograms fed by arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import ArrayLike
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

Samples = Mapping[tuple[str, ...], float]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a metric catalogue: the exported name; ``counter``, ``gauge`` or ``histogram``; labels; meaning."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str


class Table:
    """A counter or gauge whose samples are one mapping, replaced whole by its writer or read when it is scraped.

    A scrape sees one mapping or the next, never half of each, and a label set that is gone is gone at once. Label
    sets in ``known`` are exported as 0 until they have a value. With ``series_max`` only the largest values are
    exported; :attr:`series_dropped` is how many the last scrape left out.
    """

    def __init__(
        self,
        entry: Entry,
        *,
        known: Iterable[tuple[str, ...]] = (),
        series_max: int | None = None,
    ) -> None:
        assert entry.kind in {"counter", "gauge"}
        self._entry = entry
        self._zeros: dict[tuple[str, ...], float] = dict.fromkeys(known, 0.0)
        self._series_max = series_max
        self._read: Callable[[], Samples] = dict
        self.series_dropped = 0

    def show(self, samples: Samples) -> None:
        """Replace all samples; keys are label values in the order of the entry's labels."""
        frozen = dict(samples)
        self._read = lambda: frozen

    def read_from(self, read: Callable[[], Samples]) -> None:
        """Ask ``read`` at each scrape, on the scraping thread; it must not block."""
        self._read = read

    def describe(self) -> list[Metric]:
        """The family without samples, as a registry asks for it."""
        return [self._family()]

    def collect(self) -> Iterable[Metric]:
        """The family as of now."""
        family = self._family()
        samples = {**self._zeros, **self._read()}
        for labels, value in self._within_cap(samples):
            family.add_metric(labels, value)
        return [family]

    def _family(self) -> CounterMetricFamily | GaugeMetricFamily:
        made = CounterMetricFamily if self._entry.kind == "counter" else GaugeMetricFamily
        return made(self._entry.name, self._entry.help, labels=self._entry.labels)

    def _within_cap(self, samples: Samples) -> Iterable[tuple[tuple[str, ...], float]]:
        if self._series_max is None or len(samples) <= self._series_max:
            self.series_dropped = 0
            return samples.items()
        self.series_dropped = len(samples) - self._series_max
        return sorted(samples.items(), key=lambda item: item[1], reverse=True)[: self._series_max]


class BatchHistogram:
    """A histogram without labels that takes a batch of observations at a time, for what is met once an event.

    ``bounds`` are the upper ends of the buckets, inclusive, growing, without infinity.
    """

    def __init__(self, entry: Entry, bounds: Sequence[float]) -> None:
        assert entry.kind == "histogram"
        self._entry = entry
        self._bounds = np.asarray(bounds, dtype=np.float64)
        self._counts = np.zeros(len(bounds) + 1, dtype=np.int64)
        self._sum = 0.0
        self._lock = Lock()

    def observe_many(self, values: ArrayLike) -> None:
        """Count ``values`` (any shape). NaN is left out; a value below 0 counts as 0, so that the sum only grows."""
        observed = np.asarray(values, dtype=np.float64).ravel()
        observed = np.maximum(observed[np.isfinite(observed)], 0.0)
        reached = [np.count_nonzero(observed <= bound) for bound in self._bounds.tolist()]
        counts = np.diff(reached, prepend=0, append=len(observed))
        total = float(observed.sum())
        with self._lock:
            self._counts += counts
            self._sum += total

    def describe(self) -> list[Metric]:
        """The family without samples, as a registry asks for it."""
        return [HistogramMetricFamily(self._entry.name, self._entry.help, labels=())]

    def collect(self) -> Iterable[Metric]:
        """The family as of now."""
        with self._lock:
            reached, total = np.cumsum(self._counts).tolist(), self._sum
        ends = [*(str(bound) for bound in self._bounds.tolist()), "+Inf"]
        return [
            HistogramMetricFamily(
                self._entry.name, self._entry.help, buckets=list(zip(ends, reached, strict=True)), sum_value=total
            )
        ]
