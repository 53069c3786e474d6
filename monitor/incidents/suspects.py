"""How many other models begin to show what an incident tells of? Those whose cells gather evidence, or fire already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.models import Models
from monitor.catalog.series import Series
from monitor.events.columns import Space
from monitor.incidents.incident import Incident
from monitor.judging import Judge

Rows = NDArray[np.int64]


@dataclass(slots=True)
class Suspects:
    """Series by what they have in common, sorted when asked for, and again when the fleet has grown."""

    models: Models
    series: Series
    judge: Judge
    _sorted: int = -1
    _features: dict[str, Rows] = field(default_factory=dict)

    def others(self, incident: Incident, upstreams: Sequence[str]) -> int:
        """Models besides the incident's own with a cell under suspicion, or firing, of its features or its sources."""
        self._sort()
        named = {cell.feature for cell in incident.cells if cell.feature}
        rows = [self._features[name] for name in sorted(named) if name in self._features]
        if upstreams:
            rows.append(self._fed_by(frozenset(upstreams)))
        return len(self._doubted(rows) - {incident.model})

    def _doubted(self, rows: Sequence[Rows]) -> set[str]:
        """Names of the models of whose ``rows`` a cell is under suspicion."""
        judged = min(len(table) for table in self.judge.tables.values())
        asked = np.concatenate([np.zeros(0, np.int64), *rows])
        asked = asked[asked < judged]
        doubted = asked[self.judge.suspicious(asked)]
        roots = self.models.rows["root"][self.series.rows["model"][doubted]]
        return {self.models.items[root].name for root in np.unique(roots).tolist()}

    def _fed_by(self, sources: frozenset[str]) -> Rows:
        """The series of all models that name one of ``sources``."""
        fed = np.array([not sources.isdisjoint(model.policy.upstreams) for model in self.models.items])
        return np.flatnonzero(fed[self.series.rows["model"][: len(self.series.names)]])

    def _sort(self) -> None:
        if self._sorted == len(self.series.names):
            return
        spaces = self.series.rows["space"].tolist()
        found: dict[str, list[int]] = {}
        for row, (name, space) in enumerate(zip(self.series.names, spaces, strict=False)):
            if space == Space.FEATURE:
                found.setdefault(name, []).append(row)
        self._features = {name: np.array(rows, np.int64) for name, rows in found.items()}
        self._sorted = len(self.series.names)
