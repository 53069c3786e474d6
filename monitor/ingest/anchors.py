"""Where the audit trail is anchored: a topic that keeps how far it had come, out of reach of whoever has the store."""

from __future__ import annotations

import math

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from monitor.clock import Clock, rfc3339
from monitor.errors import IngestError
from monitor.ingest.kafka_client import open_client, producer_settings
from monitor.ingest.kafka_range import KafkaRange
from monitor.ingest.settings import KafkaSettings

EVERY_SECONDS = 60.0
"""The most often that an anchor is sent; the last one before a stop always is."""
_RECORDS_AT_ONCE = 1000


class Published(msgspec.Struct, frozen=True):
    """One anchor as it stands in the topic: the last entry of a ``store``'s trail, and its SHA-256, hexadecimal."""

    store: str
    entry: int
    sha256: str
    time: str


class Anchors:
    """Sends anchors; one that could not be sent is followed by a newer one, which vouches for all before it."""

    def __init__(self, settings: KafkaSettings, clock: Clock) -> None:
        self._topic = settings.audit_topic
        self._clock = clock
        self._sent: dict[str, tuple[int, float]] = {}
        self._failed = 0
        self._producer: Producer | None = None
        if self._topic:
            self._producer = open_client(
                Producer, producer_settings(settings.bootstrap_servers, settings.client()), clock
            )

    def publish(self, store: str, entry: int, digest: bytes, *, now: bool = False) -> None:
        """Say that the trail of ``store`` lasts as far as ``entry``, whose SHA-256 is ``digest``; does not wait."""
        if self._producer is None:
            return
        self._producer.poll(0)
        moment = self._clock.monotonic()
        sent, sent_at = self._sent.get(store, (0, -math.inf))
        if entry <= sent or (moment - sent_at < EVERY_SECONDS and not now):
            return
        anchor = Published(store, entry, digest.hex(), rfc3339(self._clock.now()))
        try:
            self._producer.produce(self._topic, msgspec.json.encode(anchor), store, on_delivery=self._delivered)
        except (BufferError, KafkaException):
            self._failed += 1
            return
        self._sent[store] = entry, moment

    def close(self, timeout_seconds: float = 5.0) -> None:
        """Wait for what is on its way."""
        if self._producer is not None:
            self._producer.flush(timeout_seconds)

    def take_failed(self) -> int:
        """Anchors that the broker did not take since the last call."""
        failed, self._failed = self._failed, 0
        return failed

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failed += 1
            self._sent.clear()  # the next ones are sent whether their trails have grown or not


def published(settings: KafkaSettings, store: str, clock: Clock) -> list[Published]:
    """All anchors of ``store`` that stand in the audit topic, oldest first.

    Raises
    ------
    IngestError
        No broker answers, there is no such topic, or a record of it is no anchor.
    """
    source = KafkaRange(settings, settings.audit_topic, None, None, {}, clock)
    found: list[Published] = []
    try:
        while not source.finished():
            values = source.poll(_RECORDS_AT_ONCE, 0.1).values
            found += [msgspec.json.decode(value or b"", type=Published) for value in values]
    except msgspec.MsgspecError as error:
        raise IngestError(f"{settings.audit_topic}: a record is no anchor of an audit trail: {error}") from error
    finally:
        source.close()
    return [each for each in found if each.store == store]
