"""What must advice know of a model beside what fires: its age, its newest version, does it follow its inputs?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.models import Models
from monitor.events.columns import Space
from monitor.incidents.advice import Setting
from monitor.kernels.hashing import hash64
from monitor.leaning.bill import follows, own_movement
from monitor.leaning.sums import Leaning
from monitor.outcomes.outcomes import Outcomes


class Settings:
    """Asks the rooms that know; ``series_rows`` gives the series of a model."""

    def __init__(
        self, models: Models, outcomes: Outcomes, leaning: Leaning, series_rows: Callable[[int], NDArray[np.int64]]
    ) -> None:
        self._models, self._outcomes, self._leaning, self._series_rows = models, outcomes, leaning, series_rows

    def of(self, name: str) -> Setting:
        """The setting of a model by its name; of one that is not there nothing is known."""
        row = int(self._models.index.find_one(max(hash64(name.encode()), 1)))
        if row < 0:
            return Setting()
        rows = self._series_rows(row)
        inputs = rows[self._leaning.series.rows["space"][rows] == Space.FEATURE]
        answers = self._leaning.of("answer", inputs)
        return Setting(
            born=float(self._models.rows["first_time"][row]),
            version_since=self._models.items[row].changed_time,
            judged_by_outcomes=self._outcomes.judges(row),
            follows=follows(answers),
            own_movement=own_movement(answers),
        )
