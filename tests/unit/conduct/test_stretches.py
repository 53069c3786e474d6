"""Is a value that stands still seen, and one that always did, seldom varies or sleeps at night left alone?"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
from fleets.build import DAY, HOUR, LEARNED, START, cells_of, event, feed, hourly, new_fleet, series_named

from monitor.catalog.series import UNJUDGED
from monitor.incidents.incident import Incident
from monitor.portrait import model_document, model_states

NORMAL = np.random.default_rng(31).normal(0, 1, 60_000)
UNIFORM = np.random.default_rng(32).random(60_000)
POLICY = {"tick": "1h", "keep_firing": "6h"}
BEGINS = LEARNED + 34


def told(incidents: list[Incident], detector: str) -> set[str | None]:
    return {cell.feature for incident in incidents for cell in incident.cells if cell.detector == detector}


def healthy(i: int) -> dict[str, Any]:
    return {
        "x": float(NORMAL[i]),
        "level": "low" if UNIFORM[i] < 0.5 else "mid" if UNIFORM[i] < 0.8 else "high",
        "note": f"one of a great many free texts, number {int(1e6 * UNIFORM[i])}",
        "request": f"r{int(1e9 * UNIFORM[i])}",
    }


def test_frozen_is_found_and_resolved() -> None:
    """A number, a class, a free text or an identifier that stands still is told, with when it began, and let go."""
    fleet = new_fleet(POLICY)
    assert hourly(fleet, healthy, range(BEGINS)) == []
    for turn, name in enumerate(["x", "level", "note", "request"]):
        begins = BEGINS + 24 * turn
        frozen = healthy(7)[name]
        changed = hourly(fleet, lambda i, it={name: frozen}: healthy(i) | it, range(begins, begins + 12))
        own = [incident for incident in changed if incident.alertname == "ModelDataQuality"]
        assert told(own, "stuck") == {name}
        [cell] = [cell for cell in own[-1].cells if cell.detector == "stuck"]
        assert cell.fired_time <= START + (begins + 12) * HOUR
        assert abs(cell.onset_time - (START + begins * HOUR)) <= HOUR
        assert "the same value for" in own[-1].description
        done = hourly(fleet, healthy, range(begins + 12, begins + 24))
        assert told([i for i in done if i.state == "resolved"], "stuck") == {name}


def test_what_drift_does_not_judge() -> None:
    """Free texts and identifiers have no distribution to drift: that they stand still is told by this alone."""
    fleet = new_fleet(POLICY)
    hourly(fleet, healthy, range(BEGINS))
    changed = hourly(fleet, lambda i: healthy(i) | {"note": "out of order, call later"}, range(BEGINS, BEGINS + 20))
    assert cells_of(changed) == {("stuck", "note")}


def test_frozen_score_and_metric() -> None:
    """A score and a metric that stand still are told; the score's as the prediction's."""
    answers: Callable[[int], dict[str, float]] = lambda i: {"score": float(UNIFORM[i])}
    latency: Callable[[int], dict[str, float]] = lambda i: {"latency_seconds": float(UNIFORM[-i])}
    fleet = new_fleet(POLICY)
    assert hourly(fleet, healthy, range(BEGINS), prediction=answers, metrics=latency) == []
    stuck = {"prediction": {"score": 0.5}, "metrics": {"latency_seconds": 0.25}}
    changed = hourly(fleet, healthy, range(BEGINS, BEGINS + 12), **stuck)
    assert told(changed, "stuck") == {"score", "latency_seconds"}
    assert any("predicted score: the same value" in incident.description for incident in changed)


QUIET: dict[str, Callable[[int], Any]] = {
    "constant": lambda i: 5.0,
    "nearly constant": lambda i: float(i % 1000 == 0),
    "rare": lambda i: bool(UNIFORM[i] < 0.02),
    "once a day": lambda i: float(NORMAL[i // (50 * 24)]),
    "hours of plateaus": lambda i: float(NORMAL[i // 170]),
    "still at night": lambda i: float(NORMAL[i]) if (i // 50) % 24 >= 8 else 0.0,
    "rounded": lambda i: float(round(10 * np.sin(i / 2000) + 0.3 * NORMAL[i])),
}


def test_what_always_stood_still_is_no_fault() -> None:
    """What is constant, varies seldom, or sleeps at night as it did in the reference is never told as stuck."""
    fleet = new_fleet(POLICY)
    changed = hourly(fleet, lambda i: {name: value(i) for name, value in QUIET.items()}, range(14 * 24))
    assert told(changed, "stuck") == set()


def test_one_event_an_hour_takes_its_time() -> None:
    """A model that answers once an hour is judged as the others are: later, and not falsely."""
    fleet = new_fleet(POLICY)
    some = lambda i: {"x": float(NORMAL[i])}
    assert hourly(fleet, some, range(1160), per_hour=1) == []
    changed = hourly(fleet, lambda i: {"x": 0.5}, range(1160, 1200), per_hour=1)
    assert told(changed, "stuck") == {"x"}


def test_fewer_bytes_than_were_said() -> None:
    """What is kept of a series is no more than its page says: 92 bytes."""
    fleet = new_fleet(POLICY)
    rows = fleet.conduct.stretches.rows
    assert rows.nbytes() / 256 <= 92


def timestamps(delay: Callable[[int], float]) -> Callable[[int], dict[str, float]]:
    return lambda i: {"updated_at": START + i * HOUR / 50 - delay(i)}


def test_stale_source() -> None:
    """A timestamp that falls behind is told with its age, though its values go on changing; and resolved."""
    usual = lambda i: 600.0 * (1 + UNIFORM[i])
    late = lambda i: 8 * HOUR * (1 + UNIFORM[i])
    fleet = new_fleet(POLICY)
    assert hourly(fleet, timestamps(usual), range(8 * 24)) == []
    changed = hourly(fleet, timestamps(late), range(8 * 24, 8 * 24 + 24))
    assert told(changed, "stale") == {"updated_at"}
    assert "its newest time is" in changed[0].summary
    done = hourly(fleet, timestamps(usual), range(9 * 24, 9 * 24 + 12))
    assert {incident.state for incident in done} == {"resolved"}


def test_stopped_clock() -> None:
    """A timestamp that stopped is stale, from about the age that it never had."""
    fleet = new_fleet(POLICY)
    assert hourly(fleet, timestamps(lambda i: 60.0), range(8 * 24)) == []
    changed = hourly(fleet, lambda i: {"updated_at": START + 8 * DAY}, range(8 * 24, 9 * 24))
    assert told(changed, "stale") == {"updated_at"}
    assert changed[0].onset_time >= START + 8 * DAY


def test_daily_batch_is_not_stale() -> None:
    """A source that is renewed each midnight is as old as a day every evening, and a weekend is no fault."""

    def renewed(i: int) -> dict[str, float]:
        day = i // (10 * 24)
        return {"updated_at": START + DAY * (day - max(day % 7 - 4, 0))}

    fleet = new_fleet(POLICY)
    assert told(hourly(fleet, renewed, range(28 * 24), per_hour=10), "stale") == set()


def test_days_in_words_have_no_age() -> None:
    """A batch model's date as text is a timestamp; it is not told as stale by what a text hashes to."""
    fleet = new_fleet({"tick": "1d"})
    for day in range(70):
        date = datetime.fromtimestamp(START + day * DAY, UTC).strftime("%Y%m%d")
        events = [event(START + day * DAY + i, {"date": date, "x": float(UNIFORM[i])}) for i in range(50)]
        assert feed(fleet, events, until=START + (day + 1) * DAY).incidents == []
    assert fleet.series.rows["unjudged"][series_named(fleet, "date")] == UNJUDGED.index("timestamp")


def test_a_time_in_words_that_stopped() -> None:
    """Times in words have no age, and a blind spot says so; that one stands still is told as of any text."""
    moment = lambda i: datetime.fromtimestamp(START + i * HOUR / 50 - 60.0, UTC).isoformat()
    fleet = new_fleet(POLICY)
    assert hourly(fleet, lambda i: {"updated_at": moment(i)}, range(BEGINS)) == []
    row = series_named(fleet, "updated_at")
    assert fleet.series.rows["unjudged"][row] == UNJUDGED.index("timestamp")
    changed = hourly(fleet, lambda _: {"updated_at": moment(50 * BEGINS)}, range(BEGINS, BEGINS + 20))
    assert told(changed, "stuck") == {"updated_at"}
    spots = model_document(fleet, 0, int(model_states(fleet)[0]))["blind_spots"]
    assert [spot["feature"] for spot in spots if spot["detector"] == "stale"] == ["updated_at"]


def test_forgotten_with_its_series() -> None:
    """A model that is retrained has neither cells nor incidents of what stood still before."""
    fleet = new_fleet(POLICY)
    hourly(fleet, healthy, range(BEGINS))
    hourly(fleet, lambda i: healthy(i) | {"note": "out of order, call later"}, range(BEGINS, BEGINS + 20))
    assert fleet.book.open
    row = series_named(fleet, "note")
    closed = feed(fleet, [event(START + (BEGINS + 20) * HOUR + 1, healthy(1), lifecycle="retrained")])
    assert {incident.state for incident in closed.incidents} == {"resolved"}
    assert not fleet.conduct.stretches.rows["applies"][row]
