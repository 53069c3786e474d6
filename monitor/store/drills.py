"""What fire drills found, a record a model: kept over a restart, and no part of the state that is judged.

Findings tell rows of models and series, so they are stored with the state in which those rows are what they were.
"""

from __future__ import annotations

import struct

import msgspec

from monitor.drill.findings import SIGNATURE, Findings
from monitor.errors import StoreError
from monitor.store.database import Database, Writes

_PREFIX = b"F"
_ROW = struct.Struct(">I")


class DrillLog:
    """Keeps the newest findings of each model. What is to be kept is stored with the next commit."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: dict[int, Findings] = {}

    def keep(self, model: int, found: Findings) -> None:
        """Have what was found of the model in row ``model`` stored."""
        self._waiting[model] = found

    def save(self, writes: Writes) -> None:
        """Add what was found since the last call to ``writes``."""
        for model, found in self._waiting.items():
            writes.put(_PREFIX + _ROW.pack(model), msgspec.msgpack.encode(found))
        self._waiting.clear()

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
