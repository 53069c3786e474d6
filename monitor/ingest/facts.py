"""What a source tells beside records: the changes in what it reads that someone should count and log."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from monitor.events.raw import Partition


class SourceChange(StrEnum):
    """What happened to a partition."""

    FOUND = "found"
    """It is read from now on, beginning at ``to_offset``."""
    GONE = "gone"
    """It no longer exists; reading ended at ``from_offset``."""
    LOST = "lost"
    """The records from ``from_offset`` up to ``to_offset`` were deleted before they were read."""
    REWOUND = "rewound"
    """Its log ends before ``from_offset`` (made anew, or cut off by its broker): read again from ``to_offset``."""

    REMADE = "remade"
    """Its topic was deleted and made anew under the same name: read from its beginning, ``to_offset``."""


class SourceEvent(NamedTuple):
    """One change. ``from_offset`` is where reading stood (or was stored), ``to_offset`` where it goes on."""

    change: SourceChange
    partition: Partition
    from_offset: int
    to_offset: int

    def __str__(self) -> str:
        topic, number = self.partition
        return f"{topic}[{number}]: {self.change} {self.from_offset} -> {self.to_offset}"
