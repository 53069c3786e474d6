"""How does the daemon log? One line an event, to stderr, as JSON, logfmt or for a terminal; samples of what repeats."""

from __future__ import annotations

import logging
import re
import sys
from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import TextIO

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from monitor.clock import Clock, rfc3339

FORMATS = ("auto", "json", "logfmt", "console")
KEYS = ["ts", "level", "event", "logger"]

# What moves a terminal's cursor, ends a line, or reorders text (bidirectional overrides), tabs and newlines apart.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def get_logger(name: str) -> FilteringBoundLogger:
    """A logger whose lines carry ``logger=name``; it may be made before :func:`configure` is called."""
    logger: FilteringBoundLogger = structlog.get_logger(name)
    return logger


def configure(
    clock: Clock,
    *,
    log_format: str = "auto",
    level: str = "info",
    stream: TextIO | None = None,
    count: Callable[[str], None] | None = None,
) -> None:
    """Send all lines of ``level`` and above, those of the standard library's loggers too, to ``stream`` (stderr).

    ``log_format`` is one of :data:`FORMATS`; ``auto`` is ``console`` on a terminal, else ``json``. ``count`` is told
    the level of each line that is written.
    """
    assert log_format in FORMATS
    out = sys.stderr if stream is None else stream
    if log_format == "auto":
        log_format = "console" if out.isatty() else "json"
    number = logging.getLevelNamesMapping()[level.upper()]
    shared = _shared_processors(clock, count)
    renderer = _renderer(log_format, colours=out.isatty())
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda name="": _NamedLogger(out, name),
        cache_logger_on_first_use=False,
    )
    _bridge_standard_library(out, number, shared, renderer)


class SampledLogger:
    """Logs what may repeat for ever: one line per key and ``every_seconds``, with ``suppressed=N`` since the last.

    Remembers at most ``keys_max`` keys, the oldest are forgotten first (and may be logged again early). May be used
    from any thread.
    """

    def __init__(
        self, logger: FilteringBoundLogger, clock: Clock, *, every_seconds: float = 60.0, keys_max: int = 1000
    ) -> None:
        self._logger = logger
        self._clock = clock
        self._every = every_seconds
        self._keys_max = keys_max
        self._seen: OrderedDict[tuple[str, Hashable], tuple[float, int]] = OrderedDict()
        self._lock = Lock()

    def warning(self, event: str, *, key: Hashable = "", **context: object) -> bool:
        """Log ``event`` unless this ``(event, key)`` was logged a moment ago; says whether it was."""
        suppressed = self._admit((event, key))
        if suppressed is None:
            return False
        if suppressed:
            context["suppressed"] = suppressed
        self._logger.warning(event, **context)
        return True

    def _admit(self, key: tuple[str, Hashable]) -> int | None:
        now = self._clock.monotonic()
        with self._lock:
            logged, suppressed = self._seen.get(key, (-float("inf"), 0))
            if now - logged < self._every:
                self._seen[key] = (logged, suppressed + 1)
                return None
            self._seen[key] = (now, 0)
            self._seen.move_to_end(key)
            if len(self._seen) > self._keys_max:
                self._seen.popitem(last=False)
            return suppressed


class _NamedLogger(structlog.WriteLogger):
    """Writes lines to ``file``, and knows the name that :func:`get_logger` was given."""

    def __init__(self, file: TextIO, name: str) -> None:
        super().__init__(file)
        self.name = name


def _shared_processors(clock: Clock, count: Callable[[str], None] | None) -> list[Processor]:
    def stamp(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["ts"] = rfc3339(clock.now())
        return event

    def counted(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        if count is not None:
            count(event["level"])
        return event

    return [
        _name,
        structlog.processors.add_log_level,
        stamp,
        counted,
        structlog.processors.format_exc_info,
    ]


def _renderer(log_format: str, *, colours: bool) -> Processor:
    if log_format == "json":
        return _json_line
    if log_format == "logfmt":
        logfmt = structlog.processors.LogfmtRenderer(key_order=KEYS, drop_missing=True, bool_as_flag=False)
        return lambda logger, method, event: logfmt(logger, method, _printable(event, newlines=True))
    console = structlog.dev.ConsoleRenderer(
        colors=colours, timestamp_key="ts", exception_formatter=structlog.dev.plain_traceback
    )
    return lambda logger, method, event: console(logger, method, _printable(event, newlines=False))


def _json_line(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    ordered = {key: event.pop(key) for key in KEYS if key in event}
    line = msgspec.json.encode({**ordered, **event}, enc_hook=repr).decode()
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", line)  # they stand in strings alone


def _printable(event: EventDict, *, newlines: bool) -> EventDict:
    """Control characters become escapes: a name from an event must not move the reader's cursor or forge a line.

    ``newlines`` says that what comes next escapes them itself; a traceback keeps its own in any case.
    """
    for key, value in event.items():
        if isinstance(value, str):
            keep = newlines or key == "exception"
            event[key] = _escaped(value if keep else value.replace("\n", "\\n"))
    return event


def _escaped(text: str) -> str:
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def _bridge_standard_library(out: TextIO, level: int, shared: list[Processor], renderer: Processor) -> None:
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.captureWarnings(capture=True)


def _name(logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    record = event.get("_record")  # of the standard library
    event["logger"] = logger.name if record is None else record.name
    return event
