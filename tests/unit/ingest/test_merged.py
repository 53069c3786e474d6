"""What merging by event time keeps of its promises, however streams are cut into blocks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor.clock import rfc3339
from monitor.ingest.merged import Block, merged

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Streams = list[list[bytes]]


def records(*streams: Sequence[object]) -> Streams:
    """Records of the given times; each says which stream it is of and where in it."""
    return [
        [json.dumps({"time": time, "at": [number, i]}).encode() for i, time in enumerate(times)]
        for number, times in enumerate(streams)
    ]


def blocks(values: Sequence[bytes], size: int) -> Iterator[Block]:
    for at in range(0, len(values), size):
        part = values[at : at + size]
        yield Block(part, np.arange(at, at + len(part)))


def order(streams: Streams, *sizes: int) -> list[list[int]]:
    """Which record of which stream came when, with its stream and offset checked."""
    cut = [blocks(values, sizes[i % len(sizes)]) for i, values in enumerate(streams)]
    found = []
    for block in merged(cut):
        assert len(block.values) == len(block.offsets) == len(block.source)
        for value, offset, source in zip(block.values, block.offsets, block.source, strict=True):
            at = json.loads(value)["at"]
            assert at == [source, offset]
            found.append(at)
    return found


def test_sorted_streams_come_out_sorted() -> None:
    """Streams that are sorted by time become one that is; at equal times the first stream goes first."""
    assert order(records([1, 4, 6], [2, 3, 4, 9]), 2) == [[0, 0], [1, 0], [1, 1], [0, 1], [1, 2], [0, 2], [1, 3]]


def test_times_may_be_written_either_way() -> None:
    """RFC 3339 with any offset and seconds since the epoch are the same times."""
    streams = records([rfc3339(1.0), "1970-01-01T01:00:03+01:00"], [0.5, 2.0, 4])
    assert order(streams, 1) == [[1, 0], [0, 0], [1, 1], [0, 1], [1, 2]]


def test_a_record_without_a_time_follows_its_predecessor() -> None:
    """No time, a broken one, one without a zone or a broken record: it goes right behind its predecessor."""
    streams = records([1, None, "yesterday", "1970-01-01T00:00:00", True, 5], [2, 3])
    streams[0][3:4] = [b'{"at":[0,3],"time":nan}', *streams[0][3:4]]
    values = [value for block in merged([blocks(each, 3) for each in streams]) for value in block.values]
    assert values == [*streams[0][:6], *streams[1], *streams[0][6:]]


def test_a_single_wrong_date_does_not_hold_back_its_stream() -> None:
    """One record dated far ahead comes where its neighbours come."""
    assert order(records([1, 4e9, 3], [2, 5]), 1) == [[0, 0], [1, 0], [0, 1], [0, 2], [1, 1]]


def test_a_single_stream_is_passed_through() -> None:
    """One stream keeps its order, whatever its times."""
    assert order(records([5, 1, 4]), 2) == [[0, 0], [0, 1], [0, 2]]


def test_nothing_merges_to_nothing() -> None:
    """No streams, or only empty ones, are no records."""
    assert order([], 1) == []
    assert order([[], []], 1) == []


times = st.one_of(st.integers(0, 12), st.none(), st.just("broken"), st.just(10**9))


@given(st.lists(st.lists(times, max_size=12), min_size=2, max_size=4), st.lists(st.integers(1, 6), min_size=1))
def test_the_order_depends_on_the_records_alone(streams: list[list[object]], sizes: list[int]) -> None:
    """Whatever the blocks, all records come, each stream in its order, and always in the same order over all."""
    written = records(*streams)
    found = order(written, *sizes)
    assert found == order(written, 1000)
    for number, values in enumerate(written):
        assert [i for stream, i in found if stream == number] == list(range(len(values)))


@given(st.lists(st.lists(st.integers(0, 50)), min_size=2, max_size=4), st.lists(st.integers(1, 6), min_size=1))
def test_sorted_streams_merge_to_the_sorted_whole(streams: list[list[int]], sizes: list[int]) -> None:
    """Merging sorted streams is sorting them together, stably."""
    ordered = [sorted(each) for each in streams]
    whole = [(time, number, i) for number, each in enumerate(ordered) for i, time in enumerate(each)]
    assert order(records(*ordered), *sizes) == [[number, i] for _, number, i in sorted(whole)]
