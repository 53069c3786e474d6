"""Where is the past of a model read? In the logs of its store, beside whoever writes them."""

from __future__ import annotations

import msgspec

from monitor.errors import StoreError
from monitor.history.history import Records
from monitor.incidents.incident import Incident
from monitor.store.checkpoint import DONE
from monitor.store.database import Database
from monitor.store.figures import FigureLog
from monitor.store.grouplog import GroupLog
from monitor.store.ticklog import TickLog


def records_of(database: Database, log: TickLog) -> Records:
    """All that the store at ``database`` has of the past; ``log`` is its tick log."""

    def incidents(model: str, since: float, until: float) -> list[Incident]:
        named, found = model.encode(), []
        for _, value in database.scan_prefix(DONE):
            if named in value:  # the name stands there as it is: most incidents need not be decoded
                incident = _decoded(value)
                over = incident.resolved_time
                if incident.fired_time <= until and (over is None or over >= since):
                    found.append(incident)
        return [i for i in found if i.model == model or model in i.models]

    return Records(log.each, GroupLog(database).days, FigureLog(database).read, incidents)


def _decoded(value: bytes) -> Incident:
    try:
        return msgspec.msgpack.decode(value, type=Incident)
    except msgspec.MsgspecError as error:
        raise StoreError(f"a record of the store (incident) cannot be read: {error}") from error
