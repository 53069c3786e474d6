"""How a value that can't be used is told: its place, itself unless it may be secret, and what is wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from monitor.catalog.tables import did_you_mean, keys_of, table_in

Location = tuple[str | int, ...]

SECRET_TABLES = ("librdkafka", "headers")
"""Tables whose values may be secrets, so that none of them is ever shown."""

_NO_VALUE = object()
_WORDS = {
    "missing": "is missing",
    "float_type": "is not a number",
    "int_type": "is not a whole number",
    "bool_type": "is neither true nor false",
    "string_type": "is not a text in quotes",
    "string_unicode": "is not UTF-8",
    "model_type": "is not a table",
    "dict_type": "is not a table",
    "mapping_type": "is not a table",
    "tuple_type": "is not a list",
    "finite_number": "is not a finite number",
    "string_too_short": "is empty",
    "string_too_long": "has more than {max_length} characters",
    "greater_than": "is not greater than {gt}",
    "greater_than_equal": "is less than {ge}",
    "less_than": "is not less than {lt}",
    "less_than_equal": "is more than {le}",
}


def place(location: Location) -> str:
    """``models[1].tolerance.drift``; a key that is no bare TOML key stands in quotes."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        key = part if re.fullmatch(r"[A-Za-z0-9_-]+", part, re.ASCII) else json.dumps(part)
        text += f".{key}" if text else key
    return text


def problems(error: ValidationError, model: type[BaseModel], data: Any) -> Iterator[tuple[Location, str]]:
    """Yield where and what, for each thing that ``model`` found wrong with ``data``."""
    for detail in error.errors(include_url=False, include_context=True):
        yield detail["loc"], _sentence(detail, model, data)


def _sentence(detail: ErrorDetails, model: type[BaseModel], data: Any) -> str:
    kind, location, context = detail["type"], detail["loc"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key{did_you_mean(str(location[-1]), _known(model, location[:-1]))}"
    value = _value_at(data, location)
    if kind == "value_error":
        words = str(context["error"])
    elif kind == "literal_error":
        words = f"is not one of {context['expected'].replace(chr(39), chr(34))}"
    else:
        bounds = {name: f"{bound:g}" if isinstance(bound, float) else bound for name, bound in context.items()}
        words = _WORDS.get(kind, detail["msg"]).format_map(bounds)
    shown = _shown(value, location)
    return f"{shown} {words}" if shown else words


def _shown(value: Any, location: Location) -> str:
    """The value in TOML where it is a scalar that may be shown, else words for it, else nothing."""
    if value is _NO_VALUE or (isinstance(value, Mapping | Sequence) and not isinstance(value, str)):
        return ""
    if any(part in SECRET_TABLES for part in location) or (isinstance(value, str) and "@" in value):
        return "its value"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and abs(value) >= 10**18:
        return "its value"
    if isinstance(value, date | time | datetime):
        return value.isoformat()
    if isinstance(value, str):
        return json.dumps(value if len(value) <= 80 else f"{value[:77]}...", ensure_ascii=False)
    return repr(value)


def _value_at(data: Any, location: Location) -> Any:
    for part in location:
        in_list = isinstance(data, tuple) and isinstance(part, int) and part < len(data)
        if not in_list and not (isinstance(data, Mapping) and part in data):
            return _NO_VALUE
        data = data[part]
    return data


def _known(model: type[BaseModel], location: Location) -> list[str]:
    inner: type[BaseModel] | None = model
    for part in location:
        if isinstance(part, int):
            continue
        field = keys_of(inner).get(part) if inner is not None else None
        inner = table_in(field)[0] if field is not None else None
    return list(keys_of(inner)) if inner is not None else []
