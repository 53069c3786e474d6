"""What is read as a span or a moment of time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.catalog.durations import (
    SECONDS_MAX,
    format_duration,
    format_instant,
    parse_duration,
    parse_instant,
    parse_range,
)
from monitor.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0),
        ("250ms", 0.25),
        ("30s", 30),
        ("5m", 300),
        ("2h", 7200),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("30d", 2_592_000),
        ("2w", 1_209_600),
        ("5y", 157_680_000),
    ],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    """Every unit means what it says."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "value",
    ["", "1x", "30", "s", " 30s", "30s ", "-1s", "1e3s", "30S", "٣s", "101y", 30, 30.0, True, None, [], "9" * 99 + "s"],
)
def test_anything_else_is_refused(value: object) -> None:
    """A number without a unit, an unknown unit, a sign or a span beyond a century is no duration."""
    with pytest.raises(ValueError, match=r"is not a duration such as|longer than 100 years"):
        parse_duration(value)


@given(st.integers(0, int(SECONDS_MAX)) | st.floats(0, 1e6).map(lambda seconds: round(seconds, 3)))
def test_what_is_written_is_read_again(seconds: float) -> None:
    """Any span survives being shown."""
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, abs=1e-9)


def test_durations_are_shown_as_the_manual_writes_them() -> None:
    """A minute is 60s, as in the manual, and everything else has its largest whole unit."""
    shown = [format_duration(seconds) for seconds in (0.0, 0.25, 5.0, 60.0, 120.0, 3600.0, 5400.0, 86400.0, 604800.0)]
    assert shown == ["0s", "0.25s", "5s", "60s", "2m", "1h", "90m", "1d", "7d"]


def test_a_moment_needs_a_zone() -> None:
    """A time without a zone is refused, since nobody knows whose clock is meant."""
    assert parse_instant("2026-11-27T00:00:00Z") == parse_instant("2026-11-27T01:00:00+01:00") == 1795737600
    assert format_instant(1795737600.5) == "2026-11-27T00:00:00.500000Z"
    for value in ("2026-11-27T00:00:00", "2026-11-27", "soon", 1795737600, None):
        with pytest.raises(ValueError, match="is not a time with a zone"):
            parse_instant(value)


def test_a_range_as_people_write_it() -> None:
    """`--since` and `--until` take days, and times with or without a zone; a fault names the command and the flag."""
    assert parse_range("replay", "2026-11-27", None) == (1795737600.0, None)
    assert parse_range("replay", None, "2026-11-27T01:00:00+01:00") == (None, 1795737600.0)
    with pytest.raises(UsageError, match=r'^assess: --until: "soon" is not a time such as "2026-03-01"'):
        parse_range("assess", None, "soon")
