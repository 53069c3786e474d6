"""What does the daemon count about itself? The catalogue of `/metrics`, in code (docs/metrics.md has it in words)."""

from __future__ import annotations

import platform
from collections import Counter as Tally
from collections.abc import Callable, Iterable
from itertools import product

import numpy as np
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

from monitor.events.columns import Reason
from monitor.incidents.attention import waits
from monitor.incidents.incident import Incident
from monitor.outcomes.joining import FATES
from monitor.severity import SEVERITIES
from monitor.status import CHECK_STATUSES, MODEL_STATES, Status
from monitor.telemetry.families import BatchHistogram, Entry, Samples, Table

EVENT_KINDS = ("prediction", "outcome", "features", "metrics", "sensitive", "lifecycle")
"""An event counts once, as the first of these that it has."""
SCHEMA_RESULTS = ("found", "unknown", "unreadable", "failed")
REASONS = tuple(reason.name.lower() for reason in Reason)
LIMITS = (
    "models",
    "features",
    "categories",
    "groups",
    "segment_values",
    "tags",
    "pending_predictions",
    "open_incidents",
    "dockets",
    "open_ticks",
    "memory",
    "http_connections",
    "http_requests",
)
STAGES = ("poll", "decode", "duplicates", "outcomes", "tally", "commit", "judge", "notify", "publish")
SHARES = ("drift", "quality", "performance", "fairness")
LEVELS = ("debug", "info", "warning", "error", "critical")
DRILL_RESULTS = ("done", "failed")
RESULTS = ("sent", "failed", "dropped", "rejected")
ALERTNAMES = (
    "ModelFeatureDrift",
    "ModelPredictionDrift",
    "ModelDataQuality",
    "ModelVolumeAnomaly",
    "ModelSilent",
    "ModelPerformanceDegraded",
    "ModelCalibrationShift",
    "ModelDisparateImpact",
    "ModelUnequalErrors",
    "ModelUnwarrantedAssociation",
    "ModelLabelGap",
    "ModelPopulationMix",
    "FleetSharedCause",
)

DELAY_BOUNDS = (1.0, 5.0, 15.0, 60.0, 300.0, 3600.0, 86400.0)
COMMIT_BOUNDS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5)
PAUSE_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
LAG_SERIES_MAX = 500
"""Partitions whose lag is exported, the largest first: `/metrics` stays within about 1,000 series."""
TEAM_SERIES_MAX = 100
"""Teams whose spending is exported, the largest first."""


class Metrics:
    """Every metric of `/metrics`. Counted a batch at a time, never an event at a time.

    Label values that are known beforehand start at 0, so that a rate over the first occurrence is right.
    ``catalogue`` lists what was made, in order. The instance may be used from any thread.
    """

    def __init__(self, registry: CollectorRegistry | None = None, *, version: str = "", revision: str = "") -> None:
        disable_created: Callable[[], None] = disable_created_metrics
        disable_created()
        self.registry = registry if registry is not None else CollectorRegistry()
        self.catalogue: list[Entry] = []
        self._make_ingest()
        self._make_judging()
        self._make_store()
        self._make_cluster()
        self._make_notifications()
        self._make_process(version, revision)
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def render(self, accept: str) -> tuple[bytes, str]:
        """The exposition and its content type: OpenMetrics 1.0.0 where ``accept`` names it, else text 0.0.4."""
        # The client library's own reading of the header would echo any version that a client asks for.
        known = "application/openmetrics-text" if "application/openmetrics-text" in accept else ""
        encode, content_type = choose_encoder(known)
        return encode(self.registry), content_type

    def expect_topics(self, topics: Iterable[str]) -> None:
        """Start the counters of configured topics at 0 (patterns are met when they match)."""
        for topic, kind in product(topics, EVENT_KINDS):
            self.events.labels(topic, kind)

    def read_status(self, read: Callable[[], Status]) -> None:
        """Take models, incidents and the spent budget from the newest published status, at each scrape."""
        self.models.read_from(lambda: _models_by_state(read()))
        self.incidents.read_from(lambda: _open_incidents(read()))
        self.check_status.read_from(lambda: _checks(read()))
        self.incidents_waiting.read_from(lambda: {(): float(sum(map(waits, read().incidents)))})
        self.incidents_acknowledged.read_from(lambda: {(): float(sum(map(_known_of, read().incidents)))})
        self.false_alarm_budget_spent.read_from(lambda: _budget_spent(read(), "spent"))
        self.budget_spent_by_team.read_from(lambda: _budget_spent(read(), "spent_by_team"))
        self.budget_spent_by_severity.read_from(lambda: _budget_spent(read(), "spent_by_severity"))
        self.incidents_opened.read_from(lambda: {(name,): float(n) for name, n in read().opened.items()})

    def _make_ingest(self) -> None:
        self.events = self._counter("events_total", "Events that were read and understood.", "topic", "kind")
        self.dead_letters = self._counter("dead_letters_total", "Records that could not be read.", "reason")
        self.dead_letters_dropped = self._counter(
            "dead_letters_dropped_total", "Dead letters that the cap per second kept from the dead-letter topic."
        )
        self.late_events = self._counter("late_events_total", "Events whose tick was closed when they came.")
        self.unknown_fields = self._counter("unknown_fields_total", "Top-level fields that no one knows; ignored.")
        self.dropped_values = self._counter(
            "dropped_values_total", "Values of an unsupported kind, dropped from an event that survived."
        )
        self.ignored_events = self._counter("ignored_events_total", "Events that the policy of their model ignores.")
        self.duplicate_events = self._counter("duplicate_events_total", "Events whose id had been counted before.")
        self.events_without_id = self._counter(
            "events_without_id_total", "Events that have no id, so that a duplicate of them is not recognised."
        )
        self.keys_remembered = self._gauge("dedupe_keys", "Events that are remembered to recognise duplicates.")
        self.duplicates_false_ratio = self._gauge(
            "dedupe_false_positive_ratio", "The chance that a new event is taken for a duplicate: keys over 2^64."
        )
        self.keys_forgotten_early = self._counter(
            "dedupe_keys_forgotten_early_total", "Events that the capacity made forget before the horizon had passed."
        )
        self.outcomes = self._counter("outcomes_total", "What became of outcomes, and of cases without one.", "fate")
        self.lost_records = self._counter(
            "lost_records_total", "Records that Kafka had deleted before they were read (retention)."
        )
        self.consumer_lag = self._table(
            Entry("consumer_lag_records", "gauge", ("topic", "partition"), "Records waiting in a partition."),
            series_max=LAG_SERIES_MAX,
        )
        self.partitions_assigned = self._gauge("partitions_assigned", "Partitions that this process reads.")
        self.partitions_held = self._gauge(
            "partitions_held", "Partitions that stand still until the schema of a record is known."
        )
        self.schema_requests = self._counter(
            "schema_registry_requests_total", "Questions to the schema registry, by how they ended.", "result"
        )
        self.event_delay = self._histogram(
            "event_delay_seconds", "From the time an event says to the moment it was counted.", DELAY_BOUNDS
        )
        self.limits_turned_away = self._counter(
            "limits_turned_away_total", "What a limit turned away: new names, cases, connections.", "limit"
        )
        _start_at_zero(self.dead_letters, REASONS)
        _start_at_zero(self.outcomes, FATES)
        _start_at_zero(self.limits_turned_away, LIMITS)
        _start_at_zero(self.schema_requests, SCHEMA_RESULTS)

    def _make_judging(self) -> None:
        self.loop_seconds = self._counter("loop_seconds_total", "Time that the loop spent in a stage.", "stage")
        name, text = "closing_pause_seconds", "How long the loop stood at a time while ticks closed."
        self._enter(name, "histogram", text)
        self.closing_pause = Histogram(_full(name), text, registry=self.registry, buckets=PAUSE_BOUNDS)
        self.ticks_closed = self._counter("ticks_closed_total", "Ticks of event time that were closed.")
        self.ticks_closed_early = self._counter(
            "ticks_closed_early_total", "Ends of ticks that were not waited for, because too many ticks were open."
        )
        self.judged_cells = self._counter("judged_cells_total", "Cells that got a verdict, over all closed ticks.")
        self.drills = self._counter("drills_total", "Fire drills that the daemon did by itself.", "result")
        _start_at_zero(self.drills, DRILL_RESULTS)
        self.drill_seconds = self._counter("drill_seconds_total", "Time that fire drills worked, beside the loop.")
        self.watermark = self._gauge("watermark_timestamp_seconds", "Event time that the loop has reached.")
        self.models = self._table(
            Entry("models", "gauge", ("state",), "Models by state."), known=[(state,) for state in MODEL_STATES]
        )
        self.incidents = self._table(
            Entry("incidents", "gauge", ("alertname", "severity"), "Open incidents."),
            known=product(ALERTNAMES, SEVERITIES),
        )
        self.incidents_opened = self._table(
            Entry("incidents_opened_total", "counter", ("alertname",), "Incidents that were opened."),
            known=[(alertname,) for alertname in ALERTNAMES],
        )
        self.incidents_waiting = self._table(
            Entry(
                "incidents_waiting",
                "gauge",
                (),
                "Incidents in the digest: their team was called often enough, or their model not seen for a week.",
            ),
            known=[()],
        )
        self.incidents_acknowledged = self._table(
            Entry("incidents_acknowledged", "gauge", (), "Open incidents that somebody acknowledged."), known=[()]
        )
        self.false_alarm_budget_spent = self._table(
            Entry(
                "false_alarm_budget_spent_total",
                "counter",
                ("share",),
                "False alarms that the judging so far was allowed to make.",
            ),
            known=[(share,) for share in SHARES],
        )
        self.budget_spent_by_team = self._table(
            Entry(
                "team_false_alarm_budget_spent_total",
                "counter",
                ("team",),
                "False alarms that the judging so far was allowed to make, by the team of the cells that bet.",
            ),
            series_max=TEAM_SERIES_MAX,
        )
        self.budget_spent_by_severity = self._table(
            Entry(
                "severity_false_alarm_budget_spent_total",
                "counter",
                ("severity",),
                "False alarms that the judging so far was allowed to make, by how grave the cell's alert is alone.",
            ),
            known=[(severity,) for severity in SEVERITIES],
        )
        _start_at_zero(self.loop_seconds, STAGES)

    def _make_store(self) -> None:
        self.store_bytes = self._gauge("store_bytes", "Size of the store on disk.")
        self.store_free_bytes = self._gauge("store_free_bytes", "Room that is left on the disk of the store.")
        text = "How often a table or the buffer of cases found no room on the disk of the store, and stayed in memory."
        self.store_tables_in_memory = self._counter("store_tables_in_memory_total", text)
        name, text = "store_commit_seconds", "Duration of an atomic write of sums and offsets."
        self._enter(name, "histogram", text)
        self.store_commit = Histogram(_full(name), text, registry=self.registry, buckets=COMMIT_BOUNDS)
        self.store_last_commit = self._gauge(
            "store_last_commit_timestamp_seconds", "When the store was last written, 0 before the first time."
        )
        self.audit_entries = self._gauge("audit_entries", "Entries of the audit trail that are stored.")
        self.audit_anchors_failed = self._counter(
            "audit_anchors_failed_total", "Anchors of the audit trail that the audit topic did not take."
        )

    def _make_cluster(self) -> None:
        self.cluster_members = self._gauge("cluster_members", "Replicas that share the fleet, 0 outside a cluster.")
        self.cluster_generation = self._gauge("cluster_generation", "How often the shards were shared out anew.")
        self.cluster_shards = self._gauge("cluster_shards", "Shards that this replica judges.")
        self.cluster_take_over_seconds = self._gauge(
            "cluster_take_over_seconds", "How long it took to put together the shard that this replica took last."
        )
        self.cluster_rebalances = self._counter(
            "cluster_rebalances_total", "How often shards came to this replica or left it."
        )
        self.cluster_commits_refused = self._counter(
            "cluster_commits_refused_total", "Commits that the group did not take: it had gone on, or was about to."
        )
        self.cluster_records_repeated = self._counter(
            "cluster_records_repeated_total", "Records that a shard was sent again, and did not count again."
        )
        self.cluster_bundles_refused = self._counter(
            "cluster_bundles_refused_total", "What a shard was sent behind a gap, and waits for to be sent again."
        )

    def _make_notifications(self) -> None:
        self.alerts_active = self._table(
            Entry("alerts_active", "gauge", (), "Alerts that are told to Alertmanager as firing."), known=[()]
        )
        self.alertmanager_notifications = self._table(
            Entry(
                "alertmanager_notifications_total",
                "counter",
                ("alertmanager", "result"),
                "Alerts posted, by result: sent, failed (tried again), dropped (held back by the cap), rejected.",
            )
        )
        self.alertmanager_queue = self._table(
            Entry("alertmanager_queue_length", "gauge", ("alertmanager",), "Alerts waiting to be posted.")
        )
        self.alertmanager_last_success = self._table(
            Entry(
                "alertmanager_last_success_timestamp_seconds",
                "gauge",
                ("alertmanager",),
                "When a post last succeeded, 0 before the first time.",
            )
        )

    def _make_process(self, version: str, revision: str) -> None:
        build = self._gauge("build_info", "What is running; always 1.", "version", "revision", "python_version")
        build.labels(version, revision, platform.python_version()).set(1)
        self.check_status = self._table(
            Entry("check_status", "gauge", ("check",), "The checks of the probes: 0 ok, 1 degraded, 2 failing.")
        )
        self.memory_limit_bytes = self._gauge("memory_limit_bytes", "Memory that the process may hold.")
        self.clock_steps = self._counter("clock_steps_total", "Times that the machine's clock was set.")
        self.config_last_reload_successful = self._gauge(
            "config_last_reload_successful", "1 if the newest configuration that was read is the one in use."
        )
        self.config_last_reload_success = self._gauge(
            "config_last_reload_success_timestamp_seconds", "When a configuration was last taken into use."
        )
        self.http_requests = self._counter("http_requests_total", "HTTP requests answered, by status code.", "code")
        self.log_messages = self._counter("log_messages_total", "Log lines written, by level.", "level")
        self.series_dropped = self._table(
            Entry("series_dropped", "gauge", ("metric",), "Series that a cap kept out of this scrape.")
        )
        lag = (_full("consumer_lag_records"),)
        self.series_dropped.read_from(lambda: {lag: self.consumer_lag.series_dropped})
        _start_at_zero(self.log_messages, LEVELS)

    def _enter(self, name: str, kind: str, text: str, *labels: str) -> Entry:
        entry = Entry(_full(name), kind, labels, text)
        self.catalogue.append(entry)
        return entry

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        self._enter(name, "counter", text, *labels)
        return Counter(_full(name), text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        self._enter(name, "gauge", text, *labels)
        return Gauge(_full(name), text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, bounds: tuple[float, ...]) -> BatchHistogram:
        histogram = BatchHistogram(self._enter(name, "histogram", text), bounds)
        self.registry.register(histogram)
        return histogram

    def _table(self, entry: Entry, *, known: Iterable[tuple[str, ...]] = (), series_max: int | None = None) -> Table:
        made = self._enter(entry.name, entry.kind, entry.help, *entry.labels)
        table = Table(made, known=known, series_max=series_max)
        self.registry.register(table)
        return table


def _full(name: str) -> str:
    return f"modelwatch_{name}"


def _start_at_zero(metric: Counter, values: Iterable[str]) -> None:
    for value in values:
        metric.labels(value)


def _models_by_state(status: Status) -> Samples:
    counts = np.bincount(status.fleet.state, minlength=len(MODEL_STATES)).tolist()
    return {(state,): count for state, count in zip(MODEL_STATES, counts, strict=True)}


def _open_incidents(status: Status) -> Samples:
    return Tally((open_.alertname, open_.severity) for open_ in status.incidents if open_.state == "firing")


def _checks(status: Status) -> Samples:
    return {(name,): float(CHECK_STATUSES.index(check.status)) for name, check in status.checks.items()}


def _known_of(incident: Incident) -> bool:
    return incident.state == "firing" and incident.acknowledged is not None


def _budget_spent(status: Status, by: str) -> Samples:
    return {(name,): float(spent) for name, spent in status.budget.get(by, {}).items()}
