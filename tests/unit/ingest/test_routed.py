"""Does a shard get each record once and in order, whoever sent it, how often, and whatever was lost on the way?"""

from __future__ import annotations

from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.clock import ManualClock
from monitor.errors import IngestError
from monitor.events.raw import Partition, RawBatch
from monitor.ingest.bundles import BUNDLE_BYTES, VERSION, Bundle, columns, cut, packed, unpacked
from monitor.ingest.facts import SourceChange
from monitor.ingest.routed import RoutedSource
from monitor.ingest.schema_gate import SchemaGate

P, Q = Partition("in", 0), Partition("in", 1)
FRESH = 30.0


def bundle(first: int, after: int, base: int = 0, *, own: int = 3, partition: Partition = P, **more: object) -> bytes:
    """Offsets ``[first, after)``, of which every ``own``-th is for this shard."""
    offsets = np.array([i for i in range(first, after) if i % own == 0], np.int64)
    made = Bundle(
        VERSION,
        *partition,
        "id",
        base,
        first,
        after,
        at_end=False,
        reached=float(after),
        offsets=offsets.tobytes(),
        timestamps=np.full(len(offsets), np.nan).tobytes(),
        marks=(offsets + 1.0).tobytes(),
        values=[b"%d" % i for i in offsets],
    )
    return packed(msgspec.structs.replace(made, **more))


def source(
    clock: ManualClock | None = None, positions: dict[Partition, int] | None = None, gate: SchemaGate | None = None
) -> RoutedSource:
    made = RoutedSource(positions or {}, {"in": "id"}, 0, clock or ManualClock(0.0), FRESH, gate)
    made.existing = frozenset({P, Q})
    return made


def drained(reading: RoutedSource, batch: int = 5) -> list[int]:
    got = []
    while len(reading):
        got += reading.poll(batch, 0.0).offsets.tolist()
    return got


SENDERS = st.lists(st.lists(st.tuples(st.integers(1, 12), st.booleans()), min_size=1, max_size=5), max_size=6)


@settings(max_examples=200, deadline=None)
@given(SENDERS, st.lists(st.integers(0, 99), max_size=20), st.integers(1, 9))
def test_each_record_once(senders: list[list[tuple[int, bool]]], places: list[int], batch: int) -> None:
    """Senders that begin at what was committed, cut as they like, lose bundles, die, and speak when they are dead."""
    end, log, lost, committed = 40, list[bytes](), list[bytes](), 0
    for sender in [*senders, [(end, True)]]:
        at, arrived = committed, True
        for size, arrives in sender:
            after = min(at + size, end)
            if after > at:
                (log if arrives else lost).append(bundle(at, after))
                at, arrived = after, arrived and arrives
        # What is committed has arrived, all of it; a sender that died before it could sends it in vain.
        committed = at if arrived else committed
    for place, late in zip(places, lost, strict=False):
        log.insert(place % (len(log) + 1), late)  # what a dead one had on its way comes at any time
    reading = source()
    reading.feed(enumerate(log))
    assert drained(reading, batch) == list(range(0, end, 3))
    assert reading.positions()[P] == end


def test_a_bundle_waits_for_its_schemas() -> None:
    """What is behind a bundle whose schema is not known yet waits with it, and everything comes once it is."""

    class Schemas:
        trouble = ""
        known = False

        def unanswered(self, frames: set[bytes]) -> set[bytes]:
            return set() if self.known else {frame for frame in frames if frame == b"\0\0\0\0\2"}

    schemas = Schemas()
    reading = source(gate=SchemaGate(schemas, lambda topic: topic == "in"))
    framed = bundle(10, 20, values=[b"\0\0\0\0\2"] * 3)
    reading.feed([(0, bundle(0, 10)), (1, framed), (2, bundle(20, 30))])
    assert [reading.poll(50, 0.0).offsets.tolist() for _ in range(2)] == [[0, 3, 6, 9], []]
    assert (reading.positions()[P], reading.next) == (10, 1)
    schemas.known = True
    assert drained(reading) == [12, 15, 18, 21, 24, 27]


def test_a_gap_is_not_passed() -> None:
    """What would leave a gap is refused and waited for; what the group decided to pass over is passed, and told."""
    reading = source()
    reading.feed([(0, bundle(0, 10)), (1, bundle(20, 30)), (2, bundle(10, 30))])
    assert drained(reading) == list(range(0, 30, 3))
    assert (reading.refused, reading.repeated) == (1, 0)
    reading.feed([(3, bundle(50, 60, base=50))])
    assert drained(reading) == [51, 54, 57]
    (lost,) = reading.drain_events()
    assert (lost.change, lost.from_offset, lost.to_offset) == (SourceChange.LOST, 30, 50)


def test_reading_is_begun_at_its_base() -> None:
    """Of a partition that was never met nothing is taken before the first that anybody sent of it."""
    reading = source()
    reading.feed([(0, bundle(70, 80, base=60)), (1, bundle(60, 70, base=60)), (2, bundle(70, 80, base=60))])
    assert drained(reading) == [60, 63, 66, 69, 72, 75, 78]
    assert reading.refused == 1


def test_a_topic_made_anew() -> None:
    """A topic of another id is read from its own base, and nothing more is taken of the old one."""
    reading = source(positions={P: 30})
    reading.feed([(0, bundle(0, 6, topic_id="new")), (1, bundle(30, 36)), (2, bundle(6, 9, topic_id="new"))])
    assert drained(reading) == [0, 3, 6]
    assert reading.topic_ids == {"in": "new"}
    assert [event.change for event in reading.drain_events()] == [SourceChange.REMADE]


def test_news_and_records_apart() -> None:
    """A batch is records or news of event time, in the log's order; a stretch's last record says what it came to."""
    reading = source()
    reading.feed([(0, bundle(0, 3)), (1, bundle(3, 6, values=[], offsets=b"", marks=b"", timestamps=b""))])
    reading.feed([(2, bundle(0, 4, partition=Q)), (3, bundle(6, 9))])
    batches = [reading.poll(100, 0.0) for _ in range(3)]
    assert [batch.offsets.tolist() for batch in batches] == [[0], [], [0, 3, 6]]
    assert batches[1].passed == {P: 6.0}
    assert batches[2].reached is not None
    assert batches[2].reached.tolist() == [1.0, 4.0, 7.0]


def test_the_end_is_believed_for_a_while() -> None:
    """A partition is at its end while somebody who reads it says so; what moves, or nobody reads, holds time up."""
    clock = ManualClock(0.0)
    reading = source(clock)
    assert not reading.exhausted(P)
    reading.feed([(0, bundle(0, 3, at_end=True))])
    reading.poll(9, 0.0)
    assert not reading.exhausted(P)
    reading.feed([(1, bundle(3, 3, at_end=True))])
    reading.poll(9, 0.0)
    assert reading.exhausted(P)
    assert reading.positions() == {P: 3, Q: -1}
    clock.advance(FRESH + 1.0)
    assert not reading.exhausted(P)


def test_nothing_before_all_partitions_are_known() -> None:
    """Until it is known which partitions there are, event time could run past one of them: nothing is delivered."""
    reading = source()
    reading.existing = frozenset()
    reading.feed([(0, bundle(0, 3))])
    assert len(reading.poll(9, 0.0)) == 0
    assert len(reading) == 1


def test_cut_by_size() -> None:
    """Large records go in several bundles, which follow one another without a gap and cover the stretch."""
    n = 6
    raw = RawBatch(
        [b"x" * (BUNDLE_BYTES // 2)] * n, np.arange(n) * 1.0, [P], np.zeros(n, np.int32), np.arange(10, 10 + 2 * n, 2)
    )
    stretch = Bundle(VERSION, *P, "id", 0, 8, 30, at_end=True, reached=99.0)
    parts = [unpacked(packed(part)) for part in cut(stretch, raw, np.arange(n), np.arange(n) * 1.0)]
    assert len(parts) > 1
    assert (parts[0].first, parts[-1].after) == (8, 30)
    assert all(a.after == b.first for a, b in pairwise(parts))
    assert [part.at_end for part in parts] == [False] * (len(parts) - 1) + [True]
    assert [o for part in parts for o in columns(part)[0].tolist()] == raw.offsets.tolist()
    assert columns(parts[-1])[2][-1] == parts[-1].reached == 99.0


@pytest.mark.parametrize("raw", [None, b"", b"no", packed(Bundle(VERSION + 1, "t", 0, "", 0, 0, 0, False, 0.0))])
def test_what_is_not_ours(raw: bytes | None) -> None:
    """A record that another program or version wrote ends reading, with what is wrong."""
    with pytest.raises(IngestError, match="internal topic"):
        source().feed([(0, raw)])
