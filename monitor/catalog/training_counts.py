"""What one column of a training set comes to: first what it is, then how often it is what."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import msgspec
import numpy as np

from monitor.catalog.profile import SeriesProfile, category_series
from monitor.catalog.series import BUFFER, bin_values, choose_edges
from monitor.catalog.training_cells import Cells, Floats, Writing
from monitor.kernels.tally import BINS, COLUMNS, DROPPED, EVENTS, INVALID, NULLS, OTHER_BIN, PRESENT, TYPE

SpaceName = Literal["feature", "prediction", "metric"]

RESERVOIR = 100_000
"""Numbers of a column that its bins are chosen from: all, or a random sample of so many."""
DISTINCT_MAX = 50_000
"""Words of a column that are counted one by one; what is met first later is among the others."""


class Reservoir:
    """A uniform random sample of a stream of numbers; all of them, in their order, while they are few."""

    def __init__(self, size: int = RESERVOIR) -> None:
        self._size = size
        self._kept = np.empty(0)
        self._seen = 0
        self._rng = np.random.default_rng(size)

    @property
    def values(self) -> Floats:
        """The sample so far."""
        return self._kept

    def add(self, values: Floats) -> None:
        """Take in ``values``; each that comes late replaces a random one with the probability that is its due."""
        room = self._size - len(self._kept)
        if room > 0:
            self._kept = np.concatenate([self._kept, values[:room]])
            self._seen += min(room, len(values))
            values = values[room:]
        if len(values):
            rank = np.arange(self._seen, self._seen + len(values))
            place = self._rng.integers(0, rank + 1)
            lucky = place < self._size
            self._kept[place[lucky]] = values[lucky]
            self._seen += len(values)


@dataclass(slots=True)
class Survey:
    """What the first reading learns of a column; ``first`` are its first finite numbers in their order."""

    numbers: int = 0
    texts: int = 0
    truths: int = 0
    dropped: int = 0
    low: float = np.inf
    high: float = -np.inf
    first: Floats = field(default_factory=lambda: np.empty(0))
    typed: bool = True
    sample: Reservoir = field(default_factory=Reservoir)

    def add(self, cells: Cells) -> None:
        """Look at a further stretch."""
        view = cells.as_numbers()
        self.typed = cells.typed
        self.numbers += len(view.numbers)
        self.texts += view.texts
        self.truths += view.truths
        self.dropped += view.dropped
        finite = view.numbers[np.isfinite(view.numbers)]
        if len(finite):
            self.low, self.high = min(self.low, float(finite.min())), max(self.high, float(finite.max()))
            if len(self.first) < BUFFER:
                self.first = np.concatenate([self.first, finite[: BUFFER - len(self.first)]])
            self.sample.add(finite)

    def is_number(self) -> bool:
        """Whether most of its values are numbers."""
        return self.numbers > 0 and self.numbers >= self.texts + self.truths

    def emptiness(self, *, as_number: bool) -> str | None:
        """Why no reference can be made of the column, if none can."""
        if as_number and not len(self.sample.values):
            return "has no finite number" if self.numbers else "has no number"
        if not self.numbers + self.texts + self.truths:
            return "holds lists and objects alone" if self.dropped else "is empty"
        return None

    def writing(self, *, is_class: bool, forced: bool) -> Writing:
        """How its values are written as a category."""
        all_truths = self.truths > 0 and not self.numbers + self.texts
        if is_class and (self.typed or all_truths or (self.numbers > 0 and not self.texts + self.truths)):
            return Writing.CLASS
        if forced and not is_class:
            return Writing.FEATURE
        return Writing.TRUTHS if all_truths and not self.typed else Writing.AS_IT_STANDS


class NumberCounts:
    """The second reading of a column of numbers."""

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._edges = choose_edges(survey.sample.values)
        self._counts = np.zeros(COLUMNS, np.int64)

    def add(self, cells: Cells) -> None:
        """Count a further stretch into the bins."""
        view = cells.as_numbers()
        finite = view.numbers[np.isfinite(view.numbers)]
        self._counts[:BINS] += bin_values(finite, self._edges)
        self._counts[INVALID] += len(view.numbers) - len(finite)
        self._counts[TYPE] += view.texts + view.truths
        self._counts[NULLS] += view.nulls + view.null_words
        self._counts[DROPPED] += view.dropped
        others = view.texts + view.truths + view.nulls + view.null_words + view.dropped
        self._counts[PRESENT] += len(view.numbers) + others

    def series(self, name: str, space: SpaceName, events: int) -> SeriesProfile:
        """The column's part of the reference; ``events`` is how many rows could have had a value."""
        self._counts[EVENTS] = events
        survey = self._survey
        return SeriesProfile(
            name=name,
            space=space,
            kind="number",
            counts=self._counts.tolist(),
            edges=self._edges.tolist(),
            low=survey.low,
            high=survey.high,
            first_values=survey.first.tolist(),
        )


class CategoryCounts:
    """The second reading of a column of categories."""

    def __init__(self, writing: Writing) -> None:
        self._writing = writing
        self._texts: dict[str, int] = {}
        self._more = 0
        self._numbers = 0
        self._nulls = 0
        self._dropped = 0

    def add(self, cells: Cells) -> None:
        """Count the words of a further stretch."""
        view = cells.as_categories(self._writing)
        self._numbers += view.numbers
        self._nulls += view.nulls
        self._dropped += view.dropped
        for text, n in view.texts.items():
            if text in self._texts or len(self._texts) < DISTINCT_MAX:
                self._texts[text] = self._texts.get(text, 0) + n
            else:
                self._more += n

    def series(self, name: str, space: SpaceName, events: int) -> SeriesProfile:
        """The column's part of the reference; ``events`` is how many rows could have had a value."""
        series = category_series(name, space, self._texts, self._nulls, events)
        counts = list(series.counts)
        counts[OTHER_BIN] += self._more
        counts[TYPE] += self._numbers
        counts[DROPPED] += self._dropped
        counts[PRESENT] += self._more + self._numbers + self._dropped
        return msgspec.structs.replace(series, counts=counts)
