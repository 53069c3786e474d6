"""How a model is used and how it answers: what each batch adds, what each tick says, what must be kept of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from monitor.budget import Budget
from monitor.catalog.models import Models, Phase
from monitor.catalog.rows import Field, Rows
from monitor.catalog.series import Series
from monitor.conduct.alarm import Conducted
from monitor.conduct.lists import Lists
from monitor.conduct.outputs import note_outputs
from monitor.conduct.shares import Asked, ModelShares, Share
from monitor.conduct.stretches import STALE, STUCK, Stretches
from monitor.dockets import Dockets
from monitor.events.columns import EventBatch
from monitor.kernels.judge import IDLE, SUSPICIOUS
from monitor.kernels.tally import FAR_INPUTS, RECENT, REPEATED_INPUTS, WITH_INPUTS, Counts, count_repeats
from monitor.tally.blocks import OUTSIDE_OUTPUTS, WITH_OUTPUTS
from monitor.tally.pieces import pieces

REPEATED = Asked("repeated", (0.7, 1.5, 3.0), tolerance=0.1)
"""Inputs that were there just before: docs/detectors/repeated.md."""
FAR = Asked("far_outside", (0.7, 1.5, 3.0), tolerance=0.0)
"""Inputs outside the reference in several features at once: docs/detectors/far_outside.md."""
NOT_ALLOWED = Asked("not_allowed", (1.0, 3.0, 6.0), tolerance=0.0, limit=0.001, recent=100.0)
"""Outputs that ``allowed_outputs`` does not name: docs/detectors/not_allowed.md."""
ASKED = (REPEATED, FAR, NOT_ALLOWED)
NAMES = (STUCK, STALE, *(asked.name for asked in ASKED))
"""Detectors of this room; each has a page."""
EVENTS_MIN, SECONDS_MIN = 1000, 86400.0
"""Inputs and event time from which their repeats are judged."""

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Ticks:
    """Ticks of ``m`` models that ended together at ``end``, and of their ``k`` series.

    ``heads`` (m, 40) are the first rows of their blocks; ``rows``, ``counts`` (k, 40), ``moments`` (k, 4) and
    ``seconds`` (k,) speak of series.
    """

    end: float
    models: Indices
    heads: NDArray[np.uint32]
    rows: Indices
    counts: NDArray[np.uint32]
    moments: NDArray[np.float64]
    seconds: NDArray[np.float64]

    def without(self, left_out: NDArray[np.bool_], of_series: NDArray[np.bool_]) -> Ticks:
        """The same without the models that are ``left_out`` (m,), and without the series ``of_series`` (k,)."""
        kept, own = ~left_out, ~of_series
        return replace(
            self,
            models=self.models[kept],
            heads=self.heads[kept],
            rows=self.rows[own],
            counts=self.counts[own],
            moments=self.moments[own],
            seconds=self.seconds[own],
        )


class Conduct:
    """The conduct of all models; like judging it knows no time but what it is told."""

    def __init__(self, models: Models, series: Series, budget: Budget, cells: dict[str, float]) -> None:
        self.models = models
        self.inputs = Rows({"recent": Field(np.uint32, (RECENT,))})
        self.stretches = Stretches(models, series, budget, cells)
        self.dockets = Dockets()
        """What the cells of shares are judged by that are under suspicion."""
        self.shares = {asked.name: ModelShares(asked, models, budget, cells, self.dockets) for asked in ASKED}
        self.lists = Lists(models, budget, cells)

    def note(
        self,
        batch: EventBatch,
        prints: NDArray[np.uint64],
        model: NDArray[np.int32],
        base: NDArray[np.int32],
        counts: Counts,
    ) -> None:
        """Count the events of ``batch`` into the first rows ``base`` (n,) of their blocks; -1 for one that is not."""
        missing = len(self.models) - len(self.inputs)
        if missing > 0:
            self.inputs.add(missing)
        count_repeats(prints, base, model, self.inputs["recent"], counts)
        self.inputs.stir(model[base >= 0])
        note_outputs(self.models, batch, model, base, counts)
        self.lists.note(batch, model, base)

    def close(self, ticks: Ticks, breathe: Callable[[], None] = lambda: None) -> Conducted:
        """Judge what closed; the series of some models at a time, between which the loop may ``breathe``."""
        out = Conducted()
        for part in pieces(self.stretches.series.rows["model"][ticks.rows]):
            own = (ticks.rows[part], ticks.counts[part], ticks.moments[part])
            out.add(self.stretches.count(*own, ticks.end, ticks.seconds[part]))
            breathe()
        self.stretches.settle()
        heads = ticks.heads.astype(np.float64)
        for share in (self._repeated(ticks, heads), self._far(ticks, heads), self._not_allowed(ticks, heads)):
            out.add(share)
        out.add(self.lists.close(ticks.end))
        self.stretches.begin(ticks.rows, ticks.end)
        for cells in self.shares.values():
            cells.begin()
        self.lists.begin()
        return out

    def end_series(self, rows: Indices) -> list[tuple[int, str]]:
        """Forget what stood still of series ``rows``; returns cells that may have fired."""
        return self.stretches.end(rows)

    def end_model(self, model: int) -> list[tuple[int, str]]:
        """Forget how ``model`` was used; returns cells that may have fired."""
        return [cell for share in self.shares.values() for cell in share.end(np.array([model]))] + self.end_lists(model)

    def end_lists(self, model: int) -> list[tuple[int, str]]:
        """Forget what ``model`` served; returns cells that may have fired."""
        return self.lists.end(np.array([model]))

    def end_outputs(self, model: int) -> list[tuple[int, str]]:
        """Another list of outputs is allowed of ``model``; returns the cell if it may have fired."""
        self.models.items[model].outside.clear()
        return self.shares[NOT_ALLOWED.name].end(np.array([model]))

    def known(self, model: int) -> list[Share]:
        """What there is to show of the cells of one model that are judged."""
        shares = [known for share in self.shares.values() if (known := share.known(model)) is not None]
        return shares + self.lists.known(model)

    def restored(self) -> None:
        """Count the cells, after the tables were loaded and all others were counted."""
        self.stretches.restored()
        for share in self.shares.values():
            share.restored()
        self.lists.restored()

    def tables(self) -> dict[str, Rows]:
        """What must be stored, by name."""
        return {
            "conduct.inputs": self.inputs,
            "conduct.stretches": self.stretches.rows,
            **{f"conduct.{name}": share.rows for name, share in self.shares.items()},
            **self.lists.tables(),
        }

    def _repeated(self, ticks: Ticks, heads: NDArray[np.float64]) -> Conducted:
        share, models = self.shares[REPEATED.name], ticks.models
        share.extend()
        age = ticks.end - share.rows["first"][models]
        learned = share.rows["learned_n"][models]
        growing = (learned < self.models.rows["learn_events"][models]) | ~(age >= self.models.rows["learn_for"][models])
        ready = (learned >= EVENTS_MIN) & (age >= SECONDS_MIN)
        return share.count(
            models, heads[:, REPEATED_INPUTS], heads[:, WITH_INPUTS], ticks.end, ready=ready, growing=growing
        )

    def _far(self, ticks: Ticks, heads: NDArray[np.float64]) -> Conducted:
        share, models = self.shares[FAR.name], ticks.models
        share.extend()
        phase = self.models.rows["phase"][models]
        ready = phase != Phase.LEARNING
        begun = models[ready & (share.rows["applies"][models] == 0)]
        if len(begun):
            share.suppose(begun, self.models.rows["learned"][begun].astype(np.float64))
        growing = phase == Phase.GROWING
        return share.count(models, heads[:, FAR_INPUTS], heads[:, WITH_INPUTS], ticks.end, ready=ready, growing=growing)

    def _not_allowed(self, ticks: Ticks, heads: NDArray[np.float64]) -> Conducted:
        share, models = self.shares[NOT_ALLOWED.name], ticks.models
        share.extend()
        s, n, never = heads[:, OUTSIDE_OUTPUTS], heads[:, WITH_OUTPUTS], np.zeros(len(models), bool)
        out = share.count(models, s, n, ticks.end, ready=~never, growing=never)
        out.alarms = [replace(alarm, output=self._commonest(alarm.model)) for alarm in out.alarms]
        state, listed = share.rows, models[self.models.rows["catalogued"][models] > 0]
        calm = listed[(state["firing"][listed] == IDLE) & (state["suspicion"][listed] <= SUSPICIOUS)]
        for model in calm.tolist():
            if self.models.items[model].outside:
                self.models.items[model].outside.clear()
                self.models.changed.add(model)
        return out

    def _commonest(self, model: int) -> str | None:
        outside = self.models.items[model].outside
        return max(sorted(outside), key=lambda output: outside[output], default=None)
