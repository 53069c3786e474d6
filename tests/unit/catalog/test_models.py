"""What is remembered of a model's life, and where that ends."""

from __future__ import annotations

from fleets.build import DAY, START, event, feed, new_fleet

from monitor.catalog.models import FACTS_MAX, VERSIONS_MAX, Phase
from monitor.kernels.hashing import hash64


def test_versions_in_order_of_their_coming() -> None:
    """Each version is a fact with its time; the newest is the model's; one that comes back is not new."""
    fleet = new_fleet()
    versions = ["1", "2", "1", "3", "2"]
    feed(fleet, [event(START + i, {"a": 1.0}, version=v) for i, v in enumerate(versions)])
    [model] = fleet.models.items
    assert model.versions == ["1", "2", "3"]
    assert model.version == "3"
    assert [(fact.time - START, fact.what, fact.subject) for fact in model.facts] == [
        (0, "version", "1"),
        (1, "version", "2"),
        (3, "version", "3"),
    ]


def test_flood_of_versions() -> None:
    """A producer that sends a version of its own with each event costs bounded memory, and the newest is known."""
    fleet = new_fleet()
    feed(fleet, [event(START + i, {"a": 1.0}, version=f"v{i}") for i in range(3000)])
    [model] = fleet.models.items
    assert model.version == "v2999"
    assert len(model.versions) == VERSIONS_MAX
    assert len(model.facts) == FACTS_MAX
    assert len(fleet.models.versions.keys) <= 2048
    feed(fleet, [event(START + 9000, {"a": 1.0}, version="v2999")])
    assert model.versions.count("v2999") == 1


def test_lifecycle_is_a_fact() -> None:
    """What happens to a model is written down with its time."""
    fleet = new_fleet()
    feed(fleet, [event(START + i, lifecycle=word) for i, word in enumerate(["deployed", "retrained", "retired"])])
    facts = fleet.models.items[0].facts
    assert [(fact.time - START, fact.what) for fact in facts] == [(0, "deployed"), (1, "retrained"), (2, "retired")]


def test_found_by_name() -> None:
    """A model is found by its name, also one with an odd one; another name finds nothing."""
    fleet = new_fleet()
    names = ["m", "språk", "a/b", " ", "x" * 200]
    feed(fleet, [event(START, {"a": 1.0}, model=name) for name in names])
    assert [fleet.find_model(name) for name in names] == list(range(len(names)))
    assert fleet.find_model("y") is None
    assert int(fleet.models.index.find_one(hash64(b"m"))) == 0


def test_learning_first() -> None:
    """A new model learns; events, first and last time are counted."""
    fleet = new_fleet()
    feed(fleet, [event(START + t, {"a": 1.0}) for t in (5, 3, 9)])
    rows = fleet.models.rows
    assert Phase(int(rows["phase"][0])) == Phase.LEARNING
    assert rows["events"][0] == 3
    assert rows["first_time"][0] == START + 5
    assert rows["last_time"][0] == START + 9


def test_outcomes_are_read_before_predictions() -> None:
    """A model whose newer topic was read first began when its first tick did, and is judged after a day of it."""
    fleet = new_fleet()
    outcome = event(START + 30 * DAY, outcome="yes", id="0")
    cases = [event(START + i * 60, {"a": float(i % 7)}, id=str(i)) for i in range(2000)]
    feed(fleet, [outcome, *cases], until=START + 2 * DAY)
    rows = fleet.models.rows
    assert rows["first_time"][0] == START
    assert Phase(int(rows["phase"][0])) == Phase.GROWING
    assert rows["last_time"][0] == START + 30 * DAY
