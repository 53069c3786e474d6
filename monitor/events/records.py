"""The bytes of many records in one piece, as compiled loops read them: none of them has to be an object of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, cast, overload

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONSTANTS: Final = b"labelscorevalue01"
"""What stands behind the records: names and texts that columns of events point to without a record that says them."""


class Records(Sequence["bytes | None"]):
    """Records behind one another; ``None`` is a tombstone.

    ``body`` holds all of them and then :data:`CONSTANTS`; ``lengths`` (int64, shape ``(n,)``) are theirs, -1 for a
    tombstone.
    """

    __slots__ = ("_ends", "body", "lengths")

    def __init__(self, body: bytes | bytearray, lengths: NDArray[np.int64]) -> None:
        self.body, self.lengths = body, lengths
        self._ends: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, values: Sequence[bytes | None]) -> Records:
        """``values`` in one piece; themselves where they are."""
        if isinstance(values, Records):
            return values
        known = cast("Sequence[bytes]", values)  # mostly there are no tombstones, which have no length
        try:
            lengths = np.fromiter(map(len, known), np.int64, len(known))
            return cls(b"".join([*known, CONSTANTS]), lengths)
        except TypeError:
            lengths = np.array([-1 if value is None else len(value) for value in values], np.int64)
            return cls(b"".join([*filter(None, values), CONSTANTS]), lengths)

    @property
    def size(self) -> int:
        """The bytes of all records."""
        return len(self.body) - len(CONSTANTS)

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[bytes | None]:
        first = 0
        for length in self.lengths.tolist():
            last = first + max(length, 0)
            yield bytes(self.body[first:last]) if length >= 0 else None
            first = last

    @overload
    def __getitem__(self, at: int) -> bytes | None: ...
    @overload
    def __getitem__(self, at: slice) -> list[bytes | None]: ...
    def __getitem__(self, at: int | slice) -> bytes | list[bytes | None] | None:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        if self._ends is None:
            self._ends = np.maximum(self.lengths, 0).cumsum()
        length, last = int(self.lengths[at]), int(self._ends[at])
        return bytes(self.body[last - length : last]) if length >= 0 else None
