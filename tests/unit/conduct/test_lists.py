"""Are lists that stand still seen: the same ones for everybody, or those of the day before; and others left alone?"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fleets.build import DAY, HOUR, START, decoded, event, feed, hourly, new_fleet, replayed, write_lines

from monitor.catalog.models import Excluded
from monitor.conduct.lists import ALIKE, UNCHANGED
from monitor.fleet import Fleet
from monitor.incidents.incident import Incident
from monitor.portrait import model_document, model_states
from monitor.store.checkpoint import Checkpoint
from monitor.store.database import Database
from monitor.store.ticklog import TickLog
from monitor.tally.event_time import EventTime

POLICY = {"tick": "1h", "keep_firing": "6h"}
PER_HOUR = 50
RNG = np.random.default_rng(61)
DRAWN = RNG.integers(0, 1 << 30, (60_000, 5))


def served(i: int, day: int | None = None, pool: int = 40, kept: int = 30) -> list[str]:
    """Five of the ``pool`` items of the ``day`` on which event ``i`` falls; all but ``kept`` of them are its own."""
    day = i // (24 * PER_HOUR) if day is None else day
    chosen = dict.fromkeys((DRAWN[i] % pool).tolist())
    return [f"item {item}" if item < kept else f"item {item} of day {day}" for item in chosen]


def ranking(give: Callable[[int], list[str]]) -> Callable[[int], dict[str, Any]]:
    return lambda i: {"ranking": give(i)}


def run(fleet: Fleet, give: Callable[[int], dict[str, Any]], hours: range) -> list[Incident]:
    return hourly(fleet, lambda _: {}, hours, PER_HOUR, prediction=give)


def stuck(incidents: list[Incident]) -> list[Incident]:
    return [i for i in incidents if any(cell.detector == "stuck" for cell in i.cells)]


def test_one_list_for_everybody() -> None:
    """Everybody gets one list: told within a day as stuck rankings, with when it began; resolved when lists differ."""
    fleet = new_fleet(POLICY)
    assert run(fleet, ranking(served), range(30)) == []
    changed = stuck(run(fleet, ranking(lambda _: served(7)), range(30, 54)))
    assert {(i.alertname, i.detector, i.feature, i.state) for i in changed} == {
        ("ModelDataQuality", "stuck", "ranking", "firing")
    }
    first = changed[0]
    assert first.onset_time == START + 30 * HOUR
    assert first.fired_time <= START + 46 * HOUR
    assert "ranking: the same lists for everybody for" in first.summary
    assert first.effect is not None
    assert (first.effect.name, first.effect.tolerance) == ("seconds", HOUR / 2)
    done = stuck(run(fleet, ranking(served), range(54, 64)))
    assert {i.state for i in done} == {"resolved"}


def test_a_few_lists_for_everybody() -> None:
    """Lists that come in turn, and one in fifty that is another one, stand still as well."""
    fleet = new_fleet(POLICY)
    assert run(fleet, ranking(served), range(30)) == []
    few = lambda i: served(i) if i % 50 == 0 else served(i % 5)
    assert stuck(run(fleet, ranking(few), range(30, 50)))


def test_items_of_the_day_before() -> None:
    """Users get lists of their own from the items of one day, day after day, where a quarter used to change."""
    fleet = new_fleet(POLICY)
    assert run(fleet, ranking(served), range(8 * 24)) == []
    changed = stuck(run(fleet, ranking(lambda i: served(i, day=7)), range(8 * 24, 18 * 24)))
    assert {(i.alertname, i.detector, i.feature) for i in changed} == {("ModelDataQuality", "stuck", "ranking")}
    assert "ranking: the items of the day before for" in changed[0].summary
    assert START + 8 * DAY <= changed[0].onset_time <= START + 8 * DAY + 3 * HOUR
    assert changed[0].fired_time <= START + 15 * DAY
    done = stuck(run(fleet, ranking(served), range(18 * 24, 20 * 24)))
    assert {i.state for i in done} == {"resolved"}


def test_tags_for_everything() -> None:
    """A tagger that gives every photo one and the same set of tags is told; in which order they stand says nothing."""
    some = lambda i: {"tags": [f"tag {item % 25}" for item in DRAWN[i, : 1 + i % 3].tolist()]}
    same = lambda i: {"tags": ["person", "outdoor"][:: 1 if i % 2 else -1]}
    fleet = new_fleet(POLICY)
    assert stuck(run(fleet, some, range(30))) == []
    changed = stuck(run(fleet, same, range(30, 54)))
    assert {(i.detector, i.feature) for i in changed} == {("stuck", "tags")}


QUIET: dict[str, Callable[[int], list[str]]] = {
    "one list ever": lambda _: ["a", "b", "c"],
    "a catalogue that never changes": lambda i: served(i, day=0),
    "news of the hour": lambda i: [f"{item} at {i // PER_HOUR}" for item in served(i)],
    "renewed at noon": lambda i: served(i, day=(i // PER_HOUR + 12) // 24),
    "the same for everybody, another one each hour": lambda i: served(i // PER_HOUR),
    "one list at night": lambda i: served(i) if i // PER_HOUR % 24 >= 6 else served(0),
    "not renewed on weekends": lambda i: served(i, day=(d := i // (24 * PER_HOUR)) - max(d % 7 - 4, 0)),
}


@pytest.mark.parametrize("world", QUIET)
def test_what_always_stood_still_is_no_fault(world: str) -> None:
    """What is served to everybody, or day after day, as it was in the reference, is never told."""
    assert stuck(run(new_fleet(POLICY), ranking(QUIET[world]), range(11 * 24))) == []


def test_in_whatever_order_events_come() -> None:
    """What is kept of an hour is the same whichever partition is ahead, and however batches are cut."""
    events = [event(START + 72.0 * i, {}, prediction={"ranking": served(i)}) for i in range(200)]
    one, other = new_fleet(POLICY), new_fleet(POLICY)
    for fleet, order in ((one, range(200)), (other, [*range(1, 200, 2), *range(0, 200, 2)])):
        for first in range(0, 200, 40 if fleet is one else 7):
            batch = decoded([events[i] for i in order[first : first + (40 if fleet is one else 7)]])
            fleet.absorb(batch, np.zeros(len(batch), bool))
    for name in ("end", "events", "lists", "items"):
        np.testing.assert_array_equal(one.conduct.lists.served.rows[name][0], other.conduct.lists.served.rows[name][0])


def test_a_restart_goes_on(tmp_path: Path) -> None:
    """A store that is read back in the middle of an hour and of a stretch tells what an unbroken run tells."""
    give = lambda i: served(i) if i < 1500 else served(i % 3)
    whole, first, again = (new_fleet(POLICY) for _ in range(3))
    [fired] = stuck(run(whole, ranking(give), range(47)))[:1]
    run(first, ranking(give), range(35))
    half = [event(START + 35 * HOUR + 72.0 * (i - 1750), {}, prediction=ranking(give)(i)) for i in range(1750, 1800)]
    feed(first, half[:25], until=START + 35 * HOUR)
    with Database(tmp_path / "store") as database:
        Checkpoint(database, TickLog(database, np.inf)).save(first, EventTime(0.0), {}, [], [])
    with Database(tmp_path / "store") as database:
        Checkpoint(database, TickLog(database, np.inf)).load(again, EventTime(0.0))
        changed = feed(again, half[25:], until=START + 36 * HOUR).incidents
        changed += run(again, ranking(give), range(36, 47))
    [after] = stuck(changed)[:1]
    assert after == fired


def test_planned_hours_say_nothing() -> None:
    """One list for everybody in a stretch that was excluded is neither judged nor learned from."""
    fleet = new_fleet(POLICY)
    run(fleet, ranking(served), range(30))
    fleet.models.exclude(0, Excluded(START + 30 * HOUR, START + 60 * HOUR, "me", "campaign"))
    assert stuck(run(fleet, ranking(lambda _: served(7)), range(30, 60))) == []
    assert not fleet.conduct.lists.questions[0].rows["run_seconds"][0]
    assert stuck(run(fleet, ranking(lambda _: served(7)), range(60, 84)))


def test_shown_and_blind_spots() -> None:
    """A model's document has both cells in seconds; where its items are never new, that is a blind spot."""
    fleet = new_fleet(POLICY)
    run(fleet, ranking(served), range(8 * 24))
    document = model_document(fleet, 0, int(model_states(fleet)[0]))
    told = [line for line in document["conduct"] if line["detector"] == "stuck"]
    assert [line["effect"]["name"] for line in told] == ["seconds", "seconds"]
    assert [line["effect"]["tolerance"] for line in told] == [HOUR / 2, DAY / 2]
    assert not [spot for spot in document["blind_spots"] if spot["detector"] == "stuck"]
    old = new_fleet(POLICY)
    run(old, ranking(lambda i: served(i, day=0)), range(8 * 24))
    spots = model_document(old, 0, int(model_states(old)[0]))["blind_spots"]
    assert [spot["why"] for spot in spots if spot["detector"] == "stuck"] == [
        "the items it serves were nearly all served before"
    ]


def test_forgotten_with_its_model() -> None:
    """A model that is retrained has no incidents of its lists, and gives its part of the budget back."""
    fleet = new_fleet(POLICY)
    run(fleet, ranking(served), range(30))
    assert stuck(run(fleet, ranking(lambda _: served(7)), range(30, 54)))
    counted = fleet.judge.n_cells["quality"]
    closed = feed(fleet, [event(START + 54 * HOUR + 1, {}, lifecycle="retrained")])
    assert {incident.state for incident in stuck(closed.incidents)} == {"resolved"}
    assert not fleet.conduct.lists.questions[0].rows["applies"].any()
    assert fleet.judge.n_cells["quality"] == fleet.models.rows["n_cells"][0].sum() < counted


def test_no_more_bytes_than_were_said() -> None:
    """What is kept of a model that serves lists is what its page says, and of others next to nothing."""
    fleet = new_fleet(POLICY)
    run(fleet, lambda i: {"score": 0.5}, range(3))
    assert len(fleet.conduct.lists.served.rows) == 0
    tables = fleet.conduct.lists.tables()
    assert tables["conduct.served"].nbytes() / 256 <= 4300
    assert (tables[f"conduct.{ALIKE}"].nbytes() + tables[f"conduct.{UNCHANGED}"].nbytes()) / 256 <= 280


def test_replay_end_to_end(tmp_path: Path) -> None:
    """``replay`` finds a recommender that gives everybody one list, whatever the size of its batches."""
    lines = [
        json.dumps({"model": "shop", "time": START + 72.0 * i, "prediction": {"ranking": served(i if i < 1500 else 3)}})
        for i in range(2500)
    ]
    file = write_lines(tmp_path / "events.jsonl", [line.encode() for line in lines])
    config = '[[models]]\nmatch = "*"\ntick = "20m"\n'
    found = [replayed(tmp_path, config, file, batch_records=size).incidents for size in (97, 1000)]
    assert found[0] == found[1]
    assert [(i.model, i.detector, i.feature) for i in stuck(found[0])] == [("shop", "stuck", "ranking")]
