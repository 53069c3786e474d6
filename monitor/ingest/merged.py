"""In which order the records of several streams are read: by event time, each stream's own order kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray


class Block(NamedTuple):
    """Records of one stream in its order: ``offsets`` (int64, shape ``(n,)``) only grow."""

    values: Sequence[bytes]
    offsets: NDArray[np.int64]


class MergedBlock(NamedTuple):
    """Records of several streams in reading order; ``source`` (int32, shape ``(n,)``) is each one's stream."""

    values: Sequence[bytes]
    offsets: NDArray[np.int64]
    source: NDArray[np.int32]


class _Timed(msgspec.Struct):
    time: Annotated[datetime, msgspec.Meta(tz=True)] | float | None = None


_decode = msgspec.json.Decoder(_Timed).decode


def merged(streams: Sequence[Iterator[Block]]) -> Iterator[MergedBlock]:
    """Merge ``streams`` by the ``time`` of their records, a block of each in memory at once.

    A record without a time that can be read, or dated before its predecessor, goes right behind its predecessor; one
    dated after its successor goes right before that, so that a single wrong date does not hold back the rest of its
    stream. At equal times the earlier stream comes first. The order depends on the records alone, not on how they
    are cut into blocks. A single stream is passed through without a look at its times.
    """
    if len(streams) == 1:
        for block in streams[0]:
            yield MergedBlock(block.values, block.offsets, np.zeros(len(block.values), np.int32))
        return
    queues = [_Queue(stream) for stream in streams]
    while True:
        for queue in queues:
            queue.fill()
        if not any(queue.keys.size for queue in queues):
            return
        yield _next_block(queues)


class _Queue:
    """One stream's next records; ``keys`` (float64, never falling) are the times that they are merged by."""

    def __init__(self, stream: Iterator[Block]) -> None:
        self._stream = stream
        self._latest = -np.inf
        self._block = Block([], np.zeros(0, np.int64))
        self._times = np.zeros(0)
        self.keys = np.zeros(0)
        self.ended = False

    def fill(self) -> None:
        """See that there are keys, unless the stream has ended.

        The newest record has none before its successor is known.
        """
        while not self.keys.size and not self.ended:
            block = next(self._stream, None)
            if block is None:
                self.ended = True
            else:
                before = self._times[-1] if self._times.size else -np.inf
                self._times = np.append(self._times, _times(block.values, before))
                self._block = Block([*self._block.values, *block.values], np.append(self._block.offsets, block.offsets))
            ceiling = self._times if self.ended else self._times[:-1]
            keys = np.minimum(ceiling, np.append(self._times[1:], np.inf)[: ceiling.size])
            self.keys = np.maximum.accumulate(np.maximum(keys, self._latest))

    def take(self, n: int) -> Block:
        """Take the first ``n`` records, all of which have keys."""
        if n:
            self._latest = self.keys[n - 1]
        block = self._block
        self._block, self._times = Block(block.values[n:], block.offsets[n:]), self._times[n:]
        self.keys = self.keys[n:]
        return Block(block.values[:n], block.offsets[:n])


def _next_block(queues: Sequence[_Queue]) -> MergedBlock:
    """What can be ordered by what is known: up to the first key behind which a stream has yet to be read on."""
    horizon, at = min(((queue.keys[-1], i) for i, queue in enumerate(queues) if not queue.ended), default=(np.inf, -1))
    keys, blocks, sources = [], [], []
    for i, queue in enumerate(queues):
        # At the horizon itself a later stream waits: the stream there may have more records of that very time.
        side = "right" if i <= at or at < 0 else "left"
        n = int(np.searchsorted(queue.keys, horizon, side))  # type: ignore[call-overload]  # one of its two literals
        keys.append(queue.keys[:n])
        blocks.append(queue.take(n))
        sources.append(np.full(n, i, np.int32))
    order = np.argsort(np.concatenate(keys), kind="stable")
    values = [value for block in blocks for value in block.values]
    offsets = np.concatenate([block.offsets for block in blocks])
    return MergedBlock([values[i] for i in order], offsets[order], np.concatenate(sources)[order])


def _times(values: Sequence[bytes], before: float) -> NDArray[np.float64]:
    """The times of ``values``, that of its predecessor (``before`` the first) where a record has none."""
    times = np.empty(len(values))
    for i, value in enumerate(values):
        before = times[i] = _time(value, before)
    return times


def _time(value: bytes, otherwise: float) -> float:
    try:
        time = _decode(value).time
    except msgspec.MsgspecError:
        return otherwise
    if time is None:
        return otherwise
    return time.timestamp() if isinstance(time, datetime) else time
