"""Where in a record something stands: a JSON pointer, a header, the key; and what stands there."""

from __future__ import annotations

import re
from typing import Any, Final

from monitor.decode.translated import Record
from monitor.decode.twin import Rejected, members
from monitor.events.columns import Reason
from monitor.events.raw import Headers

MISSING: Final = object()
"""What is found where nothing stands."""
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)


def tokens(pointer: str) -> tuple[str, ...]:
    """The steps of a JSON pointer (RFC 6901), for example ``/a~1b/0`` to ``("a/b", "0")``."""
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:])


def at(value: Any, steps: tuple[str, ...]) -> Any:
    """What stands at ``steps`` of ``value``, or :data:`MISSING`; a name that stands twice on the way is rejected."""
    for step in steps:
        if isinstance(value, dict):
            value = members(value).get(step, MISSING)
        elif isinstance(value, list) and _INDEX.fullmatch(step) and int(step) < len(value):
            value = value[int(step)]
        else:
            return MISSING
    return value


def header(headers: Headers | None, name: str) -> Any:
    """The text of the last header called ``name``, in any case of letters; :data:`MISSING` where there is none."""
    found: Any = MISSING
    for each, value in headers or ():
        if each.lower() == name.lower() and value is not None:
            found = value
    return found if found is MISSING else text(found)


def text(raw: bytes | str) -> str:
    """The text of a key or a header; raises :class:`Rejected` where it is not UTF-8."""
    if isinstance(raw, str):
        return raw
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise Rejected(Reason.UTF8) from None


class Place:
    """Where something stands, as the configuration says it: ``/a/b``, ``header:NAME`` or ``key``."""

    def __init__(self, source: str) -> None:
        self.outside = not source.startswith("/")
        """Whether it stands beside the record's value, so that it is text."""
        self._steps = tokens(source)
        self._header = source.removeprefix("header:") if source.startswith("header:") else ""

    def of(self, record: Record, parsed: Any) -> Any:
        """What stands there in ``record``, whose value says ``parsed``; :data:`MISSING` where nothing does."""
        if not self.outside:
            return at(parsed, self._steps)
        if self._header:
            return header(record.headers, self._header)
        return MISSING if record.key is None else text(record.key)


def is_place(source: str) -> bool:
    """Whether ``source`` is a place rather than a name."""
    return source.startswith(("/", "header:")) or source == "key"
