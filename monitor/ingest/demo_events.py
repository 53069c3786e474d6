"""How the demo fleet's traffic is drawn and written as events, its faults' doing included.

All models at once, a stretch of event time at a time: every feature of every event is a place in one store of written
fragments (``"income":1234.5,``), and a fault leads some of its events to other places. Python sees an event once, to
join its fragments.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.ingest.demo_faults import OF_FEATURES_BY_GROUP, Fault, FaultKind
from monitor.ingest.demo_laws import (
    ATTRIBUTES,
    DAY_SECONDS,
    FIRST,
    POOL,
    SEASON,
    FleetLaws,
    Floats,
    Law,
    ModelLaw,
    tilt,
)
from monitor.ingest.demo_people import People, Register, Waiting, of_group

Places = NDArray[np.int64]

VERSIONS = (b"1", b"2")
_NULL = POOL
_STRIDE = POOL + 1
"""Places of a law: its values in their order, and null."""
SCORES = 10_000
"""A score is a whole number of so many parts."""
_GONE = object()
"""Stands for a feature that is not in the event at all."""
_SLIPPED = 10.0


@dataclass(frozen=True, slots=True)
class Patch:
    """Part of what a fault does: in a ``share`` of its events, places of ``column`` lead ``by`` so many further on."""

    column: int
    by: int
    share: float


@dataclass(slots=True)
class Drawn:
    """``n`` events: where in the store their features are, (n, 20), scores in ten-thousandths and labels, (n,) each.

    ``people`` are those of whom some of the events speak.
    """

    places: Places
    scores: Places
    labels: Places
    people: People


class Press:
    """Draws events of a fleet and writes them.

    Parameters
    ----------
    laws
        The fleet.
    faults
        What is planted in it.
    start, end
        The stream in event time, seconds since the epoch.
    """

    def __init__(self, laws: FleetLaws, faults: Sequence[Fault], start: float, end: float) -> None:
        models = self._models = laws.models
        store = _Store()
        for law in laws.laws:
            store.add(law, law.values.tolist(), law)
        self._base = np.array([model.laws for model in models], np.int64) * _STRIDE
        self._missing = np.array([model.missing for model in models])
        self._season = np.array([model.seasonal for model in models]) * SEASON
        self._drivers = np.array([model.drivers for model in models], np.int64)
        self._weights = np.array([model.weights for model in models])
        self._bias = np.array([model.bias for model in models])
        self._second = start + (end - start) * np.array([model.version_at for model in models])
        row = {model.name: i for i, model in enumerate(models)}
        struck = [(fault, row[name]) for fault in faults for name in fault.models]
        self._struck = [_Struck.of(fault, i, laws, store) for fault, i in struck]
        self.people = Register(laws, [(each.fault, each.rows) for each in self._struck])
        self._fragments = _objects(store.fragments)
        self._standards = np.concatenate(store.standards)
        self._heads = _objects(
            [
                b'{"model":"%s","version":"%s","id":"' % (model.name.encode(), version)
                for model in models
                for version in VERSIONS
            ]
        )
        self._labels = _objects(
            [b'},"prediction":{"label":"%s",' % label.encode() for model in models for label in model.labels]
        )
        self._scores = _objects([b'"score":%g' % (i / SCORES) for i in range(SCORES + 1)])
        self._ends = self._scores + b"}}"

    def draw(self, model: Places, at: Floats, rng: np.random.Generator) -> Drawn:
        """Fresh cases of models (rows, one an event) at times ``at``, under the faults that hold; shapes ``(n,)``.

        A model scores what it was given; what is no number to it counts as the mean.
        """
        n = len(model)
        places = self._base[model] + _indices(at, self._season[model], self._missing[model], rng)
        logit = self._bias[model] + rng.standard_normal(n)
        people = self.people.meet(model, rng)
        held = [(s, s.rows(model, at)) for s in self._struck]
        for struck, rows in held:
            for patch in struck.patches if len(rows) else ():
                hit = rows if patch.share >= 1.0 else rows[rng.random(len(rows)) < patch.share]
                places[hit, patch.column] += patch.by
            if struck.changes_hands >= 0 and len(rows):
                column = places[:, struck.changes_hands]
                column[rows] = _handed(struck.fault, column[rows], of_group(struck.fault, rows, people), rng)
        seen = self._standards[places[np.arange(n)[:, None], self._drivers[model]]]
        logit += (seen * self._weights[model]).sum(axis=1)
        self.people.serve(people, model, at, logit, rng)
        for struck, rows in held:
            if len(rows):
                logit[rows] = _answered(struck.fault, logit[rows], rng)
        return Drawn(places, *_scored(logit), people)

    def answers(self, row: int, at: Floats, rng: np.random.Generator) -> tuple[Places, Places]:
        """Scores and labels of one model without faults, as :meth:`draw` gives them for such cases; shapes ``(n,)``."""
        columns = self._drivers[row]
        index = _indices(at, self._season[row, columns], self._missing[row, columns], rng)
        seen = self._standards[self._base[row, columns] + index]
        return _scored(self._bias[row] + rng.standard_normal(len(at)) + seen @ self._weights[row])

    def write(self, model: Places, at: Floats, drawn: Drawn, first: int) -> list[bytes]:
        """The events as native JSON; their ids are numbers from ``first`` on."""
        n = len(model)
        parts = np.empty((n, drawn.places.shape[1] + 3), object)
        heads = self._heads[2 * model + (at >= self._second[model])].tolist()
        middle = b'%s%d","time":%.3f,"features":{'
        parts[:, 0] = [middle % told for told in zip(heads, range(first, first + n), at.tolist(), strict=True)]
        parts[:, 1:-2] = self._fragments[drawn.places]
        parts[:, -2] = self._labels[2 * model + drawn.labels]
        parts[:, -1] = self._ends[drawn.scores]
        event = drawn.people.event
        parts[event, -1] = self.people.write(drawn.people, self._scores[drawn.scores[event]], model[event])
        return list(map(b"".join, parts.tolist()))

    def waiting(self, model: Places, at: Floats, drawn: Drawn, first: int) -> Waiting:
        """What will be told of these events later; arguments as for :meth:`write`."""
        people = drawn.people
        event = people.event[people.decided]
        told = np.floor((at[event] + people.delay[people.decided]) * 1000.0) / 1000.0
        return Waiting(told, model[event], first + event, people.merits[people.decided])


class _Store:
    """Fragments as they are written, and what each means to a model: standard deviations from its law's mean."""

    def __init__(self) -> None:
        self.fragments: list[bytes] = []
        self.standards: list[Floats] = []

    def add(self, law: Law, values: Sequence[object], known: Law, also: Sequence[bytes] = ()) -> int:
        """The places of a law: ``values`` under the name of ``law``, each followed by ``also``.

        A model knows the feature as ``known``. Returns the first place.
        """
        first = len(self.fragments)
        name = b'"%s":' % law.name.encode()
        lead = b"" if law.name == FIRST else b","
        written = [b"" if value is _GONE else lead + name + _encoded(value, law.decimals) for value in values]
        self.fragments += [one + more for one, more in zip(written, also or [b""] * POOL, strict=True)]
        self.fragments.append(lead + name + b"null")
        numbers = np.array([value if isinstance(value, float) else math.nan for value in values])
        standard = (numbers - known.centre) / known.spread if known.is_number else numbers
        self.standards.append(np.append(np.clip(np.nan_to_num(standard), -4.0, 4.0), 0.0))
        return first


@dataclass(frozen=True, slots=True)
class _Struck:
    """A fault in one of the models that it hits; ``changes_hands`` is the column whose values do, -1 for none."""

    fault: Fault
    model: int
    patches: tuple[Patch, ...]
    changes_hands: int = -1

    @classmethod
    def of(cls, fault: Fault, row: int, laws: FleetLaws, store: _Store) -> _Struck:
        """A fault in the model in ``row``: its values go into the store."""
        model = laws.models[row]
        if fault.kind in OF_FEATURES_BY_GROUP:
            return cls(fault, row, (), laws.names_of(model).index(fault.feature or ""))
        return cls(fault, row, _patches(fault, model, laws, store))

    def rows(self, model: Places, at: Floats) -> Places:
        """The events that it spoils."""
        return np.flatnonzero((model == self.model) & (at >= self.fault.began) & (at < self.fault.ended))


def _indices(at: Floats, season: Floats, missing: Floats, rng: np.random.Generator) -> Places:
    """Places within laws, shape ``(n, columns)``: even ones that lean with the time of day; some are null."""
    u = rng.random((len(at), season.shape[-1]))
    by = season * np.sin(2.0 * np.pi * at / DAY_SECONDS)[:, None]
    index = np.minimum((tilt(u, by) * POOL).astype(np.int64), POOL - 1)
    index[rng.random(u.shape) < missing] = _NULL
    return index


def _handed(fault: Fault, places: Places, own: NDArray[np.bool_], rng: np.random.Generator) -> Places:
    """Let the largest values, as many as the group is, be those of its people, ``own``, and theirs be the others'.

    ``places`` (n,) are those of one law. Of the group and of those others a part does so that is the fault's size.
    """
    index = places % _STRIDE
    least = POOL - round(POOL * ATTRIBUTES[fault.attribute or ""][fault.group or ""])
    hit = (index != _NULL) & (own | (index >= least)) & (rng.random(len(index)) < fault.size)
    low, high = np.where(own, least, 0), np.where(own, POOL, least)
    return places + np.where(hit, rng.integers(low, high) - index, 0)


def _scored(logit: Floats) -> tuple[Places, Places]:
    """Scores and labels."""
    scores = np.round(SCORES / (1.0 + np.exp(-logit))).astype(np.int64)
    return scores, (scores < SCORES // 2).astype(np.int64)


def _patches(fault: Fault, model: ModelLaw, laws: FleetLaws, store: _Store) -> tuple[Patch, ...]:
    """What ``fault`` does to the features of ``model``: its values under the fault go into the store."""
    names = laws.names_of(model)
    if fault.kind is FaultKind.APPEARED:
        assert fault.feature is not None
        last = len(names) - 1
        law = laws.laws[model.laws[last]]
        new = [b',"%s":%d' % (fault.feature.encode(), i % 100) for i in range(POOL)]
        return (Patch(last, store.add(law, law.values.tolist(), law, new) - model.laws[last] * _STRIDE, fault.size),)
    patches = []
    for name, other in zip(fault.features, reversed(fault.features), strict=True):
        if name in names:
            column = names.index(name)
            law = laws.laws[model.laws[column]]
            values, share = _spoiled(fault, law, laws.law_of(model, other))
            patches.append(Patch(column, store.add(law, values, law) - model.laws[column] * _STRIDE, share))
    return tuple(patches)


def _spoiled(fault: Fault, law: Law, other: Law) -> tuple[list[object], float]:
    """What stands in the place of a law's values, and in which share of the events."""
    values = _in_all(fault, law, other)
    return (_in_some(fault, law), fault.size) if values is None else (values, 1.0)


def _in_all(fault: Fault, law: Law, other: Law) -> list[object] | None:
    """What stands there in all events; ``None`` for a fault that strikes some of them."""
    size = fault.size
    match fault.kind:
        case FaultKind.DRIFT_UP | FaultKind.DRIFT_DOWN:
            by = size if fault.kind is FaultKind.DRIFT_UP else -size
            return _listed(law.numbers + by * law.spread)
        case FaultKind.SPREAD:
            return _listed(law.centre + size * (law.numbers - law.centre))
        case FaultKind.UNIT_CHANGE:
            return _listed(law.numbers * size)
        case FaultKind.COLUMNS_SWAPPED:
            return _listed(other.values)
        case FaultKind.STUCK:
            return [_listed(law.values)[POOL // 3]] * POOL
        case FaultKind.SHARE_MOVED:
            values = _listed(law.values)
            commonest = values.count(values[0])
            moved = round(size * commonest)
            return [values[commonest]] * moved + values[moved:]
        case _:
            return None


def _in_some(fault: Fault, law: Law) -> list[object]:
    match fault.kind:
        case FaultKind.OUT_OF_RANGE:
            return _listed(law.numbers * _SLIPPED)
        case FaultKind.TYPE_CHANGE:
            return [str(value) for value in _listed(law.values)]
        case _:
            return [_STANDS_IN[fault.kind]] * POOL


def _listed(values: NDArray[Any]) -> list[object]:
    listed: list[object] = values.tolist()
    return listed


_STANDS_IN: dict[FaultKind, object] = {
    FaultKind.DEFAULT_FLOOD: 0.0,
    FaultKind.UNSEEN_CATEGORY: "not-seen-before",
    FaultKind.MISSING: None,
    FaultKind.UPSTREAM_BREAK: None,
    FaultKind.VANISHED: _GONE,
    FaultKind.NAN_FLOOD: math.nan,
}


def _answered(fault: Fault, logit: Floats, rng: np.random.Generator) -> Floats:
    """What a model answers under ``fault``."""
    match fault.kind:
        case FaultKind.SCORE_DRIFT:
            return logit + fault.size
        case FaultKind.SCORE_COLLAPSE:
            return logit * fault.size
        case FaultKind.CLASS_VANISHED:
            return np.where(rng.random(len(logit)) < fault.size, np.abs(logit), logit)
        case _:
            return logit


def _encoded(value: object, decimals: int) -> bytes:
    """A value as JSON; NaN as JSON's readers, if not JSON, know it."""
    if isinstance(value, float):
        return b"NaN" if math.isnan(value) else b"%.*f" % (decimals, value)
    return msgspec.json.encode(value)


def _objects(fragments: Sequence[bytes]) -> NDArray[np.object_]:
    array = np.empty(len(fragments), object)
    array[:] = fragments
    return array
