"""The whole daemon among real servers: events into Kafka, alerts out of Alertmanager, figures into Prometheus."""

from __future__ import annotations

import json
import re
import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from jsonschema import Draft202012Validator
from servers.alertmanager import TO_WEBHOOK, AlertmanagerServer
from servers.daemon import Daemon, modelwatch
from servers.lenders import BROKEN, DRIFTED, FAULTY, MODELS, PARTITIONS, SECONDS, began_at, config, traffic
from servers.need import program
from servers.process import free_ports
from servers.prometheus import PrometheusServer
from servers.webhook import WebhookReceiver

from monitor.clock import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from servers.kafka import KafkaServer

pytestmark = pytest.mark.servers

SCRAPE = """
global: {{ scrape_interval: 1s, scrape_timeout: 1s }}
scrape_configs:
  - job_name: modelwatch
    static_configs: [{{ targets: ["{target}"] }}]
  - job_name: modelwatch-models
    metrics_path: /metrics/models
    static_configs: [{{ targets: ["{target}"] }}]
"""


# --- One story, of which each test below tells a part: 20 models, two faults that begin and end ---------------------


@dataclass(frozen=True, slots=True)
class Story:
    """A daemon that has seen everything, and what was told meanwhile."""

    daemon: Daemon
    prometheus: PrometheusServer
    alertmanager: AlertmanagerServer
    topic: str
    letters: str
    start: float
    produced: Mapping[str, int]
    told: Sequence[Any]
    firing_metrics: tuple[str, str]


FAULT = (30.0, 45.0)
END = 110.0
BROKEN_RECORDS = 3


@pytest.fixture(scope="module")
def story(kafka: KafkaServer, references: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    directory = tmp_path_factory.mktemp("story")
    start = began_at(END)
    topic, letters = kafka.new_topic(PARTITIONS), kafka.new_topic(prefix="letters")
    with ExitStack() as stack:
        webhook = stack.enter_context(WebhookReceiver())
        alertmanager = AlertmanagerServer(directory / "alertmanager", TO_WEBHOOK.format(url=webhook.url))
        stack.enter_context(alertmanager)
        told = f'[alertmanager]\nurls = ["{alertmanager.url}"]\nexternal_labels = {{ env = "test" }}\nresend = "2s"\n'
        text = config(kafka, topic, references, told, letters)
        daemon = Daemon(directory / "daemon", text, external_url="https://watch.example")
        stack.enter_context(daemon)
        target = daemon.url.removeprefix("http://")
        prometheus = PrometheusServer(directory / "prometheus", SCRAPE.format(target=target))
        stack.enter_context(prometheus)

        parts = [traffic(start, (0.0, FAULT[0])), traffic(start, FAULT, faulty=True), traffic(start, (FAULT[1], END))]
        future = json.dumps({"model": MODELS[0], "time": time.time() + 3600, "prediction": 1}).encode()
        for part in parts[:2]:
            kafka.produce(topic, part.records)
        at = start + FAULT[1] * 60
        kafka.produce(topic, [(0, b'{"model":', at), (1, b"", at), (2, future, at)], keys=[b"k", None, None])
        webhook.wait(lambda bodies: {alert["labels"]["model"] for b in bodies for alert in b["alerts"]} == FAULTY, 30)
        daemon.until(lambda: daemon.status()["incidents"]["firing"] == len(FAULTY))
        firing_metrics = daemon.get("/metrics").text, daemon.get("/metrics/models").text
        kafka.produce(topic, parts[2].records)
        webhook.wait(
            lambda bodies: {a["labels"]["model"] for b in bodies for a in b["alerts"] if ended(a)} == FAULTY, 30
        )
        daemon.until(lambda: daemon.n_events() == sum(len(part.records) for part in parts))
        produced = {model: sum(part.models.count(model) for part in parts) for model in MODELS}
        yield Story(daemon, prometheus, alertmanager, topic, letters, start, produced, webhook.bodies, firing_metrics)


def ended(alert: Mapping[str, Any]) -> bool:
    return alert["status"] == "resolved"


def test_the_right_alerts_reach_people(story: Story) -> None:
    """Both faults and nothing else arrive behind Alertmanager, with the labels and annotations of the contract."""
    alerts = {alert["labels"]["model"]: alert for body in story.told for alert in body["alerts"] if not ended(alert)}
    assert alerts.keys() == FAULTY
    common = {"service": "modelwatch", "version": "3", "team": "risk", "env": "test"}
    assert alerts[DRIFTED]["labels"] == common | {
        "alertname": "ModelFeatureDrift",
        "severity": "info",
        "model": DRIFTED,
        "detector": "drift",
        "feature": "income",
    }
    assert alerts[BROKEN]["labels"] == common | {
        "alertname": "ModelDataQuality",
        "severity": "warning",
        "model": BROKEN,
        "detector": "missing",
        "feature": "region",
    }
    by_model = {incident["model"]: incident for incident in story.daemon.incidents()}
    for model, alert in alerts.items():
        incident, notes = by_model[model], alert["annotations"]
        assert notes.keys() == {"summary", "description", "advice", "effect", "evidence", "onset", "runbook_url"}
        assert notes["onset"] == incident["onset_time"]
        assert notes["runbook_url"] == f"https://watch.example/runbooks/{incident['alertname']}"
        assert alert["generatorURL"] == f"https://watch.example/incidents/{incident['id']}"
        # An alarm that was late in being told begins when it is told, so that Alertmanager groups it as news.
        assert seconds_of(incident["fired_time"]) <= seconds_of(alert["startsAt"]) <= time.time()


def test_alerts_end_with_their_fault(story: Story) -> None:
    """Each alert fires once within five minutes of its fault's begin and is resolved once, after its end."""
    told = [(body["status"], alert["labels"]["model"]) for body in story.told for alert in body["alerts"]]
    assert sorted(told) == sorted((status, model) for status in ("firing", "resolved") for model in FAULTY)
    for incident in story.daemon.incidents():
        fired, resolved = seconds_of(incident["fired_time"]), seconds_of(incident["resolved_time"])
        assert 0 <= fired - (story.start + FAULT[0] * 60) <= 300
        assert resolved > story.start + FAULT[1] * 60
        assert abs(seconds_of(incident["onset_time"]) - (story.start + FAULT[0] * 60)) <= 120
    assert story.alertmanager.alerts() == []


def test_the_fleet_is_counted_exactly(story: Story) -> None:
    """Every event counts once, with its model and its topic; none is late."""
    daemon = story.daemon
    assert {name: row["events"] for name, row in daemon.models().items()} == story.produced
    counts = daemon.metric("modelwatch_events_total")
    assert counts[f'{{kind="prediction",topic="{story.topic}"}}'] == sum(story.produced.values())
    assert sum(counts.values()) == sum(story.produced.values())
    assert daemon.metric("modelwatch_late_events_total") == {"": 0}


def test_dead_letters_are_counted_and_kept(story: Story, kafka: KafkaServer) -> None:
    """What cannot be read stands in its topic with its origin and reason, and is counted by reason."""
    counts = story.daemon.metric("modelwatch_dead_letters_total")
    assert {labels: n for labels, n in counts.items() if n} == {
        '{reason="json"}': 1,
        '{reason="empty"}': 1,
        '{reason="future_time"}': 1,
    }
    letters = {letter.pop("modelwatch.reason"): letter for letter in read_letters(kafka, story.letters, 3)}
    assert letters.keys() == {"json", "empty", "future_time"}
    assert letters["json"]["value"] == b'{"model":'
    assert letters["json"]["key"] == b"k"
    assert letters["json"]["__connect.errors.topic"] == story.topic
    assert letters["json"]["__connect.errors.partition"] == "0"
    assert letters["empty"]["__connect.errors.partition"] == "1"
    assert letters["json"]["__connect.errors.offset"].isdigit()


PROMISED = [
    "modelwatch_events_total",
    "modelwatch_dead_letters_total",
    "modelwatch_late_events_total",
    "modelwatch_consumer_lag_records",
    "modelwatch_event_delay_seconds_count",
    "modelwatch_models",
    "modelwatch_incidents",
    "modelwatch_false_alarm_budget_spent_total",
    "modelwatch_store_bytes",
    "modelwatch_alertmanager_notifications_total",
    "modelwatch_build_info",
    "modelwatch_model_state",
    "modelwatch_model_events_total",
    "modelwatch_model_last_event_timestamp_seconds",
    "modelwatch_model_drift_ratio",
]


def test_prometheus_takes_every_promised_metric(story: Story) -> None:
    """A real Prometheus scrapes both addresses without an error and has the contract's names, with sane values."""
    prometheus = story.prometheus
    total, delay = sum(story.produced.values()), "modelwatch_event_delay_seconds"
    allowed = 5 * END / (7 * 24 * 60)
    # Each is asked until it holds: a scrape may come late on a busy machine.
    for expression in (
        "count(up == 1) == 2",
        f"sum(modelwatch_events_total) == {total}",
        f"sum(modelwatch_model_events_total) == {total}",
        *PROMISED,
        "sum(modelwatch_consumer_lag_records) == 0",
        f'modelwatch_models{{state="watching"}} == {len(MODELS)}',
        "sum(modelwatch_incidents) == 0",
        f"0 < sum(modelwatch_false_alarm_budget_spent_total) < {allowed}",
        "modelwatch_store_bytes > 10000",
        'modelwatch_alertmanager_notifications_total{result="sent"} >= 4',
        f"{delay}_count == {total}",
        f"0 < {delay}_sum / {delay}_count < {(END + 5) * 60}",
        f"abs(max(modelwatch_model_last_event_timestamp_seconds) - {story.start + END * 60}) < {SECONDS}",
        "max(modelwatch_model_drift_ratio) < 3",
        'scrape_samples_scraped{job="modelwatch"} < 1000',
    ):
        prometheus.wait(expression, seconds=60.0)


@pytest.mark.parametrize("path", ["/metrics", "/metrics/models"])
def test_promtool_has_nothing_to_lint(story: Story, path: str) -> None:
    """`promtool check metrics` is silent about the live daemon, while alerts fire and afterwards."""
    while_firing = story.firing_metrics[path == "/metrics/models"]
    for exposition in (while_firing, story.daemon.get(path).text):
        command = [program("promtool"), "check", "metrics"]
        checked = subprocess.run(command, input=exposition.encode(), capture_output=True, check=False)
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_features_are_exported_while_they_drift(story: Story) -> None:
    """A drifting feature has a series of its own, and no longer when its incident is over."""
    name = "modelwatch_model_feature_drift_ratio{"
    firing = [line for line in story.firing_metrics[1].splitlines() if line.startswith(name)]
    drifting = {re.findall('(?:model|feature|detector)="(.*?)"', line)[0:3][0] for line in firing}
    assert drifting == FAULTY
    assert name not in story.daemon.get("/metrics/models").text
    assert 'modelwatch_incidents{alertname="ModelFeatureDrift",severity="info"} 1.0' in story.firing_metrics[0]


def test_every_document_is_as_described(story: Story) -> None:
    """What the live daemon serves validates against the description that it serves."""
    daemon = story.daemon
    described = daemon.get("/openapi.json").json
    incident = daemon.incidents()[0]["id"]
    paths = {
        "/api/v1/status": "/api/v1/status",
        "/api/v1/models": "/api/v1/models?limit=7&sort=-drift_ratio",
        "/api/v1/models/{model}": f"/api/v1/models/{quote(DRIFTED, safe='')}",
        "/api/v1/incidents": "/api/v1/incidents?state=resolved",
        "/api/v1/incidents/{id}": f"/api/v1/incidents/{incident}",
    }
    for template, path in paths.items():
        answer = daemon.get(path)
        assert answer.status == 200
        response = described["paths"][template]["get"]["responses"]["200"]
        schema = response["content"]["application/json"]["schema"] | {"components": described["components"]}
        checker = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
        assert [error.message for error in checker.iter_errors(answer.json)] == []
    for probe in ("/livez", "/readyz", "/-/healthy", "/-/ready", "/", f"/models/{quote(BROKEN, safe='')}"):
        assert daemon.get(probe).status == 200, probe
    assert daemon.get(f"/incidents/{incident}").status == 200
    assert daemon.get("/api/v1/models/absent").status == 404


def test_the_api_tells_what_happened(story: Story) -> None:
    """Status, a model in detail and its incident say the same as the alerts did."""
    daemon = story.daemon
    status = daemon.status()
    assert status["status"] == "ok"
    assert status["models"]["total"] == len(MODELS)
    assert status["incidents"]["firing"] == 0
    assert {name.partition(" ")[0] for name in status["checks"]} >= {"kafka", "store", "alertmanager"}
    document = daemon.model(DRIFTED)
    assert (document["version"], document["state"], document["team"]) == ("3", "watching", "risk")
    features = {feature["name"]: feature for feature in document["features"]}
    assert features.keys() == {"income", "age", "region", "label", "score"}
    income = features["income"]
    assert (income["kind"], income["reference_events"]) == ("number", 10_000)
    assert len(income["reference"]["bins"]) == len(income["current"]["counts"]) == 32
    assert sum(income["reference"]["counts"]) == 10_000
    assert income["effect"]["tolerance"] == 0.02
    assert income["evidence_log10"] is not None
    (incident,) = (found for found in daemon.incidents() if found["model"] == DRIFTED)
    assert daemon.get(f"/api/v1/incidents/{incident['id']}").json == incident
    assert incident["state"] == "resolved"
    assert {cell["feature"] for cell in incident["cells"]} == {"income"}
    assert incident["effect"]["value"] > 0.3


def test_a_range_of_the_topic_can_be_replayed(story: Story, kafka: KafkaServer, references: Path) -> None:
    """`replay --topic` of the fault's time finds the same two incidents, and commits nothing."""
    group, n_records = f"watch-{story.topic}", sum(story.produced.values()) + BROKEN_RECORDS
    story.daemon.until(lambda: sum(kafka.committed(group).values()) == n_records)
    committed = kafka.committed(group)
    since, until = rfc3339(story.start + 20 * 60), rfc3339(story.start + FAULT[1] * 60)
    words = ["--config", story.daemon.config, "--since", since, "--until", until, "--json"]
    done = modelwatch("replay", "--topic", story.topic, *words)
    assert done.returncode == 0, done.stderr
    *incidents, summary = map(json.loads, done.stdout.splitlines())
    assert summary["events"] == 25 * 60 / SECONDS * len(MODELS)
    assert (summary["late"], summary["models"], summary["incidents"]) == (0, len(MODELS), 2)
    live = {incident["model"]: incident for incident in story.daemon.incidents()}
    for incident in incidents:
        assert incident["alertname"] == live[incident["model"]]["alertname"]
        assert abs(seconds_of(incident["fired_time"]) - seconds_of(live[incident["model"]]["fired_time"])) <= 120
    assert kafka.committed(group) == committed


def test_a_test_alert_arrives(story: Story) -> None:
    """`alerts test` fires and resolves at each Alertmanager of the configuration."""
    done = modelwatch("alerts", "test", "--config", story.daemon.config)
    host = story.alertmanager.url.removeprefix("http://")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{host}: ok: fired and resolved\n", "")


def test_a_store_belongs_to_one_daemon(story: Story) -> None:
    """A second daemon on the same store ends with 1 and one line that says why; the first one goes on."""
    other = story.daemon.config.with_name("other.toml")
    (port,) = free_ports(1)
    other.write_text(re.sub('listen = "[^"]*"', f'listen = "127.0.0.1:{port}"', story.daemon.config.read_text()))
    done = modelwatch("run", "--config", other)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"{story.daemon.store}: the store cannot be opened")
    assert "Traceback" not in done.stderr
    assert story.daemon.get("/readyz").status == 200


def seconds_of(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time, to the millisecond."""
    return float(np.datetime64(text.rstrip("Z"), "ms").astype(np.int64)) / 1000.0


def read_letters(kafka: KafkaServer, topic: str, n: int) -> list[dict[str, Any]]:
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": topic})
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    letters = list[dict[str, Any]]()
    deadline = time.monotonic() + 20
    while len(letters) < n:
        assert time.monotonic() < deadline, f"{len(letters)} of {n} dead letters"
        for message in consumer.consume(n, 0.2):
            assert message.error() is None
            headers = {name: value.decode() for name, value in message.headers() or ()}
            letters.append({**headers, "key": message.key(), "value": message.value()})
    consumer.close()
    return letters


# --- What cannot be run --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tables", "code", "words"),
    [
        ("[kafka]\nbootstrap = 'x'", 78, "unknown"),
        ("[clock]\ntick = '0s'\n[kafka]", 78, "clock.tick"),
        ("", 78, "kafka: is missing"),
        ("[kafka\n", 78, "config.toml"),
        ("[kafka]\ntopics = [{ name = 'a', format = 'soap' }]", 78, '"soap" is not one of'),
        ("[kafka.librdkafka]\n'no.such.key' = 1", 78, "no.such.key"),
        ("[kafka]\n[store]\npath = '/proc/nowhere'", 1, "/proc/nowhere: the store cannot be opened"),
        (
            "[kafka]\n[http]\nlisten = '127.0.0.1:{busy}'\n[store]\npath = '{tmp}'",
            1,
            "cannot listen on 127.0.0.1:{busy}",
        ),
        ("[kafka]\n[http]\ntoken_file = '/nowhere'\n[store]\npath = '{tmp}'", 1, "/nowhere"),
    ],
)
def test_what_cannot_be_run_says_why(story: Story, tmp_path: Path, tables: str, code: int, words: str) -> None:
    """A broken configuration ends with 78, anything else with 1, and the last line on stderr says what it is."""
    fill = {"busy": story.daemon.url.rpartition(":")[2], "tmp": str(tmp_path / "store")}
    file = tmp_path / "config.toml"
    for name, value in fill.items():
        tables, words = tables.replace(f"{{{name}}}", value), words.replace(f"{{{name}}}", value)
    file.write_text(tables)
    done = modelwatch("run", "--config", file)
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
