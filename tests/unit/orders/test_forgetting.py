"""Is what is kept of one person alone removed, also where it is stored, and nothing of others?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fleets.build import DAY, START, decoded, event, new_fleet

from monitor.drill.past import Past
from monitor.events.raw import Partition
from monitor.fleet import Fleet
from monitor.incidents.order import Order, Whom
from monitor.orders import carry_out
from monitor.store.checkpoint import Checkpoint
from monitor.store.database import Database
from monitor.store.ticklog import TickLog
from monitor.tally.duplicates import keys_of
from monitor.tally.event_time import EventTime

MODELS = ("m", "n")


def met(stored: bool, tmp_path: Path) -> tuple[Fleet, Checkpoint]:
    """A fleet of two models that met three cases each, two of them of one person, and an outcome."""
    fleet = new_fleet({"favourable": ("y",)})
    said = [
        event(START + i, model=model, id=f"c{i}", entity=f"p{i // 2}", prediction="y")
        for model in MODELS
        for i in range(3)
    ]
    batch = decoded([*said, event(START + 9, model="m", id="c0", outcome="n")])
    checkpoint = Checkpoint(database := Database(tmp_path / "store"), TickLog(database, np.inf))
    checkpoint.load(fleet, EventTime(0.0))
    fleet.duplicates.find(keys_of(batch), np.full(len(batch), START))
    ends = fleet.tick_ends(batch)
    fleet.absorb(batch, np.zeros(len(batch), bool))
    fleet.join(batch, fleet.case_dues(batch, ends), np.full(len(batch), START))
    if stored:
        fleet.outcomes.pending.buffered_max = 0
        save(checkpoint, fleet)
    return fleet, checkpoint


def save(checkpoint: Checkpoint, fleet: Fleet) -> None:
    checkpoint.save(fleet, EventTime(0.0), {Partition("t", 0): 1}, [], [])


def asked(fleet: Fleet, whom: Whom) -> tuple[int, int, int]:
    outcome = carry_out(fleet, Order("forget", "id 123", "ada", START, whom=whom), Past(lambda *_: []))
    assert outcome.forgotten is not None
    assert any("sums" in part for part in outcome.forgotten.remains)
    return outcome.forgotten.waiting, outcome.forgotten.matured, outcome.forgotten.repeats


@pytest.mark.parametrize("stored", [False, True])
def test_an_id(stored: bool, tmp_path: Path) -> None:
    """Its cases go from every model, or from one, with the keys of its events, and cannot be found twice."""
    fleet, checkpoint = met(stored, tmp_path)
    assert asked(fleet, Whom("id", "c0", "m")) == (1, 0, 2)
    assert asked(fleet, Whom("id", "c0")) == (1, 0, 1)
    assert asked(fleet, Whom("id", "c0")) == (0, 0, 0)
    assert fleet.outcomes.n_waiting() == 4
    save(checkpoint, fleet)
    again = new_fleet({"favourable": ("y",)})
    checkpoint.load(again, EventTime(0.0))
    assert len(again.duplicates) == 4
    assert asked(again, Whom("id", "c0")) == (0, 0, 0)
    assert asked(again, Whom("id", "c1", "m")) == (1, 0, 1)


@pytest.mark.parametrize("stored", [False, True])
def test_a_person(stored: bool, tmp_path: Path) -> None:
    """All waiting cases of an entity go; those of others mature as if nothing had been."""
    fleet, _ = met(stored, tmp_path)
    assert asked(fleet, Whom("entity", "p0"))[:2] == (4, 0)
    assert asked(fleet, Whom("entity", "p0"))[:2] == (0, 0)
    fleet.close(START + 3 * DAY)
    assert fleet.outcomes.totals.rows["cases"][:2].tolist() == [1, 1]


def test_the_trail_does_not_name_the_person(tmp_path: Path) -> None:
    """What is kept of the order is who asked, when, and a digest."""
    fleet, _ = met(False, tmp_path)
    asked(fleet, Whom("id", "c0"))
    [order] = fleet.audit
    assert (order.subject, order.whom) == ("id 123", None)


@pytest.mark.parametrize(("retention", "kept"), [(None, 1), (2 * DAY, 1), (DAY, 0)])
def test_how_long_a_matured_case_is_known(retention: float | None, kept: int, tmp_path: Path) -> None:
    """`privacy.retention.cases` of the horizon itself keeps nothing of a case that has matured."""
    fleet, _ = met(False, tmp_path)
    fleet.outcomes.retention = retention
    fleet.close(START + 1.5 * DAY)
    assert asked(fleet, Whom("id", "c2", "m"))[:2] == (0, kept)
