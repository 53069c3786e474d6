"""What may be asked of a store without its daemon? A fire drill, and the past of a model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from monitor.compose import make_fleet
from monitor.config import Config
from monitor.drill.drill import drill_of
from monitor.drill.past import Past
from monitor.errors import StoreError, UsageError
from monitor.history.history import history_of
from monitor.incidents.document import incident_document
from monitor.store.checkpoint import Checkpoint
from monitor.store.database import Database
from monitor.store.grouplog import GroupLog
from monitor.store.past import records_of
from monitor.store.ticklog import TickLog
from monitor.tally.event_time import EventTime


def history(config: Config, path: Path, model: str, since: float, until: float) -> dict[str, Any]:
    """What the store at ``path`` has of ``model`` from ``since`` to ``until``, as the API tells it.

    A daemon may have the store open meanwhile: it is read as it was at the opening.

    Raises
    ------
    StoreError
        There is no store, or it cannot be read.
    UsageError
        It holds no such model.
    """
    if not (path / "CURRENT").is_file():
        raise StoreError(f"{path}: there is no store here")
    with Database(path, to_look=True) as database:
        log = TickLog(database, math.inf)
        fleet = make_fleet(config)
        Checkpoint(database, log).load(fleet, EventTime(config.clock.lateness))
        read = history_of(fleet, model, records_of(database, log))
        if read is None:
            raise UsageError(f"{path} holds no model {model!r}")
        found = read(since, until)
        return {**found.document, "incidents": [incident_document(incident) for incident in found.incidents]}


def drill(config: Config, path: Path, model: str) -> dict[str, Any]:
    """The document of a drill of ``model`` in the store at ``path``; ``config`` is what its daemon was told.

    Raises
    ------
    StoreError
        There is no store, or a daemon has it open.
    UsageError
        It holds no such model.
    """
    if not path.is_dir():
        raise StoreError(f"{path}: there is no store")
    with Database(path) as database:
        log = TickLog(database, math.inf)
        fleet = make_fleet(config)
        Checkpoint(database, log).load(fleet, EventTime(config.clock.lateness))
        run = drill_of(fleet, model, Past(log.read, GroupLog(database).read))
        if run is None:
            raise UsageError(f"drill: {path} holds no model {model!r}")
        return run()
