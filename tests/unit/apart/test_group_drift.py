"""What is told of a group whose features begin to lie otherwise, and what is not, in a fleet of one model?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fleets.apart import Days, Law, met
from fleets.build import DAY, HOUR, START, event, feed, new_fleet, replayed, series_named, write_lines
from numpy.typing import NDArray

from monitor.apart import cells, counting
from monitor.apart.telling import tell_apart
from monitor.apart.watch import DAY_SECONDS, ApartAlarm
from monitor.catalog.models import SHARES
from monitor.catalog.policies import Clause, Policies
from monitor.catalog.strata import up_to_label
from monitor.fleet import Fleet
from monitor.incidents.firing import CellKey
from monitor.incidents.incident import Incident
from monitor.portrait import model_document
from monitor.store.checkpoint import Checkpoint
from monitor.store.database import Database
from monitor.store.ticklog import TickLog
from monitor.tally.event_time import EventTime
from monitor.web.scopes import of_groups

PER_HOUR = 42
SIZES = {"F": 300, "M": 600}
FLAT = np.array([*[0.12] * 8, 0.04])
LOW = np.array([0.3, 0.2, 0.15, 0.1, 0.08, 0.07, 0.04, 0.02, 0.04])
HIGH = LOW[[7, 6, 5, 4, 3, 2, 1, 0, 8]]
POLICY: dict[str, Any] = {"tick": "6h", "sensitive": ("sex", "band"), "favourable": ("yes",)}


def people(hour: int, moved: bool) -> list[bytes]:
    """Women earn less than men until they ``moved``, and are of another band since; fewer live in the north anyway."""
    rng = np.random.default_rng(hour)
    told = []
    for i in range(PER_HOUR):
        woman = i % 3 == 0
        income = rng.normal(30.0 if woman and not moved else 40.0, 8.0)
        features = {"income": round(income, 3), "area": "NS"[int(rng.random() < (0.5 if woman else 0.6))]}
        features["band"] = "ab"[int(rng.random() < 0.5 + 0.3 * (woman and moved))]
        time = START + HOUR * (hour + (i + 0.5) / PER_HOUR)
        label = "yn"[int(rng.random() < 0.5)]
        told.append(event(time, features, id=f"{hour}-{i}", prediction=label, sensitive={"sex": "F" if woman else "M"}))
    return told


def live(fleet: Fleet, days: range, *, moved: bool = False) -> list[Incident]:
    found: dict[str, Incident] = {}
    for hour in range(24 * days.start, 24 * days.stop, 6):
        events = [line for each in range(hour, hour + 6) for line in people(each, moved)]
        for incident in feed(fleet, events, until=START + HOUR * (hour + 6)).incidents:
            found[incident.id] = incident
    return [each for each in found.values() if any(cell.detector == "group_drift" for cell in each.cells)]


def law(moved: str) -> Law:
    """All features of women lie low; of ``moved`` high."""

    def shares(group: str, feature: str) -> NDArray[np.float64]:
        return (HIGH if feature == moved else LOW) if group == "F" else FLAT

    return shares


def test_a_replay_tells_it_once_and_nothing_of_what_always_differed(tmp_path: Path) -> None:
    """Eight days, of which women's incomes rise to men's on the sixth: one incident, of them and of income."""
    file = write_lines(tmp_path / "e.jsonl", [line for h in range(8 * 24) for line in people(h, h >= 5 * 24)])
    config = '[[models]]\nmatch = "*"\ntick = "6h"\nsensitive = ["sex", "band"]\n[models.tolerance]\ndrift = 0.02\n'
    once, again = (replayed(tmp_path, config, file, batch_records=size).incidents for size in (1000, 333))
    assert once == again
    (incident,) = [i for i in once if i.detector == "group_drift"]
    assert (incident.alertname, incident.kind, incident.severity) == ("ModelFeatureDrift", "drift", "info")
    assert (incident.feature, incident.attribute, incident.output) == ("income", "sex", None)
    assert incident.group is not None
    assert incident.group.startswith("g-")
    assert {"feature": "income", "attribute": "sex", "group": incident.group}.items() <= incident.labels.items()
    assert incident.effect.name == "gap_shift"
    assert incident.effect.value > 0.1 > incident.effect.tolerance == 0.02
    assert START + 4 * DAY <= incident.onset_time <= START + 6 * DAY
    assert incident.fired_time <= START + 7 * DAY
    assert "income: share of <= " in incident.summary
    assert of_groups(incident)
    assert {cell.detector for cell in incident.cells} == {"group_drift"}
    assert {cell.feature for cell in incident.cells} == {"income"}  # nothing of area, nor of who is protected


def test_a_restart_changes_nothing(tmp_path: Path) -> None:
    """A fleet that is stored and read back every day tells the same at the same moments, and holds the same."""
    steady, restarted = new_fleet(POLICY), new_fleet(POLICY)
    told: list[list[Incident]] = [[], []]
    with Database(tmp_path / "store") as database:
        for day in range(7):
            told[0] += live(steady, range(day, day + 1), moved=day >= 4)
            told[1] += live(restarted, range(day, day + 1), moved=day >= 4)
            checkpoint = Checkpoint(database, TickLog(database, np.inf))
            checkpoint.save(restarted, EventTime(0.0), {}, [], [])
            restarted = new_fleet(POLICY)
            Checkpoint(database, TickLog(database, np.inf)).load(restarted, EventTime(0.0))
        assert [(i.id, i.state, i.summary, i.evidence_log10) for i in told[1]] == [
            (i.id, i.state, i.summary, i.evidence_log10) for i in told[0]
        ]
        assert told[0]
        assert restarted.apart.cells(0).blob == steady.apart.cells(0).blob
        for name, table in steady.apart.tables().items():
            other = restarted.apart.tables()[name]
            assert len(table) == len(other)
            for field in table.signature().split(";"):
                array = field.split(":")[0]
                assert np.array_equal(table[array][: len(table)], other[array][: len(table)], equal_nan=True), array
        assert restarted.judge.n_cells == steady.judge.n_cells
        assert model_document(restarted, 0, 1)["group_features"] == model_document(steady, 0, 1)["group_features"]


def test_a_planned_day_is_neither_judged_nor_learned() -> None:
    """On days that go as planned women may earn what they will; behind them all is as it was."""
    window = {"from": "2026-01-07T00:00:00Z", "until": "2026-01-10T00:00:00Z", "note": "campaign"}
    fleet = new_fleet({**POLICY, "planned": (window,)})
    live(fleet, range(5))
    before = fleet.apart.cells(0).rows["reference"].sum()
    assert live(fleet, range(6, 9), moved=True) == []
    grown = fleet.apart.cells(0).rows["reference"].sum() - before
    assert grown <= 4 * 2 * PER_HOUR * 24 * 2  # a day before the window at most
    assert live(fleet, range(9, 11)) == []


@pytest.fixture
def fired() -> tuple[Days, CellKey]:
    """A model of which it is told that women lie otherwise in x1; and the cell that says so."""
    days = Days(met(1), seed=11)
    days.live(10, SIZES, law(""))
    (alarm,) = days.live(3, SIZES, law("x1"))
    return days, alarm.key


def test_the_cells_of_a_model_cost_what_one_cell_does(fired: tuple[Days, CellKey]) -> None:
    """All features of all groups share what one feature may spend, which is counted, after a restart too."""
    fleet = fired[0].fleet
    place, features = SHARES.index("drift"), 4
    of_prediction = 1
    assert fleet.models.rows["n_cells"][0, place] == features + of_prediction + 1 == fleet.judge.n_cells["drift"]
    spent = fleet.judge.budget.spent["drift"]
    fired[0].live(1, SIZES, law("x1"))
    one = min(0.2 * 1.0, 0.2 * 5.0) / (features + of_prediction + 1) * DAY_SECONDS / (7 * DAY)
    assert fleet.judge.budget.spent["drift"] - spent == pytest.approx(one)
    fleet.restored()
    assert fleet.models.rows["n_cells"][0, place] == features + of_prediction + 1 == fleet.judge.n_cells["drift"]


def test_what_ends_a_feature_ends_its_cells(fired: tuple[Days, CellKey]) -> None:
    """Retired, retrained or accepted: the cells of its series are told to have ended, and hold nothing."""
    days, cell = fired
    fleet, apart = days.fleet, days.apart
    series = np.array([series_named(fleet, "x1", "m0")])
    assert cell in apart.end_series(series)
    rows = apart.cells(0).rows
    gone = rows["series"] == series[0]
    assert not rows["judged"][gone].any()
    assert not rows["reference"][gone].any()
    assert rows["judged"][~gone].all()
    fleet.lives.retire(0, START)
    assert not apart.cells(0).rows["judged"].any()
    assert fleet.judge.n_cells["drift"] == 0


def test_another_tolerance_begins_the_evidence_anew(fired: tuple[Days, CellKey]) -> None:
    """A policy that tolerates more takes back what was told by the other one."""
    days, cell = fired
    clauses = [Clause("*", {"tick": "1h", "tolerance": {"drift": 0.9}}, "test")]
    days.fleet.reload_policies(Policies(clauses).resolve)
    group, slot = cell[0], int(cell[1].split(".")[1])
    held = days.apart.cells(0)
    told = held.rows[held.find(group, slot)]
    assert (told["firing"], told["log_r"].max(), told["tolerance"]) == (0, -np.inf, 0.9)
    assert days.live(5, SIZES, law("x1")) == []


def test_few_people_are_not_spoken_of() -> None:
    """A group of fewer than the smallest that is shown, counted once each however often they ask, tells nothing."""
    fleet = met(1)
    days = Days(fleet, seed=12)
    days.live(10, SIZES, law(""))
    group = fleet.groups.register.group_names.index("F")
    people = fleet.groups.people
    row = people._of_group[group] = people.rows.add()
    people.rows["group"][row], people.rows["n"][row] = group, fleet.groups.privacy.smallest_group - 1
    assert days.live(5, SIZES, law("x1")) == []


def test_figures_are_told_of_enough_people_alone(fired: tuple[Days, CellKey]) -> None:
    """The words have the share of the group and of the rest, unless those who have it, or all others, are too few."""
    apart = fired[0].apart
    row = apart.groups.register.group_names.index("F")
    series = series_named(fired[0].fleet, "x1", "m0")

    def told(group_now: int) -> str:
        past, now = np.zeros((2, 2, 9))
        past[:, [0, 8]] = [[60, 140], [300, 300]]
        now[:, [0, 8]] = [[group_now, 200 - group_now], [300, 300]]
        alarm = ApartAlarm(0, row, series, 0, 0, past, now, 0.3, 0.02, 5.0, START, START + DAY)
        return tell_apart(alarm, apart).words

    edge = up_to_label(apart.series, series, 0)
    code = apart.groups.privacy.code("sex", "F")
    assert told(20) == f"sex {code}: x1: share of {edge} went from 30 % to 10 %, of the rest from 50 % to 50 %"
    assert told(19) == f"sex {code}: x1: the share of {edge} is not what it was beside that of the rest"
    assert told(181) == told(19)


def test_a_day_of_many_events_is_laid_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts of 16 bits are moved to the store before they are full; the day that is judged is all of it."""
    monkeypatch.setattr(counting, "FULL_EVENTS", 50)
    aside, plain = new_fleet(POLICY), new_fleet(POLICY)
    live(aside, range(4))
    feed(aside, [line for hour in range(96, 102) for line in people(hour, moved=False)], START + HOUR * 102)
    assert aside.apart.counting.rows["aside"].any()
    monkeypatch.undo()
    live(plain, range(4))
    feed(plain, [line for hour in range(96, 102) for line in people(hour, moved=False)], START + HOUR * 102)
    assert plain.apart.cells(0).blob == aside.apart.cells(0).blob
    assert not plain.apart.counting.rows["aside"].any()


def test_memory_is_what_the_page_says() -> None:
    """A group takes 593 bytes in memory; a feature of a group 385 in the store."""
    group = sum(np.dtype(f.dtype).itemsize * int(np.prod(f.shape)) for f in counting.FIELDS.values())
    assert (group, cells._CELL.itemsize) == (593, 385)
