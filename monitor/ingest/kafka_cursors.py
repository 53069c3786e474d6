"""Where each partition is being read, and how Kafka's messages become a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import numpy as np
from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message
from numpy.typing import NDArray

from monitor.events.raw import Headers, Partition, RawBatch
from monitor.events.records import Records
from monitor.kernels.messages import Questions, Told

NO_END = np.iinfo(np.int64).max
"""The end of a partition that is read for ever."""
_QUESTIONS = Questions(Message.error, Message.value, Message.key, Message.offset, Message.partition, Message.timestamp)


class Cursors:
    """The partitions that were ever read here, in columns; a partition's place in them is its slot.

    ``next`` (int64) is the next offset to read; ``end`` (int64) the first offset that is not wanted;
    ``at_end`` (bool) whether the broker said that there is nothing behind ``next`` for now; ``high`` (int64) the end
    of the log as last heard, -1 where unknown; ``reading`` (bool) whether it is being read; ``headed`` (bool) whether
    its records come with their headers, which ``reads_headers`` says of its topic: they cost as much as decoding.
    ``native`` (bool) is whether its records are of the native format, as ``is_native`` says of its topic.
    """

    def __init__(
        self,
        reads_headers: Callable[[str], bool] = lambda _topic: False,
        is_native: Callable[[str], bool] = lambda _topic: False,
    ) -> None:
        self._reads_headers, self._is_native = reads_headers, is_native
        self.partitions: tuple[Partition, ...] = ()
        self.next = np.zeros(0, np.int64)
        self.end = np.zeros(0, np.int64)
        self.high = np.zeros(0, np.int64)
        self.at_end = np.zeros(0, np.bool_)
        self.reading = np.zeros(0, np.bool_)
        self.headed = np.zeros(0, np.bool_)
        self.native = np.zeros(0, np.bool_)
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

    def batch(self, taken: Taken) -> RawBatch:
        """Turn what was taken into a batch, and move on behind it.

        A record that was delivered already, lies behind its partition's end, or is of a partition that is no longer
        read is left out.
        """
        n, told = len(taken), taken.told
        offsets, slots = told.offsets[:n], taken.slots[:n]
        batch = RawBatch(told.records(), told.seconds[:n], self.partitions, slots, offsets, told.keys, taken.headers)
        wanted = self.reading.take(slots) & (offsets >= self.next.take(slots)) & (offsets < self.end.take(slots))
        if not wanted.all():
            batch = only(batch, np.flatnonzero(wanted))
        if len(batch):
            np.maximum.at(self.next, batch.source, batch.offsets + 1)
            self.at_end[batch.source] = False
        return batch

    def slots_of(self, messages: Sequence[Message], numbers: NDArray[np.int32]) -> NDArray[np.int32]:
        """The slots of the partitions that messages are of, by the partitions' ``numbers``; shapes ``(n,)``."""
        rows: NDArray[np.intp] | int = 0
        if len(self._topics) != 1:
            rows = np.fromiter(map(self._topics.__getitem__, map(Message.topic, messages)), np.intp, len(messages))
        slots: NDArray[np.int32] = self._table[rows, numbers]
        return slots

    def _add(self, partition: Partition) -> int:
        slot = self._slots[partition] = len(self.partitions)
        self.partitions = (*self.partitions, partition)
        self.next = np.append(self.next, 0)
        self.end = np.append(self.end, NO_END)
        self.high = np.append(self.high, -1)
        self.at_end = np.append(self.at_end, False)
        self.reading = np.append(self.reading, False)
        self.headed = np.append(self.headed, self._reads_headers(partition.topic))
        self.native = np.append(self.native, self._is_native(partition.topic))
        row = self._topics.setdefault(partition.topic, len(self._topics))
        rows, columns = self._table.shape
        grown = np.full((max(rows, row + 1), max(columns, partition.number + 1)), -1, np.int32)
        grown[:rows, :columns] = self._table
        grown[row, partition.number] = slot
        self._table = grown
        return slot


class Taken:
    """What up to ``records`` messages say, in columns, before it is a batch of ``cursors``.

    ``told`` is what all of them are asked, ``slots`` (int32) are their partitions', both filled up to ``len(self)``;
    ``headers`` are empty where no record comes with them. ``notes`` are the messages that are no records. ``size`` is
    how many bytes of values are expected.
    """

    def __init__(self, cursors: Cursors, records: int, size: int = 0) -> None:
        self.told = Told(_QUESTIONS, TIMESTAMP_NOT_AVAILABLE, records, size)
        self.slots = np.empty(records, np.int32)
        self.headers: list[Headers | None] = []
        self.notes: list[Message] = []
        self._cursors = cursors

    def __len__(self) -> int:
        return len(self.told)

    def take(self, messages: list[Message]) -> None:
        """Put what ``messages`` say behind what was taken; nothing is kept of them, for they hold copies of it all."""
        first = len(self)
        notes = self.told.take(messages, native=bool(self._cursors.native.all()))
        if notes:
            self.notes += [messages[i] for i in notes]
            odd = set(notes)
            messages = [message for i, message in enumerate(messages) if i not in odd]
        slots = self._cursors.slots_of(messages, self.told.partitions[first : len(self)])
        self.slots[first : len(self)] = slots
        headed = self._cursors.headed.take(slots)
        if self.headers or headed.any():
            self.headers += [None] * (first - len(self.headers))
            pairs = zip(messages, headed.tolist(), strict=True)
            self.headers += [_headers(message) if wanted else None for message, wanted in pairs]


def _headers(message: Message) -> Headers | None:
    """The headers of a record that was read: those come as a list, whatever its type leaves open."""
    return cast("Headers | None", message.headers())


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
