"""Does every record of a batch come out, as an event or as a rejection?"""

from __future__ import annotations

import json
import math
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from monitor.decode.arrays import EventArrays, Memory
from monitor.decode.decoder import make_decoder
from monitor.decode.limits import DecodeLimits
from monitor.decode.native import NativeDecoder
from monitor.decode.topics import TopicFormat
from monitor.events.columns import Reason, Space, ValueType
from monitor.events.records import CONSTANTS
from monitor.kernels import hash64
from monitor.kernels.decoding import decode_kernel

if TYPE_CHECKING:
    from conftest import Decoding

GOOD = b'{"model":"m","id":"%d","features":{"a":%d,"b":"text"},"prediction":"yes"}'


def test_entries_are_found_by_space_and_type(decoding: Decoding) -> None:
    """Which entries stand in one of some spaces, or are of one of some types, is what their columns say."""
    value = (
        b'{"model":"m","id":"1","features":{"a":1,"b":"text","c":true,"d":null,"e":[]},'
        b'"prediction":{"score":0.5,"tags":["x"]},"sensitive":{"sex":"F"}}'
    )
    batch = decoding.batch([value, value], DecodeLimits())
    assert len(batch.space) == 16
    for spaces in ((Space.FEATURE,), (Space.TAG, Space.SENSITIVE), (Space.RANKED,), tuple(Space)):
        assert batch.in_space(*spaces).tolist() == [space in spaces for space in batch.space.tolist()]
    for types in ((ValueType.DROPPED,), (ValueType.TEXT, ValueType.BOOL), tuple(ValueType)):
        assert batch.of_type(*types).tolist() == [kind in types for kind in batch.type.tolist()]


def test_no_good_event_is_lost(decoding: Decoding) -> None:
    """Good records among bad ones of every kind all come out, in their order."""
    bad = [
        None,
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"model":"m"',
        GOOD[:-3],
        b'{"model":"m","features":{"a":1e',
        b"x" * 5000,
        b'"',
    ]
    values: list[bytes | None] = []
    for i in range(200):
        values += [GOOD % (i, i), bad[i % len(bad)]]
    batch = decoding.batch(values, DecodeLimits(record_bytes=4096))
    assert batch.record.tolist() == list(range(0, 400, 2))
    assert batch.rejected.tolist() == list(range(1, 400, 2))
    assert [batch.string(batch.id, i) for i in range(200)] == [str(i) for i in range(200)]
    assert batch.number[batch.space == 0].tolist()[::2] == list(range(200))
    assert batch.event.tolist() == [i for i in range(200) for _ in range(3)]


def test_nothing_reads_into_the_next_record(decoding: Decoding) -> None:
    """A record cut off at any byte is rejected, whatever comes behind it."""
    whole = GOOD % (1, 1234567890123456789)
    values = [piece for cut in range(1, len(whole)) for piece in (whole[:cut], whole[cut:], whole)]
    batch = decoding.batch(values)
    assert batch.record.tolist() == list(range(2, len(values), 3))


def test_empty_batch(decoding: Decoding) -> None:
    """No records give no events."""
    batch = decoding.batch([])
    assert (len(batch), len(batch.event), len(batch.rejected)) == (0, 0, 0)


def test_entries_grow(decoding: Decoding) -> None:
    """Records of many short values need more room than bytes suggest, and get it."""
    tags = list(range(2000))
    record = json.dumps({"model": "m", "prediction": {"tags": tags}}, separators=(",", ":")).encode()
    batch = decoding.batch([record] * 5)
    assert batch.number.tolist() == tags * 5
    assert [batch.string(batch.name, i) for i in range(len(tags))] == [str(tag) for tag in tags]


def test_scratch_grows(decoding: Decoding) -> None:
    """Labels that are longer than they were written have room."""
    labels = [f"{i}e12" for i in range(1, 500)]
    record = f'{{"model":"m","prediction":{{"tags":[{",".join(labels)}]}}}}'.encode()
    batch = decoding.batch([record] * 3)
    assert [batch.string(batch.name, i) for i in range(3 * 499)] == [f"{i}{'0' * 12}" for i in range(1, 500)] * 3


def test_seed(decoding: Decoding) -> None:
    """All hashes follow the seed."""
    decoder = NativeDecoder(DecodeLimits(), seed=99, compiled=decoding.compiled)
    batch = decoder.decode([GOOD % (7, 7), b'{"model":"m","features":{"a":1e999}}'], np.zeros(2))
    assert batch.model.hash.tolist() == [hash64(b"m", 99)] * 2
    assert batch.name.hash.tolist() == [hash64(name, 99) for name in (b"a", b"b", b"label", b"a")]
    assert batch.text.hash.tolist() == [0, hash64(b"text", 99), hash64(b"yes", 99), 0]


def test_many_names_in_one_object(decoding: Decoding) -> None:
    """The table of names is emptied between objects and does not fill up."""
    limits = DecodeLimits(values_per_event=8)
    record = b'{"model":"m","id":"1","features":{%s},"sensitive":{%s}}'
    features = b",".join(b'"f%d":1' % i for i in range(8))
    nulls = b",".join(b'"s%d":null' % i for i in range(100))
    batch = decoding.batch([record % (features, nulls)] * 50, limits)
    assert len(batch) == 50
    assert len(batch.event) == 400


@pytest.mark.parametrize("seed", range(4))
def test_numbers_are_the_nearest_doubles(decoding: Decoding, seed: int) -> None:
    """A number becomes the float64 next to it, however it is written."""
    rng = random.Random(seed)
    halfway = [((rng.getrandbits(52) | 1 << 52) * 2 + 1) << rng.randrange(8) for _ in range(100)]
    texts = [
        *(repr(rng.random()) for _ in range(100)),
        *(repr(math.ldexp(rng.random(), rng.randrange(-1070, 1020))) for _ in range(100)),
        *(f"{rng.gauss(0, 1e5):.{rng.randrange(1, 30)}e}" for _ in range(100)),
        *(f"{rng.random():.{rng.randrange(1, 40)}f}" for _ in range(100)),
        *(str(rng.randrange(10 ** rng.randrange(1, 30))) for _ in range(100)),
        *(f"{value}{suffix}" for value in halfway for suffix in ("", ".0", "e-1", "e3", "." + "0" * 30 + "1")),
        *("2.2250738585072011e-308", "4.9e-324", "2e-324", "1.7976931348623157e308", "1.7976931348623159e308", "0e999"),
    ]
    values = decoding.batch([b'{"model":"m","features":{"x":%s}}' % text.encode() for text in texts]).number
    assert values.tolist() == [float(text) for text in texts]


def test_limits_are_checked() -> None:
    """Limits outside their ranges are refused when they are set."""
    for wrong in ({"depth": 3}, {"depth": 65}, {"record_bytes": 0}, {"values_per_event": 0}, {"name_bytes": 1 << 21}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            DecodeLimits(**wrong)


def test_misuse_is_told(decoding: Decoding) -> None:
    """Timestamps of another shape, and a batch too big to address, are the caller's errors."""
    decoder = NativeDecoder(DecodeLimits(), compiled=decoding.compiled)
    with pytest.raises(ValueError, match="timestamps"):
        decoder.decode([b"{}"], np.zeros(2))
    with pytest.raises(ValueError, match="in parts"):
        decoder.decode([b"x" * (1 << 20)] * 257, np.zeros(257))


def test_table_of_formats(decoding: Decoding, entries: Any) -> None:
    """The native decoder is found by its name."""
    batch = make_decoder(TopicFormat(), DecodeLimits()).decode([GOOD % (1, 1), b"{"], np.zeros(2))
    assert (len(batch), batch.reasons.tolist()) == (1, [Reason.JSON])


@pytest.mark.skipif(decode_kernel() is None, reason="the kernels are not built")
@pytest.mark.parametrize("beyond", [1, len(CONSTANTS), len(CONSTANTS) + 1])
def test_no_record_reaches_into_what_stands_behind_them(beyond: int) -> None:
    """Words are read up to 15 bytes beyond a record: one that reached into the constants would be read past the end."""
    record = b'{"model":"m","metrics":{"a":1'
    lengths, times = np.array([len(record) + beyond], np.int64), np.zeros(1)
    arrays, run = EventArrays(record + CONSTANTS, lengths, times, DecodeLimits(), Memory()), decode_kernel()
    assert run is not None
    with pytest.raises(ValueError, match="lengths"):
        run(arrays.call)


def test_room_for_entries_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events that are dense in entries make the room of one batch grow, and not that of the batches behind it."""
    grown: list[int] = []
    grow = EventArrays.grow
    monkeypatch.setattr(EventArrays, "grow", lambda arrays: (grown.append(len(arrays._joined)), grow(arrays))[1])
    decoder = NativeDecoder(DecodeLimits())
    dense = b'{"model":"m","features":{%s}}' % b",".join(b'"%d":%d' % (i, i % 10) for i in range(90))
    sparse = [GOOD % (i, i) for i in range(50)]
    for values in (sparse, sparse, [dense] * 50):
        decoder.decode(values, np.zeros(len(values)))
    assert 1 <= len(grown) <= 3
    grown.clear()
    for values in ([dense] * 50, sparse, [dense] * 70):
        batch = decoder.decode(values, np.zeros(len(values)))
    assert (len(batch.event), grown) == (70 * 90, [])


@pytest.mark.skipif(decode_kernel() is None, reason="the kernels are not built")
def test_room_for_entries_is_no_more_than_batches_need() -> None:
    """Numbers that are longer as texts need scratch, and not more room for entries with each batch of them."""
    tags = b",".join(b"%d.%de14" % (i, j) for i in range(1, 9) for j in range(1, 10))
    values = [b'{"model":"m","prediction":{"tags":[%s]}}' % tags] * 50
    memory = (decoder := NativeDecoder(DecodeLimits()))._memory
    for _ in range(8):
        batch = decoder.decode(values, np.zeros(len(values)))
        assert len(batch.event) == 50 * 72
        assert memory.room(sum(map(len, values))) <= 2 * len(batch.event)
