"""Records on their way to the shard that counts them: a stretch of one partition, and which of its records are meant.

A bundle covers the offsets of a partition from ``first`` on, short of ``after``, and holds those records of the stretch
that are for one shard. Whoever reads the partition cuts as he likes: a shard takes of a bundle what it has not had.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.errors import IngestError
from monitor.events.raw import Partition, RawBatch

BUNDLE_BYTES = 512 << 10
"""About how many bytes of values a bundle holds; a single record may be larger."""
VERSION = 1


class Bundle(msgspec.Struct, array_like=True):
    """A stretch of a partition. ``base`` is the offset at which reading it was begun, by the group's first commit.

    ``reached`` is the event time that the partition has reached behind the stretch, ``at_end`` whether there was
    nothing behind it. The columns are int64 and float64; ``marks`` is the event time reached behind each record.
    """

    version: int
    topic: str
    number: int
    topic_id: str
    base: int
    first: int
    after: int
    at_end: bool
    reached: float
    offsets: bytes = b""
    timestamps: bytes = b""
    marks: bytes = b""
    values: list[bytes | None] = []
    keys: list[bytes | None] = []
    headers: list[list[tuple[str, bytes | None]] | None] = []

    @property
    def partition(self) -> Partition:
        """The partition that it is a stretch of."""
        return Partition(self.topic, self.number)


_decoder = msgspec.msgpack.Decoder(Bundle)
_encoder = msgspec.msgpack.Encoder()


def packed(bundle: Bundle) -> bytes:
    """The bundle as a record of the internal topic."""
    return _encoder.encode(bundle)


def unpacked(raw: bytes | None) -> Bundle:
    """The bundle that a record of the internal topic holds.

    Raises
    ------
    IngestError
        Somebody else wrote it, or another version of the program.
    """
    try:
        bundle = _decoder.decode(raw or b"")
    except msgspec.MsgspecError as error:
        raise IngestError(f"a record of the internal topic cannot be read: {error}") from error
    if bundle.version != VERSION:
        raise IngestError(f"a record of the internal topic has version {bundle.version}, this program reads {VERSION}")
    return bundle


def cut(stretch: Bundle, raw: RawBatch, at: NDArray[np.int64], marks: NDArray[np.float64]) -> Iterator[Bundle]:
    """The records ``raw[at]``, in bundles of a size, which together cover ``stretch``.

    ``marks`` are the event times reached behind each record of ``raw``; behind the last one that is the stretch's own.
    """
    sizes = np.cumsum([len(raw.values[i] or b"") for i in at.tolist()])
    part = sizes // BUNDLE_BYTES if len(at) else sizes
    first = stretch.first
    for number in np.unique(part).tolist():
        own = at[part == number]
        last = number == int(part[-1])
        after = stretch.after if last else int(raw.offsets[own[-1]]) + 1
        reached = marks[own].copy()
        if last:
            reached[-1] = stretch.reached
        yield msgspec.structs.replace(
            stretch,
            first=first,
            after=after,
            at_end=stretch.at_end and last,
            reached=float(reached[-1]),
            offsets=raw.offsets[own].tobytes(),
            timestamps=raw.timestamps[own].tobytes(),
            marks=reached.tobytes(),
            values=[raw.values[i] for i in own.tolist()],
            keys=_some([raw.keys[i] for i in own.tolist()] if len(raw.keys) else []),
            headers=_some([_plain(raw.headers[i]) for i in own.tolist()] if len(raw.headers) else []),
        )
        first = after


def columns(bundle: Bundle) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Offsets, timestamps and marks of the records in a bundle."""
    return (
        np.frombuffer(bundle.offsets, np.int64),
        np.frombuffer(bundle.timestamps, np.float64),
        np.frombuffer(bundle.marks, np.float64),
    )


def _some(column: list[Any]) -> list[Any]:
    """``column``, or nothing where nothing stands in it."""
    return column if any(each is not None for each in column) else []


def _plain(headers: Sequence[tuple[str, bytes | str | None]] | None) -> list[tuple[str, bytes | None]] | None:
    if headers is None:
        return None
    return [(name, value.encode() if isinstance(value, str) else value) for name, value in headers]
