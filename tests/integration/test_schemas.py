"""Real records in Avro and Protocol Buffers, on a real broker, with a real schema registry."""

from __future__ import annotations

import json
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from fakes.schemas import AVRO_EVENT, PROTO_EVENT, in_avro, in_protobuf
from servers.registry import RegistryServer, RegistryStub

from monitor.clock import SystemClock
from monitor.compose import make_decoders
from monitor.config import Config, load
from monitor.events.columns import Reason
from monitor.events.raw import Partition
from monitor.ingest.kafka import KafkaSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from servers.kafka import KafkaServer

pytestmark = pytest.mark.servers

CONFIG = """
[kafka]
bootstrap_servers = "{bootstrap}"
topics = [{{ name = "{avro}", format = "avro" }}, {{ name = "{protobuf}", format = "protobuf" }}]
schema_registry = {{ urls = ["{url}"], timeout = "2s" }}
"""


class Reading:
    """A source and its decoders, and the ids of the events that came."""

    def __init__(self, config: Config) -> None:
        self.source = KafkaSource(config.require_kafka(), {}, SystemClock(), refresh_seconds=0.3)
        self.ids: list[str] = []
        self.reasons: list[str] = []
        self._decoder_of = make_decoders(config)

    def until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not done():
            assert time.monotonic() < deadline, (self.ids, self.reasons, self.source.check())
            raw = self.source.poll(100, 0.05)
            for i in range(len(raw)):
                decoder = self._decoder_of(raw.partitions[raw.source[i]].topic)
                batch = decoder.decode(raw.values[i : i + 1], raw.timestamps[i : i + 1])
                self.ids += [batch.string(batch.id, j) for j in range(len(batch))]
                self.reasons += [Reason(reason).name.lower() for reason in batch.reasons]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    with RegistryServer(tmp_path_factory.mktemp("registry")) as server:
        yield server


def written(kafka: KafkaServer, url: str, tmp_path: Path) -> tuple[Config, str, str]:
    """A configuration of two new topics, and their names."""
    avro, protobuf = kafka.new_topic(1, "avro"), kafka.new_topic(1, "protobuf")
    path = tmp_path / "modelwatch.toml"
    path.write_text(CONFIG.format(bootstrap=kafka.bootstrap, avro=avro, protobuf=protobuf, url=url))
    return load(path, {}), avro, protobuf


def event(name: str) -> dict[str, Any]:
    return {"model": "m", "id": name, "features": {"age": 37.5, "region": "SE"}, "prediction": "yes"}


def test_records_are_read_by_the_schemas_of_a_registry(
    kafka: KafkaServer, registry: RegistryServer, tmp_path: Path
) -> None:
    """Schemas are found by the ids in the records, with those that they refer to; what has none is a dead letter."""
    config, avro, protobuf = written(kafka, registry.url, tmp_path)
    first = registry.register("avro-value", json.dumps(AVRO_EVENT))
    registry.register("types", 'syntax = "proto3";\npackage types;\nmessage Id { string text = 1; }\n', "PROTOBUF")
    refers = PROTO_EVENT.replace("message", 'import "types.proto";\nmessage', 1)
    reference = {"name": "types.proto", "subject": "types", "version": 1}
    second = registry.register("protobuf-value", refers, "PROTOBUF", [reference])
    kafka.produce(avro, [(0, in_avro(first, AVRO_EVENT, event("a"))), (0, in_avro(2**31, AVRO_EVENT, event("b")))])
    kafka.produce(
        protobuf, [(0, in_protobuf(second, PROTO_EVENT, event("c"))), (0, in_avro(first, AVRO_EVENT, event("d")))]
    )
    reading = Reading(config)
    with closing(reading.source):
        reading.until(lambda: len(reading.ids) + len(reading.reasons) == 4)
    assert (sorted(reading.ids), sorted(reading.reasons)) == (["a", "c"], ["unknown_schema", "unreadable_schema"])


def test_a_registry_that_is_away_holds_up_what_needs_it(kafka: KafkaServer, tmp_path: Path) -> None:
    """While no schema is to be had a partition stands still before the record, and goes on where it stood."""
    with RegistryStub() as stub:
        config, avro, protobuf = written(kafka, stub.url, tmp_path)
        stub.answers["/schemas/ids/1"] = (200, {"schema": json.dumps(AVRO_EVENT)})
        stub.answers["/schemas/ids/2"] = (200, {"schema": PROTO_EVENT, "schemaType": "PROTOBUF"})
        kafka.produce(protobuf, [(0, in_protobuf(2, PROTO_EVENT, event("p0")))])
        reading = Reading(config)
        with closing(reading.source):
            reading.until(lambda: reading.ids == ["p0"])
            stub.away = True
            sent = [f"a{i}" for i in range(500)]
            kafka.produce(avro, [(0, in_avro(1, AVRO_EVENT, event(name))) for name in sent])
            reading.until(lambda: reading.source.check().status == "degraded")
            reading.until(lambda: "503" in reading.source.check().detail)
            kafka.produce(protobuf, [(0, in_protobuf(2, PROTO_EVENT, event("p1")))])
            reading.until(lambda: reading.ids == ["p0", "p1"])
            assert (reading.source.positions()[Partition(avro, 0)], reading.source.held) == (0, 1)
            assert not reading.source.exhausted(Partition(avro, 0))
            stub.away = False
            reading.until(lambda: len(reading.ids) == 502)
            assert reading.ids[2:] == sent
            assert (reading.source.held, reading.reasons) == (0, [])
            assert reading.source.check().status == "ok"
