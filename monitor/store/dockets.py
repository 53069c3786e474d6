"""What cells under suspicion have bet on so far, so that a restart goes on with it: monitor/dockets.py."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import msgspec

from monitor.dockets import Docket, Dockets
from monitor.errors import StoreError
from monitor.store.database import Database, Writes

_PREFIX = b"K"
_ROW = struct.Struct(">I")


def save(dockets: Mapping[bytes, Dockets], writes: Writes) -> None:
    """Write those that changed, by what they are of; remove those that are there no more."""
    for of, each in dockets.items():
        for name, row in sorted(each.changed):
            key, docket = _PREFIX + of + name.encode() + b"\0" + _ROW.pack(row), each.find(name, row)
            if docket is None:
                writes.delete(key)
            else:
                writes.put(key, msgspec.msgpack.encode(docket))
        each.changed.clear()


def load(database: Database, dockets: Mapping[bytes, Dockets]) -> None:
    """Take back what :func:`save` wrote."""
    for of, each in dockets.items():
        for key, value in database.scan_prefix(_PREFIX + of):
            name, row = key[: -_ROW.size - 1].decode(), _ROW.unpack(key[-_ROW.size :])[0]
            try:
                each.restore(name, row, msgspec.msgpack.decode(value, type=Docket))
            except msgspec.MsgspecError as error:
                raise StoreError(f"the docket of a cell of {name} cannot be read: {error}") from error
