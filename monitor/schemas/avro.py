"""How a record in Avro is read: by fastavro, under a schema that cannot make it large or deep by itself."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from typing import Any

from monitor.schemas.faults import BodyError, UnreadableSchemaError

_BYTES_MIN: Mapping[str, int] = {
    "null": 0,
    "boolean": 1,
    "int": 1,
    "long": 1,
    "float": 4,
    "double": 8,
    "bytes": 1,
    "string": 1,
}


def reader(text: str, imports: Mapping[str, str], skip: int) -> Callable[[bytes, bool], Any]:
    """Reads the value of a record behind its first ``skip`` bytes, with dates, decimals and UUIDs as Python has them.

    What it returns raises :class:`BodyError`, or ``UnicodeDecodeError`` for a text that is not UTF-8.

    Raises
    ------
    UnreadableSchemaError
        ``text`` is no schema; it refers to itself, so that a small record could be deeper than any stack; or it has
        lists whose elements take no bytes, so that a small record could fill memory.
    """
    from fastavro import parse_schema, schemaless_reader  # noqa: PLC0415  # an optional extra

    try:
        named: dict[str, Any] = {}
        for each in imports.values():
            parse_schema(json.loads(each), named_schemas=named)
        schema: Any = parse_schema(json.loads(text), named_schemas=named)
        _bytes_min(schema, named, frozenset())
    except UnreadableSchemaError:
        raise
    except Exception as error:  # noqa: BLE001 -- whatever fastavro raises at what is no schema
        raise UnreadableSchemaError(f"fastavro: {type(error).__name__}: {error}") from None

    def read(value: bytes, _is_event: bool) -> Any:
        body = io.BytesIO(value)
        body.seek(skip)
        try:
            found = schemaless_reader(body, schema, None)
        except UnicodeDecodeError:
            raise
        except Exception as error:  # noqa: BLE001 -- whatever fastavro raises at other bytes than the schema's
            raise BodyError(type(error).__name__) from None
        if body.read(1):
            raise BodyError("bytes behind the record")
        return found

    return read


def _bytes_min(schema: Any, named: Mapping[str, Any], inside: frozenset[str]) -> int:
    """The fewest bytes that a value takes; ``inside`` are the names of the types around it."""
    if isinstance(schema, list):
        return 1 + min((_bytes_min(each, named, inside) for each in schema), default=0)
    if isinstance(schema, str):
        if schema in _BYTES_MIN:
            return _BYTES_MIN[schema]
        if schema in inside:
            raise UnreadableSchemaError(f"{schema} refers to itself")
        return _bytes_min(named[schema], named, inside)
    kind = schema["type"]
    if kind in {"record", "error"}:
        within = inside | {schema["name"]}
        return sum(_bytes_min(field["type"], named, within) for field in schema["fields"])
    if kind == "array":
        if not _bytes_min(schema["items"], named, inside):
            raise UnreadableSchemaError("a list has elements that take no bytes")
        return 1
    if kind == "map":
        _bytes_min(schema["values"], named, inside)
        return 1
    if kind == "fixed":
        return int(schema["size"])
    return 1 if kind == "enum" else _bytes_min(kind, named, inside)
