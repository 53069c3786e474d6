"""The sums of open ticks by tally: sparse, since most outputs do not come up in most ticks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.errors import StoreError
from monitor.kernels.groups import SumTable

GRAIN = 2.0**-20
"""Sums are multiples of this: they are exact, so that the order in which events come cannot be seen in them."""

Rows = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(slots=True)
class TallySums:
    """``n`` cases and the sum ``s`` of their outcomes, by tally ``row`` (int64), none twice; shapes ``(k,)``."""

    row: Rows
    n: Values
    s: Values


@dataclass(slots=True)
class Ticks:
    """Ticks by their ``ends``, the sums of each, and ``of`` (n,) which of them each event is in."""

    ends: list[float]
    of: NDArray[np.int32]
    tables: list[SumTable]


class OpenTicks:
    """The sums of all ticks that are open, by the end of the tick."""

    def __init__(self, fitting: int | None = None) -> None:
        """``fitting`` is with how many slots ticks begin, as :attr:`fitting` of others said; few if nobody said it."""
        self._open: dict[float, SumTable] = {}
        self._fitting = SumTable().fitting if fitting is None else fitting
        """Of the tick that was closed last: the next one will be much like it."""
        self.changed: set[float] = set()
        """Ends of the ticks whose sums are others than when they were last stored."""

    @property
    def fitting(self) -> int:
        """The slots with which a tick as large as those that are open need not grow."""
        return max((table.fitting for table in self._open.values()), default=self._fitting)

    def add(self, ends: Values, rows: Rows, n: Values, s: Values) -> None:
        """Count cases: ``n`` and ``s`` of tally ``rows`` in the ticks that end at ``ends``; shapes ``(k,)``."""
        if not len(ends):
            return
        if (ends == ends[0]).all():
            self._add(float(ends[0]), rows, n, s)
            return
        for end in np.unique(ends).tolist():
            own = ends == end
            self._add(end, rows[own], n[own], s[own])

    def tables(self, ends: Values) -> Ticks:
        """The sums of the ticks that end at ``ends`` (n,), for who counts into them and :meth:`keep` then."""
        each, of = [float(ends[0])], np.zeros(len(ends), np.int32)
        if (ends != ends[0]).any():
            found, which = np.unique(ends, return_inverse=True)
            each, of = found.tolist(), which.astype(np.int32)
        return Ticks(each, of, [self._open[end] if end in self._open else SumTable(self._fitting) for end in each])

    def keep(self, ticks: Ticks, added: Sequence[int]) -> None:
        """Take note of how often something was ``added`` to each of ``ticks``; those with nothing do not open."""
        for end, table, n in zip(ticks.ends, ticks.tables, added, strict=True):
            if n:
                self._open[end] = table
                self.changed.add(end)

    def ends(self) -> list[float]:
        """Ends of all open ticks, the oldest first."""
        return sorted(self._open)

    def sums(self, end: float) -> TallySums:
        """The sums of an open tick."""
        return TallySums(*self._open[end].sums())

    def take(self, end: float) -> TallySums:
        """The sums of a tick, which is closed with that."""
        sums = self.sums(end)
        self._fitting = self._open.pop(end).fitting
        self.changed.add(end)
        return sums

    def is_open(self, end: float) -> bool:
        """Whether anything was counted in the tick that ends at ``end``."""
        return end in self._open

    def restore(self, end: float, blob: bytes) -> None:
        """Open a tick with sums that were stored.

        Raises
        ------
        StoreError
            The bytes are not whole.
        """
        k, rest = divmod(len(blob), 24)
        if rest:
            raise StoreError(f"the group sums of a tick have {len(blob)} bytes")
        row = np.frombuffer(blob, np.int64, k)
        n, s = (np.frombuffer(blob, np.float64, k, 8 * k * (i + 1)) for i in range(2))
        self._add(end, row, n, s)
        self.changed.discard(end)

    def blob(self, end: float) -> bytes:
        """The sums of an open tick as bytes."""
        sums = self.sums(end)
        return sums.row.tobytes() + sums.n.tobytes() + sums.s.tobytes()

    def _add(self, end: float, rows: Rows, n: Values, s: Values) -> None:
        table = self._open.get(end)
        if table is None:
            table = self._open[end] = SumTable(self._fitting)
        table.add(rows, n, s)
        self.changed.add(end)


def exact(values: Values) -> Values:
    """Outcomes in [0, 1] rounded to the grain of the sums."""
    rounded: Values = np.rint(values / GRAIN) * GRAIN
    return rounded
