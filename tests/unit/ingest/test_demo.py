"""The demo fleet: what it plants is in its events, and nothing else is."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from functools import cache
from typing import Any

import numpy as np
import pytest

from monitor.decode.limits import DecodeLimits
from monitor.decode.native import NativeDecoder
from monitor.events.raw import Partition
from monitor.ingest.demo import PARTITION, START, DemoFleet, DemoSource
from monitor.ingest.demo_faults import Fault, FaultKind
from monitor.ingest.demo_laws import BUSY_MODELS_MIN, BUSY_RATE, RATE_MIN, ModelLaw, model_laws
from monitor.kernels.tally import BINS, EVENTS, PRESENT
from monitor.stats.distances import cdf_gap, share_gap

Part = list[dict[str, Any]]

DAYS = 0.4
SEED = 3


def fleet(models: int = BUSY_MODELS_MIN, days: float = DAYS, seed: int = SEED) -> DemoFleet:
    return DemoFleet(models, seed, days)


def read_all(source: DemoSource, records_max: int = 5000) -> list[bytes]:
    values: list[bytes] = []
    while batch := source.poll(records_max, 0.0):
        values.extend(value for value in batch.values if value is not None)
    return values


@cache
def events() -> Part:
    return [json.loads(value) for value in read_all(DemoSource(fleet()))]


def split(fault: Fault) -> tuple[Part, Part]:
    """The events of a fault's model outside of it and under it."""
    outside, under = [], []
    for event in events():
        if event["model"] == fault.model:
            (under if fault.began <= event["time"] < fault.ended else outside).append(event)
    return outside, under


def values(part: Part, name: str) -> list[Any]:
    return [event["features"].get(name, "gone") for event in part]


def finite(part: Part, name: str) -> np.ndarray:
    numbers = [value for value in values(part, name) if isinstance(value, int | float)]
    return np.array(numbers, float)


def test_the_same_seed_gives_the_same_bytes() -> None:
    """Models, faults and events follow from their arguments alone, whatever the size of the batches."""
    assert read_all(DemoSource(fleet()), 999) == read_all(DemoSource(fleet()), 7777)
    assert fleet().faults == fleet().faults
    assert fleet(seed=4).faults != fleet().faults


def test_every_event_is_one_and_in_order() -> None:
    """The events are native ones, none is rejected, their times run on within the stream, and no id comes twice."""
    source = DemoSource(fleet())
    decoder = NativeDecoder(DecodeLimits())
    times: list[float] = []
    while raw := source.poll(4000, 0.0):
        assert np.isnan(raw.timestamps).all()
        batch = decoder.decode(raw.values, raw.timestamps)
        assert len(batch) == len(raw)
        assert batch.unknown_fields == 0
        times.extend(batch.time.tolist())
    assert times == sorted(times)
    assert times[0] >= START
    assert times[-1] < START + DAYS * 86400.0
    assert len({(event["model"], event["id"]) for event in events()}) == len(events()) == len(times)


def test_about_as_many_events_as_announced() -> None:
    """The number of events is what the rates say, within five standard deviations and the swing of a part of a day."""
    expected = fleet(days=1.0).events_expected()
    got = len(read_all(DemoSource(fleet(days=1.0))))
    assert abs(got - expected) < 5 * math.sqrt(expected) + len(fleet().models)


def test_traffic_follows_a_power_law() -> None:
    """Most models are quiet, a few are busy, none is idle; a small fleet has busy models enough for every fault."""
    demo = DemoFleet()
    rates = np.array([model.rate for model in demo.models])
    assert rates.min() >= RATE_MIN
    assert 15.0 < np.median(rates) < 60.0
    assert rates.max() > 500.0
    assert 0.15 < (rates >= BUSY_RATE).mean() < 0.35
    assert sum(model.busy for model in model_laws(BUSY_MODELS_MIN, 1)) == BUSY_MODELS_MIN
    assert 600_000 < demo.events_expected() < 1_000_000


def test_a_fault_of_each_kind_on_a_busy_model_of_its_own() -> None:
    """Every kind is planted once, on distinct busy models, within the stream; some end before it does."""
    for seed in range(1, 4):
        demo = DemoFleet(60, seed)
        busy = {model.name for model in demo.models if model.busy}
        assert sorted(fault.kind for fault in demo.faults) == sorted(FaultKind)
        assert len({fault.model for fault in demo.faults}) == len(FaultKind)
        assert {fault.model for fault in demo.faults} <= busy
        assert all(demo.start < fault.began < fault.ended <= demo.end for fault in demo.faults)
        assert any(fault.ended < demo.end for fault in demo.faults)
    assert len(DemoFleet(models=3).faults) == 3


def shifted(model: ModelLaw, name: str, outside: Part, under: Part) -> bool:
    (law,) = (law for law in model.numbers if law.name == name)
    moved = (finite(under, name).mean() - finite(outside, name).mean()) / law.spread
    return abs(moved - 0.5) < 4 * 1.05 * math.sqrt(1.0 / len(under) + 1.0 / len(outside))


def in_another_unit(_model: ModelLaw, name: str, outside: Part, under: Part) -> bool:
    return 300.0 < np.median(finite(under, name)) / np.median(finite(outside, name)) < 3000.0


def swapped(model: ModelLaw, name: str, outside: Part, under: Part) -> bool:
    (fault,) = (fault for fault in fleet().faults if fault.model == model.name)
    other = fault.features[1]
    forth = abs(np.median(finite(under, name)) - np.median(finite(outside, other)))
    back = abs(np.median(finite(under, other)) - np.median(finite(outside, name)))
    return name != other and max(forth, back) < 5.0


def share_halved(model: ModelLaw, name: str, _outside: Part, under: Part) -> bool:
    (law,) = (law for law in model.categories if law.name == name)
    share = values(under, name).count(law.values[0]) / len(under)
    return abs(share - law.shares[0] / 2) < 4 * 0.5 / math.sqrt(len(under))


def with_strangers(_model: ModelLaw, name: str, outside: Part, under: Part) -> bool:
    known = set(values(outside, name))
    return 0.2 < sum(value not in known for value in values(under, name)) / len(under) < 0.4


def missing(_model: ModelLaw, name: str, outside: Part, under: Part) -> bool:
    before, now = (values(part, name).count(None) / len(part) for part in (outside, under))
    return before < 0.05 and 0.2 < now < 0.4


def vanished(_model: ModelLaw, name: str, outside: Part, under: Part) -> bool:
    return set(values(under, name)) == {"gone"} and "gone" not in values(outside, name)


def as_text(_model: ModelLaw, name: str, outside: Part, under: Part) -> bool:
    before, now = ({type(value) for value in values(part, name)} - {type(None)} for part in (outside, under))
    return before == {float} and now == {str}


def flooded(_model: ModelLaw, name: str, outside: Part, under: Part) -> bool:
    return 0.1 < np.isnan(finite(under, name)).mean() < 0.3 and not np.isnan(finite(outside, name)).any()


def answered_higher(_model: ModelLaw, _name: str, outside: Part, under: Part) -> bool:
    before, now = (np.mean([event["prediction"]["score"] for event in part]) for part in (outside, under))
    return bool(0.05 < now - before < 0.3)


SIGNS = {
    FaultKind.MEAN_SHIFT: shifted,
    FaultKind.UNIT_CHANGE: in_another_unit,
    FaultKind.COLUMNS_SWAPPED: swapped,
    FaultKind.SHARE_MOVED: share_halved,
    FaultKind.UNSEEN_CATEGORY: with_strangers,
    FaultKind.MISSING: missing,
    FaultKind.VANISHED: vanished,
    FaultKind.TYPE_CHANGE: as_text,
    FaultKind.NAN_FLOOD: flooded,
    FaultKind.SCORE_DRIFT: answered_higher,
}


@pytest.mark.parametrize("kind", list(FaultKind))
def test_a_fault_does_what_it_says(kind: FaultKind) -> None:
    """Under a fault its features are as its kind says, and before and after it they are not."""
    (fault,) = (fault for fault in fleet().faults if fault.kind is kind)
    (model,) = (model for model in fleet().models if model.name == fault.model)
    outside, under = split(fault)
    assert min(len(outside), len(under)) > 50
    assert SIGNS[kind](model, fault.feature, outside, under)


def test_what_no_fault_touches_is_as_its_reference() -> None:
    """Outside of faults every feature and answer follows the law that its reference was drawn from."""
    demo = fleet()
    references = {profile.model: profile for profile in demo.references()}
    clean: dict[str, Part] = {fault.model: split(fault)[0] for fault in demo.faults}
    assert references.keys() == clean.keys()
    for name, part in clean.items():
        for series in references[name].series:
            got = [event["features" if series.space == "feature" else "prediction"][series.name] for event in part]
            present = [value for value in got if value is not None]
            counts = np.zeros(BINS)
            if series.kind == "number":
                places = np.searchsorted(series.edges, present, side="left")
                counts[:] = np.bincount(places, minlength=BINS)
            else:
                counts[: len(series.categories)] = [present.count(value) for value in series.categories]
                assert counts.sum() == len(present)
            gap = (cdf_gap if series.kind == "number" else share_gap)(series.counts[:BINS], counts)
            # 220 comparisons: Kolmogorov's distance passes 2.4 / sqrt(n) in one of 100,000.
            assert gap < 2.4 * math.sqrt(1.0 / len(present) + 1.0 / series.counts[PRESENT]), (name, series.name)
            absent = 1.0 - series.counts[PRESENT] / series.counts[EVENTS]
            assert abs(absent - got.count(None) / len(got)) < 0.03


def test_a_model_has_twenty_features_and_answers() -> None:
    """Every event has 16 numbers, 4 categories, a score and a label, unless a feature vanished; few are missing."""
    by_model = defaultdict(list)
    for event in events():
        by_model[event["model"]].append(event)
    for part in by_model.values():
        assert len(part[0]["features"]) == 20
        assert sum(isinstance(value, str) for value in part[0]["features"].values()) == 4
        assert all(event["prediction"].keys() == {"label", "score"} for event in part)
        favoured = {event["prediction"]["label"] for event in part if event["prediction"]["score"] >= 0.5}
        refused = {event["prediction"]["label"] for event in part if event["prediction"]["score"] < 0.5}
        assert len(favoured) == len(refused) == 1
        assert favoured != refused


@pytest.mark.parametrize("cut", [0, 1, 1500, 4001])
def test_reading_goes_on_at_its_positions(cut: int) -> None:
    """Stopped anywhere and opened again at its positions, the source loses no event and doubles none."""
    source = DemoSource(fleet())
    before = [*source.poll(cut, 0.0).values] if cut else []
    after = read_all(DemoSource(fleet(), source.positions()))
    assert [json.loads(value)["id"] for value in before + after] == [event["id"] for event in events()]


def test_the_source_keeps_the_promises_of_one() -> None:
    """Offsets run on by one, the one partition is exhausted at the end alone, and then a poll is empty."""
    source = DemoSource(fleet(days=0.1))
    offsets: list[int] = []
    assert source.positions() == {PARTITION: 0}
    while not source.finished():
        assert not source.exhausted(PARTITION)
        batch = source.poll(700, 0.0)
        assert 0 < len(batch) <= 700
        assert set(batch.partitions) == {PARTITION}
        offsets.extend(batch.offsets.tolist())
        assert source.positions() == {PARTITION: offsets[-1] + 1}
        source.committed(source.positions())
    assert offsets == list(range(len(offsets)))
    assert source.exhausted(PARTITION)
    assert source.exhausted(Partition("elsewhere", 0))
    assert source.lag() == {}
    assert len(source.poll(10, 0.0)) == 0
    assert len(DemoSource(fleet(days=0.1), source.positions()).poll(10, 0.0)) == 0


def test_closed_it_holds_nothing() -> None:
    """A closed source is at its end."""
    source = DemoSource(fleet(days=0.1))
    source.close()
    assert source.finished()
    assert len(source.poll(10, 0.0)) == 0
