"""Who may spend how much of the false-alarm budget: a promise over the whole fleet, whatever its size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from monitor.catalog.models import SHARES, Models

WEEK_SECONDS = 7 * 86400.0
_FINEST = 1024
"""Weights are multiples of one part of this, so that sums of them are exact, in whatever order cells come and go."""
_NOTHING = 1e-300
"""In place of no part at all: whoever has it is told of nothing."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who shares what one kind may spend: cells that are judged, each with its weight where they have one.

    ``n_fleet`` are those of the whole fleet; ``of_model`` and ``team`` have a place for each model's row: its cells,
    and the row in ``teams`` of the team that such incidents belong to.
    """

    n_fleet: float
    of_model: NDArray[np.integer] | Array
    team: NDArray[np.int32]
    teams: list[str]

    @classmethod
    def of(cls, share: str, n_fleet: float, models: Models, of_model: Array | None = None) -> Crowd:
        """The cells of ``share``: those that ``models`` counts, or ``of_model`` (a place for each model)."""
        place = SHARES.index(share)
        counted = models.rows["n_cells"][:, place] if of_model is None else of_model
        return cls(n_fleet, counted, models.rows["team"][:, place], models.teams)


class Budget:
    """Hands each cell its allowance for a tick and keeps the books.

    The sum of all allowances of a week is at most ``per_week``; by the theorem of ``stats/accumulate.py`` that bounds
    the expected number of false alarms, whatever ties the cells together. A share that has no cells is not spent.

    ``teams`` are the parts, of each share, of the teams that have one of their own; what they leave is that of the
    models of all others together. A part whose team has no cells is not spent. ``severities`` say what a cell weighs
    beside the others of its share, by the severity that its alert has alone; 1 where none is said.
    """

    def __init__(
        self,
        per_week: float,
        per_model_per_week: float,
        shares: Mapping[str, float],
        teams: Mapping[str, float] = MappingProxyType({}),
        severities: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self.per_week = per_week
        self.per_model_per_week = per_model_per_week
        self.shares = {name: shares.get(name, 0.0) for name in SHARES}
        self.teams = dict(teams)
        self.severities = dict(severities)
        self.spent = dict.fromkeys(SHARES, 0.0)
        self.spent_by_team: dict[str, float] = {}
        self.spent_by_severity: dict[str, float] = {}
        self._fleet = np.array([per_week * self.shares[name] for name in SHARES])
        self._model = np.array([per_model_per_week * self.shares[name] for name in SHARES])

    def allowance(
        self, share: str, crowd: Crowd, model: NDArray[np.integer], seconds: Array, aside: float = 0.0
    ) -> Array:
        """Expected false alarms that each cell of weight 1 may cost in this tick, shape ``(k,)``.

        Parameters
        ----------
        share
            The kind that pays.
        crowd
            All cells that it pays for.
        model
            The row of each cell's model, shape ``(k,)``: no model takes more than its own cap.
        seconds
            Event time that the tick covers, shape ``(k,)``.
        aside
            Part of the weekly budget that is taken from this share for others: see :meth:`part`.
        """
        i = SHARES.index(share)
        fleet = max(float(self._fleet[i]) - aside * self.per_week, 0.0)
        own = self._model[i] / np.maximum(crowd.of_model[model], 1)
        allowance: Array = np.minimum(fleet / self.sharing(crowd, model), own) * seconds / WEEK_SECONDS
        return allowance

    def sharing(self, crowd: Crowd, model: NDArray[np.integer]) -> Array | float:
        """Among how many cells a share is divided as the cells of each of ``model`` (k,) see it, at least 1.

        That is all of the fleet's, or, where teams have parts, those of their own team over its part: ten cells that
        have a half between them get what each of twenty would get of the whole.
        """
        if not self.teams:
            return max(crowd.n_fleet, 1)
        team = crowd.team[: len(crowd.of_model)]
        n = np.bincount(team, weights=crowd.of_model, minlength=len(crowd.teams))
        own = np.array([name in self.teams for name in crowd.teams])
        n[~own] = n[~own].sum()
        rest = max(1.0 - sum(self.teams.values()), 0.0)
        part = np.array([self.teams.get(name, rest) for name in crowd.teams])
        sharing: Array = (np.maximum(n, 1.0) / np.maximum(part, _NOTHING))[crowd.team[model]]
        return sharing

    def weight(self, severity: str) -> float:
        """What a cell counts among those of its share, and gets times as much, whose alert alone is so grave."""
        return max(round(_FINEST * self.severities.get(severity, 1.0)), 1) / _FINEST

    def part(self, part: float, seconds: float) -> float:
        """Expected false alarms that ``part`` of the weekly budget pays for in ``seconds``."""
        return self.per_week * part * seconds / WEEK_SECONDS

    def spend(self, share: str, severity: str, allowances: Array, crowd: Crowd, model: NDArray[np.integer]) -> None:
        """Write down what was handed out to cells that bet, of one severity, of models in the rows ``model`` (k,)."""
        whole = float(allowances.sum())
        self.spent[share] += whole
        self.spent_by_severity[severity] = self.spent_by_severity.get(severity, 0.0) + whole
        by_team = np.bincount(crowd.team[model], weights=allowances, minlength=len(crowd.teams))
        for i in np.flatnonzero(by_team).tolist():
            team = crowd.teams[i]
            self.spent_by_team[team] = self.spent_by_team.get(team, 0.0) + float(by_team[i])
