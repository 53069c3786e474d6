"""Is a model that lived through something judged as if it had not, once that is excluded?"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from fleets.build import DAY, HOUR, START, columns, event, feed, new_fleet, series_named

from monitor.catalog.models import Phase
from monitor.clock import ManualClock
from monitor.drill.past import Past
from monitor.fleet import Fleet
from monitor.incidents.order import Order, Outcome
from monitor.kernels.tally import PRESENT
from monitor.orders import carry_out
from monitor.store.audit import Trail, entries
from monitor.store.checkpoint import Checkpoint
from monitor.store.database import Database
from monitor.store.grouplog import GroupLog
from monitor.store.ticklog import TickLog
from monitor.tally.closed import ClosedTick, ClosedTicks
from monitor.tally.event_time import EventTime

RNG = np.random.default_rng(29)
NOISE = RNG.normal(size=200_000)
LEARN = {"tick": "1h", "keep_firing": "6h", "learn": {"events": 3000, "for": "2d"}}
COMPLETE = 60
"""Hours of 50 events after which the reference is complete."""


class Watched:
    """A fleet of one model with the log of its ticks."""

    def __init__(self, policy: dict[str, Any]) -> None:
        self.fleet: Fleet = new_fleet(policy, per_week=50, per_model=50)
        self.ticks: list[ClosedTick] = []
        self.closed: list[ClosedTicks] = []
        self.hours: list[Any] = []
        self.fleet.groups.hours.wanted = True
        close = self.fleet.close

        def logged(watermark: float) -> Any:
            closed = close(watermark)
            self.closed += closed.ticks
            self.ticks += [ClosedTick(0, tick.end, tick.counts, tick.moments) for tick in closed.ticks]
            self.hours += self.fleet.groups.hours.take(watermark)
            return closed

        self.fleet.close = logged  # type: ignore[method-assign]

    def live(self, shift: float, hours: range) -> None:
        for hour in hours:
            i = np.arange(hour * 50, hour * 50 + 50)
            values = {"x": NOISE[i] + shift, "y": NOISE[-i - 1]}
            feed(self.fleet, columns(START + (i + 0.5) * HOUR / 50, ["m"] * 50, values), START + (hour + 1) * HOUR)

    def exclude(self, hours: range, **rest: Any) -> Outcome:
        from_, until = START + hours.start * HOUR, START + hours.stop * HOUR
        order = Order("exclude", "m", "ada", until, note="campaign", until=until, from_=from_, **rest)
        return carry_out(self.fleet, order, Past(lambda *_: self.ticks, lambda *_: self.hours))

    def reference(self) -> int:
        return int(self.fleet.series.rows["reference"][series_named(self.fleet, "x"), PRESENT])


def test_what_was_learned_of_it_is_forgotten() -> None:
    """A campaign in the reference makes all that follows a drift; excluded, it is none, and nothing is told again."""
    watched = Watched(LEARN)
    watched.live(1.5, range(20))
    watched.live(0.0, range(20, 110))
    [held] = watched.fleet.book.open.values()
    assert held.incident.feature == "x"
    [resolved] = watched.exclude(range(20)).incidents
    assert (resolved.id, resolved.state) == (held.incident.id, "resolved")
    assert "excluded" in resolved.resolved_because
    assert watched.fleet.models.rows["phase"][0] == Phase.FROZEN
    assert 50 * 60 <= watched.reference() <= 50 * 62, "the reference is complete with the 3,000th event that is left"
    watched.live(0.0, range(110, 150))
    assert not watched.fleet.book.open
    watched.live(1.5, range(150, 170))
    assert len(watched.fleet.book.open) == 1, "another campaign is a drift"


def test_what_it_hid_is_found() -> None:
    """A drift as the campaign had been is no news for a reference that has it; without, it is told, and since when."""
    watched = Watched(LEARN | {"tolerance": {"drift": 0.2}})
    watched.live(1.0, range(35))
    watched.live(0.0, range(35, 80))
    watched.live(0.9, range(80, 130))
    assert not watched.fleet.book.open
    [found] = watched.exclude(range(35)).incidents
    assert (found.state, found.feature) == ("firing", "x")
    assert found.fired_time == START + 130 * HOUR
    assert START + 75 * HOUR < found.onset_time < START + 100 * HOUR


def test_a_complete_reference_stays() -> None:
    """Of what came after the reference was complete only the evidence goes, and the incident that it was."""
    watched = Watched(LEARN)
    watched.live(0.0, range(90))
    before = watched.reference()
    watched.live(1.5, range(90, 100))
    [held] = watched.fleet.book.open.values()
    watched.live(0.0, range(100, 102))
    [resolved] = watched.exclude(range(90, 100)).incidents
    assert resolved.id == held.incident.id
    assert watched.reference() == before
    watched.live(0.0, range(102, 130))
    assert not watched.fleet.book.open


def test_what_is_wrong_besides_goes_on() -> None:
    """A drift that is older than the stretch, and lasts, is the same incident as before."""
    watched = Watched(LEARN)
    watched.live(0.0, range(80))
    watched.live(1.0, range(80, 130))
    [held] = watched.fleet.book.open.values()
    assert watched.exclude(range(100, 110)).incidents == ()
    [still] = watched.fleet.book.open.values()
    assert still.incident == held.incident
    watched.live(0.0, range(130, 160))
    assert not watched.fleet.book.open


def test_events_that_come_late_for_it_count_for_nothing() -> None:
    """What is excluded is neither judged nor learned should more of it close."""
    watched = Watched(LEARN)
    watched.live(0.0, range(40))
    watched.exclude(range(30, 39))
    before = watched.reference()
    feed(watched.fleet, [event(START + 38.5 * HOUR, {"x": 9.0, "y": 9.0})] * 50, until=START + 39 * HOUR)
    assert watched.reference() == before


def test_too_little_is_left() -> None:
    """A model of which nearly all is excluded learns again, and is judged when it has learned enough."""
    watched = Watched(LEARN)
    watched.live(0.0, range(40))
    watched.exclude(range(38))
    assert watched.fleet.models.rows["phase"][0] == Phase.LEARNING
    assert sum(watched.fleet.judge.n_cells.values()) == 0 or watched.fleet.judge.n_cells["drift"] == 0
    watched.live(0.5, range(40, 80))
    assert watched.fleet.judge.n_cells["drift"] == 2
    assert not watched.fleet.book.open


def test_groups_are_compared_again() -> None:
    """People who were refused in an experiment are no longer refused, nor counted, once it is excluded."""
    watched = Watched({"tick": "1h", "keep_firing": "12h", "sensitive": ("sex",), "favourable": ("yes",)})

    def decide(hours: range, women: float) -> None:
        for hour in hours:
            sex = np.where(RNG.random(60) < 0.5, "F", "M")
            yes = RNG.random(60) < np.where(sex == "F", women, 0.6)
            events = [
                event(START + (hour + i / 60) * HOUR, sensitive={"sex": s}, prediction={"label": "yes" if y else "no"})
                for i, (s, y) in enumerate(zip(sex.tolist(), yes.tolist(), strict=True))
            ]
            feed(watched.fleet, events, until=START + (hour + 1) * HOUR)

    decide(range(10), 0.6)
    decide(range(10, 16), 0.1)
    assert [held.incident.alertname for held in watched.fleet.book.open.values()] == ["ModelDisparateImpact"]
    decide(range(16, 18), 0.6)
    totals = watched.fleet.groups.register.tallies["total"]
    n = totals[: len(watched.fleet.groups.register.tallies), 0].max()
    [resolved] = watched.exclude(range(10, 16)).incidents
    assert resolved.state == "resolved"
    assert n - totals[: len(watched.fleet.groups.register.tallies), 0].max() > 100
    decide(range(18, 40), 0.6)
    assert not watched.fleet.book.open


def test_tags_are_compared_again() -> None:
    """A tag that goes with a group still does when hours of long ago are excluded; those are not shown."""
    watched = Watched({"tick": "1h", "keep_firing": "12h", "sensitive": ("sex",)})
    for hour in range(30):
        sex = np.where(RNG.random(60) < 0.5, "F", "M").tolist()
        cook = (RNG.random(60) < np.where(np.array(sex) == "F", 0.6, 0.2)).tolist()
        events = [
            event(
                START + (hour + i / 60) * HOUR,
                sensitive={"sex": sex[i]},
                prediction={"tags": ["person", *(["cook"] if cook[i] else [])]},
            )
            for i in range(60)
        ]
        feed(watched.fleet, events, until=START + (hour + 1) * HOUR)
    before = {held.incident.id for held in watched.fleet.book.open.values()}
    assert {held.incident.alertname for held in watched.fleet.book.open.values()} == {"ModelUnwarrantedAssociation"}
    register = watched.fleet.groups.register
    bases = register.tallies["base"][: len(register.tallies)]
    n = register.tallies["total"][bases, 0].max()
    watched.exclude(range(2, 4))
    assert {held.incident.id for held in watched.fleet.book.open.values()} == before
    assert 20 < n - register.tallies["total"][bases, 0].max() < 100


def test_traffic_is_expected_as_if_it_had_not_been() -> None:
    """Ten times the events for a day are no longer what that day of the week is expected to bring."""
    watched = Watched(LEARN)
    for hours, many in ((range(48), 20), (range(48, 72), 200), (range(72, 100), 20)):
        for hour in hours:
            times = START + hour * HOUR + np.arange(many) * HOUR / many
            feed(watched.fleet, columns(times, ["m"] * many, {"x": NOISE[:many]}), until=START + (hour + 1) * HOUR)
    before = watched.fleet.traffic.known(0).rates
    watched.exclude(range(48, 72))
    after = watched.fleet.traffic.known(0).rates
    assert max(before) > 100
    assert max(after) < 30


def test_it_stays_excluded(tmp_path: Path) -> None:
    """By a store's own logs it is excluded; after a restart it still is, and the audit trail says by whom, and why."""
    watched = Watched(LEARN)
    watched.live(0.0, range(70))
    with Database(tmp_path) as database:
        log = TickLog(database, math.inf)
        checkpoint = Checkpoint(database, log, math.inf, Trail(ManualClock(START)))
        checkpoint.save(watched.fleet, EventTime(0.0), {}, watched.closed, [])
        past = Past(log.read, GroupLog(database).read)
        order = Order("exclude", "m", "ada", START, note="campaign", until=START + 40 * HOUR, from_=START + 30 * HOUR)
        assert carry_out(watched.fleet, order, past).found
        assert watched.reference() == 50 * 60, "the 3,000th event that is left completes it"
        checkpoint.save(watched.fleet, EventTime(0.0), {}, [], [])
        assert carry_out(watched.fleet, Order("accept", "m", "ada", START), past).refused == ""
        assert watched.reference() == 50 * 70, "the last seven days are all there is"
        [order] = [entry for entry in entries(database) if entry.kind == "order"]
        again = new_fleet(LEARN, per_week=50, per_model=50)
        checkpoint.load(again, EventTime(0.0))
    said = (order.said["verb"], order.by, order.said["from"], order.said["note"])
    assert said == ("exclude", "ada", START + 30 * HOUR, "campaign")
    [held] = again.models.items[0].excluded
    assert (held.from_, held.until, held.by, held.note) == (START + 30 * HOUR, START + 40 * HOUR, "ada", "campaign")
    assert again.models.planned(np.array([0]), START + 35 * HOUR).all()
    assert not again.models.planned(np.array([0]), START + 41 * HOUR).any()
    assert not carry_out(again, Order("exclude", "absent", "ada", DAY, until=2.0, from_=1.0), Past(lambda *_: [])).found
