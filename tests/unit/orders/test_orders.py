"""Does what people acknowledge keep quiet, spend nothing, come back when it must, and stay written down?"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from fleets.build import DAY, HOUR, LEARNED, SHARES, START, hourly, new_fleet
from unit.incidents.test_book import firing

from monitor.budget import WEEK_SECONDS
from monitor.clock import ManualClock
from monitor.drill.past import Past
from monitor.fleet import Fleet
from monitor.incidents.attention import Telling, telling
from monitor.incidents.book import Book
from monitor.incidents.incident import Acknowledged, Incident
from monitor.incidents.order import Order, Outcome
from monitor.incidents.precision import precision
from monitor.orders import carry_out
from monitor.store.audit import Trail, entries
from monitor.store.checkpoint import Checkpoint
from monitor.store.database import Database
from monitor.store.ticklog import TickLog
from monitor.tally.closed import ClosedTick
from monitor.tally.event_time import EventTime

RNG = np.random.default_rng(17)
NOISE = RNG.normal(size=200_000)


NO_PAST = Past(lambda _row, _since, _until: [])


def numbers(shift: float) -> Any:
    return lambda i: {"x": float(NOISE[i] + shift), "y": float(NOISE[-i - 1])}


def drifted(shift: float = 0.8) -> tuple[Fleet, Incident]:
    """A fleet of one model whose x has moved, and the incident of it."""
    fleet = new_fleet({"tick": "1h", "keep_firing": "6h", "tolerance": {"drift": 0.02}}, per_week=50, per_model=50)
    hourly(fleet, numbers(0.0), range(LEARNED + 40))
    hourly(fleet, numbers(shift), range(LEARNED + 40, LEARNED + 70))
    [held] = fleet.book.open.values()
    return fleet, held.incident


def ask(fleet: Fleet, verb: Any, subject: str, until: float = math.inf, **rest: str) -> Outcome:
    return carry_out(fleet, Order(verb, subject, "ada", START, until=until, **rest), NO_PAST)


def test_acknowledged_it_spends_nothing() -> None:
    """Its cells are not counted among those that share the budget, spend next to nothing, and page nobody."""
    fleet, incident = drifted()
    cells, spent = fleet.judge.n_cells["drift"], fleet.judge.budget.spent["drift"]
    [changed] = ask(fleet, "ack", incident.id, reason="expected").incidents
    assert (changed.acknowledged.by, changed.acknowledged.reason) == ("ada", "expected")
    assert telling(changed) is not Telling.FIRING
    assert fleet.judge.n_cells["drift"] == cells - len(incident.cells)
    hourly(fleet, numbers(0.8), range(LEARNED + 70, LEARNED + 80))
    quiet = fleet.judge.budget.spent["drift"] - spent
    full = 50 * SHARES["drift"] * 10 * HOUR / WEEK_SECONDS
    assert quiet == pytest.approx(full, rel=1e-6), "what is left shares the same budget among fewer"
    [held] = fleet.book.open.values()
    assert held.incident.acknowledged is not None


def test_it_returns_when_its_time_is_over() -> None:
    """At the first tick behind its end it is an open matter again and calls anew."""
    fleet, incident = drifted()
    ask(fleet, "ack", incident.id, until=START + (LEARNED + 75) * HOUR)
    hourly(fleet, numbers(0.8), range(LEARNED + 70, LEARNED + 74))
    assert fleet.book.find(incident.id).acknowledged is not None
    hourly(fleet, numbers(0.8), range(LEARNED + 74, LEARNED + 76))
    assert fleet.book.find(incident.id).acknowledged is None
    assert fleet.judge.n_cells["drift"] == 2


def test_what_no_bet_is_behind_returns_too() -> None:
    """An incident of cells that the judge does not hold (traffic, outcomes) is open again when its time is over."""
    book = Book(10)
    book.fire([firing(1, "x", alertname="ModelSilent")])
    [incident] = [held.incident for held in book.open.values()]
    book.acknowledge(incident.id, Acknowledged("ada", "expected", "", START, START + 3600.0))
    again = Book(10)
    for held in book.open.values():
        again.restore(held)
    for one in (book, again):
        assert one.settle(START + 3599.0) == []
        [back] = one.settle(START + 3600.0)
        assert (back.acknowledged, back.paged_time) == (None, START + 3600.0)


def test_it_returns_when_it_worsens() -> None:
    """As long as the movement stays what it was nothing is heard; when it doubles the incident is back."""
    fleet, incident = drifted(0.5)
    ask(fleet, "ack", incident.id)
    hourly(fleet, numbers(0.5), range(LEARNED + 70, LEARNED + 130))
    assert fleet.book.find(incident.id).acknowledged is not None
    hourly(fleet, numbers(1.5), range(LEARNED + 130, LEARNED + 145))
    assert fleet.book.find(incident.id).acknowledged is None


def test_another_cell_is_news() -> None:
    """An acknowledged drift of x does not hide that y drifts too."""
    fleet, incident = drifted()
    ask(fleet, "ack", incident.id)
    hourly(
        fleet,
        lambda i: {"x": float(NOISE[i] + 0.8), "y": float(NOISE[-i - 1] + 1.0)},
        range(LEARNED + 70, LEARNED + 95),
    )
    held = fleet.book.find(incident.id)
    assert {cell.feature for cell in held.cells} == {"x", "y"}
    assert held.acknowledged is None


def test_taken_back_and_resolved() -> None:
    """Taken back it spends again; a resolved incident takes notes."""
    fleet, incident = drifted()
    cells = fleet.judge.n_cells["drift"]
    assert ask(fleet, "unack", incident.id).refused
    ask(fleet, "ack", incident.id)
    [back] = ask(fleet, "unack", incident.id).incidents
    assert back.acknowledged is None
    assert fleet.judge.n_cells["drift"] == cells
    hourly(fleet, numbers(0.0), range(LEARNED + 70, LEARNED + 110))
    assert fleet.book.find(incident.id).state == "resolved"
    [noted] = ask(fleet, "note", incident.id, note="ticket 812").incidents
    assert [note.text for note in noted.notes] == ["ticket 812"]
    assert fleet.book.find(incident.id).notes == noted.notes
    assert not ask(fleet, "ack", "absent").found


def test_what_a_resolved_incident_was() -> None:
    """Whoever knows it later says so: it counts for precision, quietens nothing, is audited and can be taken back."""
    fleet, incident = drifted()
    hourly(fleet, numbers(0.0), range(LEARNED + 70, LEARNED + 110))
    cells = dict(fleet.judge.n_cells)
    assert precision(fleet.book.newest())[0].not_judged == 1
    [said] = ask(fleet, "ack", incident.id, reason="false", note="a unit test").incidents
    assert (said.state, said.verdict, said.acknowledged) == ("resolved", "false", None)
    assert [note.text for note in said.notes] == ["a unit test"]
    told = precision(fleet.book.newest())[0]
    assert (told.false, told.confirmed, told.not_judged) == (1, 0, 0)
    assert fleet.judge.n_cells == cells
    assert [(order.verb, order.reason, order.by) for order in fleet.audit] == [("ack", "false", "ada")]
    ask(fleet, "ack", incident.id, reason="fixed")
    assert precision(fleet.book.newest())[0].confirmed == 1
    [back] = ask(fleet, "unack", incident.id).incidents
    assert back.verdict == ""
    assert ask(fleet, "unack", incident.id).refused
    assert ask(fleet, "ack", incident.id, silence="s-1").refused
    merged = msgspec.structs.replace(back, merged_into="i-shared")
    fleet.book.replace(merged)
    assert "i-shared" in ask(fleet, "ack", incident.id).refused
    assert fleet.book.find(incident.id) == merged


def test_retired_it_is_watched_no_more() -> None:
    """A retired model has no open incidents and no cells; should it answer again, it learns anew."""
    fleet, incident = drifted()
    [resolved] = ask(fleet, "retire", "m").incidents
    assert (resolved.id, resolved.resolved_because) == (incident.id, "retired")
    assert sum(fleet.judge.n_cells.values()) == 0
    hourly(fleet, numbers(0.8), range(LEARNED + 70, LEARNED + 70 + LEARNED + 60))
    assert fleet.judge.n_cells["drift"] == 2
    assert fleet.book.open == {}


def test_accepted_the_present_is_the_reference() -> None:
    """What the model shows becomes its reference: the drift is over, and the way back is a drift."""
    fleet, _ = drifted()
    ticks: list[ClosedTick] = []
    original = fleet.close

    def close(watermark: float) -> Any:
        closed = original(watermark)
        ticks.extend(ClosedTick(0, tick.end, tick.counts, tick.moments) for tick in closed.ticks)
        return closed

    fleet.close = close  # type: ignore[method-assign]
    assert ask(fleet, "accept", "m").refused, "nothing in the log"
    hourly(fleet, numbers(0.8), range(LEARNED + 70, LEARNED + 120))
    [resolved] = carry_out(fleet, Order("accept", "m", "ada", START), Past(lambda *_: ticks)).incidents
    assert resolved.resolved_because == "accepted as the reference"
    hourly(fleet, numbers(0.8), range(LEARNED + 120, LEARNED + 160))
    assert fleet.book.open == {}
    hourly(fleet, numbers(0.0), range(LEARNED + 160, LEARNED + 200))
    assert len(fleet.book.open) == 1


def test_what_was_asked_for_stays_written_down(tmp_path: Path) -> None:
    """The audit trail says who, when and what; acknowledgements and notes survive with the incident and its cells."""
    fleet, incident = drifted()
    ask(fleet, "ack", incident.id, until=START + 100 * DAY, note="campaign")
    ask(fleet, "ack", "absent")
    with Database(tmp_path) as database:
        checkpoint = Checkpoint(database, TickLog(database, math.inf), math.inf, Trail(ManualClock(START)))
        checkpoint.save(fleet, EventTime(0.0), {}, [], [])
        orders = [entry for entry in entries(database) if entry.kind == "order"]
        assert [(o.said["verb"], o.by, o.subject, o.said["note"]) for o in orders] == [
            ("ack", "ada", incident.id, "campaign")
        ]
        again = new_fleet({"tick": "1h"}, per_week=50, per_model=50)
        checkpoint.load(again, EventTime(0.0))
    held = again.book.find(incident.id)
    assert held == fleet.book.find(incident.id)
    assert again.judge.n_cells == fleet.judge.n_cells
    ask(again, "unack", incident.id)
    assert again.judge.n_cells["drift"] == 2
