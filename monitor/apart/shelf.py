"""Where is what a model's groups were judged by kept? In the store, read when its day is over, or somebody asks."""

from __future__ import annotations

from typing import Protocol

PREFIX = b"V"
CELLS, DAYS = b"c", b"d"
"""What is kept: the cells of a model, by its row; what a group had on a day of many events, by its row."""


class ShelfStore(Protocol):
    """What was written, read back."""

    def get(self, key: bytes) -> bytes | None:
        """The value of ``key``, or ``None``."""
        ...


class ShelfWrites(Protocol):
    """Takes what must be written together."""

    def put(self, key: bytes, value: bytes) -> None:
        """Set ``key``."""
        ...


class Shelf:
    """Bytes by kind and row. What changed is in memory until :meth:`save`, and always where no store is attached."""

    def __init__(self) -> None:
        self._store: ShelfStore | None = None
        self._changed: dict[bytes, bytes] = {}

    def attach(self, store: ShelfStore) -> None:
        """Read on from ``store``, which holds what :meth:`save` wrote."""
        self._store = store

    def read(self, kind: bytes, row: int) -> bytes:
        """What was written last; nothing where nothing was."""
        key = _key(kind, row)
        blob = self._changed.get(key)
        if blob is None and self._store is not None:
            blob = self._store.get(key)
        return blob or b""

    def write(self, kind: bytes, row: int, blob: bytes) -> None:
        """Let this be there from here on."""
        self._changed[_key(kind, row)] = blob

    def save(self, writes: ShelfWrites) -> None:
        """Write what changed since; from here on the store has it."""
        for key, blob in self._changed.items():
            writes.put(key, blob)
        self._changed.clear()


def _key(kind: bytes, row: int) -> bytes:
    return PREFIX + kind + row.to_bytes(4, "big")
