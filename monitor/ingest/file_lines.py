"""How a file of lines, compressed or not, is cut into blocks of records."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import BinaryIO, cast

import numpy as np

from monitor.errors import IngestError
from monitor.ingest.merged import Block

LINE_BYTES_MAX = 16 << 20
"""A longer line is cut here: far above any record that is decoded, and a bound for what is held in memory."""

STDIN = "-"


class LineFile:
    """The lines of one file; an offset is a line's number from 0. Empty lines are passed over."""

    def __init__(self, path: str, position: int, block_bytes: int) -> None:
        self._path = path
        self._position = position
        self._block_bytes = block_bytes
        self._file: BinaryIO | None = None
        self._bytes_read = 0

    def blocks(self) -> Iterator[Block]:
        """The records from ``position`` on.

        Raises
        ------
        IngestError
            The file cannot be read (on); the message names it and the line.
        """
        number = 0
        try:
            with self._opened() as stream:
                # What a pipe has is taken when it comes; a file gives whole blocks.
                read = stream.read if self._path != STDIN else getattr(stream, "read1", stream.read)
                for lines in _lines(read, self._block_bytes):
                    first, number = number, number + len(lines)
                    if number > self._position:
                        yield _block(lines, first, self._position)
        except gzip.BadGzipFile as error:
            raise IngestError(f"{self._path}: line {number + 1}: this is not gzip") from error
        except (OSError, EOFError, zlib.error) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise IngestError(f"{self._path}: line {number + 1}: {reason}") from error
        finally:
            self.close()

    def bytes_read(self) -> int:
        """How much of the file was read, compressed as it lies there."""
        if self._file is not None and not self._file.closed and self._path != STDIN:
            self._bytes_read = self._file.tell()
        return self._bytes_read

    def close(self) -> None:
        """Close the file; what was not read stays unread."""
        if self._file is not None and self._path != STDIN:
            self._bytes_read = self.bytes_read()
            self._file.close()

    def _opened(self) -> AbstractContextManager[BinaryIO]:
        if self._path == STDIN:
            self._file = sys.stdin.buffer
            return nullcontext(sys.stdin.buffer)
        self._file = open(self._path, "rb")  # noqa: PTH123, SIM115  # closed by close()
        if self._path.endswith(".gz"):
            return cast("AbstractContextManager[BinaryIO]", gzip.GzipFile(fileobj=self._file))
        return nullcontext(self._file)


def _lines(read: Callable[[int], bytes], block_bytes: int) -> Iterator[list[bytes]]:
    """Whole lines, a block's worth at a time; the last one may lack its newline."""
    rest = b""
    while block := read(block_bytes):
        lines = (rest + block).split(b"\n")
        rest = lines.pop()[: LINE_BYTES_MAX + 1]
        if lines:
            yield lines
    if rest:
        yield [rest]


def _block(lines: list[bytes], first: int, position: int) -> Block:
    numbers = np.arange(first, first + len(lines), dtype=np.int64)
    if first < position:
        lines, numbers = lines[position - first :], numbers[position - first :]
    if b"" in lines or b"\r" in lines:
        filled = [i for i, line in enumerate(lines) if line not in {b"", b"\r"}]
        lines, numbers = [lines[i] for i in filled], numbers[filled]
    return Block(lines, numbers)
