"""What was counted of groups by the hour: kept only where somebody takes it away, as the store of a daemon does."""

from __future__ import annotations

import numpy as np

from monitor.groups.sums import OpenTicks, TallySums

HOUR_SECONDS = 3600.0


class Hours:
    """The sums of hours that are not over yet, over ticks that have closed.

    An hour counts the cases that were predicted in it; it is over when the hour is in which they became known: the same
    one for predictions, a later one for cases that matured.
    """

    def __init__(self) -> None:
        self.wanted = False
        """Whether anybody takes hours away; else nothing is kept."""
        self._open: dict[float, OpenTicks] = {}
        self._fitting: int | None = None
        """Of the hour that was taken last: the next one will be much like it."""
        self._fresh: list[tuple[float, float, TallySums]] = []

    def add(self, end: float, sums: TallySums, known: float | None = None) -> None:
        """Let in a tick that ended at ``end`` and became known at ``known``, if not at its end.

        A tick longer than an hour counts to the hour in which it ended.
        """
        if self.wanted and len(sums.row):
            over, hour = _hour(end if known is None else known), _hour(end)
            self.restore(over, hour, sums)
            self._fresh.append((over, hour, sums))

    def restore(self, over: float, hour: float, sums: TallySums) -> None:
        """Let in again what :meth:`take_fresh` gave."""
        if over not in self._open:
            self._open[over] = OpenTicks(self._fitting)
        self._open[over].add(np.full(len(sums.row), hour), sums.row, sums.n, sums.s)

    def take(self, now: float) -> list[tuple[float, TallySums]]:
        """Hours that are over at ``now``, oldest first, each with its end and none twice; they are forgotten here."""
        whole = OpenTicks()
        for over in [over for over in self._open if over <= now]:
            ticks = self._open.pop(over)
            self._fitting = ticks.fitting
            for hour, sums in _taken(ticks):
                whole.add(np.full(len(sums.row), hour), sums.row, sums.n, sums.s)
        return _taken(whole)

    def take_fresh(self) -> list[tuple[float, float, TallySums]]:
        """What was let in since this was last asked: when its hour is over, the end of that hour, and the sums."""
        fresh, self._fresh = self._fresh, []
        return fresh


def _hour(time: float) -> float:
    return float(np.ceil(time / HOUR_SECONDS) * HOUR_SECONDS)


def _taken(ticks: OpenTicks) -> list[tuple[float, TallySums]]:
    return [(end, ticks.sums(end)) for end in ticks.ends()]
