"""What incidents name as that by which they were judged: policies and references, each by its digest."""

from __future__ import annotations

from collections.abc import Mapping

from monitor.store.database import Database, Writes

_PREFIX = b"X"


def save(exhibits: Mapping[str, bytes], writes: Writes) -> None:
    """Add ``exhibits``, by digest (SHA-256, hexadecimal); one that is there already is written as it was."""
    for digest, content in exhibits.items():
        writes.put(_PREFIX + bytes.fromhex(digest), content)


def find(database: Database, digest: str) -> bytes | None:
    """What has ``digest``; ``None`` where no incident of this store named it, or it is no digest."""
    try:
        key = bytes.fromhex(digest)
    except ValueError:
        return None
    return database.get(_PREFIX + key)
