"""What the readers of a training set hand over: some rows, as columns of cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from monitor.catalog.training_cells import Cells
from monitor.catalog.training_counts import SpaceName

ROWS_MAX = 16_384
"""Rows of a stretch, where a reader may choose."""


class Key(NamedTuple):
    """One column: which part of an event its values stand in, and under what name."""

    space: SpaceName
    name: str


@dataclass(slots=True)
class Stretch:
    """Some rows. ``events`` counts, by space, the rows in which a value could have stood."""

    rows: int
    events: Mapping[SpaceName, int]
    columns: Mapping[Key, Cells]


@dataclass(slots=True)
class Reading:
    """How files are to be read and what is noticed: ``model`` whose events are taken, where flat columns belong.

    ``place`` gives the key of a flat column, ``None`` for one that is left out. ``left_out`` gathers columns that
    cannot be read, with the reason; ``other_models`` the names of models whose events were passed over.
    """

    model: str
    place: Callable[[str], Key | None]
    left_out: dict[str, str] = field(default_factory=dict)
    other_models: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
