"""Do the compiled decoder and its twin agree on whatever bytes come in?"""

from __future__ import annotations

import json
import random
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.decode.limits import DecodeLimits
from monitor.decode.native import NativeDecoder
from monitor.kernels import hash64
from monitor.kernels.decoding import decode_kernel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.events.columns import EventBatch, Strings

pytestmark = pytest.mark.skipif(decode_kernel() is None, reason="the kernels are not built")

SEED = 20261122
LIMITS = DecodeLimits(record_bytes=4096, values_per_event=40, depth=8, name_bytes=64)
FUTURE = 1_900_000_000.0

CORPUS: list[bytes] = [
    (
        b'{"model":"credit-limit","version":"7","id":"req-81f3","time":"2026-03-01T09:30:00.250Z","features":'
        b'{"income":41200.0,"age":37,"region":"SE","employer":null,"member":true},"prediction":{"label":"approve",'
        b'"score":0.83},"sensitive":{"sex":"F","age_band":"30-39"},"segment":{"country":"SE","arm":"control"}}'
    ),
    b'{"model":"credit-limit","id":"req-81f3","time":"2026-03-29T00:00:00+02:00","outcome":"repaid","value":120.0}',
    (
        b'{"model": "eta", "id": 17, "time": 1772357400.125, "features": {"x": 0.1234567890123456789, "y": -1e-7, '
        b'"z": NaN, "w": -Infinity, "v": Infinity, "u": 1e999}, "prediction": 812.25, "outcome": 801.4375}'
    ),
    (
        b'{"model":"tags","id":"t1","prediction":{"tags":["cat","dog",1,true],"scores":{"cat":0.7,"dog":0.2,"0":null},'
        b'"label":2,"more":[1,{"a":[]}]},"outcome":["dog","cat"],"metrics":{"latency_seconds":0.031}}'
    ),
    b'{"model":"rank","id":"r1","prediction":{"ranking":["a","b","c",4]},"outcome":["b","a"],"entity":12345678901234567890}',
    '{"model":"språk","id":"ä","features":{"ort":"Malmö","emoji":"\U0001f600","kanji":"漢字"},"prediction":"ja"}'.encode(),
    b'{"model":"esc\\u0061pe","id":"a\\tb","features":{"q\\"uote":"C:\\\\dir\\u00e5\\ud83d\\ude00","s":"\\n"},"time":0}',
    b'{"model":"life","lifecycle":"deployed","version":2.5,"lineage":{"commit":"ab12","n":[1,2,{"x":null}]}}',
    b'{"model":"m","id":1,"prediction":true,"outcome":false,"value":-0.0,"extra":{"a":1},"other":[[]]}',
    b'\xef\xbb\xbf  {"model":"bom","metrics":{"revenue":12.5,"ok":false,"note":"fine","list":[1,2],"none":null}} \r\n',
    b'{"model":"m","features":{"a":[1,2],"b":{"c":1}},"segment":{"x":1,"y":2.5,"z":true,"n":null,"l":[],"i":NaN}}',
    b'{"model":"m","id":"x","outcome":3.141592653589793,"time":"2026-01-31 23:59:60.5-00:30"}',
    b'{"model":"m","id":"x","outcome":1.0,"prediction":{"label":0.30000000000000004,"score":null},"time":"2024-02-29t00:00:00z"}',
    b'{"model":"m","features":{"a":1,"a":2}}',
    b'{"model":"m","features":{"deep":[[[[[[[[1]]]]]]]]}}',
    b'{"features":{"a":1}}',
    b"[1,2,3]",
    b"",
    b" \n",
    b"\x00\x00\x00\x00\x01{}",
]
VALUE = re.compile(rb'(?<=[:,\[ ])(?:"[^"\\]*"(?!\s*:)|-?\d[\d.eE+-]*|(?:true|false|null)\b)')
VALUES = [
    *(
        b"0",
        b"-0",
        b"-0.0",
        b"1e0",
        b"1E2",
        b"1.50",
        b"100",
        b"1e16",
        b"1e18",
        b"1e19",
        b"1e300",
        b"0.0001",
        b"0.00001",
    ),
    *(
        b"123456789012345678",
        b"1234567890123456789",
        b"9223372036854775808",
        b"4503599627370497.5",
        b"1e-400",
        b"2.5e0",
    ),
    *(b"5.684341886080802e-14", b"0.1", b"0.1000", b"1e22", b"1e23", b"123456789012345.125", b"true", b"null", b'"1"'),
    *(b'""', b'"deployed"', b'"2199-12-31T23:59:59Z"', b'"2026-02-30T00:00:00Z"', b"[]", b"{}", b'["a","a"]', b"NaN"),
    *(
        b'"\xc3\xa5"',
        b'"\xe2\x82\xac\\u20ac"',
        b'"\x7f"',
        b'"\\u0085"',
        b'"' + b"y" * 65 + b'"',
        b'{"label":"x"}',
        b"1" * 19,
    ),
    *(b'{"scores":{"a":1e999}}', b'{"ranking":[1,2,1.0]}', b'"2026-03-01T09:30:00.123456789Z"', b"[1,true,2.5,null]"),
]
TOKENS = [
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"0", b"9", b"-", b".", b"e", b"E5", b"1e400", b"null", b"true"),
    *(
        b"false",
        b"NaN",
        b"-Infinity",
        b"\\u0000",
        b"\\ud800",
        b"\\ud83d\\ude00",
        b"\x00",
        b"\x1f",
        b"\x7f",
        b"\xc2\x80",
    ),
    *(b"\xff", b"\xed\xa0\x80", b"\xc3\xa5", b'""', b'{"a":1}', b"[]", b'"id":"x",', b'"model":"m",', b" ", b"\n"),
    *(b"9007199254740993", b"18446744073709551616", b"0.1e-5", b"00", b"1.", b'"time":1e10,', b"x" * 70, b"1" * 25),
    *(
        b"[[[[[[[[",
        b'"features":{},',
        b"2.2250738585072014e-308",
        b"4.9e-324",
        b"179769313486231580793728971405301e277",
    ),
]


def _replace_value(rng: random.Random, record: bytearray) -> None:
    """Put something else where a number, a word or a string stands, so that more than the syntax is tried."""
    spots = [match.span() for match in VALUE.finditer(record)]
    if spots:
        start, end = rng.choice(spots)
        record[start:end] = rng.choice(VALUES)


def _mutant(rng: random.Random) -> bytes:
    record = bytearray(rng.choice(CORPUS))
    for _ in range(rng.choice((0, 1, 1, 1, 1, 2, 4))):
        at = rng.randrange(len(record) + 1)
        match rng.randrange(24):
            case 0:
                del record[at:]
            case 1:
                record[at:at] = rng.choice(TOKENS)
            case 2:
                del record[at : at + rng.choice((1, 1, 2, 5, 20))]
            case 3:
                other = rng.choice(CORPUS)
                start = rng.randrange(len(other) + 1)
                record[at : at + rng.randrange(12)] = other[start : start + rng.randrange(40)]
            case 4 | 5 if at < len(record):
                record[at] ^= 1 << rng.randrange(8)
            case 6 | 7 if at < len(record):
                record[at] = rng.randrange(256)
            case _:
                _replace_value(rng, record)
    return bytes(record)


def _texts(batch: EventBatch, strings: Strings) -> list[bytes]:
    ends = strings.start + strings.length
    assert (strings.start >= 0).all()
    assert (strings.length >= 0).all()
    assert (ends <= len(batch.buffer)).all()
    return [batch.buffer[start:end] for start, end in zip(strings.start.tolist(), ends.tolist(), strict=True)]


def _check_hashes(batch: EventBatch, strings: Strings, known: dict[bytes, int]) -> None:
    for text, key in zip(_texts(batch, strings), strings.hash.tolist(), strict=True):
        if key:
            assert known.setdefault(text, hash64(text) if text not in known else key) == key
        else:
            assert text == b""


def _assert_equal(left: EventBatch, right: EventBatch) -> None:
    for column in ("record", "parts", "lifecycle", "event", "space", "type", "rejected", "reasons"):
        assert getattr(left, column).tolist() == getattr(right, column).tolist(), column
    for column in ("time", "value", "number"):
        a, b = getattr(left, column), getattr(right, column)
        assert np.array_equal(np.isnan(a), np.isnan(b)), column
        assert np.array_equal(a.view(np.int64)[~np.isnan(a)], b.view(np.int64)[~np.isnan(b)]), column
    for column in ("model", "version", "id", "entity", "name", "text"):
        a, b = getattr(left, column), getattr(right, column)
        assert np.array_equal(a.hash, b.hash), column
        assert _texts(left, a) == _texts(right, b), column
    assert left.unknown_fields == right.unknown_fields


def _check(values: Sequence[bytes | None], limits: DecodeLimits = LIMITS) -> EventBatch:
    """Both ways agree, each record has one outcome, and the columns are sound."""
    timestamps = np.where(np.arange(len(values)) % 5 == 0, np.nan, 1_700_000_000.0)
    left = NativeDecoder(limits, compiled=True).decode(values, timestamps, FUTURE)
    right = NativeDecoder(limits, compiled=False).decode(values, timestamps, FUTURE)
    _assert_equal(left, right)
    assert sorted([*left.record.tolist(), *left.rejected.tolist()]) == list(range(len(values)))
    assert (np.diff(left.record) > 0).all()
    assert (np.diff(left.event) >= 0).all()
    return left


def test_mutated_records() -> None:
    """The kernel and its twin agree on 100,000 records that were flipped, cut, spliced and stuffed."""
    rng = random.Random(SEED)
    known: dict[bytes, int] = {}
    events = 0
    for _ in range(50):
        batch = _check([_mutant(rng) for _ in range(2000)])
        events += len(batch)
        for column in ("model", "id", "name", "text"):
            _check_hashes(batch, getattr(batch, column), known)
    assert 20_000 < events < 80_000


_TEXT = st.text(max_size=20)
_NUMBER = st.one_of(
    st.integers(-(10**25), 10**25), st.floats(), st.floats(-1e6, 1e6).map(lambda x: round(x, 3)), st.integers(-3, 3)
)
_SCALAR = st.one_of(st.none(), st.booleans(), _NUMBER, _TEXT)
_ANY = st.recursive(_SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3))
_NAMED = st.dictionaries(
    st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=12), _SCALAR | _ANY, max_size=6
)
_CLASS = st.one_of(_TEXT, _NUMBER, st.booleans())
_TIME = st.one_of(
    st.datetimes().map(lambda t: t.isoformat() + "Z"),
    st.datetimes(timezones=st.timezones()).map(lambda t: t.isoformat()),
    st.floats(-3e9, 8e9),
)
_PREDICTION = st.fixed_dictionaries(
    {},
    optional={
        "label": _CLASS,
        "score": _NUMBER,
        "scores": st.dictionaries(_TEXT, _NUMBER | st.none(), max_size=4),
        "tags": st.lists(_CLASS, max_size=5),
        "ranking": st.lists(_CLASS, max_size=5),
        "other": _ANY,
    },
)
_EVENT = st.fixed_dictionaries(
    {"model": st.text(min_size=1, max_size=20)},
    optional={
        "version": _CLASS,
        "id": _TEXT | st.integers(),
        "time": _TIME,
        "features": _NAMED,
        "prediction": _CLASS | _PREDICTION,
        "sensitive": _NAMED,
        "segment": _NAMED,
        "outcome": _CLASS | st.lists(_CLASS, max_size=5),
        "value": st.floats(allow_nan=False, allow_infinity=False),
        "metrics": _NAMED,
        "entity": _CLASS,
        "lifecycle": st.sampled_from(["deployed", "retrained", "retired", "other"]),
        "lineage": _ANY,
        "unknown": _ANY,
    },
)


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(_EVENT, min_size=1, max_size=8),
    st.booleans(),
    st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t:\r")]),
)
def test_generated_events(events: list[dict[str, Any]], ascii_only: bool, separators: tuple[str, str]) -> None:
    """The kernel and its twin agree on events of every shape, however they are written."""
    texts = [json.dumps(event, ensure_ascii=ascii_only, separators=separators) for event in events]
    _check([text.encode(errors="surrogatepass") for text in texts], DecodeLimits(values_per_event=20, depth=6))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.binary(max_size=60), max_size=10))
def test_any_bytes(values: list[bytes]) -> None:
    """No bytes at all make either of them fail."""
    _check(values)
