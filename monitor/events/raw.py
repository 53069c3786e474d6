"""What a source hands over: bytes, and where they came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from monitor.events.records import Records

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Headers = Sequence[tuple[str, bytes | str | None]]
"""A record's headers as the client hands them over; a name may come more than once."""


class Partition(NamedTuple):
    """One ordered stream of records: a Kafka partition, or a file (``number`` 0)."""

    topic: str
    number: int


@dataclass(slots=True)
class RawBatch:
    """Records in the order they were read.

    ``values[i]`` is ``None`` for a tombstone. ``timestamps`` (float64, shape ``(n,)``) are the records' own times in
    seconds since the epoch, NaN where a source has none, or where it saw that an event of the native format says its
    time itself. ``source`` (int32, shape ``(n,)``) indexes ``partitions``;
    within one partition ``offsets`` (int64) only grow. ``keys`` are the records' keys, empty where a source has none.
    ``headers`` are theirs, in order, ``None`` for a record without any; empty where no topic's format reads them.

    Where another replica read the partitions and this is a part of them, ``reached`` (float64, shape ``(n,)``) is the
    event time that a record's partition had reached behind it, and ``passed`` what partitions have reached behind the
    whole batch.
    """

    values: Sequence[bytes | None]
    timestamps: NDArray[np.float64]
    partitions: Sequence[Partition]
    source: NDArray[np.int32]
    offsets: NDArray[np.int64]
    keys: Sequence[bytes | None] = ()
    headers: Sequence[Headers | None] = ()
    reached: NDArray[np.float64] | None = None
    passed: Mapping[Partition, float] | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def size(self) -> int:
        """The bytes of all values."""
        return self.values.size if isinstance(self.values, Records) else sum(map(len, filter(None, self.values)))
