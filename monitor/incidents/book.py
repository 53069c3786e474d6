"""The life of incidents: cells that fire are taken in by model, alert and attribute, and let go when they clear.

What closes with a tick is settled at its end: incidents of many models that have one cause become one, and teams are
called, each as often as it may be.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from monitor.incidents.attention import Attention, waits
from monitor.incidents.causes import ALERTNAME as SHARED
from monitor.incidents.causes import cause_of, shared_incident, taken_in, with_cells
from monitor.incidents.incident import Acknowledged, CellReport, Incident
from monitor.incidents.severity import severity
from monitor.incidents.shared import (
    MODELS_MIN,
    ONSET_SECONDS,
    SPAN_SECONDS_MAX,
    Cause,
    Chance,
    Found,
    Member,
    find,
    groupable,
    joins,
    own_movement,
)

RESOLVED_KEPT = 1000
"""Resolved incidents that stay at hand for people to read; all of them stay in the store."""
_WORDS_MAX = 10
"""Things told of in an incident's description."""
_CELLS_MAX = 200
"""Cells told of in one incident; an incident says how many there were."""

_WEEK_SECONDS = 7 * 86400.0

CellKey = tuple[int, str]
"""A cell as the judge knows it: (series row, name of the detector)."""
BookKey = tuple[str, str, str]
"""What there is one open incident of: model, alertname and attribute; of a shared cause its cause stands last."""


@dataclass(frozen=True, slots=True)
class Firing:
    """A cell that begins to fire, with what its model says of it.

    ``traffic`` is the model's events a day, ``tick`` its tick in seconds; ``watched`` marks what a watch list found.
    ``provisional``: what it saw may be a season that the model has not been seen through; nobody is called for that.
    """

    key: CellKey
    model: str
    version: str
    kind: str
    alertname: str
    team: str
    mode: str
    report: CellReport
    words: str
    upstreams: tuple[str, ...] = ()
    traffic: float = 0.0
    tick: float = 60.0
    watched: bool = False
    people_affected: int | None = None
    cost: float | None = None
    provisional: bool = False


class OpenIncident(msgspec.Struct):
    """An open incident, and which of its cells still fire. What is stored is exactly this.

    ``upstreams`` and ``tick`` (seconds) are its model's. Of a shared cause ``features`` are those that its members have
    in common, and ``merged`` the incidents that it stands for, by model, alertname and attribute.
    """

    incident: Incident
    firing: set[CellKey]
    words: list[str]
    upstreams: tuple[str, ...] = ()
    tick: float = 60.0
    features: tuple[str, ...] = ()
    merged: set[BookKey] = set()


def _everything(_cause: Cause) -> float:
    return 1.0


@dataclass(slots=True)
class Book:
    """All open incidents, and the newest of those that were resolved.

    ``attention`` says how often teams are called, ``budget`` how many false incidents a week are allowed, ``share``
    which part of all alarms a cause's candidates would have by chance; ``n_models`` is the size of the fleet.
    """

    open_max: int
    attention: Attention = field(default_factory=Attention)
    budget: float = 5.0
    share: Callable[[Cause], float] = _everything
    n_models: Callable[[], int] = lambda: 1
    open: dict[BookKey, OpenIncident] = field(default_factory=dict)
    resolved: list[Incident] = field(default_factory=list)
    turned_away: int = 0
    code_version: str = ""
    """Of the program that fires: what an incident says of where it came from."""
    changed: set[str] = field(default_factory=set)
    """Ids of incidents that are otherwise, or fire for other cells, than when they were last stored."""
    _cells: dict[CellKey, BookKey] = field(default_factory=dict)
    _fresh: dict[BookKey, None] = field(default_factory=dict)
    """Opened since they were last settled."""
    _waiting: dict[BookKey, None] = field(default_factory=dict)
    """Those that would call their team, and have not."""
    _merged: dict[BookKey, BookKey] = field(default_factory=dict)
    """Which open shared cause stands for a model's incidents."""

    def fire(self, firings: Iterable[Firing]) -> list[Incident]:
        """Take in cells that began to fire; returns the incidents that are new or changed, in order of firing."""
        changed: dict[str, Incident] = {}
        for firing in firings:
            key = (firing.model, firing.alertname, firing.report.attribute or "")
            if self._fire_shared(key, firing, changed):
                continue
            held = self.open.get(key)
            if held is None:
                if len(self.open) >= self.open_max:
                    self.turned_away += 1
                    continue
                held = self.open[key] = self._opened(firing)
                self._fresh[key] = self._waiting[key] = None
                self._relate(held.incident, changed)
            if held.incident.acknowledged is not None and firing.key not in held.firing:
                self._give_back(key)  # what was acknowledged did not know of this
            held.firing.add(firing.key)
            if len(held.words) < _WORDS_MAX and firing.words not in held.words:
                held.words.append(firing.words)
            self._cells[firing.key] = key
            held.incident = _taken_in(self.open[key], firing)
            changed[held.incident.id] = held.incident
        self.changed |= changed.keys()
        return list(changed.values())

    def clear(self, cells: Sequence[CellKey], now: float, because: str | None = None) -> list[Incident]:
        """Let go of cells that no longer fire; returns the incidents that this resolved."""
        resolved = []
        for cell in cells:
            key = self._cells.pop(cell, None)
            if key is None:
                continue
            held = self.open[key]
            held.firing.discard(cell)
            self.changed.add(held.incident.id)
            if not held.firing:
                resolved.append(self._resolve(key, now, because))
        return resolved

    def settle(self, now: float) -> list[Incident]:
        """At the end of a tick: let incidents with one cause become one, then call the teams; returns what changed."""
        changed: dict[str, Incident] = {}
        if self._fresh:
            self._share_causes(now, changed)
            self._fresh.clear()
        self._call(now, changed)
        self.changed |= changed.keys()
        return list(changed.values())

    def find(self, identity: str) -> Incident | None:
        """The incident of that id, open or resolved, if it is at hand."""
        return next((incident for incident in self.newest() if incident.id == identity), None)

    def replace(self, incident: Incident) -> None:
        """Put a changed value of an incident in the place of the one with its id."""
        for held in self.open.values():
            if held.incident.id == incident.id:
                held.incident = incident
                self.changed.add(incident.id)
        self.resolved = [incident if old.id == incident.id else old for old in self.resolved]

    def acknowledge(self, identity: str, known: Acknowledged | None) -> tuple[Incident, list[CellKey]]:
        """Acknowledge an open incident, or take that back; returns it and its cells.

        Taken back, it calls its team anew.
        """
        key, held = next((key, held) for key, held in self.open.items() if held.incident.id == identity)
        if known is None:
            self._give_back(key)
        else:
            held.incident = msgspec.structs.replace(held.incident, acknowledged=known)
        self.changed.add(identity)
        return held.incident, sorted(held.firing)

    def give_back(self, cells: Iterable[CellKey]) -> list[Incident]:
        """Acknowledged incidents one of whose ``cells`` worsened or whose time is over; they are open matters again."""
        keys = {key: None for cell in cells if (key := self._cells.get(cell)) is not None}
        back = [key for key in keys if self.open[key].incident.acknowledged is not None]
        for key in back:
            self._give_back(key)
        self.changed |= {self.open[key].incident.id for key in back}
        return [self.open[key].incident for key in back]

    def digest(self) -> list[Incident]:
        """What waits to call its team, in no order."""
        return [self.open[key].incident for key in self._waiting if waits(self.open[key].incident)]

    def take_turned_away(self) -> int:
        """How many alarms found no room since this was last asked."""
        n, self.turned_away = self.turned_away, 0
        return n

    def newest(self) -> list[Incident]:
        """Open incidents and the resolved ones that are still at hand, the newest first."""
        everything = [held.incident for held in self.open.values()] + self.resolved
        return sorted(everything, key=lambda incident: (-incident.fired_time, incident.id))

    def restore(self, held: OpenIncident) -> None:
        """Take back an open incident that was stored."""
        key = _key(held.incident)
        self.open[key] = held
        self._cells.update(dict.fromkeys(held.firing, key))
        self._merged.update(dict.fromkeys(held.merged, key))
        if waits(held.incident):
            self._waiting[key] = None

    def _resolve(self, key: BookKey, now: float, because: str | None, into: str | None = None) -> Incident:
        held = self.open.pop(key)
        self._waiting.pop(key, None)
        self._fresh.pop(key, None)
        for member in held.merged:
            self._merged.pop(member, None)
        done = msgspec.structs.replace(
            held.incident,
            state="resolved",
            resolved_time=now,
            resolved_because=because or "cleared",
            merged_into=into,
        )
        self.resolved.append(done)
        del self.resolved[:-RESOLVED_KEPT]
        return done

    def _give_back(self, key: BookKey) -> None:
        held = self.open[key]
        known = held.incident.acknowledged
        # A silence kept the alert firing: it has called already, and Alertmanager goes on with it.
        paged = held.incident.paged_time if known is not None and known.silence else None
        held.incident = msgspec.structs.replace(held.incident, acknowledged=None, paged_time=paged)
        self._waiting[key] = None

    def _opened(self, firing: Firing) -> OpenIncident:
        beside = [alertname for model, alertname, _ in self.open if model == firing.model]
        grave = "info" if firing.provisional else severity(firing.alertname, beside, cost=firing.cost)
        return OpenIncident(
            _new(firing, grave, self.code_version), set(), [], upstreams=firing.upstreams, tick=firing.tick
        )

    def _fire_shared(self, key: BookKey, firing: Firing, changed: dict[str, Incident]) -> bool:
        """Take a cell into the shared cause that stands for its incident already, if it is of the same kind."""
        shared = self._merged.get(key)
        if shared is None or key in self.open:
            return False
        held = self.open[shared]
        if not _continues(held, firing):
            return False
        held.firing.add(firing.key)
        self._cells[firing.key] = shared
        held.incident = with_cells(held.incident, [msgspec.structs.replace(firing.report, model=firing.model)])
        changed[held.incident.id] = held.incident
        return True

    def _share_causes(self, now: float, changed: dict[str, Incident]) -> None:
        """Let what is new join the causes that stand, and found those that chance rules out."""
        families: dict[str, list[BookKey]] = {}
        for key in self._fresh:
            if family := groupable(self.open[key].incident):
                families.setdefault(family, []).append(key)
        for family, fresh in families.items():
            self._join([key for key in fresh if key in self.open], family, now, changed)
            recent = [key for key, held in self.open.items() if self._is_recent(held, family, now)]
            while (found := self._found([key for key in fresh if key in self.open], recent, now)) is not None:
                self._open_shared(found, family, now, changed)
                recent = [key for key in recent if key in self.open]
                self._join(recent, family, now, changed)
                recent = [key for key in recent if key in self.open]

    @staticmethod
    def _is_recent(held: OpenIncident, family: str, now: float) -> bool:
        incident = held.incident
        return now - incident.fired_time <= SPAN_SECONDS_MAX and groupable(incident) == family

    def _found(self, fresh: Sequence[BookKey], recent: Sequence[BookKey], now: float) -> Found | None:
        if len({model for model, _, _ in recent}) < MODELS_MIN or not fresh:
            return None
        known = [*(held.incident for held in self.open.values()), *self.resolved]
        told = [i.fired_time for i in known if i.merged_into is None and now - i.fired_time <= _WEEK_SECONDS]
        chance = Chance(self.budget, len(told), now - min(told, default=now), self.share, self.n_models())
        return find([self._member(key) for key in fresh], [self._member(key) for key in recent], chance)

    def _member(self, key: BookKey) -> Member:
        held = self.open[key]
        return Member(held.incident, held.upstreams, held.tick)

    def _open_shared(self, found: Found, family: str, now: float, changed: dict[str, Incident]) -> None:
        key = ("", SHARED, f"{family} {' '.join(found.cause).strip()}")
        held = self.open.get(key)
        if held is None:
            made = shared_incident(found, family, incident_id("", SHARED, key[2], now), now)
            made = msgspec.structs.replace(made, code_version=self.code_version)
            held = self.open[key] = OpenIncident(made, set(), [], features=found.features)
            self._waiting[key] = None
        else:
            held.incident = taken_in(held.incident, found.members)
        for member in found.members:
            self._merge(_key(member.incident), key, now, changed)
        changed[held.incident.id] = held.incident

    def _join(self, keys: Sequence[BookKey], family: str, now: float, changed: dict[str, Incident]) -> None:
        """Let incidents of ``keys`` into the causes of their family that stand, where they belong to one."""
        standing = [key for key in self.open if key[1] == SHARED and key[2].startswith(f"{family} ")]
        for key in keys:
            member = self._member(key)
            into = next((shared for shared in standing if self._belongs(member, self.open[shared])), None)
            if into is not None:
                held = self.open[into]
                held.incident = taken_in(held.incident, [member])
                self._merge(key, into, now, changed)
                changed[held.incident.id] = held.incident

    @staticmethod
    def _belongs(member: Member, held: OpenIncident) -> bool:
        incident = held.incident
        began = incident.fired_time if incident.onset_time is None else incident.onset_time
        if not joins(cause_of(incident), held.features, began, frozenset(incident.models), member):
            return False
        alike = [cell.effect.value for cell in incident.cells if cell.effect.name == member.incident.effect.name]
        return not alike or not own_movement(alike, member.incident.effect.value)

    def _merge(self, key: BookKey, into: BookKey, now: float, changed: dict[str, Incident]) -> None:
        """Resolve a model's incident: the shared cause ``into`` stands for it, and for its cells."""
        held, shared = self.open[key], self.open[into]
        shared.firing |= held.firing
        shared.merged.add(key)
        self._cells.update(dict.fromkeys(held.firing, into))
        self._merged[key] = into
        done = self._resolve(key, now, "merged", shared.incident.id)
        changed[done.id] = done
        for other in self.open.values():
            if other.incident.model == key[0] and shared.incident.id not in other.incident.related:
                other.incident = _with_related(other.incident, shared.incident.id)
                shared.incident = _with_related(shared.incident, other.incident.id)
                changed[other.incident.id] = other.incident

    def _call(self, now: float, changed: dict[str, Incident]) -> None:
        """Call the teams for what waits, as far as they may be called."""
        waiting = {}
        for key in list(self._waiting):
            incident = self.open[key].incident
            if not waits(incident):
                del self._waiting[key]
            elif incident.watched or self.attention.has_room(incident.labels.get("team", ""), now):
                waiting[incident.id] = key
        for incident in self.attention.call([self.open[key].incident for key in waiting.values()], now):
            key = waiting[incident.id]
            del self._waiting[key]
            held = self.open[key]
            held.incident = msgspec.structs.replace(held.incident, paged_time=now)
            changed[incident.id] = held.incident

    def _relate(self, incident: Incident, changed: dict[str, Incident]) -> None:
        """Let the open incidents of one model name each other."""
        others = [held for key, held in self.open.items() if key[0] == incident.model and held.incident is not incident]
        # In an order that does not depend on whether the book was read from a store.
        others.sort(key=lambda held: (held.incident.fired_time, held.incident.id))
        for held in others:
            held.incident = _with_related(held.incident, incident.id)
            changed[held.incident.id] = held.incident
        own = self.open[_key(incident)]
        for held in others:
            own.incident = _with_related(own.incident, held.incident.id)


def incident_id(model: str, alertname: str, attribute: str, fired_time: float) -> str:
    """The same on every replica and in every replay."""
    name = "\0".join((model, alertname, attribute, repr(fired_time)))
    return "inc-" + hashlib.sha256(name.encode()).hexdigest()[:16]


def _continues(held: OpenIncident, firing: Firing) -> bool:
    """Whether a cell of a model that a shared cause struck goes on with it: the same features, or the same onset."""
    report = firing.report
    if held.features and report.feature is not None:
        return report.feature in held.features
    onset, began = report.onset_time, held.incident.onset_time
    if onset is None or began is None:
        return True
    return abs(onset - began) <= max(ONSET_SECONDS, 2.0 * firing.tick, report.fired_time - onset)


def _key(incident: Incident) -> BookKey:
    if incident.alertname == SHARED:
        return "", SHARED, f"{incident.kind}/{incident.labels.get('mode', '')} {incident.cause}"
    return incident.model, incident.alertname, incident.attribute or ""


def _new(firing: Firing, grave: str, code_version: str) -> Incident:
    report = firing.report
    return Incident(
        id=incident_id(firing.model, firing.alertname, report.attribute or "", report.fired_time),
        kind=firing.kind,
        alertname=firing.alertname,
        model=firing.model,
        version=firing.version,
        detector=report.detector,
        feature=report.feature,
        output=report.output,
        attribute=report.attribute,
        group=report.group,
        severity=grave,
        state="firing",
        onset_time=report.onset_time,
        fired_time=report.fired_time,
        resolved_time=None,
        effect=report.effect,
        evidence_log10=report.evidence_log10,
        summary="",
        description="",
        labels=_labels(firing, grave),
        cells=(),
        people_affected=firing.people_affected,
        cost=firing.cost,
        traffic=firing.traffic,
        watched=firing.watched,
        code_version=code_version,
    )


def _taken_in(held: OpenIncident, firing: Firing) -> Incident:
    """The incident with one more cell; cells are ranked by how far they moved beyond their tolerance, then evidence."""
    cells = sorted(_with(held.incident.cells, firing.report), key=lambda cell: cell.rank)
    # What fired first tells when it began; of several at once, the one with most evidence.
    first = max(cells, key=lambda cell: (-cell.fired_time, cell.evidence_log10))
    return msgspec.structs.replace(
        held.incident,
        cells=tuple(cells[:_CELLS_MAX]),
        onset_time=first.onset_time,
        evidence_log10=max(cell.evidence_log10 for cell in cells),
        summary=_summary(held, firing),
        description=_description(held, firing),
    )


def _with(cells: Sequence[CellReport], report: CellReport) -> list[CellReport]:
    """``cells`` and ``report``; of a cell that fires again the first firing stays, with what it shows now."""

    def name(c: CellReport) -> tuple[str | None, ...]:
        return (c.detector, c.feature, c.output, c.attribute, c.group)

    for earlier in cells:
        if name(earlier) == name(report):
            first = {"onset_time": earlier.onset_time, "fired_time": earlier.fired_time}
            report = msgspec.structs.replace(report, **first)
    return [*(cell for cell in cells if name(cell) != name(report)), report]


def _labels(firing: Firing, grave: str) -> dict[str, str]:
    report = firing.report
    given = {
        "alertname": firing.alertname,
        "severity": grave,
        "service": "modelwatch",
        "model": firing.model,
        "version": firing.version,
        "detector": report.detector,
        "feature": report.feature,
        "output": report.output,
        "attribute": report.attribute,
        "group": report.group,
        "team": firing.team,
        "mode": firing.mode,
    }
    return {name: value for name, value in given.items() if value}


def _summary(held: OpenIncident, firing: Firing) -> str:
    words = held.words or [firing.words]
    more = len(held.firing) - 1
    rest = f", and {more} more" if more > 0 else ""
    return f"{firing.model}: {words[0]}{rest}."


def _description(held: OpenIncident, firing: Firing) -> str:
    return "; ".join(held.words or [firing.words]) + "."


def _with_related(incident: Incident, other: str) -> Incident:
    return msgspec.structs.replace(incident, related=(*incident.related, other))
