"""What one turn of the loop counts, and when it stores and tells."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fleets.build import HOUR, LEARNED, MINUTE, START, event, write_lines
from unit.pipeline.stage import Stage

from monitor.catalog.profile import Profile, number_series, save
from monitor.config import load
from monitor.decode.native import NativeDecoder
from monitor.events.columns import EventBatch
from monitor.events.raw import Partition, RawBatch
from monitor.ingest.files import FilesSource
from monitor.kernels.tally import PRESENT

NORMAL = np.random.default_rng(61).normal(0, 1, 20_000)


@pytest.fixture
def stage(tmp_path: Path):
    opened: list[Stage] = []

    def build(lines, config: str = "", **rest) -> Stage:
        (tmp_path / "config.toml").write_text(config)
        file = write_lines(tmp_path / "events.jsonl", lines)
        opened.append(Stage(load(tmp_path / "config.toml", {}), [file], tmp_path / "store", **rest))
        return opened[-1]

    yield build
    for one in opened:
        one.close()


def sample(one: Stage, name: str, **labels: str) -> float | None:
    return one.metrics.registry.get_sample_value(f"modelwatch_{name}", labels)


def test_events_by_kind(stage) -> None:
    """Each event is counted once, under the first of its parts."""
    one = stage(
        [
            event(START, {"a": 1.0}),
            event(START, {"a": 1.0}, prediction=0.5),
            event(START, id="1", outcome=1),
            event(START, metrics={"a": 1.0}),
            event(START, lifecycle="deployed"),
        ]
    )
    one.run()
    topic = one.source.positions().popitem()[0].topic
    kinds = ("features", "prediction", "outcome", "metrics", "lifecycle")
    assert [sample(one, "events_total", topic=topic, kind=kind) for kind in kinds] == [1] * 5
    assert one.pipeline.totals.events == 5


def test_nothing_is_left_for_the_collector(stage) -> None:
    """Turns make no cycles that outlive them: the daemon collects every five minutes, and a batch is megabytes."""
    people = [{"sensitive": {"sex": "FM"[i % 2]}, "segment": {"country": "AB"[i % 3 % 2]}} for i in range(600)]
    predictions = [
        event(START + 5.0 * i, {"x": i % 7, "c": "ab"[i % 2]}, id=f"{i}", prediction={"label": i % 3 == 0}, **who)
        for i, who in enumerate(people)
    ]
    outcomes = [event(START + 5.0 * (600 + i), id=f"{i}", outcome=i % 4 == 0) for i in range(600)]
    one = stage([*predictions, *outcomes], '[[models]]\nmatch = "*"\nfavourable = ["true"]\noutcome_horizon = "1h"\n')
    one.run(turns=3, commit_every=1)
    gc.collect()
    gc.disable()
    try:
        one.run(turns=6, commit_every=2)
        assert one.pipeline.ticks_closed > 10
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_dead_letters(stage) -> None:
    """What cannot be read is counted by its reason, goes to the box with its offset, and stops nothing."""
    lines = [event(START, {"a": 1.0}), b"{", b"[]", event(START, {"a": 1.0}, model=""), event(START, {"a": 2.0})]
    one = stage(lines)
    one.run()
    assert one.box.letters == [(1, "json"), (2, "not_object"), (3, "missing_model")]
    assert one.pipeline.rejected.total() == 3
    assert one.pipeline.totals.events == 2
    reasons = ("json", "not_object", "missing_model", "utf8")
    assert [sample(one, "dead_letters_total", reason=reason) for reason in reasons] == [1, 1, 1, 0]


def test_commit_waits_for_dead_letters(stage) -> None:
    """Offsets do not pass a record whose dead letter is still on its way, unless it is the end."""
    one = stage([b"{"] * 3)
    one.box.stuck = True
    one.run()
    one.pipeline.commit()
    assert one.saved == []
    one.pipeline.commit(whatever=True)
    assert [list(positions.values()) for positions in one.saved] == [[3]]


def test_late_events(stage) -> None:
    """An event whose tick has closed is counted as late and nowhere else; one within the lateness is not late."""
    times = [*range(10), 60, 240, 130, 119, 10, 250]  # lateness 2 min: at 240 the ticks up to 120 close
    one = stage([event(START + t, {"a": float(t)}) for t in times], '[clock]\nlateness = "2m"')
    one.run()
    one.pipeline.finish(120.0)
    assert one.pipeline.totals.late == 2
    assert one.pipeline.totals.events == 14
    assert sample(one, "late_events_total") == 2
    one.pipeline.commit()
    ticks = one.log.read(0, -np.inf, START + HOUR)
    assert sum(int(t.counts[0, 0]) for t in ticks) == 14
    assert int(one.fleet.models.rows["events"][0]) == 14


def test_future_events(stage) -> None:
    """An event dated further ahead of the clock than is believed is a dead letter and moves no watermark."""
    lines = [event(START + t, {"a": 1.0}) for t in (0, 599, 601, *[598] * 8)]
    one = stage(lines, now=START, future=600.0)
    one.run()
    assert one.box.letters == [(2, "future_time")]
    assert one.pipeline.event_time.reached.popitem()[1] == START + 599
    assert one.pipeline.totals.events == 10


@pytest.mark.parametrize("at", [0, 15])
def test_one_wrong_date_makes_nothing_late(stage, at: int) -> None:
    """An event dated decades ahead is counted in its tick, and those behind it in theirs, wherever it stands."""
    times = [60.0 * i for i in range(40)]
    times.insert(at, 1e9)
    one = stage([event(START + t, {"a": 1.0}) for t in times], '[clock]\nlateness = "0s"')
    one.run()
    assert one.pipeline.event_time.watermark == START + 39 * 60.0
    one.pipeline.finish(HOUR)
    assert (one.pipeline.totals.events, one.pipeline.totals.late) == (41, 0)
    assert not len(one.fleet.blocks)
    ends = [tick.end for tick in one.log.read(0, START, START + 2e9)]
    assert len(ends) == 41
    assert ends[-1] > START + 1e9


def test_duplicates(stage) -> None:
    """A record that comes again is counted as a duplicate and nowhere else: by model, id and kind."""
    prediction, outcome = {"features": {"a": 1.0}, "prediction": 0.5}, {"outcome": 1}
    said = [
        ("m", "1", prediction),
        ("m", "1", outcome),
        ("m", "1", prediction),
        ("m", "2", prediction),
        ("n", "1", prediction),
        ("m", "1", {"features": {"a": 1.0}}),
        ("m", "1", outcome),
        ("m", "2", {"prediction": 0.25}),
    ]
    lines = [event(START + i, model=model, id=id_, **parts) for i, (model, id_, parts) in enumerate(said)]
    one = stage([*lines, *[event(START + 9, {"a": 1.0})] * 2])
    one.run()
    assert (one.pipeline.duplicates, one.pipeline.totals.events) == (3, 7)
    assert sample(one, "duplicate_events_total") == 3
    assert sample(one, "events_without_id_total") == 2
    assert len(one.pipeline.fleet.duplicates) == 5
    assert one.pipeline.fleet.duplicates.false_ratio() == 5 / 2**64
    one.pipeline.finish(HOUR)
    tick = one.log.read(0, START, START + HOUR)[0]
    assert int(tick.counts[0, 0]) == 6


@pytest.mark.parametrize("batch_records", [1, 7, 1000])
def test_capacity_forgets_the_oldest(stage, batch_records: int) -> None:
    """What the capacity makes forget is counted again when it comes again, and that it was forgotten is counted."""
    lines = [event(START + i, {"a": 1.0}, id=str(i)) for i in range(2000)]
    one = stage([*lines, lines[1500], lines[0]], "[dedupe]\ncapacity = 1000", batch_records=batch_records)
    one.run()
    assert one.pipeline.duplicates == 1
    assert 333 <= len(one.pipeline.fleet.duplicates) <= 1000
    assert sample(one, "dedupe_keys_forgotten_early_total") == 1332


def test_a_turn_has_some_records_of_each_model(stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A larger fleet reads more in one turn, up to a limit, so that each model has several events in it."""
    for name, n in (("BATCH_RECORDS", 4), ("OF_EACH_MODEL", 3), ("BATCH_RECORDS_MAX", 10)):
        monkeypatch.setattr(f"monitor.pipeline.{name}", n)
    one = stage([event(START + i, {"a": 1.0}, model=f"m{min(i // 4, 4)}") for i in range(40)], batch_records=None)
    read = []
    while not one.source.finished():
        models = len(one.fleet.models)
        read.append((models, one.pipeline.turn()))
    assert read[:6] == [(0, 4), (1, 4), (2, 6), (4, 10), (5, 10), (5, 6)]


def test_a_turn_is_not_larger_where_decoding_takes_long(stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of records that Python reads a large fleet reads no more than a small one: a turn must not hold up all else."""
    for name, n in (("BATCH_RECORDS", 4), ("OF_EACH_MODEL", 3), ("BATCH_RECORDS_MAX", 10)):
        monkeypatch.setattr(f"monitor.pipeline.{name}", n)
    one = stage([event(START + i, {"a": 1.0}, model=f"m{i % 4}") for i in range(40)], batch_records=None)
    decode, seconds = NativeDecoder.decode, [0.2, 0.2, 0.01, 0.01]

    def slow(self: NativeDecoder, values: Sequence[bytes | None], *rest: Any) -> EventBatch:
        one.clock.advance(len(values) * (seconds.pop(0) if seconds else 0.0))
        return decode(self, values, *rest)

    monkeypatch.setattr(NativeDecoder, "decode", slow)
    assert [one.pipeline.turn() for _ in range(5)] == [4, 4, 4, 10, 10]


def test_limits_are_counted(stage) -> None:
    """What a limit turns away is counted under the limit's name."""
    lines = [event(START, {f"f{i}": 1.0, "c": f"v{i}"}, model=f"m{i % 2}") for i in range(12)]
    one = stage(lines, "[limits]\nmodels = 1\nfeatures_per_model = 3\ncategories_per_feature = 2")
    one.run()
    assert sample(one, "limits_turned_away_total", limit="models") == 6
    assert sample(one, "limits_turned_away_total", limit="features") == 4
    assert sample(one, "limits_turned_away_total", limit="categories") == 4


def test_open_ticks_are_limited(stage) -> None:
    """Ticks that lie further ahead than the limit on open ones are not opened, and what they lose is counted."""
    lines = [event(START + i * MINUTE, {"a": 1.0}, model=f"m{i % 7}") for i in range(3000)]
    one = stage(lines, '[clock]\nlateness = "1y"\n[limits]\nopen_ticks = 1000')
    one.run()
    assert len(one.fleet.blocks) == 1000
    assert one.pipeline.totals.events == 1000
    assert sample(one, "limits_turned_away_total", limit="open_ticks") == 2000


def test_a_stuck_partition_does_not_fill_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one partition holds event time back, the oldest ticks close early, counted, and its own events are late."""
    (tmp_path / "config.toml").write_text('[clock]\nlateness = "0s"\n[limits]\nopen_ticks = 500')
    slow = [event(START, {"a": 1.0}, model="slow")] * 12
    fast = [event(START + i * MINUTE, {"a": 1.0}) for i in range(1500)]
    files = [write_lines(tmp_path / "slow.jsonl", slow), write_lines(tmp_path / "fast.jsonl", fast)]
    one = Stage(load(tmp_path / "config.toml", {}), files, tmp_path / "store")
    monkeypatch.setattr(FilesSource, "merged", False)
    decoder, partitions = one.pipeline._decoder_of("t"), (Partition("t", 0), Partition("t", 1))
    for lines, source in ((slow[:10], 0), (fast, 1), (slow[10:], 0)):
        n = len(lines)
        raw = RawBatch(lines, np.full(n, np.nan), partitions, np.full(n, source, np.int32), np.arange(n), ())
        one.pipeline._absorb(raw, decoder)
    assert sample(one, "ticks_closed_early_total") > 900
    assert len(one.fleet.blocks) <= 500
    assert (one.pipeline.totals.late, one.pipeline.totals.ticks_turned_away) == (2, 0)
    one.close()


@pytest.mark.parametrize("batch_records", [1, 3, 100])
def test_a_version_does_not_reach_back(stage, tmp_path: Path, batch_records: int) -> None:
    """Events before a version's first count for the reference before it, and facts stand in the order they happened."""
    for version in "12":
        part = number_series("x", "feature", np.linspace(0, 1, 500), 500)
        save(Profile("m", version, 500, "training", [part]), tmp_path / f"{version}.mwref")
    lines = [
        event(START + 1, {"x": 0.1}, version="1"),
        event(START + 2, {"x": 0.2}, version="1"),
        event(START + 3, {"x": 0.3, "y": 1.0}, version="1"),
        event(START + 4, {"x": 0.4}, version="1", lifecycle="retrained"),
        event(START + 5, {"x": 0.5, "z": 1.0}, version="1"),
        event(START + 6, {"x": 0.6}, version="2"),
        event(START + 7, {"x": 0.7, "y": 1.0}, version="2"),
    ]
    text = f'[[models]]\nmatch = "*"\nreference = "file:{tmp_path}/{{version}}.mwref"'
    one = stage(lines, text, batch_records=batch_records)
    one.run()
    one.pipeline.finish(HOUR)
    [tick] = one.log.read(0, START, START + HOUR)
    names = [one.fleet.series.names[row] for row in one.fleet.models.items[0].series]
    assert names == ["x", "y", "x", "z", "x", "y"]
    assert tick.counts[1:, PRESENT].tolist() == [4, 1, 1, 1, 2, 1]
    facts = [(fact.time - START, fact.what) for fact in one.fleet.models.items[0].facts]
    assert facts == [
        (1, "version"),
        (1, "reference file"),
        (3, "new feature"),
        (4, "retrained"),
        (4, "reference file"),
        (5, "new feature"),
        (6, "version"),
        (6, "reference file"),
        (7, "new feature"),
    ]


def test_told_once_stored(stage) -> None:
    """Incidents are told behind the commit that holds them, and once."""
    shift = LEARNED * 50
    lines = [
        event(START + i * HOUR / 50, {"a": float(NORMAL[i]) + (3.0 if i > shift else 0.0)}) for i in range(shift + 500)
    ]
    one = stage(lines, '[[models]]\nmatch = "*"\ntick = "1h"')
    one.run()
    assert one.told == []
    one.pipeline.commit()
    assert [i.alertname for i in one.told] == ["ModelFeatureDrift"]
    one.pipeline.commit()
    assert len(one.told) == 1


def test_commits_in_time(stage) -> None:
    """Without incidents a commit comes when its time has come, not before."""
    one = stage([event(START + i * MINUTE, {"a": 1.0}) for i in range(50)], commit=5.0, batch_records=10)
    for seconds in (0, 2, 2, 2, 2):
        one.clock.advance(seconds)
        one.pipeline.turn()
    assert [list(positions.values()) for positions in one.saved] == [[40]]


def test_nothing_from_nothing(stage) -> None:
    """An empty file is an end like any other."""
    one = stage([])
    assert one.pipeline.turn() == 0
    one.pipeline.finish(60.0)
    assert one.pipeline.ticks_closed == 0
    assert len(one.saved) == 1
