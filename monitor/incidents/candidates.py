"""How many models could a cause have struck? Those that share a feature or a source, of all that are watched."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from monitor.catalog.models import Models
from monitor.catalog.series import Series
from monitor.events.columns import Space


@dataclass(slots=True)
class Candidates:
    """Parts of the fleet by what they have in common, counted when asked for, and again when the fleet has grown."""

    models: Models
    series: Series
    _counted: int = -1
    _features: Counter[str] = field(default_factory=Counter)
    _sources: Counter[str] = field(default_factory=Counter)

    def n_models(self) -> int:
        """Models of the fleet."""
        return len(self.models) - sum(map(len, self.models.within.values()))

    def share(self, cause: tuple[str, str]) -> float:
        """The part of all alarms that would fall on a cause's candidates if alarms fell evenly, 0 to 1.

        ``cause`` is its kind and name: of a ``feature`` the part of the fleet's features that have this name, of an
        ``upstream`` the part of the models that name it; a ``moment`` strikes everybody.
        """
        self._count()
        kind, name = cause
        if kind == "feature":
            return self._features[name] / max(self._features.total(), 1)
        return self._sources[name] / max(len(self.models), 1) if kind == "upstream" else 1.0

    def _count(self) -> None:
        size = len(self.series.names) + len(self.models)
        if size == self._counted:
            return
        spaces = self.series.rows["space"].tolist()
        named = zip(self.series.names, spaces, strict=False)
        self._features = Counter(name for name, space in named if space == Space.FEATURE)
        self._sources = Counter(source for model in self.models.items for source in model.policy.upstreams)
        self._counted = size
