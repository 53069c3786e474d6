"""What stands in a stretch of one column of a training set: numbers, words, nothing."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TEXT_BYTES_MAX = 1024
"""Longer texts are dropped from events by default, so they are no category here either."""
NULL_WORDS = frozenset({"NA", "N/A", "null", "NULL", "None"})
"""Missing values in a column of numbers of a text file; in any other column they are words like others."""
_TRUTHS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NUMBER = re.compile(
    r"\s*[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|nan|NaN|NAN|inf|Inf|Infinity|infinity)\s*"
)


class Writing(Enum):
    """How the values of a category are written, so that they are the words that events will carry."""

    AS_IT_STANDS = "as it stands"
    """Texts as they are. Of a file with types: ``true`` and ``false``, and numbers are of a wrong type."""
    FEATURE = "feature"
    """The same, but numbers of a file with types are written out: ``3``, ``2.5``."""
    TRUTHS = "truths"
    """``True`` and ``TRUE`` of a text file become ``true``, as JSON has it."""
    CLASS = "class"
    """A label: ``1``, ``1.0`` and ``true`` are the same class ``1``."""


@dataclass(slots=True)
class NumberView:
    """The column as numbers: ``numbers`` in their order (NaN and infinities included), and how often what else."""

    numbers: Floats
    texts: int = 0
    truths: int = 0
    nulls: int = 0
    null_words: int = 0
    dropped: int = 0


@dataclass(slots=True)
class CategoryView:
    """The column as words: how often each, how often a number instead, nothing, or what is no value."""

    texts: dict[str, int] = field(default_factory=dict)
    numbers: int = 0
    nulls: int = 0
    dropped: int = 0


class Cells(Protocol):
    """A stretch of one column. ``typed`` is whether the file says what is a number and what a text."""

    typed: bool

    def as_numbers(self) -> NumberView:
        """Numbers as floats."""
        ...

    def as_categories(self, writing: Writing) -> CategoryView:
        """Values as words."""
        ...


def class_text(value: float) -> str:
    """The text of a class or category that is a number: whole numbers without a point."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 2.0**63 else repr(float(value))


class WordCells:
    """Cells of a file in which everything is text (CSV). ``column`` is a ``pyarrow`` array of strings."""

    typed = False

    def __init__(self, column: Any) -> None:
        self._column = column

    def as_numbers(self) -> NumberView:
        """As :class:`Cells` says; the common case, numbers throughout, costs no Python per value."""
        import pyarrow as pa  # noqa: PLC0415  # costs 0.2 s and 40 MB, which only readers of training sets pay

        nulls = self._column.null_count
        try:
            return NumberView(_floats(self._column.drop_null().cast(pa.float64())), nulls=nulls)
        except pa.ArrowInvalid:
            return self._mixed(nulls)

    def as_categories(self, writing: Writing) -> CategoryView:
        """As :class:`Cells` says."""
        view = CategoryView(nulls=self._column.null_count)
        for text, n in _counted(self._column):
            if writing in {Writing.CLASS, Writing.TRUTHS} and text in NULL_WORDS:
                view.nulls += n
            else:
                _add_text(view, _word(text, writing), n)
        return view

    def _mixed(self, nulls: int) -> NumberView:
        encoded = self._column.drop_null().dictionary_encode()
        words = encoded.dictionary.to_pylist()
        kinds = Counter[str]()
        is_number = np.array([bool(_NUMBER.fullmatch(word)) for word in words], bool)
        parsed = np.array([float(word) if number else np.nan for word, number in zip(words, is_number, strict=True)])
        at = encoded.indices.to_numpy(zero_copy_only=False)
        for word, n in zip(words, np.bincount(at, minlength=len(words)).tolist(), strict=True):
            kinds["null" if word in NULL_WORDS else "truth" if word in _TRUTHS else "text"] += n
        numbers = parsed[at[is_number[at]]]
        return NumberView(numbers, kinds["text"] - len(numbers), kinds["truth"], nulls, kinds["null"])


class ArrowCells:
    """Cells of a file with types (Parquet). ``column`` is a ``pyarrow`` array of numbers, truths, strings or nulls."""

    typed = True

    def __init__(self, column: Any) -> None:
        self._column = column

    def as_numbers(self) -> NumberView:
        """As :class:`Cells` says."""
        import pyarrow as pa  # noqa: PLC0415

        nulls, kind = self._column.null_count, self._column.type
        n = len(self._column) - nulls
        if pa.types.is_boolean(kind):
            return NumberView(np.empty(0), truths=n, nulls=nulls)
        if is_text(kind):
            return NumberView(np.empty(0), texts=n, nulls=nulls)
        return NumberView(_floats(self._column.drop_null().cast(pa.float64(), safe=False)), nulls=nulls)

    def as_categories(self, writing: Writing) -> CategoryView:
        """As :class:`Cells` says."""
        import pyarrow as pa  # noqa: PLC0415

        kind = self._column.type
        if not pa.types.is_boolean(kind) and not is_text(kind):
            return _numbers_as_words(self.as_numbers(), writing)
        view = CategoryView(nulls=self._column.null_count)
        for value, n in _counted(self._column):
            _add_text(view, _truth_word(value, writing) if isinstance(value, bool) else value, n)
        return view


class ListCells:
    """Cells of JSON: any values, each of its own type."""

    typed = True

    def __init__(self, values: list[Any]) -> None:
        self._values = values

    def as_numbers(self) -> NumberView:
        """As :class:`Cells` says."""
        kinds = Counter(map(type, self._values))
        nulls, truths, texts = kinds[type(None)], kinds[bool], kinds[str]
        dropped = len(self._values) - nulls - truths - texts - kinds[int] - kinds[float]
        values = self._values
        if len(values) > kinds[int] + kinds[float]:
            values = [value for value in values if type(value) in {int, float}]
        return NumberView(_as_floats(values), texts, truths, nulls, 0, dropped)

    def as_categories(self, writing: Writing) -> CategoryView:
        """As :class:`Cells` says."""
        numbers = self.as_numbers()
        view = _numbers_as_words(numbers, writing)
        view.dropped += numbers.dropped
        for text, n in Counter(value for value in self._values if isinstance(value, str)).items():
            _add_text(view, text, n)
        for truth, n in Counter(value for value in self._values if isinstance(value, bool)).items():
            _add_text(view, _truth_word(truth, writing), n)
        return view


def is_text(kind: Any) -> bool:
    """Whether a ``pyarrow`` type holds texts, dictionary-encoded or not."""
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _floats(column: Any) -> Floats:
    values: Floats = column.to_numpy(zero_copy_only=False)
    return values


def _as_floats(values: list[Any]) -> Floats:
    try:
        return np.array(values, np.float64)
    except OverflowError:
        return np.array([_clipped(value) for value in values], np.float64)


def _clipped(value: float) -> float:
    """An integer beyond float64 is no finite number."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _counted(column: Any) -> Iterable[tuple[Any, int]]:
    counted = column.drop_null().value_counts()
    return zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True)


def _numbers_as_words(numbers: NumberView, writing: Writing) -> CategoryView:
    view = CategoryView(nulls=numbers.nulls)
    if writing is Writing.AS_IT_STANDS:
        view.numbers = len(numbers.numbers)
        return view
    values, counts = np.unique(numbers.numbers, return_counts=True)
    for value, n in zip(values.tolist(), counts.tolist(), strict=True):
        if math.isfinite(value):
            _add_text(view, class_text(value), n)
        else:
            view.dropped += n
    return view


def _add_text(view: CategoryView, text: str, n: int) -> None:
    if len(text) * 4 > TEXT_BYTES_MAX and len(text.encode()) > TEXT_BYTES_MAX:
        view.dropped += n
    else:
        view.texts[text] = view.texts.get(text, 0) + n


def _truth_word(truth: bool, writing: Writing) -> str:
    if writing is Writing.CLASS:
        return "1" if truth else "0"
    return "true" if truth else "false"


def _word(text: str, writing: Writing) -> str:
    """What a word of a text file is as a category."""
    if writing in {Writing.CLASS, Writing.TRUTHS} and text in _TRUTHS:
        return _truth_word(_TRUTHS[text], writing)
    if writing is Writing.CLASS and _NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return class_text(float(text))
    return text
