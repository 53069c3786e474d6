"""What reference a training set makes: read twice, first to choose the bins, then to count into them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from monitor.catalog.profile import Profile, SeriesProfile
from monitor.catalog.tables import did_you_mean
from monitor.catalog.training_counts import CategoryCounts, NumberCounts, SpaceName, Survey
from monitor.catalog.training_rows import read, training_files
from monitor.catalog.training_stretch import Key, Reading, Stretch
from monitor.errors import ProfileError

_COUNT_MAX = (1 << 32) - 1
_OTHERS_TOLD = 5


@dataclass(frozen=True, slots=True)
class Columns:
    """What the columns of a table are. Files of native events say that by themselves, but for the last two.

    ``label``, ``score`` and ``value`` name the columns that are the model's answers; ``left_out`` those that events
    do not carry (identifiers, outcomes, weights); ``categories`` those that look like numbers and come as strings.
    """

    label: str | None = None
    score: str | None = None
    value: str | None = None
    left_out: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()

    def place(self, name: str) -> Key | None:
        """The series that a column belongs to; ``None`` for one that is left out."""
        if name in self.left_out:
            return None
        for part in ("label", "score", "value"):
            if getattr(self, part) == name:
                return Key("prediction", part)
        return Key("feature", name)

    def parts(self) -> list[str]:
        """Columns that are no features."""
        return [*(name for name in (self.label, self.score, self.value) if name is not None), *sorted(self.left_out)]

    def named(self) -> list[str]:
        """All columns that are spoken of."""
        return [*self.parts(), *sorted(self.categories)]


class Built(NamedTuple):
    """A reference, and what its maker should know: columns that it does not have and why, one line each."""

    profile: Profile
    warnings: tuple[str, ...]


def build(path: Path, model: str, version: str, columns: Columns, progress: Callable[[int, int], None]) -> Built:
    """Make a reference of a training set.

    A column is a number if at least half of its values are (``TYPE`` counts the rest), else a category; the label is a
    category always. Bins are chosen from all numbers of a column or a seeded random sample of 100,000, and counted
    over all rows. Memory does not grow with the rows: about 1 MB for each column of numbers.

    Parameters
    ----------
    path
        A file (``.csv``, ``.parquet``, ``.jsonl``; the text ones also ``.gz``) or a directory of them. ``.jsonl``
        holds native events, of which those of other models are passed over, or flat objects of names and values.
    model, version
        Whose reference it is.
    columns
        What the columns are.
    progress
        Is told how many bytes of how many were read, both readings counted.

    Raises
    ------
    ProfileError
        Nothing can be made of it; the message names the file, and the line or column where that is known.
    """
    doubles = sorted({name for name in columns.parts() if columns.parts().count(name) > 1})
    if doubles:
        raise ProfileError(f'column "{doubles[0]}" is given two parts to play')
    files = training_files(path)
    reading = Reading(model, columns.place)
    passes = _Passes(files, reading, progress)
    surveys: dict[Key, Survey] = {}
    for stretch in passes.read():
        for key, cells in stretch.columns.items():
            surveys.setdefault(key, Survey()).add(cells)
    _check(path, columns, reading, surveys)
    kept, warnings = _choose(surveys, columns)
    series, rows = _count(passes, kept)
    if not series:
        raise ProfileError(f"{path}: has no column that a reference can be made of: {'; '.join(warnings)}")
    told = [f'column "{name}" was left out: {why}' for name, why in reading.left_out.items()] + warnings
    return Built(Profile(model, version, rows, path.name, series), tuple(told))


class _Passes:
    """Reads the files again and again, and tells how far it is with the two readings that are made."""

    def __init__(self, files: list[Path], reading: Reading, progress: Callable[[int, int], None]) -> None:
        self._files = files
        self._reading = reading
        self._progress = progress
        self._sizes = [file.stat().st_size for file in files]
        self._done = 0

    def read(self) -> Iterator[Stretch]:
        total = 2 * sum(self._sizes)
        for file, size in zip(self._files, self._sizes, strict=True):
            for at, stretch in read(file, self._reading):
                self._progress(self._done + min(at, size), total)
                yield stretch
            self._done += size
            self._progress(self._done, total)


def _check(path: Path, columns: Columns, reading: Reading, surveys: dict[Key, Survey]) -> None:
    for name in columns.named():
        if name not in reading.names:
            raise ProfileError(f'{path}: has no column "{name}"{did_you_mean(name, sorted(reading.names))}')
    if not surveys and reading.other_models:
        others = ", ".join(sorted(reading.other_models)[:_OTHERS_TOLD])
        raise ProfileError(f'{path}: has no event of model "{reading.model}", only of {others}')
    if not surveys:
        raise ProfileError(f"{path}: has no rows")


def _choose(surveys: dict[Key, Survey], columns: Columns) -> tuple[dict[Key, NumberCounts | CategoryCounts], list[str]]:
    kept: dict[Key, NumberCounts | CategoryCounts] = {}
    warnings = []
    for key, survey in surveys.items():
        is_class = key == Key("prediction", "label")
        forced = key.space == "feature" and key.name in columns.categories
        as_number = (key.space != "feature" and not is_class) or (survey.is_number() and not (forced or is_class))
        why = survey.emptiness(as_number=as_number)
        if why is not None:
            warnings.append(f'column "{_called(key, columns)}" was left out: {why}')
        elif as_number:
            kept[key] = NumberCounts(survey)
        else:
            kept[key] = CategoryCounts(survey.writing(is_class=is_class, forced=forced))
    return kept, warnings


def _called(key: Key, columns: Columns) -> str:
    """A column as its file names it."""
    return getattr(columns, key.name) or f"prediction.{key.name}" if key.space == "prediction" else key.name


def _count(passes: _Passes, kept: dict[Key, NumberCounts | CategoryCounts]) -> tuple[list[SeriesProfile], int]:
    events, rows = Counter[SpaceName](), 0
    for stretch in passes.read():
        rows += stretch.rows
        events.update(stretch.events)
        for key, cells in stretch.columns.items():
            if key in kept:
                kept[key].add(cells)
    if rows > _COUNT_MAX:
        raise ProfileError(f"has {rows} rows, more than the {_COUNT_MAX} that a reference can count")
    return [counts.series(key.name, key.space, events[key.space]) for key, counts in kept.items()], rows
