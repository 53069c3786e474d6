"""How a tick comes to the comparisons of groups: what each tally pooled, and who bets. Compiled in ``pool.c``.

Here is the same in numpy; both come to the same, bit for bit.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from monitor.kernels.library import address, taking

POOL_EVENTS = 10
"""Events that a comparison, and each stratum, waits for; one of them on each side at least."""
FEW_GROUPS = 2
"""Of so many groups "less" of one is "more" of the other."""

_P, _N, _D = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Places = NDArray[np.int32]


class Columns(Protocol):
    """The arrays of a table, by name: ``groups/tables.py``."""

    def __getitem__(self, name: str) -> NDArray[Any]:
        """One array."""
        ...


@dataclass(frozen=True, slots=True)
class Laid:
    """The tallies of some whole models, and the ``k`` comparisons that ``m`` of them are of.

    ``bases`` (b,) count the cases of the blocks ``of_bases`` (b,); ``outputs`` (r,) count outputs, each of them the one
    at ``of_outputs`` (r,) of ``n_outputs`` of all blocks; ``waiting`` (w,) are bases of intersections that are not
    compared themselves. What is compared is ordered by cell: tallies ``row`` (m,) with their ``base``, their ``block``
    and the place of their output ``of_row``, those of ``cell[j]`` from ``first[j]`` to ``first[j + 1]``. ``margins``
    (k, 2) are the cells of the two groups that an intersection is of; -1 where there is none.
    """

    bases: Places
    outputs: Places
    of_outputs: Places
    n_outputs: int
    of_bases: Places
    waiting: Places
    row: Places
    base: Places
    block: Places
    of_row: Places
    first: Places
    cell: Indices
    margins: Places


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables that a tick is pooled by."""

    tallies: Columns
    cells: Columns
    groups: Columns
    outputs: Columns


@dataclass(frozen=True, slots=True)
class Terms:
    """What cells may spend in a tick that ended at ``end``.

    ``handed`` is what a cell of weight 1 gets, by model. A cell weighs ``weight_of`` its kind, an intersection
    ``crossed`` times as much. Those of kinds that are ``listed`` (flags by kind) are not paid here. ``groups_of`` says
    how many groups each attribute has. ``smallest`` is how many cases of an intersection are the first to be told.
    """

    end: float
    handed: Array
    weight_of: Array
    crossed: float
    listed: NDArray[np.bool_]
    groups_of: Places
    smallest: float


class Pooled(NamedTuple):
    """What came of a tick."""

    rows: Indices
    """Tallies into whose pools it was let."""
    cells: Indices
    """Their cells, each of which waits with what it was paid."""
    apart: Indices
    """Those of them that are not paid yet."""
    grown: Indices
    """Bases of intersections that wait, whose cases passed ``smallest``, or doubled once more, in this tick."""
    row: Indices
    """Tallies that have pooled enough to bet, ordered by cell: those of ``cell[j]`` from ``first[j]`` on."""
    first: Indices
    at: Indices
    """The places among all comparisons of the cells that bet; by cell, what follows."""
    cell: Indices
    group: Indices
    model: Indices
    kind: NDArray[np.uint8]
    lonely: NDArray[np.bool_]
    tolerance: Array


@dataclass(slots=True)
class Room:
    """Places by tally and by block in which a tick is laid out; nothing but zeros between two calls."""

    n: Array = field(default_factory=lambda: np.zeros(0))
    s: Array = field(default_factory=lambda: np.zeros(0))
    n_all: Array = field(default_factory=lambda: np.zeros(0))
    touched: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))

    def make(self, tallies: int, blocks: int) -> None:
        """See to it that there is a place for each."""
        if len(self.n) < tallies:
            self.n, self.s = np.zeros((2, 2 * tallies))
        if len(self.touched) < blocks:
            self.n_all, self.touched = np.zeros(2 * blocks), np.zeros(2 * blocks, bool)


_LAID = ("bases", "of_bases", "outputs", "of_outputs", "waiting", "row", "base", "block", "of_row", "first", "cell")
_READY = ("row", "first", "at", "cell", "group", "model", "kind", "lonely", "tolerance")
_COUNTED = ("n_grown", "n_pooled", "n_met", "n_apart", "n_ready", "n_bet")


class _PoolCall(ctypes.Structure):
    """``pool_call`` of ``pool.c``."""

    _fields_ = (
        ("sums", _N),
        *((name, _P) for name in ("sum_row", "sum_n", "sum_s")),
        *((name, _N) for name in ("n_bases", "n_outputs", "n_waiting", "n_cells")),
        *((name, _P) for name in (*_LAID, "block_of", "total", "pool")),
        *((name, _P) for name in ("cell_group", "cell_output", "group_first", "group_attribute", "groups_of")),
        *((name, _P) for name in ("output_model", "output_kind", "output_born", "output_tolerance")),
        *((name, _P) for name in ("weight_of", "handed", "listed", "carried")),
        *((name, _D) for name in ("end", "crossed_weight", "events", "smallest")),
        *((name, _P) for name in ("n_of", "s_of", "n_all", "s_all", "touched")),
        *((name, _P) for name in ("grown", "pooled", "met", "apart")),
        *((f"ready_{name}", _P) for name in _READY),
        *((name, _N) for name in _COUNTED),
    )


@cache
def compiled() -> ctypes.CDLL | None:
    """The compiled kernel of ``pool.c``; ``None`` where the twin must do."""
    return taking("mw_pool", _PoolCall)


def pool(
    sums: tuple[Indices, Array, Array], laid: Laid, tables: Tables, terms: Terms, carried: Array, room: Room
) -> Pooled:
    """Let a tick into the pools of all comparisons of the blocks that it touched, and into totals.

    ``sums`` are tallies (all of models that are ``laid``), none twice, their cases and what they sum to. What cells may
    spend is added to what they have ``carried``.
    """
    kernel = compiled()
    if kernel is None:
        return pool_twin(sums, laid, tables, terms, carried, room)
    k, m = len(laid.cell), len(laid.row)
    pooled, met, apart = np.empty(m, np.int64), np.empty(k, np.int64), np.empty(k, np.int64)
    grown, s_all = np.empty(len(laid.waiting), np.int64), np.zeros(laid.n_outputs)
    row, first = np.empty(m, np.int64), np.empty(k + 1, np.int64)
    at, cell, group, model = (np.empty(k, np.int64) for _ in range(4))
    kind, lonely, tolerance = np.empty(k, np.uint8), np.empty(k, bool), np.empty(k)
    t, cells, groups, outputs = tables.tallies, tables.cells, tables.groups, tables.outputs
    call = _PoolCall(
        len(sums[0]),
        *(address(each) for each in sums),
        *(len(laid.bases), len(laid.outputs), len(laid.waiting), k),
        *(address(getattr(laid, name)) for name in _LAID),
        *(address(t[name]) for name in ("block", "total", "pool")),
        *(address(cells["group"]), address(cells["output"]), address(groups["first"]), address(groups["attribute"])),
        address(terms.groups_of),
        *(address(outputs[name]) for name in ("model", "kind", "born", "tolerance")),
        *(address(each) for each in (terms.weight_of, terms.handed, terms.listed, carried)),
        *(terms.end, terms.crossed, float(POOL_EVENTS), terms.smallest),
        *(address(each) for each in (room.n, room.s, room.n_all, s_all, room.touched)),
        *(address(each) for each in (grown, pooled, met, apart)),
        *(address(each) for each in (row, first, at, cell, group, model, kind, lonely, tolerance)),
    )
    kernel.mw_pool(ctypes.byref(call))
    bet = call.n_bet
    return Pooled(
        rows=pooled[: call.n_pooled],
        cells=met[: call.n_met],
        apart=apart[: call.n_apart],
        grown=grown[: call.n_grown],
        row=row[: call.n_ready],
        first=first[: bet + 1],
        at=at[:bet],
        cell=cell[:bet],
        group=group[:bet],
        model=model[:bet],
        kind=kind[:bet],
        lonely=lonely[:bet],
        tolerance=tolerance[:bet],
    )


def pool_twin(
    sums: tuple[Indices, Array, Array], laid: Laid, tables: Tables, terms: Terms, carried: Array, room: Room
) -> Pooled:
    """What :func:`pool` does, in numpy."""
    t, outputs, (rows, n, s) = tables.tallies, tables.outputs, sums
    n_of, s_of, touched = np.zeros_like(room.n), np.zeros_like(room.s), np.zeros_like(room.touched)
    t["total"][rows] += np.stack([n, s], axis=1)
    n_of[rows], s_of[rows], touched[t["block"][rows]] = n, s, True
    n_all = np.bincount(laid.of_bases, weights=n_of[laid.bases], minlength=len(touched))
    s_all = np.bincount(laid.of_outputs, weights=s_of[laid.outputs], minlength=laid.n_outputs)
    output = tables.cells["output"][laid.cell].astype(np.int64)
    group = tables.cells["group"][laid.cell].astype(np.int64)
    of = np.repeat(np.arange(len(laid.cell)), np.diff(laid.first))
    some = np.flatnonzero(touched[laid.block] & (outputs["born"][output] < terms.end)[of])
    of, at, base, block = of[some], laid.row[some].astype(np.int64), laid.base[some], laid.block[some]
    nb, sb = n_of[base], s_of[at]
    t["pool"][at] += np.stack([n_all[block] - nb, s_all[laid.of_row[some]] - sb, nb, sb], axis=1)
    met = np.unique(of)
    kind, model = outputs["kind"][output], outputs["model"][output].astype(np.int64)
    weight = np.where(tables.groups["first"][group] >= 0, terms.crossed, 1.0) * terms.weight_of[kind]
    paid = met[~terms.listed[kind[met]]]
    carried[laid.cell[paid]] += weight[paid] * terms.handed[model[paid]]
    pool = t["pool"][at]
    ready = (pool[:, 0] + pool[:, 2] >= POOL_EVENTS) & (pool[:, 0] >= 1.0) & (pool[:, 2] >= 1.0)
    bet, sizes = np.unique(of[ready], return_counts=True)
    lonely = terms.groups_of[tables.groups["attribute"][group]] <= FEW_GROUPS
    return Pooled(
        rows=at,
        cells=laid.cell[met],
        apart=laid.cell[met[terms.listed[kind[met]]]],
        grown=_grown(laid.waiting, n_of[laid.waiting], t["total"][laid.waiting, 0], terms.smallest),
        row=at[ready],
        first=np.concatenate([[0], np.cumsum(sizes)]),
        at=bet,
        cell=laid.cell[bet],
        group=group[bet],
        model=model[bet],
        kind=kind[bet],
        lonely=lonely[bet],
        tolerance=outputs["tolerance"][output[bet]],
    )


def _grown(waiting: Places, came: Array, cases: Array, smallest: float) -> Indices:
    """Those ``waiting`` (w,) whose ``cases`` (w,) passed ``smallest`` or doubled once more as so many ``came`` (w,)."""
    some = np.flatnonzero((came > 0.0) & (cases >= smallest))
    before_after = np.stack([cases[some] - came[some], cases[some]])
    doublings = np.floor(np.log2(np.maximum(before_after, 0.5) / max(smallest, 1.0)))
    grown: Indices = waiting[some[doublings[1] > doublings[0]]].astype(np.int64)
    return grown
