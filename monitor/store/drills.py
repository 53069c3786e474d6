"""What fire drills found, a record a model: kept over a restart, and no part of the state that is judged."""

from __future__ import annotations

import struct

import msgspec

from monitor.drill.findings import SIGNATURE, Findings
from monitor.errors import StoreError
from monitor.store.database import Database, Writes

_PREFIX = b"F"
_ROW = struct.Struct(">I")


class DrillLog:
    """Keeps the newest findings of each model."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, model: int, found: Findings) -> None:
        """Store what was found of the model in row ``model``; safe on any thread."""
        writes = Writes()
        writes.put(_PREFIX + _ROW.pack(model), msgspec.msgpack.encode(found))
        self._database.commit(writes)

    def load(self) -> dict[int, Findings]:
        """What was found, by the model's row; not what another program version found by other faults.

        Raises
        ------
        StoreError
            A record is damaged.
        """
        found = {}
        for key, value in self._database.scan_prefix(_PREFIX):
            try:
                record = msgspec.msgpack.decode(value, type=Findings)
            except msgspec.MsgspecError as error:
                raise StoreError(f"what a drill found is damaged: {error}") from error
            if record.signature == SIGNATURE:
                found[_ROW.unpack(key)[0]] = record
        return found
