"""What may go wrong with a series: each fault as a matrix that says where the values of a tick go."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.kernels.tally import (
    BELOW,
    BINS,
    COLUMNS,
    INVALID,
    KIND_CATEGORY,
    KIND_NUMBER,
    NULLS,
    TYPE,
    UNSEEN_BIN,
)

Array = NDArray[np.float64]
Transform = Callable[["Subject"], Array]


@dataclass(frozen=True, slots=True)
class Subject:
    """A series as a fault meets it: its bins (32,) as reference counts, its edges, and what numbers it has."""

    reference: Array
    edges: Array
    low: float
    high: float
    deviation: float


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that may go wrong with a series of one kind; ``words`` continue "if ...".

    ``matrix`` says where values go, shape ``(40, 40)``: a value counted in column ``i`` is counted in ``j`` with
    probability ``matrix[i, j]``. Totals (events, present) are columns like any other.
    """

    name: str
    kind: int
    words: str
    matrix: Transform


def _moved(subject: Subject, move: Callable[[Array], Array]) -> Array:
    """Where numbers go when each is ``move``d, taken as spread evenly over its bin."""
    matrix = np.eye(COLUMNS)
    n = len(subject.edges)
    if not n or not math.isfinite(subject.deviation):
        return matrix
    ends = np.concatenate([[min(subject.low, subject.edges[0])], subject.edges, [max(subject.high, subject.edges[-1])]])
    grid = (np.arange(64) + 0.5) / 64
    values = ends[:-1, None] + np.diff(ends)[:, None] * grid
    values[np.diff(ends) <= 0] = ends[1:][np.diff(ends) <= 0, None]
    landed = np.searchsorted(subject.edges, move(values), side="left")
    for i in range(n + 1):
        matrix[i, :BINS] = np.bincount(landed[i], minlength=BINS)[:BINS] / 64
    return matrix


def _shift(size: float) -> Transform:
    return lambda subject: _moved(subject, lambda x: x + size * subject.deviation)


def _spread(subject: Subject) -> Array:
    middle = float(np.interp(0.5, np.cumsum(subject.reference) / max(subject.reference.sum(), 1.0), np.arange(BINS)))
    centre = float(subject.edges[min(round(middle), len(subject.edges) - 1)]) if len(subject.edges) else 0.0
    return _moved(subject, lambda x: centre + 1.5 * (x - centre))


def _to(column: int, part: float) -> Transform:
    """A part of the values is counted in ``column`` instead."""

    def matrix(_subject: Subject) -> Array:
        made = np.eye(COLUMNS)
        made[:BINS] *= 1.0 - part
        made[:BINS, column] += part
        return made

    return matrix


def _flood(subject: Subject) -> Array:
    """A tenth of the values becomes the commonest one."""
    made = np.eye(COLUMNS)
    made[:BINS] *= 0.9
    made[:BINS, int(subject.reference.argmax())] += 0.1
    return made


def _out_of_range(_subject: Subject) -> Array:
    """A twentieth of the values lies below the range: they are in the first bin, and counted beside it."""
    made = np.eye(COLUMNS)
    made[:BINS] *= 0.95
    made[:BINS, 0] += 0.05
    made[:BINS, BELOW] += 0.05
    return made


def _swapped(part: float) -> Transform:
    """A part of the commonest category turns into the second."""

    def matrix(subject: Subject) -> Array:
        made = np.eye(COLUMNS)
        first, second = np.argsort(-subject.reference, kind="stable")[:2].tolist()
        made[first, first] = 1.0 - part
        made[first, second] += part
        return made

    return matrix


FAULTS: tuple[Fault, ...] = (
    Fault("shift_0.25", KIND_NUMBER, "moved by 0.25 sd", _shift(0.25)),
    Fault("shift_0.5", KIND_NUMBER, "moved by 0.5 sd", _shift(0.5)),
    Fault("shift_1", KIND_NUMBER, "moved by 1 sd", _shift(1.0)),
    Fault("spread_1.5", KIND_NUMBER, "spread to 1.5 of its width", _spread),
    Fault("flood_0.1", KIND_NUMBER, "had one value in 10 % of its values more", _flood),
    Fault("out_of_range_0.05", KIND_NUMBER, "left its range in 5 % of its values", _out_of_range),
    Fault("invalid_0.05", KIND_NUMBER, "were no number in 5 % of its values", _to(INVALID, 0.05)),
    *(
        fault
        for kind in (KIND_NUMBER, KIND_CATEGORY)
        for fault in (
            Fault("missing_0.05", kind, "were missing in 5 % more events", _to(NULLS, 0.05)),
            Fault("missing_0.2", kind, "were missing in 20 % more events", _to(NULLS, 0.2)),
            Fault("type_0.05", kind, "had another type in 5 % of its values", _to(TYPE, 0.05)),
        )
    ),
    Fault("swapped_0.2", KIND_CATEGORY, "had 20 % of its commonest value under the second", _swapped(0.2)),
    Fault("swapped_0.5", KIND_CATEGORY, "had half of its commonest value under the second", _swapped(0.5)),
    Fault("unseen_0.05", KIND_CATEGORY, "had an unknown value in 5 % of its values", _to(UNSEEN_BIN, 0.05)),
)
"""The faults of a drill, by the kind of series that they may strike."""
OF_DISTRIBUTION = frozenset({"shift_0.25", "shift_0.5", "shift_1", "spread_1.5", "flood_0.1"})


def of_kind(kind: int, *, distribution: bool) -> list[int]:
    """Places in :data:`FAULTS` of those that may strike a series of ``kind``; its ``distribution`` may be judged."""
    return [i for i, f in enumerate(FAULTS) if f.kind == kind and (distribution or f.name not in OF_DISTRIBUTION)]
