"""What do the events of a batch bring to their cases? Their parts as columns, and attributes, out of all entries."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.events.columns import EventBatch, Space, ValueType
from monitor.kernels import bring
from monitor.kernels.bring import JOINED_PARTS, LABEL, SCORE, VALUE, Told
from monitor.kernels.table import mix
from monitor.outcomes.asked import SCORED, Asked
from monitor.outcomes.lists import Lists, lists_of

Indices = NDArray[np.int64]


@dataclass(slots=True)
class Brought:
    """What ``n`` events bring to their cases: arrays of shape ``(n,)``; attributes are entries, by ``of`` their event.

    ``due`` is when a case of such an event matures, ``passed`` the event time that was reached before it.
    """

    key: NDArray[np.uint64]
    model: NDArray[np.int32]
    time: NDArray[np.float64]
    due: NDArray[np.float64]
    passed: NDArray[np.float64]
    parts: NDArray[np.uint16]
    entity: NDArray[np.uint64]
    money: NDArray[np.float64]
    predicted: NDArray[np.uint64]
    score: NDArray[np.float64]
    value: NDArray[np.float64]
    outcome: NDArray[np.uint64]
    outcome_number: NDArray[np.float64]
    of: Indices
    name: NDArray[np.uint64]
    text: NDArray[np.uint64]
    kind: NDArray[np.uint8]
    places: NDArray[np.uint64]
    lists: Lists | None

    def columns(self) -> dict[str, NDArray[Any]]:
        """All arrays, as the compiled loop calls them."""
        made = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "lists"}
        if self.lists is not None:
            made |= {"list": self.lists.kind, "served": self.lists.served, "n_served": self.lists.n_served}
            made |= {"shown": self.lists.shown, "n_shown": self.lists.n_shown}
        return made


def brought(
    batch: EventBatch,
    model: NDArray[np.int32],
    due: NDArray[np.float64],
    passed: NDArray[np.float64],
    asked: Asked,
    places: NDArray[np.uint64],
) -> Brought | None:
    """The events of ``batch`` that have to do with cases, or ``None`` where there are none.

    ``model`` (rows, -1: not let in), ``due``, ``passed`` and ``places`` (n, 2) are by event.
    """
    if not len(batch) or not asked.rows["joins"].any():
        return None
    told = _told(batch, model, asked)
    chosen = told.chosen
    if not len(chosen):
        return None
    lists = None
    if told.items:
        place = np.full(len(batch), -1, np.int64)
        place[chosen] = np.arange(len(chosen))
        lists = lists_of(batch, place, len(chosen))
    of = chosen if len(chosen) < len(batch) else slice(None)  # mostly all of them, which need no copies
    return Brought(
        key=mix(batch.model.hash[of], batch.id.hash[of]),
        model=model[of],
        time=batch.time[of],
        due=np.round(due[of], 3),
        passed=passed[of],
        parts=batch.parts[of],
        entity=batch.entity.hash[of] * (batch.entity.length[of] > 0),
        money=batch.value[of],
        predicted=told.predicted,
        score=told.score,
        value=told.value,
        outcome=told.outcome,
        outcome_number=told.outcome_number,
        of=told.of,
        name=told.name,
        text=told.text,
        kind=told.kind,
        places=places[of],
        lists=lists,
    )


def _told(batch: EventBatch, model: NDArray[np.int32], asked: Asked) -> Told:
    """What events say that have to do with cases. Compiled in ``bring.c``."""
    if bring.compiled() is None:
        return told_twin(batch, model, asked)
    by_model = asked.rows["joins"], asked.rows["all_sensitive"]
    return bring.bring(batch, model, by_model, asked.table, asked.named)


def told_twin(batch: EventBatch, model: NDArray[np.int32], asked: Asked) -> Told:
    """What the compiled pass does, in numpy."""
    identified = (batch.id.length > 0) & (model >= 0) & asked.rows["joins"][model]
    entries = asked.attributes(batch, model)
    kind = batch.type[entries]
    entries = entries[identified[batch.event[entries]] & (kind <= ValueType.BOOL) & (kind > ValueType.NULL)]
    concerned = identified & ((batch.parts & int(JOINED_PARTS)) > 0)
    concerned[batch.event[entries]] = True
    chosen = np.flatnonzero(concerned)
    place = np.full(len(batch), -1, np.int64)
    place[chosen] = np.arange(len(chosen))
    number = batch.type[entries] == ValueType.NUMBER
    return Told(
        chosen=chosen,
        **_answers(batch, place, len(chosen), model, asked),
        of=place[batch.event[entries]],
        name=batch.name.hash[entries],
        text=np.where(number, batch.number[entries].view(np.uint64), batch.text.hash[entries]),
        kind=batch.type[entries],
        items=bool(batch.in_space(Space.TAG, Space.RANKED, Space.OUTCOME_TAG).any()),
    )


def _answers(
    batch: EventBatch, place: Indices, n: int, model: NDArray[np.int32], asked: Asked
) -> dict[str, NDArray[Any]]:
    """Predicted class, score and value, outcome and its number, of the ``n`` events that have a ``place``."""
    predicted, outcome = np.zeros(n, np.uint64), np.zeros(n, np.uint64)
    score, value, outcome_number = (np.full(n, np.nan) for _ in range(3))
    entries = np.flatnonzero(~batch.in_space(Space.FEATURE))  # nearly all are features, which say nothing here
    entries = entries[place[batch.event[entries]] >= 0]
    event, space, name = batch.event[entries], batch.space[entries], batch.name.hash[entries]
    at, text, number = place[event], batch.text.hash[entries], batch.number[entries]
    prediction, told = space == Space.PREDICTION, space == Space.OUTCOME
    for wanted, column, source in (
        (prediction & (name == np.uint64(LABEL)), predicted, text),
        (prediction & (name == np.uint64(VALUE)), value, number),
        (told, outcome, text),
        (told, outcome_number, number),
    ):
        column[at[wanted]] = source[wanted]
    scores = np.flatnonzero((space == Space.CLASS_SCORE) & (batch.type[entries] == ValueType.NUMBER))
    own = scores[(asked.classes(model[event[scores]], name[scores]) & SCORED) > 0]
    score[at[own]] = number[own]
    own = np.flatnonzero(prediction & (name == np.uint64(SCORE)))
    score[at[own]] = number[own]
    return {
        "predicted": predicted,
        "score": score,
        "value": value,
        "outcome": outcome,
        "outcome_number": outcome_number,
    }
