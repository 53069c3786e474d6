"""What was counted of groups by the hour: kept only where somebody takes it away, as the store of a daemon does."""

from __future__ import annotations

import numpy as np

from monitor.groups.sums import OpenTicks, TallySums

HOUR_SECONDS = 3600.0


class Hours:
    """The sums of the hour that is under way, over ticks that have closed."""

    def __init__(self) -> None:
        self.wanted = False
        """Whether anybody takes hours away; else nothing is kept."""
        self._open = OpenTicks()

    def add(self, end: float, sums: TallySums) -> None:
        """Let in a tick that closed at ``end``; a longer one counts to the hour in which it ended."""
        if self.wanted and len(sums.row):
            hour = float(np.ceil(end / HOUR_SECONDS) * HOUR_SECONDS)
            self._open.add(np.full(len(sums.row), hour), sums.row, sums.n, sums.s)

    def take(self, now: float) -> list[tuple[float, TallySums]]:
        """Hours that are over at ``now``, oldest first, each with its end; they are forgotten here."""
        over = [end for end in self._open.ends() if end <= now]
        taken = [(end, self._open.take(end)) for end in over]
        self._open.changed.clear()
        return taken
