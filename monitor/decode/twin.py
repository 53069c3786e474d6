"""What one record says, or why it is rejected: the whole rule, in Python.

The compiled decoder reads ordinary records and leaves all others to this one. Where both read a record, they agree.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from monitor.decode.limits import MODEL_CHARACTERS, TIME_END, TIME_MIN, DecodeLimits
from monitor.events.columns import Lifecycle, Part, Reason, Space, ValueType

_BOM: Final = b"\xef\xbb\xbf"
_SPACE: Final = b" \t\r\n"
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")
_SURROGATE_ESCAPE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_BRACKETS: Final = re.compile(r'"(?:[^"\\]+|\\.)*+"?|[\[\]{}]', re.DOTALL)
_NO_BRACKETS: Final = re.compile(r'"(?:[^"\\]+|\\.)*+"?|[^\[\]{}"]+', re.DOTALL)
_RFC3339: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_FRACTION_DIGITS: Final = 30
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_INT64_CHARACTERS: Final = 20
"""An integer that takes more does not fit 64 bits."""

_PARTS: Final = {
    "features": Part.FEATURES,
    "prediction": Part.PREDICTION,
    "sensitive": Part.SENSITIVE,
    "segment": Part.SEGMENT,
    "outcome": Part.OUTCOME,
    "value": Part.VALUE,
    "metrics": Part.METRICS,
    "lifecycle": Part.LIFECYCLE,
}
_ENOUGH: Final = Part.FEATURES | Part.PREDICTION | Part.SENSITIVE | Part.OUTCOME | Part.METRICS | Part.LIFECYCLE
_NAMED: Final = {
    "features": Space.FEATURE,
    "metrics": Space.METRIC,
    "sensitive": Space.SENSITIVE,
    "segment": Space.SEGMENT,
}
_LIFECYCLES: Final = {word.name.lower(): word for word in Lifecycle if word is not Lifecycle.NONE}


@dataclass(slots=True)
class Row:
    """One event. Strings are UTF-8, empty where absent; ``time`` in seconds since the epoch.

    ``entries`` are ``(space, type, name, text or None, number or NaN)`` in the order in which they stood.
    """

    model: bytes = b""
    version: bytes = b""
    id: bytes = b""
    entity: bytes = b""
    time: float = math.nan
    parts: int = 0
    value: float = math.nan
    lifecycle: int = 0
    unknown_fields: int = 0
    entries: list[tuple[int, int, bytes, bytes | None, float]] = field(default_factory=list)


def read(record: bytes | None, timestamp: float, future_limit: float, limits: DecodeLimits) -> Row | Reason:
    """The event in ``record``, or why there is none; nothing that a record holds raises.

    ``timestamp`` is the record's own time, NaN where it has none; ``future_limit`` the last time that is believed.
    Both in seconds since the epoch.
    """
    try:
        return _Reader(limits).event(parse(record, limits), timestamp, future_limit)
    except Rejected as rejected:
        return rejected.reason


def canonical(value: Any) -> str | None:
    """The text of a class: ``1``, ``1.0``, ``true`` and ``"1"`` are the same one; ``None`` for what is no class."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, float) or not math.isfinite(value):
        return None
    return str(int(value)) if value.is_integer() and abs(value) < 2.0**63 else float.__repr__(value)


class Rejected(Exception):  # noqa: N818 -- not an error: the outcome of a bad record
    """A record is no event, for ``reason``."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class _Repeated(dict[str, Any]):
    """An object in which a name stood twice."""


class _LongInteger(float):
    """An integer beyond 64 bits: a float that remembers how it was written."""

    __slots__ = ("written",)
    written: str


def parse(record: bytes | None, limits: DecodeLimits) -> dict[str, Any]:
    """The JSON object in ``record``; raises :class:`Rejected`."""
    parsed = parse_any(record, limits)
    if not isinstance(parsed, dict):
        raise Rejected(Reason.NOT_OBJECT)
    return parsed


def parse_any(record: bytes | None, limits: DecodeLimits) -> Any:
    """The JSON value in ``record``, whatever it is; raises :class:`Rejected`.

    NaN and the infinities are read as such, integers beyond 64 bits as floats. Of names that stand twice the last
    wins here; :func:`members` is what refuses them.
    """
    if record is None:
        raise Rejected(Reason.EMPTY)
    if len(record) > limits.record_bytes:
        raise Rejected(Reason.TOO_LARGE)
    if record.startswith(b"\0"):
        raise Rejected(Reason.SCHEMA_REGISTRY)
    record = record.removeprefix(_BOM)
    if not record.strip(_SPACE):
        raise Rejected(Reason.EMPTY)
    try:
        text = record.decode()
    except UnicodeDecodeError:
        raise Rejected(Reason.UTF8) from None
    _check_depth(text, limits.depth)
    try:
        parsed = _DECODER.decode(text)
    except ValueError:
        raise Rejected(Reason.JSON) from None
    if _SURROGATE_ESCAPE.search(text):
        _check_surrogates(parsed)
    return parsed


def _check_depth(text: str, limit: int) -> None:
    """Before anything recurses: count brackets outside strings."""
    if text.count("{") + text.count("[") <= limit:
        return
    left = _NO_BRACKETS.sub("", text)
    for _ in range(limit // 2):  # each round takes the two innermost layers at most
        left = left.replace("[]", "").replace("{}", "")
        if not left:
            return
    depth = 0
    for token in _BRACKETS.finditer(text):
        bracket = text[token.start()]
        if bracket in "[{":
            depth += 1
            if depth > limit:
                raise Rejected(Reason.TOO_DEEP)
        elif bracket in "]}":
            depth -= 1


def _check_surrogates(value: Any) -> None:
    """Half a surrogate pair cannot be written in UTF-8."""
    if isinstance(value, str):
        _encode(value)
    elif isinstance(value, dict):
        for name, inner in value.items():
            _encode(name)
            _check_surrogates(inner)
    elif isinstance(value, list):
        for inner in value:
            _check_surrogates(inner)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    return members if len(members) == len(pairs) else _Repeated(pairs)


def _integer(written: str) -> int | _LongInteger:
    if len(written) <= _INT64_CHARACTERS and -(2**63) <= (value := int(written)) < 2**63:
        return value
    long = _LongInteger(written)
    long.written = written
    return long


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer)


def _encode(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise Rejected(Reason.UTF8) from None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _number(value: Any) -> float:
    """A measured value, NaN and infinities included; minus zero is zero."""
    if not _is_number(value):
        raise Rejected(Reason.FIELD_TYPE)
    return float(value) + 0.0


def _finite(value: Any) -> float:
    number = _number(value)
    if not math.isfinite(number):
        raise Rejected(Reason.FIELD_TYPE)
    return number


def identifier(value: Any) -> str:
    """The text of a version, an id or an entity: integers as they were written, other numbers as a class."""
    if isinstance(value, _LongInteger):
        return value.written
    text = None if isinstance(value, bool) else canonical(value)
    if text is None:
        raise Rejected(Reason.FIELD_TYPE)
    return text


def members(value: Any) -> dict[str, Any]:
    """``value`` if it is an object without a name that stands twice; else raises :class:`Rejected`."""
    if not isinstance(value, dict):
        raise Rejected(Reason.FIELD_TYPE)
    if isinstance(value, _Repeated):
        raise Rejected(Reason.DUPLICATE_KEY)
    return value


def elements(value: Any) -> list[Any]:
    """``value`` if it is a list; else raises :class:`Rejected`."""
    if not isinstance(value, list):
        raise Rejected(Reason.FIELD_TYPE)
    return value


def _time(value: Any) -> float:
    if isinstance(value, str):
        return _rfc3339(value)
    return _number(value)


def _rfc3339(text: str) -> float:
    """Seconds since the epoch; second 60 is the next minute's second 0."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise Rejected(Reason.TIME)
    hour, minute, second = int(match[4]), int(match[5]), int(match[6])
    east_hours, east_minutes = int(match[9] or 0), int(match[10] or 0)
    if hour > 23 or minute > 59 or second > 60 or east_hours > 23 or east_minutes > 59:
        raise Rejected(Reason.TIME)
    try:
        days = date(int(match[1]), int(match[2]), int(match[3])).toordinal() - _EPOCH_DAY
    except ValueError:
        raise Rejected(Reason.TIME) from None
    east = (east_hours * 60 + east_minutes) * (-60 if match[8] == "-" else 60)
    digits = (match[7] or "0")[:_FRACTION_DIGITS]
    seconds = days * 86400 + hour * 3600 + minute * 60 + second - east
    return float(seconds + int(digits) / 10 ** len(digits))


class _Reader:
    """Reads one event into a row."""

    def __init__(self, limits: DecodeLimits) -> None:
        self._limits = limits
        self._row = Row()
        self._timed = False

    def event(self, parsed: dict[str, Any], timestamp: float, future_limit: float) -> Row:
        for name, value in members(parsed).items():
            if name not in _FIELDS:
                self._row.unknown_fields += 1
            elif value is not None:
                self._field(name, value)
        self._check(timestamp, future_limit)
        return self._row

    def _field(self, name: str, value: Any) -> None:
        row = self._row
        row.parts |= _PARTS.get(name, 0)
        match name:
            case "model":
                row.model = self._model(value)
            case "version" | "id" | "entity":
                self._identity(name, value)
            case "time":
                row.time = _time(value)
                self._timed = True
            case "prediction":
                self._prediction(value)
            case "outcome":
                self._outcome(value)
            case "value":
                row.value = _finite(value)
            case "lifecycle":
                row.lifecycle = self._lifecycle(value)
            case "lineage":
                pass
            case _:
                self._named(_NAMED[name], value)

    def _check(self, timestamp: float, future_limit: float) -> None:
        row = self._row
        if not row.model:
            raise Rejected(Reason.MISSING_MODEL)
        if not row.parts & _ENOUGH:
            raise Rejected(Reason.NOTHING)
        if not row.id and (row.parts & Part.OUTCOME or row.parts & _ENOUGH == Part.SENSITIVE):
            raise Rejected(Reason.MISSING_ID)
        row.time = row.time if self._timed else float(timestamp)
        if not TIME_MIN <= row.time < TIME_END:
            raise Rejected(Reason.TIME)
        if not row.time <= future_limit:
            raise Rejected(Reason.FUTURE_TIME)

    def _text(self, text: str) -> bytes:
        encoded = text.encode()
        if len(encoded) > self._limits.name_bytes:
            raise Rejected(Reason.NAME)
        return encoded

    def _name(self, name: str) -> bytes:
        if _CONTROL.search(name):
            raise Rejected(Reason.NAME)
        return self._text(name)

    def _label(self, value: Any) -> bytes:
        text = canonical(value)
        if text is None:
            raise Rejected(Reason.FIELD_TYPE)
        return self._name(text)

    def _model(self, value: Any) -> bytes:
        if not isinstance(value, str):
            raise Rejected(Reason.FIELD_TYPE)
        if len(value) > MODEL_CHARACTERS:
            raise Rejected(Reason.NAME)
        return self._name(value)

    def _identity(self, name: str, value: Any) -> None:
        row = self._row
        if name == "version":
            row.version = self._name(identifier(value))
        elif name == "entity":
            row.entity = self._text(identifier(value))
            row.parts |= Part.ENTITY if row.entity else 0
        elif isinstance(value, float) and not isinstance(value, _LongInteger):
            raise Rejected(Reason.FIELD_TYPE)
        else:
            row.id = self._text(identifier(value))

    def _lifecycle(self, value: Any) -> Lifecycle:
        word = _LIFECYCLES.get(value) if isinstance(value, str) else None
        if word is None:
            raise Rejected(Reason.FIELD_TYPE)
        return word

    def _add(
        self, space: Space, kind: ValueType, name: bytes, text: bytes | None = None, number: float = math.nan
    ) -> None:
        if len(self._row.entries) >= self._limits.values_per_event:
            raise Rejected(Reason.TOO_MANY_VALUES)
        self._row.entries.append((space, kind, name, text, number))

    def _named(self, space: Space, value: Any) -> None:
        for key, inner in members(value).items():
            name = self._name(key)
            if space in {Space.FEATURE, Space.METRIC}:
                self._feature(space, name, inner)
            else:
                self._group(space, name, inner)

    def _feature(self, space: Space, name: bytes, value: Any) -> None:
        if value is None:
            self._add(space, ValueType.NULL, name)
        elif isinstance(value, bool):
            self._add(space, ValueType.BOOL, name, b"true" if value else b"false", float(value))
        elif isinstance(value, str):
            self._add_text(space, name, value)
        elif _is_number(value):
            self._add(space, ValueType.NUMBER, name, number=_number(value))
        else:
            self._add(space, ValueType.DROPPED, name)

    def _group(self, space: Space, name: bytes, value: Any) -> None:
        if value is None:
            return
        text = canonical(value)
        if text is None:
            self._add(space, ValueType.DROPPED, name)
        else:
            self._add_text(space, name, text)

    def _add_text(self, space: Space, name: bytes, text: str) -> None:
        encoded = text.encode()
        if len(encoded) > self._limits.name_bytes:
            self._add(space, ValueType.DROPPED, name)
        else:
            self._add(space, ValueType.TEXT, name, encoded)

    def _prediction(self, value: Any) -> None:
        if isinstance(value, (str, bool)):
            self._add_label(Space.PREDICTION, value)
        elif _is_number(value):
            self._add(Space.PREDICTION, ValueType.NUMBER, b"value", number=_number(value))
        else:
            for name, inner in members(value).items():
                if inner is not None:
                    self._prediction_member(name, inner)

    def _prediction_member(self, name: str, value: Any) -> None:
        match name:
            case "label":
                self._add_label(Space.PREDICTION, value)
            case "score":
                self._add(Space.PREDICTION, ValueType.NUMBER, b"score", number=_number(value))
            case "scores":
                for label, score in members(value).items():
                    self._class_score(self._name(label), score)
            case "tags":
                self._places(Space.TAG, value)
            case "ranking":
                self._places(Space.RANKED, value)

    def _class_score(self, name: bytes, score: Any) -> None:
        if score is None:
            self._add(Space.CLASS_SCORE, ValueType.NULL, name)
        else:
            self._add(Space.CLASS_SCORE, ValueType.NUMBER, name, number=_number(score))

    def _outcome(self, value: Any) -> None:
        if isinstance(value, list):
            self._places(Space.OUTCOME_TAG, value)
        else:
            self._add_label(Space.OUTCOME, value)

    def _add_label(self, space: Space, value: Any) -> None:
        number = _number(value) if _is_number(value) else math.nan
        self._add(space, ValueType.TEXT, b"label", self._label(value), number)

    def _places(self, space: Space, value: Any) -> None:
        """Each name with its place; one that comes again is the same tag or item, and keeps its first place."""
        met = set()
        for place, inner in enumerate(elements(value)):
            name = self._label(inner)
            if name not in met:
                met.add(name)
                self._add(space, ValueType.NUMBER, name, number=float(place))


_FIELDS: Final = frozenset({*_PARTS, "model", "version", "id", "time", "entity", "lineage"})
