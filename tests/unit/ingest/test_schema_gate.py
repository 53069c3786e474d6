"""Does a partition stand still before the first record whose schema nobody knows, and nothing else?"""

from __future__ import annotations

import numpy as np

from monitor.events.raw import Partition, RawBatch
from monitor.ingest.schema_gate import SchemaGate, Stop

IN, PLAIN = Partition("in", 0), Partition("plain", 0)


class Schemas:
    """Knows the frames in ``known``; the others are in ``asked``."""

    def __init__(self, *known: bytes) -> None:
        self.known, self.asked = set(known), set[bytes]()
        self.trouble = ""

    def unanswered(self, frames: set[bytes]) -> set[bytes]:
        self.asked |= frames - self.known
        return frames - self.known


def frame(number: int) -> bytes:
    return b"\0" + number.to_bytes(4)


def batch(*records: tuple[int, bytes | None]) -> RawBatch:
    values, source = [value for _, value in records], [partition for partition, _ in records]
    offsets = np.arange(10, 10 + len(records))
    return RawBatch(values, np.zeros(len(records)), (IN, PLAIN), np.array(source, np.int32), offsets)


def test_the_first_record_that_cannot_be_read_yet_is_where_it_stops() -> None:
    """All schemas of a batch are asked for at once; what is no framed record needs none, nor does another topic."""
    schemas = Schemas(frame(1))
    gate = SchemaGate(schemas, lambda topic: topic == "in")
    records = [(0, frame(1) + b"x"), (0, None), (0, b""), (0, b"\0\0"), (0, b"{}"), (1, frame(9)), (0, frame(2) + b"y")]
    assert gate.stops(batch(*records)) == {IN: Stop(16, frame(2))}
    assert gate.stops(batch(*records, (0, frame(3)))) == {IN: Stop(16, frame(2))}
    assert schemas.asked == {frame(2), frame(3)}
    assert not gate.answered(frame(2))
    schemas.known |= {frame(2), frame(3)}
    assert gate.answered(frame(2))
    assert gate.stops(batch(*records)) == {}


def test_a_bundle_passes_whole_or_waits() -> None:
    """What another replica routed waits for its schemas too."""
    gate = SchemaGate(Schemas(frame(1)), lambda topic: topic == "in")
    assert gate.passes("in", [frame(1), None, b"{}"])
    assert not gate.passes("in", [frame(1), frame(2)])
    assert gate.passes("plain", [frame(2)])
    assert gate.passes("in", [])


def test_why_it_waits() -> None:
    """While the registry answers nothing is wrong with it; else it is named, and why."""
    schemas = Schemas()
    gate = SchemaGate(schemas, lambda _: True)
    assert gate.trouble == "waiting for a schema"
    schemas.trouble = "registry:8081: HTTP 503"
    assert gate.trouble == "the schema registry does not answer: registry:8081: HTTP 503"
