"""Is a model that is split watched per value of its segment, as one model and within one budget?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from fleets.build import HOUR, LEARNED, START, decoded, event, feed, hourly, new_fleet

from monitor.catalog.splits import REST
from monitor.fleet import Fleet
from monitor.incidents.document import incident_document
from monitor.incidents.incident import Incident
from monitor.portrait import model_document
from monitor.store.checkpoint import Checkpoint
from monitor.store.database import Database
from monitor.store.ticklog import TickLog
from monitor.tally.event_time import EventTime

NORMAL = np.random.default_rng(207).normal(0, 1, 80_000)
PER_HOUR = 1000


def split(**policy: Any) -> Fleet:
    return new_fleet({"tick": "1h", "split_by": ("country",), **policy})


def country(i: int) -> str:
    return "LU" if i % 20 == 7 else ("SE", "DE")[i % 2]


def serve(fleet: Fleet, hours: range, shift: float = 0.0) -> list[Incident]:
    """A thousand events an hour, one in twenty from a country in which ``x`` is moved by ``shift``."""
    return hourly(
        fleet,
        lambda i: {"x": float(NORMAL[i]) + shift * (country(i) == "LU")},
        hours,
        PER_HOUR,
        segment=lambda i: {"country": country(i)},
    )


def test_a_drift_in_one_country() -> None:
    """In a twentieth of the traffic it is found in its own part, as an incident of the model; elsewhere is nothing."""
    fleet = split()
    assert serve(fleet, range(LEARNED)) == []
    [first, *_] = serve(fleet, range(LEARNED, LEARNED + 16), 1.0)
    assert (first.model, first.alertname, first.segment) == ("m", "ModelFeatureDrift", "country=LU")
    assert first.labels["segment"] == "country=LU"
    assert first.summary.startswith("m: x where country=LU: share of ")
    [held] = fleet.book.open.values()
    assert {cell.segment for cell in held.incident.cells} == {"country=LU"}
    said = incident_document(held.incident)
    assert said["segment"] == said["cells"][0]["segment"] == "country=LU"
    document = model_document(fleet, 0, 0)
    assert [(part["segment"], part["state"]) for part in document["splits"]] == [
        *(("country=SE", "watching"), ("country=DE", "watching"), ("country=LU", "firing"))
    ]
    assert document["events"] == sum(part["events"] for part in document["splits"])


def test_nothing_is_told_of_nothing() -> None:
    """Where nothing moves nothing is told; the parts spend what their model may, not more."""
    fleet = split()
    assert serve(fleet, range(70)) == []
    cells = fleet.models.rows["n_cells"][:, 0]
    assert cells[0] > 4
    assert not cells[1:].any()


def test_not_split_nobody_sees_it() -> None:
    """The same drift is diluted in the whole: this is what a split is for."""
    fleet = new_fleet({"tick": "1h"})
    assert serve(fleet, range(LEARNED)) == []
    assert serve(fleet, range(LEARNED, LEARNED + 16), 1.0) == []
    assert len(fleet.models) == 1


def test_further_values_are_one() -> None:
    """Beyond the limit values are counted together, and how many events that were is known."""
    fleet = split()
    fleet.splits.values_max = 2
    events = [event(START + i, {"x": 1.0}, segment={"country": f"c{i % 5}", "arm": "b"}) for i in range(50)]
    absorbed = fleet.absorb(decoded(events), np.zeros(50, bool))
    assert [part["segment"] for part in parts(fleet)] == ["country=c0", "country=c1", f"country={REST}"]
    assert [part["events"] for part in parts(fleet)] == [10, 10, 30]
    assert (absorbed.events, absorbed.segments_turned_away) == (50, 30)


def test_values_of_other_kinds_and_none() -> None:
    """Numbers and truth values are what classes of that name are; an event without one is of the whole alone."""
    fleet = split(split_by=("arm", "country"))
    said: list[dict[str, Any]] = [{"arm": 1}, {"arm": True, "country": "SE"}, {"country": None}, {}, {"arm": 1.0}]
    feed(fleet, [event(START + i, {"x": 1.0}, segment=one) for i, one in enumerate(said)])
    assert {(part["segment"], part["events"]) for part in parts(fleet)} == {*(("arm=1", 3), ("country=SE", 1))}


def test_what_is_shown_is_bounded() -> None:
    """A value is shown without control characters and cut; one of a protected segment is not shown at all."""
    fleet = split(split_by=("a", "sex"), sensitive=("sex",))
    feed(fleet, [event(START, {"x": 1.0}, segment={"a": "\u202e" + 100 * "v", "sex": "F"})])
    shown = {part["segment"] for part in parts(fleet)}
    assert shown == {"a=\N{REPLACEMENT CHARACTER}" + 62 * "v" + "\N{HORIZONTAL ELLIPSIS}", "sex=(protected)"}


def test_lives_end_together() -> None:
    """A retired model's parts are retired with it: none of its cells is left, nor its incident."""
    fleet = split()
    serve(fleet, range(LEARNED))
    serve(fleet, range(LEARNED, LEARNED + 16), 1.0)
    assert fleet.book.open
    fleet.lives.retire(0, START + (LEARNED + 16) * HOUR)
    assert not fleet.book.open
    assert fleet.models.rows["n_cells"][0, 0] == 0


def test_split_no_more_since_a_restart(tmp_path: Path) -> None:
    """Who is started with a policy that splits no more ends the incidents of the parts, as a reload does."""
    fleet, restarted = split(), new_fleet({"tick": "1h"})
    serve(fleet, range(LEARNED))
    serve(fleet, range(LEARNED, LEARNED + 16), 1.0)
    assert fleet.book.open
    with Database(tmp_path / "store") as database:
        checkpoint = Checkpoint(database, TickLog(database, np.inf))
        checkpoint.save(fleet, EventTime(0.0), {}, [], [])
        Checkpoint(database, TickLog(database, np.inf)).load(restarted, EventTime(0.0))
        assert not restarted.book.open
        serve(restarted, range(LEARNED + 16, LEARNED + 17))
        assert all(part["features"] == [] for part in parts(restarted))


def parts(fleet: Fleet) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = model_document(fleet, 0, 0)["splits"]
    return found


def test_no_room_for_parts() -> None:
    """Where the fleet may have no further model, the whole is watched as ever, and what has no part is counted."""
    fleet = new_fleet({"split_by": ("country",)}, models_max=1)
    events = [event(START + i, {"x": 1.0}, segment={"country": "SE"}) for i in range(5)]
    absorbed = fleet.absorb(decoded(events), np.zeros(5, bool))
    assert (absorbed.events, absorbed.segments_turned_away) == (5, 5)
    assert parts(fleet) == []
