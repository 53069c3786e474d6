"""The catalogue of the daemon's own metrics, and its page in the docs."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.desk import made_status
from prometheus_client.parser import text_string_to_metric_families

from monitor.events.columns import Reason
from monitor.telemetry.metrics import LAG_SERIES_MAX, RESULTS, Metrics
from monitor.web.fleet_metrics import CATALOGUE as FLEET_CATALOGUE

DOCS = Path(__file__).parents[3] / "docs" / "metrics.md"
CONTRACT = {
    "modelwatch_events_total": ("topic", "kind"),
    "modelwatch_dead_letters_total": ("reason",),
    "modelwatch_late_events_total": (),
    "modelwatch_consumer_lag_records": ("topic", "partition"),
    "modelwatch_event_delay_seconds": (),
    "modelwatch_models": ("state",),
    "modelwatch_incidents": ("alertname", "severity"),
    "modelwatch_false_alarm_budget_spent_total": ("share",),
    "modelwatch_store_bytes": (),
    "modelwatch_alertmanager_notifications_total": ("alertmanager", "result"),
    "modelwatch_build_info": ("version", "revision", "python_version"),
}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(version="1.2.3", revision="abc")


def values(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    text = metrics.render("")[0].decode()
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def test_promised_metrics_are_there(metrics: Metrics) -> None:
    """Every name of the contract exists with exactly its labels."""
    found = {entry.name: entry.labels for entry in metrics.catalogue}
    assert CONTRACT.items() <= found.items()


def test_names_follow_the_conventions(metrics: Metrics) -> None:
    """Counters and only counters end in `_total`; names are lower case with our prefix."""
    for entry in [*metrics.catalogue, *FLEET_CATALOGUE]:
        assert re.fullmatch(r"modelwatch_[a-z_]+", entry.name)
        assert entry.name.endswith("_total") == (entry.kind == "counter")
        assert entry.help.endswith(".")


def documented() -> dict[str, tuple[str, tuple[str, ...]]]:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \| [^|]+ \|$", DOCS.read_text(), re.MULTILINE)
    return {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def test_the_docs_name_what_the_code_makes_and_nothing_else(metrics: Metrics) -> None:
    """docs/metrics.md and the two catalogues agree in names, types and labels, both ways."""
    made = {entry.name: (entry.kind, entry.labels) for entry in [*metrics.catalogue, *FLEET_CATALOGUE]}
    assert {name: row for name, row in documented().items() if name.startswith("modelwatch_")} == made


def test_the_docs_name_the_metrics_of_the_process(metrics: Metrics) -> None:
    """Every family on `/metrics` has a row, those of the client library too."""
    exposed = {
        family.name + ("_total" if family.type == "counter" else ""): family.type
        for family in text_string_to_metric_families(metrics.render("")[0].decode())
    }
    rows = documented()
    assert {name: rows.get(name, ("missing",))[0] for name in exposed} == exposed


def test_known_labels_start_at_zero(metrics: Metrics) -> None:
    """Reasons, topics that are configured, states and shares are there before anything happens."""
    metrics.expect_topics(["ml.predictions"])
    assert values(metrics, "modelwatch_dead_letters_total") == {(reason.name.lower(),): 0 for reason in Reason}
    assert ("outcome", "ml.predictions") in values(metrics, "modelwatch_events_total")
    assert values(metrics, "modelwatch_models")[("silent",)] == 0
    assert len(values(metrics, "modelwatch_incidents")) == 39


def test_the_status_is_read_when_scraped(metrics: Metrics) -> None:
    """Models, open incidents and the spent budget are those of the newest status."""
    status = made_status(incidents=8)
    metrics.read_status(lambda: status)
    assert sum(values(metrics, "modelwatch_models").values()) == len(status.fleet.names)
    assert sum(values(metrics, "modelwatch_incidents").values()) == 6  # two of eight are resolved
    assert values(metrics, "modelwatch_false_alarm_budget_spent_total")[("fairness",)] == 1.5
    metrics.read_status(lambda: replace(status, opened={"ModelSilent": 3}))
    opened = values(metrics, "modelwatch_incidents_opened_total")
    assert (opened[("ModelSilent",)], sum(opened.values())) == (3, 3)


def test_notifications_are_read_when_scraped(metrics: Metrics) -> None:
    """Counts of the notifier show as a counter by Alertmanager and result."""
    metrics.alertmanager_notifications.read_from(lambda: {("am:9093", result): 2.0 for result in RESULTS})
    assert values(metrics, "modelwatch_alertmanager_notifications_total")[("am:9093", "sent")] == 2


def test_lag_is_capped_and_what_is_left_out_is_counted(metrics: Metrics) -> None:
    """Partitions beyond the cap show in `modelwatch_series_dropped` of the same scrape."""
    metrics.consumer_lag.show({("t", str(i)): i for i in range(LAG_SERIES_MAX + 7)})
    assert len(values(metrics, "modelwatch_consumer_lag_records")) == LAG_SERIES_MAX
    assert values(metrics, "modelwatch_series_dropped") == {("modelwatch_consumer_lag_records",): 7}


def test_a_full_daemon_stays_near_a_thousand_series(metrics: Metrics) -> None:
    """Ten topics with 100 partitions each and two Alertmanagers fit into about 1,000 series."""
    metrics.expect_topics(f"topic-{i}" for i in range(10))
    metrics.consumer_lag.show({(f"topic-{i}", str(p)): p for i in range(10) for p in range(100)})
    metrics.alertmanager_notifications.read_from(lambda: {(am, result): 1.0 for am in "ab" for result in RESULTS})
    text = metrics.render("")[0].decode()
    assert sum(not line.startswith("#") for line in text.splitlines()) < 1000


def test_openmetrics_only_for_those_who_ask(metrics: Metrics) -> None:
    """Plain text is the default, and what a client writes into `Accept` is never echoed."""
    assert metrics.render("")[1] == "text/plain; version=0.0.4; charset=utf-8"
    body, content_type = metrics.render("application/openmetrics-text;version=9.9.9;escaping=evil,text/plain;q=0.1")
    assert content_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert body.endswith(b"# EOF\n")


def test_no_created_series(metrics: Metrics) -> None:
    """The client library's `_created` series are off."""
    assert b"_created" not in metrics.render("application/openmetrics-text")[0]
