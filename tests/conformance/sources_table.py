"""The sources that the suite runs over: how each is given records, and opened at any positions."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from monitor.clock import SystemClock
from monitor.events.raw import Partition
from monitor.ingest.files import FilesSource
from monitor.ingest.kafka import KafkaSource
from monitor.ingest.kafka_range import KafkaRange
from monitor.ingest.settings import KafkaSettings
from monitor.ingest.source import Source

if TYPE_CHECKING:
    from pathlib import Path

    from servers.kafka import KafkaServer

Streams = Sequence[Sequence[bytes | None]]
Open = Callable[[Mapping[Partition, int]], Source]


@dataclass(frozen=True)
class World:
    """What a source may be built from; the broker is started when it is asked for."""

    directory: Path
    kafka: Callable[[], KafkaServer]


@dataclass(frozen=True)
class Case:
    """One source. ``write`` stores the streams and returns their partitions and a way to open the source."""

    name: str
    write: Callable[[World, Streams], tuple[list[Partition], Open]]
    endless: bool = False
    tombstones: bool = False
    marks: Sequence[pytest.MarkDecorator] = field(default=())


def _files(suffix: str, dump: Callable[[Path, Sequence[bytes | None]], None]) -> Callable[..., tuple[list, Open]]:
    def write(world: World, streams: Streams) -> tuple[list[Partition], Open]:
        paths = [world.directory / f"{number}{suffix}" for number in range(len(streams))]
        for path, records in zip(paths, streams, strict=True):
            dump(path, records)
        names = [str(path) for path in paths]
        return [Partition(name, 0) for name in names], lambda positions: FilesSource(names, positions)

    return write


def _lines(records: Sequence[bytes | None]) -> bytes:
    return b"".join((record or b"") + b"\n" for record in records)


def _dump_parquet(path: Path, records: Sequence[bytes | None]) -> None:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    rows = [json.loads(record) for record in records if record is not None]
    schema = pa.schema([("model", pa.string()), ("id", pa.string()), ("time", pa.float64())])
    pq.write_table(pa.Table.from_pylist(rows, schema), path, row_group_size=7)


def _settings(server: KafkaServer, topic: str) -> KafkaSettings:
    return KafkaSettings.model_validate({"bootstrap_servers": server.bootstrap, "topics": ({"name": topic},)})


def _topic(world: World, streams: Streams) -> tuple[KafkaServer, str, list[Partition]]:
    server = world.kafka()
    topic = server.new_topic(len(streams))
    server.produce(topic, [(number, record) for number, records in enumerate(streams) for record in records])
    return server, topic, [Partition(topic, number) for number in range(len(streams))]


def _kafka(world: World, streams: Streams) -> tuple[list[Partition], Open]:
    server, topic, partitions = _topic(world, streams)
    return partitions, lambda positions: KafkaSource(_settings(server, topic), positions, SystemClock())


def _kafka_range(world: World, streams: Streams) -> tuple[list[Partition], Open]:
    server, topic, partitions = _topic(world, streams)
    settings = _settings(server, topic)
    return partitions, lambda positions: KafkaRange(settings, topic, None, None, positions, SystemClock())


SERVERS = (pytest.mark.servers,)

CASES = (
    Case("lines", _files(".jsonl", lambda path, records: path.write_bytes(_lines(records)))),
    Case("gzip", _files(".jsonl.gz", lambda path, records: path.write_bytes(gzip.compress(_lines(records))))),
    Case("parquet", _files(".parquet", _dump_parquet)),
    Case("kafka", _kafka, endless=True, tombstones=True, marks=SERVERS),
    Case("kafka range", _kafka_range, tombstones=True, marks=SERVERS),
)
