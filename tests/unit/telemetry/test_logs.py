"""One line an event, in each format; samples of what repeats."""

from __future__ import annotations

import io
import json
import logging
from collections import Counter
from typing import TYPE_CHECKING

import pytest
import structlog

from monitor.clock import ManualClock
from monitor.telemetry.logs import SampledLogger, configure, get_logger

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.captureWarnings(capture=False)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


CLOCK = ManualClock(1_000_000_000.25)


def test_a_json_line_begins_with_the_four_keys(out: io.StringIO) -> None:
    """`ts`, `level`, `event`, `logger`, then the context, as one JSON object a line."""
    logger = get_logger("monitor.ingest")
    configure(CLOCK, log_format="json", stream=out)
    logger.info("source_opened", partitions=3, ratio=float("nan"), odd={1})
    document = json.loads(out.getvalue())
    assert list(document)[:4] == ["ts", "level", "event", "logger"]
    assert document == {
        "ts": "2001-09-09T01:46:40.250Z",
        "level": "info",
        "event": "source_opened",
        "logger": "monitor.ingest",
        "partitions": 3,
        "ratio": None,
        "odd": [1],
    }


@pytest.mark.parametrize("log_format", ["json", "logfmt", "console"])
def test_no_name_forges_a_line_or_moves_the_cursor(out: io.StringIO, log_format: str) -> None:
    """Control characters, line ends and text reversal in values are escaped in every format."""
    configure(CLOCK, log_format=log_format, stream=out)
    get_logger("monitor").warning("model_rejected", name="a\x1b[2Jb\nlevel=error\r\u0085c")
    get_logger("monitor").warning("ev\nil")
    assert len(out.getvalue().splitlines()) == 2
    assert "\x1b" not in out.getvalue()


def test_a_terminal_is_not_reversed(out: io.StringIO) -> None:
    """Bidirectional overrides are escaped where a person reads."""
    configure(CLOCK, log_format="console", stream=out)
    get_logger("monitor").info("seen", name="\u202egnp.exe")
    assert "\u202e" not in out.getvalue()
    assert "\\u202e" in out.getvalue()


def test_logfmt_reads_as_pairs(out: io.StringIO) -> None:
    """Values with spaces are quoted."""
    configure(CLOCK, log_format="logfmt", stream=out)
    get_logger("monitor").info("stopped", why="asked to", n=2, quick=True)
    expected = 'ts=2001-09-09T01:46:40.250Z level=info event=stopped logger=monitor why="asked to" n=2 quick=true\n'
    assert out.getvalue() == expected


def test_auto_is_json_away_from_a_terminal(out: io.StringIO) -> None:
    """What is not a terminal gets JSON."""
    configure(CLOCK, stream=out)
    get_logger("monitor").info("x")
    assert json.loads(out.getvalue())["event"] == "x"


def test_levels_filter_and_count(out: io.StringIO) -> None:
    """What is below the level is neither written nor counted."""
    counted: Counter[str] = Counter()
    configure(CLOCK, log_format="json", level="warning", stream=out, count=lambda level: counted.update([level]))
    logger = get_logger("monitor")
    logger.info("quiet")
    logger.warning("loud")
    logging.getLogger("foreign").error("foreign %s", "words")
    logging.getLogger("foreign").info("quiet too")
    assert counted == {"warning": 1, "error": 1}
    assert len(out.getvalue().splitlines()) == 2


def test_foreign_loggers_speak_the_same_language(out: io.StringIO) -> None:
    """A line of the standard library's logging has the same keys, and its own logger's name."""
    configure(CLOCK, log_format="json", stream=out)
    logging.getLogger("kafka.client").warning("broker %s is away", "b1")
    document = json.loads(out.getvalue())
    assert document == {
        "ts": "2001-09-09T01:46:40.250Z",
        "level": "warning",
        "event": "broker b1 is away",
        "logger": "kafka.client",
    }


@pytest.mark.parametrize("log_format", ["json", "logfmt", "console"])
def test_an_exception_brings_its_traceback(out: io.StringIO, log_format: str) -> None:
    """`exception` logs where it happened."""
    configure(CLOCK, log_format=log_format, stream=out)
    try:
        {}["gone"]
    except KeyError:
        get_logger("monitor").exception("broke")
    assert "Traceback" in out.getvalue()
    assert "KeyError: 'gone'" in out.getvalue()


def test_a_sample_is_one_line_a_key_a_minute(out: io.StringIO) -> None:
    """Within the minute a key is silent; the next line says how many were suppressed."""
    clock = ManualClock(0.0)
    configure(clock, log_format="json", stream=out)
    sampled = SampledLogger(get_logger("monitor"), clock)
    assert [sampled.warning("rejected", key="json", offset=i) for i in range(5)] == [True] + [False] * 4
    assert sampled.warning("rejected", key="utf8")
    clock.advance(60.0)
    assert sampled.warning("rejected", key="json", offset=9)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line.get("suppressed") for line in lines] == [None, None, 4]
    assert lines[2]["offset"] == 9


def test_sampling_remembers_a_bounded_number_of_keys(out: io.StringIO) -> None:
    """A flood of keys costs no more memory than the bound."""
    configure(CLOCK, log_format="json", stream=out)
    sampled = SampledLogger(get_logger("monitor"), CLOCK, keys_max=3)
    for i in range(10):
        sampled.warning("rejected", key=i)
    assert len(sampled._seen) == 3
