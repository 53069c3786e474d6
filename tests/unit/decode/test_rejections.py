"""Why is a record a dead letter, and is each reason in the documentation?"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from monitor.decode.limits import DecodeLimits
from monitor.events.columns import Reason

if TYPE_CHECKING:
    from conftest import Decoding

DOCS = Path(__file__).parents[3] / "docs" / "events.md"
LONG = "x" * 1025

BAD: list[tuple[bytes | None, Reason]] = [
    (None, Reason.EMPTY),
    (b"", Reason.EMPTY),
    (b" \t\r\n", Reason.EMPTY),
    (b"\xef\xbb\xbf ", Reason.EMPTY),
    (b'{"model":"' + b"x" * (1 << 20) + b'"}', Reason.TOO_LARGE),
    (b"\x00\x00\x00\x00\x07{}", Reason.SCHEMA_REGISTRY),
    (b'{"model":"\xff"}', Reason.UTF8),
    (b'{"model":"\xed\xa0\x80"}', Reason.UTF8),
    (b'{"model":"\xc0\xaf"}', Reason.UTF8),
    (b'{"model":"m","features":{"a":"\\ud800"}}', Reason.UTF8),
    (b'{"model":"m","features":{"\\udc00\\ud800":1}}', Reason.UTF8),
    (b'{"model":"m","other":["\\uDfff"],"features":{}}', Reason.UTF8),
    (b'{"model":"m","features":{"a":1}', Reason.JSON),
    (b'{"model":"m","features":{"a":1,}}', Reason.JSON),
    (b'{"model":"m","features":{"a":01}}', Reason.JSON),
    (b'{"model":"m","features":{"a":1.}}', Reason.JSON),
    (b'{"model":"m","features":{"a":.5}}', Reason.JSON),
    (b'{"model":"m","features":{"a":+1}}', Reason.JSON),
    (b'{"model":"m","features":{"a":0x1}}', Reason.JSON),
    (b'{"model":"m","features":{"a":tru}}', Reason.JSON),
    (b'{"model":"m","features":{"a":"b\nc"}}', Reason.JSON),
    (b'{"model":"m","features":{"a":"\\x"}}', Reason.JSON),
    (b'{"model":"m","features":{a:1}}', Reason.JSON),
    (b"{'model':'m'}", Reason.JSON),
    (b'{"model":"m","features":{}} x', Reason.JSON),
    (b'{"model":"m","features":{}}{}', Reason.JSON),
    (b"\xef\xbb\xbf\xef\xbb\xbf{}", Reason.JSON),
    (b"[" * 100_000, Reason.TOO_DEEP),
    (b'{"model":"m","features":{"a":' + b"[" * 31 + b"]" * 31 + b"}}", Reason.TOO_DEEP),
    (b"[]", Reason.NOT_OBJECT),
    (b'"model"', Reason.NOT_OBJECT),
    (b"NaN", Reason.NOT_OBJECT),
    (b'{"model":"m","model":"m","features":{}}', Reason.DUPLICATE_KEY),
    (b'{"model":"m","features":{"a":1,"\\u0061":1}}', Reason.DUPLICATE_KEY),
    (b'{"model":"m","metrics":{"a":1,"a":1}}', Reason.DUPLICATE_KEY),
    (b'{"model":"m","id":"1","sensitive":{"a":null,"a":"x"}}', Reason.DUPLICATE_KEY),
    (b'{"model":"m","features":{},"segment":{"a":1,"a":1}}', Reason.DUPLICATE_KEY),
    (b'{"model":"m","prediction":{"score":1,"score":1}}', Reason.DUPLICATE_KEY),
    (b'{"model":"m","prediction":{"scores":{"a":1,"a":1}}}', Reason.DUPLICATE_KEY),
    (b'{"model":"m","features":{},"new":1,"new":2}', Reason.DUPLICATE_KEY),
    (b'{"model":7,"features":{}}', Reason.FIELD_TYPE),
    (b'{"model":"m","features":[1]}', Reason.FIELD_TYPE),
    (b'{"model":"m","features":"a"}', Reason.FIELD_TYPE),
    (b'{"model":"m","metrics":3}', Reason.FIELD_TYPE),
    (b'{"model":"m","prediction":["a"]}', Reason.FIELD_TYPE),
    (b'{"model":"m","prediction":{"label":["a"]}}', Reason.FIELD_TYPE),
    (b'{"model":"m","prediction":{"label":NaN}}', Reason.FIELD_TYPE),
    (b'{"model":"m","prediction":{"score":"0.5"}}', Reason.FIELD_TYPE),
    (b'{"model":"m","prediction":{"scores":[0.5]}}', Reason.FIELD_TYPE),
    (b'{"model":"m","prediction":{"scores":{"a":"0.5"}}}', Reason.FIELD_TYPE),
    (b'{"model":"m","prediction":{"tags":"a"}}', Reason.FIELD_TYPE),
    (b'{"model":"m","prediction":{"tags":[null]}}', Reason.FIELD_TYPE),
    (b'{"model":"m","prediction":{"ranking":[["a"]]}}', Reason.FIELD_TYPE),
    (b'{"model":"m","id":"1","outcome":{"label":"a"}}', Reason.FIELD_TYPE),
    (b'{"model":"m","id":"1","outcome":NaN}', Reason.FIELD_TYPE),
    (b'{"model":"m","id":1.5,"features":{}}', Reason.FIELD_TYPE),
    (b'{"model":"m","id":true,"features":{}}', Reason.FIELD_TYPE),
    (b'{"model":"m","version":[1],"features":{}}', Reason.FIELD_TYPE),
    (b'{"model":"m","version":Infinity,"features":{}}', Reason.FIELD_TYPE),
    (b'{"model":"m","entity":false,"features":{}}', Reason.FIELD_TYPE),
    (b'{"model":"m","value":"1","features":{}}', Reason.FIELD_TYPE),
    (b'{"model":"m","value":1e999,"features":{}}', Reason.FIELD_TYPE),
    (b'{"model":"m","value":NaN,"features":{}}', Reason.FIELD_TYPE),
    (b'{"model":"m","time":true,"features":{}}', Reason.FIELD_TYPE),
    (b'{"model":"m","lifecycle":"paused"}', Reason.FIELD_TYPE),
    (b'{"model":"m","lifecycle":1}', Reason.FIELD_TYPE),
    (b'{"features":{}}', Reason.MISSING_MODEL),
    (b'{"model":null,"features":{}}', Reason.MISSING_MODEL),
    (b'{"model":"","features":{}}', Reason.MISSING_MODEL),
    ('{"model":"' + "x" * 201 + '","features":{}}', Reason.NAME),
    ('{"model":"' + "ä" * 201 + '","features":{}}', Reason.NAME),
    (b'{"model":"a\\u0000b","features":{}}', Reason.NAME),
    (b'{"model":"a\x7fb","features":{}}', Reason.NAME),
    (b'{"model":"a\xc2\x9bb","features":{}}', Reason.NAME),
    (b'{"model":"m","features":{"a\\n":1}}', Reason.NAME),
    (b'{"model":"m","prediction":"a\\tb"}', Reason.NAME),
    (b'{"model":"m","prediction":{"tags":["a\\u001bb"]}}', Reason.NAME),
    (b'{"model":"m","version":"\\u0085","features":{}}', Reason.NAME),
    (f'{{"model":"m","features":{{"{LONG}":1}}}}', Reason.NAME),
    (f'{{"model":"m","id":"{LONG}","features":{{}}}}', Reason.NAME),
    (f'{{"model":"m","id":"1","outcome":"{LONG}"}}', Reason.NAME),
    (b'{"model":"m","time":"yesterday","features":{}}', Reason.TIME),
    (b'{"model":"m","time":"2026-03-01T09:30:00","features":{}}', Reason.TIME),
    (b'{"model":"m","time":"2026-02-29T09:30:00Z","features":{}}', Reason.TIME),
    (b'{"model":"m","time":"0000-01-01T00:00:00Z","features":{}}', Reason.TIME),
    (b'{"model":"m","time":"2026-03-01T24:00:00Z","features":{}}', Reason.TIME),
    (b'{"model":"m","time":"2026-03-01T09:30:61Z","features":{}}', Reason.TIME),
    (b'{"model":"m","time":"2026-03-01T09:30:00+24:00","features":{}}', Reason.TIME),
    (b'{"model":"m","time":"2026-03-01T09:30:00.Z","features":{}}', Reason.TIME),
    (b'{"model":"m","time":"1899-12-31T23:59:59Z","features":{}}', Reason.TIME),
    (b'{"model":"m","time":"2200-01-01T00:00:00Z","features":{}}', Reason.TIME),
    (b'{"model":"m","time":1772357400000,"features":{}}', Reason.TIME),
    (b'{"model":"m","time":NaN,"features":{}}', Reason.TIME),
    (b'{"model":"m","time":1e999,"features":{}}', Reason.TIME),
    (b'{"model":"m","id":"1"}', Reason.NOTHING),
    (b'{"model":"m","segment":{"a":"b"},"value":1,"time":0}', Reason.NOTHING),
    (b'{"model":"m","features":null,"prediction":null}', Reason.NOTHING),
    (b'{"model":"m","outcome":"a"}', Reason.MISSING_ID),
    (b'{"model":"m","id":"","outcome":"a"}', Reason.MISSING_ID),
    (b'{"model":"m","id":null,"outcome":"a","prediction":"a"}', Reason.MISSING_ID),
    (b'{"model":"m","sensitive":{"sex":"F"}}', Reason.MISSING_ID),
]


@pytest.mark.parametrize(("record", "reason"), BAD, ids=lambda value: str(value)[:60])
def test_bad_record(decoding: Decoding, record: bytes | str | None, reason: Reason) -> None:
    """Each kind of bad record has one defined reason."""
    assert decoding.reason(record.encode() if isinstance(record, str) else record) is reason


def test_future_time(decoding: Decoding) -> None:
    """A time beyond the limit that the pipeline gives is rejected, the limit itself is not."""
    record = b'{"model":"m","time":1000,"features":{}}'
    assert decoding.reason(record, future=999.5) is Reason.FUTURE_TIME
    assert len(decoding.batch([record], future=1000)) == 1


def test_no_time_at_all(decoding: Decoding) -> None:
    """Where neither event nor record has a time, the event cannot be placed."""
    assert decoding.reason(b'{"model":"m","features":{}}', timestamp=math.nan) is Reason.TIME


@pytest.mark.parametrize("part", ['"features":{%s}', '"prediction":{"tags":[%s]}', '"id":"1","sensitive":{%s}'])
def test_too_many_values(decoding: Decoding, part: str) -> None:
    """As many values as the limit are read, one more is too many."""
    limits = DecodeLimits(values_per_event=5)
    for n, events in ((5, 1), (6, 0)):
        members = ",".join(f'"{i}"' if "tags" in part else f'"{i}":"v"' for i in range(n))
        record = ('{"model":"m",' + part.replace("%s", members) + "}").encode()
        assert len(decoding.batch([record], limits)) == events
    assert decoding.reason(record, limits=limits) is Reason.TOO_MANY_VALUES


def test_documentation_names_every_reason() -> None:
    """The table of outcomes in the documentation has each reason once, by the name that the metric shows."""
    table = DOCS.read_text().split("## What is rejected")[1].split("\n## ")[0]
    named = re.findall(r"^\| `([a-z0-9_]+)` \|", table, re.MULTILINE)
    assert named == [reason.name.lower() for reason in Reason]
