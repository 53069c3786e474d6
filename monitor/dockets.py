"""What did a cell under suspicion bet on? Its batches and nulls, kept until it fires or is cleared.

A docket is lines of JSON: what the cell began with, its nulls, a line for each step of its evidence, and what it came
to. Whoever has it can judge the cell again (docs/formats/capsule.md).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

PAGE_STEPS = 128
"""Steps of a page. Two are kept of a cell that is suspicious for longer: what came before is carried in."""
_PAGES = 2
_BYTES_MAX = 32 << 20
"""Memory of all dockets of series, of groups, of cases or of use; beyond it no further ones are begun."""

Line = Mapping[str, Any]


class Docket(msgspec.Struct):
    """The lines of one cell, by page; each page begins with what the cell came with.

    ``log_r`` is what the cell's evidence came to in the last step, and ``null`` the null that was told last: where the
    cell comes with other evidence, it began anew.
    """

    pages: list[list[bytes]]
    steps: int = 0
    log_r: bytes = b""
    null: bytes = b""


class Dockets:
    """The dockets of the cells of some detectors, by the detector's name and the cell's row."""

    def __init__(self) -> None:
        self._open: dict[str, dict[int, Docket]] = {}
        self._bytes = 0
        self._turned_away = 0
        self.changed: set[tuple[str, int]] = set()
        """Those that are otherwise than when they were last stored, or are there no more."""

    def __len__(self) -> int:
        return sum(len(each) for each in self._open.values())

    def find(self, name: str, row: int) -> Docket | None:
        """The docket of a cell, if it has one."""
        return self._open.get(name, {}).get(row)

    def let_go(self, name: str, rows: NDArray[np.integer], kept: NDArray[np.bool_]) -> None:
        """Forget the dockets of those of ``rows`` (b,), which have just bet, that are not to be ``kept`` (b,)."""
        held = self._open.get(name)
        if held:
            for row in rows[~kept & np.isin(rows, np.fromiter(held, np.int64))].tolist():
                self.take(name, row)

    def add(
        self, name: str, row: int, log_r: tuple[bytes, bytes], lines: Callable[[], tuple[Line, Line, Line]]
    ) -> None:
        """Let a cell's step into its docket, which is begun where it has none.

        ``log_r`` is what the cell came with and went with; ``lines`` tells what it begins with, its null and its step.
        """
        docket = self.find(name, row)
        if docket is None or docket.log_r != log_r[0]:
            self.take(name, row)
            if self._bytes > _BYTES_MAX:
                self._turned_away += 1
                return
            docket = self._open.setdefault(name, {})[row] = Docket([])
        begun, null, step = (msgspec.json.encode(line) for line in lines())
        if not docket.pages or docket.steps == PAGE_STEPS:
            docket.pages.append([begun])
            docket.steps, docket.null = 0, b""
            self._bytes -= sum(len(line) for page in docket.pages[:-_PAGES] for line in page)
            del docket.pages[:-_PAGES]
            self._bytes += len(begun)
        new = [step] if null == docket.null else [null, step]
        docket.pages[-1] += new
        docket.steps, docket.log_r, docket.null = docket.steps + 1, log_r[1], null
        self._bytes += sum(len(line) for line in new)
        self.changed.add((name, row))

    def take(self, name: str, row: int) -> bytes:
        """The lines of a cell's docket, which it has no more; empty where it had none."""
        docket = self._open.get(name, {}).pop(row, None)
        if docket is None:
            return b""
        self.changed.add((name, row))
        lines = [line for page in docket.pages for line in page]
        self._bytes -= sum(map(len, lines))
        return b"\n".join(lines)

    def restore(self, name: str, row: int, docket: Docket) -> None:
        """Take back a docket that was stored."""
        self._open.setdefault(name, {})[row] = docket
        self._bytes += sum(len(line) for page in docket.pages for line in page)

    def take_turned_away(self) -> int:
        """How many were not begun for want of room since this was last asked."""
        n, self._turned_away = self._turned_away, 0
        return n


def closed(header: Line, lines: bytes, fired: Line) -> bytes:
    """A docket as it is kept: what was asked, its ``lines``, and what came of it."""
    return b"\n".join([msgspec.json.encode(header), lines, msgspec.json.encode(fired)])


def judged(docket: bytes, by: Line) -> bytes:
    """A closed docket with the line that says by what it was judged."""
    return docket + b"\n" + msgspec.json.encode(by)


def chain(lines: Iterable[bytes]) -> Iterator[str]:
    """SHA-256, hexadecimal, of each line behind that of the one before; the last one names the docket."""
    before = ""
    for line in lines:
        before = hashlib.sha256(before.encode() + b"\n" + line).hexdigest()
        yield before


def digest(docket: bytes) -> str:
    """By what an incident names ``docket``."""
    return list(chain(docket.split(b"\n")))[-1]


def floats(values: NDArray[np.floating]) -> list[float]:
    """Plain numbers; a line of JSON has null for what is not finite."""
    plain: list[float] = values.tolist()
    return plain
