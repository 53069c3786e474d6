"""Does a fleet that is cut into shards count what a whole one counts, in the same event time, under one budget?"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest

from monitor.clock import ManualClock
from monitor.cluster.judges import _NoLetters, _OwnEvents
from monitor.cluster.router import Router, _Noted
from monitor.compose import make_decoders, make_fleet
from monitor.config import Config, load
from monitor.events.raw import Partition, RawBatch
from monitor.ingest.bundles import VERSION, unpacked
from monitor.ingest.routed import RoutedSource
from monitor.pipeline import Pace, Pipeline, Surroundings
from monitor.publish import Gallery, Painter
from monitor.status import ClusterView
from monitor.tally.event_time import EventTime
from monitor.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

START, SHARDS = 1_772_000_000.0, 4
P, Q = Partition("in", 0), Partition("in", 1)
CASES = 'model = "/cases/*/model", id = "/cases/*/id", "features.a" = "/cases/*/a"'
CONFIG = f"""
[clock]
lateness = "30s"
[cluster]
enabled = true
shards = {SHARDS}
[kafka]
bootstrap_servers = "127.0.0.1:1"
topics = [
  {{ name = "in" }},
  {{ name = "lists", format = "mapped", mapping = {{ time = "/time", {CASES} }} }},
]
"""


class Sent:
    """What was sent to each shard, as records of its partition."""

    def __init__(self) -> None:
        self.records: dict[int, list[bytes]] = {shard: [] for shard in range(SHARDS)}

    def send(self, partition: Partition, value: bytes, _placed: Callable[[int], None] | None = None) -> None:
        self.records[partition.number].append(value)

    def flush(self, _timeout_seconds: float) -> bool:
        return True


@pytest.fixture
def config(tmp_path: Path) -> Config:
    path = tmp_path / "config.toml"
    path.write_text(CONFIG)
    return load(path, {})


def batch(values: list[bytes], first: int, partition: Partition = P) -> RawBatch:
    n = len(values)
    return RawBatch(values, np.full(n, np.nan), [partition], np.zeros(n, np.int32), np.arange(first, first + n))


def events(n: int, seed: int) -> list[bytes]:
    rng = np.random.default_rng(seed)
    return [
        json.dumps(
            {"model": f"m{rng.integers(12)}", "id": f"{seed}-{i}", "time": START + i, "features": {"a": rng.normal()}}
        ).encode()
        for i in range(n)
    ]


def judged(config: Config, shard: int, records: list[bytes]) -> Pipeline:
    """A shard that was fed ``records``."""
    clock, decoders = ManualClock(START), make_decoders(config)
    own = {name: _OwnEvents(decoders(name), shard, SHARDS) for name in ("in", "lists")}
    source = RoutedSource({}, {}, 0, clock, 30.0)
    source.existing = frozenset({P, Q})
    source.feed(enumerate(records))

    class Kept:
        def save(self, *_: object) -> bool:
            return True

    around = Surroundings(clock, Metrics(), _NoLetters(), Kept(), lambda _: None)
    made = Pipeline(source, own.__getitem__, make_fleet(config, SHARDS), EventTime(30.0), around, Pace())
    while len(source):
        made.turn()
    return made


def counts(pipelines: list[Pipeline]) -> Counter[str]:
    found: Counter[str] = Counter()
    for pipeline in pipelines:
        rows = pipeline.fleet.models.rows["events"]
        for row, model in enumerate(pipeline.fleet.models.items):
            assert model.name not in found
            found[model.name] = int(rows[row])
    return found


def test_shards_are_the_fleet(config: Config) -> None:
    """Each model is in one shard, every event is counted there, and all have the watermark of who reads everything."""
    sent, first = Sent(), events(300, 1)
    second = events(280, 2)
    with closing(Router(config, sent, _NoLetters(), ManualClock(START + 1000.0), Metrics())) as router:
        whole = EventTime(30.0)
        for partition in (P, Q):
            router._topic_ids[partition.topic] = "id"
            router._resume(partition, 0, _Noted(VERSION, "id", 0, None, []))
        for at in range(0, 300, 50):
            for partition, values in ((P, first[at : at + 50]), (Q, second[at : at + 50])):
                router._route(batch(values, at, partition))
                times = np.array([json.loads(value)["time"] for value in values])
                whole.after_each(times, np.zeros(len(values), np.int32), [partition])
        for partition in (P, Q):
            for shard in range(SHARDS):
                router._send(shard, router._stretch(partition, shard, 300 if partition == P else 280))
    pipelines = [judged(config, shard, sent.records[shard]) for shard in range(SHARDS)]
    expected = Counter(json.loads(value)["model"] for value in first + second)
    assert counts(pipelines) == expected
    assert {pipeline.event_time.watermark for pipeline in pipelines} == {whole.watermark}
    assert sum(pipeline.totals.late for pipeline in pipelines) == 0


def test_a_record_of_many_models(config: Config) -> None:
    """A record with cases of several shards goes once to each, and each counts its own."""
    sent = Sent()
    cases = [{"model": f"m{i}", "id": str(i), "a": 1.0} for i in range(30)]
    value = json.dumps({"time": START, "cases": cases}).encode()
    lists = Partition("lists", 0)
    with closing(Router(config, sent, _NoLetters(), ManualClock(START), Metrics())) as router:
        router._topic_ids["lists"] = "id"
        router._resume(lists, 7, _Noted(VERSION, "id", 7, None, []))
        router._route(batch([value], 7, lists))
    assert [len(unpacked(record).values) for records in sent.records.values() for record in records] == [1] * SHARDS
    pipelines = [judged(config, shard, sent.records[shard]) for shard in range(SHARDS)]
    assert counts(pipelines) == Counter({f"m{i}": 1 for i in range(30)})


def test_the_budget_is_the_fleets(config: Config) -> None:
    """What all shards may spend together is what one fleet may; pages are divided, and none is left without."""
    whole, part = make_fleet(config), make_fleet(config, SHARDS)
    assert part.judge.budget.per_week * SHARDS == pytest.approx(whole.judge.budget.per_week)
    assert 0 < part.book.attention.per_day < whole.book.attention.per_day <= part.book.attention.per_day * SHARDS


def test_pictures_of_shards_are_one(config: Config) -> None:
    """Models of all shards stand sorted in one picture, which says what is known of the cluster; none is empty."""
    clock = ManualClock(START)
    gallery, pictures = Gallery(config, "run", clock), []
    for shard, names in enumerate((("b", "d"), ("a", "c"))):
        values = [json.dumps({"model": name, "time": START, "features": {"a": 1.0}}).encode() for name in names]
        fleet = make_fleet(config, SHARDS)
        fleet.absorb(make_decoders(config)("in").decode(values, np.full(2, np.nan)), np.zeros(2, bool))
        fleet.judge.budget.spent["drift"] = 0.25
        pictures.append(Painter(fleet, config, "run", clock).status(START + shard))
    view = ClusterView("me", 3, 7, (0, 1), SHARDS, ("in[0]",))
    merged = gallery.merged(pictures, ready=True, cluster=view)
    assert list(merged.fleet.names) == ["a", "b", "c", "d"]
    assert merged.fleet.events.tolist() == [1] * 4
    assert merged.watermark == START
    assert merged.budget["spent"]["drift"] == 0.5
    assert merged.cluster == view
    assert gallery.merged(pictures, cluster=view).fleet.names is merged.fleet.names
    assert len(gallery.merged([], cluster=view).fleet.names) == 0
