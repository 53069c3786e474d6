"""Which share of a model's events has something the matter with it as a whole? One cell a model for each question."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.budget import Budget, Crowd
from monitor.catalog.models import SHARES, Models
from monitor.catalog.rows import Field, Rows, aside
from monitor.cells import cell_fields
from monitor.conduct.alarm import ConductAlarm, Conducted
from monitor.dockets import Dockets, Line, closed
from monitor.kernels.judge import FIRING, HELD, IDLE, OVER, SUSPICIOUS, Bets, Question, bet, costs, onset_of
from monitor.recording import Part, follow, null, paid, step
from monitor.stats.bounds import null_edge_once

SHARE, SEVERITY = "quality", "warning"
_RENULL_GROWTH = 1.1
_LN10 = math.log(10.0)

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Asked:
    """One question about the events of a model: which share of them may not rise.

    ``tolerance`` is what is too small to matter, at least. ``limit`` is the share that there may be, whatever the
    reference has; ``None`` where it is the reference that says. The present fades by a factor e with ``recent`` events.
    """

    name: str
    shifts: tuple[float, ...]
    tolerance: float
    limit: float | None = None
    recent: float = 300.0

    @property
    def question(self) -> Question:
        """What its cells bet on."""
        return Question(1, False, self.shifts)


def fields(asked: Asked) -> dict[str, Field]:
    """The state of the cell of one model: ``learned_*`` is its reference, ``recent_*`` the present."""
    own = {name: Field(np.float64) for name in ("learned_s", "learned_n", "recent_s", "recent_n")}
    return {**cell_fields(asked.question), **own, "first": Field(np.float64, (), np.nan)}


@dataclass(frozen=True, slots=True)
class Share:
    """What there is to show of one cell: the share of the reference, and of now (NaN before it is judged)."""

    detector: str
    firing: bool
    before: float
    now: float
    effect: float
    tolerance: float
    evidence: float
    unit: str = "rate"
    """What the effect is: a difference of shares, or seconds."""


class ModelShares:
    """The cells of one question, by model row."""

    def __init__(self, asked: Asked, models: Models, budget: Budget, cells: dict[str, float], dockets: Dockets) -> None:
        """``cells`` counts the cells of each share in the fleet; these are added to it. ``dockets`` keeps theirs."""
        self._dockets = dockets
        self.asked = asked
        self.models = models
        self.rows = Rows(aside(fields(asked)))
        self._question = asked.question
        self._budget = budget
        self._weight = budget.weight(SEVERITY)
        self._cells = cells
        self._ready: list[Indices] = []

    def known(self, model: int) -> Share | None:
        """What there is to show of the cell of one model; ``None`` where it is not judged."""
        state = self.rows
        if model >= len(self.rows) or not state["applies"][model]:
            return None
        recent = float(state["recent_n"][model])
        return Share(
            self.asked.name,
            bool(state["firing"][model] == FIRING),
            float(state["reference_share"][model, 0]),
            min(float(state["recent_s"][model]) / recent, 1.0) if recent else math.nan,
            float(state["effect"][model]),
            float(state["tolerance"][model]),
            float(state["evidence"][model]),
        )

    def end(self, models: Indices) -> list[tuple[int, str]]:
        """Forget the cells of ``models``; returns those that may have fired."""
        self.extend()
        self._count(models[self.rows["applies"][models] > 0], -1)
        fired = models[self.rows["firing"][models] != IDLE]
        self.rows.reset(models)
        return [(model, self.asked.name) for model in fired.tolist()]

    def restored(self) -> None:
        """Count the cells, after the tables were loaded and all others were counted."""
        self.extend()
        self._count(np.flatnonzero(self.rows["applies"][: len(self.rows)]), 1)

    def count(self, models: Indices, s: Array, n: Array, end: float, *, ready: Flags, growing: Flags) -> Conducted:
        """Take the tick of ``models`` that ended at ``end``: ``s`` of ``n`` events each, ``(k,)``.

        Those that are ``ready`` are judged from the next tick on; the reference of those ``growing`` still grows from
        unsuspicious ticks.
        """
        self.extend()
        some = n > 0
        if not some.any():
            return Conducted()
        models, s, n, ready, growing = models[some], s[some], n[some], ready[some], growing[some]
        state = self.rows
        fresh = models[np.isnan(state["first"][models])]
        state["first"][fresh] = end
        out = self._bet(models, s, n, end)
        clean = (state["firing"][models] == IDLE) & (state["suspicion"][models] <= SUSPICIOUS)
        learning = growing & clean
        own = models[learning]
        state["learned_s"][own] += s[learning]
        state["learned_n"][own] += n[learning]
        grown = (state["applies"][own] > 0) & (state["learned_n"][own] > _RENULL_GROWTH * state["null_n"][own])
        self._set_null(own[grown])
        begun = models[ready & (state["applies"][models] == 0)]
        if len(begun):
            self._ready.append(begun)
        state.stir(models)
        return out

    def begin(self) -> None:
        """Begin to judge those that were ready, once the allowances of the tick are all handed out."""
        for begun in self._ready:
            self.rows["applies"][begun] = 1
            self._count(begun, 1)
            self._set_null(begun)
        self._ready.clear()

    def suppose(self, models: Indices, n: Array) -> None:
        """Let the references of ``models`` begin with ``n`` (k,) events of which none had it."""
        self.extend()
        self.rows["learned_n"][models] = n
        self.rows.touch(models)

    def _set_null(self, models: Indices) -> None:
        if not len(models):
            return
        state = self.rows
        s, n = state["learned_s"][models], state["learned_n"][models]
        if self.asked.limit is not None:
            tolerance = np.full(len(models), self.asked.limit)
            low, high = np.zeros((len(models), 1)), tolerance[:, None]
        else:
            tolerance = np.maximum(self.models.rows["tolerance_quality"][models], self.asked.tolerance)
            low, high = null_edge_once(s[:, None], n[:, None], tolerance[:, None])
        state["tolerance"][models] = tolerance
        state["reference_share"][models] = (s / np.maximum(n, 1.0))[:, None]
        state["null_n"][models] = n
        state["null_low"][models], state["null_high"][models] = low, high
        state["cost"][models] = costs(self._question, low, high).reshape(len(models), -1)
        state.touch(models)

    def _bet(self, models: Indices, s: Array, n: Array, end: float) -> Conducted:
        state, policy = self.rows, self.models.rows
        own = state["applies"][models] > 0
        models, s, n = models[own], s[own], n[own]
        out = Conducted(n_cells=len(models))
        if not len(models):
            return out
        fade = np.exp(-n / self.asked.recent)
        now_s, now_n = state["recent_s"][models] * fade + s, state["recent_n"][models] * fade + n
        state["recent_s"][models], state["recent_n"][models] = now_s, now_n
        seconds = policy["tick"][models]
        crowd = Crowd.of(SHARE, self._cells[SHARE], self.models)
        allowance = self._weight * self._budget.allowance(SHARE, crowd, models, seconds)
        self._budget.spend(SHARE, SEVERITY, allowance, crowd, models)
        bets = Bets(
            end=end,
            place=np.arange(len(models)),
            row=models,
            tick_s=np.ascontiguousarray(s[:, None]),
            tick_n=n,
            now_s=np.ascontiguousarray(now_s[:, None]),
            now_n=now_n,
            log_budget=np.log(np.maximum(allowance, 1e-300)),
            seconds=seconds,
            hold=policy["hold"][models],
            keep_firing=policy["keep_firing"][models],
        )
        given = bet(self._question, state, bets)

        def told(j: int, row: int, place: int) -> tuple[Line, Line]:
            return {**null(state, row), "limit": self.asked.limit}, step(bets, j, place, float(n[place]), given)

        follow(self._dockets, self.asked.name, state, bets, given, told)
        for j in np.flatnonzero(given.flags & HELD).tolist():
            out.alarms.append(self._alarm(bets, j, float(given.evidence[j]), crowd))
        out.cleared += [(model, self.asked.name) for model in models[(given.flags & OVER) > 0].tolist()]
        return out

    def _alarm(self, bets: Bets, j: int, evidence: float, crowd: Crowd) -> ConductAlarm:
        state, model = self.rows, int(bets.row[j])
        before = float(state["reference_share"][model, 0])
        now = min(float(bets.now_s[j, 0] / bets.now_n[j]), 1.0)
        return ConductAlarm(
            model=model,
            series=-1,
            detector=self.asked.name,
            before=before,
            now=now,
            effect=abs(now - before),
            tolerance=float(state["tolerance"][model]),
            evidence_log10=evidence / _LN10,
            onset_time=max(
                onset_of(float(state["onset"][model]), bets.end, float(bets.seconds[j])),
                float(self.models.rows["first_time"][model]),
            ),
            fired_time=bets.end,
            docket=self._docket(model, bets.end, crowd, {"before": before, "told": now, "evidence": evidence}),
        )

    def _docket(self, model: int, end: float, crowd: Crowd, found: Line) -> bytes:
        """All that a cell that fires was judged by, which found what it tells; empty where there was no room."""
        lines = self._dockets.take(self.asked.name, model)
        if not lines:
            return b""
        header = {
            "is": "cell",
            "of": "use",
            "detector": self.asked.name,
            "bins": [],
            "cuts": self._question.cuts,
            "two_sided": self._question.two_sided,
            "shifts": list(self.asked.shifts),
            "recent": self.asked.recent,
            "hold": float(self.models.rows["hold"][model]),
        }
        sharing = np.broadcast_to(self._budget.sharing(crowd, np.array([model])), 1)
        budget = paid(self._budget, self.models, SHARE, model, Part(self._weight, float(sharing[0])))
        reference = [float(self.rows[name][model]) for name in ("learned_s", "learned_n")]
        return closed(header, lines, {"is": "fired", "end": end, **found, "budget": budget, "reference": reference})

    def extend(self) -> None:
        """Make room for models that are new."""
        missing = len(self.models) - len(self.rows)
        if missing > 0:
            self.rows.add(missing)

    def _count(self, models: Indices, sign: int) -> None:
        self._cells[SHARE] += sign * self._weight * len(models)
        self.models.rows["n_cells"][models, SHARES.index(SHARE)] += sign * self._weight
