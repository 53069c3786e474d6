"""A daemon's ends and beginnings: stopped, killed, hung up, without its broker, and as exact as if nothing had been."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from servers.daemon import Daemon
from servers.lenders import FAULTY, MODELS, PARTITIONS, SECONDS, began_at, config, traffic
from servers.process import free_ports

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from servers.kafka import KafkaServer, Record

pytestmark = pytest.mark.servers


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
    with Daemon(tmp_path, config(own_kafka, topic, references, idle="4s")) as daemon:
        own_kafka.produce(topic, parts[0].records)
        daemon.until(lambda: daemon.n_events() == len(parts[0].records))
        own_kafka.stop()
        daemon.until(lambda: daemon.status()["checks"]["kafka"]["status"] == "degraded")
        watermark = daemon.status()["watermark"]
        probe = daemon.get("/readyz?verbose")
        assert (probe.status, "[!]kafka degraded" in probe.text) == (200, True)
        assert daemon.get("/livez").status == 200
        time.sleep(5.0)
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


def test_a_broker_that_never_answers_is_waited_for(tmp_path: Path, references: Path) -> None:
    """Without any broker the daemon lives, is degraded and not ready, and ends within 10 s when asked."""
    (port,) = free_ports(1)
    config = f'[kafka]\nbootstrap_servers = "127.0.0.1:{port}"\ndead_letter_topic = "d"\n'
    with Daemon(tmp_path, config, probe="livez") as daemon:
        daemon.until(lambda: daemon.status()["checks"].get("kafka", {}).get("status") == "degraded")
        assert (daemon.get("/livez").status, daemon.get("/readyz").status) == (200, 503)
        code, seconds = daemon.stop()
        assert (code, seconds < 10) == (0, True)
