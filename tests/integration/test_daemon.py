"""The whole daemon among real servers: events into Kafka, alerts out of Alertmanager, figures into Prometheus."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
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
from servers.need import program
from servers.process import free_ports
from servers.prometheus import PrometheusServer
from servers.webhook import WebhookReceiver

from monitor.catalog import profile
from monitor.clock import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from servers.kafka import KafkaServer, Record

pytestmark = pytest.mark.servers

MODELS = [f"credit/{i:02d} ü" for i in range(20)]
DRIFTED, BROKEN = MODELS[3], MODELS[7]
REGIONS = ("north", "south", "west")
SECONDS = 2.0
"""Between two events of one model."""
PARTITIONS = 4
SCRAPE = """
global: {{ scrape_interval: 1s, scrape_timeout: 1s }}
scrape_configs:
  - job_name: modelwatch
    static_configs: [{{ targets: ["{target}"] }}]
  - job_name: modelwatch-models
    metrics_path: /metrics/models
    static_configs: [{{ targets: ["{target}"] }}]
"""


def began_at(minutes: float) -> float:
    """A full minute such that ``minutes`` from it are about now."""
    return float(time.time() // 60 * 60 - minutes * 60)


def write_references(directory: Path) -> None:
    """What every model was trained on, so that judging begins with the first event."""
    directory.mkdir()
    n, rng = 10_000, np.random.default_rng(5)
    series = [
        profile.number_series("income", "feature", rng.normal(40.0, 10.0, n), n),
        profile.number_series("age", "feature", rng.integers(18, 80, n).astype(float), n),
        profile.category_series("region", "feature", {"north": 5000, "south": 3000, "west": 2000}, 0, n),
        profile.category_series("label", "prediction", {"approve": 6000, "reject": 4000}, 0, n),
        profile.number_series("score", "prediction", rng.beta(3.0, 2.0, n), n),
    ]
    for model in MODELS:
        made = profile.Profile(model, "3", n, "training.csv", series)
        profile.save(made, directory / f"{quote(model, safe=' ')}.mwref")


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some minutes of the fleet's events in their order: ``records`` by partition with value and model."""

    records: Sequence[Record]
    models: Sequence[str]

    def part(self, first: int, last: int) -> Sequence[Record]:
        return self.records[first:last]


def traffic(start: float, minutes: tuple[float, float], *, faulty: bool = False, seed: int = 1) -> Stretch:
    """Events from the one to the other of ``minutes`` after ``start``, each model's in any partitions.

    While ``faulty`` the incomes of ``DRIFTED`` are higher, within their range, and ``BROKEN`` has lost its region.
    """
    rng = np.random.default_rng([seed, int(minutes[0] * 60)])
    steps = np.arange(minutes[0] * 60.0, minutes[1] * 60.0, SECONDS)
    records, models = list[Any](), list[str]()
    for step in steps.tolist():
        for i, model in enumerate(MODELS):
            at = start + step + i * SECONDS / len(MODELS)
            features = {
                "income": round(float(rng.normal(55.0 if faulty and model == DRIFTED else 40.0, 10.0)), 3),
                "age": int(rng.integers(18, 80)),
                "region": REGIONS[int(np.searchsorted([0.5, 0.8], rng.random()))],
            }
            if faulty and model == BROKEN:
                features["region"] = None
            event = {
                "model": model,
                "version": "3",
                "id": f"{i}-{step}",
                "time": at,
                "features": features,
                "prediction": {
                    "label": "approve" if rng.random() < 0.6 else "reject",
                    "score": round(float(rng.beta(3.0, 2.0)), 4),
                },
            }
            records.append((int(rng.integers(PARTITIONS)), json.dumps(event).encode(), at))
            models.append(model)
    return Stretch(records, models)


def config(
    kafka: KafkaServer, topic: str, references: Path, more: str = "", letters: str = "", idle: str = "60s"
) -> str:
    dead_letters = f'dead_letter_topic = "{letters}"\n' if letters else ""
    return f"""
{more}
[clock]
lateness = "30s"
idle = "{idle}"
[kafka]
bootstrap_servers = "{kafka.bootstrap}"
group_id = "watch-{topic}"
topics = [{{ name = "{topic}" }}]
{dead_letters}
[[models]]
match = "credit/*"
team = "risk"
keep_firing = "2m"
reference = "file:{references}/{{model}}.mwref"
"""


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("daemon") / "references"
    write_references(directory)
    return directory


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


FAULTY = {DRIFTED, BROKEN}


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
        assert notes.keys() == {"summary", "description", "effect", "evidence", "onset", "runbook_url"}
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
    committed = kafka.committed(f"watch-{story.topic}")
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
    assert kafka.committed(f"watch-{story.topic}") == committed


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


# --- Ends and beginnings -------------------------------------------------------------------------------------------


def said(daemon: Daemon) -> tuple[dict[str, int], list[Any]]:
    """Events by model, and of each incident what must not depend on how the daemon's life went."""
    return {name: row["events"] for name, row in daemon.models().items()}, [
        [incident[key] for key in ("id", "alertname", "model", "state", "onset_time", "fired_time", "resolved_time")]
        + [[(cell["detector"], cell["feature"], cell["fired_time"]) for cell in incident["cells"]]]
        for incident in daemon.incidents()
    ]


def test_a_disturbed_life_ends_like_an_undisturbed_one(kafka: KafkaServer, references: Path, tmp_path: Path) -> None:
    """Stopped, killed twice in the middle of its work and started again: the same incidents and the same counts."""
    start, topic = began_at(60.0), kafka.new_topic(PARTITIONS)
    parts = [
        traffic(start, (0.0, 15.0)),
        traffic(start, (15.0, 22.0), faulty=True),
        traffic(start, (22.0, 30.0), faulty=True),
        traffic(start, (30.0, 60.0)),
    ]
    total = sum(len(part.records) for part in parts)
    text = config(kafka, topic, references)
    with Daemon(tmp_path / "disturbed", text, commit="300ms") as daemon:
        kafka.produce(topic, parts[0].records)
        daemon.until(lambda: daemon.n_events() > 0)
        code, seconds = daemon.stop()
        assert (code, seconds < 10) == (0, True)
        kafka.produce(topic, parts[1].records)
        daemon.start()
        for part in parts[2:]:
            writer = threading.Thread(target=slowly, args=(kafka, topic, part.records))
            before = daemon.n_events()
            writer.start()
            daemon.until(lambda before=before: daemon.n_events() > before + 2000)
            daemon.kill()
            writer.join()
            daemon.start()
        daemon.until(lambda: daemon.n_events() == total)
        disturbed = settled(daemon)
        assert daemon.metric("modelwatch_late_events_total") == {"": 0}
    with Daemon(tmp_path / "undisturbed", text) as daemon:
        daemon.until(lambda: daemon.n_events() == total)
        undisturbed = settled(daemon)
    assert disturbed == undisturbed
    assert {incident[2] for incident in undisturbed[1]} == FAULTY


def settled(daemon: Daemon) -> Any:
    """What is said when two pictures in a row are the same."""
    last = None
    while (now := said(daemon)) != last:
        last = now
        time.sleep(1.2)
    return now


def slowly(kafka: KafkaServer, topic: str, records: Sequence[Record]) -> None:
    for first in range(0, len(records), 1000):
        kafka.produce(topic, records[first : first + 1000])
        time.sleep(0.1)


def test_an_outage_of_kafka_loses_nothing(own_kafka: KafkaServer, references: Path, tmp_path: Path) -> None:
    """While the broker is away the daemon lives, says so and lets event time stand; then every event counts once."""
    start, topic = began_at(20.0), own_kafka.new_topic(PARTITIONS)
    parts = [traffic(start, (0.0, 10.0)), traffic(start, (10.0, 20.0))]
    with Daemon(tmp_path, config(own_kafka, topic, references, idle="1s")) as daemon:
        own_kafka.produce(topic, parts[0].records)
        daemon.until(lambda: daemon.n_events() == len(parts[0].records))
        own_kafka.stop()
        daemon.until(lambda: daemon.status()["checks"]["kafka"]["status"] == "degraded")
        watermark = daemon.status()["watermark"]
        probe = daemon.get("/readyz?verbose")
        assert (probe.status, "[!]kafka degraded" in probe.text) == (200, True)
        assert daemon.get("/livez").status == 200
        time.sleep(2.5)
        assert daemon.status()["watermark"] == watermark
        own_kafka.start()
        own_kafka.produce(topic, parts[1].records)
        daemon.until(lambda: daemon.n_events() == sum(len(part.records) for part in parts))
        daemon.until(lambda: daemon.status()["checks"]["kafka"]["status"] == "ok")
        assert daemon.get("/readyz?verbose").text.count("[+]kafka ok") == 1
        assert daemon.metric("modelwatch_late_events_total") == {"": 0}


def test_topics_that_are_not_there_are_waited_for(kafka: KafkaServer, references: Path, tmp_path: Path) -> None:
    """A topic that does not exist is named by the check, and neither it nor a pattern without a match harms others."""
    topic = kafka.new_topic()
    kafka.produce(topic, [(0, value, at) for _, value, at in traffic(began_at(5.0), (0.0, 1.0)).records])
    text = config(kafka, topic, references).replace(
        f'{{ name = "{topic}" }}', f'{{ name = "{topic}" }}, {{ name = "absent-{topic}" }}, {{ name = "^nothing-.*" }}'
    )
    with Daemon(tmp_path, text) as daemon:
        daemon.until(lambda: daemon.n_events() == 60 / SECONDS * len(MODELS))
        check = daemon.status()["checks"]["kafka"]
        assert (check["status"], check["detail"]) == ("degraded", f"no such topic yet: absent-{topic}")
        assert daemon.get("/readyz").status == 200


def test_a_hang_up_does_not_end_it(kafka: KafkaServer, references: Path, tmp_path: Path) -> None:
    """SIGHUP reads the policies again, a bad file changes nothing and is named; SIGTERM ends it with 0."""
    with Daemon(tmp_path, config(kafka, kafka.new_topic(), references)) as daemon:
        daemon.signal(signal.SIGHUP)
        daemon.until(lambda: "reloaded" in daemon.log.read_text())
        good = daemon.config.read_text()
        daemon.config.write_text(good + "[[models]]\nmatch = 1\n")
        daemon.signal(signal.SIGHUP)
        daemon.until(lambda: daemon.metric("modelwatch_config_last_reload_successful") == {"": 0.0})
        assert "models[1].match" in daemon.log.read_text()
        daemon.config.write_text(good.replace('lateness = "30s"', 'lateness = "40s"'))
        daemon.signal(signal.SIGHUP)
        daemon.until(lambda: daemon.metric("modelwatch_config_last_reload_successful") == {"": 1.0})
        daemon.until(lambda: "restart_needed" in daemon.log.read_text())
        code, seconds = daemon.stop()
        assert (code, seconds < 10) == (0, True)


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


def test_a_broker_that_never_answers_is_waited_for(tmp_path: Path, references: Path) -> None:
    """Without any broker the daemon lives, is degraded and not ready, and ends within 10 s when asked."""
    (port,) = free_ports(1)
    config = f'[kafka]\nbootstrap_servers = "127.0.0.1:{port}"\ndead_letter_topic = "d"\n'
    with Daemon(tmp_path, config, probe="livez") as daemon:
        daemon.until(lambda: daemon.status()["checks"].get("kafka", {}).get("status") == "degraded")
        assert (daemon.get("/livez").status, daemon.get("/readyz").status) == (200, 503)
        code, seconds = daemon.stop()
        assert (code, seconds < 10) == (0, True)
