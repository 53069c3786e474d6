"""What does one side of a gate hold? Its events, run through the daemon's own pipeline as one tick."""

from __future__ import annotations

import glob
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.policies import Clause, Policies
from monitor.clock import Clock
from monitor.compose import make_fleet
from monitor.config import Config
from monitor.events.raw import RawBatch
from monitor.fleet import Fleet
from monitor.ingest.files import FilesSource
from monitor.kernels.tally import COLUMNS
from monitor.outcomes.matured import Matured
from monitor.pipeline import Pipeline
from monitor.replay import Replayed, progress_bar, replay
from monitor.tally.closed import ClosedTicks

_PENDING_MAX = 1 << 31
_TICK = "100y"


@dataclass(slots=True)
class Side:
    """All of one side: ``counts`` by series row (k, 40), and its matured ``cases``."""

    fleet: Fleet
    counts: NDArray[np.float64]
    cases: list[Matured]
    replayed: Replayed

    def cases_of(self, row: int) -> list[Matured]:
        """The cases of one model."""
        return [cases.chosen(cases.model == row) for cases in self.cases]


class _FirstAlone(FilesSource):
    """Hands out its first record by itself: what a policy asks is settled by it before the others are counted."""

    def poll(self, records_max: int, timeout_seconds: float) -> RawBatch:
        """As of files; one record at first."""
        return super().poll(1 if self._current < 0 else records_max, timeout_seconds)


def side(config: Config, files: list[Path], references: dict[str, Path], clock: Clock) -> Side:
    """Count the native events of ``files``, each model by its file in ``references``.

    Time plays no part: everything is one tick of a hundred years, so that rows may stand in any order, and each outcome
    is within its horizon.
    """
    config = replace(config, policies=_timeless(config.policies, references))
    fleet = make_fleet(config)
    fleet.outcomes.allow(_PENDING_MAX)
    cases: list[Matured] = []
    fleet.outcomes.takers.append(cases.append)
    ticks: list[ClosedTicks] = []
    source = _FirstAlone([str(file) for file in files], {})
    turned, done = progress_bar(source.bytes_total(), "B", source.bytes_read)
    try:
        replayed = replay(config, source, clock, fleet=fleet, progress=turned, beside=_settle, keep=ticks.extend)
    finally:
        done()
        source.close()
    return Side(fleet, _summed(fleet, ticks), cases, replayed)


def _settle(pipeline: Pipeline) -> None:
    """Medians of scores and bands of ages come from the reference: no tick need close before they are known."""
    pipeline.fleet.groups.counter.choose_quarters()
    pipeline.fleet.groups.sorter.choose_bands()


def _timeless(policies: Policies, references: dict[str, Path]) -> Policies:
    told = [Clause(glob.escape(model), {"reference": f"file:{path}"}, "the gate") for model, path in references.items()]
    every = {"tick": _TICK, "split_by": (), "planned": ()}
    return Policies([*policies.clauses, Clause("*", every, "the gate"), *told], policies.tick)


def _summed(fleet: Fleet, ticks: list[ClosedTicks]) -> NDArray[np.float64]:
    """The counts of all ticks, by series row."""
    counts = np.zeros((len(fleet.series.rows), COLUMNS))
    for tick in ticks:
        for model, start, size in zip(tick.models.tolist(), tick.starts.tolist(), tick.sizes.tolist(), strict=True):
            rows = fleet.lives.series_rows(model)[: size - 1]
            counts[rows] += tick.counts[start + 1 : start + size]
    return counts
