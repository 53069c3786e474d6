"""What a replay reads from files: several of them as one stream in event time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from monitor.errors import IngestError
from monitor.events.raw import Partition, RawBatch
from monitor.ingest.file_lines import STDIN, LineFile
from monitor.ingest.file_rows import RowFile
from monitor.ingest.merged import MergedBlock, merged

BLOCK_BYTES = 1 << 20
BLOCKS_BYTES_MAX = 64 << 20
"""What the blocks of all files together may hold; each has one in memory."""

KINDS = (".jsonl", ".jsonl.gz", ".parquet")


class FilesSource:
    """Files of native events, merged by event time; a partition is a file as it was named, number 0.

    Offsets are numbers of lines or rows from 0. Reading waits for the disk, and for whoever writes to standard input
    (``-``), beyond any timeout.

    Raises
    ------
    IngestError
        A file is missing, of an unknown kind, or named twice.
    """

    def __init__(self, paths: Sequence[str], positions: Mapping[Partition, int]) -> None:
        self._partitions = tuple(Partition(path, 0) for path in paths)
        self._next = np.array([positions.get(each, 0) for each in self._partitions], np.int64)
        self._sizes = [_size(path, paths) for path in paths]
        block_bytes = max(1 << 16, min(BLOCK_BYTES, BLOCKS_BYTES_MAX // max(1, len(paths))))
        self._files = [
            RowFile(path, int(at), size) if path.endswith(".parquet") else LineFile(path, int(at), block_bytes)
            for path, at, size in zip(paths, self._next, self._sizes, strict=True)
        ]
        self._blocks = merged([file.blocks() for file in self._files])
        self._block = MergedBlock([], np.zeros(0, np.int64), np.zeros(0, np.int32))
        self._taken = 0
        self._current = -1
        self._ended = not paths

    @property
    def merged(self) -> bool:
        """Yes: one order for all."""
        return True

    def poll(self, records_max: int, timeout_seconds: float) -> RawBatch:
        """As :class:`~monitor.ingest.source.Source` says; empty only at the end of the files."""
        while self._taken >= len(self._block.values) and not self._ended:
            block = next(self._blocks, None)
            self._ended = block is None
            self._block, self._taken = block or self._block, 0 if block else self._taken
        rows = slice(self._taken, self._taken + records_max)
        values, offsets, source = self._block.values[rows], self._block.offsets[rows], self._block.source[rows]
        self._taken += len(values)
        if len(values):
            np.maximum.at(self._next, source, offsets + 1)
            self._current = int(source[-1])
        return RawBatch(values, np.full(len(values), np.nan), self._partitions, source, offsets)

    def positions(self) -> Mapping[Partition, int]:
        """As :class:`~monitor.ingest.source.Source` says."""
        return {each: int(offset) for each, offset in zip(self._partitions, self._next, strict=True)}

    def exhausted(self, partition: Partition) -> bool:
        """Whether ``partition`` may be passed over by event time: all but the file that was read last.

        The files are merged by time, so what the others still hold is not older.
        """
        if self._current < 0:
            return self._ended
        return self.finished() or partition != self._partitions[self._current]

    def finished(self) -> bool:
        """Whether all files were read to their end."""
        return self._ended and self._taken >= len(self._block.values)

    def lag(self) -> Mapping[Partition, int]:
        """Nothing: how many lines a file has is known when it was read."""
        return {}

    def committed(self, positions: Mapping[Partition, int]) -> None:
        """Nothing: a file does not want to know."""

    def bytes_read(self) -> int:
        """How much of the files was read, as they lie on disk; standard input counts nothing."""
        return sum(file.bytes_read() for file in self._files)

    def bytes_total(self) -> int:
        """The size of the files; standard input counts nothing."""
        return sum(self._sizes)

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()


def _size(path: str, paths: Sequence[str]) -> int:
    if paths.count(path) > 1:
        raise IngestError(f"{path}: named twice")
    if path == STDIN:
        return 0
    if not path.endswith(KINDS):
        raise IngestError(f"{path}: not a kind of file that can be read: {', '.join(KINDS)}, or - for standard input")
    try:
        return Path(path).stat().st_size
    except OSError as error:
        raise IngestError(f"{path}: {error.strerror}") from error
