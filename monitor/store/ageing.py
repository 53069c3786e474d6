"""What becomes of history as it ages? It is rolled up and forgotten, a few models at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from monitor.store.database import Writes


class Ages(Protocol):
    """Something that is kept of each model and grows old."""

    def roll_up(self, model: int, watermark: float, writes: Writes) -> None:
        """Add to ``writes`` what becomes of what ``model`` has, now that event time is ``watermark``."""
        ...


class Ageing:
    """Goes round the models, a few at a time."""

    def __init__(self, logs: Sequence[Ages]) -> None:
        self._logs = logs
        self._next_model = 0

    def turn(self, n_models: int, models_max: int, watermark: float) -> Writes:
        """What to write for the next ``models_max`` of ``n_models`` models."""
        writes = Writes()
        for _ in range(min(models_max, n_models)):
            self._next_model = (self._next_model + 1) % n_models
            for log in self._logs:
                log.roll_up(self._next_model, watermark, writes)
        return writes
