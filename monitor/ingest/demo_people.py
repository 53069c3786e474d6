"""Of whom the demo fleet's models about people speak: groups and markets, tags, and what comes of each case later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.ingest.demo_faults import OF_GROUPS, OF_OUTCOMES, Fault, FaultKind
from monitor.ingest.demo_laws import ATTRIBUTES, MARKETS, SEGMENT, SHARPNESS, TAGS, FleetLaws, Floats, Role

Places = NDArray[np.int64]

OUTCOME_HORIZON = 6 * 3600.0
"""Outcomes come within so many seconds."""
_DELAY_MEAN = 3600.0
_TAG_MAX = 0.95
_GROUPS = {name: list(groups) for name, groups in ATTRIBUTES.items()}
_SHARES = [np.array(list(groups.values())) for groups in ATTRIBUTES.values()]
_TAGS = list(TAGS)
_COMMON = np.array(list(TAGS.values()))
_MARKETS = np.array(list(MARKETS.values()))


@dataclass(slots=True)
class People:
    """``k`` of the events of a draw that speak of people: which ``event`` each is, (k,).

    ``groups`` (k, attributes) and ``market`` (k,) are places in :data:`~monitor.ingest.demo_laws.ATTRIBUTES` and
    ``MARKETS``; ``tags`` (k,) has a bit for each of ``TAGS``; ``decided`` tells of whom something will come, ``merits``
    whether it merits the first label, and ``delay`` after how many seconds, (k,) each.
    """

    event: Places
    groups: Places
    market: Places
    tags: Places
    decided: NDArray[np.bool_]
    merits: NDArray[np.bool_]
    delay: Floats


@dataclass(slots=True)
class Waiting:
    """``k`` outcomes that will be told ``at`` their times: the ``model`` (row) and number of each ``case``, (k,)."""

    at: Floats
    model: Places
    case: Places
    merits: NDArray[np.bool_]

    @classmethod
    def none(cls) -> Waiting:
        """Nothing waits."""
        return cls(np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.bool_))

    def __len__(self) -> int:
        return len(self.at)

    def some(self, which: NDArray[np.bool_] | Places) -> Waiting:
        """Part of them."""
        return Waiting(self.at[which], self.model[which], self.case[which], self.merits[which])

    def joined(self, more: Waiting) -> Waiting:
        """These and ``more``."""
        pairs = zip(
            (self.at, self.model, self.case, self.merits), (more.at, more.model, more.case, more.merits), strict=True
        )
        return Waiting(*(np.concatenate(pair) for pair in pairs))


Rows = Callable[[Places, Floats], Places]
"""The events that a fault spoils, of models (rows) and times."""


class Register:
    """Draws the people of a fleet's events and writes of them.

    Parameters
    ----------
    laws
        The fleet.
    struck
        Faults, each with the function that tells which events it spoils.
    """

    def __init__(self, laws: FleetLaws, struck: Sequence[tuple[Fault, Rows]]) -> None:
        self._role = np.array([list(Role).index(model.role) for model in laws.models], np.int64)
        kinds = {FaultKind.MIX_MOVED, *OF_GROUPS, *OF_OUTCOMES}
        self._struck = [(fault, rows) for fault, rows in struck if fault.kind in kinds]
        every = np.arange(1 << len(_TAGS))
        self._tags = _objects([_written_tags([tag for i, tag in enumerate(_TAGS) if bits >> i & 1]) for bits in every])
        self._whom = _objects([_written_people(i) for i in range(len(_MARKETS) * _N_GROUPS)])
        self._outcomes = [
            (b'{"model":"%s","id":"%%d","time":%%.3f,"outcome":"%s"}' % (model.name.encode(), label.encode()))
            for model in laws.models
            for label in reversed(model.labels)
        ]

    def meet(self, model: Places, rng: np.random.Generator) -> People:
        """The people of events of ``model`` (rows), of whom it is not known yet what they get."""
        role = self._role[model]
        event = np.flatnonzero(role != _PLAIN)
        k = len(event)
        groups = np.stack([_drawn(shares, rng.random(k)) for shares in _SHARES], axis=1)
        return People(
            event=event,
            groups=groups,
            market=_drawn(_MARKETS, rng.random(k)),
            tags=np.zeros(k, np.int64),
            decided=role[event] == _DECIDER,
            merits=np.zeros(k, np.bool_),
            delay=np.clip(rng.exponential(_DELAY_MEAN, k), 1.0, 0.99 * OUTCOME_HORIZON),
        )

    def serve(self, people: People, model: Places, at: Floats, logit: Floats, rng: np.random.Generator) -> None:
        """Let ``people`` of events of ``model`` (rows) at times ``at`` get what they get, in place.

        Faults move ``logit``, the events' scores, in place too. What comes of a case follows from its score as it
        should have been.
        """
        event = people.event
        role, k = self._role[model[event]], len(event)
        # Where this is above 0 the first label is merited: as often as SHARPNESS times the logit says.
        truth, tagged = SHARPNESS * logit[event] + rng.logistic(size=k), np.tile(_COMMON, (k, 1))
        tagged[role != _TAGGER] = 0.0
        for fault, rows in self._struck:
            hit = rows(model[event], at[event])
            if len(hit):
                _spoil(fault, hit, people, logit, truth, tagged, rng)
        people.merits = truth > 0.0
        given = rng.random(tagged.shape) < np.minimum(tagged, _TAG_MAX)
        people.tags = given @ (1 << np.arange(len(_TAGS)))

    def write(self, people: People, scores: NDArray[np.object_], model: Places) -> NDArray[np.object_]:
        """The ends of the events of ``people``, from their written ``scores`` on; ``model`` (k,) are their rows."""
        tags = np.where(self._role[model] == _TAGGER, self._tags[people.tags], b"}")
        whom = people.market
        for i, groups in enumerate(_GROUPS.values()):
            whom = whom * len(groups) + people.groups[:, i]
        written: NDArray[np.object_] = scores + tags + self._whom[whom]
        return written

    def outcomes(self, waiting: Waiting) -> list[bytes]:
        """The events that tell what came of cases."""
        kinds = (2 * waiting.model + waiting.merits).tolist()
        told = zip(kinds, waiting.case.tolist(), waiting.at.tolist(), strict=True)
        return [self._outcomes[kind] % (case, at) for kind, case, at in told]


_PLAIN, _DECIDER, _TAGGER = (list(Role).index(role) for role in (Role.PLAIN, Role.DECIDER, Role.TAGGER))
_N_GROUPS = int(np.prod([len(groups) for groups in _GROUPS.values()]))


def _spoil(
    fault: Fault,
    hit: Places,
    people: People,
    logit: Floats,
    truth: Floats,
    tagged: Floats,
    rng: np.random.Generator,
) -> None:
    """Do to the people ``hit`` what ``fault`` does: to their market, their scores, what is true of them, their tags."""
    some = hit[rng.random(len(hit)) < fault.size]
    match fault.kind:
        case FaultKind.MIX_MOVED:
            people.market[some[people.market[some] == 0]] = 1
        case FaultKind.DISPARATE_IMPACT:
            refused = _members(fault, np.setdiff1d(hit, some), people)
            event = people.event[refused]
            logit[event] = -np.abs(logit[event])
        case FaultKind.UNWARRANTED_ASSOCIATION:
            tagged[_members(fault, hit, people), _TAGS.index(fault.output or "")] *= fault.size
        case FaultKind.UNEQUAL_ERRORS:
            own = _members(fault, some, people)
            event, wrong = people.event[own], np.where(truth[own] > 0.0, -1.0, 1.0)
            logit[event] = wrong * np.abs(logit[event])
        case FaultKind.LABEL_GAP:
            people.decided[_members(fault, some, people)] = False
        case FaultKind.ANSWERS_MIXED_UP:
            event = people.event[some]
            logit[event] = logit[np.roll(event, 1)]
        case FaultKind.CONCEPT_UP:
            truth[hit] += fault.size
        case FaultKind.CONCEPT_DOWN:
            truth[hit] -= fault.size


def of_group(fault: Fault, event: Places, people: People) -> NDArray[np.bool_]:
    """Which of the events ``event`` (k,) of a model about people speak of the fault's group."""
    return _is_member(fault, np.searchsorted(people.event, event), people)


def _members(fault: Fault, hit: Places, people: People) -> Places:
    """Those who are of the fault's group."""
    return hit[_is_member(fault, hit, people)]


def _is_member(fault: Fault, hit: Places, people: People) -> NDArray[np.bool_]:
    attribute = fault.attribute or ""
    group = _GROUPS[attribute].index(fault.group or "")
    own: NDArray[np.bool_] = people.groups[hit, list(_GROUPS).index(attribute)] == group
    return own


def _drawn(shares: Floats, u: Floats) -> Places:
    """Places in ``shares``, from uniform numbers."""
    return np.minimum(np.searchsorted(np.cumsum(shares), u, side="right"), len(shares) - 1)


def _written_tags(tags: list[str]) -> bytes:
    return b',"tags":%s}' % msgspec.json.encode(tags)


def _written_people(i: int) -> bytes:
    """The end of an event of people number ``i``: of a market, and of one group by each attribute."""
    said: dict[str, str] = {}
    for name, groups in reversed(_GROUPS.items()):
        i, place = divmod(i, len(groups))
        said[name] = groups[place]
    market = {SEGMENT: list(MARKETS)[i]}
    return b',"sensitive":%s,"segment":%s}' % (msgspec.json.encode(said), msgspec.json.encode(market))


def _objects(fragments: Sequence[bytes]) -> NDArray[np.object_]:
    array = np.empty(len(fragments), object)
    array[:] = fragments
    return array
