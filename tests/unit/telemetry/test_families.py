"""Tables of samples and batch histograms."""

from __future__ import annotations

import numpy as np
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from monitor.telemetry.families import BatchHistogram, Entry, Table

GAUGE = Entry("waiting", "gauge", ("topic",), "Waiting.")
HISTOGRAM = Entry("delay_seconds", "histogram", (), "Delay.")


def samples(collector: Table | BatchHistogram) -> dict[str, float]:
    return {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for family in collector.collect()
        for sample in family.samples
    }


def test_a_shown_mapping_replaces_all_samples() -> None:
    """A label set that is no longer shown is gone at the next scrape."""
    table = Table(GAUGE)
    table.show({("a",): 1, ("b",): 2})
    table.show({("b",): 3})
    assert samples(table) == {"waiting['b']": 3}


def test_known_label_sets_start_at_zero() -> None:
    """What is known beforehand is exported as 0 until it has a value."""
    table = Table(GAUGE, known=[("a",), ("b",)])
    table.show({("b",): 3})
    assert samples(table) == {"waiting['a']": 0, "waiting['b']": 3}


def test_a_table_reads_at_each_scrape() -> None:
    """A reader is asked whenever the table is scraped."""
    answers = iter([{("a",): 1.0}, {("a",): 2.0}])
    table = Table(GAUGE)
    table.read_from(lambda: next(answers))
    assert [samples(table), samples(table)] == [{"waiting['a']": 1}, {"waiting['a']": 2}]


def test_a_capped_table_keeps_the_largest_and_counts_the_rest() -> None:
    """Beyond the cap the largest values are exported, and how many were left out is known."""
    table = Table(GAUGE, series_max=2)
    table.show({("a",): 1, ("b",): 9, ("c",): 5})
    assert samples(table) == {"waiting['b']": 9, "waiting['c']": 5}
    assert table.series_dropped == 1
    table.show({("a",): 1})
    samples(table)
    assert table.series_dropped == 0


def test_a_batch_equals_its_observations_one_by_one() -> None:
    """Bucket counts and sum of arrays are those of the single values."""
    bounds = (0.5, 1.0, 10.0)
    values = np.random.default_rng(3).exponential(2.0, 1000)
    at_once, singly = BatchHistogram(HISTOGRAM, bounds), BatchHistogram(HISTOGRAM, bounds)
    at_once.observe_many(values)
    for value in values:
        singly.observe_many([value])
    left, right = samples(at_once), samples(singly)
    assert left.keys() == right.keys()
    assert all(np.isclose(left[key], right[key]) for key in left)
    assert left["delay_seconds_bucket['1.0']"] == (values <= 1.0).sum()


def test_a_bound_belongs_to_its_bucket_and_oddities_do_no_harm() -> None:
    """Bounds are inclusive; NaN and infinity are left out; below 0 counts as 0."""
    histogram = BatchHistogram(HISTOGRAM, (1.0, 5.0))
    histogram.observe_many([1.0, 5.0, -3.0, float("nan"), float("inf")])
    histogram.observe_many([])
    found = samples(histogram)
    assert found["delay_seconds_bucket['1.0']"] == 2
    assert found["delay_seconds_bucket['5.0']"] == 3
    assert found["delay_seconds_count[]"] == 3
    assert found["delay_seconds_sum[]"] == 6.0


def test_families_register_under_their_names() -> None:
    """Both kinds describe themselves, so a name cannot be taken twice."""
    registry = CollectorRegistry()
    registry.register(Table(GAUGE))
    registry.register(BatchHistogram(HISTOGRAM, (1.0,)))
    assert b'delay_seconds_bucket{le="+Inf"} 0.0' in generate_latest(registry)
