"""How a Kafka client is set up: what is ours to set, what we prefer, what the operator may say."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException

from monitor.clock import Clock
from monitor.errors import ConfigError

Client = TypeVar("Client")

LOG_REPEAT_SECONDS = 60.0
"""A broker that is away would otherwise fill the log: librdkafka says so at each attempt to connect."""

_UNHEARD = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001  # librdkafka's own errors are named like this
        KafkaError._RESOLVE,  # noqa: SLF001
        KafkaError._TIMED_OUT,  # noqa: SLF001
        KafkaError._TRANSPORT,  # noqa: SLF001
    }
)

_FAILED = re.compile(r"FAIL \[[^\]]*\] \[[^\]]*\]: \S+: (.*?)(?: \(after \d.*)?", re.DOTALL)
"""A line of librdkafka's log about a connection: client, thread, broker, and what went wrong with it."""

_SHARED_PREFERRED: Mapping[str, Any] = {
    "allow.auto.create.topics": False,
    "enable.metrics.push": False,
    "log.connection.close": False,
    "reconnect.backoff.ms": 200,  # the default tries 20 to 30 times a second
    "socket.keepalive.enable": True,
    "socket.timeout.ms": 20_000,  # a broker that hangs is noticed before its partitions count as idle
}

_CONSUMER_PREFERRED: Mapping[str, Any] = {
    "check.crcs": True,
    "fetch.max.bytes": 64 << 20,
    "fetch.message.max.bytes": 4 << 20,
    "fetch.min.bytes": 1,
    "fetch.queue.backoff.ms": 50,  # the default lets a partition rest for a second when the queue was full
    "fetch.wait.max.ms": 100,
    "isolation.level": "read_committed",
    "queued.max.messages.kbytes": 64 << 10,  # the bound of what waits inside librdkafka
    "queued.min.messages": 100_000,
    "topic.metadata.refresh.interval.ms": 60_000,
    # No group is joined, so this bounds only how long closing waits for a last commit while no broker answers.
    "session.timeout.ms": 6_000,
    "statistics.interval.ms": 5_000,  # what lag and health are read from
}

_CONSUMER_OWNED: Mapping[str, Any] = {
    "auto.offset.reset": "error",  # anything else skips or repeats records without a word
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
}

_PRODUCER_PREFERRED: Mapping[str, Any] = {
    "compression.type": "lz4",
    "delivery.timeout.ms": 60_000,
    "linger.ms": 20,
    "message.max.bytes": 16 << 20,  # the broker's limit decides, not a second one here
    "queue.buffering.max.kbytes": 16 << 10,
    "queue.buffering.max.messages": 50_000,
}


def consumer_settings(bootstrap_servers: str, group_id: str, librdkafka: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a consumer that is told what to read and keeps its own offsets."""
    ours = {"bootstrap.servers": bootstrap_servers, "group.id": group_id, **_CONSUMER_OWNED}
    return {**_SHARED_PREFERRED, **_CONSUMER_PREFERRED, **librdkafka, **ours}


def producer_settings(bootstrap_servers: str, librdkafka: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a producer that loses nothing it accepted while a broker answers within a minute.

    Not an idempotent one: that may end in an error for good, and a dead letter that comes twice does no harm.
    """
    ours = {"bootstrap.servers": bootstrap_servers, "acks": "all"}
    return {**_SHARED_PREFERRED, **_PRODUCER_PREFERRED, **librdkafka, **ours}


def admin_settings(bootstrap_servers: str, librdkafka: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a client that only asks where partitions begin and end."""
    return {**_SHARED_PREFERRED, **librdkafka, "bootstrap.servers": bootstrap_servers}


def open_client(make: Callable[..., Client], settings: Mapping[str, Any], clock: Clock) -> Client:
    """Make a client; nothing is connected yet.

    Raises
    ------
    ConfigError
        librdkafka does not take one of the settings; the message names its key.
    """
    logger = logging.getLogger("librdkafka")
    if _LAST_WORDS not in logger.handlers:
        logger.addHandler(_LAST_WORDS)
    if not any(isinstance(each, _OnceInAWhile) for each in logger.filters):
        logger.addFilter(_OnceInAWhile(clock))
    try:
        return make(dict(settings), logger=logger)
    except (KafkaException, TypeError, ValueError) as error:
        raise ConfigError(f"kafka.librdkafka: {reason_of(error)}") from error


def reason_of(error: BaseException) -> str:
    """What librdkafka said, without the wrapping."""
    if isinstance(error, KafkaException) and error.args and hasattr(error.args[0], "str"):
        return str(error.args[0].str())
    return str(error)


def unreachable(servers: str, error: BaseException) -> str:
    """What to say of brokers that a request did not reach, or that refused it."""
    if not (isinstance(error, KafkaException) and error.args[0].code() in _UNHEARD):
        return f"{servers}: {reason_of(error)}"
    return f"no broker answers at {servers}" + (f": {_LAST_WORDS.why}" if _LAST_WORDS.why else "")


class _LastWords(logging.Handler):
    """Keeps why librdkafka last failed to connect: a request that waited in vain says no more than that it did.

    That it is there also keeps librdkafka's lines from the terminal of a command, which has no log.
    """

    why = ""

    def emit(self, record: logging.LogRecord) -> None:
        found = _FAILED.fullmatch(record.getMessage())
        self.why = found.group(1) if found else self.why


_LAST_WORDS = _LastWords()


class _OnceInAWhile(logging.Filter):
    """Lets through one line a minute of each of librdkafka's facilities (FAIL, ERROR, ...)."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        facility = record.getMessage().partition(" ")[0]  # a handful of upper-case words
        now = self._clock.monotonic()
        if now - self._said.get(facility, -LOG_REPEAT_SECONDS) < LOG_REPEAT_SECONDS:
            return False
        self._said[facility] = now
        return True
