"""What is let in when it is met, and what the limits turn away."""

from __future__ import annotations

import numpy as np
import pytest
from fleets.build import START, decoded, event, feed, new_fleet, series_named

from monitor.events.columns import Space
from monitor.kernels.tally import DROPPED, KIND_CATEGORY, KIND_NUMBER, KIND_UNKNOWN, PRESENT, TYPE
from monitor.tally.blocks import EVENTS_IN, WITH_FEATURES, WITH_METRICS, WITH_OUTCOME, WITH_PREDICTION


def absorb(fleet, events):
    batch = decoded(events)
    return fleet.absorb(batch, np.zeros(len(batch), bool))


def test_series_of_every_kind() -> None:
    """Features, parts of a prediction and metrics are series of their own, even under one name."""
    fleet = new_fleet()
    absorb(
        fleet,
        [event(START, {"x": 1.0}, prediction={"label": "a", "score": 0.5}, metrics={"x": 2.0}, segment={"x": "y"})],
    )
    got = {(Space(int(fleet.series.rows["space"][row])).name, fleet.series.names[row]) for row in range(5)}
    assert got == {
        ("FEATURE", "x"),
        ("PREDICTION", "label"),
        ("PREDICTION", "score"),
        ("METRIC", "x"),
        ("SEGMENT", "x"),
    }


def test_not_watched_yet() -> None:
    """Protected attributes, outcomes and tags are let through without a series."""
    fleet = new_fleet()
    absorb(fleet, [event(START, sensitive={"s": "y"}, id="1", outcome="z", prediction={"tags": []})])
    assert len(fleet.series.names) == 0


def test_events_are_counted_by_their_parts() -> None:
    """The first row of a tick says how many events there were, and how many had each part."""
    fleet = new_fleet()
    events = [
        event(START, {"a": 1.0}),
        event(START, {"a": 1.0}, prediction=0.5),
        event(START, metrics={"m": 1.0}),
        event(START, id="1", outcome=1),
    ]
    [tick] = feed(fleet, events).ticks
    head = tick.counts[0]
    assert head[[EVENTS_IN, WITH_FEATURES, WITH_PREDICTION, WITH_METRICS, WITH_OUTCOME]].tolist() == [4, 2, 1, 1, 1]


def test_first_value_decides() -> None:
    """The first value says whether a series is of numbers or of categories; the other type is a wrong type."""
    fleet = new_fleet()
    events = [event(START, {"a": 1.0, "b": "x"}), event(START, {"a": "x", "b": 1.0}), event(START, {"a": True, "b": 2})]
    [tick] = feed(fleet, events).ticks
    a, b = series_named(fleet, "a"), series_named(fleet, "b")
    assert fleet.series.rows["kind"][[a, b]].tolist() == [KIND_NUMBER, KIND_CATEGORY]
    assert tick.counts[1:, TYPE].tolist() == [2, 2]


def test_nothing_decides_nothing() -> None:
    """Nulls and numbers that are none leave the kind open until a value comes."""
    fleet = new_fleet()
    absorb(fleet, [event(START, {"a": None}), event(START, {"a": float("nan")})])
    row = series_named(fleet, "a")
    assert fleet.series.rows["kind"][row] == KIND_UNKNOWN
    absorb(fleet, [event(START, {"a": "x"})])
    assert fleet.series.rows["kind"][row] == KIND_CATEGORY


@pytest.mark.parametrize("batch", [1, 3, 40])
def test_what_is_dropped_lets_nothing_in_and_keeps_nothing_out(batch: int) -> None:
    """A value that was dropped is of no series before another lets one in; the next one does, in the same batch too."""
    fleet = new_fleet()
    values = [[1], [1], 1.0, [1], *range(36)]
    events = [event(START + i, {"a": i, "b": value}) for i, value in enumerate(values)]
    got = [absorb(fleet, events[first : first + batch]) for first in range(0, len(events), batch)]
    assert sum(each.values_turned_away for each in got) == 0
    [tick] = fleet.close(np.inf).ticks
    assert fleet.series.names == ["a", "b"]
    assert tick.counts[1:, [DROPPED, PRESENT]].tolist() == [[0, 40], [1, 38]]


def test_models_beyond_the_limit() -> None:
    """What comes of models beyond the limit is counted and costs nothing; those that are in go on."""
    fleet = new_fleet(models_max=3)
    got = absorb(fleet, [event(START, {"a": 1.0}, model=f"m{i % 10}") for i in range(50)])
    assert (got.events, got.models_turned_away) == (15, 35)
    assert len(fleet.models) == 3
    assert len(fleet.series.names) == 3


def test_features_beyond_the_limit() -> None:
    """Values of features beyond the limit are counted as turned away; those of the others are counted in."""
    fleet = new_fleet(series_max=4)
    got = absorb(fleet, [event(START, {f"f{i}": 1.0 for i in range(6)}) for _ in range(10)])
    assert got.values_turned_away == 20
    assert len(fleet.series.names) == 4
    assert absorb(fleet, [event(START, {"f0": 1.0, "f5": 1.0})]).values_turned_away == 1


def test_lists_are_not_turned_away() -> None:
    """A list or object as the first value of a feature makes no series, and no limit had to do with that."""
    fleet = new_fleet()
    assert absorb(fleet, [event(START, {"a": [1, 2]})]).values_turned_away == 0
    assert len(fleet.series.names) == 0


def test_flood_of_names() -> None:
    """A producer that makes up names of models and features leaves the fleet as small as its limits."""
    fleet = new_fleet(models_max=20, series_max=5)
    before = 0
    for batch in range(10):
        events = [event(START, {f"f{batch}-{i}-{j}": 1.0 for j in range(4)}, model=f"m{i % 30}") for i in range(200)]
        feed(fleet, events)
        held = fleet.series.rows.nbytes() + fleet.blocks.nbytes() + fleet.series.index.keys.nbytes
        assert batch < 2 or held == before
        before = held
    assert len(fleet.models) == 20
    assert len(fleet.series.names) == 100
    assert len(fleet.series.index) == 100


def test_category_cap() -> None:
    """Categories beyond the cap are one, and their values are counted; the first keep codes of their own."""
    fleet = new_fleet(categories_max=5)
    events = [event(START, {"c": f"v{i % 8}"}) for i in range(80)]
    got = absorb(fleet, events)
    row = series_named(fleet, "c")
    assert fleet.series.categories[row] == ["v0", "v1", "v2", "v3", "v4"]
    assert got.categories_turned_away == 30
    counts = fleet.close(np.inf).ticks[0].counts[1]
    assert counts[:6].tolist() == [10, 10, 10, 10, 10, 0]
    assert counts[30] == 30


def test_while_memory_is_short_nothing_new_is_let_in() -> None:
    """New models and series are turned away, what is known goes on, and both come in once there is memory again."""
    fleet = new_fleet()
    absorb(fleet, [event(START, {"x": 1.0}, model="known")])
    fleet.discovery.shut = True
    got = absorb(fleet, [event(START + 1.0, {"x": 1.0, "y": 1.0}, model=model) for model in ("known", "new")])
    assert (got.events, got.models_turned_away, got.values_turned_away) == (1, 1, 1)
    fleet.discovery.shut = False
    got = absorb(fleet, [event(START + 2.0, {"x": 1.0, "y": 1.0}, model=model) for model in ("known", "new")])
    assert (got.events, got.models_turned_away, got.values_turned_away) == (2, 0, 0)
