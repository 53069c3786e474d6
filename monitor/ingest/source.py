"""What the loop asks of anything that events come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from monitor.events.raw import Partition, RawBatch


class Source(Protocol):
    """An ordered stream of records for each of its partitions, which can be taken up again at any offset.

    A source starts at the positions it was made with (the next offset to read, by partition) and falls back to its
    start policy for a partition that has none. It commits nothing by itself and delivers no record twice.
    """

    @property
    def merged(self) -> bool:
        """Whether records of all partitions come in the order of their event times, as if there were only one."""
        ...

    def poll(self, records_max: int, timeout_seconds: float) -> RawBatch:
        """Return at most ``records_max`` records, waiting at most ``timeout_seconds`` for the first; may be empty.

        Raises
        ------
        IngestError
            The source cannot go on; what passes by itself (a broker away for a while) is waited for instead.
        """
        ...

    def positions(self) -> Mapping[Partition, int]:
        """The next offset to read of every partition that is being read now, including those without records yet."""
        ...

    def exhausted(self, partition: Partition) -> bool:
        """Whether ``partition`` has no further record for now (at its end), so that it need not hold up event time."""
        ...

    def finished(self) -> bool:
        """Whether no record will ever come again (files read to their end, a range of a topic done)."""
        ...

    def lag(self) -> Mapping[Partition, int]:
        """Records known to be waiting, by partition; empty where a source cannot know."""
        ...

    def committed(self, positions: Mapping[Partition, int]) -> None:
        """The store now covers everything below ``positions``: tell lag tools; a failure here is not an error."""
        ...

    def close(self) -> None:
        """Let go of everything; further calls are errors."""
        ...
