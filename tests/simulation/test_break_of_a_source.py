"""The timeline of a source that breaks beneath many models, from events to pages: is one page what people get?"""

from __future__ import annotations

import numpy as np
import pytest
from fleets.build import DAY, MINUTE, START, columns, feed, new_fleet

from monitor.events.columns import EventBatch, ValueType
from monitor.incidents.incident import Incident

FED, OTHERS = 30, 10
NAMES = [f"m{i}" for i in range(FED + OTHERS)]
FEATURES = ("income", "age", "amount")
BREAK = START + DAY + 30 * MINUTE


def a_minute(rng: np.random.Generator, start: float, per_minute: np.ndarray, missing: float) -> EventBatch:
    """Events of a minute; of the models that the source feeds so many lack its number."""
    model = np.repeat(np.arange(len(NAMES)), rng.poisson(per_minute))
    rng.shuffle(model)
    times = start + np.sort(rng.uniform(0.0, MINUTE, len(model)))
    batch = columns(times, [NAMES[i] for i in model], {name: rng.normal(size=len(model)) for name in FEATURES})
    lacks = (model < FED) & (rng.random(len(model)) < missing)
    batch.type.reshape(-1, len(FEATURES))[lacks, 0] = ValueType.NULL
    return batch


def lived(gather: float) -> list[tuple[float, Incident]]:
    """What is told of models with .2 to 20 events a minute, of which a source feeds most and breaks: 45 % are missing.

    Each is when it was told, in minutes since the break, and what.
    """
    rng = np.random.default_rng(1)
    per_minute = np.exp(rng.uniform(np.log(0.2), np.log(20.0), len(NAMES)))
    fed = [(name, {"upstreams": ("bureau",)}) for name in NAMES[:FED]]
    fleet = new_fleet({"tick": "1m"}, clauses=fed)
    fleet.book.attention.gather = gather
    told = []
    first_hour = [(START + m * MINUTE, np.full(len(NAMES), 18.0), 0.01) for m in range(60)]
    next_day = [(START + DAY + m * MINUTE, per_minute, 0.01) for m in range(30)]
    broken = [(BREAK + m * MINUTE, per_minute, 0.45) for m in range(12)]
    for start, rate, missing in (*first_hour, *next_day, *broken):
        closed = feed(fleet, a_minute(rng, start, rate, missing), start + MINUTE)
        told += [((start + MINUTE - BREAK) / MINUTE, incident) for incident in closed.incidents]
    return told


def pages(told: list[tuple[float, Incident]]) -> list[tuple[float, str]]:
    """When somebody was called and by what, each incident once."""
    first: dict[str, tuple[float, str]] = {}
    for minute, incident in told:
        if incident.paged_time is not None:
            first.setdefault(incident.id, (minute, incident.alertname))
    return list(first.values())


@pytest.fixture(scope="module")
def told() -> list[tuple[float, Incident]]:
    return lived(300.0)


def test_one_page(told: list[tuple[float, Incident]]) -> None:
    """All that anybody is called by is the shared cause, within five minutes; its members name it and called nobody."""
    [(minute, alertname)] = pages(told)
    assert alertname == "FleetSharedCause"
    assert 0.0 < minute <= 5.0
    merged = {incident.model: incident for _, incident in told if incident.merged_into is not None}
    assert len(merged) >= 10
    assert {incident.paged_time for incident in merged.values()} == {None}
    assert set(merged) <= set(NAMES[:FED])


def test_the_page_is_no_later_than_without_waiting(told: list[tuple[float, Incident]]) -> None:
    """Without waiting those who saw it first call before the cause is known; the cause itself is told as soon."""
    at_once = pages(lived(0.0))
    assert [name for _, name in at_once[:-1]] == ["ModelDataQuality"] * (len(at_once) - 1)
    assert len(at_once) > 1
    assert at_once[-1] == pages(told)[0]
