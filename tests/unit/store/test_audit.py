"""Is the audit trail whole, and is it seen where it is not?"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from fleets.build import DAY, HOUR, START, feed, hourly, new_fleet, series_named

from monitor import auditing
from monitor.catalog import profile
from monitor.catalog.learned import profile_of
from monitor.clock import ManualClock
from monitor.errors import StoreError, UsageError
from monitor.exhibits import policy_text
from monitor.fleet import Fleet
from monitor.incidents.incident import Incident
from monitor.incidents.order import Order
from monitor.orders import carry_out
from monitor.store import exhibits
from monitor.store.audit import NOTHING, Anchor, Entry, Trail, entries, verify
from monitor.store.checkpoint import Checkpoint, head_of
from monitor.store.database import Database, Writes
from monitor.store.ticklog import TickLog
from monitor.store.trail_of import document_digest
from monitor.tally.event_time import EventTime

NORMAL = np.random.default_rng(101).normal(0, 1, 20_000)
POLICY = {"tick": "1h", "keep_firing": "2h"}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "store") as opened:
        yield opened


def keeper(database: Database) -> tuple[Checkpoint, Trail]:
    trail = Trail(ManualClock(START))
    return Checkpoint(database, TickLog(database, math.inf), math.inf, trail), trail


def drifted(fleet: Fleet) -> list[Incident]:
    hourly(fleet, lambda i: {"x": float(NORMAL[i]), "c": "ab"[i % 2]}, range(30))
    return hourly(fleet, lambda i: {"x": float(NORMAL[i]) + 2, "c": "ab"[i % 2]}, range(30, 36))


def store(database: Database, fleet: Fleet, incidents: list[Incident], at: float = START + 36 * HOUR) -> Trail:
    checkpoint, trail = keeper(database)
    time = EventTime(0.0)
    time.watermark = at
    checkpoint.save(fleet, time, {}, [], incidents)
    return trail


def told(database: Database, kind: str) -> list[Entry]:
    return [entry for entry in entries(database) if entry.kind == kind]


def written(database: Database, n: int) -> list[tuple[bytes, bytes]]:
    """A trail of ``n`` entries, as it stands in the store."""
    trail, writes = Trail(ManualClock(START)), Writes()
    for i in range(n):
        trail.enter("order", f"inc-{i}", {"verb": "ack", "note": "x" * i}, by="ada")
    trail.save(writes)
    database.commit(writes)
    return [(b"A" + key, value) for key, value in database.scan_prefix(b"A")]


def test_each_entry_names_the_one_before(database: Database) -> None:
    """Entries count from 1, and each holds the hash of the bytes before it; the end is the hash of the last."""
    stored = written(database, 5)
    before = NOTHING
    for number, (entry, (_, value)) in enumerate(zip(entries(database), stored, strict=True), 1):
        assert (entry.number, entry.before) == (number, before)
        before = hashlib.sha256(value).digest()
    assert verify(database, None) == Anchor(5, before)


def replaced(database: Database, key: bytes, value: bytes | None) -> None:
    writes = Writes()
    if value is None:
        writes.delete(key)
    else:
        writes.put(key, value)
    database.commit(writes)


def test_no_change_goes_unseen(database: Database) -> None:
    """An entry that is changed, moved or taken away is named, wherever it stands, the last one by the store's head."""
    stored = written(database, 6)
    anchor = verify(database, None)
    for number, (key, value) in enumerate(stored, 1):
        entry = msgspec.msgpack.decode(value, type=Entry)
        other = msgspec.msgpack.encode(msgspec.structs.replace(entry, by="eve"))
        for forged in (other, value[:-1], stored[number - 2][1], None):
            replaced(database, key, forged)
            with pytest.raises(StoreError, match=rf"entry ({number}|{number - 1}|{number + 1})\b"):
                verify(database, anchor)
        replaced(database, key, value)
    assert verify(database, anchor) == anchor


def test_a_trail_written_anew_does_not_fit_its_anchors(database: Database, tmp_path: Path) -> None:
    """Who rewrites all of it, hashes and head too, is found out by any anchor that was published before."""
    written(database, 4)
    published = [verify(database, None)]
    with Database(tmp_path / "forged") as forged:
        trail, writes = Trail(ManualClock(START)), Writes()
        for i in range(6):
            trail.enter("order", f"inc-{i}", {"verb": "note"}, by="eve")
        trail.save(writes)
        forged.commit(writes)
        verify(forged, trail.anchor)
        with pytest.raises(StoreError, match="rewritten: entry 4 is not the one that was published"):
            verify(forged, trail.anchor, published)
    with Database(tmp_path / "cut") as cut:
        end = written(cut, 3)
        assert len(end) == 3
        with pytest.raises(StoreError, match="ends with entry 3, and had 4 once"):
            verify(cut, None, published)


def test_what_is_decided_is_entered(database: Database) -> None:
    """References, incidents with what judged them, orders, and each day what was spent: all of it with its facts."""
    fleet = new_fleet(POLICY)
    fired = drifted(fleet)
    carry_out(fleet, Order("ack", fired[-1].id, "ada", START, until=math.inf, note="campaign"), lambda *_: [])
    checkpoint, _ = keeper(database)
    time = EventTime(0.0)
    time.watermark = START + 36 * HOUR
    checkpoint.save(fleet, time, {}, [], fired)
    time.watermark = START + 3 * DAY
    checkpoint.save(fleet, time, {}, [], [])
    assert [entry.said["what"] for entry in told(database, "reference")] == ["judged from here on"]
    [incident] = told(database, "incident")
    assert (incident.subject, incident.said["model"], incident.said["state"]) == (fired[-1].id, "m", "firing")
    assert incident.said["document"] == document_digest(fired[-1])
    [order] = told(database, "order")
    assert (order.by, order.subject, order.said["note"]) == ("ada", fired[-1].id, "campaign")
    [budget] = told(database, "budget")
    assert budget.subject == "2026-01-04"
    spent = fleet.judge.budget
    by = {"by_team": spent.spent_by_team, "by_severity": spent.spent_by_severity}
    assert budget.said == {"spent": spent.spent, **by, "per_week": 5.0}
    assert verify(database, head_of(database).trail).number == 4


def test_an_incident_names_what_judged_it(database: Database) -> None:
    """Policy and reference of an incident stay in the store, by their digests, as they were when it fired."""
    fleet = new_fleet(POLICY)
    fired = drifted(fleet)[-1]
    text = policy_text(fleet.models.items[0].policy)
    [x, _] = profile_of(fleet.models, fleet.series, 0).series
    store(database, fleet, [fired])
    assert hashlib.sha256(text.encode()).hexdigest() == fired.policy_digest
    assert exhibits.find(database, fired.policy_digest) == text.encode()
    content = exhibits.find(database, fired.reference_digest)
    assert content is not None
    found, digest = profile.unpacked(content)
    assert (found.model, found.series[0], digest) == ("m", x, fired.reference_digest)
    assert exhibits.find(database, "00" * 32) is None


def test_an_exhibited_reference_judges_the_same(database: Database, tmp_path: Path) -> None:
    """A model that is given the reference of an incident as a file has the counts, bins, cuts and ranges it had."""
    fleet = new_fleet(POLICY)
    fired = drifted(fleet)[-1]
    store(database, fleet, [fired])
    content = exhibits.find(database, fired.reference_digest)
    assert content is not None
    profile.write(content, tmp_path / "m.mwref")
    again = new_fleet({**POLICY, "reference": f"file:{tmp_path}/m.mwref"})
    feed(again, [b'{"model":"m","time":%d,"features":{"x":0.5,"c":"a"}}' % int(START)])
    assert profile_of(again.models, again.series, 0).series == profile.unpacked(content)[0].series
    for name in ("x", "c"):
        ours, theirs = series_named(fleet, name), series_named(again, name)
        for column in ("edges", "cuts", "n_cuts", "low", "high", "unjudged"):
            before, after = fleet.series.rows[column][ours], again.series.rows[column][theirs]
            assert np.array_equal(before, after), (name, column)


def test_a_restart_goes_on_with_the_trail(database: Database) -> None:
    """A trail goes on behind the last committed entry; one that ends elsewhere than its head says is refused."""
    first = store(database, new_fleet(), [])
    checkpoint, trail = keeper(database)
    trail.enter("program", "0", {})
    checkpoint.save(new_fleet(), EventTime(0.0), {}, [], [])
    assert trail.stored == Anchor()
    trail.lasts()
    trail.enter("program", "not stored", {})
    assert (trail.stored.number, trail.anchor.number) == (first.anchor.number + 1, first.anchor.number + 2)
    again, after = keeper(database)
    again.load(new_fleet(), EventTime(0.0))
    after.enter("program", "1", {})
    again.save(new_fleet(), EventTime(0.0), {}, [], [])
    assert [entry.subject for entry in entries(database)] == ["0", "1"]
    replaced(database, b"A" + (2).to_bytes(8, "big"), b"x")
    with pytest.raises(StoreError, match="does not end with entry 2 as it was written"):
        keeper(database)[0].load(new_fleet(), EventTime(0.0))


def test_no_group_is_called_by_its_name(database: Database) -> None:
    """What groups are called stays out of the trail."""
    fleet = new_fleet({"tick": "1h", "favourable": ("yes",), "keep_firing": "2h"})

    def case(i: int) -> dict[str, Any]:
        group = "ab"[i % 2]
        return {"prediction": "yes" if group == "a" or i % 4 == 1 else "no", "sensitive": {"sex": f"group-{group}"}}

    lines = [
        msgspec.json.encode({"model": "m", "id": str(i), "time": START + 20 * i, **case(i)}) for i in range(20_000)
    ]
    closed = feed(fleet, lines)
    assert {incident.alertname for incident in closed.incidents} == {"ModelDisparateImpact"}
    store(database, fleet, closed.incidents)
    assert b"group-" not in b"".join(value for _, value in database.scan_prefix(b"A"))


def test_what_an_auditor_asks(tmp_path: Path) -> None:
    """The trail and the exhibits of a store can be read while a daemon has it open; what is not there is said."""
    with Database(tmp_path / "store") as database:
        fleet = new_fleet(POLICY)
        fired = drifted(fleet)[-1]
        trail = store(database, fleet, [fired])
        found = auditing.verify(tmp_path / "store", None, ManualClock(START))
        assert (found.end, found.n_anchors) == (trail.anchor, 0)
        assert [entry.kind for entry in auditing.entries(tmp_path / "store")] == ["reference", "incident"]
        assert auditing.exhibit(tmp_path / "store", fired.policy_digest).startswith(b"task = ")
        for digest in ("00" * 32, "no digest"):
            with pytest.raises(UsageError, match="names"):
                auditing.exhibit(tmp_path / "store", digest)
    with pytest.raises(StoreError, match="there is no store here"):
        auditing.verify(tmp_path / "absent", None, ManualClock(START))
    with Database(tmp_path / "bare") as database:
        store(database, new_fleet(POLICY), [])
    with pytest.raises(StoreError, match="has no audit trail"):
        auditing.verify(tmp_path / "bare", None, ManualClock(START))
