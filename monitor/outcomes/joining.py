"""The parts of a case find one another by id, in whatever order they come."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monitor.events.columns import Part
from monitor.kernels import join as compiled_join
from monitor.kernels.join import LET_IN, RIGHT_IN, WRONG_IN, WRONG_OUT
from monitor.outcomes.bringing import Brought
from monitor.outcomes.case import CLOSED, HAS_OUTCOME, HAS_PREDICTION, OPEN, TOLD_WITH, WIDE, Cases, blank
from monitor.outcomes.lists import Lists
from monitor.outcomes.pending import Pending

FATES = (
    "joined",
    "before_prediction",
    "repeated",
    "changed",
    "after_horizon",
    "without_prediction",
    "repeated_predictions",
    "late_predictions",
    "parts_without_prediction",
    "attributes_turned_away",
    "no_room",
)
"""What can become of an outcome, of a prediction that cannot count, and of parts that find none: docs/events.md."""

Indices = NDArray[np.int64]


@dataclass(slots=True)
class Fates:
    """Who met what: models by fate, and the outcomes that came to a prediction or were taken from it."""

    models: dict[str, list[NDArray[np.int32]]] = field(default_factory=lambda: {name: [] for name in FATES})
    let_in: list[NDArray[np.int32]] = field(default_factory=list)
    predicted: list[Indices] = field(default_factory=list)
    """Events whose prediction is their case's."""
    early: list[tuple[NDArray[np.int32], NDArray[np.bool_], int]] = field(default_factory=list)

    def add(self, name: str, models: NDArray[np.int32]) -> None:
        """Note that one case of each of ``models`` met ``name``."""
        if len(models):
            self.models[name].append(models)


def join(pending: Pending, b: Brought) -> Fates:
    """Bring every event of ``b`` to its case, one after another. Compiled in ``join.c``."""
    if b.lists is not None:
        # What tells two outcomes of a case apart.
        b.outcome = np.where(b.lists.n_shown > 0, b.lists.shown_hash, b.outcome)
        pending.widen()
    if compiled_join.compiled() is None:
        return join_twin(pending, b)
    joined, fates = pending.meet(b.columns()), Fates()
    fates.predicted.append(joined.first)
    for kind, models in joined.met.items():
        if kind < len(FATES):
            fates.add(FATES[kind], models)
        elif kind == LET_IN:
            fates.let_in.append(models)
        else:
            wrong, sign = kind in (WRONG_IN, WRONG_OUT), 1 if kind in (RIGHT_IN, WRONG_IN) else -1
            fates.early.append((models, np.full(len(models), wrong), sign))
    return fates


def join_twin(pending: Pending, b: Brought) -> Fates:
    """What the compiled loop does, in numpy: in rounds, in each of which a case meets one event at most."""
    fates, admitted = Fates(), _admitted(pending, b)
    order = np.argsort(b.key, kind="stable")
    keys = b.key[order]
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    rank = np.arange(len(keys)) - np.repeat(starts, np.diff(np.append(starts, len(keys))))
    for turn in range(int(rank.max(initial=-1)) + 1):
        _round(pending, b, np.sort(order[rank == turn]), admitted, fates)
    fates.predicted = [np.sort(np.concatenate([np.zeros(0, np.int64), *fates.predicted]))]
    return fates


def _admitted(pending: Pending, b: Brought) -> NDArray[np.bool_]:
    """Which events begin a case: the first of each that has none and that is not too late, as long as there is room."""
    fresh = np.flatnonzero((pending.find(b.key) < 0) & (b.due > b.passed))
    first = np.sort(fresh[np.unique(b.key[fresh], return_index=True)[1]])
    admitted = np.zeros(len(b.key), np.bool_)
    admitted[first[: max(pending.room, 0)]] = True
    return admitted


def _round(pending: Pending, b: Brought, events: Indices, admitted: NDArray[np.bool_], fates: Fates) -> None:
    """One event of each case at most; those ``admitted`` begin one."""
    rows = pending.find(b.key[events])
    fresh = (rows < 0) & (b.due[events] > b.passed[events])
    _turn_away(b, events[(rows < 0) & ~fresh], fates)
    fates.add("no_room", b.model[events[fresh & ~admitted[events]]])
    begins = np.flatnonzero(fresh & admitted[events])
    rows[begins] = _let_in(pending, b, events[begins], fates)
    kept = rows >= 0
    rows, events = rows[kept], events[kept]
    closed = pending.cases["stage"][rows] == CLOSED
    late = events[closed]
    fates.add("after_horizon", b.model[late[(b.parts[late] & Part.OUTCOME) > 0]])
    fates.add("repeated_predictions", b.model[late[(b.parts[late] & Part.PREDICTION) > 0]])
    rows, events = rows[~closed], events[~closed]
    predicts = (b.parts[events] & Part.PREDICTION) > 0
    _predict(pending, b, rows[predicts], events[predicts], fates)
    tells = (b.parts[events] & Part.OUTCOME) > 0
    _tell(pending, b, rows[tells], events[tells], fates)
    _attributes(pending, b, rows, events, fates)
    cases = pending.cases
    money = ~np.isnan(b.money[events])
    cases["money"][rows[money]] = b.money[events[money]]
    entity = b.entity[events] > 0
    cases["entity"][rows[entity]] = b.entity[events[entity]]
    pending.touch(rows)


def _turn_away(b: Brought, events: Indices, fates: Fates) -> None:
    """Events whose case would have matured before they came, had there been one."""
    predicts = (b.parts[events] & Part.PREDICTION) > 0
    tells = (b.parts[events] & Part.OUTCOME) > 0
    fates.add("late_predictions", b.model[events[predicts]])
    fates.add("without_prediction", b.model[events[tells & ~predicts]])
    fates.add("parts_without_prediction", b.model[events[~tells & ~predicts]])


def _let_in(pending: Pending, b: Brought, events: Indices, fates: Fates) -> Indices:
    """New cases, for which there is room."""
    pending.room -= len(events)
    fates.let_in.append(b.model[events])
    cases = blank(len(events))
    cases["key"], cases["model"], cases["stage"] = b.key[events], b.model[events], OPEN
    cases["due"], cases["time"] = b.due[events], b.time[events]
    return pending.add(cases)


def _predict(pending: Pending, b: Brought, rows: Indices, events: Indices, fates: Fates) -> None:
    """The first prediction of a case counts, and says when it matures."""
    cases = pending.cases
    again = (cases["has"][rows] & HAS_PREDICTION) > 0
    fates.add("repeated_predictions", b.model[events[again]])
    late = ~again & (b.due[events] <= b.passed[events])
    fates.add("late_predictions", b.model[events[late]])
    first = ~again & ~late
    rows, events = rows[first], events[first]
    fates.predicted.append(events)
    moved = cases["due"][rows] != b.due[events]
    for name, column in (
        ("time", b.time),
        ("due", b.due),
        ("predicted", b.predicted),
        ("score", b.score),
        ("value", b.value),
        ("places", b.places),
    ):
        cases[name][rows] = column[events]
    if b.lists is not None:
        cases["list"][rows], cases["n_served"][rows] = b.lists.kind[events], b.lists.n_served[events]
        cases["served"][rows] = b.lists.served[events]
    cases["has"][rows] |= HAS_PREDICTION
    pending.list(rows[moved])
    told = (cases["has"][rows] & HAS_OUTCOME) > 0
    too_late = rows[told & (cases["outcome_time"][rows] > cases["due"][rows])]
    cases["has"][too_late] &= ~HAS_OUTCOME
    fates.add("after_horizon", cases["model"][too_late])
    met = rows[told & ((cases["has"][rows] & HAS_OUTCOME) > 0)]
    _meet(pending, met, fates, 1)
    fates.add("joined", cases["model"][met])


def _tell(pending: Pending, b: Brought, rows: Indices, events: Indices, fates: Fates) -> None:
    """Of several outcomes of a case the newest counts, by event time, as long as it came within the horizon."""
    cases = pending.cases
    predicted = (cases["has"][rows] & HAS_PREDICTION) > 0
    late = predicted & (b.time[events] > cases["due"][rows])
    fates.add("after_horizon", b.model[events[late]])
    rows, events, predicted = rows[~late], events[~late], predicted[~late]
    told = (cases["has"][rows] & HAS_OUTCOME) > 0
    same = cases["outcome"][rows] == b.outcome[events]
    same &= (cases["outcome_number"][rows] == b.outcome_number[events]) | np.isnan(b.outcome_number[events])
    fates.add("repeated", b.model[events[told & same]])
    fates.add("changed", b.model[events[told & ~same]])
    fates.add("joined", b.model[events[~told & predicted]])
    fates.add("before_prediction", b.model[events[~told & ~predicted]])
    taken = ~told | (~same & (b.time[events] >= cases["outcome_time"][rows]))
    _meet(pending, rows[taken & told & predicted], fates, -1)
    at, source = rows[taken], events[taken]
    cases["outcome"][at], cases["outcome_number"][at] = b.outcome[source], b.outcome_number[source]
    cases["outcome_time"][at] = b.time[source]
    if cases.dtype == WIDE:
        _show(cases, at, b.lists, source)
    cases["has"][at] |= HAS_OUTCOME
    _meet(pending, rows[taken & predicted], fates, 1)


def _show(cases: Cases, rows: Indices, lists: Lists | None, events: Indices) -> None:
    """Put the lists of outcomes into their cases; an outcome without one takes away what was there."""
    cases["n_shown"][rows] = 0 if lists is None else lists.n_shown[events]
    cases["shown"][rows] = 0 if lists is None else lists.shown[events]


def _meet(pending: Pending, rows: Indices, fates: Fates, sign: int) -> None:
    """Let cases with both parts into the early view, or out of it (``sign``)."""
    cases = pending.cases[rows]
    classes = (cases["predicted"] > 0) & (cases["outcome"] > 0)
    fates.early.append((cases["model"][classes], (cases["predicted"] != cases["outcome"])[classes], sign))


def _attributes(pending: Pending, b: Brought, rows: Indices, events: Indices, fates: Fates) -> None:
    """Put attributes into free places; one that came before stays what it was."""
    if not len(b.of):
        return
    row_of = np.full(len(b.key), -1, np.int64)
    row_of[events] = rows
    entries = np.flatnonzero(row_of[b.of] >= 0)
    order = np.argsort(b.of[entries], kind="stable")
    entries = entries[order]
    starts = np.flatnonzero(np.diff(b.of[entries], prepend=-1) != 0)
    rank = np.arange(len(entries)) - np.repeat(starts, np.diff(np.append(starts, len(entries))))
    names, texts, kinds = (pending.cases[column] for column in ("names", "texts", "kinds"))
    for turn in range(int(rank.max(initial=-1)) + 1):
        entry = entries[rank == turn]
        row = row_of[b.of[entry]]
        held = names[row]
        known = (held == b.name[entry][:, None]).any(axis=1)
        free = (held == 0).argmax(axis=1)
        full = ~known & (held[np.arange(len(row)), free] != 0)
        fates.add("attributes_turned_away", b.model[b.of[entry[full]]])
        put = np.flatnonzero(~known & ~full)
        at = (row[put], free[put])
        names[at], texts[at], kinds[at] = b.name[entry[put]], b.text[entry[put]], b.kind[entry[put]]
        predicts = np.flatnonzero(((b.parts[b.of[entry]] & Part.PREDICTION) > 0) & ~full)
        slot = (names[row] == b.name[entry][:, None]).argmax(axis=1)
        pending.cases["has"][row[predicts]] |= TOLD_WITH[slot[predicts]]
