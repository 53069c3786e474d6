"""A daemon whose policies change while it runs, and one that comes back to topics that have forgotten."""

from __future__ import annotations

import shutil
import signal
from typing import TYPE_CHECKING, Any

import pytest
from servers.daemon import Daemon
from servers.lenders import BROKEN, DRIFTED, MODELS, PARTITIONS, SECONDS, began_at, config, traffic

if TYPE_CHECKING:
    from pathlib import Path

    from servers.kafka import KafkaServer

pytestmark = pytest.mark.servers

A_MINUTE = int(60 / SECONDS * len(MODELS))
"""Events of a minute of the fleet."""


def firing(daemon: Daemon) -> dict[tuple[str, str], Any]:
    """Open incidents by model and alertname."""
    return {(each["model"], each["alertname"]): each for each in daemon.incidents() if each["state"] == "firing"}


def test_teams_change_their_policies(kafka: KafkaServer, references: Path, tmp_path: Path) -> None:
    """A bad file of a team changes nothing and is named; a changed tolerance ends its own incidents and no others."""
    start, topic = began_at(14.0), kafka.new_topic(PARTITIONS)
    policies = tmp_path / "policies.d"
    policies.mkdir()
    team = policies / "risk.toml"
    team.write_text('[[models]]\nmatch = "credit/*"\ntolerance = { drift = 0.02 }\n')
    daemon = Daemon(tmp_path, config(kafka, topic, references))
    daemon.config.write_text('include = ["policies.d/*.toml"]\n' + daemon.config.read_text())
    drift, quality = (DRIFTED, "ModelFeatureDrift"), (BROKEN, "ModelDataQuality")
    with daemon:
        kafka.produce(topic, traffic(start, (0.0, 8.0), faulty=True).records)
        daemon.until(lambda: {drift, quality} <= firing(daemon).keys())
        held = firing(daemon)
        team.write_text("[[models]]\nmatch = 1\n")
        daemon.signal(signal.SIGHUP)
        daemon.until(lambda: daemon.metric("modelwatch_config_last_reload_successful") == {"": 0.0})
        assert f"{team}: models[0].match" in daemon.log.read_text()
        kafka.produce(topic, traffic(start, (8.0, 10.0), faulty=True).records)
        daemon.until(lambda: daemon.n_events() == 10 * A_MINUTE)
        assert {drift, quality} <= firing(daemon).keys()
        team.write_text('[[models]]\nmatch = "credit/*"\ntolerance = { drift = 0.6 }\n')
        daemon.signal(signal.SIGHUP)
        daemon.until(lambda: daemon.metric("modelwatch_config_last_reload_successful") == {"": 1.0})
        kafka.produce(topic, traffic(start, (10.0, 13.0), faulty=True).records)
        daemon.until(lambda: drift not in firing(daemon))
        [ended] = [each for each in daemon.incidents() if each["id"] == held[drift]["id"]]
        assert (ended["state"], ended["resolved_because"]) == ("resolved", "policy changed")
        assert firing(daemon)[quality]["id"] == held[quality]["id"]


def test_topics_that_have_forgotten(kafka: KafkaServer, references: Path, tmp_path: Path) -> None:
    """A store older than the topics goes on with what is left, and says what was lost; without one all is read."""
    start, topic = began_at(12.0), kafka.new_topic(PARTITIONS)
    with Daemon(tmp_path, config(kafka, topic, references)) as daemon:
        kafka.produce(topic, traffic(start, (0.0, 4.0)).records)
        daemon.until(lambda: daemon.n_events() == 4 * A_MINUTE)
        assert daemon.stop()[0] == 0
        stored = {partition: kafka.end_offset(topic, partition) for partition in range(PARTITIONS)}
        kafka.produce(topic, traffic(start, (4.0, 10.0)).records)
        for partition, offset in stored.items():
            kafka.delete_records(topic, partition, before=offset + 300)
        daemon.start()
        lost = 300 * PARTITIONS
        daemon.until(lambda: daemon.n_events() == 10 * A_MINUTE - lost)
        assert daemon.metric("modelwatch_lost_records_total") == {"": lost}
        log = daemon.log.read_text()
        assert str(stored[0]) in log
        assert str(stored[0] + 300) in log
        assert daemon.stop()[0] == 0
        shutil.rmtree(daemon.store)
        daemon.start()
        left = 10 * A_MINUTE - sum(stored.values()) - lost
        daemon.until(lambda: daemon.n_events() == left)
        assert daemon.metric("modelwatch_lost_records_total") == {"": 0}
