"""What is wrong with the daemon itself? Memory, clock, lag, limits and what came in, as checks and metrics."""

from __future__ import annotations

import resource
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path

from prometheus_client import Counter

from monitor.clock import Clock
from monitor.status import Check
from monitor.telemetry.families import Table
from monitor.telemetry.metrics import Metrics

RECENT_SECONDS = 600.0
"""How long what was turned away, lost or stepped is told of."""
_SAMPLES_SECONDS = 10.0
_MEMORY_NEAR, _MEMORY_EASED = 0.9, 0.85
"""Parts of the memory limit at which nothing new is let in, and from which on it is again."""
_STEP_SECONDS = 2.0
"""A clock that moved by this much more or less than time passed was set."""
_BEHIND_SECONDS = 300.0
"""Event time that is behind by this much, with records waiting, is a check of its own."""
_BAD_SHARE, _BAD_RECORDS = 0.01, 10
"""The part of the records, and how many at least, that must be dead letters or late to be told of."""
_UNLIMITED = 1 << 60
"""What a control group without a limit says is more than this."""


class Recent:
    """How much counters have grown within the last :data:`RECENT_SECONDS`, to some seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, dict[str, float]]] = deque()

    def look(self, now: float, totals: Mapping[str, float]) -> dict[str, float]:
        """Take note of ``totals`` at the monotonic time ``now``; returns what has grown, by name."""
        seen = self._seen
        if not seen or now - seen[-1][0] >= _SAMPLES_SECONDS:
            seen.append((now, dict(totals)))
        while len(seen) > 1 and now - seen[1][0] >= RECENT_SECONDS:
            seen.popleft()
        first = seen[0][1]
        return {name: grown for name, n in totals.items() if (grown := n - first.get(name, 0.0)) > 0}


class Conditions:
    """Looks once a second; belongs to the loop. ``memory_bytes`` of 0 takes the machine's or the container's limit."""

    def __init__(self, metrics: Metrics, clock: Clock, memory_bytes: int) -> None:
        self._metrics = metrics
        self._clock = clock
        self._memory_limit = memory_bytes or memory_limit()
        self._limits, self._records = Recent(), Recent()
        self._offset = clock.wall() - clock.monotonic()
        self._stepped: tuple[float, float] | None = None
        self._lagged: deque[tuple[float, int]] = deque()
        self.memory_is_short = False
        metrics.memory_limit_bytes.set(self._memory_limit)

    def look(self, watermark: float, lateness: float) -> dict[str, Check]:
        """The checks as of now. ``watermark`` is event time; all else is read from the metrics and the machine."""
        waiting = int(sum(_totals(self._metrics.consumer_lag).values()))
        return {
            "clock": self._clock_check(),
            "lag": self._lag_check(watermark + lateness, waiting),
            "limits": self._limits_check(),
            "memory": self._memory_check(),
            "records": self._records_check(),
        }

    def _memory_check(self) -> Check:
        held = resident_bytes()
        share = held / self._memory_limit
        self.memory_is_short = share >= (_MEMORY_EASED if self.memory_is_short else _MEMORY_NEAR)
        detail = f"{held / 1e6:,.0f} MB of {self._memory_limit / 1e6:,.0f} MB"
        if self.memory_is_short:
            return self._degraded(f"{detail}: no new models and features are let in")
        return self._ok(detail)

    def _clock_check(self) -> Check:
        wall, now = self._clock.wall(), self._clock.monotonic()
        step, self._offset = wall - now - self._offset, wall - now
        if abs(step) >= _STEP_SECONDS:
            self._metrics.clock_steps.inc()
            self._stepped = (step, now)
        held_back = self._clock.now() - wall
        if held_back >= _STEP_SECONDS:
            return self._degraded(f"was set back: time is taken to be {held_back:,.0f} s later until it has caught up")
        if self._stepped is not None and now - self._stepped[1] < RECENT_SECONDS:
            return self._degraded(f"was set by {self._stepped[0]:+,.0f} s, {now - self._stepped[1]:,.0f} s ago")
        return self._ok("steady")

    def _lag_check(self, reached: float, waiting: int) -> Check:
        """``reached`` is the time of the newest event of the slowest partition; infinite before the first."""
        now, lagged = self._clock.monotonic(), self._lagged
        lagged.append((now, waiting))
        while now - lagged[0][0] > 60.0:
            lagged.popleft()
        behind = self._clock.now() - reached
        if not waiting or not _BEHIND_SECONDS < behind < float("inf"):
            return self._ok(f"{waiting:,} records wait")
        when, most = max(lagged, key=lambda each: each[1])
        rate = (most - waiting) / max(now - when, 1.0)
        until = f"caught up in {waiting / rate / 60.0:,.0f} min" if rate > 0 else "and not catching up"
        return self._degraded(f"{waiting:,} records wait, event time is {behind / 60.0:,.0f} min behind; {until}")

    def _limits_check(self) -> Check:
        grown = self._limits.look(self._clock.monotonic(), _totals(self._metrics.limits_turned_away, "limit"))
        if not grown:
            return self._ok("nothing was turned away lately")
        return self._degraded(f"turned away within {RECENT_SECONDS / 60:.0f} min: {_listed(grown)}")

    def _records_check(self) -> Check:
        metrics = self._metrics
        totals = {f"dead letters ({reason})": n for reason, n in _totals(metrics.dead_letters, "reason").items()}
        totals["late"] = sum(_totals(metrics.late_events).values())
        totals["lost"] = sum(_totals(metrics.lost_records).values())
        totals["read"] = sum(_totals(metrics.events).values()) + sum(_totals(metrics.dead_letters).values())
        grown = self._records.look(self._clock.monotonic(), totals)
        few = max(_BAD_SHARE * grown.pop("read", 0.0), _BAD_RECORDS)
        bad = {name: n for name, n in grown.items() if name == "lost" or n >= few}
        if not bad:
            return self._ok("nearly all could be read and counted")
        return self._degraded(f"within {RECENT_SECONDS / 60:.0f} min: {_listed(bad)}")

    def _ok(self, detail: str) -> Check:
        return Check("ok", detail, self._clock.now())

    def _degraded(self, detail: str) -> Check:
        return Check("degraded", detail, self._clock.now())


def memory_limit() -> int:
    """Bytes that this process may hold: the least that its control groups, and the machine, allow."""
    return min(_limits())


def resident_bytes() -> int:
    """Bytes of memory that this process really holds: files it looks into are the system's, which takes them back."""
    resident, of_files = map(int, Path("/proc/self/statm").read_text().split()[1:3])
    return (resident - of_files) * resource.getpagesize()


def _limits() -> Iterator[int]:
    (total,) = (line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    yield int(total.split()[1]) * 1024
    groups = Path("/proc/self/cgroup").read_text().splitlines()
    own = [line.split(":", 2)[2].lstrip("/") for line in groups if line.count(":") == 2]
    root = Path("/sys/fs/cgroup")
    for place in {root, *(above for group in own for above in (root / group, *(root / group).parents))}:
        for name in ("memory.max", "memory/memory.limit_in_bytes", "memory.limit_in_bytes"):
            try:
                text = (place / name).read_text().strip()
            except OSError:
                continue
            if text.isdigit() and 0 < int(text) < _UNLIMITED:
                yield int(text)


def _totals(counter: Counter | Table, label: str = "") -> dict[str, float]:
    """What a counter stands at, by the value of ``label``; all of it where there is none."""
    totals: dict[str, float] = {}
    for sample in (sample for family in counter.collect() for sample in family.samples):
        name = sample.labels.get(label, "")
        totals[name] = totals.get(name, 0.0) + sample.value
    return totals


def _listed(grown: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {n:,.0f}" for name, n in sorted(grown.items(), key=lambda each: (-each[1], each[0])))
