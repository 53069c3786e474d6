"""Which models exist: found in the stream, each with its policy, its versions and the facts of its life."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.catalog.policies import WEEK_SECONDS, Planned, Policy
from monitor.catalog.rows import Field, Rows
from monitor.kernels.hashing import hash64
from monitor.kernels.table import Table, mix_one

SHARES = ("drift", "quality", "performance", "fairness")
"""The kinds among which the false-alarm budget is shared."""
TOLERANCES: tuple[Literal["drift", "quality", "performance", "calibration", "volume"], ...] = (
    *("drift", "quality"),
    *("performance", "calibration", "volume"),
)
"""Families of detectors that have a tolerance of their own in a policy."""
PREVIOUS_VERSION = "previous-version"
"""The ``reference`` of a model whose versions are each judged by the one before."""
LAST_WEEK = "same-slot-last-week"
"""The ``reference`` of a model whose distributions are compared with those of the same hour a week before."""
FACTS_MAX = 200
"""Facts kept of one model's life; the oldest go first."""
_CHANGES = frozenset({"version", "deployed", "retrained"})
"""Facts after which a model may answer otherwise."""
_KEEP_FIRING_TICKS = 2
"""Ticks for which a cell goes on firing at least: one good tick among bad ones is no end."""
_WORD_MAX = 64
"""Characters of a segment's name or value that are shown."""
EXCLUDED_MAX = 50
"""Stretches of its past that are taken out of one model; the oldest go first."""
VERSIONS_MAX = 200
"""Versions remembered of one model; the oldest go first."""


class Phase(IntEnum):
    """How far a model's reference has come."""

    LEARNING = 0
    """Everything seen becomes the reference; nothing is judged."""
    GROWING = 1
    """Judged, while unsuspicious ticks still enter the reference."""
    FROZEN = 2
    """Judged against a reference that no longer changes."""


class Fact(msgspec.Struct, frozen=True):
    """Something that happened in a model's life, at a moment of event time."""

    time: float
    what: str
    subject: str


class Excluded(msgspec.Struct, frozen=True, array_like=True):
    """A stretch of a model's past that counts as if it had not been, and who said so why.

    From ``from_`` until just before ``until``, seconds since the epoch.
    """

    from_: float
    until: float
    by: str
    note: str


class Split(msgspec.Struct, frozen=True, array_like=True):
    """What a model within is: ``value`` of ``segment`` in the model of row ``within``; ``key`` finds it again."""

    within: int
    segment: str
    value: str
    key: int

    @property
    def words(self) -> str:
        """``country=SE``, without control characters and of bounded length, as incidents and labels say it."""
        return f"{_shown(self.segment)}={_shown(self.value)}"

    def shown(self, policy: Policy) -> str:
        """:attr:`words`, without the value where that is a group of people and the policy keeps it inside."""
        hidden = self.segment in (policy.sensitive or ()) and not policy.include_group_values
        return f"{_shown(self.segment)}=(protected)" if hidden else self.words


@dataclass(slots=True)
class Model:
    """What is known of one model besides the numbers."""

    name: str
    name_hash: int
    policy: Policy
    versions: list[str] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    series: array[int] = field(default_factory=lambda: array("i"))
    reference_digest: str = ""
    """Of the file that the reference came from; empty where it was learned."""
    reference_version: str = ""
    """The version whose answers the reference is, where a version is judged by the one before it; else empty."""
    awaited_version: str = ""
    """The version that becomes :attr:`reference_version` when the tick closes in which the next one began."""
    split: Split | None = None
    """What it is within another model; ``None`` for a model of its own."""
    full: bool = False
    tolerances: dict[str, float] = field(default_factory=dict)
    """By family, as its policy said when cells were last given their nulls; -1 is ``auto``."""
    contract: dict[str, float] = field(default_factory=dict)
    """What its errors were held to then."""
    excluded: list[Excluded] = field(default_factory=list)
    """Stretches of its past that people took out."""
    outside: dict[str, int] = field(default_factory=dict)
    """Outputs that its policy does not allow, and how often each was given since they are under suspicion."""
    retired: int = 0
    """How many of ``series`` are retired: they do not count against the limit."""

    @property
    def version(self) -> str:
        """The newest one."""
        return self.versions[-1] if self.versions else ""

    @property
    def windows(self) -> list[Planned | Excluded]:
        """Stretches of time that are neither judged nor learned from: planned ones, and those that were taken out."""
        return [*self.policy.planned, *self.excluded]

    @property
    def changed_time(self) -> float:
        """When its newest version, deployment or training took over, seconds; -inf where it has always been so."""
        changes = [fact.time for fact in self.facts if fact.what in _CHANGES]
        return changes[-1] if len(changes) > 1 else -math.inf


FIELDS = {
    "phase": Field(np.uint8, (), Phase.LEARNING),
    "tick": Field(np.float64, (), 60.0),
    "events": Field(np.int64),
    "closed_events": Field(np.int64),
    "closed_until": Field(np.float64, (), np.nan),
    "learned": Field(np.int64),
    "first_time": Field(np.float64, (), np.nan),
    "last_time": Field(np.float64, (), np.nan),
    "learn_since": Field(np.float64, (), np.nan),
    "planned": Field(np.uint8),
    "n_cells": Field(np.float64, (len(SHARES),)),
    "team": Field(np.int32, (len(SHARES),)),
    "n_series": Field(np.int64),
    "hold": Field(np.float64),
    "keep_firing": Field(np.float64),
    "outcome_horizon": Field(np.float64, (), 86400.0),
    "learn_events_min": Field(np.int64),
    "learn_events": Field(np.int64),
    "learn_for": Field(np.float64),
    **{f"tolerance_{family}": Field(np.float64) for family in TOLERANCES},
    "drift_auto": Field(np.uint8),
    "quality_auto": Field(np.uint8),
    "unseen_tolerance": Field(np.float64),
    "cycle": Field(np.float64),
    "from_file": Field(np.uint8),
    "firing": Field(np.int32),
    "ignores": Field(np.uint8),
    "catalogued": Field(np.uint8),
    "follows": Field(np.uint8),
    "paired": Field(np.uint8),
    "succession": Field(np.float64, (), np.nan),
    "root": Field(np.int32, (), -1),
    "splits": Field(np.uint8),
    "version_since": Field(np.float64, (), -np.inf),
}


def _shown(text: str) -> str:
    plain = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return plain if len(plain) <= _WORD_MAX else plain[: _WORD_MAX - 1] + "\N{HORIZONTAL ELLIPSIS}"


class Models:
    """All models of the fleet; a model's row never changes.

    ``rows`` holds the arrays of :data:`FIELDS`; ``index`` finds a model's row by the hash of its name, ``versions``
    tells whether a (name, version) pair was met before.
    """

    def __init__(self, models_max: int) -> None:
        self.rows = Rows(FIELDS)
        self.items: list[Model] = []
        self.index = Table()
        self.versions = Table()
        self.teams = [""]
        """Teams that policies name; ``rows["team"]`` says which of them pays for each share of a model's cells."""
        self.changed: set[int] = set()
        """Rows whose names, versions or facts changed since the store last asked."""
        self.within: dict[int, list[int]] = {}
        """Rows of the models within a model, by its row."""
        self.referred: list[tuple[int, Fact]] = []
        """Changes of references, by row, since the store last asked."""
        self._models_max = models_max
        self._said: dict[tuple[tuple[str, float], ...], dict[str, float]] = {}

    def __len__(self) -> int:
        return len(self.items)

    @property
    def room(self) -> int:
        """How many further models are let in."""
        return max(self._models_max - len(self.items), 0)

    @property
    def full(self) -> bool:
        """Whether no further model is let in."""
        return not self.room

    def find(self, name_hash: int) -> int | None:
        """The row of a model by the hash of its name."""
        row = int(self.index.find(np.array([max(name_hash, 1)], np.uint64))[0])
        return row if row >= 0 else None

    def newest(self) -> float:
        """The newest event time of all models, in seconds since the epoch; -inf before the first event."""
        return float(np.fmax.reduce(self.rows["last_time"][: len(self)], initial=-np.inf))

    def seen_from(self, name: str) -> float:
        """When a model was, or will be, seen through a whole week, seconds; -inf where a file is its reference."""
        row = self.find(hash64(name.encode()))
        if row is None or self.rows["from_file"][row]:
            return -math.inf
        return float(self.rows["first_time"][row]) + WEEK_SECONDS

    def add(self, name: str, name_hash: int, policy: Policy, first_time: float) -> int:
        """A new model; returns its row."""
        return self.add_many([name], np.array([name_hash], np.uint64), [policy], np.array([first_time])).start

    def add_many(
        self,
        names: Sequence[str],
        name_hashes: NDArray[np.uint64],
        policies: Sequence[Policy],
        first_times: NDArray[np.float64],
    ) -> range:
        """New models, of shapes ``(k,)``; returns their rows."""
        new = range(self.rows.add(len(names)), len(self.rows))
        self.items += map(Model, names, name_hashes.tolist(), policies)
        at = slice(new.start, new.stop)
        self.rows["first_time"][at] = self.rows["learn_since"][at] = first_times
        self.rows["root"][at] = new
        self.index.insert_many(np.maximum(name_hashes, np.uint64(1)), np.array(new))
        self.changed.update(new)
        self.apply_policies(new)
        return new

    def count_closed(self, rows: NDArray[np.integer], events: NDArray[np.int64], end: float) -> None:
        """Count the ``events`` (k,) of each of ``rows`` in ticks that closed at ``end``.

        ``events`` of the table counts open ticks too, so it depends on how far partitions are apart; this does not.
        Nor does when a model began: outcomes of weeks later may be read before its first predictions.
        """
        ahead = rows[self.rows["first_time"][rows] >= end]
        for name in ("first_time", "learn_since"):
            self.rows[name][ahead] = end - self.rows["tick"][ahead]
        self.rows["closed_events"][rows] += events
        self.rows["closed_until"][rows] = end
        self.rows.touch(rows)

    def add_within(self, split: Split, first_time: float) -> int:
        """A new model within another, by whose name and policy it goes; returns its row."""
        root = self.items[split.within]
        row = self.add(root.name, split.key, root.policy, first_time)
        self.items[row].split = split
        self.rows["root"][row], self.rows["splits"][row] = split.within, 0
        self.within.setdefault(split.within, []).append(row)
        return row

    def family(self, row: int) -> list[int]:
        """A model's row, then those of the models within it."""
        return [row, *self.within.get(row, ())]

    def listed(self) -> list[int]:
        """Rows of the models that are within no other."""
        return [row for row, model in enumerate(self.items) if model.split is None]

    def planned(
        self, rows: NDArray[np.int64], end: float, seconds: NDArray[np.float64] | None = None
    ) -> NDArray[np.bool_]:
        """Which of ``rows`` do as planned in the tick that ended at ``end``: it is neither judged nor learned.

        ``seconds`` (k,) is the length of what ended, where it is no tick.
        """
        planned: NDArray[np.bool_] = self.rows["planned"][rows] > 0
        for i in np.flatnonzero(planned).tolist():
            begin = end - float(self.rows["tick"][rows[i]] if seconds is None else seconds[i])
            windows = self.items[int(rows[i])].windows
            planned[i] = any(window.from_ < end and begin < window.until for window in windows)
        return planned

    def _shared(self, said: dict[str, float]) -> dict[str, float]:
        """One dictionary for all models of which the same is said; nobody changes it."""
        return self._said.setdefault(tuple(said.items()), said)

    def apply_policies(self, rows: Sequence[int]) -> None:
        """Write what the policies of models say into their ``rows``."""
        for policy, own in self.by_policy(rows):
            self._apply(policy, own)

    def by_policy(self, rows: Iterable[int]) -> Iterator[tuple[Policy, list[int]]]:
        """Each policy of the models in ``rows``, and which of them have it: what it says is read once for all."""
        alike: dict[int, list[int]] = {}
        for row in rows:
            alike.setdefault(id(self.items[row].policy), []).append(row)
        for own in alike.values():
            yield self.items[own[0]].policy, own

    def _apply(self, policy: Policy, own: list[int]) -> None:
        said: dict[str, float] = {family: policy.tolerance_of(family) for family in TOLERANCES}
        if policy.tolerance.drift == "auto":
            said["drift"] = -1.0
        said, contract = self._shared(said), self._shared(policy.contract())
        items = [self.items[row] for row in own]
        for row, item in zip(own, items, strict=True):
            if (said, contract) != (item.tolerances, item.contract):
                self.changed.add(row)
            item.tolerances, item.contract = said, contract
        rows, at = self.rows, np.array(own)
        rows["tick"][at] = policy.tick
        rows["hold"][at] = policy.hold
        rows["keep_firing"][at] = max(policy.keep_firing, _KEEP_FIRING_TICKS * policy.tick)
        rows["outcome_horizon"][at] = policy.outcome_horizon
        rows["learn_events_min"][at] = policy.learn.events_min
        rows["learn_events"][at] = policy.learn.events
        rows["learn_for"][at] = max(policy.learn.for_, *policy.season, 0.0)
        rows["drift_auto"][at] = policy.tolerance.drift == "auto"
        rows["quality_auto"][at] = policy.tolerance.quality is None
        rows["unseen_tolerance"][at] = policy.unseen_tolerance
        rows["cycle"][at] = policy.cycle
        rows["planned"][at] = [bool(policy.planned or item.excluded) for item in items]
        rows["ignores"][at] = bool(policy.ignore)
        rows["catalogued"][at] = policy.outputs is not None
        rows["splits"][at] = [len(policy.split_by) if item.split is None else 0 for item in items]
        rows["follows"][at] = policy.reference == PREVIOUS_VERSION
        rows["paired"][at] = policy.reference == LAST_WEEK
        for family in TOLERANCES:
            rows[f"tolerance_{family}"][at] = policy.tolerance_of(family)
        rows["team"][at] = [self._team(policy.team_of(share)) for share in SHARES]
        rows.touch(at)

    def _team(self, name: str) -> int:
        if name not in self.teams:
            self.teams.append(name)
        return self.teams.index(name)

    def exclude(self, row: int, stretch: Excluded) -> None:
        """Take a stretch of a model's past out of all that it is judged by from here on."""
        excluded = self.items[row].excluded
        excluded.append(stretch)
        del excluded[:-EXCLUDED_MAX]
        self.rows["planned"][row] = 1
        self.rows.touch(row)
        self.changed.add(row)

    def note(self, row: int, time: float, what: str, subject: str) -> None:
        """Add a fact to a model's life."""
        facts = self.items[row].facts
        facts.append(Fact(time, what, subject))
        del facts[:-FACTS_MAX]
        self.changed.add(row)

    def refer(self, row: int, time: float, what: str, subject: str) -> None:
        """Add a fact that speaks of what the model is judged by."""
        self.note(row, time, what, subject)
        self.referred.append((row, self.items[row].facts[-1]))

    def add_version(self, row: int, version: str, version_hash: int) -> None:
        """Note that ``version`` serves under the model's name from now on."""
        model = self.items[row]
        model.versions.append(version)
        for old in model.versions[:-VERSIONS_MAX]:
            self.versions.forget(np.array([mix_one(model.name_hash, hash64(old.encode()))], np.uint64))
        del model.versions[:-VERSIONS_MAX]
        self.versions.insert(mix_one(model.name_hash, version_hash), row)
        self.changed.add(row)
