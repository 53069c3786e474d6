"""A real broker, a topic of each kind of envelope: do headers and keys come through to the events?"""

from __future__ import annotations

import json
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from monitor.clock import SystemClock
from monitor.compose import make_decoders
from monitor.config import load
from monitor.ingest.kafka import KafkaSource

if TYPE_CHECKING:
    from pathlib import Path

    from servers.kafka import KafkaServer

pytestmark = pytest.mark.servers

CONFIG = """
[kafka]
bootstrap_servers = "{bootstrap}"
topics = [
  {{ name = "{kserve}", format = "kserve" }},
  {{ name = "{mapped}", format = "mapped", mapping = {{ model = "header:x-model", id = "key", features = "/x" }} }},
  {{ name = "{native}" }},
]
"""
REQUEST = [
    ("ce_id", b"r-1"),
    ("ce_type", b"org.kubeflow.serving.inference.request"),
    ("ce_inferenceservicename", b"iris"),
    ("ce_time", b"2026-03-01T09:30:00Z"),
    ("content-type", b"application/json"),
]


def test_headers_and_keys_reach_the_decoder(kafka: KafkaServer, tmp_path: Path) -> None:
    """Records of three topics, each in its format, become events with model and id from headers and keys."""
    topics = {name: kafka.new_topic(1, name) for name in ("kserve", "mapped", "native")}
    sent = {
        "kserve": (json.dumps({"instances": [[1], [2]]}), REQUEST, None),
        "mapped": (json.dumps({"x": {"a": 1}}), [("X-Model", b"m"), ("x-model", b"credit")], b"k-1"),
        "native": (json.dumps({"model": "n", "id": "1", "features": {"a": 1}}), [("ignored", b"1")], None),
    }
    for name, (value, headers, key) in sent.items():
        kafka.producer.produce(topics[name], value.encode(), key, headers=headers)
    kafka.producer.flush(10)
    path = tmp_path / "modelwatch.toml"
    path.write_text(CONFIG.format(bootstrap=kafka.bootstrap, **topics))
    config = load(path, {})
    decoder_of = make_decoders(config)
    told: list[tuple[str, Any]] = []
    deadline = time.monotonic() + 20
    with closing(KafkaSource(config.require_kafka(), {}, SystemClock())) as source:
        while len(told) < 4:
            assert time.monotonic() < deadline, told
            raw = source.poll(100, 0.1)
            for i in range(len(raw)):
                topic = raw.partitions[raw.source[i]].topic
                headers = raw.headers[i : i + 1] if raw.headers else ()
                assert not (topic == topics["native"] and headers and headers[0])
                batch = decoder_of(topic).decode(
                    raw.values[i : i + 1], raw.timestamps[i : i + 1], keys=raw.keys[i : i + 1], headers=headers
                )
                assert batch.reasons.tolist() == []
                told += [(batch.string(batch.model, j), batch.string(batch.id, j)) for j in range(len(batch))]
    assert sorted(told) == [("credit", "k-1"), ("iris", "r-1/0"), ("iris", "r-1/1"), ("n", "1")]
