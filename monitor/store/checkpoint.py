"""What must survive of the fleet, written and read: state, offsets and facts in one atomic write."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import TypeVar

import msgspec
import numpy as np

from monitor.catalog.rows import Rows
from monitor.clock import rfc3339
from monitor.dockets import Dockets
from monitor.errors import StoreError
from monitor.events.raw import Partition
from monitor.fleet import Fleet
from monitor.groups.crowded import Said
from monitor.incidents.book import RESOLVED_KEPT
from monitor.incidents.firing import OpenIncident
from monitor.incidents.incident import Incident
from monitor.store import audit, dockets, exhibits, trail_of
from monitor.store.audit import Anchor, Trail
from monitor.store.database import Database, Writes
from monitor.store.drills import DrillLog
from monitor.store.figures import FigureLog
from monitor.store.grouplog import GroupLog
from monitor.store.records import ModelRecord, record_of, restore
from monitor.store.sums import pack_all, unpack
from monitor.store.ticklog import TickLog
from monitor.tally.closed import ClosedTicks
from monitor.tally.duplicates import Duplicates
from monitor.tally.event_time import EventTime

FORMAT = 6
"""Raised when what is stored changes its meaning; docs/formats/store.md."""

_HEAD, _ROWS, _MODEL, _BLOCK, OPEN, DONE, _GROUPS, _NAMES = b"head", b"R", b"M", b"B", b"I", b"J", b"G", b"N"
_OWNER, _CROWDED = b"owner", b"Z"
_INDEX = struct.Struct(">I")
_BLOCK_KEY = struct.Struct(">IQ")
_BLOCK_END = struct.Struct(">d")
_TICK_END = struct.Struct(">d")
_MET, _PEOPLE = b"D", b"P"
_MET_KEY = struct.Struct(">QQ")
_EPOCH = 1 << 62
_DAY = 86400.0


class _Format(msgspec.Struct):
    """What every head says, whatever its format."""

    format: int


class Head(msgspec.Struct):
    """What a store says of itself, and how far it has come."""

    format: int
    signatures: dict[str, str]
    lengths: dict[str, int]
    watermark: float
    reached: list[tuple[str, int, float, list[float]]]
    positions: list[tuple[str, int, int]]
    spent: dict[str, float]
    spent_by_team: dict[str, float]
    spent_by_severity: dict[str, float]
    duplicates: list[tuple[int, float, int]]
    topics: dict[str, str] = {}
    """Ids of the topics that the offsets belong to."""
    people: list[tuple[int, float, int]] = []
    """Generations of people who counted within the last days, as those of ``duplicates``."""
    called: dict[str, list[float]] = {}
    """When each team was called within the last day."""
    rested: float = -np.inf
    """The last day on which cells were sent to rest."""
    trail: Anchor = Anchor()
    """Where the audit trail ends."""


class GroupRecord(msgspec.Struct, array_like=True):
    """What the attributes, groups, outputs and strata of one model are called, by row."""

    attributes: list[tuple[int, str]]
    groups: list[tuple[int, str]]
    outputs: list[tuple[int, str]]
    strata: list[tuple[int, tuple[tuple[str, str], ...]]]


class Checkpoint:
    """Writes what changed since the last time, and reads all of it back."""

    def __init__(
        self,
        database: Database,
        log: TickLog,
        incident_retention: float = float("inf"),
        trail: Trail | None = None,
        drills: DrillLog | None = None,
    ) -> None:
        self._database = database
        self._trail = trail
        self._drills = drills
        self._day = -np.inf
        self._entered: dict[str, str] = {}
        """Of incidents that are open, the digest of what was entered last."""
        self._log = log
        self._group_log = GroupLog(database)
        self._figures = FigureLog(database)
        self._retention = incident_retention
        self._blocks: set[bytes] = set()
        self._parts: dict[tuple[bytes, int], int] = {}
        self.topic_ids: dict[str, str] = {}
        """By name, of the topics that the offsets belong to; stored with them."""

    def save(
        self,
        fleet: Fleet,
        time: EventTime,
        positions: Mapping[Partition, int],
        ticks: list[ClosedTicks],
        incidents: Iterable[Incident],
    ) -> None:
        """Store everything that changed, closed ticks and incidents among it, with the offsets that it covers."""
        self._database.commit(self.gather(fleet, time, positions, ticks, incidents))

    def gather(
        self,
        fleet: Fleet,
        time: EventTime,
        positions: Mapping[Partition, int],
        ticks: list[ClosedTicks],
        incidents: Iterable[Incident],
    ) -> Writes:
        """What :meth:`save` writes; gathered once, for from here on the fleet takes it for stored."""
        writes = Writes()
        for name, table in _tables(fleet).items():
            for chunk, blob in table.take_dirty():
                writes.put(_ROWS + name.encode() + b"\0" + _INDEX.pack(chunk), blob)
            table.let_go()
        for row in fleet.take_changed_models():
            writes.put(_MODEL + _INDEX.pack(row), msgspec.msgpack.encode(record_of(fleet, fleet.models.items[row])))
        self._save_blocks(fleet, writes)
        _save_groups(fleet, writes)
        self._save_incidents(fleet, incidents, writes)
        self._save_keys(_MET, fleet.duplicates, writes)
        self._save_keys(_PEOPLE, fleet.groups.people.counted, writes)
        self._save_trail(fleet, time.watermark, incidents, writes)
        exhibits.save(fleet.exhibits.take(), writes)
        dockets.save(_dockets(fleet), writes)
        if self._drills is not None:
            self._drills.save(writes)
        self._log.append(ticks, writes)
        groups = fleet.groups
        self._group_log.save(groups.hours, groups.register.models_of_tallies(), time.watermark, writes)
        self._figures.save(fleet.outcomes.totals, writes)
        fleet.judge.seasons.save(writes)
        fleet.apart.save(writes)
        fleet.outcomes.pending.save(writes)
        writes.put(_HEAD, msgspec.msgpack.encode(_head(fleet, time, positions, self.topic_ids, self._trail)))
        return writes

    def load(self, fleet: Fleet, time: EventTime) -> dict[Partition, int]:
        """Fill an empty fleet; returns the next offset of each partition, none from an empty store.

        Raises
        ------
        StoreError
            The store was written in another format, or is damaged; the message says what is wrong.
        """
        begun = self._database.get(_HEAD) is not None
        if not begun and any(key != _OWNER for key, _ in self._database.scan(b"", b"\xff")):
            raise StoreError("the store holds data but no head: it was not copied to its end, or is damaged")
        head = head_of(self._database) if begun else None  # before anything is read that it says the format of
        fleet.judge.seasons.attach(self._database)
        fleet.apart.attach(self._database)
        fleet.outcomes.pending.attach(self._database, self._database.aside)
        fleet.groups.hours.wanted = True
        fleet.outcomes.totals.keep_days(np.zeros(0))
        tables = _tables(fleet)
        for table in tables.values():
            table.lie_in(self._database.aside)
        if head is None:
            return {}
        for name, table in tables.items():
            if name in head.lengths:
                self._load_table(name, table, head)
        stored = self._database.scan_prefix(_MODEL)
        restore(fleet, ((_INDEX.unpack(key)[0], decoded(value, ModelRecord, "model")) for key, value in stored))
        self._load_groups(fleet)
        self._group_log.load(fleet.groups.hours)
        for _, value in self._database.scan_prefix(OPEN):
            fleet.book.restore(decoded(value, OpenIncident, "incident"))
        fleet.restored()
        dockets.load(self._database, _dockets(fleet))
        self._load_blocks(fleet)
        fleet.book.resolved = self._load_resolved(head.watermark)
        fleet.book.attention.called.update(head.called)
        fleet.judge.resting.day = head.rested
        fleet.judge.budget.spent.update(head.spent)
        fleet.judge.budget.spent_by_team.update(head.spent_by_team)
        fleet.judge.budget.spent_by_severity.update(head.spent_by_severity)
        self._load_keys(_MET, fleet.duplicates, head.duplicates)
        self._load_keys(_PEOPLE, fleet.groups.people.counted, head.people)
        self._load_trail(head)
        horizon = fleet.models.rows["outcome_horizon"][: len(fleet.models)]
        fleet.outcomes.totals.keep_days(head.watermark - horizon)
        _restore_time(time, head)
        self.topic_ids = head.topics
        for table in tables.values():
            table.let_go()
        return {Partition(topic, number): offset for topic, number, offset in head.positions}

    def owner(self, name: str) -> str:
        """Whose store this is: ``name`` from the first time on that it was asked, and in no copy of it."""
        known = owner_of(self._database)
        if not known:
            writes = Writes()
            writes.put(_OWNER, name.encode())
            self._database.commit(writes)
        return known or name

    def _save_blocks(self, fleet: Fleet, writes: Writes) -> None:
        touched = fleet.take_touched_models()
        blocks, arena = fleet.blocks.opened(), fleet.blocks
        keys = [
            _BLOCK + _BLOCK_KEY.pack(model, tick + _EPOCH)
            for model, tick in zip(blocks.model.tolist(), blocks.tick.tolist(), strict=True)
        ]
        changed = touched[blocks.model] | np.array([key not in self._blocks for key in keys], bool)
        some = np.flatnonzero(changed)
        blobs = pack_all(arena.counts, arena.moments, blocks.base[some], blocks.size[some])
        for i, blob in zip(some.tolist(), blobs, strict=True):
            writes.put(keys[i], _BLOCK_END.pack(blocks.end[i]) + blob)
        still_open = set(keys)
        for key in self._blocks - still_open:
            writes.delete(key)
        self._blocks = still_open

    def _save_incidents(self, fleet: Fleet, incidents: Iterable[Incident], writes: Writes) -> None:
        changed_last = {incident.id: incident for incident in incidents}
        resolved = {i.id: i for i in changed_last.values() if i.state == "resolved"}
        for held in fleet.book.open.values():
            if held.incident.id in fleet.book.changed:
                writes.put(OPEN + held.incident.id.encode(), msgspec.msgpack.encode(held))
        for identity, incident in resolved.items():
            writes.delete(OPEN + identity.encode())
            writes.put(DONE + identity.encode(), msgspec.msgpack.encode(incident))
        fleet.book.changed.clear()

    def _save_keys(self, prefix: bytes, met: Duplicates, writes: Writes) -> None:
        """Keys are appended in parts, and a generation is removed whole: 8 bytes a key, once."""
        for number, keys in met.take_rewritten().items():
            writes.delete_range(prefix + _MET_KEY.pack(number, 0), prefix + _MET_KEY.pack(number + 1, 0))
            writes.put(prefix + _MET_KEY.pack(number, 0), keys.tobytes())
            self._parts[prefix, number] = 0
        for number, keys in met.take_fresh():
            part = self._parts[prefix, number] = self._parts.get((prefix, number), -1) + 1
            writes.put(prefix + _MET_KEY.pack(number, part), keys.tobytes())
        for number in met.take_dropped():
            writes.delete_range(prefix + _MET_KEY.pack(number, 0), prefix + _MET_KEY.pack(number + 1, 0))
            self._parts.pop((prefix, number), None)

    def _load_keys(self, prefix: bytes, met: Duplicates, known: list[tuple[int, float, int]]) -> None:
        parts: dict[int, list[bytes]] = {number: [] for number, _, _ in known}
        for key, value in self._database.scan_prefix(prefix):
            number, part = _MET_KEY.unpack(key)
            if number not in parts or len(value) % 8:
                raise StoreError(f"a part of the keys that were met (generation {number}) is out of place")
            parts[number].append(value)
            self._parts[prefix, number] = part
        generations = []
        for number, began, n in known:
            keys = np.frombuffer(b"".join(parts[number]), np.uint64)
            if len(keys) != n:
                raise StoreError(f"generation {number} of the keys that were met has {len(keys)} of {n}")
            generations.append((number, began, keys))
        if generations:
            met.restore(generations)

    def _save_trail(self, fleet: Fleet, watermark: float, incidents: Iterable[Incident], writes: Writes) -> None:
        """Enter what was decided since the last time: orders, references, incidents, and each day what was spent."""
        orders, fleet.audit = fleet.audit, []
        referred, fleet.models.referred = fleet.models.referred, []
        if self._trail is None:
            return
        for order in orders:
            self._trail.enter("order", order.subject, trail_of.order(order), order.by, order.time)
        for row, fact in referred:
            model = fleet.models.items[row]
            self._trail.enter("reference", model.name, trail_of.reference(model, fact))
        for incident in {each.id: each for each in incidents}.values():
            said = trail_of.incident(incident)
            if self._entered.get(incident.id) != said["document"]:  # a commit that was refused is tried again
                self._trail.enter("incident", incident.id, said)
                self._entered[incident.id] = said["document"]
            if incident.state == "resolved":
                self._entered.pop(incident.id)
        day = float(np.floor(watermark / _DAY))
        if day > self._day > -np.inf:
            self._trail.enter("budget", rfc3339(day * _DAY)[:10], trail_of.budget(fleet.judge.budget))
        self._day = max(day, self._day)
        self._trail.save(writes)

    def _load_trail(self, head: Head) -> None:
        """Go on where the trail ends, which must be where the head says that it does."""
        self._day = float(np.floor(head.watermark / _DAY))
        if self._trail is not None:
            last = audit.last(self._database, head.trail.number)
            if last != head.trail:
                raise StoreError(f"the audit trail does not end with entry {head.trail.number} as it was written")
            self._trail.restore(last)

    def _load_resolved(self, now: float) -> list[Incident]:
        """The newest resolved incidents, oldest first; what is older than the retention is forgotten here."""
        writes, kept = Writes(), []
        for key, value in self._database.scan_prefix(DONE):
            incident = decoded(value, Incident, "incident")
            if (incident.resolved_time or now) < now - self._retention:
                writes.delete(DONE + key)
            else:
                kept.append(incident)
        if writes.n_deleted:
            self._database.commit(writes)
        kept.sort(key=lambda incident: (incident.resolved_time or 0.0, incident.id))
        return kept[-RESOLVED_KEPT:]

    def _load_table(self, name: str, table: Rows, head: Head) -> None:
        if head.signatures[name] != table.signature():
            raise StoreError(f"table {name} was stored with other columns than this program has")
        prefix = _ROWS + name.encode() + b"\0"
        chunks = {_INDEX.unpack(key)[0]: value for key, value in self._database.scan_prefix(prefix)}
        try:
            table.load(head.lengths[name], chunks)
        except StoreError as error:
            raise StoreError(f"table {name}: {error}") from error

    def _load_blocks(self, fleet: Fleet) -> None:
        for key, value in self._database.scan_prefix(_BLOCK):
            model, tick = _BLOCK_KEY.unpack(key)
            if len(value) < _BLOCK_END.size:
                raise StoreError(f"an open tick of model {model} has {len(value)} bytes")
            counts, moments = unpack(value[_BLOCK_END.size :])
            fleet.blocks.restore(model, tick - _EPOCH, _BLOCK_END.unpack_from(value)[0], counts, moments)
            self._blocks.add(_BLOCK + key)
        fleet.take_touched_models()

    def _load_groups(self, fleet: Fleet) -> None:
        """Take back what groups are called, and what was counted of them in open ticks."""
        register = fleet.groups.register
        for names, table in (
            (register.attribute_names, register.attributes),
            (register.group_names, register.groups),
            (register.output_names, register.outputs),
        ):
            names.extend([""] * len(table))
        register.stratum_names.extend([()] * len(register.strata))
        for _, value in self._database.scan_prefix(_NAMES):
            record = decoded(value, GroupRecord, "group names")
            for names, said in (
                (register.attribute_names, record.attributes),
                (register.group_names, record.groups),
                (register.output_names, record.outputs),
            ):
                for row, name in said:
                    names[row] = name
            for row, stratum in record.strata:
                register.stratum_names[row] = stratum
        for key, value in self._database.scan_prefix(_CROWDED):
            away = decoded(value, Said, "outputs that were turned away")
            fleet.groups.crowded.restore(_INDEX.unpack(key)[0], away)
        for key, value in self._database.scan_prefix(_GROUPS):
            fleet.groups.sums.restore(_TICK_END.unpack(key)[0], value)


def head_of(database: Database) -> Head:
    """What a store says of itself; raises ``StoreError`` where it says nothing, or in another format."""
    raw = database.get(_HEAD)
    if raw is None:
        raise StoreError("the store has no head, so nothing says what it holds")
    # Nothing else of another format's head need be as it is in this one.
    said = decoded(raw, _Format, "head").format
    if said != FORMAT:
        raise StoreError(f"the store has format {said}, this program reads {FORMAT}")
    return decoded(raw, Head, "head")


def owner_of(database: Database) -> str:
    """The name of a store, which no copy has; empty where it has none yet."""
    return (database.get(_OWNER) or b"").decode()


def _save_groups(fleet: Fleet, writes: Writes) -> None:
    sums, register = fleet.groups.sums, fleet.groups.register
    for end in sums.changed:
        key = _GROUPS + _TICK_END.pack(end)
        if sums.is_open(end):
            writes.put(key, sums.blob(end))
        else:
            writes.delete(key)
    sums.changed.clear()
    for model in register.changed:
        own = register.of(model)
        groups = [row for attribute in own.attributes for row in register.groups_of(attribute)]
        record = GroupRecord(
            [(row, register.attribute_names[row]) for row in own.attributes],
            [(row, register.group_names[row]) for row in groups],
            [(row, register.output_names[row]) for row in own.outputs],
            [(row, register.stratum_names[row]) for row in own.strata],
        )
        writes.put(_NAMES + _INDEX.pack(model), msgspec.msgpack.encode(record))
    register.changed.clear()
    crowded = fleet.groups.crowded
    for model in sorted(crowded.changed):
        if model in crowded.days:
            writes.put(_CROWDED + _INDEX.pack(model), msgspec.msgpack.encode(crowded.said(model)))
        else:
            writes.delete(_CROWDED + _INDEX.pack(model))
    crowded.changed.clear()


def _tables(fleet: Fleet) -> dict[str, Rows]:
    return {
        "models": fleet.models.rows,
        "series": fleet.series.rows,
        "buffers": fleet.series.buffers,
        "suspected": fleet.series.suspected,
        "seasons": fleet.judge.seasons.links,
        "diaries": fleet.judge.seasons.diaries.rows,
        "diaries.volumes": fleet.judge.seasons.diaries.volumes,
        "profiles": fleet.judge.seasons.profiles,
        "weeks": fleet.judge.seasons.weeks.rows,
        "versions": fleet.lives.versions.held,
        "traffic": fleet.traffic.rows,
        **fleet.conduct.tables(),
        **{f"cells.{name}": table for name, table in fleet.judge.tables.items()},
        **{f"groups.{name}": table for name, table in fleet.groups.tables().items()},
        **fleet.outcomes.tables(),
        "outcomes.by_group": fleet.by_group.rows,
        "outcomes.scores_by_group": fleet.by_group.scores.rows,
        "outcomes.calibration_of_groups": fleet.by_group.calibration.rows,
        **fleet.leaning.tables(),
        **fleet.features_by_group.tables(),
        **fleet.apart.tables(),
    }


def _dockets(fleet: Fleet) -> dict[bytes, Dockets]:
    """By the letter under which they are stored."""
    return {of[0].encode(): each for of, each in fleet.dockets().items()}


def _head(
    fleet: Fleet, time: EventTime, positions: Mapping[Partition, int], topics: dict[str, str], trail: Trail | None
) -> Head:
    tables = _tables(fleet)
    return Head(
        format=FORMAT,
        signatures={name: table.signature() for name, table in tables.items()},
        lengths={name: len(table) for name, table in tables.items()},
        watermark=time.watermark,
        reached=[
            (p.topic, p.number, time.reached.get(p, -np.inf), time.ahead.get(p, []))
            for p in dict.fromkeys([*time.reached, *time.ahead])
        ],
        positions=[(p.topic, p.number, offset) for p, offset in positions.items()],
        spent=fleet.judge.budget.spent,
        spent_by_team=fleet.judge.budget.spent_by_team,
        spent_by_severity=fleet.judge.budget.spent_by_severity,
        duplicates=_generations(fleet.duplicates),
        people=_generations(fleet.groups.people.counted),
        called=fleet.book.attention.called,
        rested=fleet.judge.resting.day,
        topics=topics,
        trail=Anchor() if trail is None else trail.anchor,
    )


def _generations(met: Duplicates) -> list[tuple[int, float, int]]:
    return [(each.number, each.began, len(each.keys)) for each in met.generations]


def _restore_time(time: EventTime, head: Head) -> None:
    time.watermark = head.watermark
    for topic, number, at, ahead in head.reached:
        if at > -np.inf:
            time.reached[Partition(topic, number)] = at
        if ahead:
            time.ahead[Partition(topic, number)] = ahead


_T = TypeVar("_T")


def decoded(raw: bytes, kind: type[_T], what: str) -> _T:
    """A stored record; ``what`` it is, for the error where it cannot be read."""
    try:
        return msgspec.msgpack.decode(raw, type=kind)
    except msgspec.MsgspecError as error:
        raise StoreError(f"a record of the store ({what}) cannot be read: {error}") from error
