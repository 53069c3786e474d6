"""Was a list right? Of a ranking whether it was shown as it was served, of tags how far they are the outcome's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.events.columns import EventBatch, Space
from monitor.kernels.table import mix
from monitor.outcomes.case import HAS_OUTCOME, ITEMS_MAX, RANKING, TAGS, WIDE, Cases

_ITEM_SHIFT = np.uint64(32)
_OF_LIST = np.isin(np.arange(256), (Space.TAG, Space.RANKED, Space.OUTCOME_TAG))
"""By number of a space whether its entries are items of lists."""

Floats = NDArray[np.float64]
Items = NDArray[np.uint32]


@dataclass(slots=True)
class Lists:
    """The lists of ``n`` events: arrays of shape ``(n,)``; items ``(n, ITEMS_MAX)`` are halves of hashes, 0 for none.

    ``kind`` is what was predicted, 0 for no list. ``n_served`` and ``n_shown`` are how many items there were, at most
    255. ``shown`` are those of outcomes, ``shown_hash`` tells two of these apart, their order too.
    """

    kind: NDArray[np.uint8]
    served: Items
    n_served: NDArray[np.uint8]
    shown: Items
    n_shown: NDArray[np.uint8]
    shown_hash: NDArray[np.uint64]


def lists_of(batch: EventBatch, place: NDArray[np.int64], n: int) -> Lists | None:
    """The lists of the ``n`` events that have a ``place`` (by event, -1: none); ``None`` where there are none."""
    entries = np.flatnonzero(_OF_LIST[batch.space])
    entries = entries[place[batch.event[entries]] >= 0]
    if not len(entries):
        return None
    space, at = batch.space[entries], place[batch.event[entries]]
    name = batch.name.hash[entries]
    outcome = space == Space.OUTCOME_TAG
    kind = np.zeros(n, np.uint8)
    kind[at[space == Space.TAG]], kind[at[space == Space.RANKED]] = TAGS, RANKING
    served, n_served = _side(at[~outcome], name[~outcome], n)
    shown, n_shown = _side(at[outcome], name[outcome], n)
    shown_hash, rank = np.zeros(n, np.uint64), _rank(at[outcome]).astype(np.uint64)
    with np.errstate(over="ignore"):
        np.add.at(shown_hash, at[outcome], mix(rank, name[outcome]))
    return Lists(kind, served, n_served, shown, n_shown, shown_hash)


@dataclass(slots=True)
class Graded:
    """By case, NaN where it is none of these: ``ndcg`` of a ranking; of tags ``overlap``, ``precision`` and ``recall``.

    ``wrong`` is 1 where a ranking was not shown as it was served, or tags are not exactly those of the outcome.
    """

    wrong: Floats
    ndcg: Floats
    overlap: Floats
    precision: Floats
    recall: Floats


def graded(cases: Cases) -> Graded:
    """How right the lists of matured ``cases`` (n,) were."""
    if cases.dtype != WIDE:
        return Graded(*(np.broadcast_to(np.nan, len(cases)) for _ in range(5)))
    made = Graded(*(np.full(len(cases), np.nan) for _ in range(5)))
    # A class where a list was expected says nothing of the list.
    came = ((cases["has"] & HAS_OUTCOME) > 0) & ((cases["n_shown"] > 0) | (cases["outcome"] == 0))
    ranked = np.flatnonzero(came & (cases["list"] == RANKING) & (cases["n_shown"] > 0))
    if len(ranked):
        made.ndcg[ranked], made.wrong[ranked] = _ranked(cases.take(ranked))
    nothing = (cases["list"] == 0) & (cases["predicted"] == 0) & np.isnan(cases["score"]) & np.isnan(cases["value"])
    tagged = came & ((cases["list"] == TAGS) | (nothing & (cases["n_shown"] > 0)))
    tagged &= np.maximum(cases["n_served"], cases["n_shown"]) <= ITEMS_MAX
    at = np.flatnonzero(tagged)
    if len(at):
        n_served, n_shown = (cases[name][at].astype(np.float64) for name in ("n_served", "n_shown"))
        both = _same(cases.take(at)).sum(axis=(1, 2)).astype(np.float64)
        made.overlap[at] = _over(both, n_served + n_shown - both, 1.0)
        made.precision[at], made.recall[at] = _over(both, n_served, np.nan), _over(both, n_shown, np.nan)
        made.wrong[at] = made.overlap[at] < 1.0
    return made


def _side(at: NDArray[np.int64], name: NDArray[np.uint64], n: int) -> tuple[Items, NDArray[np.uint8]]:
    """The first items of each event's list, in their order, and how many there were."""
    items, rank = np.zeros((n, ITEMS_MAX), np.uint32), _rank(at)
    kept = rank < ITEMS_MAX
    items[at[kept], rank[kept]] = np.maximum((name[kept] >> _ITEM_SHIFT).astype(np.uint32), 1)
    return items, np.minimum(np.bincount(at, minlength=n), 255).astype(np.uint8)


def _rank(at: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of each entry among those of its event; entries of an event stand behind one another."""
    starts = np.flatnonzero(np.diff(at, prepend=-1) != 0)
    return np.arange(len(at)) - np.repeat(starts, np.diff(np.append(starts, len(at))))


def _same(cases: Cases) -> NDArray[np.bool_]:
    """Which items served are which items shown, (n, served, shown)."""
    same: NDArray[np.bool_] = cases["served"][:, :, None] == cases["shown"][:, None, :]
    same &= cases["served"][:, :, None] > 0
    return same


def _ranked(cases: Cases) -> tuple[Floats, Floats]:
    """NDCG of the order served, and whether it was not the order shown.

    What was shown is the truth: its first item is worth 1, each further one ``1 / m`` less, m of them at most
    ``ITEMS_MAX``; an item that was not shown is worth nothing. Places are discounted by ``log2(place + 1)``.
    """
    m = np.minimum(cases["n_shown"], ITEMS_MAX).astype(np.float64)[:, None]
    places = np.arange(ITEMS_MAX)
    worth = np.maximum(m - places, 0.0) / m
    discount = 1.0 / np.log2(places + 2.0)
    gained = (_same(cases) * worth[:, None, :]).sum(axis=2)
    ndcg = (gained * discount).sum(axis=1) / (worth * discount).sum(axis=1)
    other = ((cases["served"] != cases["shown"]) & (places < m)).any(axis=1)
    return ndcg, other.astype(np.float64)


def _over(part: Floats, whole: Floats, else_: float) -> Floats:
    share: Floats = np.where(whole > 0.0, part / np.where(whole > 0.0, whole, 1.0), else_)
    return share
