"""What is remembered of a group's feature: its past, its present, its evidence; and what is bet on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.apart.bets import BETS, REST, edges, errors, log_e, moved, rates, shares
from monitor.groups.margins import SURELY_MORE
from monitor.kernels.judge import CLEAR_MARGIN, DISPERSION_MAX, FIRING, IDLE, SUSPICIOUS
from monitor.kernels.lean import STRATA
from monitor.stats.accumulate import accumulate, restarted
from monitor.stats.dispersion import successive_gap, tempering

DAY_SECONDS = 86400.0
RECENT_EVENTS = 1000.0
"""Events of the group by which the present fades by a factor e."""

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Rows64 = NDArray[np.int64]

_SIDES = (2, STRATA)
_CELL = np.dtype(
    [
        ("group", "<i4"),
        ("slot", "u1"),
        ("series", "<i4"),
        ("number", "?"),
        ("firing", "u1"),
        ("judged", "?"),
        ("log_r", "<f4", (BETS,)),
        ("reference", "<f4", _SIDES),
        ("recent", "<f4", _SIDES),
        ("last", "<f4", _SIDES),
        ("tolerance", "<f8"),
        ("scatter", "<f8"),
        ("scatter_weight", "<f8"),
        ("scatter_ticks", "<i4"),
        ("since", "<f8"),
        ("onset", "<f8"),
        ("alarmed", "<f8"),
        ("last_bad", "<f8"),
        ("effect", "<f8"),
        ("cut", "u1"),
        ("evidence", "<f8"),
        ("suspicion", "<f8"),
    ]
)
"""Counts are by side (the group, the rest of its attribute) and stratum: ``reference`` is what both were, ``recent``
what they are, fading, ``last`` the batch before. ``effect`` is how far the difference at ``cut`` moved."""

_GATHERED: dict[str, float] = {
    "firing": IDLE,
    "log_r": -np.inf,
    "onset": np.nan,
    "alarmed": np.nan,
    "last_bad": np.nan,
    "evidence": -np.inf,
    "suspicion": 0.0,
}
"""What a cell has gathered for or against its null, as it is when there is nothing of it."""
_WHOSE = ("group", "slot", "series", "number")


@dataclass(slots=True)
class Batch:
    """What came of ``k`` cells (their places ``at``) until ``end``: ``counts`` (k, 2, STRATA) by side and stratum."""

    at: Rows64
    counts: Array
    end: float

    def some(self, own: Flags) -> Batch:
        """That of the cells that ``own`` (k,) marks."""
        return Batch(self.at[own], self.counts[own], self.end)


@dataclass(slots=True)
class Seen:
    """What a batch gave: whose evidence and effect make an ``alarm``, whose go on, ``evidence`` in nats; ``(k,)``."""

    alarm: Flags
    sustained: Flags
    evidence: Array


@dataclass(frozen=True, slots=True)
class Growth:
    """How a past comes to be: it grows until either side has ``events`` and it is ``seconds`` old.

    It is judged by from ``events_min`` of either side and a day on.
    """

    events: float
    seconds: float
    events_min: float


class Cells:
    """The cells of one model, in the order in which they were met; ``rows`` is an array of records."""

    def __init__(self, blob: bytes = b"") -> None:
        """As :attr:`blob` gave them."""
        self.rows: NDArray[np.void] = np.frombuffer(blob, _CELL).copy()
        keys = zip(self.rows["group"].tolist(), self.rows["slot"].tolist(), strict=True)
        self._places = {key: place for place, key in enumerate(keys)}

    @property
    def blob(self) -> bytes:
        """All that is known of them."""
        return self.rows.tobytes()

    def find(self, group: int, slot: int) -> int:
        """The place of the cell of a group's feature, -1 where there is none."""
        return self._places.get((group, slot), -1)

    def places(self, group: Rows64, slot: Rows64, series: Rows64, number: Flags) -> Rows64:
        """The places of cells, by their groups and their features: slot, series, and whether it is a number; ``(k,)``.

        Those that are new are let in.
        """
        keys = list(zip(group.tolist(), slot.tolist(), strict=True))
        new = np.array([key not in self._places for key in keys], bool)
        first = len(self.rows)
        self.rows = np.append(self.rows, np.zeros(int(new.sum()), _CELL))
        for name, values in zip(_WHOSE, (group, slot, series, number), strict=True):
            self.rows[name][first:] = values[new]
        self.forget(np.arange(first, len(self.rows)))
        self._places |= {keys[i]: first + j for j, i in enumerate(np.flatnonzero(new).tolist())}
        return np.array([self._places[key] for key in keys], np.int64)

    def forget(self, at: Rows64) -> None:
        """Let cells be as new ones are."""
        for name in (name for name in self.rows.dtype.names or () if name not in _WHOSE):
            self.rows[name][at] = np.nan if name == "since" else 0
        self.restart(at)

    def restart(self, at: Rows64) -> None:
        """Let cells begin without evidence."""
        for name, nothing in _GATHERED.items():
            self.rows[name][at] = nothing

    def bet(self, batch: Batch, log_budget: Array) -> Seen:
        """Let the cells of ``batch``, all of them judged, bet on it; their present takes it in."""
        rows, at = self.rows, batch.at
        number, tolerance = rows["number"][at], rows["tolerance"][at]
        past, was = shares(rows["reference"][at], number), rates(*shares(rows["recent"][at], number))
        s, n = shares(batch.counts, number)
        low, high = edges(*past, tolerance)
        eta = tempering(rows["scatter"][at], rows["scatter_weight"][at], rows["scatter_ticks"][at])
        gained = (log_e(s, n, was[:, REST], low, high) * eta[:, None]).astype(np.float32)
        result = accumulate(rows["log_r"][at], gained, log_budget.astype(np.float32))
        rows["log_r"][at] = result.log_r
        evidence = np.asarray(result.log_total - log_budget, np.float64)
        fresh = restarted(result.log_total, log_budget, SUSPICIOUS * -log_budget) & ~result.alarm
        rows["onset"][at[fresh]] = batch.end
        rows["evidence"][at] = np.where(result.alarm, 0.0, evidence)
        rows["suspicion"][at] = evidence / -log_budget
        self.take_in(batch)
        beyond, noise, own = self._look(at, past, low, high)
        alarm = result.alarm & (beyond > 0.0)
        sustained = alarm | (beyond > CLEAR_MARGIN * noise) | (rows["suspicion"][at] > SUSPICIOUS)
        held = ~own & (rows["firing"][at] != FIRING)
        self._forget(at[held], batch.end)
        return Seen(alarm & own, sustained & own, evidence)

    def take_in(self, batch: Batch) -> None:
        """Let a batch into the present, and into how much batches scatter."""
        rows, at = self.rows, batch.at
        number, counts = rows["number"][at], batch.counts
        numerator, weight = successive_gap(*shares(rows["last"][at], number), *shares(counts, number))
        rows["scatter"][at] += np.minimum(numerator, DISPERSION_MAX * weight)
        rows["scatter_weight"][at] += weight
        rows["scatter_ticks"][at] += weight > 0.0
        rows["last"][at] = counts
        fade = np.exp(-counts[:, 0].sum(axis=-1) / RECENT_EVENTS)
        rows["recent"][at] = rows["recent"][at] * fade[:, None, None] + counts

    def learn(self, batch: Batch, growth: Growth) -> None:
        """Let a day under no suspicion into the past, as long as it grows; begin what has enough of one."""
        rows, at = self.rows, batch.at
        new = np.isnan(rows["since"][at])
        rows["since"][at[new]] = batch.end
        age, judged = batch.end - rows["since"][at], rows["judged"][at]
        held = rows["reference"][at].sum(axis=-1).min(axis=-1)
        grows = (held < growth.events) | (age < growth.seconds)
        take = ~judged | (grows & ~self.doubted(at))
        rows["reference"][at[take]] += batch.counts[take]
        enough = rows["reference"][at].sum(axis=-1).min(axis=-1) >= growth.events_min
        begins = at[~judged & enough & (age >= DAY_SECONDS)]
        rows["judged"][begins], rows["onset"][begins] = True, batch.end

    def doubted(self, at: Rows64) -> Flags:
        """Which cells are under suspicion, or fire: nothing is learned of them."""
        doubted: Flags = (self.rows["firing"][at] != IDLE) | (self.rows["suspicion"][at] > SUSPICIOUS)
        return doubted

    def _look(self, at: Rows64, past: tuple[Array, Array], low: Array, high: Array) -> tuple[Array, Array, Flags]:
        """How far each cell's present lies beyond its null, the error of that, and whether that is the group's own.

        Where the rest surely moved beyond what is tolerated, a difference is the group's own if it surely moved
        further: else it is the rest that moved, which is told of those who are the rest, or everybody moved.
        """
        rows, k = self.rows, np.arange(len(at))
        s, n = shares(rows["recent"][at], rows["number"][at])
        now, tolerance = rates(s, n), rows["tolerance"][at]
        gap, of_rest = moved(now, rates(*past))
        found = now[:, 0] - now[:, REST]
        outside = np.maximum(found - high, low - found)
        cut = outside.argmax(axis=1)
        noise, noise_rest = errors(now, n)
        rows["effect"][at], rows["cut"][at] = gap[k, cut], cut
        surely = np.abs(gap[k, cut]) - SURELY_MORE * noise[k, cut]
        rest_moved = of_rest - SURELY_MORE * noise_rest.max(axis=1) > tolerance
        own: Flags = ~rest_moved | (surely > of_rest + tolerance)
        return outside[k, cut], noise[k, cut], own

    def _forget(self, at: Rows64, end: float) -> None:
        for name, nothing in (("log_r", -np.inf), ("evidence", -np.inf), ("suspicion", 0.0), ("onset", end)):
            self.rows[name][at] = nothing
