"""The life of incidents: cells that fire are taken in by model, alert and attribute, and let go when they clear.

What closes with a tick is settled at its end: incidents of many models that have one cause become one, and teams are
called, each as often as it may be.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from monitor.incidents.advice import Setting, advise
from monitor.incidents.attention import Attention, waits
from monitor.incidents.causes import ALERTNAME as SHARED
from monitor.incidents.causes import cause_of, shared_incident, standing, taken_in, with_cells
from monitor.incidents.firing import (
    BookKey,
    CellKey,
    Firing,
    JudgedBy,
    OpenIncident,
    continues,
    incident_id,
    key_of,
    new_incident,
    with_firing,
    with_related,
)
from monitor.incidents.incident import Acknowledged, Incident
from monitor.incidents.shared import (
    MODELS_MIN,
    SPAN_SECONDS_MAX,
    Cause,
    Chance,
    Found,
    Member,
    find,
    groupable,
    own_movement,
)
from monitor.severity import severity

RESOLVED_KEPT = 1000
"""Resolved incidents that stay at hand for people to read; all of them stay in the store."""
_WORDS_MAX = 10
"""Things told of in an incident's description."""
_WEEK_SECONDS = 7 * 86400.0
_AT_ONCE = frozenset({"quality", "volume"})
"""Kinds of incident that call from a model's first day on: what they see is no season."""


def _everything(_cause: Cause) -> float:
    return 1.0


def _nobody(_incident: Incident, _upstreams: Sequence[str]) -> int:
    return 0


def _by_nothing(_firing: Firing) -> JudgedBy:
    return JudgedBy()


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
    opened: Counter[str] = field(default_factory=Counter)
    """How many incidents of each alertname were opened since the start: what the spending of the budget bought."""
    code_version: str = ""
    """Of the program that fires: what an incident says of where it came from."""
    judged_by: Callable[[Firing], JudgedBy] = _by_nothing
    """Asked of the cell that opens an incident."""
    seen_from: Callable[[str], float] = lambda _model: -math.inf
    """From when a model has been seen through a week: whatever a season may look like calls nobody before."""
    suspected: Callable[[Incident, Sequence[str]], int] = _nobody
    """How many other models begin to show the same, of its features or its model's sources."""
    place: str = ""
    """Which part of the fleet this is, where there are several: what tells its shared causes from those of others."""
    changed: set[str] = field(default_factory=set)
    """Ids of incidents that are otherwise, or fire for other cells, than when they were last stored."""
    _cells: dict[CellKey, BookKey] = field(default_factory=dict)
    _fresh: dict[BookKey, None] = field(default_factory=dict)
    """Opened since they were last settled."""
    _waiting: dict[BookKey, None] = field(default_factory=dict)
    """Those that would call their team, and have not."""
    _gathering: dict[BookKey, float] = field(default_factory=dict)
    """Of those that wait because others begin to show the same: until when they do at most."""
    setting_of: Callable[[str], Setting] = lambda _model: Setting()
    """What else is known of a model, for the advice."""
    _stirred: set[str] = field(default_factory=set)
    """Models whose incidents changed since advice was last given."""
    _known: dict[BookKey, float] = field(default_factory=dict)
    """Until when those that are acknowledged are, in event time."""
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
                self.opened[firing.alertname] += 1
                self._relate(held.incident, changed)
            if held.incident.acknowledged is not None and firing.key not in held.firing:
                self._give_back(key)  # what was acknowledged did not know of this
            held.firing.add(firing.key)
            if len(held.words) < _WORDS_MAX and firing.words not in held.words:
                held.words.append(firing.words)
            self._cells[firing.key] = key
            self._stirred.add(firing.model)
            held.incident = with_firing(self.open[key], firing)
            changed[held.incident.id] = held.incident
        self._advise(changed)
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
        for key in [key for key, until in self._known.items() if until <= now]:
            self._give_back(key)
            changed[self.open[key].incident.id] = self.open[key].incident
        self._advise(changed)
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
        before = held.incident.acknowledged
        if known is None:
            self._give_back(key)
            if before is not None and not before.silence:
                held.incident = msgspec.structs.replace(held.incident, verdict="")
        else:
            # A silence keeps an alert quiet, and says nothing of whether it is true.
            verdict = held.incident.verdict if known.silence else known.reason
            held.incident = msgspec.structs.replace(held.incident, acknowledged=known, verdict=verdict)
            self._known[key] = known.until
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
        """What waits to call its team because it was called too often, in no order."""
        return [
            self.open[key].incident
            for key in self._waiting
            if key not in self._gathering and waits(self.open[key].incident)
        ]

    def calls_due(self, until: float) -> list[float]:
        """Moments before ``until`` at which nothing is waited for any more, in order: it must be settled then."""
        return sorted({due for due in self._gathering.values() if due < until})

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
        key = key_of(held.incident)
        self.open[key] = held
        self._cells.update(dict.fromkeys(held.firing, key))
        self._merged.update(dict.fromkeys(held.merged, key))
        if waits(held.incident):
            self._waiting[key] = None
            if self._may_gather(held):
                self._gathering[key] = held.incident.fired_time + self.attention.gather
        if held.incident.acknowledged is not None:
            self._known[key] = held.incident.acknowledged.until

    def _resolve(self, key: BookKey, now: float, because: str | None, into: str | None = None) -> Incident:
        held = self.open.pop(key)
        self._waiting.pop(key, None)
        self._fresh.pop(key, None)
        self._known.pop(key, None)
        self._gathering.pop(key, None)
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
        self._stirred.add(key[0])
        del self.resolved[:-RESOLVED_KEPT]
        return done

    def _give_back(self, key: BookKey) -> None:
        held = self.open[key]
        known = held.incident.acknowledged
        # A silence kept the alert firing: it has called already, and Alertmanager goes on with it.
        paged = held.incident.paged_time if known is not None and known.silence else None
        held.incident = msgspec.structs.replace(held.incident, acknowledged=None, paged_time=paged)
        self._waiting[key] = None
        self._known.pop(key, None)

    def _opened(self, firing: Firing) -> OpenIncident:
        beside = [alertname for model, alertname, _ in self.open if model == firing.model]
        grave = "info" if firing.provisional else severity(firing.alertname, beside, cost=firing.cost)
        return OpenIncident(
            new_incident(firing, grave, self.code_version, self.judged_by(firing)),
            set(),
            [],
            upstreams=firing.upstreams,
            tick=firing.tick,
            quiet_until=0.0 if firing.kind in _AT_ONCE else max(self.seen_from(firing.model), 0.0),
        )

    def _fire_shared(self, key: BookKey, firing: Firing, changed: dict[str, Incident]) -> bool:
        """Take a cell into the shared cause that stands for its incident already, if it is of the same kind."""
        shared = self._merged.get(key)
        if shared is None or key in self.open:
            return False
        held = self.open[shared]
        if not continues(held, firing):
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
            made = shared_incident(found, family, incident_id(self.place, SHARED, key[2], now), now)
            labels = {**made.labels, "shard": self.place} if self.place else made.labels
            made = msgspec.structs.replace(made, code_version=self.code_version, labels=labels)
            held = OpenIncident(made, set(), [], features=found.features, quiet_until=math.inf)
            self.open[key] = held
            self.opened[SHARED] += 1
            self._waiting[key] = None
        else:
            held.incident = taken_in(held.incident, found.members)
        for member in found.members:
            self._merge(key_of(member.incident), key, now, changed)
        changed[held.incident.id] = held.incident

    def _join(self, keys: Sequence[BookKey], family: str, now: float, changed: dict[str, Incident]) -> None:
        """Let incidents of ``keys`` into the causes of their family that stand, where they belong to one."""
        shared = [key for key in self.open if key[1] == SHARED and key[2].startswith(f"{family} ")]
        for key in keys:
            member = self._member(key)
            into = next((cause for cause in shared if self._belongs(member, self.open[cause])), None)
            if into is not None:
                held = self.open[into]
                held.incident = taken_in(held.incident, [member])
                self._merge(key, into, now, changed)
                changed[held.incident.id] = held.incident

    @staticmethod
    def _belongs(member: Member, held: OpenIncident) -> bool:
        incident = held.incident
        if not standing(incident, held.features).has(member):
            return False
        alike = [cell.effect.value for cell in incident.cells if cell.effect.name == member.incident.effect.name]
        return not alike or not own_movement(alike, member.incident.effect.value)

    def _merge(self, key: BookKey, into: BookKey, now: float, changed: dict[str, Incident]) -> None:
        """Resolve a model's incident: the shared cause ``into`` stands for it, and for its cells."""
        held, shared = self.open[key], self.open[into]
        shared.firing |= held.firing
        shared.quiet_until = min(shared.quiet_until, held.quiet_until)
        shared.merged.add(key)
        self._cells.update(dict.fromkeys(held.firing, into))
        self._merged[key] = into
        done = self._resolve(key, now, "merged", shared.incident.id)
        changed[done.id] = done
        for other in self.open.values():
            if other.incident.model == key[0] and shared.incident.id not in other.incident.related:
                other.incident = with_related(other.incident, shared.incident.id)
                shared.incident = with_related(shared.incident, other.incident.id)
                changed[other.incident.id] = other.incident

    def _advise(self, changed: dict[str, Incident]) -> None:
        """Say of every open incident of the models that were stirred what should be done about all that fires there."""
        for model in sorted(self._stirred - {""}):
            own = [held for key, held in self.open.items() if key[0] == model]
            struck = {key[1] for key in (*(key_of(held.incident) for held in own), *self._merged) if key[0] == model}
            shared = {SHARED} if any(key[0] == model for key in self._merged) else set()
            began = [held.incident.onset_time for held in own if held.incident.onset_time is not None]
            known = replace(self.setting_of(model), began=min(began, default=None))
            for held in own:
                advice = advise(struck | shared, known)
                if advice != held.incident.advice:
                    held.incident = msgspec.structs.replace(held.incident, advice=advice)
                    changed[held.incident.id] = held.incident
        self._stirred.clear()

    def _call(self, now: float, changed: dict[str, Incident]) -> None:
        """Call the teams for what waits, as far as they may be called."""
        waiting = {}
        self._gathering.clear()
        for key in list(self._waiting):
            incident = self.open[key].incident
            if not waits(incident):
                del self._waiting[key]
            elif self._gathers(self.open[key], now):
                self._gathering[key] = incident.fired_time + self.attention.gather
            elif incident.watched or self._may_call(self.open[key], now):
                waiting[incident.id] = key
        for incident in self.attention.call([self.open[key].incident for key in waiting.values()], now):
            key = waiting[incident.id]
            del self._waiting[key]
            held = self.open[key]
            held.incident = msgspec.structs.replace(held.incident, paged_time=now)
            changed[incident.id] = held.incident

    def _gathers(self, held: OpenIncident, now: float) -> bool:
        """Whether so many others begin to show the same that a shared cause would be told in its place.

        What is critical does not wait, nor what no further tick would tell of in time.
        """
        if now >= held.incident.fired_time + self.attention.gather or not self._may_gather(held) or self._stands(held):
            return False
        return self.suspected(held.incident, held.upstreams) >= MODELS_MIN - 1

    def _stands(self, held: OpenIncident) -> bool:
        """Whether a cause of its features or sources is told already: it was not taken for a part of that one."""
        own = {*held.upstreams, *(cell.feature for cell in held.incident.cells)}
        return any(key[1] == SHARED and cause_of(each.incident)[1] in own for key, each in self.open.items())

    def _may_gather(self, held: OpenIncident) -> bool:
        incident = held.incident
        in_time = held.tick <= self.attention.gather and incident.severity != "critical"
        return in_time and incident.alertname != SHARED and groupable(incident).startswith("data/")

    def _may_call(self, held: OpenIncident, now: float) -> bool:
        return held.quiet_until <= now and self.attention.has_room(held.incident.labels.get("team", ""), now)

    def _relate(self, incident: Incident, changed: dict[str, Incident]) -> None:
        """Let the open incidents of one model name each other."""
        others = [held for key, held in self.open.items() if key[0] == incident.model and held.incident is not incident]
        # In an order that does not depend on whether the book was read from a store.
        others.sort(key=lambda held: (held.incident.fired_time, held.incident.id))
        for held in others:
            held.incident = with_related(held.incident, incident.id)
            changed[held.incident.id] = held.incident
        own = self.open[key_of(incident)]
        for held in others:
            own.incident = with_related(own.incident, held.incident.id)
