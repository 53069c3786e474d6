"""The text of `/metrics/models`."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np
import pytest
from fakes.desk import HOSTILE_NAMES, made_fleet, made_status
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from monitor.status import MODEL_STATES, DriftingFeature, Status
from monitor.web.fleet_metrics import CATALOGUE, FleetMetrics, Selection

if TYPE_CHECKING:
    from prometheus_client.samples import Sample

STATUS = made_status([*HOSTILE_NAMES, *(f"model-{i:03d}" for i in range(100))])


def parsed(body: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    found = {}
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def slow_reference(status: Status) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """The same fleet through the client library's own families."""
    fleet = status.fleet
    families = {
        entry.name: (CounterMetricFamily if entry.kind == "counter" else GaugeMetricFamily)(
            entry.name, entry.help, labels=entry.labels
        )
        for entry in CATALOGUE
    }
    for i, name in enumerate(fleet.names):
        families["modelwatch_model_state"].add_metric((name, MODEL_STATES[fleet.state[i]]), 1)
        families["modelwatch_model_events_total"].add_metric((name,), float(fleet.events[i]))
        if np.isfinite(fleet.last_event_time[i]):
            time = round(float(fleet.last_event_time[i]), 3)
            families["modelwatch_model_last_event_timestamp_seconds"].add_metric((name,), time)
        if np.isfinite(fleet.drift_ratio[i]):
            families["modelwatch_model_drift_ratio"].add_metric((name,), float(fleet.drift_ratio[i]))
        families["modelwatch_model_info"].add_metric((name, fleet.versions[i], fleet.teams[i]), 1)
    for it in status.drifting:
        families["modelwatch_model_feature_drift_ratio"].add_metric((it.model, it.feature, it.detector), it.ratio)
    for of in status.impact:
        families["modelwatch_model_impact_ratio"].add_metric((of.model, of.attribute, of.group), of.ratio)
    for drilled in status.drilled:
        for fault, days in drilled.days.items():
            families["modelwatch_model_drill_seconds"].add_metric((drilled.model, fault), days * 86400.0)
        families["modelwatch_model_drill_blind_spots"].add_metric((drilled.model,), float(drilled.blind))
    families["modelwatch_model_series_dropped"].add_metric((), 0)
    samples: list[Sample] = [sample for family in families.values() for sample in family.samples]
    return {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}


def test_the_rendering_is_what_the_client_library_would_say() -> None:
    """Parsed back, names with quotes, backslashes and newlines included, it equals the slow way."""
    assert parsed(FleetMetrics().render(STATUS, Selection())) == pytest.approx(slow_reference(STATUS))


def test_each_family_has_its_head() -> None:
    """HELP and TYPE of every family of the catalogue, once, in order."""
    text = FleetMetrics().render(STATUS, Selection()).decode()
    heads = [line.split()[2:4] for line in text.splitlines() if line.startswith("# TYPE")]
    assert heads == [[entry.name, entry.kind] for entry in CATALOGUE]


def test_a_model_has_one_state_series() -> None:
    """The state is a label, and only the present one is exported."""
    body = FleetMetrics().render(STATUS, Selection())
    counts = Counter(dict(labels)["model"] for name, labels in parsed(body) if name == "modelwatch_model_state")
    assert set(counts.values()) == {1}
    assert set(counts) == set(STATUS.fleet.names)


def test_shards_are_disjoint_and_complete() -> None:
    """The shards together are the whole, and a model's shard is the CRC-32 of its name."""
    renderer = FleetMetrics()
    shards = [parsed(renderer.render(STATUS, Selection(shard=i, shards=3))) for i in range(3)]
    whole = parsed(renderer.render(STATUS, Selection()))
    of_models = [{key: value for key, value in shard.items() if key[1]} for shard in shards]
    assert sum(len(shard) for shard in of_models) == len(whole) - 1
    assert {key for shard in of_models for key in shard} == {key for key in whole if key[1]}
    for i, shard in enumerate(of_models):
        assert {crc32(dict(labels)["model"].encode()) % 3 for _, labels in shard} == {i}


def test_a_glob_selects_models_and_their_features() -> None:
    """`model=` takes a glob, and the features of other models are left out too."""
    names = {
        dict(labels)["model"] for _, labels in parsed(FleetMetrics().render(STATUS, Selection(model="*o*d"))) if labels
    }
    assert names == {'quo"ted'}


def test_the_cap_keeps_the_strongest_and_counts_what_it_drops() -> None:
    """Beyond the cap, the largest ratios are exported, and the number of the others."""
    drifting = [DriftingFeature("m", f"f{i}", "drift", float(i)) for i in range(10)]
    found = parsed(FleetMetrics(series_max=3).render(replace(STATUS, drifting=drifting, drilled=()), Selection()))
    ratios = [value for (name, _), value in found.items() if name == "modelwatch_model_feature_drift_ratio"]
    assert sorted(ratios) == [7, 8, 9]
    assert found["modelwatch_model_series_dropped", frozenset()] == 7


def test_labels_are_made_once_a_fleet() -> None:
    """While the columns of names are the same objects their labels are not made again; new names show at once."""
    renderer = FleetMetrics()
    renderer.render(STATUS, Selection())
    first = renderer._labels
    renderer.render(replace(STATUS, fleet=replace(STATUS.fleet, events=STATUS.fleet.events + 1)), Selection())
    assert renderer._labels is first
    other = renderer.render(replace(STATUS, fleet=made_fleet(["new-one"])), Selection())
    assert b'modelwatch_model_state{model="new-one"' in other
    assert b"model-001" not in other


def test_a_series_given_twice_does_not_break_the_scrape() -> None:
    """A duplicate or unknown ratio costs no more than itself."""
    drifting = [DriftingFeature("m", "f", "drift", 1.5), DriftingFeature("m", "f", "drift", 2.5)]
    drifting.append(DriftingFeature("m", "g", "drift", float("nan")))
    found = parsed(FleetMetrics().render(replace(STATUS, drifting=drifting), Selection()))
    assert [value for (name, _), value in found.items() if "feature_drift" in name] == [2.5]
