"""What belongs to whom? Lists of rows by their owner, and what one model has."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray

Lists = dict[int, "array[int]"]
"""Rows by owner, as 32 bits each: as objects they would take nine times as much."""


@dataclass(slots=True)
class OfModel:
    """What one model has, by row."""

    attributes: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    strata: list[int] = field(default_factory=list)
    n_tallies: list[int] = field(default_factory=lambda: [0, 0])
    """Of groups, and of intersections, which have half the room: they never crowd out what they are made of."""


def listed(lists: Lists, of: NDArray[np.integer], rows: NDArray[np.int64]) -> list[int]:
    """Append each of ``rows`` (k,) to the list of what it is ``of`` (k,), in their order; returns whose lists grew."""
    order = np.argsort(of, kind="stable")
    owners, counts = np.unique(of, return_counts=True)
    own, grown = iter(rows[order].tolist()), list[int](owners.tolist())
    for owner, n in zip(grown, counts.tolist(), strict=True):
        lists.setdefault(owner, array("i")).extend(islice(own, n))
    return grown
