"""What belongs to whom? Lists of rows by their owner, and what one model has."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Ints: TypeAlias = "array[int]"
"""Rows as 32 bits each: as objects they would take nine times as much."""
Lists = dict[int, Ints]
"""Rows by owner."""
NONE: Ints = array("i")
"""No rows; nobody adds to it."""


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


def joined(lists: Sequence[Ints]) -> NDArray[np.int64]:
    """The rows of all ``lists``, one behind the other."""
    return np.frombuffer(b"".join(lists), np.intc).astype(np.int64)


def room(
    of: Callable[[int], OfModel], most: int, model: NDArray[np.integer], crossed: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """For which of further tallies (k,) of models there is room, of ``most``, in their order; those are counted.

    ``crossed`` says which are of intersections, of which there are half as many.
    """
    places, own, wanted = np.unique(model << 1 | crossed, return_inverse=True, return_counts=True)
    order = np.argsort(own, kind="stable")
    rank = np.empty(len(own), np.int64)
    rank[order] = np.arange(len(own)) - np.repeat(np.cumsum(wanted) - wanted, wanted)
    left = np.zeros(len(places), np.int64)
    for i, (place, n) in enumerate(zip(places.tolist(), wanted.tolist(), strict=True)):
        counts, of_two = of(place >> 1).n_tallies, place & 1
        left[i] = min(n, max((most >> of_two) - counts[of_two], 0))
        counts[of_two] += int(left[i])
    return np.asarray(rank < left[own])
