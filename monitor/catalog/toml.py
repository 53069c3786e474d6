"""How a table is written in TOML, one key a line, for people who compare two of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any


def toml_key(key: str) -> str:
    """``key``, in quotes where it needs them."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key, re.ASCII) else toml_value(key)


def toml_value(value: Any) -> str:
    """A text, number, truth value, list or table (inline, without its ``None``) in TOML."""
    if isinstance(value, Mapping):
        pairs = [f"{toml_key(key)} = {toml_value(item)}" for key, item in value.items() if item is not None]
        return f"{{ {', '.join(pairs)} }}" if pairs else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")


def toml_lines(table: Mapping[str, Any]) -> Iterator[str]:
    """``key = value`` for each key that has one."""
    for key, value in table.items():
        if value is not None:
            yield f"{toml_key(key)} = {toml_value(value)}"
