"""The audit trail: who decided what, when and by what, in a chain of hashes that cannot be changed unseen."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import msgspec

from monitor.clock import Clock
from monitor.errors import StoreError
from monitor.store.database import Database, Writes

Kind = Literal["program", "configuration", "reference", "incident", "order", "budget"]
NOTHING = bytes(32)
"""What stands before the first entry."""
_PREFIX = b"A"
_NUMBER = struct.Struct(">Q")


class Entry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One entry. ``number`` counts from 1, ``time`` is wall time in seconds since the epoch.

    ``before`` is the SHA-256 of the stored bytes of the entry before, :data:`NOTHING` of the first. ``subject`` is what
    it speaks of: a digest, a model, an incident's id, a day. ``said`` holds plain values alone, never a case's own.
    """

    number: int
    time: float
    kind: Kind
    subject: str
    by: str
    said: dict[str, Any]
    before: bytes


class Anchor(msgspec.Struct, frozen=True, array_like=True):
    """How far a trail has come: the number of its last entry, and the SHA-256 of that entry's stored bytes."""

    number: int = 0
    digest: bytes = NOTHING


class Trail:
    """Adds to the audit trail of one store. What was entered is stored with the next commit, and never changed.

    ``anchor`` is where it ends, ``stored`` where what lasts of it does.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.anchor = self.stored = self._saved = Anchor()
        self._waiting: list[bytes] = []

    def enter(self, kind: Kind, subject: str, said: Mapping[str, Any], by: str = "", time: float | None = None) -> None:
        """Add an entry, of now if no ``time`` is given."""
        number, at = self.anchor.number + 1, self._clock.now() if time is None else time
        value = msgspec.msgpack.encode(Entry(number, at, kind, subject, by, dict(said), self.anchor.digest))
        self._waiting.append(value)
        self.anchor = Anchor(number, hashlib.sha256(value).digest())

    def save(self, writes: Writes) -> None:
        """Add what was entered since the last call to ``writes``."""
        first = self.anchor.number - len(self._waiting) + 1
        for i, value in enumerate(self._waiting):
            writes.put(_PREFIX + _NUMBER.pack(first + i), value)
        self._waiting.clear()
        self._saved = self.anchor

    def lasts(self) -> None:
        """What :meth:`save` added cannot be lost any more."""
        self.stored = self._saved

    def restore(self, anchor: Anchor) -> None:
        """Go on behind ``anchor``, where the trail in the store ends."""
        self.anchor = self.stored = self._saved = anchor


def entries(database: Database) -> Iterator[Entry]:
    """The trail of a store, oldest first, each entry held against the one before it.

    Raises
    ------
    StoreError
        An entry cannot be read, is missing, or was changed; the message says which.
    """
    for _, entry in _chain(database):
        yield entry


def verify(database: Database, anchor: Anchor | None, known: Iterable[Anchor] = ()) -> Anchor:
    """Hold the whole trail of a store against itself; returns how far it goes.

    ``anchor`` is what the store's head says of its end, and ``known`` are anchors that were published while it grew.

    Raises
    ------
    StoreError
        As :func:`entries`; or the trail ends before or elsewhere than an anchor says.
    """
    published: dict[int, set[bytes]] = {}
    for each in (*known, *([anchor] if anchor is not None else ())):
        published.setdefault(each.number, set()).add(each.digest)
    end = Anchor()
    for end, _ in _chain(database):
        if not published.pop(end.number, {end.digest}) <= {end.digest}:
            raise StoreError(f"the audit trail was rewritten: entry {end.number} is not the one that was published")
    published.pop(0, None)
    if published:
        raise StoreError(f"the audit trail ends with entry {end.number}, and had {max(published)} once")
    return end


def last(database: Database, number: int) -> Anchor:
    """The anchor that entry ``number`` of a store makes; of entry 0, and of one that is missing, the first."""
    value = database.get(_PREFIX + _NUMBER.pack(number))
    return Anchor() if value is None else Anchor(number, hashlib.sha256(value).digest())


def _chain(database: Database) -> Iterator[tuple[Anchor, Entry]]:
    end = Anchor()
    for key, value in database.scan_prefix(_PREFIX):
        number = _NUMBER.unpack(key)[0] if len(key) == _NUMBER.size else -1
        if number != end.number + 1:
            raise StoreError(f"the audit trail lacks entry {end.number + 1}")
        try:
            entry = msgspec.msgpack.decode(value, type=Entry)
        except msgspec.MsgspecError as error:
            raise StoreError(f"entry {number} of the audit trail cannot be read: {error}") from error
        if entry.number != number or entry.before != end.digest:
            raise StoreError(f"entry {end.number} of the audit trail was changed: entry {number} follows another one")
        end = Anchor(number, hashlib.sha256(value).digest())
        yield end, entry
