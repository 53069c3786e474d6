"""What does each field of an event become?"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from monitor.events.columns import Lifecycle, Part
from monitor.kernels import hash64

if TYPE_CHECKING:
    from conftest import Decoding


def test_contract_example(decoding: Decoding, entries: Any) -> None:
    """The event of the documentation becomes one row and an entry for each named value, in their order."""
    batch = decoding.one(
        version="7",
        id="req-81f3",
        time="2026-03-01T09:30:00.250Z",
        features={"income": 41200.0, "age": 37, "region": "SE", "employer": None, "member": True},
        prediction={"label": "approve", "score": 0.83},
        sensitive={"sex": "F"},
        segment={"country": "SE"},
    )
    assert entries(batch) == [
        ("FEATURE", "NUMBER", "income", "", 41200.0),
        ("FEATURE", "NUMBER", "age", "", 37.0),
        ("FEATURE", "TEXT", "region", "SE", None),
        ("FEATURE", "NULL", "employer", "", None),
        ("FEATURE", "BOOL", "member", "true", 1.0),
        ("PREDICTION", "TEXT", "label", "approve", None),
        ("PREDICTION", "NUMBER", "score", "", 0.83),
        ("SENSITIVE", "TEXT", "sex", "F", None),
        ("SEGMENT", "TEXT", "country", "SE", None),
    ]
    shown = [batch.string(strings, 0) for strings in (batch.model, batch.version, batch.id, batch.entity)]
    assert shown == ["m", "7", "req-81f3", ""]
    assert batch.time[0] == datetime(2026, 3, 1, 9, 30, 0, 250_000, UTC).timestamp()
    assert batch.parts[0] == Part.FEATURES | Part.PREDICTION | Part.SENSITIVE | Part.SEGMENT
    assert math.isnan(batch.value[0])
    assert batch.lifecycle[0] == Lifecycle.NONE


def test_outcome(decoding: Decoding, entries: Any) -> None:
    """An outcome carries the class, its number where it was one, and the money of the case."""
    batch = decoding.one(id="a", outcome=2.50, value=-120)
    assert entries(batch) == [("OUTCOME", "TEXT", "label", "2.5", 2.5)]
    assert (batch.value[0], batch.parts[0]) == (-120.0, Part.OUTCOME | Part.VALUE)


@pytest.mark.parametrize(
    ("written", "label"),
    [
        *(
            ("1", "1"),
            ("1.0", "1"),
            ("1e0", "1"),
            ("true", "1"),
            ('"1"', "1"),
            ("false", "0"),
            ("-0.0", "0"),
            ("-0", "0"),
        ),
        *(('"1.0"', "1.0"), ("1.50", "1.5"), ("0.00001", "1e-05"), ("1e15", "1000000000000000"), ("1e19", "1e+19")),
        *(("-17", "-17"), ("0.0001", "0.0001"), ("3.141592653589793", "3.141592653589793"), ('""', ""), ("1e2", "100")),
        *(("9007199254740993", "9007199254740993"), ("9223372036854775808", "9.223372036854776e+18")),
        *(("0.1000000000000000055511151231257827", "0.1"), ("1E-7", "1e-07"), ("-2.50e1", "-25"), ("-2.5", "-2.5")),
        *(("2251799813685249.5", "2251799813685249.5"), ("5e-1", "0.5"), ('"\\u00e5"', "å")),
    ],
)
def test_class_labels(decoding: Decoding, entries: Any, written: str, label: str) -> None:
    """A class has one canonical text, whether it was written as text, number or boolean, wherever it stands."""
    record = (
        f'{{"model":"m","id":"1","prediction":{{"label":{written},"tags":[{written}],"ranking":["z",{written}]}},'
        f'"outcome":{written},"segment":{{"s":{written}}}}}'
    )
    batch = decoding.good(record.encode())
    number = float(json.loads(written)) if written[0] in "-0123456789" else None
    assert entries(batch) == [
        ("PREDICTION", "TEXT", "label", label, number),
        ("TAG", "NUMBER", label, "", 0.0),
        ("RANKED", "NUMBER", "z", "", 0.0),
        ("RANKED", "NUMBER", label, "", 1.0),
        ("OUTCOME", "TEXT", "label", label, number),
        ("SEGMENT", "TEXT", "s", label, None),
    ]


def test_bare_predictions(decoding: Decoding, entries: Any) -> None:
    """A bare number is a value, a bare string or boolean a class."""
    shown = [entries(decoding.one(prediction=prediction))[0] for prediction in (0.5, "yes", True)]
    assert shown == [
        ("PREDICTION", "NUMBER", "value", "", 0.5),
        ("PREDICTION", "TEXT", "label", "yes", None),
        ("PREDICTION", "TEXT", "label", "1", None),
    ]


def test_class_scores(decoding: Decoding, entries: Any) -> None:
    """Each class keeps its score, a null one is missing, and what no one knows in a prediction is passed over."""
    batch = decoding.one(prediction={"scores": {"cat": 0.75, "dog": None}, "model_card": {"a": [1]}, "label": None})
    assert entries(batch) == [("CLASS_SCORE", "NUMBER", "cat", "", 0.75), ("CLASS_SCORE", "NULL", "dog", "", None)]


def test_repeated_tags_count_once(decoding: Decoding, entries: Any) -> None:
    """A tag or item that comes again in a list keeps its first place."""
    batch = decoding.one(id=1, outcome=["a", 1, "a", "1", "b"])
    assert entries(batch) == [
        ("OUTCOME_TAG", "NUMBER", "a", "", 0.0),
        ("OUTCOME_TAG", "NUMBER", "1", "", 1.0),
        ("OUTCOME_TAG", "NUMBER", "b", "", 4.0),
    ]


def test_empty_lists_are_there(decoding: Decoding) -> None:
    """No tags is a prediction, and no true tags an outcome."""
    batch = decoding.one(id=1, prediction={"tags": []}, outcome=[])
    assert batch.parts[0] == Part.PREDICTION | Part.OUTCOME
    assert len(batch.event) == 0


def test_odd_values_are_dropped_alone(decoding: Decoding, entries: Any) -> None:
    """A list, an object or an endless text is dropped and counted, and its event survives."""
    batch = decoding.one(
        features={"list": [1, {"a": "]"}], "object": {}, "long": "x" * 1025, "fits": "x" * 1024},
        metrics={"list": []},
        segment={"object": {}, "none": None, "nan": math.nan, "long": "x" * 1025},
    )
    kinds = [(space, kind, name) for space, kind, name, _, _ in entries(batch)]
    assert kinds == [
        ("FEATURE", "DROPPED", "list"),
        ("FEATURE", "DROPPED", "object"),
        ("FEATURE", "DROPPED", "long"),
        ("FEATURE", "TEXT", "fits"),
        ("METRIC", "DROPPED", "list"),
        ("SEGMENT", "DROPPED", "object"),
        ("SEGMENT", "DROPPED", "nan"),
        ("SEGMENT", "DROPPED", "long"),
    ]


def test_numbers_that_are_none(decoding: Decoding) -> None:
    """NaN, infinities and overflow are values of features, metrics and scores, to be judged as invalid."""
    record = (
        b'{"model":"m","features":{"a":NaN,"b":-Infinity,"c":1e999},"metrics":{"d":Infinity},'
        b'"prediction":{"score":NaN,"scores":{"x":-1e999}}}'
    )
    values = decoding.good(record).number.tolist()
    assert str(values) == "[nan, -inf, inf, inf, nan, -inf]"
    assert str(decoding.good(b'{"model":"m","prediction":NaN}').number.tolist()) == "[nan]"


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ('"1970-01-01T00:00:00Z"', 0.0),
        ('"1900-01-01T00:00:00Z"', -2208988800.0),
        ('"2199-12-31T23:59:59.5z"', 7258118399.5),
        ('"2024-02-29t12:00:00+05:30"', 1709188200.0),
        ('"2000-03-01 00:00:00-00:30"', 951870600.0),
        ('"2016-12-31T23:59:60Z"', 1483228800.0),
        ('"2026-03-01T09:30:00.123456789Z"', 1772357400.123456789),
        ('"2026-03-01T09:30:00.' + "3" * 40 + 'Z"', 1772357400.3333333333),
        ("1772357400", 1772357400.0),
        ("1772357400.25", 1772357400.25),
        ("-1e9", -1e9),
    ],
)
def test_times(decoding: Decoding, written: str, seconds: float) -> None:
    """A time is RFC 3339 with its offset or seconds since the epoch, exact to what a float64 holds."""
    batch = decoding.good(b'{"model":"m","features":{},"time":%s}' % written.encode())
    assert batch.time[0] == seconds


def test_every_day_is_that_day(decoding: Decoding) -> None:
    """From 1900 to 2199, the first and last days of months are where the calendar has them."""
    days = [
        datetime(year, month, day, tzinfo=UTC)
        for year in range(1900, 2200)
        for month in (1, 2, 3, 12)
        for day in (1, 28)
    ]
    records = [b'{"model":"m","features":{},"time":"%s"}' % day.isoformat().encode() for day in days]
    assert decoding.batch(records).time.tolist() == [day.timestamp() for day in days]


def test_record_time(decoding: Decoding) -> None:
    """Without a time of its own, or with null, an event has its record's."""
    assert decoding.batch(
        [b'{"model":"m","features":{}}', b'{"model":"m","features":{},"time":null}'], timestamp=5.5
    ).time.tolist() == [5.5, 5.5]


def test_identifiers(decoding: Decoding) -> None:
    """Version, id and entity are text; integers stand as they were written, however long; null and empty are none."""
    batch = decoding.good(b'{"model":"m","id":12345678901234567890123,"version":2.50,"entity":-4,"features":{}}')
    assert [batch.string(s, 0) for s in (batch.id, batch.version, batch.entity)] == [
        "12345678901234567890123",
        "2.5",
        "-4",
    ]
    assert batch.parts[0] == Part.FEATURES | Part.ENTITY
    batch = decoding.one(id="", version=None, entity="", features={})
    assert [s.hash[0] for s in (batch.id, batch.version, batch.entity)] == [0, 0, 0]
    assert batch.parts[0] == Part.FEATURES


def test_lifecycle(decoding: Decoding) -> None:
    """A fact in a model's life is an event of its own; nobody looks into its lineage."""
    batch = decoding.good(b'{"model":"m","lifecycle":"retrained","lineage":{"a":1,"a":[NaN]}}')
    assert (batch.lifecycle[0], batch.parts[0]) == (Lifecycle.RETRAINED, Part.LIFECYCLE)


def test_unknown_fields_are_counted(decoding: Decoding) -> None:
    """Top-level fields that no one knows are counted, those of rejected records are not."""
    good = b'{"model":"m","features":{},"trace":{"a":{"b":[1,2,"]"]}},"host":"x","n":null}'
    assert decoding.batch([good, b'{"host":"x"}', good]).unknown_fields == 6


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (b"caf\\u00e9", "café"),
        ("café".encode(), "café"),
        (b"\\ud83d\\ude00", "\U0001f600"),
        (b'a\\\\b\\/c\\"d', 'a\\b/c"d'),
        (b"line\\nbreak\\u0000", "line\nbreak\0"),
        (b"12345678\\n", "12345678\n"),
        ("漢字" * 20, "漢字" * 20),
        (b"\x7f", "\x7f"),
    ],
)
def test_text_values(decoding: Decoding, entries: Any, written: bytes | str, text: str) -> None:
    """A text value may hold any character, written as itself or escaped, and has the hash of its UTF-8."""
    written = written.encode() if isinstance(written, str) else written
    batch = decoding.good(b'{"model":"m","features":{"a":"%s"}}' % written)
    assert entries(batch) == [("FEATURE", "TEXT", "a", text, None)]
    assert batch.text.hash[0] == hash64(text.encode())


def test_escaped_keys(decoding: Decoding, entries: Any) -> None:
    """A name is what it means, not how it was written."""
    batch = decoding.good(b'{"mod\\u0065l":"m","pr\\u0065diction":{"sc\\u006fre":1},"features":{"\\u00e5":1}}')
    assert entries(batch) == [("PREDICTION", "NUMBER", "score", "", 1.0), ("FEATURE", "NUMBER", "å", "", 1.0)]


def test_model_of_200_characters(decoding: Decoding) -> None:
    """The length of a model's name is counted in characters."""
    name = "ä" * 200
    batch = decoding.batch(
        [json.dumps({"model": name, "features": {}}).encode(), f'{{"model":"{name}","features":{{}}}}'.encode()]
    )
    assert [batch.string(batch.model, i) for i in range(2)] == [name, name]


def test_deepest_allowed(decoding: Decoding) -> None:
    """Depth is counted with the event itself, and as deep as the limit is deep enough."""
    for nested in (b'"features":{"a":' + b"[" * 30 + b"]" * 30 + b"}", b'"features":{},"x":' + b"[" * 31 + b"]" * 31):
        decoding.good(b'{"model":"m",' + nested + b"}")
