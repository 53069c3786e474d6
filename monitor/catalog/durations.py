"""How spans and moments of time are written in a configuration."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer

from monitor.errors import UsageError

UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 365 * 86400.0}
SECONDS_MAX = 100 * UNIT_SECONDS["y"]

_PART = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)(ms|s|m|h|d|w|y)", re.ASCII)
_WHOLE = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)


def parse_duration(value: object) -> float:
    """Return the seconds of ``"30s"``, ``"5m"``, ``"1h30m"``, ``"30d"`` or ``"5y"`` (a year is 365 days).

    A number without a unit is refused: nobody can see whether it means seconds or minutes.

    Raises
    ------
    ValueError
        ``value`` is no such text, or longer than 100 years.
    """
    if not isinstance(value, str) or _WHOLE.fullmatch(value) is None:
        raise ValueError('is not a duration such as "30s"')
    seconds = math.fsum(float(part[1]) * UNIT_SECONDS[part[2]] for part in _PART.finditer(value))
    if seconds > SECONDS_MAX:
        raise ValueError("is longer than 100 years")
    return seconds


def format_duration(seconds: float) -> str:
    """The shortest text that :func:`parse_duration` reads as ``seconds``; a minute is ``60s``, as in the manual."""
    if seconds > 0:
        for unit, at_least in (("d", 1), ("h", 1), ("m", 2)):
            count = seconds / UNIT_SECONDS[unit]
            if count >= at_least and count.is_integer():
                return f"{int(count)}{unit}"
    return f"{seconds:.12f}".rstrip("0").rstrip(".") + "s"


def parse_instant(value: object) -> float:
    """Return the seconds since the epoch of an RFC 3339 text or of a TOML date-time.

    Raises
    ------
    ValueError
        ``value`` is neither, or says no zone.
    """
    moment = value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise ValueError('is not a time with a zone such as "2026-11-27T00:00:00Z"')
    try:
        return moment.timestamp()
    except OverflowError:
        raise ValueError("is not a time that a clock can show") from None


def parse_moment(text: str) -> float:
    """Return the seconds since the epoch of a time as people write it: RFC 3339, or in UTC without a zone, or a day.

    Raises
    ------
    ValueError
        ``text`` is none of these.
    """
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError('is not a time such as "2026-03-01" or "2026-03-01T09:30:00Z"') from None


def parse_range(command: str, since: str | None, until: str | None) -> tuple[float | None, float | None]:
    """Return what ``--since`` and ``--until`` say to ``command``, as of :func:`parse_moment`; ``None`` is not said.

    Raises
    ------
    UsageError
        One of them is no time; the message names the command and the flag.
    """
    found: list[float | None] = []
    for flag, text in (("--since", since), ("--until", until)):
        try:
            found.append(None if text is None else parse_moment(text))
        except ValueError as error:
            raise UsageError(f'{command}: {flag}: "{text}" {error}') from None
    return found[0], found[1]


def format_instant(seconds: float) -> str:
    """RFC 3339 in UTC; microseconds only where there are some."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


Seconds = Annotated[
    float, BeforeValidator(parse_duration), PlainSerializer(format_duration, return_type=str, when_used="json")
]
"""A span of time: text in the file, seconds (0 or more) in the program."""

PositiveSeconds = Annotated[Seconds, Field(gt=0)]
"""A span of time that is longer than nothing."""

Instant = Annotated[
    float, BeforeValidator(parse_instant), PlainSerializer(format_instant, return_type=str, when_used="json")
]
"""A moment: RFC 3339 in the file, seconds since the epoch in the program."""
