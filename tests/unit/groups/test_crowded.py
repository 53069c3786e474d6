"""Who is compared where a model has more tags than there is room for? In the end the frequent ones."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from fleets.build import DAY, HOUR, START, decoded, event, feed, new_fleet, replayed, write_lines

from monitor.fleet import Fleet
from monitor.groups.crowded import STAYS_SECONDS
from monitor.groups.questions import Kind
from monitor.groups.register import Limits
from monitor.groups.watch import GroupRules
from monitor.kernels.judge import FIRING, SUSPICIOUS
from monitor.store.checkpoint import FORMAT, Checkpoint, Head, head_of
from monitor.store.database import Database, Writes
from monitor.store.ticklog import TickLog
from monitor.tally.event_time import EventTime

PER_HOUR = 40
OFTEN, SELDOM = 0.5, 0.05
EARLY = ("a", "b", "c", "d")
RULES = GroupRules(limits=Limits(outputs=len(EARLY)))


def day_of(day: int, rates: dict[str, float], unfair: str = "") -> list[bytes]:
    """A day of events of women and men who get each tag as often as ``rates`` says, of ``unfair`` only women any."""
    rng, told = np.random.default_rng([7, day]), []
    for i in range(24 * PER_HOUR):
        sex, time = "FM"[i % 2], START + DAY * day + HOUR * (i + 0.5) / PER_HOUR
        tags = [tag for tag, rate in rates.items() if rng.random() < rate and not (tag == unfair and sex == "M")]
        told.append(event(time, id=f"{day}-{i}", sensitive={"sex": sex}, prediction={"tags": tags}))
    return told


def crowd(**keys: object) -> Fleet:
    return new_fleet({"tick": "6h", **keys}, group_rules=RULES)


def live(fleet: Fleet, days: Iterable[int], rates: dict[str, float]) -> None:
    """Days by their ticks, so that each is closed behind its events."""
    for day in days:
        events = day_of(day, rates)
        for part in range(4):
            own = events[part * len(events) // 4 : (part + 1) * len(events) // 4]
            feed(fleet, own, until=START + DAY * day + 6 * HOUR * (part + 1))


def compared(fleet: Fleet) -> set[str]:
    register = fleet.groups.register
    kinds = register.outputs["kind"]
    return {register.output_names[row] for row in register.of(0).outputs if kinds[row] == Kind.TAG}


BEFORE = dict.fromkeys(EARLY[:3], OFTEN) | {"d": SELDOM}
LATE = BEFORE | {"late": OFTEN}


def test_a_late_frequent_tag_is_found(tmp_path: Path) -> None:
    """Three days of four tags, then a fifth that women alone get: it is told of, however large the batches are."""
    lines = [line for day in range(3) for line in day_of(day, BEFORE)]
    lines += [line for day in range(3, 7) for line in day_of(day, LATE, unfair="late")]
    config = f'[limits]\noutputs_per_model = {len(EARLY)}\n[[models]]\nmatch = "*"\ntick = "6h"\n'
    file = write_lines(tmp_path / "e.jsonl", lines)
    once, again = (replayed(tmp_path, config, file, batch_records=size).incidents for size in (1000, 77))
    assert once == again
    (incident,) = [each for each in once if each.output == "late"]
    assert incident.alertname == "ModelUnwarrantedAssociation"
    assert START + 4 * DAY < incident.fired_time <= START + 6 * DAY
    assert {each.output for each in once} == {"late"}


def test_the_rarest_gives_its_row(tmp_path: Path) -> None:
    """Within a day the frequent one is compared and the rarest is not; nothing of that one's counts stays."""
    fleet = crowd()
    live(fleet, range(2), BEFORE)
    register, before = fleet.groups.register, set(EARLY)
    assert compared(fleet) == before
    rare = register.find_output(0, Kind.TAG, "d")
    n_cells, sizes = fleet.groups.comparer.n_cells, [len(table) for table in register.tables().values()]
    live(fleet, [2], LATE)
    assert compared(fleet) == before
    live(fleet, [3], LATE)
    assert compared(fleet) == before - {"d"} | {"late"}
    assert register.find_output(0, Kind.TAG, "late") == rare
    assert register.find_output(0, Kind.TAG, "d") == -1
    assert [len(table) for table in register.tables().values()] == sizes
    assert fleet.groups.comparer.n_cells == n_cells
    for group in register.groups_of(0):
        n, s = register.totals(group, rare)
        # The day but for its first tick, of half of which it was not counted.
        assert s == pytest.approx(OFTEN * 12 * PER_HOUR * 0.75, abs=60.0)
        assert n > 3 * 12 * PER_HOUR
    said = feed(fleet, day_of(4, LATE)[:1], until=START + DAY * 4 + HOUR)
    assert not said.incidents


def test_what_is_turned_away_is_counted() -> None:
    """Each time that a tag is turned away counts, before rows change hands of the one and then of the other."""
    fleet, n = crowd(), []
    for day, rates in ((0, BEFORE), (1, LATE), (2, LATE)):
        absorbed = 0
        events = day_of(day, rates)
        for i in range(0, len(events), 240):
            batch = decoded(events[i : i + 240])
            absorbed += fleet.absorb(batch, np.zeros(len(batch), bool)).groups_turned_away
            fleet.close(START + DAY * day + HOUR * 6 * (i // 240 + 1))
        n.append(absorbed)
    assert n[0] == 0
    assert n[1] == sum(b'"late"' in line for line in day_of(1, LATE))
    first = day_of(2, LATE)[:240]
    assert n[2] == sum(b'"late"' in line for line in first) + sum(b'"d"' in line for line in day_of(2, LATE)[240:])


@pytest.mark.parametrize(("field", "value"), [("firing", FIRING), ("suspicion", SUSPICIOUS + 0.1)])
def test_evidence_under_way_keeps_a_row(field: str, value: float) -> None:
    """An output that fires, or is under suspicion, is not given up, however rare it is."""
    fleet = crowd()
    live(fleet, range(2), BEFORE)
    register = fleet.groups.register
    rare = register.find_output(0, Kind.TAG, "d")
    live(fleet, [2], LATE)
    cell = np.flatnonzero(register.cells["output"][: len(register.cells)] == rare)[0]
    fleet.groups.comparer.state[field][cell] = value
    fleet.groups.crowded.turn(START + 3 * DAY + HOUR)
    assert "d" in compared(fleet)
    assert "late" not in compared(fleet)


def test_a_listed_tag_keeps_its_row() -> None:
    """A tag of a watch list stays, and the rarest of the others goes."""
    fleet = new_fleet(
        {"tick": "6h", "watch_tags": ({"name": "w", "tags": ("d",)},)}, group_rules=GroupRules(limits=Limits(outputs=5))
    )
    live(fleet, range(2), BEFORE | {"c": 0.1})
    live(fleet, range(2, 4), LATE | {"c": 0.1})
    assert compared(fleet) == {"a", "b", "d", "late"}


def test_two_do_not_take_turns() -> None:
    """One that took a row keeps it for a week, though the other came back at once; then the frequent one has it."""
    fleet = crowd()
    live(fleet, range(2), BEFORE)
    live(fleet, range(2, 4), LATE)
    back = BEFORE | {"d": OFTEN, "late": SELDOM}
    live(fleet, range(4, 10), back)
    assert "late" in compared(fleet)
    assert STAYS_SECONDS == 7 * DAY
    live(fleet, range(10, 12), back)
    assert compared(fleet) == set(EARLY)


def test_little_more_is_no_reason() -> None:
    """What comes less than twice as often as the rarest takes nobody's place."""
    fleet = crowd()
    even = dict.fromkeys(EARLY, OFTEN)
    live(fleet, range(2), even)
    live(fleet, range(2, 5), even | {"late": 0.9})
    assert compared(fleet) == set(EARLY)


def test_a_restart_changes_nothing(tmp_path: Path) -> None:
    """Stored and read back within a day and behind it, the same rows change hands, and all counts are the same."""
    steady, restarted = crowd(), crowd()
    with Database(tmp_path / "store") as database:
        for day in range(6):
            for part in range(4):
                events = day_of(day, BEFORE if day < 2 else LATE)
                own = events[part * len(events) // 4 : (part + 1) * len(events) // 4]
                for fleet in (steady, restarted):
                    feed(fleet, own, until=START + DAY * day + 6 * HOUR * (part + 1))
                Checkpoint(database, TickLog(database, np.inf)).save(restarted, EventTime(0.0), {}, [], [])
                restarted = crowd()
                Checkpoint(database, TickLog(database, np.inf)).load(restarted, EventTime(0.0))
                assert compared(restarted) == compared(steady)
                assert restarted.groups.crowded.days == steady.groups.crowded.days
    for name, table in steady.groups.tables().items():
        other = restarted.groups.tables()[name]
        assert list(table.take_dirty()) or len(table) == len(other)
        for field in table.signature().split(";"):
            array = field.split(":")[0]
            assert np.array_equal(
                table[array][: len(table)],
                other[array][: len(table)],
                equal_nan=table[array].dtype.kind == "f",
            ), (name, array)
    assert "late" in compared(restarted)


def test_an_older_store_is_read(tmp_path: Path) -> None:
    """A store of this format that knows of no such table loads, and what is turned away is counted from then on."""
    fleet = crowd()
    live(fleet, range(2), BEFORE)
    with Database(tmp_path / "store") as database:
        Checkpoint(database, TickLog(database, np.inf)).save(fleet, EventTime(0.0), {}, [], [])
        head = head_of(database)
        assert head.format == FORMAT == 6
        lengths = {name: n for name, n in head.lengths.items() if name != "groups.crowded"}
        signatures = {name: text for name, text in head.signatures.items() if name != "groups.crowded"}
        writes = Writes()
        writes.put(b"head", msgspec.msgpack.encode(_with(head, lengths, signatures)))
        database.commit(writes)
        again = crowd()
        Checkpoint(database, TickLog(database, np.inf)).load(again, EventTime(0.0))
    live(again, range(2, 4), LATE)
    assert "late" in compared(again)


def _with(head: Head, lengths: dict[str, int], signatures: dict[str, str]) -> Head:
    return msgspec.structs.replace(head, lengths=lengths, signatures=signatures)
