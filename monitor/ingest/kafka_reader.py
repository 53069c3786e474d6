"""The one consumer behind a Kafka source: what it is told to read, and what its broker tells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
import numpy as np
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from monitor.clock import Clock
from monitor.errors import IngestError
from monitor.events.raw import Partition, RawBatch
from monitor.ingest.kafka_client import open_client, reason_of
from monitor.ingest.kafka_cursors import NO_END, Cursors, Taken, only
from monitor.ingest.schema_gate import SchemaGate

BATCH_BYTES_MAX = 64 << 20
"""About how many bytes of values one batch may hold; without it 64,000 records of 1 MiB would be one batch."""

CONSUMED_MAX = 2000
"""Records that are asked of librdkafka at once: what it hands over is looked at while it is in the cache."""

METADATA_SECONDS = 3.0
"""How long a turn of the loop may wait for metadata when no broker answers."""

_AWAY = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001  # librdkafka's own errors are named like this
        KafkaError._AUTHENTICATION,  # noqa: SLF001
        KafkaError._SSL,  # noqa: SLF001
    }
)
_OFFSET_LOST = frozenset(
    {
        KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001
        KafkaError._LOG_TRUNCATION,  # noqa: SLF001
        KafkaError.OFFSET_OUT_OF_RANGE,
    }
)


class _Broker(msgspec.Struct):
    nodeid: int
    state: str


class _Log(msgspec.Struct):
    leader: int
    hi_offset: int


class _Topic(msgspec.Struct):
    partitions: dict[int, _Log]


class _Statistics(msgspec.Struct):
    """What we read of librdkafka's statistics (its STATISTICS.md)."""

    brokers: dict[str, _Broker]
    topics: dict[str, _Topic]


class Reader:
    """Reads the partitions that it is told to, each from the offset that it is told; in one thread.

    ``trouble`` is the last error that still holds, empty where all is well; ``lost`` are the partitions whose
    position the broker refused, which stand still until they are placed anew; ``held`` are those that stand still until
    a schema is known, by its first bytes. ``reads_headers`` says of a topic whether its headers are wanted,
    ``is_native`` whether its records are of the native format.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        clock: Clock,
        reads_headers: Callable[[str], bool] = lambda _topic: False,
        gate: SchemaGate | None = None,
        is_native: Callable[[str], bool] = lambda _topic: False,
    ) -> None:
        self.cursors = Cursors(reads_headers, is_native)
        self.held: dict[Partition, bytes] = {}
        self._gate = gate
        self.trouble = ""
        self.lost: set[Partition] = set()
        self.commits_failed = 0
        self._alive = np.zeros(0, np.bool_)
        self._back: dict[Partition, None] = {}
        self._record_bytes = 1.0
        self._batch_bytes = 0
        self._statistics = msgspec.json.Decoder(_Statistics)
        callbacks: Mapping[str, Callable[..., None]] = {
            "error_cb": self._on_error,
            "stats_cb": self._on_statistics,
            "on_commit": self._on_commit,
        }
        self.consumer = open_client(Consumer, {**settings, **callbacks}, clock)

    def place(self, offsets: Mapping[Partition, int], ends: Mapping[Partition, int] | None = None) -> None:
        """Read each partition from its offset on, up to its end where it has one.

        Raises ``KafkaException`` when no broker answers; nothing has changed then.
        """
        # Left to itself librdkafka asks for the leaders of a topic that is new to it about a second later.
        for topic in {partition.topic for partition in offsets} - {each.topic for each in self.cursors.partitions}:
            self.consumer.list_topics(topic, timeout=METADATA_SECONDS)
        known = [partition for partition in offsets if self.cursors.slot(partition) is not None]
        if known:
            self.consumer.incremental_unassign(_targets(known))
        for partition, offset in offsets.items():
            self.cursors.place(partition, offset, (ends or {}).get(partition, NO_END))
            self.lost.discard(partition)
        self.consumer.incremental_assign([TopicPartition(*each, offset) for each, offset in offsets.items()])
        self._alive = np.append(self._alive, np.ones(len(self.cursors.partitions) - len(self._alive), np.bool_))

    def drop(self, partitions: Iterable[Partition]) -> bool:
        """Stop reading ``partitions``; whether any of them was read."""
        known = [partition for partition in partitions if self.cursors.slot(partition) is not None]
        for partition in known:
            self.cursors.drop(partition)
            self.lost.discard(partition)
            self.held.pop(partition, None)
        if known:
            self.consumer.incremental_unassign(_targets(known))
        return bool(known)

    def read(self, records_max: int, timeout_seconds: float) -> RawBatch:
        """Return the next records, fewer than ``records_max`` where they are large or ``timeout_seconds`` are over.

        Raises
        ------
        IngestError
            librdkafka gave up for good.
        """
        self._take_up_again()
        self._let_go()
        taken = Taken(self.cursors, records_max, self._batch_bytes)
        self._consume(taken, records_max, timeout_seconds)
        batch = self.cursors.batch(taken)
        if batch.size:
            self._batch_bytes = batch.size
        for message in taken.notes:
            self._note(message)
        return self._up_to_gate(batch)

    def alive(self, slot: int) -> bool:
        """Whether the broker that leads a partition was there when we last heard.

        Records are no sign of it: they may have been fetched before it went.
        """
        return bool(self._alive[slot])

    @property
    def waits(self) -> str:
        """Why partitions stand still that the broker would give, empty where none does."""
        return self._gate.trouble if self.held and self._gate is not None else ""

    @property
    def away(self) -> bool:
        """Whether a broker of some partition that is being read does not answer."""
        return bool((self.cursors.reading & ~self._alive).any())

    def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Tell the group's coordinator, without waiting; what fails is counted in ``commits_failed``."""
        if self.away:
            # A commit that waits for a broker would hold up closing.
            self.commits_failed += 1
            return
        try:
            targets = [TopicPartition(*each, offset) for each, offset in offsets.items()]
            self.consumer.commit(offsets=targets, asynchronous=True)
        except KafkaException:
            self.commits_failed += 1

    def close(self) -> None:
        """Let a commit on its way arrive, within some seconds, and let go of everything."""
        self.consumer.close()

    def _consume(self, taken: Taken, records_max: int, timeout_seconds: float) -> None:
        """Take the next records, a part at a time: what librdkafka hands over is looked at while it is in the cache."""
        consumed = 0
        while True:
            # What is large is known behind the first part, and from the last one: the mean of all would hide it.
            n, size = len(taken), taken.told.size
            left = min(records_max - consumed, int((BATCH_BYTES_MAX - size) / self._record_bytes))
            if consumed and left <= 0:
                break
            wanted = max(1, min(left, CONSUMED_MAX))
            try:
                messages = self.consumer.consume(wanted, 0.0 if consumed else timeout_seconds)
            except KafkaException as error:
                raise IngestError(f"Kafka: {reason_of(error)}") from error
            taken.take(messages)
            if taken.told.size > size:
                self._record_bytes = (taken.told.size - size) / (len(taken) - n)
            consumed += wanted
            if len(taken) < consumed:
                break

    def _up_to_gate(self, batch: RawBatch) -> RawBatch:
        """The records that may be read now; partitions of which there are others stand still before the first."""
        stops = self._gate.stops(batch) if self._gate is not None and len(batch) else {}
        stops = {each: stop for each, stop in stops.items() if self.cursors.slot(each) is not None}
        if not stops:
            return batch
        ends = self.cursors.ends()
        self.place({each: stop.offset for each, stop in stops.items()}, ends)
        self.consumer.pause(_targets(stops))
        self.held.update((each, stop.frame) for each, stop in stops.items())
        limits = np.array([stops[each].offset if each in stops else NO_END for each in batch.partitions], np.int64)
        return only(batch, np.flatnonzero(batch.offsets < limits[batch.source]))

    def _let_go(self) -> None:
        """Go on where the schema is known by now."""
        if not self.held or self._gate is None:
            return
        free = [each for each, frame in self.held.items() if self._gate.answered(frame)]
        for partition in free:
            del self.held[partition]
        free = [each for each in free if self.cursors.slot(each) is not None]
        if free:
            self.consumer.resume(_targets(free))

    def _take_up_again(self) -> None:
        """Ask anew for where the logs end of a broker that is back: what we knew is from before it went.

        librdkafka says once only that a log ends at an offset; a partition that is placed anew is told again.
        """
        back = {each: None for each in self._back if self.cursors.slot(each) is not None}
        self._back.clear()
        if not back:
            return
        positions, ends = self.cursors.positions(), self.cursors.ends()
        self.place({each: positions[each] for each in back}, {each: ends[each] for each in back})

    def _note(self, message: Message) -> None:
        """Take in a message that is no record but says something of its partition."""
        error = message.error()
        assert error is not None
        if error.fatal():
            raise IngestError(f"Kafka: {error.str()}")
        topic, number, offset = message.topic(), message.partition(), message.offset()
        if topic is None or number is None:
            self.trouble = error.str()
            return
        partition = Partition(topic, number)
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
            assert offset is not None
            self.cursors.ended_at(partition, offset)
        elif error.code() in _OFFSET_LOST:
            self.lost.add(partition)
        else:
            self.trouble = f"{topic}[{number}]: {error.str()}"

    def _on_error(self, error: KafkaError) -> None:
        self.trouble = error.str()
        if error.code() in _AWAY:
            self._alive[:] = False

    def _on_commit(self, error: KafkaError | None, _: list[TopicPartition]) -> None:
        if error is not None:
            self.commits_failed += 1

    def _on_statistics(self, document: str) -> None:
        statistics = self._statistics.decode(document)
        up = {each.nodeid for each in statistics.brokers.values() if each.state in {"UP", "UPDATE", "REAUTH"}}
        for name, topic in statistics.topics.items():
            for number, log in topic.partitions.items():
                slot = self.cursors.slot(Partition(name, number))
                if slot is not None:
                    alive = log.leader in up
                    if alive and not self._alive[slot]:
                        self.cursors.at_end[slot] = False
                        self._back[Partition(name, number)] = None
                    self._alive[slot] = alive
                    self.cursors.high[slot] = log.hi_offset
        if not self.away:
            self.trouble = ""


def _targets(partitions: Iterable[Partition]) -> list[TopicPartition]:
    return [TopicPartition(*each) for each in partitions]
