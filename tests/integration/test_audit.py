"""Can an auditor rely on what a daemon wrote: is its trail anchored, and does a replay decide the same?"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from servers.daemon import Daemon, modelwatch
from servers.lenders import PARTITIONS, began_at, config, traffic

if TYPE_CHECKING:
    from pathlib import Path

    from servers.kafka import KafkaServer

pytestmark = pytest.mark.servers


def test_what_was_decided_is_anchored_and_decided_again(kafka: KafkaServer, references: Path, tmp_path: Path) -> None:
    """The trail of a stopped daemon agrees with its anchors; a replay of its topic gives its incidents, bit by bit."""
    start, topic, anchors = began_at(60.0), kafka.new_topic(PARTITIONS), kafka.new_topic(1)
    parts = [traffic(start, (0.0, 15.0)), traffic(start, (15.0, 25.0), faulty=True), traffic(start, (25.0, 60.0))]
    text = config(kafka, topic, references).replace("[kafka]\n", f'[kafka]\naudit_topic = "{anchors}"\n')
    with Daemon(tmp_path / "daemon", text, commit="300ms") as daemon:
        for part in parts:
            kafka.produce(topic, part.records)
        daemon.until(lambda: len([i for i in daemon.incidents() if i["state"] == "resolved"]) >= 1, 120)
        decided = {incident["id"]: incident for incident in daemon.incidents() if incident["state"] == "resolved"}
        assert daemon.stop()[0] == 0
    assert kafka.end_offset(anchors, 0) >= 1
    whole = modelwatch("audit", "verify", daemon.store, "--config", daemon.config)
    assert (whole.returncode, "agrees with" in whole.stdout) == (0, True), whole.stderr
    shown = modelwatch("audit", "show", daemon.store, "--kind", "incident", "--json").stdout
    assert {json.loads(line)["subject"] for line in shown.splitlines()} >= decided.keys()
    again = modelwatch("replay", "--topic", topic, "--config", daemon.config, "--json")
    assert again.returncode == 0, again.stderr
    replayed = {line["id"]: line for line in map(json.loads, again.stdout.splitlines()) if line["type"] == "incident"}
    for identity, incident in decided.items():
        assert replayed[identity] == {"type": "incident", **incident}
        # The kept reference lies elsewhere, which the text of the policy says.
        again_told = judged_again(daemon, topic, incident, tmp_path)
        assert {**again_told, **{name: incident[name] for name in ("policy_digest", "docket_digest")}} == {
            "type": "incident",
            **incident,
        }


def judged_again(daemon: Daemon, topic: str, incident: dict[str, Any], folder: Path) -> Any:
    """What a replay says of an incident under the policy and the reference that its store has by its digests."""
    policy, reference = folder / "policy.toml", folder / "kept.mwref"
    for digest, out in ((incident["policy_digest"], policy), (incident["reference_digest"], reference)):
        kept = modelwatch("audit", "exhibit", daemon.store, digest, "--out", out)
        assert kept.returncode == 0, kept.stderr
    assert hashlib.sha256(policy.read_bytes()).hexdigest() == incident["policy_digest"]
    assert incident["reference_digest"] in modelwatch("baseline", "show", reference).stdout
    lines = [line for line in policy.read_text().splitlines() if not line.startswith("reference = ")]
    clause = f'[[models]]\nmatch = "{incident["model"]}"\nreference = "file:{reference}"\n'
    recorded = folder / "recorded.toml"
    recorded.write_text(daemon.config.read_text() + clause + "\n".join(lines) + "\n")
    again = modelwatch("replay", "--topic", topic, "--config", recorded, "--json")
    assert again.returncode == 0, again.stderr
    told = [line for line in map(json.loads, again.stdout.splitlines()) if line.get("id") == incident["id"]]
    return told[0] if told else None
