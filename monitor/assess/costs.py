"""What would it cost to watch this? Cells, memory, processor and disk, measured in the run or counted from it."""

from __future__ import annotations

import math
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monitor.fleet import Fleet
from monitor.store.sums import pack_all
from monitor.store.ticklog import LEVELS
from monitor.tally.closed import ClosedTicks

MODELS_MIN = 100
"""From so many models on the growth of the process is that of models; of fewer it is mostly the program's own."""
_DAY = 86400.0


@dataclass(slots=True)
class Meter:
    """Takes down what a run takes: made before it, asked behind it; :meth:`keep` is handed what closes."""

    resident: float = 0.0
    cpu: float = 0.0
    n_ticks: int = 0
    tick_bytes: int = 0

    @staticmethod
    def begun() -> Meter:
        """A meter that knows what was taken before the run."""
        return Meter(_resident_bytes(), _cpu_seconds())

    def keep(self, ticks: list[ClosedTicks]) -> None:
        """Count what the store would be given of closed ticks."""
        for closed in ticks:
            self.n_ticks += len(closed)
            self.tick_bytes += sum(map(len, pack_all(closed.counts, closed.moments, closed.starts, closed.sizes)))

    def read(self, fleet: Fleet, events: int, seconds: float, retention: float) -> dict[str, Any]:
        """In JSON types. ``seconds`` is the length of the range, ``retention`` (seconds) that of ticks.

        Disk is what the tick log writes before it is compressed: ticks for two days, hours for five weeks, days beyond;
        an hour or a day of sums is taken to be as large as the mean tick, at least. Memory is what the process grew by;
        a model's part of it is ``None`` below :data:`MODELS_MIN` models.
        """
        days = max(seconds, 1.0) / _DAY
        models = len(fleet.models)
        cpu = _cpu_seconds() - self.cpu
        memory = max(_resident_bytes() - self.resident, 0.0)
        per_tick = self.tick_bytes / max(self.n_ticks, 1)
        ticks_a_day = self.n_ticks / max(days, 1.0 / 1440.0)
        fine, hours, _ = LEVELS
        kept = (
            ticks_a_day * min(fine.kept, retention) / _DAY
            + min(ticks_a_day, 24.0 * models) * min(max(hours.kept - fine.kept, 0.0), retention) / _DAY
            + min(ticks_a_day, 1.0 * models) * max(retention - hours.kept, 0.0) / _DAY
        )
        return {
            "cells": {**fleet.judge.n_cells, "fairness": fleet.groups.comparer.n_cells},
            "memory_bytes": round(memory),
            "memory_bytes_per_model": round(memory / models) if models >= MODELS_MIN else None,
            "events": events,
            "cpu_seconds": round(cpu, 2),
            "cpu_seconds_per_million_events": round(cpu / max(events, 1) * 1e6, 2),
            "events_per_second": float(f"{events / max(seconds, 1.0):.3g}"),
            "cores": float(f"{cpu / max(events, 1) * events / max(seconds, 1.0):.2g}"),
            "disk_bytes_per_day": round(per_tick * ticks_a_day),
            "disk_bytes": round(per_tick * kept) if math.isfinite(kept) else None,
        }


def _resident_bytes() -> float:
    """What the process has in memory now; the most it ever had, where a system does not say."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        (line,) = (line for line in status.splitlines() if line.startswith("VmRSS"))
        return float(line.split()[1]) * 1024.0
    except (OSError, ValueError):
        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * 1024.0


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
