"""Where records go that cannot be read: to a topic of their own, whole, with where they came from and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from monitor.clock import Clock
from monitor.events.raw import RawBatch
from monitor.ingest.kafka_client import open_client, producer_settings
from monitor.ingest.settings import KafkaSettings

VALUE_BYTES_MAX = 900_000
"""What a topic takes by default, less room for key and headers; a longer value is cut, and says how long it was."""

ORIGIN_HEADERS = ("__connect.errors.topic", "__connect.errors.partition", "__connect.errors.offset")
"""The names under which Kafka Connect says where a dead letter came from, so that its tools find their way."""

REASON_HEADER = "modelwatch.reason"
CUT_HEADER = "modelwatch.value_bytes"


class DeadLetterCounts(NamedTuple):
    """What became of dead letters: each one ends as exactly one of these."""

    unsent: int = 0
    """No topic is configured."""
    capped: int = 0
    """Over the limit per second."""
    overflow: int = 0
    """There were too many waiting for a broker that is away."""
    failed: int = 0
    """The broker refused it, or stayed away for a minute."""
    delivered: int = 0
    """The broker has it."""


class DeadLetters:
    """Sends dead letters on; memory is bounded whatever the broker does, and what is not sent is counted.

    Without a topic it only counts. Delivery is at least once: after a crash a letter may come again, with the same
    origin headers.
    """

    def __init__(self, settings: KafkaSettings | None, clock: Clock) -> None:
        self._topic = settings.dead_letter_topic if settings is not None else ""
        self._per_second = settings.dead_letters_per_second if settings is not None else 0
        self.waiting = 0
        """How many are on their way."""
        self._clock = clock
        self._allowed = float(self._per_second)
        self._allowed_at = clock.monotonic()
        self._counts = [0] * len(DeadLetterCounts._fields)
        self._producer: Producer | None = None
        if settings is not None and self._topic:
            self._producer = open_client(
                Producer, producer_settings(settings.bootstrap_servers, settings.client()), clock
            )

    def add(self, batch: RawBatch, indices: Sequence[int], reasons: Sequence[str]) -> None:
        """Hand over the records ``batch[indices[i]]``, each rejected for ``reasons[i]``; does not wait."""
        assert len(indices) == len(reasons)
        if self._producer is None:
            self._count("unsent", len(indices))
            return
        self._producer.poll(0)
        n = self._take_allowance(len(indices))
        self._count("capped", len(indices) - n)
        for index, reason in zip(indices[:n], reasons[:n], strict=True):
            self._send(self._producer, batch, int(index), reason)

    def drain(self) -> DeadLetterCounts:
        """What became of dead letters since the last call; those on their way are told of later."""
        if self._producer is not None:
            self._producer.poll(0)
        counts, self._counts = DeadLetterCounts(*self._counts), [0] * len(DeadLetterCounts._fields)
        return counts

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until every letter handed over has arrived or failed; ``False`` if some are still on their way."""
        if self._producer is not None:
            self._producer.flush(timeout_seconds)
        return self.waiting == 0

    def close(self, timeout_seconds: float = 5.0) -> None:
        """Flush, and count what could not be delivered in time as failed."""
        if self._producer is None:
            return
        self.flush(timeout_seconds)
        self._producer.purge()
        self._producer.flush(timeout_seconds)

    def _take_allowance(self, wanted: int) -> int:
        """How many of ``wanted`` may be sent now; the allowance fills up by the second."""
        now = self._clock.monotonic()
        filled = self._allowed + (now - self._allowed_at) * self._per_second
        self._allowed, self._allowed_at = min(filled, self._per_second), now
        n = min(wanted, int(self._allowed))
        self._allowed -= n
        return n

    def _send(self, producer: Producer, batch: RawBatch, index: int, reason: str) -> None:
        topic, number = batch.partitions[batch.source[index]]
        origin = (topic, str(number), str(batch.offsets[index]))
        headers = [*zip(ORIGIN_HEADERS, origin, strict=True), (REASON_HEADER, reason)]
        value = batch.values[index]
        if value is not None and len(value) > VALUE_BYTES_MAX:
            headers.append((CUT_HEADER, str(len(value))))
            value = value[:VALUE_BYTES_MAX]
        key = batch.keys[index] if len(batch.keys) else None
        try:
            producer.produce(self._topic, value, key, headers=headers, on_delivery=self._on_delivery)
            self.waiting += 1
        except BufferError:
            self._count("overflow", 1)
        except KafkaException:
            self._count("failed", 1)

    def _on_delivery(self, error: KafkaError | None, _: Message) -> None:
        self.waiting -= 1
        self._count("delivered" if error is None else "failed", 1)

    def _count(self, what: str, n: int) -> None:
        self._counts[DeadLetterCounts._fields.index(what)] += n
