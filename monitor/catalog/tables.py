"""What every table of the configuration has in common: strictness, kinds of values, its keys."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from types import MappingProxyType
from typing import Annotated, Any, TypeVar, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic.fields import FieldInfo

V = TypeVar("V")

HIDDEN = "(hidden)"
"""What stands for a secret wherever a configuration is shown."""


DEPTH_MAX = 32
"""How deep the tables and lists of a file may nest; the deepest key needs 6."""


class Settings(BaseModel):
    """One table: frozen, without unknown keys, and ``"5"`` is no number.

    A check of a value raises a ``ValueError`` whose text goes on after the value (``is not a duration``); a check of
    a whole table or list raises a sentence of its own.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True, defer_build=True
    )


@dataclass(frozen=True, slots=True)
class PathAfter:
    """Marks a text that holds a path after ``prefix``; in a file, a relative one starts at the file's directory."""

    prefix: str = ""


class FrozenTable(Mapping[str, V]):
    """A table with keys that the user chooses. The standard's read-only view can be neither copied nor hashed."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, V] = MappingProxyType({})) -> None:
        self._items = dict(items)

    def __getitem__(self, key: str) -> V:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return repr(self._items)


def _printable(text: str) -> str:
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError("holds a control character")
    return text


def http_url(text: str) -> str:
    """``text`` without slashes at its end, if it is a URL with a host, ``http`` or ``https``; else a ``ValueError``."""
    try:
        url = urlsplit(text)
        usable = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        raise ValueError("is not a URL such as http://localhost:9093") from None
    if not usable or re.search(r"[^!-~]|\\", text):
        raise ValueError("is not a URL such as http://localhost:9093")
    if "@" in url.netloc:
        raise ValueError("holds a user name: use username and password_file")
    if "?" in text or "#" in text:
        raise ValueError("holds a query or a fragment")
    return text.rstrip("/")


def class_name(value: object) -> object:
    """A class as decoding writes it, where ``value`` may be one."""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, int) and abs(value) < 10**18:
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 10**18 else repr(value)
    return value


Text = Annotated[str, Field(min_length=1), AfterValidator(_printable)]
"""A text of at least one character, none of them a control character."""

FilePath = Annotated[str, PathAfter(), AfterValidator(_printable)]
"""The path of a file; empty where there is none."""

ClassName = Annotated[Text, BeforeValidator(class_name)]
"""A class as decoding writes it: ``1``, ``1.0``, ``true`` and ``"1"`` are the same one."""

HttpUrl = Annotated[str, AfterValidator(http_url)]
"""``http`` or ``https`` with a host, without user, query, fragment or a slash at its end."""

Count = Annotated[int, Field(ge=1, le=10**12)]
"""How many there may be."""

Share = Annotated[float, Field(ge=0, le=1)]
"""A part of a whole."""

TextMap = Annotated[Mapping[str, str], AfterValidator(FrozenTable), PlainSerializer(dict, return_type=dict[str, str])]
"""Texts by names that the user chooses, frozen."""


def keys_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of ``model`` by the names they have in the file."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def table_in(field: FieldInfo) -> tuple[type[BaseModel] | None, bool]:
    """The model of the table (or of each table of the list, then ``True``) that ``field`` holds; ``None`` if none."""
    candidates: list[Any] = [field.annotation]
    while candidates:
        annotation = candidates.pop()
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return annotation, getattr(field.annotation, "__origin__", None) is tuple
        candidates.extend(get_args(annotation))
    return None, False


def freeze(value: Any, depth: int = 0) -> Any:
    """``value`` with every list made a tuple, which strict models take; raises ``ValueError`` where it is too deep."""
    if depth > DEPTH_MAX:
        raise ValueError(f"is nested more than {DEPTH_MAX} deep")
    if isinstance(value, Mapping):
        return {key: freeze(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return tuple(freeze(item, depth + 1) for item in value)
    return value


def overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both, key by key, tables within tables too; ``above`` wins, and comes later in the order of new keys."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        if isinstance(under, Mapping) and isinstance(value, Mapping):
            merged[key] = overlay(under, value)
        else:
            merged[key] = value
    return merged


def flatten(value: object) -> object:
    """A table in which ``a.b = 1`` and ``"a.b" = 1`` mean the same; anything else as it is."""
    if not isinstance(value, Mapping):
        return value
    flat: dict[str, object] = {}
    for key, item in value.items():
        inner = flatten(item)
        if isinstance(inner, Mapping):
            flat |= {f"{key}.{name}": deeper for name, deeper in inner.items()}
        else:
            flat[key] = inner
    return flat


def rebased(model: type[BaseModel], table: Any, base: PurePath) -> Any:
    """``table`` of a file in ``base`` with its relative paths made relative to where the program runs."""
    if not isinstance(table, Mapping):
        return table
    moved = dict(table)
    for key, field in keys_of(model).items():
        if key not in table:
            continue
        inner, many = table_in(field)
        if inner is not None and many and isinstance(table[key], tuple):
            moved[key] = tuple(rebased(inner, item, base) for item in table[key])
        elif inner is not None and not many:
            moved[key] = rebased(inner, table[key], base)
        else:
            moved[key] = _rebased_path(table[key], field.metadata, base)
    return moved


def _rebased_path(value: Any, metadata: Iterable[object], base: PurePath) -> Any:
    for marker in metadata:
        if isinstance(marker, PathAfter) and isinstance(value, str) and value.startswith(marker.prefix):
            path = value.removeprefix(marker.prefix)
            return f"{marker.prefix}{base / path}" if path else value
    return value


def did_you_mean(name: str, known: Iterable[str], quote: str = '"') -> str:
    """``, did you mean "tolerance"?``, or what is known where nothing comes near."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if near:
        return f", did you mean {quote}{near[0]}{quote}?"
    return f"; known: {', '.join(known)}" if known else ""
