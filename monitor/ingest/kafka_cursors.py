"""Where each partition is being read, and how Kafka's messages become a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import cast

import numpy as np
from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message
from numpy.typing import NDArray

from monitor.events.raw import Headers, Partition, RawBatch
from monitor.events.records import Records

NO_END = np.iinfo(np.int64).max
"""The end of a partition that is read for ever."""


class Cursors:
    """The partitions that were ever read here, in columns; a partition's place in them is its slot.

    ``next`` (int64) is the next offset to read; ``end`` (int64) the first offset that is not wanted;
    ``at_end`` (bool) whether the broker said that there is nothing behind ``next`` for now; ``high`` (int64) the end
    of the log as last heard, -1 where unknown; ``reading`` (bool) whether it is being read; ``headed`` (bool) whether
    its records come with their headers, which ``reads_headers`` says of its topic: they cost as much as decoding.
    """

    def __init__(self, reads_headers: Callable[[str], bool] = lambda _topic: False) -> None:
        self._reads_headers = reads_headers
        self.partitions: tuple[Partition, ...] = ()
        self.next = np.zeros(0, np.int64)
        self.end = np.zeros(0, np.int64)
        self.high = np.zeros(0, np.int64)
        self.at_end = np.zeros(0, np.bool_)
        self.reading = np.zeros(0, np.bool_)
        self.headed = np.zeros(0, np.bool_)
        self._slots: dict[Partition, int] = {}
        self._topics: dict[str | None, int] = {}
        self._table = np.full((0, 0), -1, np.int32)

    def place(self, partition: Partition, offset: int, end: int = NO_END) -> None:
        """Read ``partition`` from ``offset`` on, whether it is new here or not."""
        slot = self._slots.get(partition)
        if slot is None:
            slot = self._add(partition)
        self.next[slot], self.end[slot], self.high[slot] = offset, end, -1
        self.at_end[slot], self.reading[slot] = False, True

    def drop(self, partition: Partition) -> None:
        """Stop reading ``partition``; what still arrives of it is not delivered."""
        self.reading[self._slots[partition]] = False

    def slot(self, partition: Partition) -> int | None:
        """The slot of a partition that is being read."""
        slot = self._slots.get(partition)
        return slot if slot is not None and self.reading[slot] else None

    def dropped(self, partition: Partition) -> bool:
        """Whether ``partition`` was read once, and is not any more."""
        slot = self._slots.get(partition)
        return slot is not None and not self.reading[slot]

    def positions(self) -> Mapping[Partition, int]:
        """The next offset of every partition that is being read."""
        return {self.partitions[i]: int(self.next[i]) for i in np.flatnonzero(self.reading)}

    def ends(self) -> Mapping[Partition, int]:
        """The end of every partition that is being read."""
        return {self.partitions[i]: int(self.end[i]) for i in np.flatnonzero(self.reading)}

    def ended_at(self, partition: Partition, offset: int) -> None:
        """The broker says that nothing is stored from ``offset`` on.

        Offsets below it that never came hold no record (transaction markers, compaction), so the position may pass
        them.
        """
        slot = self.slot(partition)
        if slot is None or offset < self.next[slot]:
            return
        self.next[slot] = min(offset, int(self.end[slot]))
        self.at_end[slot] = True

    def batch(self, messages: Sequence[Message]) -> RawBatch:
        """Turn messages without errors into a batch, and move on behind them.

        A record that was delivered already, lies behind its partition's end, or is of a partition that is no longer
        read is left out.
        """
        # No line of Python runs for a single message, and nothing is kept of them: they hold copies of everything. What
        # they say is put in one piece while it is in the cache.
        values = Records.of(list(map(Message.value, messages)))
        keys = list(map(Message.key, messages))
        offsets = np.fromiter(map(Message.offset, messages), np.int64, len(messages))
        slots = self._slots_of(messages)
        headers = self._headers_of(messages, slots)
        batch = RawBatch(values, _seconds(messages), self.partitions, slots, offsets, keys, headers)
        wanted = self.reading[slots] & (offsets >= self.next[slots]) & (offsets < self.end[slots])
        if not wanted.all():
            batch = only(batch, np.flatnonzero(wanted))
        if len(batch):
            np.maximum.at(self.next, batch.source, batch.offsets + 1)
            self.at_end[batch.source] = False
        return batch

    def _slots_of(self, messages: Sequence[Message]) -> NDArray[np.int32]:
        n = len(messages)
        rows: NDArray[np.intp] | int = 0
        if len(self._topics) != 1:
            rows = np.fromiter(map(self._topics.__getitem__, map(Message.topic, messages)), np.intp, n)
        numbers = np.fromiter(map(Message.partition, messages), np.intp, n)
        slots: NDArray[np.int32] = self._table[rows, numbers]
        return slots

    def _headers_of(self, messages: Sequence[Message], slots: NDArray[np.int32]) -> Sequence[Headers | None]:
        headed = self.headed[slots]
        if not headed.any():
            return ()
        if headed.all():
            return list(map(_headers, messages))
        pairs = zip(messages, headed.tolist(), strict=True)
        return [_headers(message) if wanted else None for message, wanted in pairs]

    def _add(self, partition: Partition) -> int:
        slot = self._slots[partition] = len(self.partitions)
        self.partitions = (*self.partitions, partition)
        self.next = np.append(self.next, 0)
        self.end = np.append(self.end, NO_END)
        self.high = np.append(self.high, -1)
        self.at_end = np.append(self.at_end, False)
        self.reading = np.append(self.reading, False)
        self.headed = np.append(self.headed, self._reads_headers(partition.topic))
        row = self._topics.setdefault(partition.topic, len(self._topics))
        rows, columns = self._table.shape
        grown = np.full((max(rows, row + 1), max(columns, partition.number + 1)), -1, np.int32)
        grown[:rows, :columns] = self._table
        grown[row, partition.number] = slot
        self._table = grown
        return slot


def _headers(message: Message) -> Headers | None:
    """The headers of a record that was read: those come as a list, whatever its type leaves open."""
    return cast("Headers | None", message.headers())


def _seconds(messages: Sequence[Message]) -> NDArray[np.float64]:
    pairs = list(map(Message.timestamp, messages))
    milliseconds = np.fromiter(map(itemgetter(1), pairs), np.int64, len(pairs))
    seconds: NDArray[np.float64] = milliseconds / 1e3
    doubtful = milliseconds <= 0  # what librdkafka gives where there is none; kinds are looked at for these alone
    if doubtful.any():
        kinds = np.fromiter(map(itemgetter(0), pairs), np.int64, len(pairs))
        seconds[doubtful & ((kinds == TIMESTAMP_NOT_AVAILABLE) | (milliseconds < 0))] = np.nan
    return seconds


def only(batch: RawBatch, kept: NDArray[np.intp]) -> RawBatch:
    """The records of ``batch`` at ``kept``, in that order."""
    return RawBatch(
        Records.of([batch.values[i] for i in kept]),
        batch.timestamps[kept],
        batch.partitions,
        batch.source[kept],
        batch.offsets[kept],
        [batch.keys[i] for i in kept],
        [batch.headers[i] for i in kept] if batch.headers else (),
    )
