"""Time as an argument: nothing but this file asks the operating system what time it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock
from typing import Protocol

_CATCHING_UP = 0.9
"""How fast time goes, beside the machine's, while a clock that was set back catches up."""


class Clock(Protocol):
    """What the shell asks for the time; the core is given times as arguments."""

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never steps; only differences mean anything."""
        ...

    def wall(self) -> float:
        """What the machine's clock says: less than ``now`` where it was set back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        ...


class SystemClock:
    """The machine's own clock, which never goes back.

    Where the machine's is set back, this one goes on at nine tenths of its pace until the two agree: otherwise honest
    events would be of the future, and alerts that fire would be over for whoever is told of them.
    """

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._lock = Lock()
        self._last = wall()
        self._read_at = monotonic()

    def now(self) -> float:
        with self._lock:
            moment = self._monotonic()
            self._last = max(self._wall(), self._last + _CATCHING_UP * (moment - self._read_at))
            self._read_at = moment
            return self._last

    def monotonic(self) -> float:
        return self._monotonic()

    def wall(self) -> float:
        """What the machine's clock says, set back or not."""
        return self._wall()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class ManualClock:
    """A clock that stands still until it is told to go on (tests, replay)."""

    def __init__(self, now: float = 0.0) -> None:
        self._now = now

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def wall(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass at once."""
        assert seconds >= 0
        self._now += seconds


def rfc3339(seconds: float) -> str:
    """``2026-03-01T09:30:00.250Z``: UTC with milliseconds, as everywhere outside."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
