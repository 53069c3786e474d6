"""What every source of events keeps of its promises, whatever it reads from."""

from __future__ import annotations

import json
import time
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest
from conformance.sources_table import CASES, Case, Streams, World

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from monitor.events.raw import Partition
    from monitor.ingest.source import Source

DEADLINE_SECONDS = 20.0


PARAMETERS = [pytest.param(case, id=case.name, marks=case.marks) for case in CASES]
WITH_TOMBSTONES = [each for each, case in zip(PARAMETERS, CASES, strict=True) if case.tombstones]


@pytest.fixture(params=PARAMETERS)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return World(tmp_path, lambda: request.getfixturevalue("kafka"))


def streams(*lengths: int) -> list[list[bytes]]:
    """Records whose ids say where they stand; the times of all streams run side by side."""
    return [
        [
            json.dumps({"model": "m", "id": f"{number}/{i}", "time": 1.7e9 + i + number / 10}).encode()
            for i in range(length)
        ]
        for number, length in enumerate(lengths)
    ]


def polls(source: Source, records_max: int) -> Iterator[tuple[Partition, int, bytes | None]]:
    """Each record with its partition and offset, until there is nothing more for now."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        assert time.monotonic() < deadline, "the source does not come to its end"
        batch = source.poll(records_max, 0.05)
        assert len(batch) <= records_max
        assert len(batch.timestamps) == len(batch.source) == len(batch.offsets) == len(batch)
        assert len(batch.keys) in {0, len(batch)}
        yield from zip([batch.partitions[i] for i in batch.source], batch.offsets.tolist(), batch.values, strict=True)
        partitions = source.positions()
        if not len(batch) and (source.finished() or (partitions and all(map(source.exhausted, partitions)))):
            return


def ids(records: Sequence[tuple[Partition, int, bytes | None]], partition: Partition) -> list[str]:
    return [json.loads(value)["id"] for each, _, value in records if each == partition and value is not None]


def expected(written: Streams) -> list[list[str]]:
    return [[json.loads(record)["id"] for record in records if record is not None] for records in written]


def test_every_record_comes_once_and_in_order(case: Case, world: World) -> None:
    """Within a partition records come in the order they were written, at offsets that grow, and none twice."""
    written = streams(40, 25)
    partitions, open_at = case.write(world, written)
    with closing(open_at({})) as source:
        records = list(polls(source, 16))
    assert [ids(records, partition) for partition in partitions] == expected(written)
    for partition in partitions:
        offsets = [offset for each, offset, _ in records if each == partition]
        assert all(np.diff(offsets) > 0)


def test_positions_are_where_reading_goes_on(case: Case, world: World) -> None:
    """Stopped anywhere and opened again at its positions, a source loses no record and doubles none."""
    written = streams(12, 9)
    partitions, open_at = case.write(world, written)
    for cut in (0, 1, 8, 20, 21) if case.marks else range(22):
        records = []
        with closing(open_at({})) as source:
            reading = polls(source, 1)
            records.extend(next(reading) for _ in range(cut))
            positions = source.positions()
        with closing(open_at(positions)) as source:
            records.extend(polls(source, 5))
        assert [ids(records, partition) for partition in partitions] == expected(written), cut


def test_positions_name_the_next_offset(case: Case, world: World) -> None:
    """After a batch the position of each partition is one behind its last record."""
    partitions, open_at = case.write(world, streams(12, 9))
    with closing(open_at({})) as source:
        records = list(polls(source, 4))
        last = {partition: offset for partition, offset, _ in records}
        assert {each: offset - 1 for each, offset in source.positions().items()} == last
        assert last.keys() == set(partitions)


def test_a_partition_without_records_has_a_position(case: Case, world: World) -> None:
    """A partition that is read but holds nothing yet is among the positions, and is exhausted."""
    partitions, open_at = case.write(world, streams(5, 0))
    with closing(open_at({})) as source:
        assert len(list(polls(source, 10))) == 5
        assert source.positions() == {partitions[0]: 5, partitions[1]: 0}
        assert source.exhausted(partitions[1])


def test_a_partition_with_records_left_is_not_exhausted(case: Case, world: World) -> None:
    """While records of it are still to come, the partition that is being read is not exhausted."""
    (partition,), open_at = case.write(world, streams(50))
    with closing(open_at({})) as source:
        seen = 0
        while seen < 50:
            assert not source.exhausted(partition)
            assert not source.finished()
            seen += len(source.poll(1, 0.5))


def test_the_end_is_known(case: Case, world: World) -> None:
    """When everything was read all partitions are exhausted; a source that can end is finished, another is not."""
    partitions, open_at = case.write(world, streams(7, 7))
    with closing(open_at({})) as source:
        assert len(list(polls(source, 100))) == 14
        assert all(map(source.exhausted, partitions))
        assert source.finished() is not case.endless


def test_nothing_to_read_takes_no_longer_than_allowed(case: Case, world: World) -> None:
    """A poll that finds nothing returns an empty batch when its time is over, and changes no position."""
    _, open_at = case.write(world, streams(3))
    with closing(open_at({})) as source:
        list(polls(source, 100))
        positions = source.positions()
        began = time.monotonic()
        assert len(source.poll(100, 0.05)) == 0
        assert time.monotonic() - began < 0.5
        assert source.positions() == positions


def test_opened_at_its_end_it_reads_nothing(case: Case, world: World) -> None:
    """Opened where everything was read, a source delivers nothing and keeps its positions."""
    _, open_at = case.write(world, streams(6, 4))
    with closing(open_at({})) as source:
        list(polls(source, 100))
        positions = source.positions()
    with closing(open_at(positions)) as source:
        assert list(polls(source, 100)) == []
        assert source.positions() == positions


def test_telling_of_commits_and_lag_never_fails(case: Case, world: World) -> None:
    """Lag is never negative, and being told of a commit changes nothing that is read."""
    written = streams(6, 4)
    partitions, open_at = case.write(world, written)
    with closing(open_at({})) as source:
        records = []
        for record in polls(source, 3):
            records.append(record)
            source.committed(source.positions())
            assert all(lag >= 0 for lag in source.lag().values())
    assert [ids(records, partition) for partition in partitions] == expected(written)


@pytest.mark.parametrize("case", WITH_TOMBSTONES, indirect=True)
def test_a_tombstone_is_a_record(case: Case, world: World) -> None:
    """A record without a value comes as ``None`` at its offset."""
    first, last = streams(2)[0]
    (partition,), open_at = case.write(world, [[first, None, last]])
    with closing(open_at({})) as source:
        assert list(polls(source, 10)) == [(partition, 0, first), (partition, 1, None), (partition, 2, last)]
