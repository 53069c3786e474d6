"""How groups are compared: every comparison bets on what was pooled. Compiled in ``compare.c``; here in numpy.

The compiled loop and its twin differ by roundings alone. Log e-values are those of statistics.md, section 1.2: by
direction and alternative, against the nearest point of the null, the product over strata.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from monitor.kernels.judge import DISPERSION_MAX
from monitor.kernels.library import address, taking
from monitor.stats.accumulate import accumulate
from monitor.stats.dispersion import MARGIN, PRIOR, TICKS_MIN, successive_difference, tempering
from monitor.stats.evidence import TINY, log_e_two_sample, project_difference, project_ratio

STEPS = 4
"""Alternatives a direction is bet on with."""
DIRECTIONS = 2
"""A group gets less than the rest, or more."""
LESS, MORE = range(DIRECTIONS)
COMPONENTS = DIRECTIONS * STEPS
OFF = -1e30
"""The log e-value of a bet that is not made: its component never gains."""
_LEVEL = (1e-4, 0.95)
"""The pooled rate that alternatives are built about lies within this."""
_HIGHEST = 0.97

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

_TALLIES = ("pool", "recent", "last")
_STATE = (
    *("log_r", "scatter", "scatter_weight", "scatter_ticks"),
    *("recent", "recent_within", "since", "since_within"),
)
_SEEN = _STATE[4:]
_P, _N, _D = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double


class Columns(Protocol):
    """The arrays of tallies or of cells, by name: ``groups/register.py`` and ``groups/comparing.py``."""

    def __getitem__(self, name: str) -> NDArray[Any]:
        """One array."""
        ...


@dataclass(slots=True)
class Sides:
    """Two sides, shapes ``(k,)``: ``na`` cases of the rest with the sum ``sa``, ``nb`` of the group with ``sb``."""

    na: Array
    sa: Array
    nb: Array
    sb: Array

    @classmethod
    def of(cls, sums: NDArray[np.floating]) -> Sides:
        """From arrays of shape ``(k, 4)``."""
        na, sa, nb, sb = sums.astype(np.float64).T
        return cls(na, sa, nb, sb)

    def at(self, where: Indices) -> Sides:
        """Some of them."""
        return Sides(self.na[where], self.sa[where], self.nb[where], self.sb[where])

    def swapped(self) -> Sides:
        """The group as the rest, the rest as the group."""
        return Sides(self.nb, self.sb, self.na, self.sa)


@dataclass(frozen=True, slots=True)
class Asked:
    """What each kind of comparison asks, by its number.

    ``gap`` (kinds,) tells whether rates are compared by their difference, else by their ratio. ``directions`` (kinds,)
    has a bit for each direction that is harm. ``steps`` (kinds, STEPS) are the alternatives: for a ratio parts of the
    tolerated one; for a gap gaps, each at least ``beyond`` (STEPS,) more than the tolerated one.
    """

    gap: NDArray[np.uint8]
    directions: NDArray[np.uint8]
    steps: Array
    beyond: Array


@dataclass(frozen=True, slots=True)
class Batch:
    """``k`` comparisons that bet on what ``m`` tallies pooled.

    ``row`` (m,) are tallies, ordered by cell: those of ``cell[j]`` from ``first[j]`` to ``first[j + 1]``. By cell,
    ``(k,)``: its ``kind``, its ``tolerance`` (the largest gap, or the least ratio), whether its attribute has two
    groups (``lonely``), by what its present fades (``decay``), and the log of what it may spend.
    """

    row: Indices
    first: Indices
    cell: Indices
    kind: NDArray[np.uint8]
    tolerance: Array
    lonely: NDArray[np.bool_]
    decay: Array
    log_budget: Array

    @property
    def at(self) -> Indices:
        """The place of each tally's cell, shape ``(m,)``."""
        return np.repeat(np.arange(len(self.cell)), np.diff(self.first))


class Stepped(NamedTuple):
    """What a batch gave."""

    log_total: Array
    """(k,): log R of each cell before any reset; at 0 or above it alarms."""
    eta: Array
    """(k,): the power to which the batch's e-values were raised."""
    before: NDArray[np.float32]
    """(k, COMPONENTS): log R that cells came with."""
    pooled: Array
    """(m, 4): what each tally bet on: (n, s) of the rest, then of the group."""
    present: Array
    """(m, 4): its fading present before that."""
    previous: Array
    """(m, 4): its batch before."""


class _CompareCall(ctypes.Structure):
    """``compare_call`` of ``compare.c``."""

    _fields_ = (
        ("cells", _N),
        *((name, _P) for name in ("first", "row", "cell", "kind", "lonely", "tolerance", "decay", "log_budget")),
        *((name, _P) for name in ("gap", "directions", "steps", "log_steps", "beyond")),
        *((name, _D) for name in ("off", "lowest", "highest", "rate_max", "tiny", "prior", "margin", "dispersion_max")),
        ("prior_ticks", _N),
        *((name, _P) for name in _TALLIES),
        *((f"of_{name}", _P) for name in _STATE),
        *((name, _P) for name in ("before", "eta", "log_total", "pooled", "present", "previous")),
    )


class Moved(NamedTuple):
    """How far ``k`` cells lie beyond what is tolerated, shapes ``(k,)``."""

    direction: Indices
    """The worse one."""
    furthest: Array
    """By how much, in logarithms of ratios or in gaps; -inf where a side has too few people to be spoken of."""
    clear: NDArray[np.bool_]
    """Whether that is more than chance explains."""


class _MovedCall(ctypes.Structure):
    """``moved_call`` of ``compare.c``."""

    _fields_ = (
        ("cells", _N),
        *((name, _P) for name in ("cell", "kind", "tolerance", "gap", "directions")),
        *((name, _P) for name in (*_SEEN, "recent_people", "since_people")),
        *((name, _D) for name in ("smallest", "weight", "margin")),
        *((name, _P) for name in ("direction", "furthest", "clear")),
    )


@cache
def compiled() -> ctypes.CDLL | None:
    """The compiled kernel of ``compare.c``; ``None`` where the twin must do."""
    return taking("mw_moved", _MovedCall) if taking("mw_compare", _CompareCall) else None


def step(asked: Asked, tallies: Columns, state: Columns, batch: Batch) -> Stepped:
    """Let every comparison of ``batch`` bet on what its ``tallies`` pooled, and remember it in its ``state``."""
    kernel = compiled()
    if kernel is None:
        return step_twin(asked, tallies, state, batch)
    k, m, log_steps = len(batch.cell), len(batch.row), np.log(asked.steps)
    out = Stepped(
        np.empty(k), np.empty(k), np.empty((k, COMPONENTS), np.float32), *(np.empty((m, 4)) for _ in range(3))
    )
    call = _CompareCall(
        k,
        *(address(each) for each in (batch.first, batch.row, batch.cell, batch.kind, batch.lonely)),
        *(address(each) for each in (batch.tolerance, batch.decay, batch.log_budget)),
        *(address(each) for each in (asked.gap, asked.directions, asked.steps, log_steps, asked.beyond)),
        *(OFF, *_LEVEL, _HIGHEST, TINY, PRIOR, MARGIN, DISPERSION_MAX, TICKS_MIN),
        *(address(tallies[name]) for name in _TALLIES),
        *(address(state[name]) for name in _STATE),
        *(address(each) for each in (out.before, out.eta, out.log_total, out.pooled, out.present, out.previous)),
    )
    kernel.mw_compare(ctypes.byref(call))
    return out


@dataclass(frozen=True, slots=True)
class Least:
    """From what on something is said: of so many people at ``smallest``, so many standard errors (``margin``) out.

    What fades evenly weighs ``weight`` times what its sum says.
    """

    smallest: float
    weight: float
    margin: float


def moved(
    asked: Asked,
    state: Columns,
    cells: Indices,
    kind: NDArray[np.uint8],
    tolerance: Array,
    people: list[Array],
    least: Least,
) -> Moved:
    """How far ``cells`` (k,) lie beyond their ``tolerance`` (k,) by the present, or further since suspicion began.

    ``people`` says of how many people the group's cases are that each of the two has seen, (k,) each.
    """
    kernel = compiled()
    if kernel is None:
        return moved_twin(asked, state, cells, kind, tolerance, people, least)
    k = len(cells)
    out = Moved(np.empty(k, np.int64), np.empty(k), np.empty(k, bool))
    call = _MovedCall(
        k,
        *(address(each) for each in (cells, kind, tolerance, asked.gap, asked.directions)),
        *(address(state[name]) for name in _SEEN),
        *(address(each) for each in people),
        *(float(least.smallest), least.weight, least.margin),
        *(address(each) for each in out),
    )
    kernel.mw_moved(ctypes.byref(call))
    return out


def moved_twin(
    asked: Asked,
    state: Columns,
    cells: Indices,
    kind: NDArray[np.uint8],
    tolerance: Array,
    people: list[Array],
    least: Least,
) -> Moved:
    """What :func:`moved` does, in numpy."""
    seen = []
    for name, many in zip(("recent", "since"), people, strict=True):
        beyond = outside(asked, kind, tolerance, state[f"{name}_within"][cells])
        direction, sides = np.argmax(beyond, axis=1), Sides.of(state[name][cells])
        told = np.minimum(sides.na, many) >= least.smallest
        furthest = np.where(told, beyond[np.arange(len(kind)), direction], -np.inf)
        seen.append(Moved(direction, furthest, furthest > least.margin * noise(asked, kind, sides, least.weight)))
    now, since = seen
    newer = since.furthest > now.furthest
    direction, furthest = (np.where(newer, b, a) for a, b in zip(now[:2], since[:2], strict=True))
    return Moved(direction, furthest, now.clear | since.clear)


def effect(asked: Asked, kind: NDArray[np.uint8], within: Array) -> Array:
    """How the group fares against the rest, within strata: the ratio of rates, or by how much it is below; (k,)."""
    got, due, weight = within.T
    ratio = np.where(due > 0.0, got / np.where(due > 0.0, due, 1.0), np.where(got > 0.0, np.inf, 1.0))
    gap = (due - got) / np.maximum(weight, 1e-9)
    return np.where(asked.gap[kind] > 0, gap, ratio)


def outside(asked: Asked, kind: NDArray[np.uint8], tolerance: Array, within: Array) -> Array:
    """By how much each direction lies beyond what is tolerated, in logarithms of ratios or in gaps, ``(k, 2)``."""
    moved, is_gap = effect(asked, kind, within), asked.gap[kind] > 0
    with np.errstate(divide="ignore"):
        log_ratio = np.clip(np.log(np.where(is_gap, 1.0, moved)), -50.0, 50.0)
    edge = np.log(np.maximum(tolerance, 1e-9))
    beyond = np.full((len(kind), DIRECTIONS), -np.inf)
    beyond[:, LESS] = np.where(is_gap, moved - tolerance, edge - log_ratio)
    beyond[:, MORE] = np.where(is_gap, -moved - tolerance, edge + log_ratio)
    harm = asked.directions[kind][:, None] >> np.array([LESS, MORE], np.uint8) & 1
    beyond[harm == 0] = -np.inf
    return beyond


def noise(asked: Asked, kind: NDArray[np.uint8], seen: Sides, weight: float) -> Array:
    """The standard error of what :func:`outside` gives; what was ``seen`` weighs so many times its sum."""
    na, nb = np.maximum(weight * seen.na, 1.0), np.maximum(weight * seen.nb, 1.0)
    sa, sb = np.minimum(weight * seen.sa + 0.5, na), np.minimum(weight * seen.sb + 0.5, nb)
    log_ratio = np.sqrt(np.maximum(1.0 / sa - 1.0 / na + 1.0 / sb - 1.0 / nb, 1e-9))
    gap = np.sqrt(sa / na * (1.0 - sa / na) / na + sb / nb * (1.0 - sb / nb) / nb)
    return np.where(asked.gap[kind] > 0, gap, log_ratio)


def step_twin(asked: Asked, tallies: Columns, state: Columns, batch: Batch) -> Stepped:
    """What :func:`step` does, in numpy."""
    cells, at = batch.cell, batch.at
    pooled, present, previous = (tallies[name][batch.row] for name in _TALLIES)
    each = log_e(asked, batch.kind[at], batch.tolerance[at], Sides.of(pooled), Sides.of(present), batch.lonely[at])
    whole = np.zeros((len(cells), COMPONENTS))
    np.add.at(whole, at, each)
    eta = tempering(state["scatter"][cells], state["scatter_weight"][cells], state["scatter_ticks"][cells])
    tempered = np.maximum(whole * eta[:, None], OFF)
    tempered[whole <= OFF / 2] = OFF
    active = np.maximum((tempered > OFF / 2).sum(axis=1), 1)
    before = state["log_r"][cells]
    spread = batch.log_budget + np.log(COMPONENTS / active)
    result = accumulate(before, tempered.astype(np.float32), spread.astype(np.float32))
    state["log_r"][cells] = result.log_r
    _remember(tallies, state, batch, pooled, present, previous)
    return Stepped(result.log_total.astype(np.float64), eta, before, pooled, present, previous)


def log_e(
    asked: Asked,
    kind: NDArray[np.uint8],
    tolerance: Array,
    sides: Sides,
    before: Sides,
    lonely: NDArray[np.bool_],
) -> Array:
    """Log e-values of a batch, shape ``(k, COMPONENTS)``; :data:`OFF` for directions that are not harm.

    Parameters
    ----------
    asked
        What kinds ask.
    kind
        Which question each row asks, shape ``(k,)``.
    tolerance
        Of each row, as :func:`~monitor.groups.questions.edge` gives it.
    sides
        The batch.
    before
        Fading sums of the batches before it: alternatives are built about their rate.
    lonely
        Rows of attributes of two groups, where "less" of one is "more" of the other: it is asked once.
    """
    out = np.full((len(kind), DIRECTIONS, STEPS), OFF)
    level = (before.sa + before.sb + 0.5) / (before.na + before.nb + 1.0)
    level = np.clip(level, *_LEVEL)
    directions = asked.directions[kind]
    for direction in range(DIRECTIONS):
        wanted = (directions >> direction & 1) > 0
        if direction == LESS:
            wanted &= ~(lonely & (directions == (1 << LESS | 1 << MORE)))
        for gap in (False, True):
            rows = np.flatnonzero(wanted & (asked.gap[kind] == gap))
            own = sides.at(rows) if direction == LESS else sides.at(rows).swapped()
            steps = asked.steps[kind[rows]]
            if gap:
                out[rows, direction] = _gap(own, level[rows], tolerance[rows], steps, asked.beyond)
            else:
                out[rows, direction] = _ratio(own, level[rows], tolerance[rows], steps)
    return out.reshape(len(kind), COMPONENTS)


def _ratio(sides: Sides, level: Array, tau: Array, steps: Array) -> Array:
    """Against "the rate of side b is at least ``tau`` times that of side a", shape ``(k, STEPS)``."""
    na, nb = sides.na[:, None], sides.nb[:, None]
    share = nb / np.maximum(na + nb, 1.0)
    ratio = tau[:, None] * steps
    a1 = np.minimum(level[:, None] / (1.0 - share + share * ratio), _HIGHEST)
    b1 = ratio * a1
    a0, b0 = project_ratio(a1, b1, na, nb, tau[:, None])
    return log_e_two_sample(sides.sa[:, None], na, sides.sb[:, None], nb, a1, b1, a0, b0)


def _gap(sides: Sides, level: Array, eps: Array, steps: Array, beyond: Array) -> Array:
    """Against "side a's rate is at most ``eps`` above side b's", shape ``(k, STEPS)``."""
    na, nb = sides.na[:, None], sides.nb[:, None]
    share = nb / np.maximum(na + nb, 1.0)
    gap = np.maximum(eps[:, None] + beyond, steps)
    a1 = np.clip(level[:, None] + share * gap, gap, 1.0 - (1.0 - _HIGHEST) / 2.0)
    b1 = np.maximum(a1 - gap, (1.0 - _HIGHEST) / 2.0)
    a0, b0 = project_difference(a1, b1, na, nb, eps[:, None])
    return log_e_two_sample(sides.sa[:, None], na, sides.sb[:, None], nb, a1, b1, a0, b0)


def _remember(tallies: Columns, state: Columns, batch: Batch, pooled: Array, present: Array, previous: Array) -> None:
    """Let the batch into the scatter, the present and what was seen since suspicion began; the pools are empty then."""
    cells, at, decay = batch.cell, batch.at, batch.decay[:, None]
    now, last = Sides.of(pooled), Sides.of(previous)
    for s, n, s_last, n_last in ((now.sa, now.na, last.sa, last.na), (now.sb, now.nb, last.sb, last.nb)):
        scatter, weight = successive_difference(s_last[:, None], n_last, s[:, None], n)
        np.add.at(state["scatter"], cells[at], np.minimum(scatter, DISPERSION_MAX * weight))
        np.add.at(state["scatter_weight"], cells[at], weight)
    seen = np.zeros(len(cells), bool)
    seen[at[last.na > 0.0]] = True
    state["scatter_ticks"][cells] += seen
    tallies["recent"][batch.row] = decay[at] * present + pooled
    tallies["last"][batch.row] = pooled
    tallies["pool"][batch.row] = 0.0
    size = now.na + now.nb
    within = np.stack([now.sb * now.na, now.sa * now.nb, now.na * now.nb], axis=1) / size[:, None]
    for name, added in (("", pooled), ("_within", within)):
        whole = np.zeros((len(cells), added.shape[1]))
        np.add.at(whole, at, added)
        state[f"recent{name}"][cells] = decay * state[f"recent{name}"][cells] + whole
        state[f"since{name}"][cells] += whole
