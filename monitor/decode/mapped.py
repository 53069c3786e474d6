"""How records of any shape are read whose parts the configuration names: pointers, headers, the key."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, Final

from monitor.decode.cases import Naming
from monitor.decode.limits import DecodeLimits
from monitor.decode.model import ModelOf
from monitor.decode.places import MISSING, Place, at, tokens
from monitor.decode.topics import TIME_UNITS, TopicFormat
from monitor.decode.translated import Record, Translate
from monitor.decode.twin import Rejected, identifier, members, parse_any
from monitor.events.columns import Reason

EACH: Final = "*"
"""A step of a pointer that stands for every element of a list, an event for each."""
_NUMBER: Final = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*", re.ASCII)
_NUMBERS: Final = frozenset({"time", "value", "prediction.score"})


class _Source:
    """Where one field comes from; ``lead`` are the steps to a list of which each element is a case."""

    def __init__(self, field: str, source: str) -> None:
        self.part, _, self.name = field.partition(".")
        self.numeric = field in _NUMBERS or self.part == "metrics"
        self.place = Place(source)
        steps = tokens(source) if source.startswith("/") else ()
        self.lead = steps[: steps.index(EACH)] if EACH in steps else None
        self.rest = steps[steps.index(EACH) + 1 :] if EACH in steps else ()

    def values(self, record: Record, parsed: Any) -> list[Any] | None:
        """What stands there for each case, ``None`` where it is the same for all."""
        if self.lead is None:
            return None
        found = at(parsed, self.lead)
        if found is MISSING:
            return []
        if not isinstance(found, list):
            raise Rejected(Reason.FIELD_TYPE)
        return [at(each, self.rest) for each in found]

    def number(self, value: Any) -> Any:
        """Text beside the record where a number is due: the number that it spells."""
        if self.numeric and self.place.outside and isinstance(value, str) and _NUMBER.fullmatch(value):
            return float(value)
        return value


def translator(topic: TopicFormat, limits: DecodeLimits) -> Translate:
    """Reads a record of a topic as its ``format = "mapped"`` and ``mapping`` say."""
    return translator_of(topic, lambda value: parse_any(value, limits))


def translator_of(topic: TopicFormat, parse: Callable[[bytes | None], Any]) -> Translate:
    """Reads records as ``mapping`` says, whose values say what ``parse`` finds in them; it may raise Rejected."""
    sources = [_Source(field, source) for field, source in topic.mapping.items()]
    naming, model_of = Naming(topic.feature_names, topic.class_names), ModelOf(topic.model)
    seconds = TIME_UNITS[topic.time_unit]
    looks_inside = any(not source.place.outside for source in sources) or topic.model.startswith("/")

    def translate(record: Record) -> list[dict[str, Any]]:
        parsed = parse(record.value) if looks_inside or record.value is None else None
        columns = [source.values(record, parsed) for source in sources]
        lengths = {len(column) for column in columns if column is not None}
        if len(lengths) > 1:
            raise Rejected(Reason.FIELD_TYPE)
        n = lengths.pop() if lengths else 1
        model = model_of(record, parsed)
        said = list(zip(sources, columns, strict=True))
        shared = [source.place.of(record, parsed) if column is None else None for source, column in said]
        one_id = any(source.part == "id" and column is None for source, column in said)
        events = []
        for i in range(n):
            found = [one if column is None else column[i] for one, column in zip(shared, columns, strict=True)]
            event = _event(sources, found, naming, seconds)
            if model is not None:
                event["model"] = model
            if n > 1 and one_id and event.get("id") is not None:
                event["id"] = f"{identifier(event['id'])}/{i}"
            events.append(event)
        return events

    return translate


def _event(sources: list[_Source], found: list[Any], naming: Naming, seconds: float) -> dict[str, Any]:
    event: dict[str, Any] = {}
    for source, raw in zip(sources, found, strict=True):
        if raw is MISSING:
            continue
        value = source.number(raw)
        if source.name:
            inner = event.setdefault(source.part, {})
            if not isinstance(inner, dict):
                raise Rejected(Reason.FIELD_TYPE)
            inner[source.name] = value
        elif source.part in event and isinstance(value, dict) and isinstance(event[source.part], dict):
            event[source.part] = {**value, **event[source.part]}
        elif value is not None:
            event[source.part] = _whole(source.part, value, naming, seconds)
    return event


def _whole(part: str, value: Any, naming: Naming, seconds: float) -> Any:
    if part == "features":
        return naming.features(value)
    if part == "prediction":
        return naming.prediction(value)
    if part == "time" and isinstance(value, int | float) and not isinstance(value, bool):
        return value * seconds if math.isfinite(value) else value
    return members(value) if isinstance(value, dict) else value
