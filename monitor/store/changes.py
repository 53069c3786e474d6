"""A store as a log of its changes: what is written of it, what says where it stands, and how it is put together again.

Every write of a shard's store is written once more as records of a log that outlives the machine. Only one replica at
a time owns a shard, and its *tenure* has a name; what another one writes beside it, late or by mistake, has another
name and is passed over. Beside the changes each write copies on the next stretch of what the store holds, so that
behind a whole *pass* over the store nothing older is needed, and no write is ever large because the store is.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence

import msgspec

from monitor.errors import StoreError
from monitor.store.bulk import PUT, Change
from monitor.store.database import Database, Writes

RECORD_BYTES = 900 << 10
"""About how large a record of the log is; a single value may be larger."""
COPIED_LEAST = 64 << 10
"""Bytes that a write copies on, or as many again as it changed."""
PASS_REST = 16 << 20
"""Bytes that are written at least between two passes, and as many as the store holds."""
SEGMENTS_MAX = 24
"""Stretches of the log that may be needed; then a pass is made at once, since what names them has 4 kB."""
_END = b"\xff" * 8
VERSION = 1


class Segment(msgspec.Struct, array_like=True, frozen=True):
    """A stretch of the log, from offset ``start`` on, short of ``end``.

    Of its records those of ``tenure`` are meant, whose numbers run from ``first`` on, short of ``last``.
    """

    tenure: str
    start: int
    end: int
    first: int
    last: int


class Pointer(msgspec.Struct, array_like=True, frozen=True):
    """Which segments, applied in their order to an empty store, are the store."""

    version: int
    segments: list[Segment]


class _Record(msgspec.Struct, array_like=True):
    tenure: str
    number: int
    changes: list[Change]


_records = msgspec.msgpack.Decoder(_Record)


def pointer_of(text: str) -> Pointer:
    """The pointer that stands beside a committed offset; of a shard that nobody has written yet an empty one.

    Raises
    ------
    StoreError
        It was not written by this program, or by another version of it.
    """
    if not text:
        return Pointer(VERSION, [])
    try:
        pointer = msgspec.json.decode(text, type=Pointer)
    except msgspec.MsgspecError as error:
        raise StoreError(f"what was committed beside an offset names no state: {error}") from error
    if pointer.version != VERSION:
        raise StoreError(f"the state of a shard has version {pointer.version}, this program reads {VERSION}")
    return pointer


class ChangeLog:
    """Writes the log of one store during one tenure.

    ``send`` takes a record and calls back with its offset, once it is there; ``earlier`` is where the tenures before
    left the store. The first write begins a pass.
    """

    def __init__(
        self,
        database: Database,
        earlier: Pointer,
        send: Callable[[bytes, Callable[[int], None]], None],
        tenure: str = "",
    ) -> None:
        self.tenure = tenure or uuid.uuid4().hex[:12]
        self._database = database
        self._send = send
        self._earlier = list(earlier.segments)
        self._placed: dict[int, int] = {}
        self._number = 0
        self._kept_from = 0
        self._pass_began = 0
        self._cursor: bytes | None = b""
        self._copied = 0
        self._since_pass = 0

    def write(self, changes: Sequence[Change]) -> None:
        """Send what changed, and a further stretch of what is there."""
        n_bytes = sum(len(first) + len(second) for _, first, second in changes)
        self._since_pass += n_bytes
        if self._cursor is None and self._since_pass >= max(PASS_REST, self._copied):
            self._cursor, self._pass_began, self._copied, self._since_pass = b"", self._number, 0, 0
        records = list(_cut(changes))
        passing = self._cursor is not None
        if passing:
            at_once = len(self._earlier) >= SEGMENTS_MAX
            records += _cut(self._next_stretch(None if at_once else max(COPIED_LEAST, n_bytes)))
        for record in records or [[]]:
            number, self._number = self._number, self._number + 1
            blob = msgspec.msgpack.encode(_Record(self.tenure, number, list(record)))
            self._send(blob, lambda offset, number=number: self._placed.__setitem__(number, offset))  # type: ignore[misc]
        if passing and self._cursor is None:
            self._kept_from, self._earlier = self._pass_began, []
            self._placed = {number: at for number, at in self._placed.items() if number >= self._kept_from}

    def pointer(self) -> str:
        """Where the store stands, once all that was sent has its offset."""
        end = self._placed[self._number - 1] + 1
        own = Segment(self.tenure, self._placed[self._kept_from], end, self._kept_from, self._number)
        return msgspec.json.encode(Pointer(VERSION, [*self._earlier, own])).decode()

    @property
    def needed_from(self) -> int:
        """The offset before which nothing of the log is needed, by what :meth:`pointer` says."""
        return min([segment.start for segment in self._earlier] + [self._placed[self._kept_from]])

    def _next_stretch(self, n_bytes: int | None) -> list[Change]:
        """What the store holds from the cursor on, ``n_bytes`` of it or all; the cursor goes on behind that."""
        assert self._cursor is not None
        taken: list[Change] = []
        room = n_bytes
        for key, value in self._database.scan(self._cursor, _END):
            if room is not None and room <= 0:
                self._cursor = key
                return taken
            taken.append((PUT, key, value))
            self._copied += len(key) + len(value)
            room = None if room is None else room - len(key) - len(value)
        self._cursor = None
        return taken


class Restored:
    """Puts a store together from its log: the records of each segment, in the order of the log."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.n_bytes = 0

    def segment(self, segment: Segment) -> Callable[[int, bytes], None]:
        """What takes the records of the log from ``segment.start`` on; :meth:`done` says whether it had them all."""
        self._segment, self._next = segment, segment.first
        return self._take

    def done(self) -> None:
        """The segment is at its end.

        Raises
        ------
        StoreError
            Some of its records are missing.
        """
        if self._next != self._segment.last:
            raise StoreError(
                f"the state of a shard is not whole: of tenure {self._segment.tenure} record {self._next} is missing"
            )

    def _take(self, _offset: int, blob: bytes) -> None:
        try:
            record = _records.decode(blob)
        except msgspec.MsgspecError as error:
            raise StoreError(f"a record of a shard's state cannot be read: {error}") from error
        if record.tenure != self._segment.tenure or record.number != self._next:
            return
        self._next += 1
        writes = Writes()
        writes.changes = record.changes
        self._database.commit(writes)
        self.n_bytes += len(blob)


def _cut(changes: Sequence[Change]) -> Iterator[list[Change]]:
    part: list[Change] = []
    room = RECORD_BYTES
    for change in changes:
        part.append(change)
        room -= len(change[1]) + len(change[2])
        if room <= 0:
            yield part
            part, room = [], RECORD_BYTES
    if part:
        yield part
