"""Which key an environment variable (or a flag) means, and what its text is in TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from monitor.catalog.tables import keys_of, table_in

PREFIX = "MODELWATCH_"
SEPARATOR = "__"

_WORD_SEPARATORS = {"librdkafka": ".", "headers": "-"}
"""What an underscore stands for in keys that the user chooses, since few shells set a variable with a dot."""


def locate(model: type[BaseModel], parts: Sequence[str]) -> tuple[tuple[str, ...], bool] | None:
    """Where the key of ``parts`` stands in ``model``, and whether its value is a text; ``None`` where there is none."""
    location: tuple[str, ...] = ()
    for i, part in enumerate(parts):
        field = keys_of(model).get(part)
        if field is None:
            return None
        location += (part,)
        inner, many = table_in(field)
        if inner is not None and not many:
            model = inner
            continue
        rest = parts[i + 1 :]
        if not rest:
            return location, _is_text(field)
        if get_origin(field.annotation) is not Mapping or not all(rest):
            return None
        separator = _WORD_SEPARATORS.get(part)
        key = SEPARATOR.join(rest) if separator is None else separator.join(rest).replace("_", separator)
        return (*location, key), True
    return location, False


def keys(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every place in ``model`` that holds a value and can be said in one word: all but the lists of tables' insides."""
    for key, field in keys_of(model).items():
        inner, many = table_in(field)
        if inner is not None and not many:
            yield from keys(inner, (*above, key))
        else:
            yield (*above, key)


def variable(location: Sequence[str]) -> str:
    """``MODELWATCH_KAFKA__GROUP_ID`` for ``kafka``, ``group_id``."""
    return PREFIX + SEPARATOR.join(location).upper()


def parsed(raw: str, is_text: bool) -> Any:
    """``raw`` as TOML where it is TOML, else as it is; where a text is wanted, ``123`` is the text ``123``."""
    try:
        table = tomllib.loads(f"value = {raw}")
    except (ValueError, RecursionError):
        return raw
    if table.keys() != {"value"} or (is_text and not isinstance(table["value"], str)):
        return raw
    return table["value"]


def _is_text(field: FieldInfo) -> bool:
    words = get_origin(field.annotation) is Literal and all(
        isinstance(word, str) for word in get_args(field.annotation)
    )
    return field.annotation is str or words
